"""Weights in Keras' layout, against its equations written out; needs no library."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapegrad import pytree
from tapegrad.cells import GRU, LSTM, Bidirectional, Elman, IndRNN
from tapegrad.errors import DtypeError, OptionError, ShapeError, StructureError
from tapegrad.interop.keras import KerasLayer, from_weights, to_weights

CELLS = [Elman(2, 3), Elman(2, 3, "relu"), LSTM(2, 3), GRU(2, 3), GRU(2, 3, True), GRU(2, 3, update_writes=True)]


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def outputs(cell, kernel, recurrent_kernel, bias, x):
    """Keras' equations (https://keras.io/api/layers/recurrent_layers and its source), for one sequence (T, m)."""
    n, ys = cell.hidden_size, []
    h = c = np.zeros(n)
    for row in x:
        if isinstance(cell, Elman):
            a = row @ kernel + bias + h @ recurrent_kernel
            h = {"tanh": np.tanh, "relu": lambda v: np.maximum(v, 0)}[cell.activation](a)
        elif isinstance(cell, LSTM):
            zi, zf, zc, zo = np.split(row @ kernel + h @ recurrent_kernel + bias, 4)
            c = sigmoid(zf) * c + sigmoid(zi) * np.tanh(zc)
            h = sigmoid(zo) * np.tanh(c)
        else:
            own, state = bias if cell.reset_after else (bias, np.zeros(3 * n))
            xz, xr, xh = np.split(row @ kernel + own, 3)
            hz, hr, hh = np.split(h @ recurrent_kernel + state, 3)
            z, r = sigmoid(xz + hz), sigmoid(xr + hr)
            inner = r * hh if cell.reset_after else (r * h) @ recurrent_kernel[:, 2 * n :]
            h = z * h + (1 - z) * np.tanh(xh + inner)
        ys.append(h)
    return np.array(ys)


def drawn(cell, rng, dtype=np.float64):
    """kernel, recurrent_kernel and bias of a layer."""
    width = {Elman: 1, LSTM: 4, GRU: 3}[type(cell)] * cell.hidden_size
    bias = (2, width) if getattr(cell, "reset_after", False) else (width,)
    shapes = [(cell.input_size, width), (cell.hidden_size, width), bias]
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_weights_mean_what_they_mean_in_keras(cell, rng):
    weights, x = drawn(cell, rng), rng.normal(size=(6, 2))
    expected = outputs(cell, *weights, x)
    params = from_weights(cell, weights)
    np.testing.assert_allclose(cell(params, x[:, None])[1][:, 0], expected, 1e-12, 1e-13)
    names = [f"sequential/{type(cell).__name__.lower()}/cell/{name}" for name in ("kernel", "recurrent_kernel", "bias")]
    for one in (dict(zip(names, weights, strict=True)), dict(zip(names[::-1], weights[::-1], strict=True))):
        again = from_weights(cell, one)
        assert all(np.array_equal(again[name], params[name]) for name in params)


@pytest.mark.parametrize("cell", CELLS[2:], ids=str)
def test_swapped_gates_are_seen(cell, rng):
    weights, x = drawn(cell, rng), rng.normal(size=(6, 2))
    expected = outputs(cell, *weights, x)
    swapped = [np.concatenate([array[..., 3:6], array[..., :3], array[..., 6:]], -1) for array in weights]
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(cell(from_weights(cell, swapped), x[:, None])[1][:, 0], expected, 1e-3)


def sized(kind, **options):
    return st.builds(kind, st.integers(1, 4), st.integers(1, 4), **options)


DRAWN = st.one_of(
    sized(Elman, activation=st.sampled_from(["tanh", "sigmoid", "relu"])),
    sized(LSTM),
    sized(GRU, reset_after=st.booleans(), update_writes=st.booleans()),
)


@given(
    DRAWN | DRAWN.map(lambda cell: Bidirectional(cell, cell)),
    st.integers(0, 2**32 - 1),
    st.sampled_from([np.float32, np.float64]),
)
def test_parameters_come_back_to_the_bit(layer, seed, dtype):
    rng = np.random.default_rng(seed)
    params = pytree.map(lambda parameter: rng.normal(size=parameter.shape).astype(dtype), layer.parameters())
    back = from_weights(layer, to_weights(layer, params))
    assert pytree.structure(back) == pytree.structure(params)
    for one, other in zip(pytree.leaves(back), pytree.leaves(params), strict=True):
        assert one.dtype == dtype
        np.testing.assert_array_equal(one, other)


