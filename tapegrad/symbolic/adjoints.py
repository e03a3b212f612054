"""The step's VJP, read: the adjoint of every named value, the gradients, and what flows on to the step before.

To see the cotangent of a value inside the step, zero is added to it and the derivative by that zero is asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.tape import AbstractTape
from tapegrad.tracing import trace
from tapegrad.transforms import vjp

from . import algebra as al
from .constants import is_zero, zeros
from .expressions import TIME, Value, replaced
from .gathers import assembled
from .inlining import written_out
from .losses import loss_gradients
from .reading import Reader, matrix_shape
from .subject import Subject


class Adjoints:
    """The backward equations of one step.

    Attributes
    ----------
    shown : dict of int to Value
        The values whose adjoints are equations of their own, by slot, in the order of the tape: those that are states,
        and those that are used more than once.
    equations : dict of Value to expression
        The adjoint of each shown value at t, in an order in which they can be evaluated, from the derivatives by
        the outputs and by the new state (``carried``).
    params : list of expression or None
        One step's share in the gradient of each parameter; None for those that are not floating.
    state, xs : list of expression or None
        The derivative by the state before, and by x.
    carried, direct : list of Value
        What stands for the derivative by each new state, through all later steps, and by each output.
    """

    def __init__(self, subject: Subject, inline: frozenset[str] = frozenset(), loss: Any = None, target: Any = None):
        self.subject = subject
        self.floating = [leaf.floating for leaf in (*subject.params, *subject.state, *subject.xs)]
        self.named = [slot for slot in subject.values]
        self.carried = [leaf.symbol.at(TIME).as_role("carried") for leaf in subject.state]
        self.direct = [symbol.as_role("direct") for symbol in subject.output_symbols]
        self.loss, self.target = loss_gradients(subject, loss, target)
        self.tape = self._trace()
        everything = set(self.named)
        self._read(everything)
        self._read(everything - self._inlined(inline))

    # ---- the tape ----
    def _trace(self) -> AbstractTape:
        subject = self.subject
        tape = subject.tape
        inputs = [np.broadcast_to(np.zeros((), a.dtype), a.shape) for a in map(tape.aval, tape.inputs)]
        zeros = [np.broadcast_to(0.0, tape.aval(slot).shape) for slot in self.named]
        wanted = [slot for slot in (*subject.next_state, *subject.outputs) if slot >= 0]
        seeds = [slot for slot in wanted if tape.aval(slot).dtype.kind == "f"]
        cotangents = [np.broadcast_to(0.0, tape.aval(slot).shape) for slot in seeds]
        floats = [i for i, f in enumerate(self.floating) if f]

        def backward(given: list, added: list, weights: list) -> Any:
            def forward(chosen: list, added: list) -> Any:
                full = list(given)
                for i, value in zip(floats, chosen, strict=True):
                    full[i] = value
                env = subject.replay(full, dict(zip(self.named, added, strict=True)), [*seeds, *self.named])
                return [env[s] for s in seeds], [env[s] for s in self.named]

            (results, named), pull = vjp(forward, [given[i] for i in floats], added)
            return named, pull((weights, [np.zeros(np.shape(v)) for v in named]))

        self.seeds = seeds
        return trace(backward)(inputs, zeros, cotangents)

    # ---- reading it ----
    def _read(self, shown: set[int]) -> None:
        subject, tape = self.subject, self.tape
        n, m = len(self.floating), len(self.named)
        inputs, added, weights = tape.inputs[:n], tape.inputs[n : n + m], tape.inputs[n + m :]
        leaves: dict[int, Any] = dict(zip(inputs, subject.leaves.values(), strict=True))
        leaves.update({s: zeros(subject.values[k].shape) for s, k in zip(added, self.named, strict=True)})
        leaves.update(zip(weights, [self._seed(k) for k in range(len(self.seeds))], strict=True))
        for slot, (place, _) in zip(self.named, tape.outputs[:m], strict=True):
            if slot in subject.helpers and slot not in shown:
                continue
            leaves[place] = subject.values[slot]
            node = tape.nodes[place]
            assert node is not None  # the sum with zero, of which the rules read what stands before it
            leaves[node.slots[0]] = subject.values[slot]
        self.reader = Reader(tape, subject.rows, leaves, subject.constants, backward=True)
        self.folds = subject.folds()
        self._equations(shown, tape.outputs[m:])

    def _seed(self, k: int) -> Any:
        """What stands for the cotangent of a result."""
        states = [c for c, slot in zip(self.carried, self.subject.next_state, strict=True) if slot in self.seeds]
        outputs = [d for d, slot in zip(self.direct, self.subject.outputs, strict=True) if slot in self.seeds]
        return [*states, *[self.loss.get(symbol, symbol) for symbol in outputs]][k]

    def _equations(self, shown: set[int], outputs: list[tuple[int, Any]]) -> None:
        subject, reader = self.subject, self.reader
        floats = [i for i, f in enumerate(self.floating) if f]
        gradients, adjoints = outputs[: len(floats)], outputs[len(floats) :]
        self.equations: dict[Value, Any] = {}
        self.shown: dict[int, Value] = {}
        places = {slot: place for slot, (place, _) in zip(self.named, adjoints, strict=True)}
        states = set(subject.next_state)
        for slot in sorted(shown, key=lambda s: (places[s], -s)):
            symbol = subject.values[slot].as_role("adjoint")
            place = places[slot]
            made = zeros(symbol.shape) if place < 0 else assembled(replaced(reader.read(place), self.folds))
            if is_zero(made) and slot not in states:
                continue
            self.equations[symbol] = made
            self.shown[slot] = symbol
            if place >= 0:
                reader.known[place] = symbol
        parts: list[Any] = [None] * len(self.floating)
        symbols = [*subject.params, *subject.state, *subject.xs]
        for i, (place, _) in zip(floats, gradients, strict=True):
            leaf = symbols[i]
            shape = tuple(matrix_shape(leaf.layout.features))
            made = zeros(shape) if place < 0 else replaced(reader.read(place), self.folds)
            parts[i] = al.transposed(made) if leaf.turned else made
        p, s = len(subject.params), len(subject.state)
        self.params, self.state, self.xs = parts[:p], parts[p : p + s], parts[p + s :]

    def _inlined(self, inline: frozenset[str]) -> set[int]:
        """Values whose adjoint needs no name: it is zero, or short and read once, or is to be written out."""
        states = set(self.subject.next_state)
        symbols = {slot: self.subject.values[slot].as_role("adjoint") for slot in self.named}
        given = {s for s, made in self.equations.items() if isinstance(made, Value) and made.role == "direct"}
        keep = given | {symbol for slot, symbol in symbols.items() if slot in states}
        others = [x for x in [*self.params, *self.state] if x is not None]
        short = written_out(self.equations, others, keep, "adjoint")
        return {
            slot for slot, symbol in symbols.items()
            if slot not in states and (symbol.name in inline or slot not in self.shown or symbol in short)
        }  # fmt: skip
