"""What a compiled loop costs beside its arithmetic: the call, the first call, length, memory, spelling, threads.

Each part is given the number of rounds, and the seconds that each comparison may wait for a quiet machine. It returns
rows: dictionaries from a column's heading to a figure or a word.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from statistics import fmean
from typing import Any

import numpy as np

from tapegrad.cells import LSTM

from ..transforms import value_and_grad
from . import processes
from .bandwidth import memory_bandwidth
from .catalogue import entries
from .flops import of_work
from .record import environment
from .spellings import SPELLINGS
from .suite import fma_peak
from .threads import processors
from .timing import SHORT, Times, in_turn
from .work import Shape, Work

Row = dict[str, Any]
SMALL = Shape(1, 1, 8, 8)
LENGTHS = (100, 1_000, 10_000, 100_000)
MILLION = 1_000_000
CELLS = "lstm,gru,elman,peephole,fastweights,drawn1"
THREADED = (Shape(100, 32, 64, 128), Shape(784, 64, 1, 128), Shape(200, 64, 256, 512))


def calls(rounds: int, patience: float = 0.0) -> list[Row]:
    """What a call of an LSTM takes at (1, 1, 8, 8), one after the other for 50 ms, and how much of it is no step: the
    time at T = 0, extrapolated."""
    rng = np.random.default_rng(0)
    cell = LSTM(SMALL.I, SMALL.H)
    params = cell.init(rng)
    work: dict[str, Callable[[], Any]] = {}
    for T in (1, 101):
        xs = rng.normal(size=(T, 1, SMALL.I)).astype(np.float32)

        work[f"forward {T}"] = partial(cell, params, xs)
        work[f"value_and_grad {T}"] = partial(value_and_grad(_loss(np.sum, cell, xs)), params)
    times = {name: 1e6 * found.median for name, found in _timed(work, rounds, 10.0, patience, 0.05).items()}
    rows = []
    for name in ("forward", "value_and_grad"):
        step = (times[f"{name} 101"] - times[f"{name} 1"]) / 100
        rows.append({"call": name, "T = 1, us": times[f"{name} 1"], "one step, us": step,
                     "beside the step, us": times[f"{name} 1"] - step})  # fmt: skip
    return rows


def _loss(total: Callable[[Any], Any], cell: LSTM, xs: np.ndarray) -> Callable[[Any], Any]:
    return lambda params: total(cell(params, xs)[1])


def first(rounds: int, patience: float = 0.0) -> list[Row]:
    """The first gradient of an LSTM, imports aside: with an empty cache, and in the next process."""
    return processes.first_calls(min(rounds, 3))


def length(rounds: int, patience: float = 0.0) -> list[Row]:
    """The time of a step of a value and gradient as sequences grow, LSTM(8, 64), one row."""
    rng = np.random.default_rng(0)
    cell = LSTM(8, 64)
    params = cell.init(rng)
    work: dict[str, Callable[[], Any]] = {}
    for T in LENGTHS:
        xs = rng.normal(size=(T, 1, 8)).astype(np.float32)
        work[str(T)] = partial(value_and_grad(_loss(np.mean, cell, xs)), params)
    times = _timed(work, rounds, 5.0, patience)
    return [{"steps": int(T), "ms": 1e3 * t.median, "us a step": 1e6 * t.median / int(T)} for T, t in times.items()]


def memory(rounds: int, patience: float = 0.0) -> list[Row]:
    """A million steps with states kept every 1000: the time, and the most memory of the process."""
    return processes.long_gradient(MILLION)


def spelling(rounds: int, patience: float = 0.0) -> list[Row]:
    """The LSTM written in other ways, against the built-in one: outputs and gradients."""
    shape = Shape(100, 32, 64, 128)
    made = {"built in": LSTM, **SPELLINGS}
    work = {name: Work.draw(name, kind(shape.I, shape.H), shape) for name, kind in made.items()}
    times = _timed({name: partial(w.both, "numba") for name, w in work.items()}, rounds, 5.0, patience)
    known = times["built in"].seconds
    ratio = lambda t: statistics.median(a / b for a, b in zip(t.seconds, known, strict=False))  # noqa: E731
    return [{"LSTM": name, "ms": 1e3 * t.median, "x built in": ratio(t)} for name, t in times.items()]


def threads(rounds: int, patience: float = 0.0) -> list[Row]:
    """One thread against two, outputs and gradients: the least of the rounds, for other programs only make it longer.

    CPU is the processor time of both threads over that of one: what is above 1 is lost to memory, not to waiting. Of
    the time of two threads, products would take the given part at the processor's peak; and what is kept for each step,
    written and read once, at the bandwidth of the memory. Others is how many processors other programs used.
    """
    if len(processors()) < 2:
        return []
    peak, bandwidth = fma_peak("float32", 2), memory_bandwidth(2)
    rows = []
    for entry in entries(CELLS, []):
        for shape in THREADED:
            work = Work.draw(entry.name, entry.build(shape), shape)
            once = {n: _with_threads(n, partial(work.both, "numba")) for n in ("1", "2")}
            times = _timed(once, rounds, 3.0, patience)
            one, two = (found.best for found in times.values())
            spent = {n: min(_processor_seconds(call) for _ in range(min(rounds, 3))) for n, call in once.items()}
            rate = moved(work) / two / 1e9
            rows.append({"cell": entry.name, "T, B, I, H": str(shape)[1:-1], "one, ms": 1e3 * one, "two, ms": 1e3 * two,
                         "ratio": one / two, "CPU": spent["2"] / spent["1"],
                         "products": f"{100 * of_work(work)[1] / two / peak:.1f} %",
                         "memory": f"{100 * rate / bandwidth:.1f} %", "GB/s": rate,
                         "others": f"{fmean(o for found in times.values() for o in found.others):.1f}"})  # fmt: skip
    return rows


def _processor_seconds(once: Callable[[], Any]) -> float:
    """What a call takes of all processors together, whatever else runs."""
    start = time.process_time()
    once()
    return time.process_time() - start


def moved(work: Work) -> int:
    """The bytes of the arrays over time that a forward and a backward loop read and write, each once."""
    steps_of = import_module("tapegrad.backends.shown").steps_of
    total = 0
    for step in steps_of(lambda params: work.cell(params, work.xs)[1], work.params):
        avals, outs = step.avals()[step.params + step.state :], step.results(1)[step.state : step.state + step.ys]
        total += sum(aval.size * aval.dtype.itemsize for aval in (*avals, *outs))
    return total * work.shape.T


def _timed(
    work: dict[str, Callable[[], Any]], rounds: int, budget: float, patience: float, short: float = SHORT
) -> dict[str, Times]:
    """Times of work that is compiled first."""
    for once in work.values():
        once()
    return in_turn(work, rounds, budget, patience, max(0, (os.cpu_count() or 1) - len(processors())), short)


def _with_threads(count: str, once: Callable[[], Any]) -> Callable[[], Any]:
    def counted() -> None:
        with _threads(count):
            once()

    return counted


@contextmanager
def _threads(count: str) -> Iterator[None]:
    held = os.environ["TAPEGRAD_NUM_THREADS"]
    os.environ["TAPEGRAD_NUM_THREADS"] = count
    try:
        yield
    finally:
        os.environ["TAPEGRAD_NUM_THREADS"] = held


PARTS: dict[str, Callable[[int, float], list[Row]]] = {
    "calls": calls, "first": first, "length": length, "memory": memory, "spelling": spelling, "threads": threads,
}  # fmt: skip


def heading(threads: int) -> str:
    """On what was measured, in two lines."""
    found = environment()
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return f"{found['cpu']}, {threads} of {os.cpu_count()} processors; medians\nPython {found['python']}, {versions}"


def as_json(found: dict[str, list[Row]]) -> str:
    """The figures for a machine to read."""
    about = {"command": ["tapegrad", *sys.argv[1:]], "environment": environment()}
    return json.dumps(about | {"results": found}, indent=1)


def table(rows: Sequence[Row], least: Mapping[str, int] | None = None, titled: bool = True) -> str:
    """Rows as text; numbers have three digits.

    ``least`` are widths of columns at least, so that rows that are printed one by one, all but the first without
    titles, make one table.
    """
    if not rows:
        return "    nothing to measure here"
    lines = [[_text(value) for value in row.values()] for row in rows]
    adjust = [str.ljust if isinstance(value, str) else str.rjust for value in rows[0].values()]
    wanted = [max(len(name), (least or {}).get(name, 0)) for name in rows[0]]
    widths = [max(width, *map(len, column)) for width, column in zip(wanted, zip(*lines, strict=True), strict=True)]
    lines = [list(rows[0]), *lines] if titled else lines
    made = [[f(text, w) for f, text, w in zip(adjust, line, widths, strict=True)] for line in lines]
    return "\n".join(f"    {'  '.join(line)}".rstrip() for line in made)


def _text(value: Any) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
