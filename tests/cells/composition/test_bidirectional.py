"""Both directions of time."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import GRU, LSTM, Bidirectional, Elman, Layer, Linear, Sequential, SigmoidReadout
from tapegrad.errors import OptionError, ShapeError, StructureError, TapegradError
from tapegrad.training import Adam
from tests.cells.composition.plain import elman, gru, linear, sigmoid
from tests.cells.composition.properties import arguments

MERGES = {
    "concatenate": lambda a, b: np.concatenate([a, b], axis=-1),
    "sum": lambda a, b: a + b,
    "mean": lambda a, b: (a + b) / 2,
    "product": lambda a, b: a * b,
}


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("reverse", [False, True])
def test_each_row_against_equations(merge, reverse):
    """Each row by itself, over its own steps, in two plain loops."""
    layer = Bidirectional(GRU(2, 4), Elman(2, 4), merge)
    params, state, xs, _ = arguments(layer, 1)
    lengths = np.array([7, 3, 0])
    (f, b), ys = layer(params, xs, state, lengths=lengths, reverse=reverse)
    for row, length in enumerate(lengths):
        forwards, backwards = (range(length - 1, -1, -1), range(length))[:: 1 if reverse else -1]
        hf, hb = state[0][row], state[1][row]
        one, two = np.zeros((2, length, 4))
        for t in forwards:
            one[t] = hf = gru(params["forward"], hf, xs[t, row])
        for t in backwards:
            two[t] = hb = elman(params["backward"], hb, xs[t, row])
        np.testing.assert_allclose(ys[:length, row], MERGES[merge](one, two), rtol=1e-12, atol=1e-13)
        np.testing.assert_array_equal(ys[length:, row], 0)
        np.testing.assert_allclose(f[row], hf, rtol=1e-12)
        np.testing.assert_allclose(b[row], hb, rtol=1e-12)


def test_the_network_of_the_paper():
    """y_t = psi(hf_t Vf + hb_t Vb + c), logistic units, states of 0.5 outside of the sequence."""
    n = 4
    layer = Sequential((Bidirectional(Elman(2, n, "sigmoid"), Elman(2, n, "sigmoid")), SigmoidReadout(2 * n, 3)))
    params, _, xs, _ = arguments(layer, 2)
    pf, pb, top = params["layer0"]["forward"], params["layer0"]["backward"], params["layer1"]
    steps, rows = xs.shape[:2]
    hf, hb = np.full((steps + 2, rows, n), 0.5), np.full((steps + 2, rows, n), 0.5)
    for t in range(1, steps + 1):
        hf[t] = sigmoid(xs[t - 1] @ pf["W_xh"] + hf[t - 1] @ pf["W_hh"] + pf["b_h"])
    for t in range(steps, 0, -1):
        hb[t] = sigmoid(xs[t - 1] @ pb["W_xh"] + hb[t + 1] @ pb["W_hh"] + pb["b_h"])
    expected = sigmoid(hf[1:-1] @ top["W_hy"][:n] + hb[1:-1] @ top["W_hy"][n:] + top["b_y"])
    np.testing.assert_allclose(layer(params, xs)[1], expected, rtol=1e-12)


def test_reset_parts_sequences_in_both_directions():
    layer = Bidirectional(GRU(2, 3), LSTM(2, 4))
    params, state, xs, _ = arguments(layer, 3, batch=1)
    reset = np.zeros((7, 1), bool)
    reset[[2, 5]] = True
    parts = [layer(params, xs[i:j], state) for i, j in ((0, 2), (2, 5), (5, 7))]
    ys = np.concatenate([part[1] for part in parts])
    np.testing.assert_allclose(layer(params, xs, state, reset=reset)[1], ys, rtol=1e-12)
    moved = np.zeros((7, 1), bool)
    moved[[1, 4]] = True  # the last steps of the first two parts
    turned = Bidirectional(LSTM(2, 4), GRU(2, 3))
    swapped = {"forward": params["backward"], "backward": params["forward"]}
    other = turned(swapped, xs, state[::-1], reset=moved, reverse=True)[1]
    np.testing.assert_allclose(np.concatenate([other[..., 4:], other[..., :4]], -1), ys, rtol=1e-12)


def test_reversed_data_exchange_the_directions():
    layer = Bidirectional(GRU(2, 3), GRU(2, 3), "sum")
    params, state, xs, _ = arguments(layer, 4)
    swapped = {"forward": params["backward"], "backward": params["forward"]}
    (b, f), ys = layer(swapped, xs[::-1], state[::-1])
    expected = layer(params, xs, state)
    np.testing.assert_allclose(ys[::-1], expected[1], rtol=1e-12)
    np.testing.assert_allclose((f, b), expected[0], rtol=1e-12)


def test_a_network_in_each_direction():
    deep = Bidirectional(Sequential((GRU(2, 3), Elman(3, 4))), LSTM(2, 5))
    params, state, xs, _ = arguments(deep, 5)
    lengths = np.array([4, 7, 2])
    _, ys = deep(params, xs, state, lengths=lengths)
    for row, n in enumerate(lengths):
        h, g = (part[row] for part in state[0])
        for t in range(n):
            h = gru(params["forward"]["layer0"], h, xs[t, row])
            g = elman(params["forward"]["layer1"], g, h)
            np.testing.assert_allclose(ys[t, row, :4], g, rtol=1e-12)
    assert deep.output_size == 9


def test_half_of_the_layer_frozen():
    layer = Bidirectional(GRU(2, 3), Elman(2, 3))
    params, state, xs, _ = arguments(layer)
    mask = {"forward": True, "backward": False}
    held = tg.grad(lambda p: np.sum(np.sin(layer(tg.freeze(p, mask), xs, state)[1])))(params)
    free = tg.grad(lambda p: np.sum(np.sin(layer(p, xs, state)[1])))(params)
    for name in params["forward"]:
        np.testing.assert_array_equal(held["forward"][name], 0)
    for name in params["backward"]:
        np.testing.assert_array_equal(held["backward"][name], free["backward"][name])


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Bidirectional(GRU(2, 3), GRU(3, 3)), ShapeError, "forward, GRU.*one input_size"),
        (lambda: Bidirectional(GRU(2, 3), GRU(2, 4), "sum"), ShapeError, "sizes 3, forward, and 4, backward"),
        (lambda: Bidirectional(GRU(2, 3), GRU(2, 3), "add"), OptionError, "merge='add', expected one of concatenate"),
        (lambda: Bidirectional(GRU(2, 3), GRU), OptionError, "backward is <class .*expected a cell or layer"),
        (lambda: Bidirectional(3, GRU(2, 3)), OptionError, "forward is 3"),
    ],
)
def test_what_does_not_fit(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_arguments_that_do_not_fit():
    layer = Bidirectional(GRU(2, 3), Elman(2, 4))
    params, state, xs, _ = arguments(layer)
    with pytest.raises(StructureError, match=r"missing: backward\.W_hh, backward\.W_xh, backward\.b_h"):
        layer({**params, "backward": {}}, xs)
    with pytest.raises(ShapeError, match=r"xs is of shape \(7, 3, 3\), expected shape \(T, B, 2\)"):
        layer(params, np.zeros((7, 3, 3)))
    with pytest.raises(ShapeError, match=r"state\[1\] is of shape \(3, 3\), expected shape \(3, 4\)"):
        layer(params, xs, (state[0], state[0]))
    with pytest.raises(ShapeError, match="lengths"):
        layer(params, xs, state, lengths=[8, 1, 1])


class NoCall(Layer):
    """Has no __call__."""


def test_a_layer_without_a_call():
    with pytest.raises(TapegradError, match="NoCall has no __call__"):
        NoCall()({}, np.zeros((2, 3, 4)))


def test_a_readout_reads_both():
    layer = Sequential((Bidirectional(Elman(2, 3), GRU(2, 4)), Linear(7, 2)))
    params, state, xs, _ = arguments(layer)
    _, inner = layer.layers[0](params["layer0"], xs, state[0])
    np.testing.assert_allclose(layer(params, xs, state)[1], linear(params["layer1"], inner), rtol=1e-12)


# ---- what both directions are for ----


def learned(model, seed):
    """The share of right answers to y_t = 1[x_{t-1} + x_{t+1} > 1] after 400 batches of 64 sequences of 20."""
    rng = np.random.default_rng(seed)
    params, optimizer = model.init(rng), Adam(lr=0.02)
    memory = optimizer.init(params)

    def drawn(rows):
        x = rng.random((20, rows, 1)).astype(np.float32)
        beside = np.zeros((1, rows, 1), np.float32)
        return x - np.float32(0.5), np.concatenate([beside, x[:-1]]) + np.concatenate([x[1:], beside]) > 1

    for _ in range(400):
        xs, targets = drawn(64)
        grads = tg.grad(lambda p, x=xs, y=targets: tg.binary_cross_entropy(model(p, x)[1], y))(params)
        params, memory = optimizer.update(grads, memory, params)
    xs, targets = drawn(1000)
    return np.mean(((model(params, xs)[1] > 0) == targets)[1:-1])


def test_a_target_in_the_past_and_the_future():
    """Who does not know the future is right in three cases of four at best."""
    both = learned(Sequential((Bidirectional(Elman(1, 6), Elman(1, 6)), Linear(12, 1))), 0)
    forward = learned(Sequential((Elman(1, 12), Linear(12, 1))), 0)
    assert both > 0.93
    assert 0.65 < forward < 0.78
