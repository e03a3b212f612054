"""Deep transitions, inputs and outputs: the networks of Pascanu et al., and other cells made deep."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import (
    GRU,
    LSTM,
    Cell,
    DeepTransition,
    Dense,
    Dropout,
    Elman,
    Linear,
    Parameter,
    SoftmaxReadout,
    Stacked,
    State,
)
from tapegrad.errors import OptionError, ShapeError
from tapegrad.testing import check_cell
from tests.cells.composition.plain import elman, gru, linear, sigmoid
from tests.cells.composition.test_stacked import QUICK, drawn

# ---- the equations ----


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_deep_transition(depth):
    """h_t = phi_L(... phi_2(phi_1(x_t W + h_{t-1} U_1) U_2) ...), with layers of other sizes in between."""
    m, sizes = 2, [4, 3, 5, 4][: depth + 1]
    sizes[-1] = 4
    dense = tuple(Dense(a, b, phi) for a, b, phi in zip(sizes, sizes[1:], ("relu", "sigmoid", "tanh"), strict=False))
    cell = DeepTransition((Elman(m, 4), *dense))
    params, xs, h = drawn(cell, depth)
    phis = {"relu": lambda z: np.maximum(z, 0), "sigmoid": sigmoid, "tanh": np.tanh}
    for x, y in zip(xs, cell(params, xs, h)[1], strict=True):
        h = elman(params["layer0"], h, x)
        for number, layer in enumerate(dense, 1):
            h = phis[layer.activation](linear(params[f"layer{number}"], h))
        np.testing.assert_allclose(y, h, rtol=1e-12, atol=1e-13)


def test_shortcut():
    """The last layer of the transition is given x_t and h_{t-1} as well."""
    m, n = 2, 4
    cell = DeepTransition((Elman(m, n), Dense(n, 3, "sigmoid"), Dense(3 + m + n, n)), shortcut=True)
    params, xs, h = drawn(cell)
    U, W, S = np.split(params["layer2"]["W_hy"], [3, 3 + m])
    for x, y in zip(xs, cell(params, xs, h)[1], strict=True):
        inner = sigmoid(linear(params["layer1"], elman(params["layer0"], h, x)))
        h = np.tanh(inner @ U + x @ W + h @ S + params["layer2"]["b_y"])
        np.testing.assert_allclose(y, h, rtol=1e-12)


def test_gated_cells_one_after_the_other():
    cell = DeepTransition((GRU(2, 4), Dense(4, 4), GRU(2, 4)))
    params, xs, h = drawn(cell)
    for x, y in zip(xs, cell(params, xs, h)[1], strict=True):
        h = np.tanh(linear(params["layer1"], gru(params["layer0"], h, x)))
        h = gru(params["layer2"], h, x)
        np.testing.assert_allclose(y, h, rtol=1e-12)


def test_a_shortcut_into_a_cell_with_a_state():
    cell = DeepTransition((GRU(2, 3), GRU(5, 3)), shortcut=True)
    params, xs, h = drawn(cell)
    for x, y in zip(xs, cell(params, xs, h)[1], strict=True):
        h = gru(params["layer1"], gru(params["layer0"], h, x), np.hstack([x, h]))
        np.testing.assert_allclose(y, h, rtol=1e-12)


class Leaky(Cell):
    """A cell of somebody else's, with a state of its own."""

    input_size: int
    hidden_size: int

    def parameters(self):
        return {"U": Parameter((self.input_size, self.hidden_size))}

    def state(self):
        return {"slow": State((self.hidden_size,)), "fast": State((self.hidden_size,))}

    def step(self, params, state, x):
        fast = np.tanh(x @ params["U"] + state["slow"])
        slow = 0.9 * state["slow"] + 0.1 * fast * state["fast"]
        return {"slow": slow, "fast": fast}, slow


@pytest.mark.parametrize(
    "cells", [(Leaky(2, 3), Leaky(2, 3)), (LSTM(2, 3), LSTM(2, 3)), (GRU(2, 3), Elman(2, 3))], ids=str
)
def test_any_cells_whose_states_are_alike(cells):
    deep = DeepTransition(cells)
    assert check_cell(deep, oracles=QUICK).skipped == {}
    params, xs, state = drawn(deep)
    new, y = cells[0].step(params["layer0"], state, xs[0])
    new, y = cells[1].step(params["layer1"], new, xs[0])
    np.testing.assert_allclose(deep(params, xs[:1], state)[1][0], y, rtol=1e-12)


def test_deep_input_transition_and_output_in_one_loop():
    cell = Stacked((Dense(2, 3), DeepTransition((Elman(3, 4), Dense(4, 4))), Dense(4, 3), SoftmaxReadout(3, 5)))
    assert check_cell(cell, oracles=QUICK).skipped == {}
    params, xs, _ = drawn(cell)
    tape = tg.trace(lambda params, xs: cell(params, xs)[1])(params, xs)
    assert sum(node is not None and node.primitive.name == "scan" for node in tape.nodes) == 1
    h = np.zeros((3, 4))
    p = params["layer1"]
    for x, y in zip(xs, cell(params, xs)[1], strict=True):
        h = np.tanh(linear(p["layer1"], elman(p["layer0"], h, np.tanh(linear(params["layer0"], x)))))
        o = linear(params["layer3"], np.tanh(linear(params["layer2"], h)))
        np.testing.assert_allclose(y, np.exp(o) / np.exp(o).sum(-1, keepdims=True), rtol=1e-12)


