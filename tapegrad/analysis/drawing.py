"""A cell as a picture: folded, and unfolded over some steps with its values and gradients."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import pytree
from ..cells import Cell
from ..cells.layer import refuse_network
from ..errors import OptionError
from .axes import axes
from .flows import Flow, flows
from .graphs import OLD, STATE, StepGraph, Vertex
from .layout import Layout, laid_out
from .pictures import Picture
from .problem import Problem

CAPTION = "blue: the value that goes along the arrow; red: the gradient that comes back; norms of arrays"


def draw(
    cell: Any,
    T: int | None = None,  # noqa: N803 - as it is written
    params: Any = None,
    xs: Any = None,
    state: Any = None,
    *,
    ax: Any = None,
    loss: Callable | None = None,
    numbers: bool = True,
    weights: bool = True,
    rng: np.random.Generator | None = None,
) -> Any:
    """Draw a cell: folded, with its loop through time; or unfolded over T steps, with what flows through it.

    The circles are the states, the inputs, the outputs, and the values that ``step`` gives a name; an arrow says that
    one is computed from the other. In the folded picture a black square is a delay of one step. In the unfolded one
    each arrow carries the value that goes forwards (above or left, blue) and the gradient that comes back (below or
    right, red): a number when it is one, else its Euclidean norm, over all rows.

    Parameters
    ----------
    cell : Cell, or callable
        A cell; or a step as :func:`tapegrad.scan` takes it, with ``params``, ``xs`` and ``state``.
    T : int, optional
        How many steps to unfold; None folds.
    params, xs, state : pytrees, optional
        As for a call of the cell; of ``xs`` the first T steps. A cell without them is drawn with random parameters and
        inputs.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure of a fitting size.
    loss : callable, optional
        From the outputs of all T steps to a scalar; by default their sum.
    numbers : bool
        Whether the unfolded picture has values and gradients.
    weights : bool
        Whether the folded picture names the parameters on the arrows.
    rng : numpy.random.Generator, optional
        For what is random; ``np.random.default_rng(0)`` by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingLibrary
        When matplotlib is not installed.
    OptionError
        When ``T`` is no whole number from 1, or a step function came without its arguments.

    References
    ----------
    Goodfellow, Bengio & Courville 2016, section 10.1: folded and unfolded graphs, with the black square.
    """
    if T is not None and (not hasattr(T, "__index__") or operator.index(T) < 1):
        raise OptionError(f"draw: T={T!r}; give the number of steps to unfold, from 1, or None for the folded graph")
    problem = _problem(cell, T, params, xs, state, np.random.default_rng(0) if rng is None else rng)
    graph = StepGraph(problem)
    layout = laid_out(graph)
    steps = 1 if T is None else operator.index(T)
    wide = T is not None and numbers
    if ax is None:
        ax = axes("draw", None, figsize=Picture.size(layout, steps, T is None, wide), layout="constrained")
    picture = Picture(axes("draw", ax), layout, steps, T is None, wide)
    if T is None:
        _folded(picture, graph, layout, weights)
    else:
        _unfolded(picture, graph, layout, steps, flows(problem, graph, loss) if numbers else None)
    return ax


def _problem(cell: Any, T: int | None, params: Any, xs: Any, state: Any, rng: np.random.Generator) -> Problem:
    """The arguments, with random ones where a cell came without."""
    steps = 1 if T is None else operator.index(T)
    refuse_network("draw", cell)
    if isinstance(cell, Cell):
        dtype: Any = np.float64
        if params is None:
            params = cell.init(rng, dtype)
        else:
            dtype = next((leaf.dtype for leaf in pytree.leaves(params)), np.dtype(dtype))
        if xs is None:
            if cell.inputs() is None:
                raise OptionError(f"draw: {cell!r} does not declare its inputs; give xs=")
            xs = pytree.map(lambda i: rng.standard_normal((steps, 1, *i.shape)).astype(i.dtype or dtype), cell.inputs())
    elif xs is None:
        raise OptionError("draw: a step function declares nothing; give params, xs and state, or draw a Cell")
    if any(leaf.shape[0] < steps for leaf in pytree.leaves(xs)):
        raise OptionError(f"draw: xs has fewer than T={steps} steps; give more, or a smaller T")
    # All rows as one vector: a picture has no need of Jacobians, and may be of any step.
    return Problem("draw", cell, params, pytree.map(lambda a: a[:steps], xs), state, None, False, carries=False)


def _folded(picture: Picture, graph: StepGraph, layout: Layout, weights: bool) -> None:
    at = dict(layout.places)
    for vertex in graph.vertices:
        if vertex.kind == OLD:
            at[vertex] = 0.0, layout.rails[vertex.number]
    used = {edge.source for edge in graph.edges}
    for edge in graph.edges:
        ways = [point for point in layout.ways[edge] if point != at[edge.source]]
        start = 0.07 if edge.source.kind == OLD else None
        label = edge.params if weights else ()
        picture.arrow(at[edge.source], ways, at[edge.target], start=start, weights=label)
    rows = sorted({v.number for v in used if v.kind == OLD}, key=lambda n: -layout.rails[n])
    for vertex in graph.vertices:
        if vertex.kind != OLD:
            picture.node(vertex, at[vertex], "t")
        elif vertex in used:
            picture.delay(at[vertex])
    for depth, number in enumerate(rows):
        new = next(v for v in graph.vertices if v.kind == STATE and v.number == number)
        picture.loop(at[new], (0.0, layout.rails[number]), depth)
    picture.finish()


def _unfolded(
    picture: Picture, graph: StepGraph, layout: Layout, steps: int, flowing: list[Flow] | None
) -> None:
    new = {v.number: v for v in graph.vertices if v.kind == STATE}

    def place(vertex: Vertex, t: int) -> tuple[float, float]:
        if vertex.kind != OLD:
            x, y = layout.places[vertex]
            return x + t * layout.columns, y
        x, y = layout.places[new[vertex.number]]
        return (x + (t - 1) * layout.columns if t else 0.0), y

    for t in range(steps):
        for edge in graph.edges:
            ways = [(x + t * layout.columns, y) for x, y in layout.ways[edge]]
            start, end = place(edge.source, t), place(edge.target, t)
            ways = [point for point in ways if point != start]
            texts: tuple[str, str] = ("", "")
            if flowing is not None:
                share = flowing[t].shares.get(edge)
                texts = shown(flowing[t].values[edge.source]), "0" if share is None else shown(share)
            picture.arrow(start, ways, end, numbers=texts)
        for vertex in graph.vertices:
            if vertex.kind != OLD:
                picture.node(vertex, place(vertex, t), str(t + 1))
            elif t == 0:
                picture.node(vertex, place(vertex, t), "0")
    picture.finish(CAPTION if flowing is not None else "")


def shown(value: Any) -> str:
    """A value in a picture: the number, or the norm of an array."""
    array = np.asarray(value, float)
    number = float(array.ravel()[0]) if array.size == 1 else float(np.linalg.norm(array))
    number += 0.0  # not -0
    if np.isfinite(number) and number != 0 and not 1e-2 <= abs(number) < 1e3:
        mantissa, exponent = f"{number:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{number:.0f}" if abs(number) >= 10 else f"{number:.2g}"
