"""ONNX models read and written, where onnx is installed: its own tests, round trips, and what is refused."""

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapegrad import pytree
from tapegrad.cells import GRU, LSTM, Bidirectional, Elman, IndRNN, Sequential, Stacked
from tapegrad.errors import FileError, OptionError, ShapeError, StructureError, UnsupportedPrimitive
from tapegrad.interop.onnx import OnnxGRU, OnnxLSTM, OnnxNode, OnnxRNN, load, save, to_layer, to_model, to_node
from tests.interop import onnx_cases, standard
from tests.interop.test_onnx_equations import nodes

onnx = pytest.importorskip("onnx")
helper = pytest.importorskip("onnx.helper")
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")


def node_cases():
    """The package's tests of the three operators; its own ``collect_testcases`` makes those of all, in 14 seconds."""
    from onnx.backend.test.case import node

    for operator in standard.GATES:
        importlib.import_module(f"onnx.backend.test.case.node.{operator.lower()}")
    found = {case.name: case for case in node._NodeTestCases}
    return [case for case in found.values() if case.model.graph.node[0].op_type in standard.GATES]


def test_the_node_tests_of_the_onnx_package():
    cases = node_cases()
    assert len(cases) == 18
    for case in cases:
        graph = case.model.graph
        for inputs, outputs in case.data_sets:
            given = dict(zip([value.name for value in graph.input], inputs, strict=True))
            (recurrence,) = load(case.model, given).values()
            found = recurrence(given["X"])
            # Outputs that are not wanted have no name.
            wanted = [y for y, name in zip(found, graph.node[0].output, strict=False) if name]
            assert len(wanted) == len(outputs)
            for y, expected in zip(wanted, outputs, strict=True):
                assert y.shape == expected.shape, case.name
                np.testing.assert_allclose(y, expected, case.rtol, case.atol, err_msg=case.name)


def model_of(operator, attributes, arrays, constants=(), name="", more=(), opset=17):
    """A model of one node; the arrays in ``constants`` are part of it, the others inputs of the graph."""
    used = [key if key in arrays else "" for key in INPUTS[: 8 if operator == "LSTM" else 6]]
    outputs = ["Y", "Y_h", *(["Y_c"] if operator == "LSTM" else [])]
    node = helper.make_node(operator, used, outputs, name=name, **attributes)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [*more, node],
        "test",
        [value(key, helper.np_dtype_to_tensor_dtype(arrays[key].dtype), arrays[key].shape)
         for key in arrays if key not in constants],
        [value(key, helper.np_dtype_to_tensor_dtype(arrays["X"].dtype), None) for key in outputs],
        [onnx.numpy_helper.from_array(arrays[key], key) for key in constants],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@given(nodes(), st.booleans())
def test_nodes_mean_the_same_however_they_come(node, given_weights):
    operator, attributes, arrays = node
    constants = [] if given_weights else [key for key in arrays if key != "X"]
    model = model_of(operator, attributes, arrays, constants, name="recurrent")
    found = load(model.SerializeToString(), arrays if given_weights else None)
    assert list(found) == ["recurrent"]
    outputs = found["recurrent"](arrays["X"])
    for y, expected in zip(outputs, standard.run(operator, **arrays, **attributes), strict=True):
        np.testing.assert_allclose(y, expected, 1e-10, 1e-10 * max(1.0, np.abs(expected).max(initial=0)))
    again = to_model(found["recurrent"].node, found["recurrent"].params, layout=attributes["layout"])
    (back,) = load(again).values()
    assert back.node == found["recurrent"].node
    for one, other in zip(pytree.leaves(back.params), pytree.leaves(found["recurrent"].params), strict=True):
        np.testing.assert_array_equal(one, other)


def drawn(layer, rng, dtype=np.float32):
    return pytree.map(lambda parameter: rng.normal(size=parameter.shape).astype(dtype), layer.parameters())


def sized(kind, **options):
    return st.builds(kind, st.integers(1, 4), st.integers(1, 4), **options)


CELLS = st.one_of(
    sized(Elman, activation=st.sampled_from(["tanh", "sigmoid", "relu"])),
    sized(LSTM),
    sized(GRU, reset_after=st.booleans()),
)
LAYERS = CELLS | st.tuples(CELLS).map(lambda cells: Bidirectional(cells[0], cells[0]))


