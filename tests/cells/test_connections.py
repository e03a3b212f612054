"""Connections of the fully recurrent network: which there are, and which are trained."""

import numpy as np

import tapegrad as tg
from tapegrad.cells import FullyRecurrent
from tapegrad.testing import check_cell
from tapegrad.training import Adam, fit
from tests.cells.test_equations import drawn

QUICK = ("tape", "sympy", "reference", "rtrl", "differences")


def test_connections_that_do_not_exist_are_not_learned_and_not_read():
    rng = np.random.default_rng(0)
    mask = rng.random((5, 3)) < 0.5
    cell = FullyRecurrent(2, 3, mask)
    assert cell == FullyRecurrent(2, 3, mask.tolist())
    assert hash(cell) == hash(FullyRecurrent(2, 3, mask.astype(int).tolist()))
    params, state, xs = drawn(cell, 1)
    grads = tg.grad(lambda p: np.sum(cell(p, xs, state)[1] ** 2))(params)
    np.testing.assert_array_equal(np.concatenate([grads["W_x"], grads["W_y"]]) != 0, mask)
    changed = params | {
        "W_x": np.where(mask[:2], params["W_x"], rng.standard_normal((2, 3))),
        "W_y": np.where(mask[2:], params["W_y"], rng.standard_normal((3, 3))),
    }
    np.testing.assert_array_equal(cell(changed, xs, state)[1], cell(params, xs, state)[1])


def test_connections_that_are_not_trained_are_read_and_keep_their_weight():
    rng = np.random.default_rng(2)
    there, trained = rng.random((5, 3)) < 0.7, rng.random((5, 3)) < 0.5
    cell, free = FullyRecurrent(2, 3, there, trained=trained.tolist()), FullyRecurrent(2, 3, there)
    assert cell == FullyRecurrent(2, 3, there, trained=trained.astype(int))
    params, state, xs = drawn(cell, 1)
    np.testing.assert_array_equal(cell(params, xs, state)[1], free(params, xs, state)[1])
    held, whole = (tg.grad(lambda p, c=c: np.sum(c(p, xs, state)[1] ** 2))(params) for c in (cell, free))
    for name, part in (("W_x", trained[:2]), ("W_y", trained[2:])):
        np.testing.assert_allclose(held[name], np.where(part, whole[name], 0), rtol=1e-12)
    assert (np.concatenate([held["W_x"], held["W_y"]]) != 0).tolist() == (there & trained).tolist()
    found = fit(lambda p, n: np.mean(cell(p, xs, state)[1] ** 2), params, lambda n: n, Adam(lr=0.1), steps=3)
    for name, part in (("W_x", (there & trained)[:2]), ("W_y", (there & trained)[2:])):
        np.testing.assert_array_equal(found.state.params[name] != params[name], part)
    assert check_cell(cell, oracles=QUICK).skipped == {}
