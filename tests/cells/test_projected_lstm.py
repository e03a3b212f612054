"""The projected LSTM: its equations unit by unit, and the LSTM where the projection changes nothing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tapegrad.cells import LSTM, ProjectedLSTM
from tests.cells.drawing import random_inputs, random_params, random_state, unroll

sizes = st.integers(1, 4)
seeds = st.integers(0, 2**32)


@given(m=sizes, n=sizes, k=sizes, seed=seeds)
def test_the_equations(m, n, k, seed):
    rng = np.random.default_rng(seed)
    cell = ProjectedLSTM(m, n, k)
    p, state, xs = random_params(cell, rng), random_state(cell, rng, 2), random_inputs(cell, rng, 3, 2)
    (last_r, last_c), ys = unroll(cell, p, state, xs)
    for row in range(2):
        r, c = state[0][row], state[1][row]
        for t in range(3):
            net = {
                gate: np.einsum("i,ij->j", xs[t, row], p[f"W_x{gate}"])
                + np.einsum("i,ij->j", r, p[f"W_r{gate}"])
                + p[f"b_{gate}"]
                for gate in "ifgo"
            }
            c = c / (1 + np.exp(-net["f"])) + np.tanh(net["g"]) / (1 + np.exp(-net["i"]))
            h = np.tanh(c) / (1 + np.exp(-net["o"]))
            r = np.einsum("j,jk->k", h, p["W_hr"])
            np.testing.assert_allclose(ys[t, row], r, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(last_r[row], r, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(last_c[row], c, rtol=1e-12, atol=1e-13)


@given(m=sizes, n=sizes, seed=seeds)
def test_with_the_identity_as_projection_it_is_the_lstm(m, n, seed):
    rng = np.random.default_rng(seed)
    plain = LSTM(m, n)
    params, state, xs = random_params(plain, rng), random_state(plain, rng, 2), random_inputs(plain, rng, 4, 2)
    renamed = {name.replace("W_h", "W_r"): value for name, value in params.items()} | {"W_hr": np.eye(n)}
    (h, c), ys = unroll(plain, params, state, xs)
    (r, memory), outputs = unroll(ProjectedLSTM(m, n, n), renamed, state, xs)
    np.testing.assert_array_equal(outputs, ys)
    np.testing.assert_array_equal(r, h)
    np.testing.assert_array_equal(memory, c)


def test_sizes_and_the_number_of_parameters():
    cell = ProjectedLSTM(input_size=5, hidden_size=7, projection_size=3)
    assert cell.output_size == 3
    assert cell.parameter_count == 4 * (5 * 7 + 3 * 7 + 7) + 7 * 3
    params = cell.init(np.random.default_rng(0))
    np.testing.assert_array_equal(params["b_f"], 1)
    np.testing.assert_allclose(params["W_ri"] @ params["W_ri"].T, np.eye(3), atol=1e-5)
    state, ys = cell(params, np.zeros((6, 2, 5), np.float32))
    assert ys.shape == (6, 2, 3)
    assert [leaf.shape for leaf in state] == [(2, 3), (2, 7)]
