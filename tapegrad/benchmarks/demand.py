"""What a cell asks of the machine in both passes: products, functions of elements, simple arithmetic, memory.

Counted in the graphs of its two loops, before a plan sorts them: what follows from the parameters alone, and what a sum
over rows and time is linear in, is done once and not counted; what only moves elements is no work.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from .work import Work

#: One instruction of vectors each, at the rate of multiplications and additions; other functions have rates of their
#: own.
SIMPLE = frozenset(
    "absolute add cast equal floor isfinite less less_equal logical_and logical_not logical_or maximum minimum "
    "multiply negative rint subtract where".split()
)


@dataclass
class Demand:
    """Work of both passes.

    Attributes
    ----------
    products : int
        Floating-point operations of the contractions, 2 for each term of each sum.
    simple : int
        Elements of additions, multiplications, comparisons and the like, and terms of sums over features.
    functions : Counter of str
        Elements of each other function.
    bytes : int
        Of the arrays over time that the loops read and write, each counted once for each loop that touches it.
    whole : bool
        Whether the rows of a batch were found to be independent in every loop, as threads need them.
    """

    products: int = 0
    simple: int = 0
    functions: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    whole: bool = True


def demand(work: Work) -> Demand:
    """Count what forward and backward loop of a work do.

    Raises
    ------
    UnsupportedPrimitive
        When a step cannot be compiled.
    """
    shown, plan = (import_module(f"tapegrad.backends.{name}") for name in ("shown", "plan"))
    T, B = work.shape.T, work.shape.B
    found = Demand()
    for step in shown.steps_of(lambda params: work.cell(params, work.xs)[1], work.params):
        graph = plan.translate(step)
        plan.prune(graph)
        rows = graph.rows.count
        found.whole &= rows == B
        for op in graph.ops:
            rounds = math.prod(loop.length for loop in graph.around(op.loop))
            _add(found, op, graph, T * rounds, rows)
        avals, outs = step.avals()[step.params + step.state :], step.results(1)[step.state : step.state + step.ys]
        found.bytes += T * _bytes((*avals, *outs))
    return found


def _add(found: Demand, op: Any, graph: Any, times: int, rows: int) -> None:
    rowed = graph.values[op.out].rowed or any(graph.values[base].rowed for base in op.reads)
    times *= rows if rowed else 1
    size = math.prod(op.shape)
    if op.kind == "gemm":
        found.products += 2 * times * op.options["lead"] * op.options["K"] * op.options["N"]
    elif op.kind == "accumulate":
        found.products += 2 * times * op.options["lead"] * op.options["M"] * op.options["N"]
    elif op.kind == "contract":
        found.products += 2 * times * size * math.prod(op.options["summed"])
    elif op.kind in ("reduce", "total", "cumsum", "scatter") or op.name in SIMPLE:
        found.simple += times * size
    elif op.kind == "map" and op.name != "copy":
        found.functions[op.name] += times * size


def _bytes(avals: Iterable[Any]) -> int:
    return sum(aval.size * aval.dtype.itemsize for aval in avals)
