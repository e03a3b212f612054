"""Cells with random parameters and data, and what is measured on them computed by plain loops."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np

from tapegrad import pytree
from tests.cells.drawing import random_inputs, random_params, random_state, steps_of
from tests.numba_cpu import emulated

STEPS, BATCH = 5, 3


@cache
def drawn(variant, seed=0, steps=STEPS, batch=BATCH):
    """A cell, its parameters, inputs and first state."""
    rng = np.random.default_rng(seed)
    cell = variant.build(rng)
    params, state = random_params(cell, rng), random_state(cell, rng, batch)
    return cell, params, random_inputs(cell, rng, steps, batch), state


@contextmanager
def generated(variant) -> Iterator[str]:
    """The name of a backend that generates code: which is compiled for the LSTM, and run as checked source for others.

    What is asked of every cell is whether its loops can be generated and are right; what compiling does to them does
    not depend on who asks for them.
    """
    if str(variant) == "LSTM":
        yield "numba"
        return
    with emulated.installed() as backend:
        yield backend.name


def vector(state, row):
    """The state vector of a row."""
    return np.concatenate([np.ravel(leaf[row]) for leaf in pytree.leaves(state)])


def with_vector(state, row, values):
    """The state with another vector in a row."""
    leaves, structure = pytree.flatten(state)
    made, start = [], 0
    for leaf in leaves:
        changed = leaf.astype(float)
        size = changed[row].size
        changed[row] = values[start : start + size].reshape(changed[row].shape)
        made.append(changed)
        start += size
    return structure.unflatten(made)


def trajectory(cell, params, xs, state):
    """The states before each step and behind the last, by a plain loop."""
    states = [state]
    for x in steps_of(xs):
        states.append(cell.step(params, states[-1], x)[0])
    return states


def linear(params, state, x):
    """h_t = W h_{t-1} + x_t for column vectors h; the output is the state."""
    h = state @ params.T + x
    return h, h