def test_the_way_past_the_transition():
    """With vanishing weights inside, the shortcut alone carries the state's gradient."""
    n = 3
    for shortcut in (False, True):
        last = Dense(n + 2 + n, n) if shortcut else Dense(n, n)
        cell = DeepTransition((Elman(2, n), last), shortcut)
        params, xs, h = drawn(cell, steps=1)
        params["layer1"]["W_hy"][:n] = 0
        grad = tg.grad(lambda h, cell=cell, params=params, xs=xs: np.sum(cell(params, xs, h)[1]))(h)
        assert (np.abs(grad).max() > 1e-2) == shortcut


def test_noise_inside_a_step():
    cell = DeepTransition((Elman(2, 3), Dropout(3, 0.4), Dense(3, 3)))
    params, _, h = drawn(DeepTransition((Elman(2, 3), Dense(3, 3))))
    rng = np.random.default_rng(0)
    xs, noise = rng.standard_normal((5, 3, 2)), cell.noise(rng, 5, 3, np.float64)
    assert [None if part is None else part.shape for part in noise] == [None, (5, 3, 3), None]
    own = {"layer0": params["layer0"], "layer1": {}, "layer2": params["layer1"]}
    for t, y in enumerate(cell(own, (xs, noise), h)[1]):
        h = np.tanh(linear(params["layer1"], elman(params["layer0"], h, xs[t]) * noise[1][t]))
        np.testing.assert_allclose(y, h, rtol=1e-12)


# ---- numbers of parameters ----


def weights(cell):
    """What the paper counts: matrices, no biases."""
    return sum(p.shape[0] * p.shape[1] for p in tg.tree_leaves(cell.parameters()) if len(p.shape) == 2)


def conventional(m, n):
    return Stacked((Elman(m, n), Linear(n, m)))


def transition(m, n, *outputs):
    deep = DeepTransition((Elman(m, n), Dense(n + m + n, n)), shortcut=True)
    sizes = [n, *outputs]
    return Stacked((deep, *(Dense(a, b) for a, b in zip(sizes, sizes[1:], strict=False)), Linear(sizes[-1], m)))


def stacked(m, n):
    return Stacked((Elman(m, n), Elman(n, n), Linear(n, m)))


@pytest.mark.parametrize(
    ("cell", "thousands"),
    [
        (conventional(88, 600), 465), (transition(88, 400), 585), (transition(88, 400, 400), 745),
        (stacked(88, 400), 550), (conventional(88, 200), 75), (conventional(50, 600), 420), (transition(50, 400), 540),
        (transition(50, 400, 600), 790), (stacked(50, 400), 520), (conventional(10000, 200), 4040),
        (transition(10000, 200), 6120), (transition(10000, 200, 200), 6160), (stacked(10000, 400), 8480),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else type(value.cells[0]).__name__,
)  # fmt: skip
def test_numbers_of_parameters(cell, thousands):
    """The paper's networks for music (88 notes), characters (50) and words (10,000), in thousands, cut off."""
    assert weights(cell) // 1000 == thousands


# ---- what does not fit ----


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: DeepTransition(()), OptionError, "a tuple of at least one cell"),
        (lambda: DeepTransition((Dense(2, 3), Elman(2, 3))), OptionError, "layer 0, Dense.*has no state; begin with a"),
        (lambda: DeepTransition((LSTM(2, 3), Dense(3, 3))), OptionError, "need a single vector; stack cells with the"),
        (lambda: DeepTransition((LSTM(2, 3), LSTM(5, 3)), True), OptionError, "need a single vector"),
        (lambda: DeepTransition((GRU(2, 3), GRU(2, 4))), ShapeError, "layer 1, GRU.* has the state .*one hidden_size"),
        (lambda: DeepTransition((GRU(2, 3), LSTM(2, 3))), ShapeError, "layer 1, LSTM"),
        (lambda: DeepTransition((GRU(2, 3), GRU(3, 3))), ShapeError, r"takes vectors of size 3, and the input has 2"),
        (lambda: DeepTransition((GRU(2, 3), Dense(4, 3))), ShapeError, "what layer 0 gives has 3 = 3.*input_size=3"),
        (lambda: DeepTransition((GRU(2, 3), Dense(3, 4))), ShapeError, "gives vectors of size 4.*output_size=3"),
        (
            lambda: DeepTransition((GRU(2, 3), Dense(3, 3)), True),
            ShapeError,
            r"3 \+ 2 \+ 3 = 8; make it with input_size=8",
        ),
        (lambda: DeepTransition((GRU(2, 3),), True), OptionError, "leads past nothing"),
        (lambda: Dense(2, 3, "softmax"), OptionError, "Dense: activation='softmax', expected one of tanh"),
    ],
)
def test_what_does_not_fit(make, error, words):
    with pytest.raises(error, match=words):
        make()
