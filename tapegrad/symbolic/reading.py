"""Tapes read as mathematics: what a step does to one row, as matrix expressions.

A step is traced with a number of rows that is a prime and divides no other length in it, so that an axis of that length
is the axis of rows. Reading takes it away; a sum over it, which gradients of parameters contain, is one row's share.
Arrays of two axes are read as they lie in the code; a weight that is printed transposed (``W x`` for ``x @ W``) is a
transposed leaf.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.errors import TracingError
from tapegrad.primitives.contract import Contract
from tapegrad.primitives.elementwise import Cast, Elementwise
from tapegrad.primitives.reductions import Sum
from tapegrad.primitives.shaping import BroadcastTo, Reshape, Transpose
from tapegrad.rules import Call
from tapegrad.tape import AbstractTape, Node
from tapegrad.tensor import aval_of

from . import algebra as al
from . import gathers, repeating
from .constants import MINUS_ONE, is_linear, is_ones, is_scalar, number, ones, zeros
from .expressions import Applied, Layout, Named, Operation, Scaled, Shape, Value
from .products import contraction
from .softmax import logarithm, total_of

ROWS = 1009  # see ``number_of_rows``


def number_of_rows(lengths: set[int]) -> int:
    """A prime that divides none of the lengths, so that no axis of that length is anything but the rows."""
    rows = ROWS
    while any(n % rows == 0 for n in lengths if n) or any(rows % d == 0 for d in range(2, int(rows**0.5) + 1)):
        rows += 2
    return rows


def matrix_shape(features: Shape) -> Shape:
    """The shape in print of an array: vectors are columns."""
    return {0: (1, 1), 1: (*features, 1)}.get(len(features), features)


class Constants:
    """The arrays that a step captures, by the symbols that stand for them: equal arrays have one.

    Parameters
    ----------
    unique : callable
        From a name to one that no other symbol has.
    """

    def __init__(self, unique: Callable[[str], str]):
        self.unique = unique
        self.arrays: dict[Value, np.ndarray] = {}
        self.symbols: dict[Any, Value] = {}

    def symbol(self, array: Any, shape: Shape) -> Value:
        """What stands for an array, whose matrix in print has a shape."""
        held = np.ascontiguousarray(array)
        key = (held.dtype.str, tuple(shape), held.tobytes())
        if key not in self.symbols:
            self.symbols[key] = Value(self.unique("C_1"), shape, role="constant")
            self.arrays[self.symbols[key]] = held.reshape(tuple(shape))
        return self.symbols[key]


class Reader:
    """Reads the slots of a tape.

    Parameters
    ----------
    tape : AbstractTape
    rows : int
        The length of the axis of rows.
    leaves : dict of int to expression
        What stands for inputs, and for the values that have names.
    constants : Constants
        The arrays that the step captures, which are the same in its tape and in those of its derivatives.
    backward : bool
        Whether sums over rows occur: in the tapes of derivatives.
    """

    def __init__(
        self, tape: AbstractTape, rows: int, leaves: dict[int, Any], constants: Constants, backward: bool = False
    ):
        self.tape, self.rows, self.constants, self.backward = tape, rows, constants, backward
        self.known: dict[int, Any] = dict(leaves)
        for slot, value in tape.consts.items():
            if slot not in self.known:
                self.known[slot] = self.captured(slot, value)

    # ---- layouts ----
    def layout(self, value: Any) -> Layout:
        """How an array lies, from its shape."""
        shape = tuple(getattr(value, "shape", ()))
        axes = [a for a, n in enumerate(shape) if n == self.rows]
        if len(axes) > 1 or any(n % self.rows == 0 and n != self.rows for n in shape if n):
            raise mixing()
        axis = axes[0] if axes else None
        return Layout(tuple([n for a, n in enumerate(shape) if a != axis]), axis)

    def one_row(self, options: dict) -> dict:
        """Options of an operation as they are for a single row."""
        return {name: self._fewer(value) for name, value in options.items()}

    def _fewer(self, value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return type(value)([self._fewer(v) for v in value])
        return 1 if isinstance(value, int) and value == self.rows else value

    # ---- slots ----
    def read(self, slot: int) -> Any:
        """The expression of a slot; everything that it needs is read before, in the order of the tape."""
        if slot not in self.known:
            for s in self._needed(slot):
                self._read_node(s)
        return self.known[slot]

    def _needed(self, slot: int) -> list[int]:
        found, todo = set(), [slot]
        while todo:
            s = self.start(todo.pop())  # of several results one may be known already, and another asked for
            if s not in found:
                found.add(s)
                node = self.tape.nodes[s]
                todo.extend([a for a in node.slots if a >= 0 and a not in self.known])  # type: ignore[union-attr]
        return sorted(found)

    def start(self, slot: int) -> int:
        """The slot of the node that makes a slot."""
        while slot not in self.tape.inputs and self.tape.nodes[slot] is None:
            slot -= 1
        return slot

    def _read_node(self, slot: int) -> None:
        node = self.tape.nodes[slot]
        assert node is not None
        args = [self.argument(s, v) for s, v in zip(node.slots, node.args, strict=True)]
        if isinstance(node.primitive, Call):
            self._read_call(slot, node, args)
        elif node.primitive.multiple:
            for i in range(len(node.ans)):
                self.known.setdefault(slot + i, self.named(node, args, i))
        else:
            self.known[slot] = self._rule(node)(self, node, args)

    def _read_call(self, slot: int, node: Node, args: list[Any]) -> None:
        """What a function computes that has a rule for its derivative, or of which a derivative is computed."""
        tape = node.options["tape"]
        given = [self.spread(a, v, v) for a, v in zip(args, node.args, strict=True)]
        reader = Reader(tape, self.rows, dict(zip(tape.inputs, given, strict=True)), self.constants, self.backward)
        for i, (place, value) in enumerate(tape.outputs):
            if slot + i not in self.known:
                self.known[slot + i] = reader.read(place) if place >= 0 else value

    def argument(self, slot: int, value: Any) -> Any:
        """The expression of an argument; a literal is itself."""
        return self.known[slot] if slot >= 0 else value

    def captured(self, slot: int, value: Any) -> Any:
        """A constant array: a number where all its elements are equal, else a symbol."""
        array = np.asarray(value) if not hasattr(value, "owner") else None
        layout = self.layout(self.tape.aval(slot))
        shape = matrix_shape(layout.features)
        if array is not None and array.dtype.kind != "b" and (not array.size or (array == array.flat[0]).all()):
            return al.constant(array.flat[0] if array.size else 0, shape)
        if array is None:
            return Value(self.tape.names.get(slot, f"C_{slot}"), shape, role="constant")
        return self.constants.symbol(array if layout.rows is None else np.take(array, 0, layout.rows), shape)

    def _rule(self, node: Node) -> Callable:
        for kind, rule in RULES:
            if isinstance(node.primitive, kind):
                return rule
        return lambda reader, node, args: reader.named(node, args)

    def named(self, node: Node, args: list[Any], result: int = 0) -> Any:
        """An operation that has no matrix notation, as a function of its arguments."""
        answers = node.ans if node.primitive.multiple else [node.ans]
        layouts = [self.layout(a) for a in answers]
        inputs = [self.layout(v) for v in node.args]
        summed = all(a.rows is None for a in layouts) and any(a.rows is not None for a in inputs)
        if summed and not self.backward:
            raise mixing()
        held = [Layout(a.features, a.rows) if s >= 0 else v for s, v, a in
                zip(node.slots, node.args, inputs, strict=True)]  # fmt: skip
        operation = Operation(node.primitive, self.one_row(node.options), held, layouts, result)
        operands = [a for s, a in zip(node.slots, args, strict=True) if s >= 0]
        return Named(node.primitive.name, operands, matrix_shape(layouts[result].features), operation)

    def reshape(self, node: Node, x: Any) -> Any:
        """An operation that changes the shape alone."""
        before, after = self.layout(node.args[0]).features, self.layout(node.ans).features
        if [n for n in before if n != 1] == [n for n in after if n != 1] and max(len(before), len(after)) <= 2:
            return reshaped(x, matrix_shape(after))
        made = repeating.repeated(self, node)
        return self.named(node, [x]) if made is None else made

    # ---- broadcasting ----
    def spread(self, arg: Any, value: Any, out: Any) -> Any:
        """An argument as it stands in an operation on elements whose result is like ``out``."""
        target = self.layout(out)
        shape = matrix_shape(target.features)
        if not hasattr(arg, "args"):
            return al.constant(arg, shape) if np.ndim(arg) == 0 else self.literal(arg, target, shape)
        full = (1,) * (len(out.shape) - len(aval_of(value).shape)) + tuple(aval_of(value).shape)
        features = tuple([n for a, n in enumerate(full) if a != target.rows])
        if features == target.features:
            return reshaped(arg, shape)
        if is_scalar(arg):
            return al.times(arg, ones(shape)) if len(shape) == 2 else al.times(ones(shape), arg)
        if len(features) == 2 and len(target.features) == 2:
            if features[0] == 1:  # a row, for every row of the result
                return al.product(ones((target.features[0], 1)), reshaped(arg, features))
            return al.product(reshaped(arg, features), ones((1, target.features[1])))
        return Named("broadcast", (arg,), shape)

    def literal(self, array: Any, target: Layout, shape: Shape) -> Any:
        """A literal array."""
        return self.constants.symbol(np.broadcast_to(np.asarray(array), target.features), shape)


def mixing() -> TracingError:
    return TracingError(
        "derive: the step computes across the rows of a batch, so its equations for one sequence do not exist; "
        "write it so that each row of the result follows from the same row of state and x"
    )


def reshaped(x: Any, shape: Shape) -> Any:
    """A matrix in a shape that differs by axes of length 1 alone."""
    if tuple(x.shape) == tuple(shape):
        return x
    if len(shape) == 2 and (x.shape[1], x.shape[0]) == tuple(shape):
        return al.transposed(x)
    return Named("reshape", (x,), shape)


# ---- the rules ----
ARITHMETIC: dict[str, Callable] = {
    "add": al.add,
    "subtract": lambda x, y: al.add(x, al.scaled(MINUS_ONE, y)),
    "multiply": al.times,
    "divide": al.divided,
    "negative": lambda x: al.scaled(MINUS_ONE, x),
}


def _elementwise(reader: Reader, node: Node, args: list[Any]) -> Any:
    name = node.primitive.name
    if name == "power" and not hasattr(args[1], "args") and np.ndim(args[1]) == 0:
        return al.raised(reader.spread(args[0], node.args[0], node.ans), number(args[1]))
    parts = [reader.spread(a, v, node.ans) for a, v in zip(args, node.args, strict=True)]
    if name in ARITHMETIC:
        return ARITHMETIC[name](*parts)
    if name == "log":
        return logarithm(parts[0])
    if name == "where" and any(is_linear(branch) for branch in parts[1:]):
        return chosen(*parts)
    return Applied(name, *parts)


def chosen(condition: Any, x: Any, y: Any) -> Any:
    """A choice in a derivative, as a sum: each branch times 1 where it is chosen and 0 elsewhere."""
    one, none = ones(tuple(x.shape)), zeros(tuple(x.shape))
    if isinstance(condition, Scaled) and is_ones(condition.args[1]):  # one condition for all elements
        condition, one, none = condition.args[0], ones((1, 1)), zeros((1, 1))
    branches = ((x, Applied("where", condition, one, none)), (y, Applied("where", condition, none, one)))
    return al.add(*[al.times(branch, indicator) for branch, indicator in branches])


def _sum(reader: Reader, node: Node, args: list[Any]) -> Any:
    layout = reader.layout(node.args[0])
    axes = [a for a in node.options["axis"] if a != layout.rows]
    if layout.rows in node.options["axis"] and not reader.backward:
        raise mixing()
    shape = matrix_shape(reader.layout(node.ans).features)
    axes = [a - (layout.rows is not None and layout.rows < a) for a in axes]
    x = args[0]
    if not axes or all(layout.features[a] == 1 for a in axes):
        return reshaped(x, shape)
    if (made := repeating.summed(reader, node)) is not None:
        return made
    if len(layout.features) == 1:
        return total_of(x)
    if len(layout.features) == 2:
        if len(axes) == 2:
            return total_of(al.product(x, ones((layout.features[1], 1))))
        if axes == [1]:
            return reshaped(al.product(x, ones((layout.features[1], 1))), shape)
        return reshaped(al.product(al.transposed(x), ones((layout.features[0], 1))), shape)
    return reader.named(node, args)


def _transpose(reader: Reader, node: Node, args: list[Any]) -> Any:
    layout = reader.layout(node.args[0])
    order = [a - (layout.rows is not None and layout.rows < a) for a in node.options["axes"] if a != layout.rows]
    if order == sorted(order):
        return args[0]
    return al.transposed(args[0]) if len(order) == 2 else reader.named(node, args)


def _contract(reader: Reader, node: Node, args: list[Any]) -> Any:
    layouts = [reader.layout(v) for v in node.args]
    spec = node.options["spec"]
    labels = [spec.left, spec.right]
    rows = {text[a.rows] for text, a in zip(labels, layouts, strict=True) if a.rows is not None}
    if rows - set(spec.out) and not reader.backward:
        raise mixing()
    if len(rows) > 1:
        raise mixing()
    left, right, out = ("".join(c for c in text if c not in rows) for text in (*labels, spec.out))
    if not all(hasattr(a, "args") for a in args):
        return reader.named(node, args)
    made = contraction(args[0], args[1], left, right, out)
    return reader.named(node, args) if made is None else made


RULES: tuple[tuple[Any, Callable], ...] = (
    (Cast, lambda reader, node, args: args[0]),
    (Elementwise, _elementwise),
    (Contract, _contract),
    (Sum, _sum),
    (Reshape, lambda reader, node, args: reader.reshape(node, args[0])),
    (Transpose, _transpose),
    (BroadcastTo, lambda reader, node, args: reader.spread(args[0], node.args[0], node.ans)),
    *gathers.RULES,
)
