"""Keras 3 itself, on JAX, where both are installed: outputs, states and gradients of its layers."""

import os

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import pytree
from tapegrad.cells import GRU, LSTM, Bidirectional, Elman
from tapegrad.errors import FileError, OptionError
from tapegrad.interop.keras import from_keras, load, to_keras

jax = pytest.importorskip("jax")
os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")
layers = keras.layers

pytestmark = [
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="Keras has another backend than JAX"),
    # Keras' variables have an __array__ of NumPy 1.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

MADE = {
    "SimpleRNN": lambda **options: layers.SimpleRNN(4, **options),
    "SimpleRNN, relu": lambda **options: layers.SimpleRNN(4, activation="relu", **options),
    "SimpleRNN, sigmoid": lambda **options: layers.SimpleRNN(4, activation="sigmoid", **options),
    "LSTM": lambda **options: layers.LSTM(4, **options),
    "GRU, reset before": lambda **options: layers.GRU(4, reset_after=False, **options),
    "GRU, reset after": lambda **options: layers.GRU(4, **options),
}
OPTIONS = [
    {},
    {"return_sequences": True},
    {"return_state": True},
    {"return_sequences": True, "return_state": True, "go_backwards": True},
    {"go_backwards": True, "use_bias": False},
]


def built(layer, rng):
    """The layer with random weights; its own biases are 0."""
    layer.build((None, None, 3))
    layer.set_weights([rng.normal(size=weight.shape).astype(np.float32) for weight in layer.weights])
    return layer


def agree(found, expected, tolerance=1e-4):
    found, expected = (list(y) if isinstance(y, (list, tuple)) else [y] for y in (found, expected))
    assert len(found) == len(expected)
    for y, wanted in zip(found, expected, strict=True):
        wanted = np.asarray(wanted)
        assert y.shape == wanted.shape
        np.testing.assert_allclose(y, wanted, tolerance, tolerance * max(1.0, np.abs(wanted).max()))


CHOSEN = [(name, OPTIONS[3]) for name in MADE] + [("LSTM", options) for options in OPTIONS if options != OPTIONS[3]]


@pytest.mark.parametrize(("name", "options"), CHOSEN, ids=str)
def test_layers_return_the_same(name, options):
    rng = np.random.default_rng(0)
    layer = built(MADE[name](**options), rng)
    found = from_keras(layer)
    x = rng.normal(size=(2, 5, 3)).astype(np.float32)
    agree(found(x), layer(x))
    state = [rng.normal(size=(2, 4)).astype(np.float32) for _ in pytree.leaves(found.layer.state())]
    agree(found(x, state), layer(x, initial_state=state if len(state) > 1 else state[0]))


@pytest.mark.parametrize(
    ("merge", "options"),
    [("concat", {}), ("sum", {"return_sequences": True}), ("ave", {"return_state": True}),
     ("mul", {"return_sequences": True, "return_state": True})],
    ids=str,
)  # fmt: skip
def test_both_directions_return_the_same(merge, options):
    rng = np.random.default_rng(0)
    layer = built(layers.Bidirectional(layers.LSTM(4, **options), merge_mode=merge), rng)
    found = from_keras(layer)
    x = rng.normal(size=(2, 5, 3)).astype(np.float32)
    agree(found(x), layer(x))
    state = [rng.normal(size=(2, 4)).astype(np.float32) for _ in range(4)]
    agree(found(x, state), layer(x, initial_state=state))


@pytest.mark.parametrize("name", MADE)
def test_gradients_are_the_same(name):
    rng = np.random.default_rng(0)
    layer = built(MADE[name](return_sequences=True), rng)
    found = from_keras(layer)
    x = rng.normal(size=(2, 5, 3)).astype(np.float32)
    weights = rng.normal(size=(2, 5, 4)).astype(np.float32)

    def theirs(variables, x):
        return (layer.stateless_call(variables, [v.value for v in layer.non_trainable_variables], x)[0] * weights).sum()

    by_weights, by_x = jax.grad(theirs, argnums=(0, 1))([v.value for v in layer.trainable_variables], x)
    own, own_x = tg.grad(lambda params, x: np.sum(found(x, params=params) * weights), argnums=(0, 1))(found.params, x)
    agree(own_x, by_x, 1e-3)
    for gate, letter in enumerate({"S": "h", "L": "ifgo", "G": "zrn"}[name[0]]):
        part = slice(4 * gate, 4 * gate + 4)
        agree(own[f"W_x{letter}"], np.asarray(by_weights[0])[:, part], 1e-3)
        agree(own[f"W_h{letter}"], np.asarray(by_weights[1])[:, part], 1e-3)
        bias = np.asarray(by_weights[2]).reshape(-1, by_weights[2].shape[-1])  # of two the first is that of the input
        agree(own[f"b_{letter}"], bias[0, part], 1e-3)
        if letter == "n" and len(bias) == 2:
            agree(own["b_hn"], bias[1, part], 1e-3)


