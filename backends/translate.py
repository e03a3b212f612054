"""From the primitives of a tape to the operations of a graph: one function for each family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.primitives.contract import Contract
from tapegrad.primitives.elementwise import Elementwise
from tapegrad.primitives.indexing import Getitem, Scatter
from tapegrad.primitives.reductions import Cumsum, Reduction
from tapegrad.primitives.registry import shape_of
from tapegrad.primitives.shaping import Concatenate, Pad, Shaping
from tapegrad.primitives.special import SciPyFunction
from tapegrad.scan_primitive import Step
from tapegrad.tape import Node

from .borders import border
from .contractions import contraction
from .graph import Access, Graph, Number, Unlowered, literal_of
from .indices import gathered, scattered
from .inlining import Border


def translate(step: Step) -> Graph:
    """The graph of a step.

    Raises
    ------
    Unlowered
        Naming what cannot be compiled.
    """
    graph = Graph(step)
    maker = _Translator(graph)
    for slot, node in enumerate(graph.tape.nodes):
        if node is None:
            continue
        if not isinstance(node.primitive, Border) and all(s < 0 or s in graph.still for s in node.slots):
            graph.once.append(slot)
            for i in range(len(node.ans) if node.primitive.multiple else 1):
                graph.still.add(slot + i)
                graph.bind(slot + i, graph.new_value(slot + i, "fixed"))
        elif slot in graph.rows.summed and any(s in graph.rows.summed for s in node.slots):
            graph.behind.append(slot)  # linear in sums: done once
        else:
            with graph.within(graph.inside.get(slot, 0)):
                maker.node(slot, node)
    maker.finish()
    return graph


class _Translator:
    def __init__(self, graph: Graph):
        self.graph, self.tape, self.rows = graph, graph.tape, graph.rows
        # Zeros with parts set, not yet stored: parts that fill each other's gaps become one value without adding.
        self.partial: dict[int, list[tuple[int, Callable]]] = {}

    def node(self, slot: int, node: Node) -> None:
        primitive, g = node.primitive, self.graph
        if primitive.name == "add" and self._joins(slot, node):
            return
        for s in node.slots:
            if s in self.partial:
                self.store_parts(s)
        if isinstance(primitive, Border):
            border(g, slot, node)
        elif isinstance(primitive, SciPyFunction):
            raise Unlowered(primitive.name)
        elif isinstance(primitive, Elementwise):
            self.elementwise(slot, node)
        elif isinstance(primitive, Contract):
            contraction(g, slot, node)
        elif isinstance(primitive, Reduction):
            self.reduction(slot, node)
        elif isinstance(primitive, Pad):
            self.padded(slot, node)
        elif isinstance(primitive, Shaping):
            self.moved(slot, node)
        elif isinstance(primitive, Concatenate):
            self.concatenated(slot, node)
        elif isinstance(primitive, Cumsum):
            self.cumsum(slot, node)
        elif isinstance(primitive, Getitem):
            self.moved(slot, node) if len(node.slots) == 1 else gathered(g, slot, node)
        elif isinstance(primitive, Scatter):
            self.placed(slot, node) if len(node.slots) == 1 else scattered(g, slot, node)
        else:
            raise Unlowered(primitive.name)

    # ---- maps ----
    def elementwise(self, slot: int, node: Node) -> None:
        g, out = self.graph, node.ans
        name = node.primitive.name
        if name == "stop_gradient" or (
            name == "cast" and node.slots[0] >= 0 and self.tape.aval(node.slots[0]).dtype == out.dtype
        ):
            g.look(slot, g.base[node.slots[0]], g.index[node.slots[0]])
            return
        if name == "power" and out.dtype.kind in "iu" and not _is_exponent(node.args[1]):
            raise Unlowered("power of integers by integers that are not known beforehand")
        row = self.rows.axis.get(slot)
        dtypes = [self.tape.aval(s).dtype for s in node.slots if s >= 0]
        args = [
            g.access(s, out.shape, row) if s >= 0 else literal_of(v, dtypes)
            for s, v in zip(node.slots, node.args, strict=True)
        ]
        base = g.new_value(slot, "op")
        g.bind(slot, base)
        if name == "power" and out.dtype.kind == "f" and _is_few(node.args[1]):
            self.multiplied(args[0], int(node.args[1]), base)
        else:
            g.add("map", name, args, base)

    def multiplied(self, factor: Access | Number, times: int, base: int) -> None:
        """A power as products: logarithm and exponential take twenty times as long."""
        g, value = self.graph, self.graph.values[base]
        made: Any = factor
        for k in range(2, times + 1):
            out = base if k == times else g.make_value(value.shape, value.dtype, value.rowed, "op")
            g.add("map", "multiply", [made, factor], out)
            made = g.whole(out)

    def moved(self, slot: int, node: Node) -> None:
        """A rearrangement is a view; NumPy itself finds the strides."""
        g, (source,) = self.graph, node.slots
        options = node.options
        if options.get("axes") == ():  # NumPy gives a number in place of a view of no axes
            g.look(slot, g.base[source], g.index[source])
            return
        if isinstance(node.primitive, Getitem):  # with an ellipsis a single element is a view too
            options = {"template": (*options["template"], ...)}
        view = node.primitive.run(g.index[source], **options)
        if not g.is_inside(g.base[source], view):
            g.materialised(source)
            view = node.primitive.run(g.index[source], **options)
        if not g.is_inside(g.base[source], view):
            raise Unlowered(f"{node.primitive.name} of a dense array that must be copied")
        g.look(slot, g.base[source], view)

    # ---- parts of a larger value ----
    def padded(self, slot: int, node: Node) -> None:
        inside = tuple(
            [slice(a, a + n) for n, (a, _) in zip(shape_of(node.args[0]), node.options["widths"], strict=True)]
        )
        self.partial[slot] = [(node.slots[0], lambda view: view[(*inside, ...)])]

    def placed(self, slot: int, node: Node) -> None:
        template, (source,) = node.options["template"], node.slots
        if all(entry is None or entry == slice(None) for entry in template):  # no gaps: the axes of length 1 go
            at = tuple([0 if entry is None else entry for entry in template])
            self.graph.look(slot, self.graph.base[source], self.graph.index[source][(*at, ...)])
            return
        self.partial[slot] = [(source, lambda view: view[(*template, ...)])]

    def _joins(self, slot: int, node: Node) -> bool:
        """Whether an addition of partial values only puts them together."""
        if not all(s in self.partial for s in node.slots) or node.slots[0] == node.slots[1]:
            return False
        parts = [part for s in node.slots for part in self.partial[s]]
        filled = np.zeros(node.ans.shape, np.int8)
        for _, place in parts:
            place(filled)[...] += 1
        if filled.max(initial=0) > 1 or any(self.tape.aval(s).shape != node.ans.shape for s in node.slots):
            return False
        self.partial[slot] = parts
        return True

    def store_parts(self, slot: int) -> None:
        """Store a partial value: zeros where no part lies, then the parts."""
        with self.graph.within(self.graph.inside.get(slot, 0)):
            self._store_parts(slot)

    def _store_parts(self, slot: int) -> None:
        g, parts = self.graph, self.partial.pop(slot)
        base = g.new_value(slot, "op")
        g.bind(slot, base)
        covered = np.zeros(self.tape.aval(slot).shape, bool)
        for _, place in parts:
            place(covered)[...] = True
        if not covered.all():
            g.copy(Number(0), base)
        for source, place in parts:
            if source in self.partial:
                self.store_parts(source)
            target, row = place(g.index[slot]), self._row_within(slot, place)
            g.copy(g.access(source, target.shape, row), base, g.access_view(base, target, row))

    def _row_within(self, slot: int, place: Callable) -> int | None:
        """Which axis of a part of a slot runs over the rows: of an array that moves along no other axis, the one that
        still moves."""
        row, shape = self.rows.axis.get(slot), self.tape.aval(slot).shape
        moving = np.lib.stride_tricks.as_strided(np.empty(1), shape, [8 if a == row else 0 for a in range(len(shape))])
        return next((axis for axis, stride in enumerate(place(moving).strides) if stride), None)

    def concatenated(self, slot: int, node: Node) -> None:
        g, axis, start = self.graph, node.options["axis"], 0
        base = g.new_value(slot, "op")
        g.bind(slot, base)
        row = self.rows.axis.get(slot)
        for s, value in zip(node.slots, node.args, strict=True):
            stop = start + shape_of(value)[axis]
            target = g.index[slot][(slice(None),) * axis + (slice(start, stop),)]
            source = g.access(s, target.shape, row) if s >= 0 else literal_of(value)
            g.copy(source, base, g.access_view(base, target, row))
            start = stop

    # ---- along axes ----
    def reduction(self, slot: int, node: Node) -> None:
        g, (source,), options = self.graph, node.slots, node.options
        row = self.rows.axis.get(source)
        axes = tuple([a - (row is not None and a > row) for a in options["axis"] if a != row])
        summed = row is not None and row in options["axis"]
        seen = g.access_rows(source) if summed else g.access(source)
        if summed:
            if axes:
                shape = tuple([n for a, n in enumerate(seen.shape) if a not in axes])
                inner = g.make_value(shape, node.ans.dtype, True, "op")
                g.add("reduce", node.primitive.name, [seen], inner, seen.shape, axes=axes)
                seen = g.whole(inner)
            total(g, slot, seen)
            return
        base = g.new_value(slot, "op")
        g.bind(slot, base)
        if axes:
            g.add("reduce", node.primitive.name, [seen], base, seen.shape, axes=axes)
        else:
            g.copy(seen if seen.shape == g.whole(base).shape else _reshaped(seen, g.whole(base).shape), base)

    def cumsum(self, slot: int, node: Node) -> None:
        g, (source,) = self.graph, node.slots
        row, axis = self.rows.axis.get(source), node.options["axis"]
        base = g.new_value(slot, "op")
        g.bind(slot, base)
        g.add("cumsum", "cumsum", [g.access(source)], base, axis=axis - (row is not None and axis > row))

    # ---- outputs ----
    def finish(self) -> None:
        """Copy what the step gives to where it is wanted; a copy beside its source costs nothing."""
        g, step = self.graph, self.graph.step
        for s in list(self.partial):
            self.store_parts(s)
        g.results = []
        for k, (slot, literal) in enumerate(self.tape.outputs):
            if k < step.state:
                g.results.append(("value", self._next(k, slot, literal)))
            elif slot < 0:
                g.results.append(("literal", literal))
            elif slot in g.still:
                g.results.append(("fixed", slot))
            elif k < step.state + step.ys:
                g.results.append(
                    ("x", slot)
                    if slot in self.tape.inputs[step.params + step.state :]
                    else ("value", self._output(slot))
                )
            else:
                if slot not in g.rows.summed and slot not in g.totals:
                    total(g, slot, g.access_rows(slot))
                g.results.append(("sum", slot))

    def _next(self, k: int, slot: int, literal: Any) -> int:
        g = self.graph
        state = self.tape.inputs[g.step.params + k]
        base = g.new_value(state, "next")
        g.values[base].slot = k
        row = self.rows.axis.get(state)
        shape = self.tape.aval(state).shape
        g.copy(g.access(slot, shape, row) if slot >= 0 else literal_of(literal), base)
        return base

    def _output(self, slot: int) -> int:
        g = self.graph
        base = g.new_value(slot, "y")
        g.copy(g.access(slot), base)
        return base


def _is_exponent(value: Any) -> bool:
    """Whether a power of integers by it is an integer."""
    return bool(isinstance(value, (int, np.integer)) and value >= 0)


def _is_few(value: Any) -> bool:
    """Whether a power by it is a product of few factors."""
    return isinstance(value, (int, float, np.integer, np.floating)) and value in (2, 3)


def total(graph: Graph, slot: int, seen: Access) -> None:
    """Sum a value over its rows, and over time, into an accumulator."""
    value = graph.values[seen.base]
    base = graph.new_value(slot, "sum")
    rowed = slot in graph.rows.axis
    graph.values[base].rowed = rowed
    graph.totals[slot] = base
    target = graph.whole(base)
    shape = seen.shape
    store = target if target.shape == shape else Access(base, 0, _squeezed(target.shape, shape), shape)
    graph.add("total", "sum", [seen], base, shape, store, rowed=value.rowed)


def _squeezed(full: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    from .graph import dense_strides

    if int(np.prod(full, dtype=np.int64)) != int(np.prod(shape, dtype=np.int64)):
        raise Unlowered(f"a sum of shape {full} from values of shape {shape}")
    return dense_strides(shape)


def _reshaped(seen: Access, shape: tuple[int, ...]) -> Access:
    """The same elements under another shape that differs in axes of length 1 only."""
    strides = iter([s for s, n in zip(seen.strides, seen.shape, strict=True) if n != 1])
    return Access(seen.base, seen.offset, tuple([0 if n == 1 else next(strides) for n in shape]), shape)
