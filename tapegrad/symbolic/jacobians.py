"""The derivative of the new state by the old one, from the step's JVP: a matrix for each pair of state vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.tape import AbstractTape
from tapegrad.tracing import trace
from tapegrad.transforms import jvp

from . import algebra as al
from .constants import is_zero
from .expressions import TIME, Node, Value, replaced
from .inlining import written_out
from .linear import NotAMatrix, coefficients
from .reading import Reader
from .subject import Subject


class Partial(Node):
    """The Jacobian of one value at t by a state at t - 1, as a symbol."""

    def __new__(cls, value: Value, by: Value) -> Partial:
        from sympy import Basic

        return Basic.__new__(cls, value, by)

    @property
    def value(self) -> Value:
        return self.args[0]

    @property
    def by(self) -> Value:
        return self.args[1]

    @property
    def shape(self) -> Any:
        return (self.args[0].shape[0], self.args[1].shape[0])

    def _sympystr(self, printer: Any) -> str:
        return f"d{self.value!r}/d{self.by!r}"


class Jacobians:
    """The state-to-state Jacobian of a step.

    Parameters
    ----------
    subject : Subject
    visible : set of int
        The values that have equations, and so may be named.

    Attributes
    ----------
    tangents : dict of Value to expression
        The tangent of each new state, and of the values that it goes through and that are used more than once.
    blocks : dict of (Value, Value) to expression
        The Jacobian of the new state by the old one, for each pair of states whose tangents are vectors; pairs that do
        not depend on each other are left out. It may contain :class:`Partial` of other blocks and of ``parts``.
    parts : dict of Partial to expression
        In an order in which they can be evaluated; the blocks of the states are among them.
    unwritten : list of Value
        States whose Jacobian is no matrix of vectors: matrices, or functions without matrix notation.
    """

    def __init__(self, subject: Subject, visible: set[int]):
        self.subject, self.visible = subject, visible
        self.states = [k for k, leaf in enumerate(subject.state) if leaf.floating]
        self.named = list(subject.values)
        self.tape = self._trace()
        symbols = {slot: subject.values[slot].as_role("tangent") for slot in self.named}
        ends = {leaf.symbol.at(TIME).as_role("tangent") for leaf in subject.state}
        short = written_out(self._read(set(self.named)), [], ends, "tangent", repeats=False)
        named = {slot for slot in self.named if slot in visible}  # of what has no equation there is no Jacobian
        self.tangents = self._read({slot for slot in named if symbols[slot] not in short})
        self._blocks()

    def _trace(self) -> AbstractTape:
        subject = self.subject
        tape = subject.tape
        inputs = [np.broadcast_to(np.zeros((), a.dtype), a.shape) for a in map(tape.aval, tape.inputs)]
        places = [len(subject.params) + k for k in self.states]
        moves = [inputs[i] for i in places]
        ends = [slot for slot in subject.next_state if slot >= 0]

        def forward_mode(given: list, moves: list) -> Any:
            def forward(*states: Any) -> tuple[list, list]:
                full = list(given)
                for i, value in zip(places, states, strict=True):
                    full[i] = value
                # a copy of each, so that values keep their slots apart from those of the results
                env = subject.replay(full, {}, [*self.named, *ends])
                return [env[s] for s in self.named], [env[s] for s in ends]

            return jvp(forward, [given[i] for i in places], moves)

        self.ends = ends
        return trace(forward_mode)(inputs, moves)

    def _read(self, shown: set[int]) -> dict[Value, Any]:
        subject, tape = self.subject, self.tape
        n, m, e = len(subject.leaves), len(self.named), len(self.ends)
        leaves = dict(zip(tape.inputs[:n], subject.leaves.values(), strict=True))
        moves = [subject.state[k].symbol.as_role("tangent") for k in self.states]
        leaves.update(zip(tape.inputs[n:], moves, strict=True))
        for slot, (place, _) in zip(self.named, tape.outputs[:m], strict=True):
            if slot in self.visible and place >= 0:
                leaves[place] = subject.values[slot]
        reader = Reader(tape, subject.rows, leaves, subject.constants)
        folds = subject.folds()
        found: dict[Value, Any] = {}
        places = dict(zip(self.named, [p for p, _ in tape.outputs[m + e : m + e + m]], strict=True))
        for slot in sorted(shown, key=lambda s: places[s]):
            place, symbol = places[slot], subject.values[slot].as_role("tangent")
            if place < 0 or is_zero(made := replaced(reader.read(place), folds)):
                continue
            found[symbol] = made
            reader.known[place] = symbol
        for k, (slot, (place, _)) in enumerate(zip(self.ends, tape.outputs[m + e + m :], strict=True)):
            symbol = subject.state[k].symbol.at(TIME).as_role("tangent")
            if symbol not in found and slot not in subject.values and place >= 0:
                found[symbol] = replaced(reader.read(place), folds)
        return found

    def _blocks(self) -> None:
        subject = self.subject
        olds = [subject.state[k].symbol for k in self.states]
        self.parts: dict[Partial, Any] = {}
        self.unwritten: list[Value] = []
        missing: set[Value] = set()
        for tangent, made in self.tangents.items():
            value = tangent.as_role("value")
            try:
                matrices = coefficients(made)
            except NotAMatrix:
                missing.add(tangent)
                continue
            if missing & set(matrices):
                missing.add(tangent)
                continue
            for old in olds:
                terms = []
                for by, matrix in matrices.items():
                    if by.as_role("value") == old:
                        terms.append(matrix)
                    elif (inner := Partial(by.as_role("value"), old)) in self.parts:
                        terms.append(al.product(matrix, inner))
                if terms:
                    self.parts[Partial(value, old)] = al.collected(terms)
        ends = [leaf.symbol.at(TIME) for leaf in subject.state]
        self.unwritten = [v for v in ends if v.as_role("tangent") in missing]
        self.blocks = {
            (new, old): self.parts[Partial(new, old)]
            for new in ends for old in olds if Partial(new, old) in self.parts
        }  # fmt: skip
