"""Relatives of the GRU against their equations, unit by unit in plain Python, and cases in which they coincide."""

import math

import numpy as np
import pytest
from hypothesis import given

import tapegrad as tg
from tapegrad import pytree
from tapegrad.cells import GRU, GRU1, GRU2, GRU3, GRUD, MGU, UGRNN, MinGRU, observations
from tapegrad.errors import OptionError, ShapeError
from tapegrad.testing import check_cell
from tests.cells.drawing import random_params, unroll
from tests.cells.test_equations import PHI, check, drawn, net, seeds, sigma, sizes

FUNCTIONS = PHI | {"identity": lambda a: a}


# ---- the GRU's options ----


@pytest.mark.parametrize("reset_after", [False, True])
@given(m=sizes, n=sizes, seed=seeds)
def test_gru_whose_update_gate_writes(reset_after, m, n, seed):
    """Chung et al. 2014: h_t = (1 - z) h_{t-1} + z n."""

    def one_sequence(p, state, xs):
        (h,), outputs = state, []
        for x in xs:
            r, z = (
                [sigma(net(j, (x, p[f"W_x{g}"]), (h, p[f"W_h{g}"]), bias=p[f"b_{g}"][j])) for j in range(n)]
                for g in "rz"
            )
            if reset_after:
                inner = [r[j] * net(j, (h, p["W_hn"]), bias=p["b_hn"][j]) for j in range(n)]
            else:
                inner = [net(j, ([r[i] * h[i] for i in range(n)], p["W_hn"])) for j in range(n)]
            tilde = [math.tanh(net(j, (x, p["W_xn"]), bias=p["b_n"][j]) + inner[j]) for j in range(n)]
            h = [(1 - z[j]) * h[j] + z[j] * tilde[j] for j in range(n)]
            outputs.append(h)
        return [h], outputs

    check(GRU(m, n, reset_after, update_writes=True), seed, one_sequence)


@pytest.mark.parametrize("reset_after", [False, True])
@given(m=sizes, n=sizes, seed=seeds)
def test_the_two_signs_of_the_update_gate_are_one_with_the_signs_of_its_weights_changed(reset_after, m, n, seed):
    keeps, writes = (GRU(m, n, reset_after, update_writes=writes) for writes in (False, True))
    params, state, xs = drawn(keeps, seed)
    turned = params | {name: -params[name] for name in ("W_xz", "W_hz", "b_z")}
    expected = unroll(keeps, params, state, xs)[1]
    np.testing.assert_allclose(unroll(writes, turned, state, xs)[1], expected, rtol=1e-12, atol=1e-13)


def test_the_two_signs_differ_otherwise():
    params, state, xs = drawn(GRU(3, 4), 0)
    ys = [unroll(GRU(3, 4, update_writes=writes), params, state, xs)[1] for writes in (False, True)]
    assert np.abs(ys[0] - ys[1]).max() > 0.01


def test_both_options_at_once_by_every_oracle():
    assert check_cell(GRU(2, 3, reset_after=True, update_writes=True), oracles=("tape", "sympy", "differences")).ok


# ---- Dey & Salem ----


@pytest.mark.parametrize("cell", [GRU1, GRU2, GRU3])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "identity"])
@given(m=sizes, n=sizes, seed=seeds)
def test_gate_variants(cell, activation, m, n, seed):
    g = FUNCTIONS[activation]

    def gate(p, name, h, j):
        seen = [(h, p[f"W_h{name}"])] if cell is not GRU3 else []
        return sigma(net(j, *seen, bias=p[f"b_{name}"][j] if cell is not GRU2 else 0.0))

    def one_sequence(p, state, xs):
        (h,), outputs = state, []
        for x in xs:
            z, r = ([gate(p, name, h, j) for j in range(n)] for name in "zr")
            opened = [r[i] * h[i] for i in range(n)]
            tilde = [g(net(j, (x, p["W_xn"]), (opened, p["W_hn"]), bias=p["b_n"][j])) for j in range(n)]
            h = [(1 - z[j]) * h[j] + z[j] * tilde[j] for j in range(n)]
            outputs.append(h)
        return [h], outputs

    check(cell(m, n, activation), seed, one_sequence)


@pytest.mark.parametrize(
    ("cell", "lacking"), [(GRU1, ("W_x",)), (GRU2, ("W_x", "b_")), (GRU3, ("W_x", "W_h"))], ids=["GRU1", "GRU2", "GRU3"]
)
@given(m=sizes, n=sizes, seed=seeds)
def test_gate_variants_are_grus_in_which_weights_of_the_gates_are_zero(cell, lacking, m, n, seed):
    gru = GRU(m, n, update_writes=True)
    params, state, xs = drawn(gru, seed)
    own = {name: value for name, value in params.items() if name not in {k + g for k in lacking for g in "rz"}}
    zeroed = {name: value if name in own else np.zeros_like(value) for name, value in params.items()}
    expected = unroll(gru, zeroed, state, xs)[1]
    np.testing.assert_allclose(unroll(cell(m, n, "tanh"), own, state, xs)[1], expected, rtol=1e-12, atol=1e-13)


