"""Reading at an index as a product with a one-hot vector: a row of a table, an element of a vector, and what is added
back at that place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.primitives.indexing import ARRAY, FULL, Getitem, Scatter
from tapegrad.tape import Node

from . import algebra as al
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


RULES: tuple[tuple[Any, Callable], ...] = ((Getitem, _gather), (Scatter, _scatter))
