"""Which axis of each value of a step runs over independent rows, found by following the axes through the operations.

A batch may be split over threads, and its size may change from call to call, only if no operation of the loop looks
from one row into another. Sizes and positions do not show that: with B = H every axis is as long as any other. So each
operation says which axis of its result is which axis of each operand, equal axes are joined into classes, and a class
is a batch when every operation carries it through. Where a parameter's gradient sums over the rows, the sum over rows
joins the sum over time, provided that what follows is linear.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.primitives.contract import Contract
from tapegrad.primitives.elementwise import Elementwise
from tapegrad.primitives.indexing import ARRAY, Getitem, Scatter, arrays_first
from tapegrad.primitives.reductions import Cumsum, Reduction, Sum
from tapegrad.primitives.registry import shape_of
from tapegrad.primitives.shaping import BroadcastTo, Concatenate, Flip, Pad, Reshape, Transpose
from tapegrad.scan_primitive import Step
from tapegrad.tape import AbstractTape, Node

from .inlining import At, Border, Stack, Total

Axes = dict[int, int]  # from an axis of an operand to the axis of the result that it becomes
LINEAR = frozenset(
    "add subtract negative reshape transpose broadcast_to pad getitem concatenate flip sum cast scatter stop_gradient "
    "multiply divide contract total solve where".split()
)


class Rows:
    """The row axis of each slot of a step's tape.

    Attributes
    ----------
    axis : dict of int to int
        For the slots that have rows.
    summed : set of int
        Slots whose rows were summed: parts of the parameters' gradients.
    count : int
        How many rows the traced step has; 1 where the whole step counts as a single row.
    """

    def __init__(self, axis: dict[int, int], summed: set[int], count: int):
        self.axis, self.summed, self.count = axis, summed, count

    def rowed(self, slot: int) -> bool:
        return slot in self.axis


def find_rows(step: Step) -> Rows:
    """The rows of a step; the whole step is a single row where they cannot be shown to be independent.

    They are those of a state, or of an x where the states are no more than numbers. Values that never meet have rows
    of their own; these are taken together where they are equally many, so that one loop does the work on all of them.
    """
    tape, classes = step.tape, _Classes(step)
    found, roots, tried = Rows({}, set(), 1), frozenset[tuple[int, int]](), set()
    states = tape.inputs[step.params : step.params + step.state]
    wide = any(n > 1 for slot in states for n in tape.aval(slot).shape)
    for slot in tape.inputs[step.params :]:
        if wide and slot not in states and not roots:
            break  # every thread would do all the work on the states
        for axis, size in enumerate(tape.aval(slot).shape):
            root = classes.find((slot, axis))
            if slot in found.axis or root in tried or (roots and size != found.count):
                continue
            tried.add(root)
            rows = _carried(step, classes, roots | {root}, size)
            if rows is not None:
                found, roots = rows, roots | {root}
    return found


class _Classes:
    """Axes that are the same axis, as a union-find over (slot, axis)."""

    def __init__(self, step: Step):
        self.parent: dict[tuple[int, int], tuple[int, int]] = {}
        tape = step.tape
        for slot, node in enumerate(tape.nodes):
            if node is not None:
                for operand, axes in zip(node.slots, axes_of(node), strict=True):
                    for a, b in axes.items():
                        if operand >= 0:
                            self.join((operand, a), (slot, b))
                for one, other in _met(node):
                    self.join(one, other)
        for k in range(step.state):
            state, (new, _) = tape.inputs[step.params + k], tape.outputs[k]
            for axis in range(len(tape.aval(state).shape)):
                if new >= 0:
                    self.join((state, axis), (new, axis))

    def find(self, key: tuple[int, int]) -> tuple[int, int]:
        while self.parent.get(key, key) != key:
            key = self.parent[key]
        return key

    def join(self, a: tuple[int, int], b: tuple[int, int]) -> None:
        a, b = self.find(a), self.find(b)
        if a != b:
            self.parent[b] = a


def _carried(step: Step, classes: _Classes, roots: frozenset[tuple[int, int]], size: int) -> Rows | None:
    """The rows of some classes of axes, or None if an operation does not carry them through."""
    tape = step.tape
    axis: dict[int, int] = {}
    for slot in _slots(tape):
        own = [a for a in range(len(tape.aval(slot).shape)) if classes.find((slot, a)) in roots]
        if len(own) > 1 or (own and tape.aval(slot).shape[own[0]] != size):
            return None
        if own:
            axis[slot] = own[0]
    fixed = set(tape.inputs[: step.params]) | set(tape.consts)
    summed: set[int] = set()
    for slot, node in enumerate(tape.nodes):
        if node is None:
            continue
        if not isinstance(node.primitive, Border) and all(s < 0 or s in fixed for s in node.slots):
            fixed.update(_results(slot, node))  # computed whole, before the loop
            continue
        fate = _fate(node, slot, axis, summed)
        if fate == "refused":
            return None
        if fate == "summed":
            summed.add(slot)
    outs = [slot for slot, _ in tape.outputs]
    if any(slot in summed for slot in outs[: step.state + step.ys]):
        return None
    inside: dict[int, int] = getattr(tape, "inside", {})
    for slot, node in enumerate(tape.nodes):
        if node is None or not any(s in summed for s in node.slots):
            continue
        if not _linear(node, summed, fixed):
            return None
        # What is added up in every round of an inner loop, and what is not, are not terms of one sum.
        loops = {inside.get(s, 0) for s in node.slots if s in summed}
        if loops != {inside.get(slot, 0)} and not isinstance(node.primitive, Total):
            return None
    return Rows(axis, summed, size)


def _fate(node: Node, slot: int, axis: dict[int, int], summed: set[int]) -> str:
    """What becomes of the rows in an operation: carried, summed, absent, or refused."""
    maps = axes_of(node)
    lost = False
    for operand, axes in zip(node.slots, maps, strict=True):
        if operand in axis:
            if slot in axis:
                if axes.get(axis[operand]) != axis[slot]:
                    return "refused"
            else:
                lost = True
    if lost:
        summable = isinstance(node.primitive, (Contract, Sum, Scatter))
        if isinstance(node.primitive, Scatter) and len(node.slots) < 2:
            return "refused"
        return "summed" if summable and not any(s in summed for s in node.slots) else "refused"
    if any(s in summed for s in node.slots):
        return "summed" if slot not in axis else "refused"
    if slot in axis and not any(s in axis for s in node.slots):  # rows out of nowhere: equal ones, or another order
        return "carried" if isinstance(node.primitive, (Elementwise, BroadcastTo)) else "refused"
    return "carried"


def _linear(node: Node, summed: set[int], fixed: set[int]) -> bool:
    """Whether a sum over rows may be taken behind an operation instead of before it."""
    parts = [s in summed for s in node.slots]
    if node.primitive.name not in LINEAR:
        return False
    if node.primitive.name in ("multiply", "contract"):
        return sum(parts) == 1 and all(p or s < 0 or s in fixed for p, s in zip(parts, node.slots, strict=True))
    if node.primitive.name == "divide":
        return parts[0] and not parts[1] and (node.slots[1] < 0 or node.slots[1] in fixed)
    if node.primitive.name == "solve":
        return parts[1] and node.slots[0] in fixed
    if node.primitive.name == "where":  # of what is zero elsewhere, by a mask that stays
        others = [(s, v) for s, v, p in zip(node.slots[1:], node.args[1:], parts[1:], strict=True) if not p]
        still = not parts[0] and (node.slots[0] < 0 or node.slots[0] in fixed)
        return still and all(s < 0 and np.ndim(v) == 0 and v == 0 for s, v in others)
    if node.primitive.name in ("getitem", "scatter"):
        return parts[0] and all(s in fixed for s in node.slots[1:])
    return all(parts)


def _slots(tape: AbstractTape) -> list[int]:
    made = [s for slot, node in enumerate(tape.nodes) if node is not None for s in _results(slot, node)]
    return [*tape.inputs, *tape.consts, *made]


def _results(slot: int, node: Node) -> range:
    return range(slot, slot + (len(node.ans) if node.primitive.multiple else 1))


def _met(node: Node) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Axes of two operands that an operation walks along together, without giving them to its result."""
    if isinstance(node.primitive, Contract):
        spec, (x, y) = node.options["spec"], node.slots
        pairs = [((x, spec.left.index(c)), (y, spec.right.index(c))) for c in spec.left if c in spec.right]
        return [pair for pair in pairs if x >= 0 and y >= 0]
    if isinstance(node.primitive, Scatter) and len(node.slots) > 1:
        template, added = node.options["template"], node.slots[0]
        shape = shape_of(node.args[0])
        _, arrays = _indexed(len(node.options["shape"]), [shape_of(a) for a in node.args[1:]], template, shape)
        made = [(s, axes) for s, axes in zip(node.slots[1:], arrays, strict=True) if s >= 0]
        return [((s, a), (added, b)) for s, axes in made for a, b in axes.items() if added >= 0 and b < len(shape)]
    return []


