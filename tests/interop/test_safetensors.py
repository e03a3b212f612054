"""Parameters in safetensors files: every registered cell comes back, and what does not fit is refused."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tapegrad import pytree
from tapegrad.cells import GRU, LSTM, Bidirectional, Cell, Elman, Parameter, Sequential, Stacked, State, variants
from tapegrad.errors import DtypeError, FileError, OptionError, ShapeError, StructureError
from tapegrad.interop.onnx import Activation, OnnxLSTM, OnnxNode
from tapegrad.interop.safetensors import FORMAT, describe, load, load_torch, save, save_torch
from tapegrad.training import save_checkpoint

VARIANTS = [variant for kind in ("cell", "readout") for variant in variants(kind)]


def drawn(layer, rng, dtype=np.float32):
    return pytree.map(lambda parameter: rng.normal(size=parameter.shape).astype(dtype), layer.parameters())


def same(one, other):
    assert pytree.structure(one) == pytree.structure(other)
    for a, b in zip(pytree.leaves(one), pytree.leaves(other), strict=True):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_every_cell_and_its_parameters_come_back(variant, tmp_path):
    rng = np.random.default_rng(0)
    layer = variant.build(rng)
    params = drawn(layer, rng, np.float64)
    save(tmp_path / "file", layer, params)
    again, back = load(tmp_path / "file")
    assert again == layer
    same(back, params)


CELLS = st.sampled_from(VARIANTS).flatmap(lambda v: st.integers(0, 99).map(lambda k: v.build(np.random.default_rng(k))))
TIMES = st.sampled_from([Elman, LSTM, GRU]).flatmap(lambda kind: st.just(kind(3, 3)))
LAYERS = st.recursive(
    TIMES,
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda layers: Sequential(tuple(layers)))
    | inner.map(lambda layer: Bidirectional(layer, layer, "sum")),
    max_leaves=4,
)


@given(CELLS | LAYERS, st.integers(0, 2**32 - 1), st.sampled_from([np.float16, np.float32, np.float64]))
def test_networks_come_back_to_the_bit(tmp_path_factory, layer, seed, dtype):
    path = tmp_path_factory.mktemp("safetensors") / "file"
    params = drawn(layer, np.random.default_rng(seed), dtype)
    save(path, layer, params)
    again, back = load(path)
    assert again == layer
    same(back, params)
    same(load(path, layer)[1], params)


def test_names_are_the_keys_joined_by_dots(tmp_path):
    layer = Sequential((Bidirectional(GRU(2, 3), GRU(2, 3)), Stacked((Elman(6, 2),))))
    save(tmp_path / "file", layer, layer.init(np.random.default_rng(0)))
    arrays = load_file(tmp_path / "file")
    assert {"layer0.backward.W_hz", "layer1.layer0.b_h"} < set(arrays)
    assert arrays["layer0.forward.W_xr"].shape == (2, 3)
    with safe_open(tmp_path / "file", framework="np") as file:
        metadata = file.metadata()
    assert metadata["format"] == FORMAT
    assert json.loads(metadata["layer"])["options"]["layers"][0]["class"] == "Bidirectional"


def test_cells_of_the_standard_come_back(tmp_path):
    cell = OnnxLSTM(2, 3, f=Activation("HardSigmoid", 0.3), clip=1.5, peepholes=True)
    node = OnnxNode((cell, OnnxLSTM(2, 3, clip=1.5, peepholes=True)), "bidirectional", 1)
    params = node.init(np.random.default_rng(0))
    save(tmp_path / "file", node, params)
    assert load(tmp_path / "file")[0] == node


class Own(Cell):
    """A cell whose options are what a file can hold, or not."""

    hidden_size: int
    function: object = None

    def parameters(self):
        return {"list": [Parameter((2,), init="zeros"), {"W": Parameter((self.hidden_size, 3))}]}

    def state(self):
        return State((self.hidden_size,))


def test_cells_of_ones_own(tmp_path):
    cell = Own(2)
    params = cell.init(np.random.default_rng(0))
    save(tmp_path / "file", cell, params)
    assert set(load_file(tmp_path / "file")) == {"list.0", "list.1.W"}
    again, back = load(tmp_path / "file")
    assert again == cell
    same(back, params)
    cell = Own(2, np.tanh)
    save(tmp_path / "file", cell, params)
    with pytest.raises(FileError, match=r"an option was <ufunc 'tanh'>, which a file cannot hold; give the layer"):
        load(tmp_path / "file")
    same(load(tmp_path / "file", cell)[1], params)


def written(path, arrays, of=None, **metadata):
    if of is not None:
        metadata |= {"format": FORMAT, "layer": json.dumps(describe(of))}
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path, metadata or None)
    return path


ARRAYS = GRU(2, 3).init(np.random.default_rng(0))
WRONG = [
    ({**ARRAYS, "W_hz": None}, StructureError, r"'W_hz' is missing, expected an array \(3, 3\) for GRU"),
    ({**ARRAYS, "b_hn": np.zeros(3, "f")}, StructureError, r"'b_hn', \(3,\), is no parameter of GRU"),
    ({**ARRAYS, "W_xr": ARRAYS["W_xr"].T}, ShapeError, r"'W_xr' is of shape \(3, 2\), expected \(2, 3\); it is tr"),
    ({**ARRAYS, "b_r": np.zeros(4, "f")}, ShapeError, r"'b_r' is of shape \(4,\), expected \(3,\)$"),
    ({**ARRAYS, "b_r": np.zeros(3)}, DtypeError, r"'b_r' has dtype float64 and 'W_hn' has float32; expected one"),
    ({**ARRAYS, "b_r": np.zeros(3, int)}, DtypeError, r"'b_r' has dtype int64, expected float32 or float64"),
    ({"weight_ih_l0": ARRAYS["W_xr"]}, StructureError, r"'W_hn' is missing.*'weight_ih_l0' came, which it"),
]


@pytest.mark.parametrize("says", [True, False])
@pytest.mark.parametrize(("arrays", "error", "words"), WRONG)
def test_arrays_that_do_not_fit_are_refused_by_name(tmp_path, arrays, error, words, says):
    arrays = {name: array for name, array in arrays.items() if array is not None}
    path = written(tmp_path / "file", arrays, GRU(2, 3) if says else None)
    with pytest.raises(error, match=words):
        load(path, GRU(2, 3))
    if says:
        with pytest.raises(error, match=words):
            load(path)


def test_a_file_of_another_layer_is_refused(tmp_path):
    cell = Elman(2, 3)
    save(tmp_path / "file", cell, cell.init(np.random.default_rng(0)))
    words = r"is of Elman\(.*activation='tanh'\), not of .*'relu'\); the arrays would fit"
    with pytest.raises(StructureError, match=words):
        load(tmp_path / "file", Elman(2, 3, "relu"))
    assert load(tmp_path / "file", Elman(2, 3, "relu"), strict=False)[0] == Elman(2, 3, "relu")
    same(load(tmp_path / "file", cell)[1], load(tmp_path / "file")[1])


def test_files_of_other_kinds(tmp_path):
    path = written(tmp_path / "file", ARRAYS)
    with pytest.raises(FileError, match=r"does not say what layer it is of; give it, load\(path, layer\)"):
        load(path)
    same(load(path, GRU(2, 3))[1], ARRAYS)
    save_checkpoint(path, {"params": ARRAYS}, {})
    with pytest.raises(FileError, match="is of the kind 'tapegrad checkpoint 1' and does not say"):
        load(path)
    (tmp_path / "text").write_text("no file of arrays", encoding="utf-8")
    (tmp_path / "empty").touch()
    said = {"text": "is not a safetensors file, or is damaged", "empty": "is empty, not", "missing": "No such file"}
    for name, words in said.items():
        with pytest.raises(FileError, match=words):
            load(tmp_path / name, GRU(2, 3))


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ({"class": "Popen", "module": "subprocess", "options": {"args": "ls"}}, "there is no class subprocess.Popen"),
        ({"class": "GRU", "module": "x", "options": {"input_size": 2}}, "missing 1 required positional argument"),
        ({"class": "GRU", "module": "x", "options": {"input_size": 2, "hidden_size": 0}}, "hidden_size=0, expected"),
        ({"class": "GRU", "module": "x", "options": {"input_size": 2, "size": 1}}, "unexpected keyword"),
        ([1, 2], r"is of \(1, 2\), whose options a file cannot hold"),
        ({"options": {}}, "a layer in its metadata has no class"),
    ],
)
def test_what_a_file_names_is_made_only_if_it_is_a_layer(tmp_path, description, words):
    path = written(tmp_path / "file", ARRAYS, format=FORMAT, layer=json.dumps(description))
    with pytest.raises(FileError, match=words):
        load(path)
    with pytest.raises(FileError, match="is damaged"):
        load(written(path, ARRAYS, format=FORMAT, layer="{"))


def test_a_class_that_moved_is_found_by_its_name(tmp_path):
    description = {**describe(GRU(2, 3)), "module": "tapegrad.cells.elsewhere"}
    path = written(tmp_path / "file", ARRAYS, format=FORMAT, layer=json.dumps(description))
    assert load(path)[0] == load(path, GRU(2, 3))[0] == GRU(2, 3)


def test_an_option_that_a_class_got_since_has_its_default(tmp_path):
    description = describe(GRU(2, 3))
    del description["options"]["update_writes"]
    path = written(tmp_path / "file", ARRAYS, format=FORMAT, layer=json.dumps(description))
    assert load(path)[0] == load(path, GRU(2, 3))[0] == GRU(2, 3)
    with pytest.raises(StructureError, match="the arrays would fit"):
        load(path, GRU(2, 3, update_writes=True))


def test_nothing_is_written_that_is_not_of_the_layer(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(StructureError, match="save: 'b_hn' is missing"):
        save(path, GRU(2, 3, True), ARRAYS)
    assert not path.exists()


def test_state_dicts_of_torch(tmp_path):
    rng = np.random.default_rng(0)
    layer = Stacked((GRU(2, 3, reset_after=True), GRU(3, 3, reset_after=True)))
    params = drawn(layer, rng)
    save_torch(tmp_path / "file", layer, params, prefix="encoder.rnn")
    arrays = load_file(tmp_path / "file")
    assert arrays["encoder.rnn.weight_ih_l1"].shape == (9, 3)
    assert load_torch(tmp_path / "file", prefix="encoder.rnn")[0] == layer
    same(load_torch(tmp_path / "file", prefix="encoder.rnn")[1], params)
    with pytest.raises(StructureError, match="'encoder.rnn'"):
        load_torch(tmp_path / "file")
    del arrays["encoder.rnn.bias_hh_l1"]
    with pytest.raises(StructureError, match="bias_hh_l1"):
        load_torch(written(tmp_path / "file", arrays), prefix="encoder.rnn")


def test_arrays_of_a_dtype_that_numpy_lacks(tmp_path):
    header = json.dumps({
        "other": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
        "rnn.weight": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
    }).encode()  # fmt: skip
    (tmp_path / "file").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(FileError, match="'other' has dtype BF16, which NumPy does not have; store it as F32"):
        load(tmp_path / "file", GRU(2, 3))
    with pytest.raises(StructureError, match="weight"):  # the other is not read
        load_torch(tmp_path / "file", prefix="rnn")


DEEP = "[" * 20000 + "]" * 20000
NO_OPTIONS = json.dumps({"class": "LSTM", "module": "tapegrad.cells"})
LISTED = json.dumps({"class": "LSTM", "module": "tapegrad.cells", "options": [2, 3]})
WITHIN = json.dumps({"class": "Zoneout", "module": "tapegrad.cells", "options": {"cell": {"class": "LSTM"}}})


@pytest.mark.parametrize("text", [DEEP, NO_OPTIONS, LISTED, WITHIN], ids=["deep", "no options", "a list", "within"])
@pytest.mark.parametrize("layer", [None, LSTM(2, 3)], ids=["by the file", "given"])
def test_metadata_that_describes_no_layer_is_damage(tmp_path, text, layer):
    arrays = drawn(LSTM(2, 3), np.random.default_rng(0))
    save_file(arrays, tmp_path / "file", {"format": FORMAT, "layer": text})
    with pytest.raises(FileError, match="damaged"):
        load(tmp_path / "file", layer)


def test_what_is_no_layer_is_refused(tmp_path):
    params = drawn(LSTM(2, 3), np.random.default_rng(0))
    save(tmp_path / "file", LSTM(2, 3), params)
    with pytest.raises(OptionError, match="save: layer is a type, expected a cell"):
        save(tmp_path / "file", LSTM, params)
    with pytest.raises(OptionError, match="layer is a dict, expected a cell"):
        load(tmp_path / "file", params)
