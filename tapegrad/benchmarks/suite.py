"""The suite of ``tapegrad bench cells``: compare, then time, for each cell and shape."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from ..errors import OptionError, UnsupportedPrimitive
from . import contenders as taking_part
from .catalogue import Entry
from .contenders import Contender
from .flops import of_work
from .timing import DISTURBED, Times, in_turn
from .work import Results, Shape, Work, deviation, tolerance


@dataclass(frozen=True)
class Settings:
    """What is measured, and how.

    Attributes
    ----------
    shapes : sequence of Shape
    backends, peers : sequence of str
    threads, rounds : int
    budget : float
        Seconds for each contender, forward and both apart.
    dtype : str
    with_inputs : bool
        Whether the gradients of the inputs are asked for too.
    patience : float
        Seconds for each cell and shape to wait for a quiet machine, forward and both apart.
    clock : {"wall", "processor"}
        What is measured; the processor's time is that of all threads together.
    """

    shapes: Sequence[Shape]
    backends: Sequence[str]
    peers: Sequence[str]
    threads: int = 1
    rounds: int = 7
    budget: float = 2.0
    dtype: str = "float32"
    with_inputs: bool = False
    patience: float = 0.0
    clock: str = "wall"


CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


@dataclass
class Row:
    """One contender on one piece of work.

    Attributes
    ----------
    name : str
    ours : bool
    error : str
        Why it was not timed; empty when it was.
    wrong : bool
        Whether the reason is that its results differ.
    deviation : dict of str to float
        Of its outputs and gradients from those in float64.
    forward, both : Times
    against : str
        The row that it is held against in a line of its own.
    """

    name: str
    ours: bool
    error: str = ""
    wrong: bool = False
    deviation: dict[str, float] = field(default_factory=dict)
    forward: Times = field(default_factory=Times)
    both: Times = field(default_factory=Times)
    against: str = ""


@dataclass
class Measured:
    """All contenders on one piece of work.

    Attributes
    ----------
    cell, definition : str
    shape : Shape
    rows : list of Row
    flops : tuple of int
        Of the products, forward and in both passes; 0 where they could not be counted.
    peak : float
        Operations in a second that the processor can do in these threads; NaN where nobody measured it.
    spare : int
        Processors that were free for other programs.
    """

    cell: str
    definition: str
    shape: Shape
    rows: list[Row]
    flops: tuple[int, int] = (0, 0)
    peak: float = math.nan
    spare: int = 0

    def best_peer(self, kind: str) -> Row | None:
        """The fastest peer, forward or in both passes."""
        timed = [row for row in self.rows if not row.ours and not row.error]
        return min(timed, key=lambda row: getattr(row, kind).median, default=None)

    def others(self) -> float:
        """How many processors other programs used on average; NaN where the system does not tell."""
        seen = [part for row in self.rows for kind in (row.forward, row.both) for part in kind.others]
        return sum(seen) / len(seen) if seen else math.nan

    @property
    def disturbed(self) -> bool:
        """Whether other programs took processors that were needed."""
        return self.others() > self.spare + DISTURBED

    def ratio(self, row: Row, kind: str) -> float:
        """How many times longer the best peer takes; NaN where there is none."""
        best = self.best_peer(kind)
        return math.nan if best is None or row.error else getattr(best, kind).median / getattr(row, kind).median

    def comparisons(self) -> list[tuple[Row, Row]]:
        """The rows that are held against others, with these, where both were timed."""
        timed = {row.name: row for row in self.rows if not row.error}
        return [(row, timed[row.against]) for row in timed.values() if row.against in timed]

    def of_peak(self, row: Row, kind: str) -> float:
        """The fraction of the peak at which the products are done, everything else included in the time."""
        return self.flops[kind == "both"] / getattr(row, kind).median / self.peak


def measure(entry: Entry, shape: Shape, settings: Settings, say: Callable[[str], None] = lambda text: None) -> Measured:
    """Compare the results of all contenders with those in float64, then time those that are right."""
    work = Work.draw(entry.name, entry.build(shape), shape, settings.dtype, settings.with_inputs)
    measured = Measured(entry.name, repr(work.cell), shape, [], of_work(work))
    measured.peak = fma_peak(settings.dtype, settings.threads)
    measured.spare = max(0, (os.cpu_count() or 1) - settings.threads)
    say(f"{entry.name} {shape}: the results in float64")
    expected = work.truth()
    right: list[tuple[Row, Contender]] = []
    for made in _made(work, entry, settings):
        if isinstance(made, Row):
            measured.rows.append(made)
            continue
        say(f"{entry.name} {shape}: {made.name}, first calls")
        row = compared(made, expected, tolerance(settings.dtype, shape.T))
        measured.rows.append(row)
        if not row.error:
            right.append((row, made))
    for kind in ("forward", "both"):
        say(f"{entry.name} {shape}: timing {kind}")
        work_of = {row.name: getattr(made, kind) for row, made in right}
        times = in_turn(
            work_of, settings.rounds, settings.budget, settings.patience, measured.spare, clock=CLOCKS[settings.clock]
        )
        for row, _ in right:
            times[row.name].first = getattr(row, kind).first
            setattr(row, kind, times[row.name])
    return measured


def compared(contender: Contender, expected: Results, allowed: float) -> Row:
    """The first calls of a contender: how long they took, and what is wrong with the results."""
    row = Row(contender.name, contender.ours, against=contender.against)
    try:
        row.forward.first, ys = _first(contender.forward)
        row.both.first, outcome = _first(contender.both)
        found = [Results(contender.read_forward(ys), {}), contender.read_both(outcome)]
    except UnsupportedPrimitive as error:
        row.error = f"cannot run it: {error}"
    except Exception as error:  # whatever a library raises is the result of that library, not of the others
        row.error = f"{type(error).__name__}: {error}"
    if row.error:
        row.error = " ".join(row.error.split())
        return row
    alone = deviation(found[0], Results(expected.ys, {}))
    row.deviation = {"forward": alone["ys"], **deviation(found[1], expected)}
    worst = max(row.deviation, key=lambda part: row.deviation[part])
    if not row.deviation[worst] <= allowed:
        row.wrong = True
        row.error = f"WRONG: {worst} off by {row.deviation[worst]:.1e} of the largest entry (at most {allowed:.1e})"
    return row


def _first(once: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = once()
    return time.perf_counter() - start, result


def _made(work: Work, entry: Entry, settings: Settings) -> Iterator[Contender | Row]:
    """The contenders; a row with the error for a library that fails when they are made."""
    for backend in settings.backends:
        yield taking_part.backend_contender(work, backend)
    for peer in settings.peers:
        try:
            yield from taking_part.peer_contenders(work, entry.recipe, entry.layer, peer, settings.threads)
        except Exception as error:  # as above
            yield Row(peer, False, f"{type(error).__name__}: {error}")


def check_backends(names: Sequence[str]) -> list[str]:
    """The names of the backends, checked.

    Raises
    ------
    OptionError
        When there is no such backend.
    """
    present = import_module("tapegrad.backends").available()
    for name in names:
        if name not in present:
            raise OptionError(f"--backends {name}: unknown; choose from {', '.join(present)}")
    return list(dict.fromkeys(names))


@cache
def fma_peak(dtype: str, threads: int) -> float:
    """Operations in a second at most, measured; NaN where that cannot be measured."""
    try:
        measure_peak = import_module("tapegrad.backends.numba_cpu.peak").fma_peak
    except ImportError:
        return math.nan
    return 1e9 * float(measure_peak(np.dtype(dtype), threads))
