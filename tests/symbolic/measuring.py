"""What a gamma analysis is compared with: the true Jacobian of a step, and states that are carried on."""

import numpy as np

import tapegrad as tg
from tapegrad import pytree
from tapegrad.cells import Cell, Parameter, State
from tests.cells.drawing import random_params


def normal(rng, shape, dtype):
    return rng.standard_normal(shape)


def cell_of(function, states=1, inputs=2, units=3, **parameters):
    """A cell from its step, a method, with named parameters of the given shapes."""

    class Made(Cell):
        input_size: int = inputs
        hidden_size: int = units

        def parameters(self):
            return {name: Parameter(shape, init=normal) for name, shape in parameters.items()}

        def state(self):
            made = tuple(State((units,)) for _ in range(states))
            return made[0] if states == 1 else made

        step = function

    return Made()


SQUARE = {"W": (3, 3), "U": (2, 3)}


def linear(self, params, h, x):
    h = h @ params["W"] + x @ params["U"]
    return h, h


def additive(self, params, h, x):
    h = h + np.tanh(x @ params["U"])
    return h, h


def residual(self, params, h, x):
    h = h + np.tanh(h @ params["W"] + x @ params["U"])
    return h, h


def leaky(self, params, h, x):
    h = 0.75 * h + 0.25 * np.tanh(h @ params["W"] + x @ params["U"])
    return h, h


class Drawn:
    """Parameters, a state and an input of a cell, of random sizes."""

    def __init__(self, cell, rng, weights=1.0, states=1.0):
        self.cell = cell
        self.params = random_params(cell, rng, scale=weights)
        self.state = pytree.map(lambda s: states * rng.standard_normal((1, *s.shape)), cell.state())
        self.x = self.draw_input(rng)

    def draw_input(self, rng):
        def draw(declared):
            integers = declared.dtype is not None and np.dtype(declared.dtype).kind in "iu"
            return rng.integers(0, 2, (1, *declared.shape)) if integers else rng.standard_normal((1, *declared.shape))

        return pytree.map(draw, self.cell.inputs())

    def jacobian(self):
        """The step Jacobian, of all states as one vector."""
        flat, structure = pytree.flatten(self.state)
        sizes = np.cumsum([0, *[a.size for a in flat]])

        def step(vector):
            parts = [vector[a:b].reshape(s.shape) for a, b, s in zip(sizes, sizes[1:], flat, strict=False)]
            made, _ = self.cell.step(self.params, structure.unflatten(parts), self.x)
            return np.concatenate([np.reshape(a, -1) for a in pytree.leaves(made)])

        return tg.jacobian(step)(np.concatenate([a.ravel() for a in flat]))

    def gamma_step(self):
        """The largest singular value of the step Jacobian."""
        return np.linalg.norm(self.jacobian(), 2)

    def norms(self, derivation):
        """The largest elements of states and inputs, by their names in print."""
        leaves = [*derivation.subject.state, *derivation.subject.xs]
        arrays = [*pytree.leaves(self.state), *pytree.leaves(self.x)]
        return {
            leaf.symbol.name: float(np.max(np.abs(a), initial=0.0)) for leaf, a in zip(leaves, arrays, strict=True)
        }

    def excess(self, derivation):
        """By what factor the measured gamma_step exceeds its bound."""
        bound = derivation.bound.evaluate(self.params, self.norms(derivation))
        return self.gamma_step() / bound if bound > 0 else 1.0 + self.gamma_step()
