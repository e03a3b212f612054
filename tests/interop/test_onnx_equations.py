"""ONNX's operators as cells: the standard's equations, for every attribute, on random weights; needs no library."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapegrad import grad, pytree
from tapegrad.errors import OptionError, ShapeError, StructureError, UnsupportedPrimitive
from tapegrad.interop.onnx import Activation, OnnxGRU, OnnxLSTM, OnnxNode, OnnxRNN, from_arrays
from tapegrad.interop.onnx.weights import pack
from tapegrad.testing import check_cell
from tests.interop import onnx_cases, standard

OPERATORS = tuple(standard.GATES)
DIRECTIONS = ("forward", "reverse", "bidirectional")
OPTIONAL = {
    operator: ("B", "sequence_lens", "initial_h", *(("initial_c", "P") if operator == "LSTM" else ()))
    for operator in OPERATORS
}


def ours(operator, attributes, arrays, backend="reference"):
    weights = {key: arrays[key] for key in ("W", "R", "B", "P") if key in arrays}
    given = {key: arrays[key] for key in ("sequence_lens", "initial_h", "initial_c") if key in arrays}
    node, params = from_arrays(operator, **weights, **attributes)
    return node.run(params, arrays["X"], backend=backend, **given)


def agree(found, expected, tolerance=1e-11):
    assert len(found) == len(expected)
    for y, wanted in zip(found, expected, strict=True):
        assert y.shape == wanted.shape
        np.testing.assert_allclose(y, wanted, tolerance, tolerance * max(1.0, np.abs(wanted).max(initial=0)))


@st.composite
def nodes(draw):
    """An operator, its attributes and its inputs, of any mix of options."""
    operator = draw(st.sampled_from(OPERATORS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    attributes = {"direction": draw(st.sampled_from(DIRECTIONS)), "layout": draw(st.sampled_from([0, 1]))}
    attributes |= {key: draw(st.sampled_from([0, 1])) for key in onnx_cases.MORE[operator]}
    if draw(st.booleans()):
        attributes |= onnx_cases.activations(rng, operator, 2 if attributes["direction"] == "bidirectional" else 1)
    if draw(st.booleans()):
        attributes["clip"] = float(np.float32(rng.uniform(0.2, 2)))
    inputs = draw(st.sets(st.sampled_from(OPTIONAL[operator])))
    steps, batch = draw(st.integers(0, 5)), draw(st.integers(1, 3))
    attributes, arrays = onnx_cases.case(
        rng, operator, batch=batch, steps=steps, dtype=np.float64, inputs=inputs, least=0, **attributes
    )
    return operator, attributes, arrays


def grid(operator, layouts=(0, 1)):
    """Every combination of direction, layout, clip and the operator's own, with usual and other activations."""
    rng = np.random.default_rng(7)
    own = onnx_cases.MORE[operator]
    ways = itertools.product(DIRECTIONS, layouts, (None, 0.5), (False, True), *[(0, 1)] * len(own))
    for direction, layout, clip, other, *flags in ways:
        attributes = {"direction": direction, "layout": layout, **dict(zip(own, flags, strict=True))}
        if clip:
            attributes["clip"] = clip
        if other:
            attributes |= onnx_cases.activations(rng, operator, 2 if direction == "bidirectional" else 1)
        yield attributes


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_combination_of_attributes(rng, operator):
    for attributes in grid(operator):
        attributes, arrays = onnx_cases.case(
            rng, operator, dtype=np.float64, inputs=OPTIONAL[operator], least=0, **attributes
        )
        agree(ours(operator, attributes, arrays), standard.run(operator, **arrays, **attributes))


@given(nodes())
def test_the_equations_are_the_standards(node):
    operator, attributes, arrays = node
    agree(ours(operator, attributes, arrays), standard.run(operator, **arrays, **attributes))


@given(nodes())
def test_arrays_come_back_to_the_bit(node):
    operator, attributes, arrays = node
    weights = {key: arrays[key] for key in ("W", "R", "B", "P") if key in arrays}
    back = pack(*from_arrays(operator, **weights, **attributes))
    assert back.keys() == weights.keys()
    for key, array in weights.items():
        np.testing.assert_array_equal(back[key], array)


