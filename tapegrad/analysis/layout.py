"""Where the vertices of a step's graph are drawn, and along which points the lines between them run.

Time goes to the right. Each leaf of the state has a row of its own at the top, its *rail*. Below lie the other values,
in columns by how much has to be computed before them, and below these the inputs; the outputs are above the rails. A
line from a state keeps to the rail as long as it can; another that goes over several columns has a place of its own in
those between.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .graphs import INPUT, OLD, OUTPUT, STATE, VALUE, Edge, StepGraph, Vertex
from .routes import around, is_clear

GAP = 0.85  # between rows
NARROW = 1.3  # the width of a column, at least
RADIUS = 0.24  # of a circle
REACH = 1.2 * RADIUS  # how far lines keep from the centres of circles
SWEEPS = 6  # over the columns, to lay out what belongs together side by side


@dataclass
class Layout:
    """Places in one step, in columns from 0, where the old states and inputs are, to ``columns``, where it ends.

    Attributes
    ----------
    columns : int
    rails : dict of int to float
        The height of each leaf of the state.
    places : dict of Vertex to (float, float)
        Of all but the old states, which are where the step before has its new ones.
    ways : dict of Edge to list of (float, float)
        Points that a line passes between its ends.
    top, bottom : float
    """

    columns: int = 1
    rails: dict[int, float] = field(default_factory=dict)
    places: dict[Vertex, tuple[float, float]] = field(default_factory=dict)
    ways: dict[Edge, list[tuple[float, float]]] = field(default_factory=dict)
    top: float = 0.0
    bottom: float = 0.0


def laid_out(graph: StepGraph) -> Layout:
    """The layout of a step."""
    depth = _depths(graph)
    layout = Layout(columns=max([d for v, d in depth.items() if v.kind in (VALUE, STATE)], default=1))
    columns = _columns(graph, depth, layout.columns)
    tallest = max(map(len, columns.values()), default=0)
    layout.rails = _rails(graph, GAP * (tallest or 0.3))
    layout.top = max(layout.rails.values(), default=0.0)
    _order(graph, columns, layout.rails)
    heights: dict[Any, float] = {}
    for column in columns.values():
        middle = GAP * (tallest - 1) / 2
        for row, item in enumerate(column):
            heights[item] = middle + GAP * (row - (len(column) - 1) / 2)
    layout.bottom = -GAP
    _place(graph, depth, heights, layout)
    for edge in graph.edges:
        source = layout.places.get(edge.source)
        if source and edge.target.kind == OUTPUT and layout.places[edge.target][0] == source[0] + 0.5:
            layout.ways[edge] = [(source[0] + 0.5, source[1] + 0.6 * GAP)]  # past what stands above the source
        elif _by_rail(edge, depth):
            layout.ways[edge] = [(float(depth[edge.target] - 1), layout.rails[edge.source.number])]
        else:
            layout.ways[edge] = [(k, heights[edge, k]) for k in range(layout.columns + 1) if (edge, k) in heights]
    _keep_off(graph, layout)
    return layout


def _keep_off(graph: StepGraph, layout: Layout) -> None:
    """Lead lines around circles, those of the steps beside this one included."""
    old = {v: layout.places[w] for w in graph.vertices if w.kind == STATE for v in graph.vertices
           if v.kind == OLD and v.number == w.number}  # fmt: skip
    circles = [(x + t * layout.columns, y) for x, y in layout.places.values() for t in (-1, 0, 1)]
    circles += [(0.0, height) for height in layout.rails.values()]
    for edge in graph.edges:
        target = layout.places[edge.target]
        # In the unfolded picture an old state is where the step before has it; in the folded one, and at first, at 0.
        if edge.source.kind == OLD:
            x, y = old[edge.source]
            start, others = (0.0, y), [*circles, (x - layout.columns, y)]
        else:
            start, others = layout.places[edge.source], circles
        near = np.array(others)
        ways = around([start, *layout.ways[edge], target], near, GAP, NARROW, REACH)
        if edge.source.kind == OLD and not is_clear((x - layout.columns, y), [*ways, target][0], near, NARROW, REACH):
            ways = [start, *ways]  # along the rail until this step begins
        layout.ways[edge] = ways


def _depths(graph: StepGraph) -> dict[Vertex, int]:
    """The column of each vertex: one behind the last of those that it is computed from."""
    depth: dict[Vertex, int] = {}
    for vertex in graph.vertices:
        before = [depth[edge.source] for edge in graph.edges if edge.target == vertex]
        depth[vertex] = 0 if vertex.kind in (OLD, INPUT) else 1 + max(before, default=0)
    return depth


def _columns(graph: StepGraph, depth: dict[Vertex, int], last: int) -> dict[int, list[Any]]:
    """What has to find a place in each column: values, and lines that pass through."""
    columns: dict[int, list[Any]] = {k: [] for k in range(1, last + 1)}
    for vertex in reversed(graph.vertices):
        if vertex.kind == VALUE:
            columns[depth[vertex]].append(vertex)
    for edge in graph.edges:
        if edge.target.kind != OUTPUT and not _by_rail(edge, depth):
            for k in range(depth[edge.source] + 1, depth[edge.target]):
                columns[k].append((edge, k))
    return columns


def _by_rail(edge: Edge, depth: dict[Vertex, int]) -> bool:
    """Whether a line keeps to the rail of its source until the column before its target: if nothing is in the way."""
    source, target = edge.source, edge.target
    if source.kind not in (OLD, STATE) or target.kind == OUTPUT:
        return False
    new = min((d for v, d in depth.items() if v.kind == STATE and v.number == source.number), default=0)
    return source.kind == STATE or depth[target] <= new


def _rails(graph: StepGraph, lowest: float) -> dict[int, float]:
    """The heights of the states: the more lines go to other values, the lower."""
    busy: Counter[int] = Counter()
    for vertex in graph.vertices:
        if vertex.kind == STATE:
            busy[vertex.number] += 0
    for edge in graph.edges:
        if edge.source.kind == OLD and edge.target.kind == VALUE:
            busy[edge.source.number] += 1
    order = sorted(busy, key=lambda number: (-busy[number], number))
    return {number: lowest + GAP * row for row, number in enumerate(order)}


def _order(graph: StepGraph, columns: dict[int, list[Any]], rails: dict[int, float]) -> None:
    """Sort each column by the mean height of what its entries are joined to, some times over."""
    beside = _neighbours(graph, columns)
    for sweep in range(SWEEPS):
        heights = {item: GAP * row for column in columns.values() for row, item in enumerate(column)}

        def mean(item: Any, heights: dict = heights) -> float:
            near = [_height(other, heights, rails) for other in beside[item]]
            return sum(near) / len(near) if near else heights[item]

        for k in sorted(columns, reverse=sweep % 2 == 1):
            columns[k].sort(key=mean)


def _neighbours(graph: StepGraph, columns: dict[int, list[Any]]) -> dict[Any, list[Any]]:
    """What stands next to each entry of a column on a line: vertices or other entries."""
    beside: dict[Any, list[Any]] = {item: [] for column in columns.values() for item in column}
    for edge in graph.edges:
        chain = [edge.source, *[(edge, k) for k in sorted(columns) if (edge, k) in beside], edge.target]
        for one, other in zip(chain, chain[1:], strict=False):
            if one in beside:
                beside[one].append(other)
            if other in beside:
                beside[other].append(one)
    return beside


def _height(item: Any, heights: dict[Any, float], rails: dict[int, float]) -> float:
    if item in heights:
        return heights[item]
    if isinstance(item, Vertex) and item.kind in (OLD, STATE):
        return rails[item.number]
    return -GAP if isinstance(item, Vertex) and item.kind == INPUT else max(rails.values(), default=0.0) + GAP


def _place(graph: StepGraph, depth: dict[Vertex, int], heights: dict[Any, float], layout: Layout) -> None:
    taken: set[float] = set()
    # With nothing between the inputs and the states, these stand above those, as in every textbook.
    simple = layout.columns == 1 and not any(v.kind == VALUE for v in graph.vertices)
    for vertex in graph.vertices:
        if vertex.kind == VALUE:
            layout.places[vertex] = float(depth[vertex]), heights[vertex]
        elif vertex.kind == STATE:
            layout.places[vertex] = float(min(depth[vertex], layout.columns)), layout.rails[vertex.number]
        elif vertex.kind == INPUT:
            first = 1.0 if simple else 0.0
            layout.places[vertex] = first + 0.55 * vertex.number, layout.bottom
    for vertex in graph.vertices:
        if vertex.kind == OUTPUT:
            layout.places[vertex] = _above(graph, vertex, layout, taken), layout.top + GAP
            taken.add(layout.places[vertex][0])


def _above(graph: StepGraph, vertex: Vertex, layout: Layout, taken: set[float]) -> float:
    """The column of an output: above what it is computed from, if nothing is in the way."""
    sources = [layout.places[e.source] for e in graph.edges if e.target == vertex and e.source in layout.places]
    column, height = max(sources, default=(float(layout.columns), 0.0))
    blocked = any(c == column and h > height for v, (c, h) in layout.places.items() if v.kind != OUTPUT)
    column += 0.5 if blocked else 0.0
    while column in taken:
        column += 0.5
    return column
