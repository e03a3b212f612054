"""The printed equations as an oracle: row by row, since they are those of one sequence. SymPy is imported with it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.symbolic import derive

from .. import pytree
from .cell_problem import CellProblem
from .cell_readings import GRADIENT, VALUES, Reading, Readings


def by_equations(problem: CellProblem) -> Readings:
    """The results and gradients that the printed equations give."""
    leaves = list(problem.leaves)
    for i, leaf in zip(problem.floating, problem.exact(), strict=True):
        leaves[i] = leaf
    params, state, xs = problem.structure.unflatten(leaves)
    if "derivation" not in problem.shared:
        problem.shared["derivation"] = derive(problem.cell, x=pytree.map(lambda a: a[0, :1], xs))
    rows = [_Row(problem, params, state, xs, b) for b in range(problem.batch)]
    count, weights = problem.counts[0], problem.weights
    found: Readings = {}
    for k in range(len(weights)):
        parts = [row.results[k] for row in rows]
        if all(part is not None for part in parts):
            made = np.stack(parts, axis=0 if k < count else 1)
            found.update({(problem.kind(kind), k): Reading(made.reshape(weights[k].shape)) for kind in VALUES})
    sizes = [len(pytree.leaves(tree)) for tree in (params, state)]
    for i in problem.floating:
        parts = [row.gradients[i] for row in rows]
        # The gradient of a parameter is a sum over the rows; a row of the others has its own.
        made = sum(parts) if i < sizes[0] else np.stack(parts, axis=0 if i < sum(sizes) else 1)
        found[problem.kind(GRADIENT), i] = Reading(np.reshape(made, problem.leaves[i].shape))
    return found


class _Row:
    """What the equations say of one row: results (None for what no equation is printed of) and gradients."""

    def __init__(self, problem: CellProblem, params: Any, state: Any, xs: Any, b: int):
        self.problem, self.derivation, self.b = problem, problem.shared["derivation"], b
        count, self.weights = problem.counts[0], problem.weights
        start, whole = pytree.map(lambda a: a[b], state), [list(range(problem.steps))]
        runs = whole if problem.masks is None else problem.masks.runs(b, problem.steps)
        ends = [leaf if known.floating else None for leaf, known in zip(pytree.leaves(start), self._state, strict=True)]
        outputs = [
            np.zeros((problem.steps, *u.shape[2:])) if problem.moves(k) else None
            for k, u in enumerate(self.weights[count:], count)
        ]
        self.results: list[Any] = [*ends, *outputs]
        # Of a row without steps the final state is the initial one.
        self.gradients = [
            *[np.zeros(np.shape(leaf)) for leaf in pytree.leaves(params)],
            *[np.zeros(u.shape[1:]) if runs else np.array(u[b], float) for u in self.weights[:count]],
            *[np.zeros((problem.steps, *leaf.shape[2:])) for leaf in pytree.leaves(xs)],
        ]
        for times in runs:
            self._add(times, times is runs[-1], params, start, pytree.map(lambda a, t=times: a[t, b], xs))

    @property
    def _state(self) -> Any:
        return self.derivation.subject.state

    def _add(self, times: list[int], last: bool, params: Any, start: Any, xs: Any) -> None:
        """One stretch of time, from the initial state on; the final state counts in the last."""
        count, subject = self.problem.counts[0], self.derivation.subject
        run = self.derivation.run(
            params, xs, start,
            outputs=self.problem.endings[1].unflatten([np.asarray(u[times, self.b], float)
                                                       for u in self.weights[count:]]),
            final=self.problem.endings[0].unflatten([last * np.asarray(u[self.b], float)
                                                     for u in self.weights[:count]]),
        )  # fmt: skip
        for k, leaf in enumerate(self._state):
            end = run.table.get(leaf.symbol.at(len(times))) if leaf.floating else None
            self.results[k] = None if end is None else np.reshape(end, self.weights[k].shape[1:])
        for made, symbol in zip(self.results[count:], subject.output_symbols, strict=True):
            if made is not None:
                for t, place in enumerate(times, 1):
                    made[place] = np.reshape(run.table[symbol.at(t)], made.shape[1:])
        shares = [run.gradients.get(leaf.path) for leaf in subject.params]
        shares += list(run.initial)
        for gradient, share in zip(self.gradients, shares, strict=False):
            if share is not None:  # else no derivative is printed, and it is zero
                gradient += np.reshape(share, gradient.shape)
        for gradient, leaf in zip(self.gradients[len(shares) :], subject.xs, strict=True):
            equation = self.derivation.inputs.get(leaf.path)
            if equation is not None:
                for t, place in enumerate(times, 1):
                    gradient[place] = np.reshape(run.at(equation.right, t), gradient.shape[1:])
