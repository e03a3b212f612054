"""Random functions at bad points: without an alarm all is finite and as without looking, and an alarm is a true one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.errors import NonFiniteError

UNARY = {
    "sqrt": np.sqrt, "log": np.log, "exp": np.exp, "square": lambda x: x * x, "reciprocal": lambda x: 1.0 / x,
    "abs": np.abs, "tanh": np.tanh, "half power": lambda x: x**0.5, "negative": lambda x: -x,
    "sum": lambda x: x + np.sum(x),
    "mean of rows": lambda x: x - np.mean(x, axis=1, keepdims=True), "product": lambda x: x @ (x.T @ x),
    "flipped": lambda x: x[:, ::-1] * x, "where": lambda x: np.where(x > 0, x, 0.0), "arcsin": np.arcsin,
    "log1p": np.log1p, "softmax": tg.softmax, "logsumexp": lambda x: x - tg.logsumexp(x, axis=1, keepdims=True),
    "sigmoid": tg.sigmoid, "guarded": lambda x: np.where(x > 1, np.log(np.where(x > 1, x, 1.0)), x),
    "chosen": lambda x: np.where(x > 1, np.log(x), x), "maximum": lambda x: np.maximum(x, 0.5 * x),
}  # fmt: skip
NUMBERS = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e160, -1e160, 1e-160, 1e308, 700.0, 1000.0]
POINTS = st.lists(st.sampled_from(NUMBERS), min_size=4, max_size=4).map(lambda v: np.array(v).reshape(2, 2))
CHAINS = st.lists(st.sampled_from(sorted(UNARY)), min_size=1, max_size=4)


def chain(names):
    def f(x):
        for name in names:
            x = UNARY[name](x)
        return np.sum(x)

    return f


def looped(f):
    return lambda x: tg.scan(lambda p, s, scale: (s, f(p * scale)), x, 0.0, np.array([1.0, 0.5]))[1][0]


TAKES = {
    "value and gradient": lambda f, x: tg.value_and_grad(f)(x),
    "forward mode": lambda f, x: tg.jvp(f, (x,), (np.ones_like(x),)),
    "second order": lambda f, x: (tg.value_and_grad(f)(x), tg.grad(lambda x: np.sum(tg.grad(f)(x)))(x)),
    "batch": lambda f, x: tg.vmap(tg.value_and_grad(f))(np.stack([x, x])),
    "recomputed": lambda f, x: tg.value_and_grad(tg.checkpoint(f))(x),
    "loop": lambda f, x: tg.value_and_grad(looped(f))(x),
}  # fmt: skip


@given(CHAINS, POINTS, st.sampled_from(sorted(TAKES)))
def test_without_an_alarm_all_is_finite_and_as_it_was(names, x, take):
    f = chain(names)
    with np.errstate(all="ignore"):
        expected = TAKES[take](f, x)
    try:
        with tg.detect_anomaly():
            found = TAKES[take](f, x)
    except NonFiniteError:
        return
    for a, b in zip(tg.tree_leaves(found), tg.tree_leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.isfinite(a).all()


@given(CHAINS, POINTS)
def test_an_alarm_in_the_forward_pass_is_a_value_that_numpy_gives_too(names, x):
    values = [x]
    with np.errstate(all="ignore"):
        for name in names:
            values.append(UNARY[name](values[-1]))  # noqa: PERF401
        values.append(np.sum(values[-1]))
    try:
        with tg.detect_anomaly():
            tg.grad(chain(names))(x)
    except NonFiniteError as error:
        told = "in the forward pass" in str(error)
        several = {"chosen", "mean of rows", "product", "softmax", "logsumexp", "sum"}  # of several operations
        assert not told or not all(np.isfinite(v).all() for v in values) or several & set(names)
    else:
        assert all(np.isfinite(v).all() for v in values)
