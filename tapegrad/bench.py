"""Timing this project against others: the same work, in one process, in turn, by medians.

A :class:`Case` holds one piece of work done by several contenders. Their results are compared before anything
is timed, since a fast wrong answer is no answer.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Any

import numpy as np

from . import pytree
from .errors import BackendError, OptionError, TapegradError
from .transforms import value_and_grad

OURS = "tapegrad"


@dataclass
class Case:
    """One piece of work.

    Attributes
    ----------
    name, work : str
        What it is called, and in words what is done.
    contenders : dict of str to callable
        Each does the work and returns its result, a pytree of arrays.
    tolerance : float
        How far results may differ, relative to the largest entry.
    """

    name: str
    work: str
    contenders: dict[str, Callable[[], Any]]
    tolerance: float = 1e-9


@dataclass
class Timing:
    """The seconds of each contender of a case, one entry for each round."""

    case: Case
    seconds: dict[str, list[float]]

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def ratio(self) -> float:
        """How many times longer the best peer took, as the median over the rounds."""
        peers = [name for name in self.seconds if name != OURS]
        best = min(peers, key=self.median)
        return statistics.median(b / a for a, b in zip(self.seconds[OURS], self.seconds[best], strict=True))


def measure(case: Case, rounds: int = 15) -> Timing:
    """Time the contenders in turn, after comparing their results.

    Raises
    ------
    TapegradError
        When the results differ.
    """
    results = {name: [np.asarray(a) for a in pytree.leaves(work())] for name, work in case.contenders.items()}
    expected = results[OURS]
    for name, found in results.items():
        for a, b in zip(expected, found, strict=True):
            scale = max(1.0, float(np.max(np.abs(a), initial=0.0)))
            if a.shape != b.shape or not np.max(np.abs(a - b), initial=0.0) <= case.tolerance * scale:
                raise TapegradError(f"bench {case.name}: {name} and {OURS} do not compute the same; nothing was timed")
    seconds: dict[str, list[float]] = {name: [] for name in case.contenders}
    for _ in range(rounds):
        for name, work in case.contenders.items():
            gc.collect()
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return Timing(case, seconds)


def table(timings: Sequence[Timing]) -> str:
    """The medians in milliseconds and the ratio to the best peer, as text."""
    lines = []
    for timing in timings:
        lines.append(f"{timing.case.name}: {timing.case.work}")
        for name, seconds in timing.seconds.items():
            low, middle, high = min(seconds), timing.median(name), max(seconds)
            lines.append(f"    {name:<12} {1e3 * middle:9.2f} ms   ({1e3 * low:.2f} to {1e3 * high:.2f})")
        lines.append(f"    ratio        {timing.ratio():9.2f} x    (best peer / {OURS}, median over rounds)")
    return "\n".join(lines)


def environment(packages: Sequence[str]) -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "BLAS threads": os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or "not set",
        **{name: version(name) for name in packages},
    }


def as_json(timings: Sequence[Timing], packages: Sequence[str]) -> str:
    """The figures for a machine to read."""
    rows = [{"case": t.case.name, "work": t.case.work, "seconds": t.seconds, "ratio": t.ratio()} for t in timings]
    return json.dumps({"environment": environment(packages), "results": rows}, indent=1)


# ---- the eager tape ----
def tape_cases(seed: int = 0) -> list[Case]:
    """The eager tape against HIPS autograd, on the same Python loops.

    ``elman`` is the value and gradients of 100 steps of an Elman network (batch 32, 64 units, float64);
    ``scalar`` is 1000 rounds of scalar arithmetic, in which the overhead of recording is all there is.
    """
    try:
        peer, peer_numpy = import_module("autograd"), import_module("autograd.numpy")
    except ImportError:
        raise BackendError(
            "bench tape: the package autograd, which the tape is timed against, is not installed; pip install autograd"
        ) from None
    rng = np.random.default_rng(seed)
    xs = rng.normal(size=(100, 32, 64))
    weights = tuple(0.1 * rng.normal(size=shape) for shape in ((64, 64), (64, 64), (64,)))

    def both(program: Callable[[ModuleType], Callable], arg: Any) -> dict[str, Callable[[], Any]]:
        ours, theirs = value_and_grad(program(np)), peer.value_and_grad(program(peer_numpy))
        return {OURS: lambda: ours(arg), "autograd": lambda: theirs(arg)}

    return [
        Case("elman", "BPTT of an eager Python loop, T=100, B=32, I=H=64, float64",
             both(lambda numpy: _elman(numpy, xs), weights)),
        Case("scalar", "value and derivative of 1000 rounds of y = 0.999 y + 0.01 sin x", both(_scalar, 0.5)),
    ]  # fmt: skip


def _elman(numpy: Any, xs: np.ndarray) -> Callable:
    def loss(weights: Any) -> Any:
        U, W, b = weights
        h, total = np.zeros((xs.shape[1], W.shape[0])), 0.0
        for x in xs:
            h = numpy.tanh(numpy.dot(x, U) + numpy.dot(h, W) + b)
            total = total + numpy.sum(h)
        return total

    return loss


def _scalar(numpy: Any) -> Callable:
    def loss(x: Any) -> Any:
        y = x
        for _ in range(1000):
            y = y * 0.999 + numpy.sin(x) * 0.01
        return y

    return loss


SUITES: dict[str, tuple[Callable[[], list[Case]], tuple[str, ...]]] = {
    "tape": (tape_cases, ("numpy", "autograd")),
}


def run_suite(name: str, rounds: int) -> tuple[list[Timing], tuple[str, ...]]:
    """Measure every case of a suite."""
    if name not in SUITES:
        raise OptionError(f"bench: there is no suite {name!r}; choose {', '.join(SUITES)}")
    make, packages = SUITES[name]
    return [measure(case, rounds) for case in make()], packages
