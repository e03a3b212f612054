"""Stacks with skip connections and residuals."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import GRU, LSTM, Cell, Dropout, Elman, Input, Linear, Stacked, State
from tapegrad.errors import OptionError, ShapeError, StructureError
from tapegrad.testing import check_cell
from tests.cells.composition.plain import elman, gru
from tests.cells.drawing import random_inputs, random_params, random_state

QUICK = ("tape", "sympy", "reference", "differences")


def drawn(cell, seed=0, steps=5, batch=3):
    rng = np.random.default_rng(seed)
    return random_params(cell, rng), random_inputs(cell, rng, steps, batch), random_state(cell, rng, batch)


@pytest.mark.parametrize("skip_input", [False, True])
@pytest.mark.parametrize("skip_output", [False, True])
@pytest.mark.parametrize("residual", [(), (1,), (2,), (1, 2)])
def test_against_equations(skip_input, skip_output, residual):
    m, n = 2, 4
    above = n + m if skip_input else n
    cell = Stacked((GRU(m, n), Elman(above, n), GRU(above, n)), skip_input, skip_output, residual)
    params, xs, state = drawn(cell)
    end, ys = cell(params, xs, state)
    hs = list(state)
    for x, y in zip(xs, ys, strict=True):
        below, outputs = x, []
        for number, (step, p) in enumerate(
            zip((gru, elman, gru), (params[f"layer{i}"] for i in range(3)), strict=True)
        ):
            enters = np.hstack([x, below]) if skip_input and number else below
            hs[number] = step(p, hs[number], enters)
            below = hs[number] + below if number in residual else hs[number]
            outputs.append(below)
        np.testing.assert_allclose(y, np.hstack(outputs) if skip_output else below, rtol=1e-12, atol=1e-13)
    for a, b in zip(end, hs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
    assert ys.shape[-1] == cell.output_size == (3 * n if skip_output else n)


def test_skip_connections_are_sums_of_products():
    """Graves writes one matrix for the input and one for the layer below, and one for each layer at the output."""
    m, n, k = 3, 4, 2
    cell = Stacked((Stacked((Elman(m, n), Elman(m + n, n)), skip_input=True, skip_output=True), Linear(2 * n, k)))
    params, xs, _ = drawn(cell, 2)
    p1, p2, top = params["layer0"]["layer0"], params["layer0"]["layer1"], params["layer1"]
    W_ih2, W_h1h2, W_h1y, W_h2y = p2["W_xh"][:m], p2["W_xh"][m:], top["W_hy"][:n], top["W_hy"][n:]
    h1 = h2 = np.zeros((3, n))
    for x, y in zip(xs, cell(params, xs)[1], strict=True):
        h1 = np.tanh(x @ p1["W_xh"] + h1 @ p1["W_hh"] + p1["b_h"])
        h2 = np.tanh(x @ W_ih2 + h1 @ W_h1h2 + h2 @ p2["W_hh"] + p2["b_h"])
        np.testing.assert_allclose(y, h1 @ W_h1y + h2 @ W_h2y + top["b_y"], rtol=1e-12)
    assert cell.parameter_count == (m * n + n * n + n) + ((m + n) * n + n * n + n) + (2 * n * k + k)


def test_all_residuals():
    cell = Stacked((Elman(3, 3), GRU(3, 3)), residual=True)
    assert cell == Stacked((Elman(3, 3), GRU(3, 3)), residual=True)
    params, xs, state = drawn(cell)
    h1, h2 = state
    for x, y in zip(xs, cell(params, xs, state)[1], strict=True):
        h1 = elman(params["layer0"], h1, x)
        h2 = gru(params["layer1"], h2, x + h1)
        np.testing.assert_allclose(y, x + h1 + h2, rtol=1e-12)


def test_by_every_oracle():
    cells = Elman(2, 3), LSTM(5, 3), GRU(5, 3)
    assert check_cell(Stacked(cells, True, True, (1, 2)), oracles=QUICK).skipped == {}
    assert tg.symbolic.derive(Stacked(cells[:2], True, True, (1,))) is not None


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"residual": True}, ShapeError, r"adds the input, of size 2, .* layer 0, Elman.* of size 3.*residual=\(1,\)"),
        ({"residual": (0,)}, ShapeError, r"adds the input, of size 2.*residual=\(\)"),
        ({"residual": (2,)}, OptionError, "numbers from 0 to 1"),
        ({"residual": "all"}, OptionError, "expected True, False, or a tuple"),
        ({"skip_input": True}, ShapeError, r"layer 1, Elman.*\(3,\), but the input and .*\(5,\); .*input_size=5"),
        ({"skip_input": 1}, OptionError, "skip_input=1, expected True or False"),
    ],
)
def test_what_does_not_fit(options, error, words):
    with pytest.raises(error, match=words):
        Stacked((Elman(2, 3), Elman(3, 3)), **options)


def test_a_residual_between_layers_of_other_sizes():
    with pytest.raises(
        ShapeError, match="adds the output of layer 0, of size 3, to that of layer 1, Elman.* of size 4"
    ):
        Stacked((Elman(2, 3), Elman(3, 4)), residual=(1,))


class Two(Cell):
    """Gives two arrays, and says nothing about its sizes."""

    input_size: int = 2

    def state(self):
        return State((self.input_size,))

    def step(self, params, state, x):
        return state + x, (state, x)


class Whatever(Cell):
    """Takes anything."""

    def inputs(self):
        return None

    def step(self, params, state, x):
        return state, x


def test_what_turns_out_not_to_fit():
    cell = Stacked((Two(), Elman(2, 2)))
    with pytest.raises(StructureError, match="layer 0 gives a tuple, expected one array"):
        cell.step(cell.init(np.random.default_rng(0)), cell.initial_state(2), np.zeros((2, 2), np.float32))
    with pytest.raises(OptionError, match=r"skip_input=True, and layer 0, Whatever\(\), takes None"):
        Stacked((Whatever(), Elman(2, 2)), skip_input=True)


# ---- noise ----


def test_noise_of_the_parts():
    cell = Stacked((Elman(2, 4), Dropout(4, 0.5), Stacked((Dropout(4, 0.2), GRU(4, 3)))))
    rng = np.random.default_rng(3)
    noise = cell.noise(rng, 6, 5)
    assert cell.noisy
    assert noise[0] is None
    assert noise[1].shape == noise[2][0].shape == (6, 5, 4)
    assert noise[2][1] is None
    assert cell.inputs() == (Input((2,)), (None, Input((4,)), (Input((4,)), None)))
    params, xs, _ = drawn(Stacked((Elman(2, 4), GRU(4, 3))), 1, 6, 5)
    noise = cell.noise(rng, 6, 5, np.float64)
    own = {"layer0": params["layer0"], "layer1": {}, "layer2": {"layer0": {}, "layer1": params["layer1"]}}
    h, g = np.zeros((5, 4)), np.zeros((5, 3))
    for t, y in enumerate(cell(own, (xs, noise))[1]):
        h = elman(params["layer0"], h, xs[t])
        g = gru(params["layer1"], g, h * noise[1][t] * noise[2][0][t])
        np.testing.assert_allclose(y, g, rtol=1e-12)


def test_without_training_the_noise_does_nothing():
    noisy, plain = Stacked((Elman(2, 4), Dropout(4), GRU(4, 3))), Stacked((Elman(2, 4), GRU(4, 3)))
    params, xs, _ = drawn(plain)
    own = {"layer0": params["layer0"], "layer1": {}, "layer2": params["layer1"]}
    noise = noisy.noise(np.random.default_rng(0), 5, 3, np.float64, training=False)
    np.testing.assert_array_equal(noisy(own, (xs, noise))[1], plain(params, xs)[1])
    assert not plain.noisy
    assert plain.noise(np.random.default_rng(0), 5, 3) == (None, None)


def test_a_noisy_stack_without_noise():
    cell = Stacked((Elman(2, 4), Dropout(4)))
    with pytest.raises(StructureError, match="xs has the structure"):
        cell(cell.init(np.random.default_rng(0)), np.zeros((3, 2, 2), np.float32))
