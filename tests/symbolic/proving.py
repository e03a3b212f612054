"""A derivation against the tape: the printed equations are evaluated, and nothing else."""

import numpy as np

import tapegrad as tg
from tapegrad import pytree
from tests.cells.drawing import random_params, random_state

STEPS = 4
EXACT = 1e-12


def one(tree):
    """The only row of a batch, of arrays (1, ...)."""
    return pytree.map(lambda a: a[0], tree)


def sequence(tree):
    """The only row of a batch over time, of arrays (T, 1, ...)."""
    return pytree.map(lambda a: a[:, 0], tree)


def draw_inputs(cell, rng, steps=STEPS):
    def draw(declared):
        shape = (steps, 1, *declared.shape)
        integers = declared.dtype is not None and np.dtype(declared.dtype).kind in "iu"
        return rng.integers(0, 2, shape) if integers else rng.standard_normal(shape)

    return pytree.map(draw, cell.inputs())


class Problem:
    """One sequence through a cell: its numbers by the tape."""

    def __init__(self, cell, rng, steps=STEPS, scale=0.8):
        self.cell = cell
        self.params, self.state = random_params(cell, rng, scale=scale), random_state(cell, rng, 1)
        self.xs = draw_inputs(cell, rng, steps)
        flat, structure = pytree.flatten(self.xs)
        self.moving = [i for i, x in enumerate(flat) if x.dtype.kind == "f"]

        def run(params, state, moved):
            given = list(flat)
            for i, x in zip(self.moving, moved, strict=True):
                given[i] = x
            return cell(params, structure.unflatten(given), state, backend="reference")

        (self.end, self.ys), self.pull = tg.vjp(run, self.params, self.state, [flat[i] for i in self.moving])
        self.final, self.outputs = (
            pytree.map(lambda a: rng.standard_normal(a.shape), tree) for tree in (self.end, self.ys)
        )
        self.gradients, self.initial, self.inputs = self.pull((self.final, self.outputs))

    def run(self, derivation):
        return derivation.run(
            self.params, sequence(self.xs), one(self.state), outputs=sequence(self.outputs), final=one(self.final)
        )

    def states(self):
        """The state before each step, and the input of the step."""
        state = self.state
        for t in range(len(pytree.leaves(self.xs)[0])):
            x = pytree.map(lambda a, t=t: a[t], self.xs)
            yield state, x
            state, _ = self.cell.step(self.params, state, x)


def difference(a, b):
    """How far two arrays are apart, beside the size of the larger."""
    a, b = np.ravel(a), np.ravel(b)
    return np.max(np.abs(a - b) / (1.0 + np.abs(b)), initial=0.0)


def worst(derivation, problem):
    """The largest difference between the equations and the tape: gradients, initial adjoints, Jacobians."""
    run = problem.run(derivation)
    found = {}
    for path, g in zip(pytree.paths(problem.gradients), pytree.leaves(problem.gradients), strict=True):
        found[f"gradient of {path}"] = difference(run.gradients[path], g)
    for k, (made, g) in enumerate(zip(run.initial, pytree.leaves(problem.initial), strict=True)):
        found[f"derivative by initial state {k}"] = difference(made, g)
    for made, g in zip(derivation.inputs.values(), problem.inputs, strict=True):
        for t, each in enumerate(g, 1):
            found[f"{made.left} at {t}"] = difference(run.at(made.right, t), each)
    found.update(jacobians(derivation, problem, run))
    return max(found.items(), key=lambda item: item[1])


def jacobians(derivation, problem, run):
    """The printed blocks against the Jacobian of the step, at every time; what is not printed is zero."""
    found = {}
    leaves = derivation.subject.state
    names = [leaf.symbol.name for leaf in leaves]
    unwritten = {v.name for v in derivation.unwritten}
    for t, (state, x) in enumerate(problem.states(), 1):
        flat, structure = pytree.flatten(state)
        for j, old in enumerate(names):

            def step(value, j=j, flat=flat, structure=structure, x=x):
                given = [value if i == j else a for i, a in enumerate(flat)]
                return pytree.leaves(problem.cell.step(problem.params, structure.unflatten(given), x)[0])

            true = tg.jacobian(step)(flat[j])
            for new, matrix in zip(names, true, strict=True):
                if new in unwritten:
                    continue
                size = [int(np.prod(leaf.symbol.shape)) for leaf in (leaves[names.index(new)], leaves[j])]
                printed = run.jacobian(new, old, t) if (new, old) in derivation.jacobian else np.zeros(size)
                found[f"d {new} / d {old} at {t}"] = difference(printed, np.reshape(matrix, size))
    return found
