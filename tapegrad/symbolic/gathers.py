"""Reading at an index as a product with a one-hot vector: a row of a table, an element of a vector, and what is added
back at that place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from sympy import MatAdd

from tapegrad.primitives.indexing import ARRAY, FULL, Getitem, Scatter
from tapegrad.tape import Node

from . import algebra as al
from .constants import zeros
from .expressions import Named

if TYPE_CHECKING:
    from .reading import Reader


def one_hot(index: Any, length: int) -> Any:
    """The vector that is 1 at a computed index."""
    return Named("one_hot", (index,), (length, 1))


def _gather(reader: Reader, node: Node, args: list[Any]) -> Any:
    if len(args) == 1:
        return _moved(reader, node, args[0], node.args[0].shape)
    layout, template = reader.layout(node.args[0]), node.options["template"]
    if layout.rows is None and template in ((ARRAY,), (ARRAY, FULL)) and _one_each(reader, node, 1):
        table = al.transposed(args[0])
        return al.product(table, one_hot(args[1], node.args[0].shape[0]))
    if template == (ARRAY, ARRAY) and layout.rows == 0 and _own_rows(reader, node) and _one_each(reader, node, 2):
        return Named("element", (args[0], args[2]), (1, 1))
    return reader.named(node, args)


def _scatter(reader: Reader, node: Node, args: list[Any]) -> Any:
    if len(args) == 1:
        return _moved(reader, node, args[0], node.options["shape"])
    template, shape = node.options["template"], node.options["shape"]
    if template in ((ARRAY,), (ARRAY, FULL)) and reader.rows not in shape and _one_each(reader, node, 1):
        return al.product(one_hot(args[1], shape[0]), al.transposed(_matrix(reader, node, args[0])))
    own = template == (ARRAY, ARRAY) and shape[0] == reader.rows
    if own and _own_rows(reader, node) and _one_each(reader, node, 2):
        return al.times(_matrix(reader, node, args[0]), one_hot(args[2], shape[1]))
    return reader.named(node, args)


def _moved(reader: Reader, node: Node, x: Any, shape: tuple[int, ...]) -> Any:
    """Slices: nothing is read, where they only add or drop axes of length 1."""
    axis = 0
    for entry in node.options["template"]:
        if entry is not None:
            whole = shape[axis] == 1 if isinstance(entry, int) else entry.indices(shape[axis]) == (0, shape[axis], 1)
            if not whole:
                return reader.named(node, [x])
            axis += 1
    return reader.reshape(node, x)


def _matrix(reader: Reader, node: Node, x: Any) -> Any:
    """What is added, which may be a literal."""
    return x if hasattr(x, "args") else al.constant(x, (1, 1))


def _one_each(reader: Reader, node: Node, at: int) -> bool:
    """Whether an index array holds one index for each row."""
    return node.slots[at] >= 0 and reader.layout(node.args[at]) == ((), 0)


def _own_rows(reader: Reader, node: Node) -> bool:
    """Whether the first index array says, for each row, its own number."""
    held = reader.tape.consts.get(node.slots[1])
    return isinstance(held, np.ndarray) and np.array_equal(held.ravel(), np.arange(reader.rows))


def assembled(expression: Any) -> Any:
    """A sum in which vectors that are put in places fill a whole one: that vector, block by block."""
    if not isinstance(expression, MatAdd) or expression.shape[1:] != (1,):
        return expression
    length = int(expression.shape[0])
    pieces = {term: span for term in expression.args if (span := _span(term, length)) is not None}
    made = []
    while chain := _chain(pieces, length):
        made.append(Named("stacked", [piece.operands[0] for piece in chain], expression.shape))
        pieces = {piece: span for piece, span in pieces.items() if piece not in chain}
        expression = al.add(*[t for t in al.terms(expression) if t not in chain], zeros(expression.shape))
    return al.add(*made, expression)


def _span(term: Any, length: int) -> tuple[int, int] | None:
    """From where to where a vector is put into one of zeros."""
    if not (isinstance(term, Named) and term.function == "scatter" and len(term.operands) == 1 and term.operation):
        return None
    rows = term.operation.results[0].rows
    template = [e for axis, e in enumerate(term.operation.options["template"]) if axis != rows]
    if len(template) != 1 or not isinstance(template[0], slice) or term.operands[0].shape[1:] != (1,):
        return None
    start, stop, step = template[0].indices(length)
    return (start, stop) if step == 1 and start < stop else None


def _chain(pieces: dict[Any, tuple[int, int]], length: int) -> list[Any]:
    """Pieces that lie end to end from 0 to the length; none if there are no such."""
    found: list[Any] = []
    place = 0
    while place < length:
        following = [p for p, (start, _) in pieces.items() if start == place and p not in found]
        if not following:
            return []
        found.append(following[0])
        place = pieces[following[0]][1]
    return found


RULES: tuple[tuple[Any, Callable], ...] = ((Getitem, _gather), (Scatter, _scatter))