# ---- one gate ----


@given(m=sizes, n=sizes, seed=seeds)
def test_mgu(m, n, seed):
    def one_sequence(p, state, xs):
        (h,), outputs = state, []
        for x in xs:
            f = [sigma(net(j, (x, p["W_xf"]), (h, p["W_hf"]), bias=p["b_f"][j])) for j in range(n)]
            kept = [f[i] * h[i] for i in range(n)]
            tilde = [math.tanh(net(j, (x, p["W_xn"]), (kept, p["W_hn"]), bias=p["b_n"][j])) for j in range(n)]
            h = [(1 - f[j]) * h[j] + f[j] * tilde[j] for j in range(n)]
            outputs.append(h)
        return [h], outputs

    check(MGU(m, n), seed, one_sequence)


@given(m=sizes, n=sizes, seed=seeds)
def test_mgu_is_a_gru_with_one_gate_twice(m, n, seed):
    cell, gru = MGU(m, n), GRU(m, n, update_writes=True)
    params, state, xs = drawn(cell, seed)
    tied = {name.replace("f", gate): value for name, value in params.items() for gate in "rz"}
    expected = unroll(gru, tied, state, xs)[1]
    np.testing.assert_allclose(unroll(cell, params, state, xs)[1], expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@given(m=sizes, n=sizes, seed=seeds)
def test_ugrnn(activation, m, n, seed):
    s = FUNCTIONS[activation]

    def one_sequence(p, state, xs):
        (h,), outputs = state, []
        for x in xs:
            c = [s(net(j, (x, p["W_xc"]), (h, p["W_hc"]), bias=p["b_c"][j])) for j in range(n)]
            g = [sigma(net(j, (x, p["W_xg"]), (h, p["W_hg"]), bias=p["b_g"][j])) for j in range(n)]
            h = [g[j] * h[j] + (1 - g[j]) * c[j] for j in range(n)]
            outputs.append(h)
        return [h], outputs

    check(UGRNN(m, n, activation), seed, one_sequence)


def test_the_gate_of_ugrnn_starts_from_its_bias():
    params = UGRNN(2, 3, gate_bias=2.5).init(np.random.default_rng(0))
    np.testing.assert_array_equal(params["b_g"], [2.5] * 3)
    np.testing.assert_array_equal(params["b_c"], [0] * 3)


@given(m=sizes, n=sizes, seed=seeds)
def test_min_gru(m, n, seed):
    def one_sequence(p, state, xs):
        (h,), outputs = state, []
        for x in xs:
            z = [sigma(net(j, (x, p["W_xz"]), bias=p["b_z"][j])) for j in range(n)]
            tilde = [net(j, (x, p["W_xn"]), bias=p["b_n"][j]) for j in range(n)]
            h = [(1 - z[j]) * h[j] + z[j] * tilde[j] for j in range(n)]
            outputs.append(h)
        return [h], outputs

    check(MinGRU(m, n), seed, one_sequence)


def test_min_gru_is_what_can_be_computed_for_all_steps_at_once():
    """h_t is a product of keeping factors times h_0, and a sum of what was written, each times what kept it since."""
    cell = MinGRU(3, 4)
    params, state, xs = drawn(cell, 0, steps=7)
    z = 1 / (1 + np.exp(-(xs @ params["W_xz"] + params["b_z"])))
    written, kept = z * (xs @ params["W_xn"] + params["b_n"]), np.cumprod(1 - z, axis=0)
    expected = kept * (state + np.cumsum(written / kept, axis=0))
    np.testing.assert_allclose(cell(params, xs, state)[1], expected, rtol=1e-10)


# ---- GRU-D ----


def irregular(seed, steps=7, batch=3, m=2):
    """Times, and a series with gaps; the first value of the first variable is missing, the second is rarely seen."""
    rng = np.random.default_rng(seed)
    series = rng.standard_normal((steps, batch, m))
    series[rng.random(series.shape) < 0.5] = np.nan
    series[0, :, 0] = np.nan
    return np.cumsum(rng.random((steps, batch)), axis=0), series


@pytest.mark.parametrize("means", [None, (0.7, -1.3)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_grud(means, seed):
    """The paper's equations, from times and a series with NaN, with the last observation and not its distance."""
    m, n = 2, 3
    cell = GRUD(m, n, means=means)
    rng = np.random.default_rng(seed)
    times, series = irregular(seed)
    p = random_params(cell, rng)
    ys = cell(p, observations(times, series))[1]
    mean = means or (0.0, 0.0)
    for row in range(series.shape[1]):
        h, last, seen_at = [0.0] * n, list(mean), [times[0, row]] * m
        for t in range(len(series)):
            delta, mask, xhat = [], [], []
            for d in range(m):
                delta.append(times[t, row] - seen_at[d])
                value = series[t, row, d]
                gamma = math.exp(-max(0.0, p["w_dx"][d] * delta[d] + p["b_dx"][d]))
                mask.append(0.0 if math.isnan(value) else 1.0)
                xhat.append(gamma * last[d] + (1 - gamma) * mean[d] if math.isnan(value) else value)
                if not math.isnan(value):
                    last[d], seen_at[d] = value, times[t, row]
            faded = [math.exp(-max(0.0, net(j, (delta, p["W_dh"]), bias=p["b_dh"][j]))) * h[j] for j in range(n)]
            seen = lambda g, k, mask=mask, xhat=xhat: [  # noqa: E731
                net(j, (xhat, p[f"W_x{g}"]), (k, p[f"W_h{g}"]), (mask, p[f"W_m{g}"]), bias=p[f"b_{g}"][j])
                for j in range(n)
            ]
            r, z = (list(map(sigma, seen(g, faded))) for g in "rz")
            tilde = list(map(math.tanh, seen("n", [r[j] * faded[j] for j in range(n)])))
            h = [(1 - z[j]) * faded[j] + z[j] * tilde[j] for j in range(n)]
            np.testing.assert_allclose(ys[t, row], h, rtol=1e-11, atol=1e-13)


def test_grud_of_a_complete_regular_series_is_a_gru():
    """Nothing is missing and nothing decays: then the mask is one more bias."""
    cell, gru = GRUD(2, 3), GRU(2, 3, update_writes=True)
    rng = np.random.default_rng(3)
    params, series = random_params(cell, rng), rng.standard_normal((5, 4, 2))
    still = params | {name: -np.abs(params[name]) for name in ("b_dx", "w_dx", "W_dh", "b_dh")}
    same = {name: params[name] for name in gru.parameters() if not name.startswith("b_")}
    same |= {f"b_{g}": params[f"b_{g}"] + params[f"W_m{g}"].sum(axis=0) for g in "rzn"}
    found = cell(still, observations(np.arange(5.0), series))[1]
    np.testing.assert_allclose(found, gru(same, series)[1], rtol=1e-12)


def test_grud_with_means_by_every_quick_oracle():
    cell = GRUD(2, 3, means=np.array([0.5, -2.0]))
    assert cell.means == (0.5, -2.0)
    assert check_cell(cell, oracles=("tape", "sympy", "reference", "rtrl", "differences")).skipped == {}


def test_what_is_missing_has_no_gradient_and_no_influence():
    cell = GRUD(2, 3, means=(1.0, 2.0))
    times, series = irregular(5)
    params, made = random_params(cell, np.random.default_rng(0)), observations(times, series)
    gone = np.isnan(series)
    grads = tg.grad(lambda x: np.sum(cell(params, made | {"x": x})[1] ** 2))(made["x"])
    np.testing.assert_array_equal(grads[gone], 0)
    assert (grads[~gone] != 0).all()
    other = np.where(gone, 1e3, made["x"])
    np.testing.assert_array_equal(cell(params, made | {"x": other})[1], cell(params, made)[1])


def test_observations_after_the_papers_definition_of_delta():
    """delta_t is s_t - s_{t-1}, plus delta_{t-1} where t - 1 observed nothing, and 0 at first."""
    nan = np.nan
    s = [0, 0.1, 0.6, 1.6, 2.2, 2.5, 3.1]
    series = np.array([[47, 49, nan, 40, nan, 43, 55], [nan, 15, 14, nan, nan, nan, 15]]).T[:, None]
    made = observations(s, series)
    np.testing.assert_array_equal(made["m"][:, 0].T, [[1, 1, 0, 1, 0, 1, 1], [0, 1, 1, 0, 0, 0, 1]])
    np.testing.assert_array_equal(made["x"][:, 0].T, [[47, 49, 0, 40, 0, 43, 55], [0, 15, 14, 0, 0, 0, 15]])
    expected = [[0, 0.1, 0.5, 1.5, 0.6, 0.9, 0.6], [0, 0.1, 0.5, 1.0, 1.6, 1.9, 2.5]]
    np.testing.assert_allclose(made["delta"][:, 0].T, expected, rtol=1e-12)
    assert {leaf.dtype for leaf in pytree.leaves(observations(s, series.astype(np.float32)))} == {np.dtype(np.float32)}


# ---- what is refused ----


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: GRU(1, 2, update_writes=1), OptionError, "update_writes=1, expected True or False"),
        (lambda: GRU2(1, 2, "swish"), OptionError, "GRU2: activation='swish', expected one of tanh"),
        (lambda: UGRNN(1, 2, "swish"), OptionError, "UGRNN: activation='swish', expected one of tanh"),
        (lambda: GRUD(2, 3, means=(1.0,)), OptionError, r"means has shape \(1,\), expected \(2,\)"),
        (lambda: observations([0, 1], np.zeros((2, 3))), ShapeError, "expected .T, B, input_size"),
        (lambda: observations([0, 1, 2], np.zeros((2, 3, 1))), ShapeError, r"expected \(2,\) or \(2, 3\)"),
        (lambda: observations([0, -1], np.zeros((2, 3, 1))), OptionError, "sort the steps by time"),
        (lambda: observations([0, np.nan], np.zeros((2, 3, 1))), OptionError, "not finite"),
    ],
)
def test_wrong_options_are_refused_with_the_remedy(call, error, words):
    with pytest.raises(error, match=words):
        call()
