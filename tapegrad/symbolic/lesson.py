"""The numbers on which a backward pass is checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad import pytree

from .derivation import Derivation
from .expressions import Layout, Value


class Lesson:
    """One sequence of random numbers, and what the equations make of it.

    Attributes
    ----------
    params, state, xs, outputs, final : pytrees
        Parameters, first state, inputs, and the derivative of the loss by the outputs and by the last state, without
        the axis of the batch.
    run : Run
        Of one step more than there are: see :class:`Follower`.
    """

    def __init__(
        self, derivation: Derivation, steps: int, rng: np.random.Generator, with_state: bool = True, x: Any = None
    ):
        self.derivation, self.steps = derivation, steps
        self.subject = subject = derivation.subject
        examples = [pytree.leaves(tree) for tree in subject.examples]
        if x is not None:
            examples[2] = pytree.leaves(x)

        def drawn(k: int, leaf: Any, i: int, lead: tuple[int, ...] = ()) -> np.ndarray:
            if leaf.floating:
                return np.asarray(0.8 * rng.standard_normal((*lead, *leaf.layout.features)))
            held = np.asarray(examples[k][i])
            if k == 2:
                return held[rng.integers(0, len(held), lead)]
            return held if k == 0 else held[0]

        def tree(k: int, leaves: list[Any], lead: tuple[int, ...] = ()) -> Any:
            return subject.structures[k].unflatten([drawn(k, leaf, i, lead) for i, leaf in enumerate(leaves)])

        self.params, self.state = tree(0, subject.params), tree(1, subject.state)
        self.xs = tree(2, subject.xs, (steps + 1,))
        shapes = [self._features(symbol) for symbol in subject.output_symbols]
        outputs = [rng.standard_normal((steps + 1, *shape)) for shape in shapes]
        for array in outputs:
            array[steps] = 0.0
        self.final = pytree.map(lambda a: with_state * rng.standard_normal(np.shape(a)), self.state)
        given = subject.structures[3].unflatten(outputs)
        self.outputs = pytree.map(lambda a: a[:steps], given)
        self.run = derivation.run(self.params, self.xs, self.state, outputs=given)

    def layouts(self) -> dict[str, Layout]:
        """How the array of each named value lies."""
        subject = self.subject
        found = {v.name: subject.reader_layout(subject.tape.aval(slot)) for slot, v in subject.values.items()}
        outputs = zip(subject.output_symbols, subject.outputs, strict=True)
        found.update({v.name: subject.reader_layout(subject.tape.aval(slot)) for v, slot in outputs if slot >= 0})
        found.update({leaf.symbol.name: leaf.layout for leaf in (*subject.state, *subject.xs)})
        return found

    def _features(self, symbol: Value) -> tuple[int, ...]:
        return self.layouts()[symbol.name].features if symbol.name in self.layouts() else ()

    def values(self) -> dict[str, np.ndarray]:
        """Every named value over time, as the function gets it."""
        subject, found = self.subject, {}
        symbols = [*subject.values.values(), *subject.output_symbols, *[leaf.symbol for leaf in subject.xs]]
        states = {leaf.symbol.name: leaf.symbol for leaf in subject.state}
        layouts = self.layouts()
        for symbol in [*symbols, *states.values()]:
            first = 0 if symbol.name in states else 1
            rows = [self.run.table.get(symbol.at(t)) for t in range(first, self.steps + 1)]
            if rows and all(row is not None for row in rows):
                features = layouts[symbol.name].features
                found[symbol.name] = np.stack([np.asarray(row).reshape(features) for row in rows])
        return found
