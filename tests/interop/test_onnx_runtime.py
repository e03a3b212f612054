"""ONNX Runtime as a second implementation of the standard, where it is installed.

It differs from the standard, or leaves something out, in these points (version 1.31), which are compared with the
written-out equations in ``test_onnx_equations.py`` alone: layout 1 is not implemented; the clip does not reach the
argument of h in an LSTM; the default alpha of ThresholdedRelu is 0, that of the operator 1; the final state of a
sequence of length 0 is 0, here the initial state.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapegrad import pytree
from tapegrad.cells import GRU, LSTM, Bidirectional, Elman, Sequential, Stacked
from tapegrad.interop.onnx import load, to_model
from tests.interop import onnx_cases, standard
from tests.interop.test_onnx_equations import DIRECTIONS, OPERATORS, OPTIONAL
from tests.interop.test_onnx_models import drawn, model_of

runtime = pytest.importorskip("onnxruntime")


def run(model, inputs):
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return runtime.InferenceSession(model.SerializeToString(), options).run(None, inputs)


def agree(found, expected, tolerance=2e-5):
    for y, wanted in zip(found, expected, strict=True):
        assert y.shape == wanted.shape
        scale = max(1.0, np.abs(wanted).max(initial=0))
        np.testing.assert_allclose(y, wanted, tolerance, tolerance * scale)


@st.composite
def nodes(draw):
    operator = draw(st.sampled_from(OPERATORS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    attributes = {"direction": draw(st.sampled_from(DIRECTIONS))}
    attributes |= {key: draw(st.sampled_from([0, 1])) for key in onnx_cases.MORE[operator]}
    if draw(st.booleans()):
        attributes |= onnx_cases.activations(rng, operator, 2 if attributes["direction"] == "bidirectional" else 1)
    elif operator != "LSTM" and draw(st.booleans()):
        attributes["clip"] = float(np.float32(rng.uniform(0.2, 2)))
    inputs = draw(st.sets(st.sampled_from(OPTIONAL[operator])))
    return operator, *onnx_cases.case(
        rng, operator, batch=draw(st.integers(1, 3)), steps=draw(st.integers(1, 5)), inputs=inputs, **attributes
    )


@given(nodes())
def test_nodes_give_what_the_runtime_gives(node):
    operator, attributes, arrays = node
    model = model_of(operator, attributes, arrays)
    (recurrence,) = load(model, arrays).values()
    agree(recurrence(arrays["X"]), run(model, arrays))


def test_swapped_gates_are_seen(monkeypatch):
    rng = np.random.default_rng(0)
    attributes, arrays = onnx_cases.case(rng, "LSTM", inputs=OPTIONAL["LSTM"], direction="bidirectional")
    model = model_of("LSTM", attributes, arrays)
    expected = run(model, arrays)
    n = attributes["hidden_size"]
    swapped = {key: np.array(array) for key, array in arrays.items()}
    for key in "WR":
        swapped[key][1, n : 3 * n] = np.roll(arrays[key][1, n : 3 * n], n, axis=0)
    (recurrence,) = load(model, arrays).values()
    agree(recurrence(arrays["X"]), expected)
    (recurrence,) = load(model, swapped).values()
    with pytest.raises(AssertionError):
        agree(recurrence(arrays["X"]), expected, 1e-3)


@pytest.mark.parametrize("place", ["g", "f"])
def test_the_clip_of_an_lstm_is_compared_where_both_have_it(place):
    """With h the identity on what C can be, clipping its argument or not is the same."""
    rng = np.random.default_rng(1)
    names = {"g": ["Sigmoid", "Tanh", "Tanh"], "f": ["HardSigmoid", "Softsign", "Tanh"]}[place]
    attributes, arrays = onnx_cases.case(rng, "LSTM", inputs=("B", "initial_h"), activations=names, clip=1.0)
    found = standard.run("LSTM", **arrays, **attributes)
    assert np.abs(found[2]).max() < 1.0  # C is never clipped
    model = model_of("LSTM", attributes, arrays)
    (recurrence,) = load(model, arrays).values()
    agree(recurrence(arrays["X"]), run(model, arrays))
    (unclipped,) = load(model_of("LSTM", {**attributes, "clip": 100.0}, arrays), arrays).values()
    with pytest.raises(AssertionError):
        agree(unclipped(arrays["X"]), run(model, arrays), 1e-3)


LAYERS = [
    Elman(2, 3),
    Elman(2, 3, "sigmoid"),
    Elman(2, 3, "relu"),
    LSTM(2, 3),
    GRU(2, 3),
    GRU(2, 3, reset_after=True),
    GRU(2, 3, update_writes=True),
    Bidirectional(LSTM(2, 3), LSTM(2, 3)),
    Sequential((Bidirectional(GRU(2, 3), GRU(2, 3)), LSTM(6, 4))),
    Stacked((LSTM(2, 3), Elman(3, 4, "sigmoid"), GRU(4, 2))),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize("state", [False, True])
def test_the_runtime_gives_what_the_written_layer_gives(layer, state):
    rng = np.random.default_rng(0)
    params = drawn(layer, rng)
    xs, lengths = rng.normal(size=(5, 4, 2)).astype(np.float32), np.array([5, 2, 3, 1], np.int32)
    model = to_model(layer, params, lengths=True, state=state)
    inputs, start = {"X": xs, "sequence_lens": lengths}, None
    if state:
        start = pytree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), layer.initial_state(4))
        leaves = iter(pytree.leaves(start))
        for value in model.graph.input[2:]:
            sides = [next(leaves) for _ in range(value.type.tensor_type.shape.dim[0].dim_value)]
            inputs[value.name] = np.stack(sides)
        if isinstance(layer, Bidirectional):  # the state of one direction after the other: h, c, h, c
            h, c = ([side[k] for side in start] for k in (0, 1))
            inputs |= {"initial_h": np.stack(h), "initial_c": np.stack(c)}
    Y, *_ = run(model, inputs)
    _, ys = layer(params, xs, start, lengths=lengths)
    agree([np.moveaxis(Y, 1, 2).reshape(ys.shape)], [ys])
