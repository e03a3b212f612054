"""The LSTM with layer normalisation: its equations row by row, and every oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapegrad.cells import LayerNormLSTM
from tapegrad.errors import OptionError
from tapegrad.testing import check_cell
from tests.cells.drawing import random_inputs, random_params, random_state, unroll

sizes = st.integers(1, 4)


def normalised(v, epsilon):
    return (v - v.mean()) / np.sqrt(v.var() + epsilon)


def sigma(a):
    return 1 / (1 + np.exp(-a))


@given(m=sizes, n=sizes, epsilon=st.sampled_from([1e-5, 0.1]), seed=st.integers(0, 2**32))
def test_the_equations(m, n, epsilon, seed):
    rng = np.random.default_rng(seed)
    cell = LayerNormLSTM(m, n, epsilon)
    p, state, xs = random_params(cell, rng), random_state(cell, rng, 2), random_inputs(cell, rng, 3, 2)
    last, ys = unroll(cell, p, state, xs)
    whole = {name: np.concatenate([p[f"{name}{k}"] for k in "ifgo"], axis=-1)
             for name in ("W_x", "W_h", "a_x", "a_h", "d_x", "d_h", "b_")}  # fmt: skip
    for row in range(2):
        h, c = state[0][row], state[1][row]
        for t in range(3):
            net = whole["b_"]
            for seen, v in (("x", xs[t, row]), ("h", h)):
                net = net + whole[f"a_{seen}"] * normalised(v @ whole[f"W_{seen}"], epsilon) + whole[f"d_{seen}"]
            i, f, g, o = np.split(net, 4)
            c = sigma(f) * c + sigma(i) * np.tanh(g)
            h = sigma(o) * np.tanh(p["a_c"] * normalised(c, epsilon) + p["d_c"])
            np.testing.assert_allclose(ys[t, row], h, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(last[1][row], c, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("seed", [0, 1])
def test_by_other_oracles(seed):
    report = check_cell(LayerNormLSTM(2, 3), oracles=("tape", "reference", "rtrl", "differences"), seed=seed)
    assert report.skipped == {}


def test_scaled_weights_give_the_same_outputs():
    """What the normalisation is for: the size of a weight matrix does not count, epsilon aside."""
    rng = np.random.default_rng(0)
    cell = LayerNormLSTM(3, 4, 1e-12)
    params, state, xs = random_params(cell, rng), random_state(cell, rng, 2), random_inputs(cell, rng, 3, 2)
    scaled = {k: 7.0 * v if k.startswith("W_h") else 0.3 * v if k.startswith("W_x") else v for k, v in params.items()}
    for a, b in zip(unroll(cell, params, state, xs)[1], unroll(cell, scaled, state, xs)[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8)


def test_numbers_and_options():
    cell = LayerNormLSTM(5, 7)
    assert cell.parameter_count == 4 * (5 * 7 + 7 * 7 + 5 * 7) + 2 * 7
    params = cell.init(np.random.default_rng(0))
    assert (params["a_hf"] == 1).all()
    assert (params["d_hf"] == 0).all()
    assert (params["b_f"] == 1).all()
    with pytest.raises(OptionError, match="epsilon=0, expected a number above 0"):
        LayerNormLSTM(2, 3, 0)
