"""Random parameters, states and inputs for any cell, from what it declares."""

import numpy as np

from tapegrad import pytree


def random_params(cell, rng, dtype=np.float64, scale=0.8):
    """Parameters with nothing special about them: no zeros, no symmetry between gates."""
    return pytree.map(lambda p: (scale * rng.standard_normal(p.shape)).astype(dtype), cell.parameters())


def random_state(cell, rng, batch, dtype=np.float64):
    return pytree.map(lambda s: rng.standard_normal((batch, *s.shape)).astype(s.dtype or dtype), cell.state())


def random_inputs(cell, rng, steps, batch, dtype=np.float64):
    return pytree.map(lambda i: rng.standard_normal((steps, batch, *i.shape)).astype(dtype), cell.inputs())


def unroll(cell, params, state, xs):
    """The plain loop over ``cell.step``."""
    ys = []
    for x in xs:
        state, y = cell.step(params, state, x)
        ys.append(y)
    return state, np.stack(ys)
