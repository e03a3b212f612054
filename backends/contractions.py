"""Products of a tape as operations of a graph.

A product with parameters becomes a ``gemm`` (all rows at once, by one packed matrix); a sum over rows of products of
two values of the loop becomes an ``accumulate`` (one matrix product over the rows of many steps); a product that sums
nothing is a map; what is left is a ``contract`` for each row.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tapegrad.tape import Node

from .borders import added_up, of_all_rounds
from .graph import Access, Graph, Op, dense_strides

NARROW = 2  # a product that sums so few terms costs less as elementwise work than as a pass of its own


@dataclass
class Operand:
    """An operand of a product for one row: where it lies, and its stride for each label.

    ``rowed`` says whether its value has rows; one that was broadcast over the rows has none.
    """

    slot: int
    base: int
    offset: int
    strides: dict[str, int]
    labels: str
    rowed: bool

    def over(self, labels: list[str], sizes: dict[str, int]) -> Access:
        strides = tuple([self.strides.get(c, 0) for c in labels])
        return Access(self.base, self.offset, strides, tuple([sizes[c] for c in labels]))

    def stride(self, labels: list[str], sizes: dict[str, int]) -> int | None:
        """The distance of neighbours if the labels, taken as one, have equal distances; else None."""
        labels = [c for c in labels if sizes[c] != 1]
        if not labels:
            return 1
        for a, b in zip(labels, labels[1:], strict=False):
            if self.strides[a] != self.strides[b] * sizes[b]:
                return None
        return self.strides[labels[-1]]


def contraction(g: Graph, slot: int, node: Node) -> None:
    """Add a product to the graph."""
    spec, summed_rows = node.options["spec"], slot in g.rows.summed
    sizes = {c: n for s, labels in zip(node.slots, (spec.left, spec.right), strict=True)
             for c, n in zip(labels, g.index[s].shape, strict=True)}  # fmt: skip
    x, y = (_operand(g, s, labels, sizes) for s, labels in zip(node.slots, (spec.left, spec.right), strict=True))
    row = next((o.labels[g.rows.axis[o.slot]] for o in (x, y) if o.slot in g.rows.axis), None)
    out = [c for c in spec.out if c != row]
    if summed_rows:
        _accumulation(g, slot, x, y, out, [c for c in spec.summed if c != row], sizes)
        return
    base = _product(g, slot, x, y, out, [c for c in spec.summed if c != row], sizes)
    if base is not None:
        g.bind(slot, base)


def _operand(g: Graph, slot: int, labels: str, sizes: dict[str, int]) -> Operand:
    view, base, axis = g.index[slot], g.base[slot], g.rows.axis.get(slot)
    offset = view.__array_interface__["data"][0] - g.starts[base]
    strides = {
        c: s if sizes[c] != 1 else 0 for a, (c, s) in enumerate(zip(labels, view.strides, strict=True)) if a != axis
    }
    return Operand(slot, base, offset, strides, labels, g.values[base].rowed)


def _product(g: Graph, slot: int, x: Operand, y: Operand, out: list[str], summed: list[str],
             sizes: dict[str, int]) -> int | None:  # fmt: skip
    """A product for each row; gives its value, or None where the slot is bound already."""
    rowed = x.rowed or y.rowed
    base = g.make_value([sizes[c] for c in out], g.tape.aval(slot).dtype, rowed, "op", slot)
    if not summed:
        g.add("map", "multiply", [x.over(out, sizes), y.over(out, sizes)], base)
        return base
    for moving, still in ((x, y), (y, x)):
        if _is_gemm(g, moving, still, summed):
            lead = [c for c in out if c in moving.strides]
            columns = [c for c in out if c in still.strides]
            if _is_narrow(sizes, lead, columns, summed) and still.stride(columns, sizes) == 1:
                _narrow(g, base, moving, still, columns, summed[0], sizes)
                return base
            if columns:
                return _gemm(g, slot, moving, still, lead, columns, summed, out, sizes)
    labels = out + summed
    options = {"summed": tuple([sizes[c] for c in summed])}
    g.add("contract", "contract", [x.over(labels, sizes), y.over(labels, sizes)], base, **options)
    return base


def _is_gemm(g: Graph, moving: Operand, still: Operand, summed: list[str]) -> bool:
    """Whether an operand that the loop computes meets one that follows from the parameters, with no label in common
    but those that are summed."""
    a, b = g.values[moving.base], g.values[still.base]
    if a.source == "fixed" or b.source != "fixed" or still.rowed or not a.dtype == b.dtype == g.dtype:
        return False
    return all(c in summed for c in still.strides if c in moving.strides) and all(c in moving.strides for c in summed)


def _is_narrow(sizes: dict[str, int], lead: list[str], columns: list[str], summed: list[str]) -> bool:
    width = int(np.prod([sizes[c] for c in summed]))
    return width <= NARROW and len(summed) == 1 and not lead and bool(columns)


def _narrow(g: Graph, base: int, moving: Operand, still: Operand, columns: list[str], summed: str, sizes: dict) -> None:
    """The product of a vector of one or two elements, as elementwise work."""
    total: Any = None
    for k in range(sizes[summed]):
        parts = []
        for operand in (moving, still):
            at = Operand(operand.slot, operand.base, operand.offset + k * operand.strides[summed], operand.strides,
                         operand.labels, operand.rowed)  # fmt: skip
            parts.append(at.over(columns, sizes))
        last = k == sizes[summed] - 1
        value = g.values[base]
        out = base if last and total is None else g.make_value(value.shape, value.dtype, value.rowed, "op")
        g.add("map", "multiply", parts, out)
        if total is not None:
            to = base if last else g.make_value(value.shape, value.dtype, value.rowed, "op")
            g.add("map", "add", [g.whole(total), g.whole(out)], to)
            out = to
        total = out


def _gemm(g: Graph, slot: int, moving: Operand, still: Operand, lead: list[str], columns: list[str], summed: list[str],
          out: list[str], sizes: dict[str, int]) -> int | None:  # fmt: skip
    lead = [c for c in moving.labels if c in lead]
    summed = [c for c in moving.labels if c in summed]
    K, N = (int(np.prod([sizes[c] for c in group])) for group in (summed, columns))
    left = moving.over(lead + summed, sizes)
    step, apart = moving.stride(summed, sizes), moving.stride(lead, sizes)
    if step is None or apart is None or 0 in (step, apart) or (lead and not _fills(g, left)):
        copied = g.make_value(left.shape, g.values[moving.base].dtype, moving.rowed, "op")
        g.copy(left, copied)
        left, step = g.whole(copied), 1
    shape = [sizes[c] for c in lead + columns]
    base = g.make_value(shape, g.tape.aval(slot).dtype, moving.rowed, "op", slot)
    perm = tuple([still.labels.index(c) for c in summed + columns])
    many = int(np.prod([sizes[c] for c in lead]))
    g.add("gemm", "contract", [left], base, weight=(still.slot, perm), lead=many, K=K, N=N, step=step)
    if lead + columns == out:
        return base
    _turned(g, slot, base, lead + columns, out)
    return None


def _fills(g: Graph, seen: Access) -> bool:
    """Whether an access is to all of a value, so that the rows behind it go on at the same distance."""
    return seen.dense and int(np.prod(seen.shape)) == g.values[seen.base].size


def _turned(g: Graph, slot: int, base: int, made: list[str], out: list[str]) -> None:
    """Let a slot look at a value whose axes come in another order."""
    axis = g.rows.axis.get(slot)
    g.rows.axis.pop(slot, None)
    g.bind(slot, base)
    view = g.index[slot].transpose([made.index(c) for c in out])
    if axis is not None:
        g.rows.axis[slot] = axis
        view = g._with_rows(slot, view)
    g.look(slot, base, view)


# ---- sums of elementwise products ----
def contract_sums(g: Graph) -> None:
    """Let a sum over features of a product that nothing else reads be one operation, so that no product is stored.

    Where an operand was broadcast, its cotangent is such a sum.
    """
    readers = Counter(base for op in g.ops for base in op.reads)
    writers = Counter(op.out for op in g.ops)
    products = {op.out: op for op in g.ops if _is_product(g, op) and readers[op.out] == writers[op.out] == 1}
    joined: set[int] = set()
    ops: list[Op] = []
    for op in g.ops:
        seen = op.args[0] if op.kind == "reduce" and op.name == "sum" else None
        product = products.get(seen.base) if isinstance(seen, Access) else None
        if product is not None and seen == g.whole(product.out) and product.loop == op.loop and not op.store.rounds:
            joined.add(product.out)
            op = _contracted(op, product)
        ops.append(op)
    g.ops = [op for op in ops if op.out not in joined]


def _is_product(g: Graph, op: Op) -> bool:
    plain = all(isinstance(a, Access) and g.values[a.base].dtype == g.dtype for a in op.args)
    return op.kind == "map" and op.name == "multiply" and plain and op.store == g.whole(op.out)


def _contracted(op: Op, product: Op) -> Op:
    axes, shape = op.options["axes"], product.shape
    kept = [d for d in range(len(shape)) if d not in axes]
    order = [*kept, *axes]
    args = [
        replace(a, strides=tuple([a.strides[d] for d in order]), shape=tuple([shape[d] for d in order]))
        for a in product.args
    ]
    made = tuple([shape[d] for d in kept])
    options = {"summed": tuple([shape[d] for d in axes])}
    store = Access(op.out, 0, dense_strides(made), made)
    return Op("contract", "contract", args, op.out, store, made, options, op.loop)


# ---- sums over rows and time ----
def _accumulation(g: Graph, slot: int, x: Operand, y: Operand, out: list[str], summed: list[str], sizes: dict) -> None:
    from .translate import total

    a = [c for c in x.labels if c in out and c not in y.labels]
    b = [c for c in y.labels if c in out and c not in x.labels]
    shared = [c for c in out if c in x.labels and c in y.labels]
    same = g.values[x.base].dtype == g.values[y.base].dtype == g.dtype
    if shared or not a or not b or not same:
        base = g.make_value([sizes[c] for c in out], g.tape.aval(slot).dtype, True, "op", slot)
        labels = out + summed
        if summed:
            options = {"summed": tuple([sizes[c] for c in summed])}
            g.add("contract", "contract", [x.over(labels, sizes), y.over(labels, sizes)], base, **options)
        else:
            g.add("map", "multiply", [x.over(out, sizes), y.over(out, sizes)], base)
        total(g, slot, g.whole(base))
        return
    if not _is_right(g, x, y):
        x, y, a, b = y, x, b, a
    sides = [_side(g, o, summed, own, sizes) for o, own in ((x, a), (y, b))]
    many, M, N = (int(np.prod([sizes[c] for c in group])) for group in (summed, a, b))
    base = g.make_value([sizes[c] for c in a + b], g.tape.aval(slot).dtype, False, "sum", slot)
    g.totals[slot] = base
    g.turned[slot] = tuple([(a + b).index(c) for c in out])
    sides, rounds = _out_of_loops(g, sides, [g.inside.get(o.slot, 0) for o in (x, y)])
    with g.within(0):
        g.add("accumulate", "contract", sides, base, lead=many * rounds, M=M, N=N)


def _out_of_loops(g: Graph, sides: list[Access], inside: list[int]) -> tuple[list[Access], int]:
    """The operands of a sum over rows and time as the step sees them, and how many rounds each of them holds.

    Where both change in an inner loop, all their rounds are rows of one product; where one does, it is added up first.
    """
    rounds = 1
    while any(inside):
        number = max(inside)
        loop = g.loops[number]
        both = inside[0] == inside[1]
        rounds *= loop.length if both else 1
        for i, side in enumerate(sides):
            if inside[i] == number:
                sides[i] = of_all_rounds(g, side, loop) if both else added_up(g, side, loop, True)
                inside[i] = loop.parent
    return sides, rounds


def _is_right(g: Graph, x: Operand, y: Operand) -> bool:
    """Whether ``y`` should be the right operand: the one that the loop computes, else the wider."""
    computed = [g.values[o.base].source == "op" for o in (x, y)]
    return computed[1] if computed[0] != computed[1] else g.values[y.base].size >= g.values[x.base].size


def _side(g: Graph, operand: Operand, summed: list[str], own: list[str], sizes: dict[str, int]) -> Access:
    seen = operand.over(summed + own, sizes)
    if operand.rowed and seen.dense and (not summed or _fills(g, seen)):
        return seen
    copied = g.make_value(seen.shape, g.values[operand.base].dtype, True, "op")
    g.copy(seen, copied)
    return g.whole(copied)
