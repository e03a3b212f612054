"""A compiled step, and how its arguments and results are bound to the arrays of the compiled functions."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tapegrad.tensor import Aval, aval_of

from ..plan import Plan
from .cache import compiled
from .calling import Caller
from .lower import Lowering
from .weights import prepare_source

_DTYPES = frozenset({"float32", "float64", "int64"})


@dataclass(frozen=True)
class Array:
    """An argument as the loop reads it: rows first, flat, of the dtype of storage."""

    index: int
    axis: int | None
    dtype: np.dtype
    late: int  # 1 for xs, whose first axis is time
    rowed: bool


@dataclass(frozen=True)
class Result:
    """Where a result of the scan comes from, and the form that it has on the tape.

    Attributes
    ----------
    kind : str
        "next" (a state), "y", "trail", "x" (an argument), "sum", "literal" or "fixed".
    what : object
        The number of the state, the output or the argument; the slot; the literal; for a trail the number of the state
        and whether it is the new one.
    late : bool
        Whether it has a leading axis of time.
    again : bool
        Whether an earlier result is the same sum; each is an array of its own.
    """

    kind: str
    what: Any
    aval: Aval
    late: bool
    rowed: bool = False
    axis: int | None = None
    shape: tuple[int, ...] = ()
    again: bool = False
    dtype: np.dtype = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", self.aval.dtype)


@dataclass(frozen=True)
class Block:
    """Where a sum over time lies: array, start, rows and columns of a block, its first column and their number."""

    place: tuple[str, int, int, int, int, int]
    shape: tuple[int, ...]
    rowed: bool
    axis: int | None
    turned: tuple[int, ...] | None


class Program:
    """A planned and lowered step.

    Attributes
    ----------
    source : str
        What is compiled.
    states, streams : list of Array
    plain, trails : list of int
        The numbers of the states that take turns in two places, and of those that are kept for all steps.
    fixed : list of (slot, axis, dtype)
        Values that follow from the parameters, as the loop reads them.
    weights : list of (slot, perm)
        Right operands to pack.
    table : array of int64
        Where they are packed.
    pools : list of (kind, size, dtype)
        Scratch arrays.
    results : list of Result
    """

    def __init__(self, plan: Plan):
        lowering, graph = Lowering(plan), plan.graph
        self.plan, self.source, self.dtype = plan, lowering.source, lowering.dtype
        self.tape, self.step = graph.tape, graph.step
        self.parameters = self.tape.inputs[: self.step.params]
        self.once: list[tuple[int, Any]] = [(slot, graph.tape.nodes[slot]) for slot in graph.once]
        self._bind_arrays(lowering)
        self._bind_scratch(lowering)
        self._bind_results(lowering)
        # Memory for packed weights; a call takes one and gives it back, so that no two calls share one.
        self.spare: deque[np.ndarray] = deque(maxlen=4)
        self.numbers = np.array(lowering.numbers, self.dtype)
        self.scalars = np.array(lowering.scalars, np.float64)
        self.is_indexed = any(op.kind in ("gather", "scatter") for op in graph.ops)
        self.is_rowed = bool(graph.rows.axis)
        self.counted = self._counted()
        self.sums_late, self.has_before, self.lead = bool(plan.after), bool(plan.before), lowering.steps_lead
        (self.loop,) = compiled(self.source, ("loop",))
        self.table = lowering.table
        self.prepare: Any = None
        if self.weights:
            (self.prepare,) = compiled(prepare_source(len(self.weights)), ("prepare",))
        self.call = Caller(self).call

    def _bind_arrays(self, lowering: Lowering) -> None:
        graph, step = lowering.graph, self.step
        axes, slots, values = graph.rows.axis, self.tape.inputs, lowering.graph.values
        self.states = [
            Array(step.params + k, axes.get(values[base].slot), lowering.storage(base), 0, values[base].rowed)
            for k, base in enumerate(lowering.states)
        ]
        self.streams = [
            Array(slots.index(value.slot), axes.get(value.slot), lowering.storage(base), 1, value.rowed)
            for base, value in [(base, values[base]) for base in lowering.streams]
        ]
        self.fixed = [(values[b].slot, axes.get(values[b].slot), lowering.storage(b)) for b in lowering.fixed]
        self.weights = lowering.weights
        self.plain, self.trails = lowering.plain, lowering.trails.states
        self.shared = any(not self.states[k].rowed for k in self.plain)
        self.packed_size, self.is_padded = lowering.packed.size, lowering.packed.padded
        self.outputs = [(values[b].rowed, values[b].shape, lowering.storage(b)) for b in lowering.outputs]

    def _bind_scratch(self, lowering: Lowering) -> None:
        names = sorted(lowering.pools)
        self.pools = []
        for name in names:
            parts = name.split("_")
            dtype = np.dtype(parts[-1]) if parts[-1] in _DTYPES else self.dtype
            kind = parts[0] + ("_shared" if "shared" in parts else "")
            self.pools.append((kind, lowering.pools[name], dtype))
        self.totals = [(name, i) for i, name in enumerate(names) if name.startswith("total")]
        self.total_dtypes = {name: self.pools[i][2] for name, i in self.totals}
        around = lowering.graph.around
        rounds = max([math.prod(loop.length for loop in around(op.loop)) for op in self.plan.loop], default=1)
        self.scratch_size = 1 + rounds * sum(size for kind, size, _ in self.pools if not kind.startswith("total"))

    def _bind_results(self, lowering: Lowering) -> None:
        graph, step, values = lowering.graph, self.step, lowering.graph.values
        axes = graph.rows.axis
        self.results = []
        for k, (kind, what) in enumerate(graph.results):
            late = step.state <= k < step.state + step.ys
            aval = aval_of(self.tape.outputs[k][1])
            if k < step.state:
                value = values[lowering.states[k]]
                axis = axes.get(self.tape.inputs[step.params + k])
                self.results.append(Result("next", k, aval, late, value.rowed, axis, value.shape))
            elif kind == "value":
                value, trail = values[what], lowering.trails.shown.get(what)
                kind, where = ("y", lowering.outputs.index(what)) if trail is None else ("trail", trail)
                self.results.append(Result(kind, where, aval, late, value.rowed, axes.get(value.slot)))
            else:
                again = kind == "sum" and graph.results.index((kind, what)) < k
                number = self.tape.inputs.index(what) if kind == "x" else what
                self.results.append(Result(kind, number, aval, late, again=again))
        self.blocks = {}
        for slot, base in graph.totals.items():
            value = values[base]
            if base in lowering.blocks:
                place = lowering.blocks[base]
            else:
                found = lowering.place(base)
                place = found.array, found.start_number, 1, value.size, 0, value.size
            turned = graph.turned.get(slot)
            turned = None if turned is None or list(turned) == sorted(turned) else turned
            self.blocks[slot] = Block(place, value.shape, value.rowed, axes.get(slot), turned)

    def _counted(self) -> tuple[int, int] | None:
        """An argument and its axis that say how many rows there are."""
        step, axes = self.step, self.plan.graph.rows.axis
        found = [
            (index, axes[slot] + (index >= step.params + step.state))
            for index, slot in enumerate(self.tape.inputs)
            if slot in axes
        ]
        return found[-1] if found else None

    def __repr__(self) -> str:
        return f"<program: {len(self.source.splitlines())} lines>"
