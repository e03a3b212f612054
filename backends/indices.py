"""Reading and adding at integer arrays, as operations of a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.primitives.indexing import ARRAY, arrays_first
from tapegrad.primitives.registry import shape_of
from tapegrad.tape import Node

from .graph import Access, Graph, Number, Unlowered, literal_of


def gathered(g: Graph, slot: int, node: Node) -> None:
    """Add a read at integer arrays to the graph."""
    base = g.new_value(slot, "op")
    g.bind(slot, base)
    args, moves = _indices(g, node.slots[0], node, node.ans.shape, g.rows.axis.get(slot))
    g.add("gather", "getitem", args, base, **moves)


def scattered(g: Graph, slot: int, node: Node) -> None:
    """Add a sum at integer arrays to the graph: at once into the sum over time, where nothing else is wanted of it."""
    inner = shape_of(node.args[0])
    row = g.rows.axis.get(node.slots[0])
    summed = slot in g.rows.summed
    if summed or _is_only_summed(g, slot):
        base = g.new_value(slot, "sum")
        g.totals[slot] = base
    else:
        base = g.new_value(slot, "op")
        g.copy(Number(0), base)
    g.bind(slot, base)
    if summed:
        row = next((axis for axis in [row, *_rows_of_arrays(g, node)] if axis is not None), None)
    args, moves = _indices(g, slot, node, inner, row)
    added = g.access_rows(node.slots[0], inner, row) if node.slots[0] >= 0 else literal_of(node.args[0])
    g.add("scatter", "scatter", [added, *args[1:]], base, args[1].shape, table=args[0], **moves)


def _is_only_summed(g: Graph, slot: int) -> bool:
    read = any(node is not None and slot in node.slots for node in g.tape.nodes)
    kept = [s for s, _ in g.tape.outputs[: g.step.state + g.step.ys]]
    return not read and slot not in kept and slot not in g.rows.axis


def _rows_of_arrays(g: Graph, node: Node) -> list[int | None]:
    """Where the rows of each index array lie in what is added."""
    depth, at = max(len(shape_of(a)) for a in node.args[1:]), arrays_first(node.options["template"])
    return [
        at + depth - len(shape_of(a)) + g.rows.axis[s] if s in g.rows.axis else None
        for s, a in zip(node.slots[1:], node.args[1:], strict=True)
    ]


def _indices(g: Graph, indexed: int, node: Node, shape: tuple, row: int | None) -> tuple[list[Any], dict]:
    """Strides over ``shape`` of the indexed array and of the index arrays, and how each index moves."""
    view, arrays, template = g.index[indexed], node.args[1:], node.options["template"]
    made = np.broadcast_shapes(*map(shape_of, arrays))
    at = arrays_first(template)
    rest = [a for a, entry in enumerate(template) if entry is not ARRAY]
    order = [*rest[:at], *[None] * len(made), *rest[at:]]
    strides = [0 if a is None else view.strides[a] for a in order]
    marks = [a for a, entry in enumerate(template) if entry is ARRAY]
    if g.rows.axis.get(indexed) in marks:
        raise Unlowered("an index into the rows of a batch")
    kept = [i for i in range(len(shape)) if i != row]
    start = view.__array_interface__["data"][0] - g.starts[g.base[indexed]]
    inner = tuple([shape[i] for i in kept])
    args: list[Any] = [Access(g.base[indexed], start, tuple([strides[i] for i in kept]), inner)]
    for s in node.slots[1:]:
        if s < 0:
            raise Unlowered("a literal among index arrays")
        wide = np.broadcast_to(g.index[s], made)
        wide = wide.reshape((1,) * at + wide.shape + (1,) * (len(shape) - at - len(made))) if made else wide
        args.append(g.access_view(g.base[s], np.broadcast_to(wide, shape), row))
    return args, {"steps": [view.strides[a] for a in marks], "lengths": [view.shape[a] for a in marks]}
