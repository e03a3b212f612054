"""The descendants of the LSTM, written out one unit at a time: what tests hold their steps against."""

import math

import numpy as np

from tests.cells.drawing import random_inputs, random_params, random_state, unroll


def sigma(a):
    return 1 / (1 + math.exp(-a))


def net(j, p, bias, *terms):
    """sum_i v_i W_ij over the pairs (v, name of W), plus the bias if there is one: the net input of unit j."""
    total = p[bias][j] if bias in p else 0.0
    return total + sum(v[i] * p[name][i][j] for v, name in terms for i in range(len(v)))


def check(cell, seed, one_step, steps=3, batch=2):
    """``one_step(p, state leaves, x)`` returns the new leaves, of which the first is the output, as lists."""
    rng = np.random.default_rng(seed)
    params, state, xs = random_params(cell, rng), random_state(cell, rng, batch), random_inputs(cell, rng, steps, batch)
    last, ys = unroll(cell, params, state, xs)
    p = {name: value.tolist() for name, value in params.items()}
    for row in range(batch):
        leaves = [leaf[row].tolist() for leaf in state]
        for t in range(steps):
            leaves = one_step(p, leaves, xs[t, row].tolist())
            np.testing.assert_allclose(ys[t, row], leaves[0], rtol=1e-12, atol=1e-13)
        for leaf, value in zip(last, leaves, strict=True):
            np.testing.assert_allclose(leaf[row], value, rtol=1e-12, atol=1e-13)
