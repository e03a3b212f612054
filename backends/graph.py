"""A step as a graph of operations on the values of one row: what a plan sorts, and a compiler writes out.

The row axis is gone from every shape. Whatever only moves elements (reshape, transpose, a slice) is gone too: it became
the strides with which its readers look into a value. What is left are maps (elementwise work over a shape), products,
reductions, gathers, and sums over rows and time.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tapegrad.scan_primitive import Step
from tapegrad.tape import AbstractTape
from tapegrad.tensor import aval_of

from .inlining import FlatTape, InnerLoop, inlined
from .rows import Rows, find_rows


class Unlowered(Exception):
    """A primitive, or a use of one, that cannot be compiled."""

    def __init__(self, primitive: str):
        super().__init__(primitive)
        self.primitive = primitive


class Empty(Unlowered):
    """A step on arrays without elements: nothing to compile for."""


@dataclass
class Value:
    """An array that may be stored: its features are dense, one row after the other.

    Attributes
    ----------
    source : str
        "fixed", "state", "x", "op" (a result), "next" (a new state), "y" (an output) or "sum" (over rows and time).
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    rowed: bool
    source: str
    slot: int = -1

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class Access:
    """Elements of a value: ``offset + sum(index * stride)`` for each index into ``shape``.

    Where ``rounds`` is given, it is an inner loop and how much the offset grows with each of its rounds. Along the last
    axis ``times`` elements in turn are the same: its index counts as ``index // times``.
    """

    base: int
    offset: int
    strides: tuple[int, ...]
    shape: tuple[int, ...]
    rounds: tuple[int, int] | None = None
    times: int = 1

    @property
    def dense(self) -> bool:
        """Whether the elements lie one behind the other, from any offset."""
        return self.strides == dense_strides(self.shape) and self.times == 1


@dataclass(frozen=True)
class Number:
    """A literal in the step."""

    value: Any


@dataclass
class Op:
    """An operation for one row; ``out`` is the value that it writes, where ``store`` says.

    ``loop`` is the number of the inner loop that it is done in, 0 for the step itself.
    """

    kind: str
    name: str
    args: list[Any]
    out: int
    store: Access
    shape: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)
    loop: int = 0

    @property
    def reads(self) -> list[int]:
        return [a.base for a in self.args if isinstance(a, Access)]


@dataclass(frozen=True)
class Carry:
    """A state of an inner loop: at the end of each round ``new`` is copied to ``state``, which the next round reads."""

    loop: int
    new: int
    state: int


def dense_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Row-major strides in elements, 0 for axes of length 1."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step if n != 1 else 0)
        step *= n
    return tuple(reversed(strides))


def float_dtype(tape: AbstractTape) -> np.dtype:
    """The float dtype of most operations of a tape; float64 where there is none."""
    made = [node.ans.dtype for node in tape.nodes if node is not None and not node.primitive.multiple]
    found = Counter([dtype for dtype in made if dtype.kind == "f"])
    return found.most_common(1)[0][0] if found else np.dtype(np.float64)


