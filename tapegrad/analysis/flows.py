"""The values that flow forwards through an unfolded cell, and the gradients that flow backwards, edge by edge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import pytree
from ..primitives.registry import is_inexact
from ..transforms import grad, vjp
from .cuts import outcomes
from .graphs import INPUT, OLD, OUTPUT, STATE, Edge, StepGraph, Vertex
from .problem import Problem


class Flow(NamedTuple):
    """What flows through one step.

    Attributes
    ----------
    values : dict of Vertex to array
    gradients : dict of Vertex to array
        The derivative of the loss by each value, along all paths.
    shares : dict of Edge to array
        The part of it that comes back along an edge.
    """

    values: dict[Vertex, Any]
    gradients: dict[Vertex, Any]
    shares: dict[Edge, Any]


def flows(problem: Problem, graph: StepGraph, loss: Callable | None) -> list[Flow]:
    """One :class:`Flow` for each step."""
    values = _forwards(problem, graph)
    seeds = _seeds(problem, graph, values, loss)
    arriving: dict[int, Any] = {}  # by the number of the state's leaf
    found = []
    for held, seed in zip(reversed(values), reversed(seeds), strict=True):
        gradients: dict[Vertex, Any] = dict(seed)
        for vertex in graph.vertices:
            if vertex.kind == STATE and vertex.number in arriving:
                gradients[vertex] = arriving[vertex.number]
        shares: dict[Edge, Any] = {}
        for vertex in reversed(graph.vertices):
            into = [edge for edge in graph.edges if edge.target == vertex]
            if vertex in gradients and into:
                for edge, share in zip(into, _shares(graph, held, vertex, into, gradients[vertex]), strict=True):
                    shares[edge] = share
                    gradients[edge.source] = gradients[edge.source] + share if edge.source in gradients else share
        arriving = {v.number: gradients[v] for v in graph.vertices if v.kind == OLD and v in gradients}
        found.append(Flow(held, gradients, shares))
    return found[::-1]


def _forwards(problem: Problem, graph: StepGraph) -> list[dict[Vertex, Any]]:
    """The values of all vertices at each step."""
    found = []
    params, state = pytree.leaves(problem.params), pytree.leaves(problem.state)
    slots = [v.slot for v in graph.vertices if v.slot >= 0]
    results = {STATE: 0, OUTPUT: len(state)}  # where those of each kind begin among the results of a step
    for t in range(problem.steps):
        args = [*params, *state, *pytree.leaves(problem.x(t))]
        made = dict(zip(slots, outcomes(graph.tape, args, {}, slots), strict=True))
        made_of = {
            v: made[v.slot] if v.slot >= 0 else np.asarray(graph.tape.outputs[results[v.kind] + v.number][1])
            for v in graph.vertices
        }
        found.append(made_of)
        state = [made_of[v] for v in sorted((v for v in made_of if v.kind == STATE), key=lambda v: v.number)]
    return found


def _seeds(problem: Problem, graph: StepGraph, values: list[dict], loss: Callable | None) -> list[dict[Vertex, Any]]:
    """The derivatives of the loss by the outputs of each step."""
    outputs = sorted((v for v in graph.vertices if v.kind == OUTPUT), key=lambda v: v.number)
    structure = graph.tape.structures[1].children[1]  # type: ignore[index]
    ys = [np.stack([held[v] for held in values]) for v in outputs]
    moving = [k for k, y in enumerate(ys) if is_inexact(y)]

    def total(moved: list[Any]) -> Any:
        full = list(ys)
        for k, y in zip(moving, moved, strict=True):
            full[k] = y
        return sum([np.sum(y) for y in moved], 0.0) if loss is None else loss(structure.unflatten(full))

    found = grad(total)([ys[k] for k in moving]) if moving else []
    return [{outputs[k]: g[t] for k, g in zip(moving, found, strict=True)} for t in range(problem.steps)]


def _shares(graph: StepGraph, held: dict[Vertex, Any], vertex: Vertex, into: list[Edge], gradient: Any) -> list[Any]:
    """The gradient of a vertex pulled back along each edge into it."""
    if graph.at[vertex.slot] != vertex:  # the same value under another name
        return [gradient]
    args = [np.zeros(graph.tape.aval(slot).shape, graph.tape.aval(slot).dtype) for slot in graph.tape.inputs]
    values = {v.slot: value for v, value in held.items() if v.kind in (OLD, INPUT)}
    args = [values.get(slot, arg) for slot, arg in zip(graph.tape.inputs, args, strict=True)]
    args[: len(graph.params)] = graph.given
    moving = [edge.source for edge in into if is_inexact(held[edge.source])]
    fixed = {edge.source.slot: held[edge.source] for edge in into}

    def local(*moved: Any) -> Any:
        replaced = fixed | {v.slot: value for v, value in zip(moving, moved, strict=True)}
        return outcomes(graph.tape, args, replaced, [vertex.slot])[0]

    pulled = iter(vjp(local, *[held[v] for v in moving])[1](gradient)) if moving else iter(())
    return [next(pulled) if edge.source in moving else np.zeros(np.shape(held[edge.source])) for edge in into]
