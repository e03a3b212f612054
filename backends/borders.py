"""How values come into an inner loop and go out of it, as operations of a graph.

A round reads a state from one value and makes the new one in another, which a carry copies back at the end. The xs of
a round are copied out of those of all rounds, its outputs into those of all rounds; copies cost nothing where they are
done in one pass with what reads or makes them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.tape import Node

from .graph import Access, Carry, Graph, Number, dense_strides
from .inlining import At, Begin, End, InnerLoop, Stack


def border(g: Graph, slot: int, node: Node) -> None:
    """Add what happens on the border of an inner loop."""
    kind, loop, source = node.primitive, node.primitive.loop, node.slots[0]
    if isinstance(kind, Begin):
        with g.within(loop.parent):
            base = g.new_value(slot, "op")
            g.copy(g.access(source, node.ans.shape, g.rows.axis.get(slot)), base)
        g.bind(slot, base)
    elif isinstance(kind, At):
        _entered(g, slot, source, loop)
    elif isinstance(kind, End):
        _carried(g, slot, node, loop)
    elif isinstance(kind, Stack):
        base = g.new_value(slot, "op")
        g.bind(slot, base)
        with g.within(loop.number):
            seen = g.access(source)
            g.copy(seen, base, of_round(base, seen.shape, loop))
    else:
        g.bind(slot, added_up(g, g.access(source), loop, g.rows.rowed(slot)).base)


def of_round(base: int, shape: tuple[int, ...], loop: InnerLoop) -> Access:
    """The part of a round in a value whose first axis is that of the rounds."""
    return Access(base, 0, dense_strides(shape), shape, (loop.number, _size(shape)))


def _entered(g: Graph, slot: int, source: int, loop: InnerLoop) -> None:
    every, row = g.index[source], g.rows.axis.get(source)
    first: Any = every[0, ...]
    seen = g.access_view(g.base[source], first, None if row is None else row - 1)
    value = g.values[seen.base]
    with g.within(loop.number):
        base = g.make_value(seen.shape, value.dtype, value.rowed, "op", slot)
        part = Access(seen.base, seen.offset, seen.strides, seen.shape, (loop.number, every.strides[0]))
        g.copy(part, base)
    g.bind(slot, base)
    g.whole_xs[base] = g.access(source)


def _carried(g: Graph, slot: int, node: Node, loop: InnerLoop) -> None:
    """The new state of a round, which is the final one behind the last; it is made where no round reads it."""
    new, state = node.slots[0], g.base[node.slots[1]]
    base, like = g.base[new], g.values[state]
    own = g.homes[base] == loop.number and g.values[base].rowed == like.rowed and g.values[base].size == like.size
    if own and g.access(new) == g.whole(base) and base not in g.whole_xs:
        g.look(slot, base, g.index[new])
    else:
        row = g.rows.axis.get(slot)
        with g.within(loop.number):
            base = g.new_value(slot, "op")
            g.copy(g.access(new, node.ans.shape, row), base)
        g.bind(slot, base)
    g.carries.append(Carry(loop.number, base, state))


def added_up(g: Graph, seen: Access, loop: InnerLoop, rowed: bool) -> Access:
    """The sum of a value over the rounds: a state that begins at zero."""
    dtype = g.values[seen.base].dtype
    with g.within(loop.parent):
        state = g.make_value(seen.shape, dtype, rowed, "op")
        g.copy(Number(dtype.type(0)), state)
    with g.within(loop.number):
        total = g.make_value(seen.shape, dtype, rowed, "op")
        g.add("map", "add", [g.whole(state), seen], total)
    g.carries.append(Carry(loop.number, total, state))
    return g.whole(total)


def of_all_rounds(g: Graph, seen: Access, loop: InnerLoop) -> Access:
    """What every round sees, with an axis of rounds in front; ``seen`` has rows."""
    held = g.whole_xs.get(seen.base)
    if held is not None and seen == g.whole(seen.base):
        value = g.values[held.base]
        if value.rowed and held.dense and _size(held.shape) == value.size:
            return held
    with g.within(loop.parent):
        base = g.make_value((loop.length, *seen.shape), g.values[seen.base].dtype, True, "op")
    with g.within(loop.number):
        g.copy(seen, base, of_round(base, seen.shape, loop))
    return g.whole(base)


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))