# ---- which axis becomes which ----
def axes_of(node: Node) -> list[Axes]:
    """For each operand, which of its axes is which axis of the result."""
    shapes = [shape_of(value) for value in node.args]
    if node.primitive.multiple:
        return [{} for _ in shapes]
    out, primitive, options = node.ans.shape, node.primitive, node.options
    if isinstance(primitive, (Elementwise, BroadcastTo)):
        return [_aligned(shape, out) for shape in shapes]
    if isinstance(primitive, Border):
        lead = isinstance(primitive, Stack) - isinstance(primitive, At)  # an axis of rounds more or less
        return [{a: a + lead for a in range(len(shape)) if a + lead >= 0} for shape in shapes]
    if isinstance(primitive, Contract):
        spec = options["spec"]
        return [
            {a: spec.out.index(label) for a, label in enumerate(labels) if label in spec.out}
            for labels in (spec.left, spec.right)
        ]
    for kind, rule in _RULES.items():
        if isinstance(primitive, kind):
            return rule(shapes, out, options)
    return [{} for _ in shapes]


def _aligned(shape: tuple[int, ...], out: tuple[int, ...]) -> Axes:
    lead = len(out) - len(shape)
    return {a: a + lead for a, n in enumerate(shape) if n == out[a + lead]}


def _reduced(shapes: Any, out: Any, options: dict) -> list[Axes]:
    kept = [a for a in range(len(shapes[0])) if a not in options["axis"]]
    return [{a: a if options["keepdims"] else i for i, a in enumerate(kept)}]