@pytest.mark.parametrize(
    "layer", [Elman(3, 4), LSTM(3, 4), GRU(3, 4), GRU(3, 4, True), Bidirectional(GRU(3, 4), GRU(3, 5))], ids=str
)
def test_layers_made_of_cells(layer):
    rng = np.random.default_rng(0)
    params = pytree.map(lambda parameter: rng.normal(size=parameter.shape).astype(np.float32), layer.parameters())
    made = to_keras(layer, params, return_sequences=True)
    x = rng.normal(size=(5, 2, 3)).astype(np.float32)
    agree(np.swapaxes(layer(params, x)[1], 0, 1), made(x.swapaxes(0, 1)))
    back = from_keras(made)
    assert back.layer == layer
    for one, other in zip(pytree.leaves(back.params), pytree.leaves(params), strict=True):
        np.testing.assert_array_equal(one, other)


def test_models_and_their_files(tmp_path):
    rng = np.random.default_rng(0)
    model = keras.Sequential(
        [layers.Input((None, 3)), layers.Bidirectional(layers.GRU(4, return_sequences=True), name="both"),
         layers.Dense(3), layers.LSTM(2, name="top")]
    )  # fmt: skip
    model.set_weights([rng.normal(size=weight.shape).astype(np.float32) for weight in model.weights])
    model.save(tmp_path / "model.keras")
    for source in (model, tmp_path / "model.keras"):
        found = load(source)
        assert list(found) == ["both", "top"]
        x = rng.normal(size=(2, 5, 3)).astype(np.float32)
        agree(found["both"](x), model.get_layer("both")(x))
    (tmp_path / "text.keras").write_text("no model", encoding="utf-8")
    with pytest.raises(FileError, match=r"text.keras' is no model that Keras can read"):
        load(tmp_path / "text.keras")
    with pytest.raises(FileError, match="no recurrent layer; it has Dense"):
        load(keras.Sequential([layers.Input((3,)), layers.Dense(2)]))
    odd = keras.Sequential([layers.Input((None, 3)), layers.GRU(2, activation="elu", name="odd")])
    with pytest.raises(OptionError, match="layer 'odd': from_keras: activation is 'elu', expected 'tanh'"):
        load(odd)


REFUSED = [
    (lambda: layers.LSTM(2, recurrent_activation="hard_sigmoid"), "recurrent_activation is 'hard_sigmoid', expected"),
    (lambda: layers.LSTM(2, dropout=0.5), "dropout is 0.5, which no cell has"),
    (lambda: layers.GRU(2, stateful=True), "stateful is True, which no cell has"),
    (lambda: layers.Dense(2), "the layer is a Dense, expected SimpleRNN, LSTM, GRU or Bidirectional"),
    (lambda: layers.Bidirectional(layers.GRU(2), merge_mode=None), "merge_mode is None, expected one of concat"),
    (lambda: layers.Bidirectional(layers.GRU(2, go_backwards=True), backward_layer=layers.GRU(2)), "forward_layer has"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), REFUSED)
def test_what_no_cell_is_is_refused_by_name(make, words):
    layer = make()
    layer.build((2, 5, 3))
    with pytest.raises(OptionError, match=words):
        from_keras(layer)


def test_what_no_layer_of_keras_is():
    with pytest.raises(OptionError, match="has no weights; call it once"):
        from_keras(layers.GRU(2))
    cell = Elman(2, 3, "sigmoid")
    with pytest.raises(OptionError, match="does not start from 0, as layers of Keras do"):
        to_keras(cell, cell.init(np.random.default_rng(0)))