@given(LAYERS, st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]), st.sampled_from([0, 1]))
def test_cells_come_back_to_the_bit(layer, seed, dtype, layout):
    rng = np.random.default_rng(seed)
    params = drawn(layer, rng, dtype)
    (recurrence,) = load(to_model(layer, params, layout=layout)).values()
    back, own = to_layer(recurrence.node, recurrence.params)
    assert back == layer
    assert pytree.structure(own) == pytree.structure(params)
    for one, other in zip(pytree.leaves(own), pytree.leaves(params), strict=True):
        assert one.dtype == dtype
        np.testing.assert_array_equal(one, other)
    size = layer.inputs().shape[0]
    xs, lengths = rng.normal(size=(5, 3, size)).astype(dtype), np.array([5, 2, 4])
    (Y, *_), (_, ys) = recurrence(xs.swapaxes(0, 1) if layout else xs, sequence_lens=lengths), layer(
        params, xs, lengths=lengths
    )
    Y = Y.swapaxes(0, 1) if layout else Y.swapaxes(1, 2)
    np.testing.assert_allclose(Y.reshape(ys.shape), ys, 1e-4, 1e-5)


def test_a_file_has_all_layers_and_is_written_whole(tmp_path, monkeypatch):
    layer = Sequential((Bidirectional(GRU(2, 3), GRU(2, 3)), Stacked((LSTM(6, 4), Elman(4, 2, "sigmoid")))))
    params = drawn(layer, np.random.default_rng(0))
    path = tmp_path / "model.onnx"
    save(path, layer, params, lengths=True, state=True)
    found = load(path)
    assert list(found) == ["layer0", "layer1.layer0", "layer1.layer1"]
    assert to_layer(found["layer0"].node, found["layer0"].params)[0] == layer.layers[0]
    assert found["layer1.layer0"].wanted == {
        "sequence_lens": "sequence_lens", "initial_h": "layer1.layer0.initial_h", "initial_c": "layer1.layer0.initial_c"
    }  # fmt: skip
    before = path.read_bytes()
    other = Sequential((GRU(2, 3), IndRNN(3, 3)))
    with pytest.raises(OptionError, match=r"IndRNN\(.*is no operator of ONNX; those that are: Elman, "):
        save(path, other, drawn(other, np.random.default_rng(0)))
    assert path.read_bytes() == before


def test_weights_from_constant_nodes_and_states_from_one_number():
    rng = np.random.default_rng(0)
    attributes, arrays = onnx_cases.case(rng, "RNN", inputs=("initial_h",))
    constant = helper.make_node("Constant", [], ["W"], value=onnx.numpy_helper.from_array(arrays["W"]))
    filled = helper.make_node(
        "ConstantOfShape", ["shape"], ["initial_h"], value=onnx.numpy_helper.from_array(np.array([0.25], np.float32))
    )
    expanded = helper.make_node("Expand", ["small", "shape"], ["initial_h"])
    numbers = helper.make_node(
        "Constant", [], ["small"], value=onnx.numpy_helper.from_array(np.full((1, 1, 2), 0.25, np.float32))
    )
    for more in ([constant, filled], [constant, numbers, expanded]):
        (recurrence,) = load(model_of("RNN", attributes, arrays, ["R"], more=more)).values()
        assert (recurrence.name, recurrence.node.cells[0].initial_h, recurrence.wanted) == ("Y", 0.25, {})
    numbers.attribute[0].t.CopyFrom(onnx.numpy_helper.from_array(np.float32([0.25, 0.5]), "value"))
    (several,) = load(model_of("RNN", attributes, arrays, ["R"], more=[constant, numbers, expanded])).values()
    assert several.wanted == {"initial_h": "initial_h"}
    expected = standard.run("RNN", **{**arrays, "initial_h": np.full_like(arrays["initial_h"], 0.25)}, **attributes)
    np.testing.assert_allclose(recurrence(arrays["X"])[0], expected[0], 1e-5, 1e-6)


def test_inputs_that_the_model_is_given_must_be_given():
    attributes, arrays = onnx_cases.case(np.random.default_rng(0), "LSTM", inputs=("initial_h", "initial_c"))
    (recurrence,) = load(model_of("LSTM", attributes, arrays, ["W", "R"])).values()
    with pytest.raises(StructureError, match="initial_c is 'initial_c' of the model, which is no constant"):
        recurrence(arrays["X"], initial_h=arrays["initial_h"])
    with pytest.raises(StructureError, match=r"Y: R is 'R', which is no constant of the model; give its value, load"):
        load(model_of("LSTM", attributes, arrays, ["W"]))


