"""What comes in infinite or NaN is no anomaly, and excuses nothing else."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import GRU, LSTM
from tests.watching.lines import said

X = np.array([[1.0, 2.0, 0.0], [3.0, 4.0, 5.0]])


MASK = np.array([[True, False, True], [True, True, False]])
HARMLESS = {
    "softmax": lambda x: np.sum(tg.softmax(np.where(MASK, x, -np.inf)) * X),
    "log_softmax": lambda x: np.sum(np.where(MASK, tg.log_softmax(np.where(MASK, x, -np.inf)), 0.0)),
    "logsumexp": lambda x: np.sum(tg.logsumexp(np.where(MASK, x, -np.inf), axis=-1)),
    "logsumexp of nothing": lambda x: np.sum(np.exp(tg.logsumexp(np.where(MASK[:1], x, -np.inf)[:, 1:2], axis=-1))),
    "a mask that is added": lambda x: np.sum(tg.softmax(x + np.where(MASK, 0.0, -np.inf)) * X),
    "cross entropy": lambda x: tg.softmax_cross_entropy(np.where(MASK, x, -np.inf), np.array([0, 1])),
    "large logits": lambda x: tg.softmax_cross_entropy(1e4 * x, np.array([0, 1])),
    "binary": lambda x: tg.binary_cross_entropy(np.where(MASK, 1e4 * x, -np.inf), MASK * 1.0),
    "sigmoid and softplus": lambda x: np.sum(tg.sigmoid(1e4 * x) + tg.softplus(-1e4 * x)),
    "maximum": lambda x: np.sum(np.max(np.where(MASK, x, -np.inf), axis=1)),
    "NaN that is masked": lambda x: np.sum(np.where(MASK, x * np.where(MASK, 1.0, np.nan), 0.0)),
    "rows of NaN in a product": lambda x: np.sum(np.where(MASK[:, 1:2], (x * np.where(MASK, 1.0, np.nan)) @ X.T, 0.0)),
    "powers of 0": lambda x: np.sum((x * 0.0) ** 2 + (x * 0.0) ** 3),
    "the double where": lambda x: np.sum(np.where(x > 0, np.sqrt(np.where(x > 0, x, 1.0)), 0.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_what_comes_in_infinite_is_no_anomaly(name):
    f = HARMLESS[name]
    runs = [
        lambda: tg.grad(f)(X),
        lambda: tg.jvp(f, (X,), (np.cos(X),))[1],
        lambda: tg.grad(lambda x: np.sum(tg.grad(f)(x) * X))(X),
        lambda: tg.vmap(tg.grad(f))(np.stack([X, 2 * X])),
        lambda: tg.grad(tg.checkpoint(f))(X),
        lambda: tg.grad(lambda p: np.sum(tg.scan(lambda p, s, x: (s, f(p * x)), p, 0.0, np.stack([X, X]))[1]))(0.5),
    ]
    for run in runs:
        with np.errstate(invalid="ignore"):
            expected = run()
        with tg.detect_anomaly():
            np.testing.assert_array_equal(run(), expected)


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_padding_of_nan_is_no_anomaly(kind):
    cell, rng = kind(3, 4), np.random.default_rng(0)
    params, xs = cell.init(rng, dtype=np.float64), rng.normal(size=(6, 2, 3))
    xs[3:, 1] = np.nan

    def loss(params, xs):
        return np.sum(cell(params, xs, lengths=np.array([6, 3]))[1] ** 2)

    expected = tg.grad(loss, (0, 1))(params, xs)
    with tg.detect_anomaly():
        found = tg.grad(loss, (0, 1))(params, xs)
    tg.testing.assert_gradients_close(found, expected)


def test_one_bad_row_hides_no_other():
    """A row that came in as NaN does not excuse another one that becomes so."""
    x = np.array([[np.nan, 1.0], [0.0, 1.0]])
    assert "first at index [1, 0]" in said(tg.grad(lambda x: np.sum(np.log(x))), x)
    huge = np.array([[np.nan, 1.0], [1e308, 1e308]])
    for f in (lambda x: np.sum(x @ np.ones((2, 2))), lambda x: np.sum(np.sum(x, axis=1)),
              lambda x: np.sum(np.cumsum(x, axis=1))):  # fmt: skip
        assert "first at index [1" in said(tg.grad(f), huge)
