"""A step as a graph of the values that have a name: states, inputs, outputs, and what the code calls by a letter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from .. import pytree
from ..dependence import dependents
from ..tape import AbstractTape
from ..tracing import joined, trace
from .problem import Problem, state_names

OLD, INPUT, VALUE, STATE, OUTPUT = "old", "input", "value", "state", "output"
SUMS = ("add", "subtract")  # a bias says nothing about a path, and a weight does


@dataclass(frozen=True)
class Vertex:
    """A value of one step.

    Attributes
    ----------
    kind : str
        "old", the state before the step; "input"; "value", a local variable; "state", the new one; or "output".
    name : str
    slot : int
        On the tape; -1 for a constant.
    number : int
        Among those of its kind; an old state and its new one have the same.
    """

    kind: str
    name: str
    slot: int
    number: int


@dataclass(frozen=True)
class Edge:
    """That a vertex is computed from another, with the parameters that are met on the way."""

    source: Vertex
    target: Vertex
    params: tuple[str, ...] = ()


class StepGraph:
    """The graph of a step.

    Attributes
    ----------
    tape : AbstractTape
    params, given : list
        The slots of the parameters, and their values.
    at : dict of int to Vertex
        Who stands for a slot.
    vertices : list of Vertex
        Each behind those that it is computed from.
    edges : list of Edge
    """

    def __init__(self, problem: Problem):
        x = problem.x(0)
        self.tape: AbstractTape = trace(problem.step)(problem.params, problem.state, x)
        counts = [len(pytree.leaves(part)) for part in (problem.params, problem.state, x)]
        ends = counts[0], counts[0] + counts[1]
        self.params = self.tape.inputs[: ends[0]]
        self.given = pytree.leaves(problem.params)
        self.moving = dependents(self.tape, self.tape.inputs[ends[0] :], everything=True)
        names = state_names(problem.step, problem.params, problem.state, x)
        old = [
            Vertex(OLD, name, slot, k)
            for k, (name, slot) in enumerate(zip(names, self.tape.inputs[ends[0] : ends[1]], strict=True))
        ]
        xs = _numbered(INPUT, "x", self.tape.inputs[ends[1] :], pytree.paths(x))
        results = [slot for slot, _ in self.tape.outputs]
        new = [Vertex(STATE, name, slot, k) for k, (name, slot) in enumerate(zip(names, results, strict=False))]
        y_tree = self.tape.structures[1].children[1]
        ys = self._outputs(_numbered(OUTPUT, "y", results[len(new) :], y_tree.paths()), new)
        self.vertices = [*old, *xs, *self._inner(old + xs, new, ys)]
        self.edges = [edge for vertex in self.vertices for edge in self._into(vertex)]
        self._drop_what_leads_nowhere()

    def _read(self) -> set[int]:
        """The slots that something is computed from which becomes a state or an output."""
        read: set[int] = set()
        wanted = {slot for slot, _ in self.tape.outputs}
        for slot in reversed(range(len(self.tape.nodes))):
            held, end = self.tape.nodes[slot], slot + 1
            while held is not None and end < len(self.tape.nodes) and self.tape.nodes[end] is None:
                end += 1  # a node with several results has the slots behind it
            if held is not None and not wanted.isdisjoint(range(slot, end)):
                read.update(held.slots)
                wanted.update(held.slots)
        return read

    def _outputs(self, ys: list[Vertex], new: list[Vertex]) -> list[Vertex]:
        """The outputs, called as the code calls them where they are nothing else besides."""
        others = self._read() | {vertex.slot for vertex in new} | set(self.tape.inputs)
        return [replace(v, name=self.tape.names.get(v.slot, v.name)) if v.slot not in others else v for v in ys]

    def _inner(self, given: list[Vertex], new: list[Vertex], ys: list[Vertex]) -> list[Vertex]:
        """What the step computes, in its order."""
        self.at = {vertex.slot: vertex for vertex in given}
        read = self._read()
        for vertex in [*new, *ys]:
            # An output that the step goes on computing with is a value of its own, and then the output.
            if vertex.slot >= 0 and not (vertex.kind == OUTPUT and vertex.slot in read):
                self.at.setdefault(vertex.slot, vertex)
        unnamed = {v.slot: v.name for v in ys if v.slot in read and v.slot not in self.tape.names}
        names = {slot: name for slot, name in self.tape.names.items() if slot not in self.tape.inputs} | unnamed
        named = [slot for slot in sorted(names) if slot in self.moving and slot not in self.at]
        values = [Vertex(VALUE, names[slot], slot, 0) for slot in named]
        self.at.update({vertex.slot: vertex for vertex in values})
        order = {OUTPUT: 1}  # an output that is a state stands behind it
        return sorted([*values, *new, *ys], key=lambda v: (v.slot, order.get(v.kind, 0)))

    def _into(self, vertex: Vertex) -> Iterator[Edge]:
        if vertex.kind in (OLD, INPUT) or vertex.slot not in self.at:  # a constant; a part of the parameters
            return
        stands = self.at[vertex.slot]
        if stands != vertex:
            yield Edge(stands, vertex)
            return
        for source, params in self._paths(vertex.slot, {}, root=True).items():
            yield Edge(source, vertex, tuple(params))

    def _paths(self, slot: int, known: dict[int, dict], root: bool = False) -> dict[Vertex, list[str]]:
        """The vertices that a slot is computed from directly, and the parameters on the way from each."""
        if slot in self.at and not root:
            return {self.at[slot]: []}
        if slot not in self.moving or slot in self.tape.inputs:
            return {}
        while self.tape.nodes[slot] is None:
            slot -= 1
        if slot in known:
            return known[slot]
        node: Any = self.tape.nodes[slot]
        held = [s for s in node.slots if s >= 0]
        fixed = [] if node.primitive.name in SUMS else [s for s in held if s not in self.moving]
        weights = [name for s in fixed for name in self._names(s)]
        found: dict[Vertex, list[str]] = {}
        for s in held:
            for source, params in self._paths(s, known).items():
                mine = found.setdefault(source, [])
                mine += [name for name in [*params, *weights] if name not in mine]
        known[slot] = found
        return found

    def _names(self, slot: int) -> list[str]:
        """The parameters that a slot is computed from, by the last part of their names."""
        if slot in self.params:
            return [self.tape.names[slot].rpartition(".")[2]]
        if slot in self.tape.inputs or slot in self.tape.consts:
            return []
        while self.tape.nodes[slot] is None:
            slot -= 1
        held = [s for s in self.tape.nodes[slot].slots if s >= 0]  # type: ignore[union-attr]
        return list(dict.fromkeys(name for s in held for name in self._names(s)))

    def _drop_what_leads_nowhere(self) -> None:
        """Leave out values that no state and no output is computed from."""
        while True:
            read = {edge.source for edge in self.edges}
            dead = {v for v in self.vertices if v.kind == VALUE and v not in read}
            if not dead:
                return
            self.vertices = [v for v in self.vertices if v not in dead]
            self.edges = [edge for edge in self.edges if edge.target not in dead]


def _numbered(kind: str, letter: str, slots: list[int], paths: list[str]) -> list[Vertex]:
    """The vertices of the leaves of x or y: the letter, or the key of a container."""
    names = [letter if path == "value" else path if path[0] != "[" else joined(letter, path) for path in paths]
    return [Vertex(kind, name, slot, k) for k, (name, slot) in enumerate(zip(names, slots, strict=True))]
