"""Cells whose step convolves, pools, or uses the error function: proven, and compiled."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import Cell, Parameter, State
from tapegrad.errors import UnsupportedPrimitive
from tapegrad.testing import check_cell


class ConvLSTM(Cell):
    """Images of one channel, gates by convolution. Shi et al. 2015, equation 3, without peepholes."""

    size: int
    channels: int

    def parameters(self):
        c = self.channels
        return {"W": Parameter((2, 2, 1 + c, 4 * c), init="normal"), "b": Parameter((4 * c,), init="zeros")}

    def state(self):
        return State((self.size, self.size, self.channels)), State((self.size, self.size, self.channels))

    def step(self, params, state, x):
        h, c = state
        image = np.reshape(x, (x.shape[0], self.size, self.size, 1))
        gates = tg.conv(np.concatenate([image, h], axis=-1), params["W"], padding="same") + params["b"]
        i, f, o, g = np.split(gates, 4, axis=-1)
        c = tg.sigmoid(f) * c + tg.sigmoid(i) * np.tanh(g)
        h = tg.sigmoid(o) * np.tanh(c)
        return (h, c), tg.max_pool(h, (2, 2), stride=1).reshape(x.shape[0], -1)


class GeluCell(Cell):
    """A simple recurrence with GELU for its activation."""

    input_size: int
    size: int

    def parameters(self):
        m, n = self.input_size, self.size
        return {"U": Parameter((m, n)), "W": Parameter((n, n)), "b": Parameter((n,), init="zeros")}

    def state(self):
        return State((self.size,))

    def step(self, params, state, x):
        h = tg.gelu(x @ params["U"] + state @ params["W"] + params["b"])
        return h, tg.erf(h)


def test_backends_and_differences_agree_on_a_convolutional_lstm():
    xs = np.random.default_rng(0).normal(size=(3, 2, 9))
    check_cell(ConvLSTM(3, 1), xs=xs, oracles=("tape", "numba", "differences"))


def test_backends_equations_and_differences_agree_on_gelu():
    check_cell(GeluCell(2, 3), oracles=("tape", "sympy", "numba", "differences"))


def test_gelu_in_equations_for_explicit_numbers():
    """Unrolled, as SymPy writes it and as mpmath evaluates it."""
    cell = GeluCell(1, 1)
    params, xs = cell.init(np.random.default_rng(0), dtype=float), np.array([[0.5], [-1.0]])
    unrolled = tg.symbolic.unroll(cell, T=2)
    assert "erfc" in str(unrolled.loss)
    loss = np.sum(cell(params, xs[:, None])[1])
    assert float(unrolled.loss.subs(unrolled.values(params, xs))) == pytest.approx(loss, rel=1e-12)
    assert float(unrolled.to_function(30)(params, xs).loss) == pytest.approx(loss, rel=1e-12)


def test_gelu_compiles_in_single_precision():
    """Without falling back: the backend is named."""
    cell, rng = GeluCell(3, 3), np.random.default_rng(0)
    params, xs = cell.init(rng, dtype=np.float32), rng.normal(size=(5, 3, 3)).astype(np.float32)

    def run(backend):
        return tg.value_and_grad(lambda p: np.sum(cell(p, xs, backend=backend)[1] ** 2))(params)

    (value, grads), (expected, right) = run("numba"), run("reference")
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    for key in params:
        np.testing.assert_allclose(grads[key], right[key], rtol=0, atol=1e-4 * np.max(np.abs(right[key])))


def test_what_scipy_computes_falls_back_with_its_name():
    special = pytest.importorskip("scipy.special")

    def step(p, s, x):
        return special.gammaln(2.0 + s * s) * p + x, s

    args = step, 0.5, np.ones(2), np.ones((3, 2))
    with pytest.raises(UnsupportedPrimitive, match="primitive 'gammaln'"):
        tg.scan(*args, backend="numba")
    with tg.backend("auto"), pytest.warns(UserWarning, match="gammaln"):
        found = tg.scan(*args)
    np.testing.assert_array_equal(found[0], tg.scan(*args, backend="reference")[0])