def test_a_node_alone():
    attributes, arrays = onnx_cases.case(np.random.default_rng(0), "GRU")
    proto = model_of("GRU", attributes, arrays).graph.node[0]
    (recurrence,) = load(proto, arrays).values()
    np.testing.assert_allclose(recurrence(arrays["X"])[0], standard.run("GRU", **arrays, **attributes)[0], 1e-5, 1e-6)


def test_what_is_no_model_of_recurrent_nodes(tmp_path):
    (tmp_path / "text").write_text("no model at all", encoding="utf-8")
    for source in (tmp_path / "text", tmp_path / "missing", b"no model at all"):
        with pytest.raises(FileError, match="no ONNX model that can be read"):
            load(source)
    with pytest.raises(OptionError, match="model is a dict, expected a path, bytes, or a proto"):
        load({})
    relu = helper.make_graph([helper.make_node("Relu", ["X"], ["Y"])], "test", [], [])
    with pytest.raises(FileError, match="no RNN, LSTM or GRU at its top level; it has Relu"):
        load(helper.make_model(relu))


def test_all_nodes_are_read_or_none():
    attributes, arrays = onnx_cases.case(np.random.default_rng(0), "GRU")
    model = model_of("GRU", attributes, arrays, ["W", "R"])
    other = model.graph.node.add()
    other.CopyFrom(model.graph.node[0])
    other.name = "second"
    other.attribute.append(helper.make_attribute("output_sequence", 1))
    with pytest.raises(UnsupportedPrimitive, match="second: attribute 'output_sequence' is unknown"):
        load(model)


OTHERS = [
    (OnnxLSTM(2, 3, clip=1.0), "LSTM has clip None, it has 1.0"),
    (OnnxLSTM(2, 3, g="Relu"), "LSTM has g Activation"),
    (OnnxGRU(2, 3, f="HardSigmoid"), "GRU has f Activation"),
    (OnnxRNN(2, 3, f="Softsign"), "activation='softsign', expected one of"),
    (OnnxRNN(2, 3, f="Sigmoid"), "Elman has initial_h 0.5, it has 0.0"),
]


@pytest.mark.parametrize(("cell", "words"), OTHERS, ids=str)
def test_a_node_that_is_no_cell_says_why_and_runs_all_the_same(cell, words):
    params = cell.init(np.random.default_rng(0))
    with pytest.raises(OptionError, match=words):
        to_layer(cell, params)
    assert np.isfinite(cell(params, np.ones((3, 2, 2), np.float32))[1]).all()


def test_biases_of_both_sides_become_one_and_none_becomes_zero():
    rng = np.random.default_rng(0)
    for kind, xs in ((OnnxLSTM, rng.normal(size=(5, 3, 2))), (OnnxGRU, rng.normal(size=(5, 3, 2)))):
        for bias in (True, False):
            cell = kind(2, 4, bias=bias)
            params = drawn(cell, rng, np.float64)
            native, own = to_layer(cell, params)
            np.testing.assert_allclose(native(own, xs)[1], cell(params, xs)[1], 1e-12)


def test_what_cannot_be_written_is_refused_by_name():
    layer = Bidirectional(GRU(2, 3), GRU(2, 3), "sum")
    with pytest.raises(OptionError, match="merge='sum'; a node of ONNX only concatenates"):
        to_node(layer, layer.init(np.random.default_rng(0)))
    layer = Bidirectional(GRU(2, 3), LSTM(2, 3))
    with pytest.raises(OptionError, match="differ in more than their activations"):
        to_model(layer, layer.init(np.random.default_rng(0)))
    params = GRU(2, 3).init(np.random.default_rng(0))
    with pytest.raises(ShapeError, match=r"'W_xr' is of shape \(3, 2\), expected \(2, 3\); it is transposed"):
        to_model(GRU(2, 3), {**params, "W_xr": params["W_xr"].T})
    node = OnnxNode((OnnxGRU(2, 3),), "reverse")
    with pytest.raises(OptionError, match=r"direction is 'reverse'; give node.cells\[0\]"):
        to_layer(node, node.init(np.random.default_rng(0)))
