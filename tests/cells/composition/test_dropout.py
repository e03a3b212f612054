"""Dropout between layers."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import GRU, Dropout, Elman, Sequential
from tapegrad.errors import OptionError
from tapegrad.testing import check_cell


@pytest.mark.parametrize("rate", [0, 0.25, 0.9])
@pytest.mark.parametrize("per_sequence", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_masks(rate, per_sequence, dtype):
    masks = Dropout(50, rate, per_sequence).noise(np.random.default_rng(0), 40, 30, dtype)
    assert (masks.shape, masks.dtype) == ((40, 30, 50), dtype)
    kept = masks != 0
    np.testing.assert_allclose(masks[kept], 1 / (1 - rate), rtol=1e-6)
    assert kept.mean() == pytest.approx(1 - rate, abs=0.03)
    assert (masks == masks[0]).all() == (per_sequence or not rate)
    if rate:
        assert len(np.unique(kept[0], axis=0)) == 30, "each sequence has a mask of its own"


def test_the_mean_is_what_evaluation_uses():
    cell, rng = Dropout(6, 0.3), np.random.default_rng(1)
    mean = np.mean([cell.noise(rng, 5, 4) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(mean, cell.noise(rng, 5, 4, training=False), atol=0.06)


def test_a_seed_repeats_the_masks():
    cell = Dropout(6)
    one, two, other = (cell.noise(np.random.default_rng(seed), 5, 4) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_values_and_gradients():
    rng = np.random.default_rng(2)
    cell, xs = Dropout(4), rng.standard_normal((3, 2, 4))
    masks = cell.noise(rng, 3, 2, np.float64)
    np.testing.assert_array_equal(cell({}, (xs, masks))[1], xs * masks)
    grads = tg.grad(lambda xs: np.sum(cell({}, (xs, masks))[1]))(xs)
    np.testing.assert_array_equal(grads, masks)
    assert cell.parameter_count == 0
    assert check_cell(cell, oracles=("tape", "sympy", "reference", "differences")).skipped == {}


def test_recurrent_connections_are_left_alone():
    """What is dropped on the way up is still in the state: with all but one step dropped, the layer below is whole."""
    model = Sequential((GRU(2, 4), Dropout(4), Elman(4, 3)))
    rng = np.random.default_rng(3)
    params, xs = model.init(rng, np.float64), rng.standard_normal((6, 2, 2))
    masks = np.zeros((6, 2, 4))
    (below, _, _), _ = model(params, (xs, (None, masks, None)))
    np.testing.assert_array_equal(below, model.layers[0](params["layer0"], xs)[0])


def test_training_mode_learns_with_noise():
    """A loss under noise goes down, with masks drawn anew at each step outside of the traced function."""
    model, rng = Sequential((Elman(2, 16), Dropout(16, 0.2), Elman(16, 1))), np.random.default_rng(4)
    params, xs = model.init(rng, np.float64), rng.standard_normal((8, 16, 2))
    targets = np.tanh(np.cumsum(xs[..., :1], axis=0) / 3)

    def loss(params, noise):
        return np.mean((model(params, (xs, noise))[1] - targets) ** 2)

    still = model.noise(rng, 8, 16, np.float64, training=False)
    start = loss(params, still)
    for _ in range(60):
        grads = tg.grad(loss)(params, model.noise(rng, 8, 16, np.float64))
        params = tg.tree_map(lambda p, g: p - 0.3 * g, params, grads)
    assert loss(params, still) < 0.3 * start


@pytest.mark.parametrize("rate", [1, -0.1, 1.5, "half", True, float("nan")])
def test_a_rate_that_is_none(rate):
    with pytest.raises(OptionError, match="expected a (number|probability of at least 0 and below 1)"):
        Dropout(3, rate)