def _reshaped(shapes: Any, out: Any, options: dict) -> list[Axes]:
    found: Axes = {}
    before = 1
    for a, n in enumerate(shapes[0]):
        size = 1
        for b, m in enumerate(out):
            if size == before and m == n and b not in found.values():
                found[a] = b
                break
            size *= m
        before *= n
    return [found]


def _joined(shapes: Any, out: Any, options: dict) -> list[Axes]:
    return [{a: a for a in range(len(shape)) if a != options["axis"]} for shape in shapes]


def _padded(shapes: Any, out: Any, options: dict) -> list[Axes]:
    return [{a: a for a, width in enumerate(options["widths"]) if width == (0, 0)}]


def _indexed(
    rank: int, made: list[tuple[int, ...]], template: tuple, shape: tuple[int, ...]
) -> tuple[Axes, list[Axes]]:
    """The axes of an indexed array in the result, and those of the index arrays."""
    axes: Axes = {}
    if not made:
        a = b = 0
        for entry in template:
            if entry is None:
                b += 1
            elif isinstance(entry, int):
                a += 1
            else:
                if entry.indices(shape[a]) == (0, shape[a], 1):
                    axes[a] = b
                a, b = a + 1, b + 1
        return axes, []
    depth, at = max(len(m) for m in made), arrays_first(template)
    position = 0
    for a, entry in enumerate(template):
        if entry is not ARRAY:
            axes[a] = position if position < at else position + depth
            position += 1
    full = [max(m[i - depth] if i >= depth - len(m) else 1 for m in made) for i in range(depth)]
    arrays = [{i: at + depth - len(m) + i for i, n in enumerate(m) if n == full[depth - len(m) + i]} for m in made]
    return axes, arrays


def _gathered(shapes: Any, out: Any, options: dict) -> list[Axes]:
    axes, arrays = _indexed(len(shapes[0]), shapes[1:], options["template"], shapes[0])
    return [axes, *arrays]


def _scattered(shapes: Any, out: Any, options: dict) -> list[Axes]:
    # The transpose of a gather: the axes of the indexed array are those of the result. An index array has no axis in
    # the result, and so loses its rows unless the part that is added keeps them.
    axes, arrays = _indexed(len(out), shapes[1:], options["template"], options["shape"])
    return [{b: a for a, b in axes.items()}, *[{} for _ in arrays]]


_RULES = {
    Reduction: _reduced,
    Reshape: _reshaped,
    Transpose: lambda shapes, out, options: [{a: i for i, a in enumerate(options["axes"])}],
    Flip: lambda shapes, out, options: [{a: a for a in range(len(out)) if a not in options["axes"]}],
    Cumsum: lambda shapes, out, options: [{a: a for a in range(len(out)) if a != options["axis"]}],
    Pad: _padded,
    Concatenate: _joined,
    Getitem: _gathered,
    Scatter: _scattered,
}
