"""Random parameters, states and inputs for any cell, from what it declares."""

import numpy as np

import tapegrad as tg
from tapegrad import pytree


def random_params(cell, rng, dtype=np.float64, scale=0.8):
    """Parameters with nothing special about them: no zeros, no symmetry between gates."""
    return pytree.map(lambda p: (scale * rng.standard_normal(p.shape)).astype(dtype), cell.parameters())


def random_state(cell, rng, batch, dtype=np.float64):
    return pytree.map(lambda s: rng.standard_normal((batch, *s.shape)).astype(s.dtype or dtype), cell.state())


def random_inputs(cell, rng, steps, batch, dtype=np.float64):
    return pytree.map(lambda i: rng.standard_normal((steps, batch, *i.shape)).astype(dtype), cell.inputs())


def at(xs, index):
    """Some steps or rows of inputs: ``xs[index]``, of each of their arrays."""
    return pytree.map(lambda a: a[index], xs)


def steps_of(xs):
    """The inputs of each step in turn."""
    return [at(xs, t) for t in range(leading(xs)[0])]


def leading(xs):
    """Numbers of steps and of rows."""
    return pytree.leaves(xs)[0].shape[:2]


def has_kinks(cell):
    """Whether slopes of a step jump somewhere, so that a difference must be narrow not to straddle the place."""
    rng = np.random.default_rng(0)
    arguments = random_params(cell, rng), random_state(cell, rng, 1), at(random_inputs(cell, rng, 1, 1), 0)
    nodes = [node for node in tg.trace(cell.step)(*arguments).nodes if node is not None]
    return any(node.primitive.name in ("where", "maximum", "minimum", "absolute", "sign") for node in nodes)


def unroll(cell, params, state, xs):
    """The plain loop over ``cell.step``."""
    ys = []
    for x in steps_of(xs):
        state, y = cell.step(params, state, x)
        ys.append(y)
    return state, np.stack(ys)
