"""Derivatives of the activations and losses, to second order and at the ends of the range."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import functions as F
from tests.numeric import BOUND, assert_close, slope


def smooth(f, seed=0, shape=(3, 4)):
    rng = np.random.default_rng(seed)
    x = 2 * rng.standard_normal(shape)
    w = rng.standard_normal(np.shape(f(x)))
    return x, lambda x: np.sum(np.sin(f(x)) * w)


@pytest.mark.parametrize(
    "f",
    [
        F.sigmoid,
        F.softplus,
        F.relu,
        F.softmax,
        lambda x: F.softmax(x, axis=0),
        F.log_softmax,
        F.logsumexp,
        lambda x: F.logsumexp(x, axis=1),
        lambda x: F.logsumexp(x, axis=0, keepdims=True),
        lambda x: F.softmax_cross_entropy(x, [0, 3, 1]),
        lambda x: F.softmax_cross_entropy(x, np.eye(4)[[0, 3, 1]], reduction="sum"),
        lambda x: F.softmax_cross_entropy(x, [0, 99, 1], reduction="none", mask=np.array([True, False, True])),
        lambda x: F.binary_cross_entropy(x, np.eye(4)[:3] * 0.7),
        lambda x: F.binary_cross_entropy(x, np.eye(4)[:3] > 0, mask=np.array([True, False, True])),
        lambda x: F.mse(x, np.ones((3, 4))),
    ],
)
def test_functions_to_second_order(f):
    x, g = smooth(f)
    v = np.random.default_rng(1).standard_normal(x.shape)
    h = 1e-5 if f is F.relu else 1e-3
    assert_close(tg.jvp(g, (x,), (v,))[1], slope(lambda t: g(x + t * v), h))
    assert np.sum(tg.grad(g)(x) * v) == pytest.approx(slope(lambda t: g(x + t * v), h), rel=BOUND)
    assert_close(tg.jvp(tg.grad(g), (x,), (v,))[1], slope(lambda t: tg.grad(g)(x + t * v), h))
    assert_close(tg.grad(lambda x: np.sum(tg.grad(g)(x) * v))(x), tg.jvp(tg.grad(g), (x,), (v,))[1], 1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_of_the_losses_at_the_ends(dtype):
    """Textbook gradients: softmax(x) - one-hot, and sigmoid(x) - t; finite even where the loss is not."""
    logits = np.array([[1e4, -1e4], [1e4, -1e4], [0, -np.inf], [0, -np.inf]], dtype)
    labels = np.array([0, 1, 0, 1])
    for given in (labels, np.eye(2, dtype=dtype)[labels]):
        grads = tg.grad(lambda x, given=given: F.softmax_cross_entropy(x, given, reduction="sum"))(logits)
        np.testing.assert_array_equal(grads, np.array([[0, 0], [1, -1], [0, 0], [1, -1]], dtype))
        assert grads.dtype == dtype
    x = np.array([1e4, 1e4, -1e4, -1e4, np.inf, -np.inf], dtype)
    t = np.array([1, 0, 1, 0, 1, 0], dtype)
    grads = tg.grad(lambda x: F.binary_cross_entropy(x, t, reduction="sum"))(x)
    np.testing.assert_array_equal(grads, np.array([0, 1, -1, 0, 0, 0], dtype))


def test_soft_labels_have_a_gradient_too():
    logits, labels = np.random.default_rng(0).standard_normal((3, 4)), np.eye(4)[[0, 3, 1]]
    grads = tg.grad(lambda t: F.softmax_cross_entropy(logits, t, reduction="sum"))(labels)
    np.testing.assert_allclose(grads, -F.log_softmax(logits), rtol=1e-13)


def test_masked_elements_send_no_gradient():
    logits, mask = np.full((3, 2, 4), np.nan), np.zeros((3, 2), bool)
    logits[0], mask[0] = 1.0, True
    for loss in (
        lambda x: F.softmax_cross_entropy(x, np.full((3, 2), 1), mask=mask),
        lambda x: F.softmax_cross_entropy(x, np.where(mask[..., None], np.eye(4)[1], np.nan), mask=mask),
        lambda x: F.binary_cross_entropy(x, np.ones((3, 2, 4)), mask=mask),
        lambda x: F.mse(x, np.zeros((3, 2, 4)), mask=mask),
    ):
        grads = tg.grad(loss)(logits)
        assert np.isfinite(grads).all()
        assert grads[0].any()
        assert not grads[1:].any()
