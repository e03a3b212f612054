"""Every registered cell against its own roofline, and against how near the LSTM comes to its own.

The LSTM and a cell take turns, so that what else the machine does meets both.
"""

from __future__ import annotations

import math
import os
import re
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tapegrad.cells import LSTM, Cell, Variant, variants

from .. import pytree
from ..errors import OptionError
from .catalogue import own_cell
from .demand import Demand, demand
from .roofline import Roof, roof
from .timing import in_turn
from .work import Shape, Work, deviation, tolerance

Row = dict[str, Any]
Make = Callable[[Shape], Cell]
UNLIMITED = 1e6  # seconds: every cell takes part in every round
STEADY = 0.03  # seconds of a measurement at least: the first calls after another cell's find nothing in the caches
NUMBERS = ("ms", "functions", "simple", "memory", "roof")  # columns of numbers, which have up to 8 characters
SMALL = (5, 3)  # steps and rows of the comparison with the reference


class Sizes(np.random.Generator):
    """A generator for the builders of registered variants, which draw small sizes: it gives those of a benchmark.

    Sizes are drawn as a permutation of whole numbers. The first is the input's; all others are alike.
    """

    def __init__(self, inputs: int, others: int):
        super().__init__(np.random.PCG64(0))
        self.inputs, self.others = inputs, others

    def permutation(self, x: Any, axis: int = 0) -> np.ndarray:
        found = np.full(len(x), self.others)
        found[:1] = self.inputs
        return found


def members(named: str | None, own: Sequence[str]) -> dict[str, Make]:
    """How the cells are made for a shape: those named, all variants when nothing is said, and the user's own.

    A name is that of a variant, such as ``GRU[reset_after]``, or of a class with all its variants.

    Raises
    ------
    OptionError
        When no registered cell has a name, or a cell cannot be imported.
    """
    every = {str(variant): variant for variant in variants()}
    wanted = _names(named) if named is not None else [] if own else list(every)
    found: dict[str, Make] = {}
    for name in wanted:
        fitting = [key for key, v in every.items() if name.lower() in (key.lower(), v.cell.__name__.lower())]
        if not fitting:
            raise OptionError(f"--cells {name}: unknown; choose from {', '.join(every)}, or give your own by --cell")
        found |= {key: partial(sized, every[key]) for key in fitting}
    return found | {name: own_cell(name).build for name in own}


def _names(text: str) -> list[str]:
    """What stands between commas; those in brackets are of a name."""
    return [name for part in re.findall(r"(?:\[[^\]]*\]|[^,\[])+", text) if (name := part.strip())]


def sized(variant: Variant, shape: Shape) -> Cell:
    """A variant for a shape: all sizes but the input's are H, or halved until no state of a row has more elements.

    Where a state is as wide as the product of two sizes, as with blocks of cells, both are smaller than H.
    """
    others = shape.H
    while True:
        cell = variant.build(Sizes(shape.I, others))
        widest = max((math.prod(state.shape) for state in pytree.leaves(cell.state())), default=0)
        if widest <= max(shape.I, shape.H) or others == 1:
            return cell
        others //= 2


def measure(name: str, make: Make, shape: Shape, rounds: int, threads: int, patience: float = 0.0) -> Row:
    """The row of a cell: its time, the parts of its roofline, and the comparison with the LSTM.

    Both passes in float32, outputs and the gradients of all parameters for a given cotangent.
    """
    work, known = _drawn(name, make, shape), _drawn("LSTM", _lstm, shape)
    wrong = _wrong(name, make, shape)
    asked, roofs = demand(work), [roof(demand(w), w.dtype, threads) for w in (work, known)]
    once = {"known": partial(known.both, "numba"), "cell": partial(work.both, "numba")}
    for each in once.values():
        each()
    spare = max(0, (os.cpu_count() or 1) - threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    found = in_turn(once, rounds, UNLIMITED, patience, spare, STEADY, clock)
    times, of_lstm = found["cell"].seconds, found["known"].seconds
    return _row(name, shape, times, of_lstm, roofs, asked, shape.B, wrong)


def _row(name: str, shape: Shape, times: Sequence[float], of_lstm: Sequence[float], roofs: Sequence[Roof],
         asked: Demand, rows: int, wrong: str) -> Row:  # fmt: skip
    mine, known = roofs
    ratio = statistics.median((known.seconds / b) / (mine.seconds / a) for a, b in zip(times, of_lstm, strict=True))
    notes = [wrong] * bool(wrong) + ["rows not shown independent"] * (not asked.whole and rows > 1)
    return {
        "cell": name, "T, B, I, H": str(shape)[1:-1], "ms": 1e3 * statistics.median(times),
        "products": 1e3 * mine.products, "functions": 1e3 * mine.functions, "simple": 1e3 * mine.simple,
        "memory": 1e3 * mine.memory, "roof": 1e3 * mine.seconds,
        "of it": f"{100 * mine.seconds / statistics.median(times):.0f} %",
        "LSTM's": f"{100 * known.seconds / statistics.median(of_lstm):.0f} %",
        "LSTM's / its": ratio, "notes": "; ".join(notes),
    }  # fmt: skip


def _lstm(shape: Shape) -> Cell:
    return LSTM(shape.I, shape.H)


def _drawn(name: str, make: Make, shape: Shape) -> Work:
    return Work.draw(name, make(shape), shape)


def _wrong(name: str, make: Make, shape: Shape) -> str:
    """What is wrong with the compiled results on a few steps and rows; the loop is the same for any number of both."""
    T, B = SMALL
    work = _drawn(name, make, shape._replace(T=T, B=B))
    found = deviation(work.results(work.both("numba")), work.truth())
    worst = max(found, key=lambda part: found[part])
    if found[worst] <= tolerance(work.dtype, T):
        return ""
    return f"WRONG: {worst} off by {found[worst]:.1e} of the largest entry"
