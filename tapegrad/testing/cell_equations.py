"""The printed equations as an oracle: row by row, since they are those of one sequence. SymPy is imported with it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.symbolic import derive

from .. import pytree
from .cell_oracles import GRADIENT, VALUES, Reading, Readings
from .cell_problem import CellProblem


def by_equations(problem: CellProblem) -> Readings:
    """The results and gradients that the printed equations give."""
    leaves = list(problem.leaves)
    for i, leaf in zip(problem.floating, problem.exact(), strict=True):
        leaves[i] = leaf
    params, state, xs = problem.structure.unflatten(leaves)
    derivation = derive(problem.cell, x=pytree.map(lambda a: a[0, :1], xs))
    count, weights = problem.counts[0], problem.weights
    rows = []
    for b in range(problem.batch):
        run = derivation.run(
            params, _row(xs, b, 1), _row(state, b, 0),
            outputs=problem.endings[1].unflatten([np.asarray(u[:, b], float) for u in weights[count:]]),
            final=problem.endings[0].unflatten([np.asarray(u[b], float) for u in weights[:count]]),
        )  # fmt: skip
        rows.append((_results(derivation, run, problem), _gradients(derivation, run, problem)))
    found: Readings = {}
    for k in range(len(weights)):
        parts = [results[k] for results, _ in rows]
        if all(part is not None for part in parts):
            made = np.stack(parts, axis=0 if k < count else 1)
            found.update({(kind, k): Reading(made.reshape(weights[k].shape)) for kind in VALUES})
    sizes = [len(pytree.leaves(tree)) for tree in (params, state)]
    for i in problem.floating:
        parts = [gradients[i] for _, gradients in rows]
        # The gradient of a parameter is a sum over the rows; a row of the others has its own.
        made = sum(parts) if i < sizes[0] else np.stack(parts, axis=0 if i < sum(sizes) else 1)
        found[GRADIENT, i] = Reading(np.reshape(made, problem.leaves[i].shape))
    return found


def _row(tree: Any, b: int, axis: int) -> Any:
    return pytree.map(lambda a: np.take(a, b, axis), tree)


def _results(derivation: Any, run: Any, problem: CellProblem) -> list[Any]:
    """The final state and the outputs of a row; None for what no equation is printed of."""
    subject, steps = derivation.subject, problem.steps
    final = [run.table.get(leaf.symbol.at(steps)) if leaf.floating else None for leaf in subject.state]
    outputs: list[Any] = []
    for k, symbol in enumerate(subject.output_symbols, problem.counts[0]):
        ys = [run.table[symbol.at(t)] for t in range(1, steps + 1) if problem.moves(k)]
        outputs.append(np.stack(ys) if ys else None)
    return [*final, *outputs]


def _gradients(derivation: Any, run: Any, problem: CellProblem) -> list[Any]:
    """The derivative by each leaf, for a row; zeros where none is printed."""
    subject = derivation.subject
    params = [run.gradients.get(leaf.path, np.zeros(leaf.layout.features)) for leaf in subject.params]
    state = [
        np.zeros(leaf.layout.features) if made is None else made
        for leaf, made in zip(subject.state, run.initial, strict=True)
    ]
    inputs = []
    for leaf in subject.xs:
        equation = derivation.inputs.get(leaf.path)
        shares = [
            np.zeros(leaf.layout.features) if equation is None else run.at(equation.right, t)
            for t in range(1, problem.steps + 1)
        ]
        inputs.append(np.stack(shares))
    return [*params, *state, *inputs]