def test_weights_of_both_directions(rng):
    layer = Bidirectional(LSTM(2, 3), GRU(2, 4))
    weights = [*drawn(layer.forward, rng), *drawn(layer.backward, rng)]
    params = from_weights(layer, weights)
    x = rng.normal(size=(6, 2))
    ys = layer(params, x[:, None])[1][:, 0]
    np.testing.assert_allclose(ys[:, :3], outputs(layer.forward, *weights[:3], x), 1e-12)
    np.testing.assert_allclose(ys[:, 3:], outputs(layer.backward, *weights[3:], x[::-1])[::-1], 1e-12)
    sides = [f"bidirectional/{side}_rnn/cell" for side in ("backward", "forward")]
    named = {f"{side}/kernel": array for side, array in zip(sides, (weights[3], weights[0]), strict=True)}
    named |= {f"{side}/recurrent_kernel": array for side, array in zip(sides, (weights[4], weights[1]), strict=True)}
    named |= {f"{side}/bias": array for side, array in zip(sides, (weights[5], weights[2]), strict=True)}
    again = from_weights(layer, named)
    for one, other in zip(pytree.leaves(again), pytree.leaves(params), strict=True):
        np.testing.assert_array_equal(one, other)


def test_layers_without_biases(rng):
    for cell in CELLS:
        weights = drawn(cell, rng)
        params = from_weights(cell, weights[:2])
        for one, other in zip(to_weights(cell, params, use_bias=False), weights[:2], strict=True):
            np.testing.assert_array_equal(one, other)
        with pytest.raises(OptionError, match="use_bias=False, but the biases are not 0"):
            to_weights(cell, from_weights(cell, weights), use_bias=False)


K, R, B = np.zeros((2, 9)), np.zeros((3, 9)), np.zeros(9)
REFUSED = [
    (GRU(2, 3), [K.T, R, B], ShapeError, r"kernel is of shape \(9, 2\), expected \(2, 9\) for GRU.*; it is transposed"),
    (GRU(2, 3), [R, K, B], ShapeError, r"kernel is of shape \(3, 9\), expected \(2, 9\)"),
    (GRU(2, 3), [K, R, np.zeros((2, 9))], ShapeError, "bias of a GRU with reset_after=True, make the cell so"),
    (GRU(2, 3, True), [K, R, B], ShapeError, r"bias is of shape \(9,\), expected \(2, 9\).*reset_after=False"),
    (LSTM(2, 3), [K, R, B], ShapeError, r"kernel is of shape \(2, 9\), expected \(2, 12\) for LSTM"),
    (GRU(2, 3), [K], StructureError, "1 arrays came, expected 3, or 2 without biases: kernel, recurrent_kernel, bias"),
    (GRU(2, 3), {"kernel": K}, StructureError, r"recurrent_kernel is missing, expected an array \(3, 9\)"),
    (GRU(2, 3), {"kernel": K, "gamma": B}, StructureError, r"'gamma', \(9,\), is unknown or there twice"),
    (GRU(2, 3), {"a/kernel": K, "b/kernel": K}, StructureError, r"'b/kernel', \(2, 9\), is unknown or there twice"),
    (GRU(2, 3), [K, R.astype(np.float32), B], DtypeError, "dtypes float32 and float64, expected one"),
    (GRU(2, 3), [K.astype(int), R, B], DtypeError, "kernel has dtype int64, expected float32 or float64"),
    (IndRNN(2, 3), [K, R, B], OptionError, r"IndRNN\(.*is no layer of Keras; those that are: Elman, LSTM, GRU"),
    (Bidirectional(GRU(2, 3), GRU(2, 3)), [K, R, B], StructureError, "3 arrays came, expected 6, or 4 without biases"),
    (Bidirectional(GRU(2, 3), GRU(2, 3)), [K, R, B, K, R.T, B], ShapeError, r"backward/recurrent_kernel is of shape"),
    (Bidirectional(GRU(2, 3), GRU(2, 3)), {"kernel": K}, StructureError, "expected forward/kernel and so on"),
]


@pytest.mark.parametrize(("layer", "weights", "error", "words"), REFUSED)
def test_what_does_not_fit_is_refused_by_name(layer, weights, error, words):
    with pytest.raises(error, match=words):
        from_weights(layer, weights)


def test_a_layer_returns_what_keras_returns(rng):
    cell, x = GRU(2, 3), rng.normal(size=(4, 6, 2))
    weights = drawn(cell, rng)
    params = from_weights(cell, weights)
    for backwards in (False, True):
        expected = np.stack([outputs(cell, *weights, row[::-1] if backwards else row) for row in x])
        layer = KerasLayer(cell, params, go_backwards=backwards, return_sequences=True, return_state=True)
        ys, h = layer(x)
        np.testing.assert_allclose(ys, expected, 1e-12)
        np.testing.assert_allclose(h, expected[:, -1], 1e-12)
        np.testing.assert_allclose(KerasLayer(cell, params, go_backwards=backwards)(x), expected[:, -1], 1e-12)
    with pytest.raises(ShapeError, match="2 initial states came"):
        layer(x, [h, h])


def test_what_is_no_list_of_arrays_is_refused():
    with pytest.raises(StructureError, match="weights are a NoneType, expected a list of arrays"):
        from_weights(LSTM(2, 3), None)