class Graph:
    """The values and operations of a step; filled by ``translate``.

    Attributes
    ----------
    values : list of Value
    ops : list of Op
        In an order in which they can be done.
    fixed : dict of int to int
        The value of each slot that follows from the parameters.
    dtype : dtype
        The float dtype of most operations: that of products and vectors in the compiled loop.
    results : list
        For each output of the step: ("value", id), ("fixed", slot), ("literal", number) or ("slot", slot).
    totals : dict of int to int
        The value of source "sum" for each slot whose sum over time is wanted.
    once, behind : list of int
        The slots of what is done before the loop, from the parameters, and behind it, from the sums over time.
    loops : list of InnerLoop
        By number; the first entry stands for the step.
    carries : list of Carry
    """

    def __init__(self, step: Step):
        self.step = step
        self.tape = tape = inlined(step.tape, step.params)
        self.loops: list[InnerLoop] = tape.loops if isinstance(tape, FlatTape) else []
        self.inside: dict[int, int] = tape.inside if isinstance(tape, FlatTape) else {}
        self.loop = 0  # in which operations are added
        self.carries: list[Carry] = []
        self.homes: list[int] = []  # the loop in which each value was made
        self.whole_xs: dict[int, Access] = {}  # the xs of all rounds, for a value that holds those of one
        slots = [*tape.inputs, *[s for s, node in enumerate(tape.nodes) if node is not None]]
        if any(0 in tape.aval(slot).shape for slot in slots):
            raise Empty("an empty array")
        flat = Step(tape, step.params, step.state, step.xs, step.ys, step.sums)
        self.rows: Rows = find_rows(flat)
        self.dtype = float_dtype(tape)
        self.values: list[Value] = []
        self.ops: list[Op] = []
        self.index: dict[int, np.ndarray] = {}  # slot -> a view of stand-ins for the elements of its value
        self.base: dict[int, int] = {}  # slot -> the value that the view looks into
        self.starts: list[int] = []
        self.totals: dict[int, int] = {}
        self.turned: dict[int, tuple[int, ...]] = {}
        self.results: list[tuple[str, Any]] = []
        self.once: list[int] = []
        self.behind: list[int] = []
        self.still = set(tape.inputs[: step.params]) | set(tape.consts)
        states = tape.inputs[step.params : step.params + step.state]
        for slot in [*tape.inputs, *tape.consts]:
            source = "fixed" if slot in self.still else "state" if slot in states else "x"
            self.bind(slot, self.new_value(slot, source))

    # ---- values ----
    def features(self, slot: int) -> tuple[int, ...]:
        """The shape of a slot without its row axis."""
        shape, axis = self.tape.aval(slot).shape, self.rows.axis.get(slot)
        return shape if axis is None else shape[:axis] + shape[axis + 1 :]

    def new_value(self, slot: int, source: str, shape: tuple[int, ...] | None = None) -> int:
        """A value for a slot, or like a slot's but of another shape."""
        aval = self.tape.aval(slot)
        shape = self.features(slot) if shape is None else shape
        return self.make_value(shape, aval.dtype, self.rows.rowed(slot), source, slot)

    def make_value(self, shape: Sequence[int], dtype: Any, rowed: bool, source: str, slot: int = -1) -> int:
        value = Value(tuple(shape), np.dtype(dtype), rowed, source, slot)
        if value.dtype.kind not in "fiub" or value.dtype.itemsize > 8 or value.dtype == np.float16:
            raise Unlowered(f"values of dtype {value.dtype}")
        self.values.append(value)
        self.starts.append(0)
        self.homes.append(self.loop)
        return len(self.values) - 1

    def bind(self, slot: int, base: int) -> None:
        """Let a slot stand for a whole value."""
        value = self.values[base]
        stand_in = np.empty(value.size, np.int8)
        self.starts[base] = stand_in.__array_interface__["data"][0]
        self.look(slot, base, self._with_rows(slot, stand_in.reshape(value.shape)))

    def look(self, slot: int, base: int, view: np.ndarray) -> None:
        """Let a slot stand for a view of a value."""
        self.index[slot], self.base[slot] = view, base

    def _with_rows(self, slot: int, view: np.ndarray) -> np.ndarray:
        axis = self.rows.axis.get(slot)
        if axis is None:
            return view
        view = np.expand_dims(view, axis)
        return np.broadcast_to(view, view.shape[:axis] + (self.rows.count,) + view.shape[axis + 1 :])

    def is_inside(self, base: int, view: np.ndarray) -> bool:
        """Whether a view still looks into its value: NumPy did not have to copy."""
        start = view.__array_interface__["data"][0] - self.starts[base]
        return 0 <= start < self.values[base].size

    def access(self, slot: int, shape: tuple[int, ...] | None = None, row: int | None = None) -> Access:
        """How to read a slot, broadcast to a shape of the tape, whose row axis is ``row``."""
        view, base = self.index[slot], self.base[slot]
        if shape is None:
            shape, row = view.shape, self.rows.axis.get(slot)
        return self.access_view(base, np.broadcast_to(view, shape), row)

    def access_view(self, base: int, view: np.ndarray, row: int | None) -> Access:
        if row is not None:
            at: Any = (*[slice(None)] * row, 0, ...)
            view = view[at]  # the ellipsis keeps it a view, where nothing else is left
        offset = view.__array_interface__["data"][0] - self.starts[base]
        strides = tuple([s if n != 1 else 0 for s, n in zip(view.strides, view.shape, strict=True)])
        return Access(base, offset, strides, view.shape)

    def access_rows(self, slot: int, shape: tuple[int, ...] | None = None, row: int | None = None) -> Access:
        """How to read a slot for a sum over its rows: what was broadcast over them is written out."""
        seen = self.access(slot, shape, row)
        if slot not in self.rows.axis or self.values[seen.base].rowed:
            return seen
        base = self.make_value(seen.shape, self.values[seen.base].dtype, True, "op")
        self.copy(seen, base)
        return self.whole(base)

    def whole(self, base: int) -> Access:
        value = self.values[base]
        return Access(base, 0, dense_strides(value.shape), value.shape)

    def residuals(self) -> set[int]:
        """The outputs that only a backward step reads."""
        last = self.step.state + self.step.ys
        return {base for kind, base in self.results[last - self.step.residuals : last] if kind == "value"}

    # ---- operations ----
    def around(self, loop: int) -> list[InnerLoop]:
        """An inner loop and those in which it stands, from the innermost outwards; none for the step itself."""
        found = []
        while loop:
            found.append(self.loops[loop])
            loop = found[-1].parent
        return found

    @contextmanager
    def within(self, loop: int) -> Iterator[None]:
        """Add operations to another loop."""
        held, self.loop = self.loop, loop
        yield
        self.loop = held

    def add(
        self, kind: str, name: str, args: list[Any], out: int, shape: Any = None, store: Any = None, **options: Any
    ) -> Op:
        store = self.whole(out) if store is None else store
        op = Op(kind, name, args, out, store, tuple(store.shape if shape is None else shape), options, self.loop)
        self.ops.append(op)
        return op

    def copy(self, source: Any, out: int, store: Access | None = None) -> Op:
        """Write the elements of an access, or a number, into a value."""
        return self.add("map", "copy", [source], out, store=store)

    def materialised(self, slot: int) -> Access:
        """A dense copy of what a slot shows, if it is not dense itself."""
        seen = self.access(slot)
        if seen.dense:
            return seen
        with self.within(self.inside.get(slot, 0)):
            base = self.new_value(slot, "op")
            self.copy(seen, base)
        self.bind(slot, base)
        return self.whole(base)

    def __str__(self) -> str:
        lines = []
        for op in self.ops:
            reads = ", ".join(f"v{a.base}" if isinstance(a, Access) else repr(a.value) for a in op.args)
            lines.append(f"v{op.out}{list(op.shape)} = {op.kind} {op.name}({reads})")
        return "\n".join(lines)


def literal_of(value: Any, dtypes: Sequence[np.dtype] = ()) -> Number:
    """A literal argument of the tape; a Python number takes on the dtype in which it meets arrays of ``dtypes``."""
    if aval_of(value).shape:
        raise Unlowered(f"a literal array of shape {aval_of(value).shape}")
    if dtypes and type(value) in (bool, int, float):
        try:
            value = np.result_type(*dtypes, value).type(value)
        except OverflowError:  # a comparison with a number that the arrays cannot hold: all of theirs are on one side
            value = math.inf if value > 0 else -math.inf
    return Number(value)