@pytest.mark.parametrize("name", standard.ACTIVATIONS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_each_activation_in_each_place(rng, operator, name):
    for place in range(len(standard.USUAL[operator])):
        names = list(standard.USUAL[operator])
        names[place] = name
        attributes = {"activations": names}
        # One value too few: the last function that takes one has its default, where it has one.
        if name in ("Affine", "ScaledTanh", "HardSigmoid"):
            attributes |= {"activation_alpha": [0.375], "activation_beta": [0.25]}
        attributes, arrays = onnx_cases.case(rng, operator, dtype=np.float64, inputs=OPTIONAL[operator], **attributes)
        expected = standard.run(operator, **arrays, **attributes)
        assert np.isfinite(expected[0]).all()
        agree(ours(operator, attributes, arrays), expected, 1e-7)  # defaults are single precision
        if name in standard.TAKES_ALPHA:
            attributes |= {"activation_alpha": [0.75]}
            agree(ours(operator, attributes, arrays), standard.run(operator, **arrays, **attributes))


@pytest.fixture
def rng():
    return np.random.default_rng(20)


@pytest.mark.parametrize("operator", ["LSTM", "GRU"])
def test_swapped_gates_are_seen_with_random_weights_and_not_with_constant_ones(rng, operator, monkeypatch):
    attributes, arrays = onnx_cases.case(rng, operator, dtype=np.float64, inputs=OPTIONAL[operator])
    expected = standard.run(operator, **arrays, **attributes)
    kind = {"LSTM": OnnxLSTM, "GRU": OnnxGRU}[operator]
    constant = {key: np.full_like(array, 0.1) if key in "WR" else array for key, array in arrays.items()}
    constant = {key: array for key, array in constant.items() if key not in ("B", "P")}
    right = ours(operator, attributes, constant)
    gates = standard.GATES[operator]
    swaps = [a + b for a, b in itertools.combinations(gates, 2)]
    for swap in swaps:
        swapped = gates.translate(str.maketrans(swap, swap[::-1]))
        monkeypatch.setattr(kind, "gates", swapped)
        with pytest.raises(AssertionError):
            agree(ours(operator, attributes, arrays), expected, 1e-3)
        agree(ours(operator, attributes, constant), right)


UNCOMPILED = ("tape", "sympy", "reference", "rtrl", "differences")


@pytest.mark.parametrize(
    ("cell", "oracles"),
    [
        (OnnxRNN(2, 3, f=Activation("Elu", 0.5), clip=1.5), UNCOMPILED),
        (OnnxLSTM(2, 3, f="HardSigmoid", g="Softsign", h=Activation("ScaledTanh", 1.5, 0.75), peepholes=True, clip=2.0),
         None),
        (OnnxLSTM(3, 2, input_forget=True, bias=False), UNCOMPILED),
        (OnnxGRU(2, 3, g="Softplus", linear_before_reset=True), UNCOMPILED),
    ],
    ids=["RNN", "LSTM, compiled", "LSTM, input_forget", "GRU"],
)  # fmt: skip
def test_they_are_cells_like_all_others(cell, oracles):
    check_cell(cell, oracles=oracles)


def test_nodes_differentiate_by_their_weights_and_inputs(rng):
    attributes, arrays = onnx_cases.case(
        rng, "LSTM", dtype=np.float64, inputs=OPTIONAL["LSTM"], direction="bidirectional", layout=1
    )
    node, params = from_arrays("LSTM", *(arrays[key] for key in "WRBP"), **attributes)
    given = {key: arrays[key] for key in ("sequence_lens", "initial_h", "initial_c")}
    weights = [np.random.default_rng(3).normal(size=y.shape) for y in node.run(params, arrays["X"], **given)]

    def loss(params, X, initial_c):
        outputs = node.run(params, X, **{**given, "initial_c": initial_c})
        return sum(np.sum(w * y) for w, y in zip(weights, outputs, strict=True))

    point = params, arrays["X"], arrays["initial_c"]
    gradient = grad(loss, argnums=(0, 1, 2))(*point)
    moves = pytree.map(lambda leaf: rng.normal(size=leaf.shape), point)
    moved = [
        loss(*pytree.map(lambda leaf, move, step=step: leaf + step * move, point, moves)) for step in (1e-6, -1e-6)
    ]
    slope = sum(np.sum(g * m) for g, m in zip(pytree.leaves(gradient), pytree.leaves(moves), strict=True))
    np.testing.assert_allclose(slope, (moved[0] - moved[1]) / 2e-6, 1e-7)


def test_a_node_is_a_layer(rng):
    attributes, arrays = onnx_cases.case(rng, "GRU", inputs=("B",), direction="bidirectional")
    node, params = from_arrays("GRU", arrays["W"], arrays["R"], arrays["B"], **attributes)
    (forward, backward), ys = node(params, arrays["X"], lengths=np.array([5, 2, 1]))
    Y, Y_h = node.run(params, arrays["X"], sequence_lens=np.array([5, 2, 1]))
    np.testing.assert_array_equal(ys, np.concatenate([Y[:, 0], Y[:, 1]], -1))
    np.testing.assert_array_equal(np.stack([forward, backward]), Y_h)
    assert node.parameter_count == sum(arrays[key].size for key in "WRB")


W, R = np.zeros((1, 12, 2)), np.zeros((1, 12, 3))
REFUSED = [
    (("GRU", W, R), {}, ShapeError, r"GRU: W is of shape \(1, 12, 2\), expected \(1, 9, 2\)"),
    (("LSTM", W.swapaxes(1, 2), R), {}, ShapeError, r"W is of shape \(1, 2, 12\), expected \(1, 12, 2\); it is tr"),
    (("LSTM", W, R.swapaxes(1, 2)), {}, ShapeError, r"R is of shape \(1, 3, 12\), expected \(1, 12, 3\); it is tr"),
    (("LSTM", W[0], R), {}, ShapeError, r"W is of shape \(12, 2\), expected three axes: directions"),
    (("LSTM", W, R, np.zeros((1, 12))), {}, ShapeError, r"B is of shape \(1, 12\), expected \(1, 24\)"),
    (("LSTM", W, R, None, np.zeros((1, 12))), {}, ShapeError, r"P is of shape \(1, 12\), expected \(1, 9\)"),
    (("LSTM", W, R), {"direction": "bidirectional"}, ShapeError, r"W is of shape \(1, 12, 2\), expected \(2, 12, 2\)"),
    (("LSTM", W, R), {"direction": "both"}, OptionError, "direction='both', expected one of forward, reverse"),
    (("LSTM", W, R), {"layout": 2}, OptionError, "layout=2, expected 0"),
    (("LSTM", W, R), {"clip": -1.0}, OptionError, "clip=-1.0, expected a positive number"),
    (("LSTM", W, R), {"hidden_size": 4}, OptionError, "hidden_size is 4, but R is for a hidden_size of 3"),
    (("LSTM", W, R), {"input_forget": 2}, OptionError, "input_forget is 2, expected 0 or 1"),
    (("LSTM", W, R), {"linear_before_reset": 1}, UnsupportedPrimitive, "attribute 'linear_before_reset' is unknown"),
    (("LSTM", W, R), {"activations": ["Tanh"]}, OptionError, r"activations is \['Tanh'\], expected 3 names: f, g, h"),
    (("LSTM", W, R), {"activations": ["Tanh", "Gelu", "Tanh"]}, OptionError, "activation 'Gelu': expected one of Relu"),
    (("LSTM", W, R), {"activation_alpha": [1.0]}, OptionError, "activation_alpha has 1 values more than"),
    (("RNN", W, R), {"activations": ["Affine"]}, OptionError, "Affine: alpha=None, expected a finite number"),
    (("Scan", W, R), {}, UnsupportedPrimitive, "the operator is 'Scan', expected one of RNN, LSTM, GRU"),
    (("GRU", W[:, :9], R[:, :9], None, np.zeros((1, 9))), {}, StructureError, "P is unknown"),
    (("LSTM", W, R.astype(np.float32)), {}, TypeError, "as W has; write .astype.np.float64"),
    (("LSTM", W.astype(int), R), {}, TypeError, "a floating dtype of NumPy; write .astype.np.float32"),
]


@pytest.mark.parametrize(("arguments", "attributes", "error", "words"), REFUSED)
def test_what_is_not_the_standards_is_refused_by_name(arguments, attributes, error, words):
    with pytest.raises(error, match=words):
        from_arrays(*arguments, **attributes)


def test_states_of_another_shape_are_refused(rng):
    node = OnnxNode((OnnxGRU(2, 3),))
    params, X = node.init(rng), np.zeros((5, 4, 2), np.float32)
    with pytest.raises(ShapeError, match=r"initial_h is of shape \(4, 3\), expected \(1, 4, 3\): directions, batch"):
        node.run(params, X, initial_h=np.zeros((4, 3), np.float32))
    with pytest.raises(OptionError, match="initial_c came, but only an LSTM has one"):
        node.run(params, X, initial_c=np.zeros((1, 4, 3), np.float32))
    with pytest.raises(OptionError, match="differ in more than their activations"):
        OnnxNode((OnnxGRU(2, 3), OnnxGRU(2, 4)), "bidirectional")
    with pytest.raises(OptionError, match="expected 2 of OnnxRNN"):
        OnnxNode((OnnxGRU(2, 3),), "bidirectional")
