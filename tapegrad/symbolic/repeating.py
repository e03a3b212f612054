"""Elements that are repeated, and sums of as many neighbours, as products with a matrix of zeros and ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.primitives.shaping import BroadcastTo, Reshape
from tapegrad.tape import Node

from . import algebra as al

if TYPE_CHECKING:
    from .reading import Reader


def repeated(reader: Reader, node: Node) -> Any:
    """A vector each element of which stands several times side by side, where a reshape makes one; else None.

    It is an axis of length 1 that was broadcast, and is joined with the one before it.
    """
    made = _maker(reader, node.slots[0], BroadcastTo)
    if made is None or made.slots[0] not in reader.known:
        return None
    few, many, joined = (reader.layout(v).features for v in (made.args[0], node.args[0], node.ans))
    if len(many) != 2 or few != (many[0], 1) or joined != (many[0] * many[1],):
        return None
    return al.product(copies(reader, *many), reader.known[made.slots[0]])


def summed(reader: Reader, node: Node) -> Any:
    """The sums of neighbours of a vector, where a sum over a part of its only axis makes them; else None."""
    made = _maker(reader, node.slots[0], Reshape)
    if made is None or made.slots[0] not in reader.known:
        return None
    joined, many, few = (reader.layout(v).features for v in (made.args[0], node.args[0], node.ans))
    axis = node.options["axis"]
    if len(many) != 2 or joined != (many[0] * many[1],) or few not in ((many[0],), (many[0], 1)) or len(axis) != 1:
        return None
    behind = reader.layout(node.args[0]).rows
    if axis[0] - (behind is not None and behind < axis[0]) != 1:
        return None
    return al.product(al.transposed(copies(reader, *many)), reader.known[made.slots[0]])


def copies(reader: Reader, count: int, times: int) -> Any:
    """The matrix that makes of each of so many elements so many copies."""
    return reader.constants.symbol(np.repeat(np.eye(count), times, axis=0), (count * times, count))


def _maker(reader: Reader, slot: int, kind: type) -> Node | None:
    """What makes a slot, if it is an operation of a kind."""
    node = reader.tape.nodes[slot] if slot >= 0 and slot not in reader.tape.inputs else None
    return node if node is not None and isinstance(node.primitive, kind) else None
