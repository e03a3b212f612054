"""Each step against its equations written out unit by unit, in plain Python, with random weights and sizes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapegrad.cells import GRU, LSTM, Elman, Linear, SigmoidReadout, SoftmaxReadout
from tests.cells.drawing import random_inputs, random_params, random_state, unroll

sizes = st.integers(1, 5)
seeds = st.integers(0, 2**32)
PHI = {"tanh": math.tanh, "sigmoid": lambda a: 1 / (1 + math.exp(-a)), "relu": lambda a: max(a, 0.0)}
sigma = PHI["sigmoid"]


def net(j, *terms, bias=0.0):
    """sum_i v_i W_ij over the pairs (v, W), plus the bias: the net input of unit j."""
    return math.fsum([v[i] * W[i][j] for v, W in terms for i in range(len(v))]) + bias


def drawn(cell, seed, steps=3, batch=2):
    rng = np.random.default_rng(seed)
    return random_params(cell, rng), random_state(cell, rng, batch), random_inputs(cell, rng, steps, batch)


def check(cell, seed, one_sequence):
    """``one_sequence(p, first state leaves, xs of one row)`` returns last state leaves and outputs, as lists."""
    params, state, xs = drawn(cell, seed)
    last, ys = unroll(cell, params, state, xs)
    p = {name: value.tolist() for name, value in params.items()}
    pack = (lambda s: s) if isinstance(state, tuple) else (lambda s: (s,))
    for row in range(xs.shape[1]):
        end, outputs = one_sequence(p, [leaf[row].tolist() for leaf in pack(state)], xs[:, row].tolist())
        np.testing.assert_allclose(ys[:, row], outputs, rtol=1e-12, atol=1e-13)
        for leaf, value in zip(pack(last), end, strict=True):
            np.testing.assert_allclose(leaf[row], value, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("activation", list(PHI))
@given(m=sizes, n=sizes, seed=seeds)
def test_elman(activation, m, n, seed):
    phi = PHI[activation]

    def one_sequence(p, state, xs):
        (h,), outputs = state, []
        for x in xs:
            h = [phi(net(j, (x, p["W_xh"]), (h, p["W_hh"]), bias=p["b_h"][j])) for j in range(n)]
            outputs.append(h)
        return [h], outputs

    check(Elman(m, n, activation), seed, one_sequence)


@given(m=sizes, n=sizes, seed=seeds)
def test_lstm(m, n, seed):
    def one_sequence(p, state, xs):
        (h, c), outputs = state, []
        for x in xs:
            new_h, new_c = [], []
            for j in range(n):
                nets = {g: net(j, (x, p[f"W_x{g}"]), (h, p[f"W_h{g}"]), bias=p[f"b_{g}"][j]) for g in "fgoi"}
                kept, written = sigma(nets["f"]) * c[j], sigma(nets["i"]) * math.tanh(nets["g"])
                new_c.append(kept + written)
                new_h.append(sigma(nets["o"]) * math.tanh(new_c[j]))
            h, c = new_h, new_c
            outputs.append(h)
        return [h, c], outputs

    check(LSTM(m, n), seed, one_sequence)


@given(m=sizes, n=sizes, seed=seeds)
def test_gru_with_the_reset_before_the_product(m, n, seed):
    def one_sequence(p, state, xs):
        (h,), outputs = state, []
        for x in xs:
            gates = {}
            for g in "rz":
                nets = [net(j, (x, p[f"W_x{g}"]), (h, p[f"W_h{g}"]), bias=p[f"b_{g}"][j]) for j in range(n)]
                gates[g] = list(map(sigma, nets))
            r, z = gates["r"], gates["z"]
            open_h = [r[i] * h[i] for i in range(n)]
            tilde = [math.tanh(net(j, (x, p["W_xn"]), (open_h, p["W_hn"]), bias=p["b_n"][j])) for j in range(n)]
            h = [z[j] * h[j] + (1 - z[j]) * tilde[j] for j in range(n)]
            outputs.append(h)
        return [h], outputs

    check(GRU(m, n), seed, one_sequence)


@given(m=sizes, n=sizes, seed=seeds)
def test_gru_with_the_reset_after_the_product(m, n, seed):
    def one_sequence(p, state, xs):
        (h,), outputs = state, []
        for x in xs:
            new = []
            for j in range(n):
                r, z = (sigma(net(j, (x, p[f"W_x{g}"]), (h, p[f"W_h{g}"]), bias=p[f"b_{g}"][j])) for g in "rz")
                inner = net(j, (h, p["W_hn"]), bias=p["b_hn"][j])
                tilde = math.tanh(net(j, (x, p["W_xn"]), bias=p["b_n"][j]) + r * inner)
                new.append(z * h[j] + (1 - z) * tilde)
            h = new
            outputs.append(h)
        return [h], outputs

    check(GRU(m, n, reset_after=True), seed, one_sequence)


@given(m=sizes, n=sizes, seed=seeds)
def test_the_two_grus_are_one_where_the_recurrent_candidate_weights_are_diagonal(m, n, seed):
    before, after = GRU(m, n), GRU(m, n, reset_after=True)
    params, state, xs = drawn(before, seed)
    params["W_hn"] = np.diag(np.diagonal(params["W_hn"]))
    ys = unroll(before, params, state, xs)[1]
    np.testing.assert_allclose(unroll(after, params | {"b_hn": np.zeros(n)}, state, xs)[1], ys, rtol=1e-12, atol=1e-14)


def test_the_two_grus_differ_otherwise():
    before, after = GRU(3, 4), GRU(3, 4, reset_after=True)
    params, state, xs = drawn(before, 0)
    ys = unroll(before, params, state, xs)[1]
    assert np.abs(unroll(after, params | {"b_hn": np.zeros(4)}, state, xs)[1] - ys).max() > 0.01


@given(m=sizes, n=sizes, seed=seeds)
def test_readouts(m, n, seed):
    rng = np.random.default_rng(seed)
    params, h = random_params(Linear(m, n), rng), rng.standard_normal((4, 3, m))
    p = {name: value.tolist() for name, value in params.items()}
    for index in np.ndindex(4, 3):
        logits = [net(k, (h[index].tolist(), p["W_hy"]), bias=p["b_y"][k]) for k in range(n)]
        total = sum(map(math.exp, logits))
        expected = {
            Linear: logits,
            SigmoidReadout: [sigma(o) for o in logits],
            SoftmaxReadout: [math.exp(o) / total for o in logits],
        }
        for readout, values in expected.items():
            np.testing.assert_allclose(readout(m, n)(params, h)[index], values, rtol=1e-12, atol=1e-13)
            np.testing.assert_allclose(readout(m, n).logits(params, h)[index], logits, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("cell", "count"),
    [
        (Elman(5, 7), 7 * 7 + 7 * 5 + 7),
        (LSTM(5, 7), 4 * (7 * 7 + 7 * 5 + 7)),
        (GRU(5, 7), 3 * (7 * 7 + 7 * 5 + 7)),
        (GRU(5, 7, reset_after=True), 3 * (7 * 7 + 7 * 5 + 7) + 7),
        (GRU(128, 128), 98688),  # the reset-before layer of Dey & Salem 2017 for IMDB
        (GRU(1, 100), 30600),  # and for MNIST pixel by pixel
        (Linear(5, 7), 6 * 7),
    ],
)
def test_parameter_counts_of_the_literature(cell, count):
    assert cell.parameter_count == count
