"""What a measurement leaves behind: a table to read, and everything that is needed to repeat it."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import __version__
from ..commands.threads import blas_threads
from .suite import Measured, Row, Settings
from .threads import processors
from .timing import Times

PACKAGES = ("numpy", "numba", "llvmlite", "torch", "jax", "jaxlib", "mygrad")
KINDS = ("forward", "both")


def environment() -> dict[str, Any]:
    """The machine and the versions."""
    versions = {"tapegrad": __version__}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "cpu": cpu_name(),
        "machine": platform.machine(),
        "system": platform.platform(),
        "processors": len(processors()),
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "blas_threads": blas_threads(),
        "python": platform.python_version(),
        "versions": versions,
    }


def cpu_name() -> str:
    """What the processor calls itself."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def heading(settings: Settings) -> str:
    """What was asked for and on what, in two lines."""
    found = environment()
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    asked = "parameters and inputs" if settings.with_inputs else "parameters"
    return (
        f"{found['cpu']}, {settings.threads} of {os.cpu_count()} processors; {settings.dtype}; gradients of {asked}; "
        f"medians of up to {settings.rounds} rounds"
        f"{', of processor time' if settings.clock == 'processor' else ''}\nPython {found['python']}, {versions}"
    )


# ---- the table
def table(measured: Measured) -> str:
    """One piece of work as text.

    For each contender the median and the least time in milliseconds, with a star at the best peer; for ours how many
    times longer the best peer takes; and the fraction of the processor's peak, where that was measured.
    """
    peak = math.isfinite(measured.peak)
    columns = f"{'ms':>9} {'least':>9}{'x peer':>9}" + (f"{'peak':>8}" if peak else "")
    forward, both = (f"{flops / 1e9:.3g} GFLOP" for flops in measured.flops)
    lines = [
        f"{measured.cell} (T, B, I, H) = {measured.shape}; products: {forward}, in both passes {both}",
        f"    {'':<19}{'forward':>{len(columns)}}    {'forward + backward':>{len(columns)}}",
        f"    {'':<19}{columns}    {columns}",
    ]
    for row in measured.rows:
        parts = [row.error] if row.error else [_columns(measured, row, kind, peak) for kind in KINDS]
        lines.append(f"    {row.name:<19}" + "    ".join(parts))
    for row, other in measured.comparisons():
        both, alone = (_against(getattr(row, kind), getattr(other, kind)) for kind in ("both", "forward"))
        lines.append(f"    {other.name} / {row.name}: forward + backward {both}; forward {alone}")
    if measured.disturbed:
        lines.append(f"    disturbed: other programs used {measured.others():.1f} processors while this was measured")
    return "\n".join(line.rstrip() for line in lines)


def _columns(measured: Measured, row: Row, kind: str, peak: bool) -> str:
    times, ratio = getattr(row, kind), measured.ratio(row, kind)
    star = "*" if row is measured.best_peer(kind) else " "
    text = f"{_milliseconds(times.median):>9}{star}{_milliseconds(times.best):>9}"
    text += f"{ratio:>8.2f}x" if row.ours and math.isfinite(ratio) else f"{'':>9}"
    return text + (f"{measured.of_peak(row, kind):>8.1%}" if peak else "")


def _against(times: Times, others: Times) -> str:
    """How many times longer others take: of the medians, of the least, and of the rounds, which follow on another."""
    text = f"{others.median / times.median:.2f}x (least {others.best / times.best:.2f}x"
    if len(times.seconds) == len(others.seconds):
        each = [b / a for a, b in zip(times.seconds, others.seconds, strict=True)]
        text += f", rounds {min(each):.2f}x to {max(each):.2f}x"
    return text + ")"


def _milliseconds(seconds: float) -> str:
    value = 1e3 * seconds
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


# ---- the file
def as_json(results: Sequence[Measured], settings: Settings) -> str:
    """Everything that is needed to repeat a measurement, and all that was measured."""
    whole = {
        "command": ["tapegrad", *sys.argv[1:]],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(),
        "settings": asdict(settings) | {"shapes": [list(shape) for shape in settings.shapes]},
        "results": [_result(measured) for measured in results],
    }
    return json.dumps(whole, indent=1, allow_nan=False)


def _result(measured: Measured) -> dict[str, Any]:
    best = {kind: measured.best_peer(kind) for kind in KINDS}
    return {
        "cell": measured.cell,
        "definition": measured.definition,
        "shape": measured.shape._asdict(),
        "flops": dict(zip(KINDS, measured.flops, strict=True)),
        "peak_flops_per_second": _number(measured.peak),
        "others": _number(measured.others()),
        "best_peer": {kind: None if row is None else row.name for kind, row in best.items()},
        "contenders": [_row(measured, row) for row in measured.rows],
    }


def _row(measured: Measured, row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "ours": row.ours,
        "error": row.error or None,
        "wrong": row.wrong,
        "deviation": {part: _number(value) for part, value in row.deviation.items()},
        **{
            kind: _times(getattr(row, kind))
            | {"ratio": _number(measured.ratio(row, kind)), "of_peak": _number(measured.of_peak(row, kind))}
            for kind in KINDS
        },
    }


def _times(times: Times) -> dict[str, Any]:
    return {
        "first_call": _number(times.first),
        "median": _number(times.median),
        "best": _number(times.best),
        "calls": times.calls,
        "seconds": times.seconds,
        "others": [_number(others) for others in times.others],
    }


def _number(value: float) -> float | None:
    """JSON has no infinities."""
    return value if math.isfinite(value) else None
