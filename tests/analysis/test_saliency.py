"""What the inputs of each step do to a loss."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import pytree
from tapegrad.analysis import input_saliency
from tapegrad.cells import LSTM, variants
from tapegrad.errors import DtypeError, ShapeError
from tests.analysis.problems import drawn, generated, linear
from tests.cells.drawing import at, has_kinks, leading, unroll
from tests.numeric import assert_close, slope

EVERY = pytest.mark.parametrize("variant", variants(), ids=str)


@EVERY
def test_every_cell_against_differences(variant):
    cell, params, xs, state = drawn(variant)
    weights = np.random.default_rng(3).standard_normal(cell(params, xs, state)[1].shape)
    found = input_saliency(cell, params, xs, state, loss=lambda ys: np.sum(weights * ys**2), per_feature=True)
    with generated(variant) as name:
        compiled = input_saliency(
            cell, params, xs, state, loss=lambda ys: np.sum(weights * ys**2), per_feature=True, backend=name
        )
    assert_close(compiled, found, 1e-12)
    expected, leaves = pytree.map(np.empty_like, xs), pytree.leaves(xs)
    for k, leaf in enumerate(leaves):
        for index in np.ndindex(leaf.shape):

            def moved(t, k=k, leaf=leaf, index=index):
                changed = [*leaves[:k], leaf.copy(), *leaves[k + 1 :]]
                changed[k][index] += t
                changed = pytree.structure(xs).unflatten(changed)
                return np.sum(weights * unroll(cell, params, state, changed)[1] ** 2)

            pytree.leaves(expected)[k][index] = abs(slope(moved, 1e-5 if has_kinks(cell) else 1e-3))
    assert_close(found, expected)
    with pytest.raises(AssertionError):
        assert_close(at(found, np.s_[::-1]), expected)


@EVERY
def test_norms_over_the_features(variant):
    cell, params, xs, state = drawn(variant)
    loss = lambda ys: np.sum(np.sin(ys))  # noqa: E731
    each = input_saliency(cell, params, xs, state, loss=loss, per_feature=True)
    found = input_saliency(cell, params, xs, state, loss=loss)
    assert all(leaf.shape == leading(xs) for leaf in pytree.leaves(found))
    assert_close(found, pytree.map(lambda leaf: np.linalg.norm(leaf, axis=-1), each), 1e-13)


def test_by_default_the_last_output_is_asked():
    W = np.diag([0.5, 0.25])
    found = input_saliency(linear, W, np.ones((4, 1, 2)), np.zeros((1, 2)), per_feature=True)
    powers = np.arange(3, -1, -1)
    np.testing.assert_allclose(found[:, 0], np.stack([0.5**powers, 0.25**powers], axis=-1))


def test_a_long_sequence_with_few_states_kept():
    cell = LSTM(2, 4)
    rng = np.random.default_rng(0)
    params, xs = cell.init(rng, np.float64), rng.standard_normal((3000, 1, 2))
    found = input_saliency(cell, params, xs, checkpoint="sqrt", backend="numba")
    assert found.shape == (3000, 1)
    late = input_saliency(cell, params, xs[-1200:], backend="numba")
    np.testing.assert_allclose(found[-200:], late[-200:], rtol=1e-6)


def embedded(params, state, x):
    tokens, weight = x
    h = np.tanh(0.5 * state + params[tokens] * weight[:, None])
    return h, h


def test_tokens_have_no_saliency():
    table = np.random.default_rng(0).standard_normal((5, 3))
    tokens, state = np.array([[1, 2], [0, 4], [3, 3]]), np.zeros((2, 3))
    nothing, something = input_saliency(embedded, table, (tokens, np.ones((3, 2))), state)
    assert nothing.shape == something.shape == (3, 2)
    assert not np.any(nothing)
    assert np.all(something > 0)
    lookup = lambda p, s, x: (0.5 * s + p[x], s)  # noqa: E731
    with pytest.raises(DtypeError, match="int64, which has no gradient; embed tokens"):
        input_saliency(lookup, table, tokens, state)


def test_one_norm_for_all_rows():
    cell = LSTM(2, 4)
    rng = np.random.default_rng(0)
    params, xs = cell.init(rng), rng.standard_normal((6, 3, 2)).astype(np.float32)
    apart, joint = input_saliency(cell, params, xs), input_saliency(cell, params, xs, rows=False)
    assert apart.dtype == joint.dtype == np.float32
    np.testing.assert_allclose(joint[:, 0], np.linalg.norm(apart, axis=1), rtol=1e-5)


def test_a_loss_that_is_no_number():
    cell = LSTM(2, 4)
    params = cell.init(np.random.default_rng(0))
    with pytest.raises(ShapeError, match="must return one real number"):
        input_saliency(cell, params, np.zeros((3, 1, 2), np.float32), loss=lambda ys: tg.relu(ys))
