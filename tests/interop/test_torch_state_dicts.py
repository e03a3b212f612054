"""State dicts of torch's recurrent layers: arrays alone, so these tests need no torch but for the last ones."""

import numpy as np
import pytest

from tapegrad import pytree
from tapegrad.cells import GRU, LSTM, Bidirectional, Elman, Linear, ProjectedLSTM, Sequential, Stacked
from tapegrad.errors import DtypeError, MissingLibrary, OptionError, ShapeError, StructureError
from tapegrad.interop.torch import from_state, load, state_dict, to_state

LAYERS = [
    Elman(3, 4),
    Elman(3, 4, "relu"),
    LSTM(3, 4),
    ProjectedLSTM(3, 5, 2),
    GRU(3, 4, reset_after=True),
    Stacked((GRU(3, 4, reset_after=True), GRU(4, 4, reset_after=True))),
    Stacked((LSTM(3, 4), *[LSTM(4, 4)] * 11)),  # more than ten: names in another order than numbers
    Bidirectional(ProjectedLSTM(3, 5, 2), ProjectedLSTM(3, 5, 2)),
    Sequential((Bidirectional(Elman(3, 4), Elman(3, 4)), Bidirectional(Elman(8, 4), Elman(8, 4)))),
]


def random(layer, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return pytree.map(lambda a: rng.normal(size=a.shape).astype(dtype), layer.init(rng, dtype))


def kind(layer):
    """What has to be said of a layer of Elman cells."""
    while not hasattr(layer, "step") or isinstance(layer, Stacked):
        layer = layer.forward if isinstance(layer, Bidirectional) else next(iter(vars(layer).values()))[0]
    return f"RNN_{layer.activation.upper()}" if isinstance(layer, Elman) else None


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_weights_come_back_equal(layer, dtype):
    params = random(layer, dtype=dtype)
    saved = state_dict(layer, params, prefix="encoder.rnn")
    found, again = load(saved | {"head.weight": np.zeros((2, 2))}, kind(layer), prefix="encoder.rnn")
    assert found == layer
    assert pytree.structure(again) == pytree.structure(params)
    for a, b in zip(pytree.leaves(again), pytree.leaves(params), strict=True):
        assert a.dtype == dtype
        np.testing.assert_array_equal(a, b)
        assert not any(np.shares_memory(a, array) for array in saved.values())


def test_where_each_number_goes():
    """nn.GRU's equations, from its documentation, on one row: r, z, n below each other, b_hn inside the reset."""
    rng = np.random.default_rng(5)
    arrays = {"weight_ih_l0": (12, 3), "weight_hh_l0": (12, 4), "bias_ih_l0": (12,), "bias_hh_l0": (12,)}
    arrays = {name: rng.normal(size=shape) for name, shape in arrays.items()}
    layer, params = load(arrays)
    x, h = rng.normal(size=3), rng.normal(size=4)
    a = arrays["weight_ih_l0"] @ x + arrays["bias_ih_l0"]
    u = arrays["weight_hh_l0"] @ h + arrays["bias_hh_l0"]
    r, z = 1 / (1 + np.exp(-(a[:4] + u[:4]))), 1 / (1 + np.exp(-(a[4:8] + u[4:8])))
    n = np.tanh(a[8:] + r * u[8:])
    state, _ = layer(params, x[None, None], h[None])
    np.testing.assert_allclose(state[0], (1 - z) * n + z * h, rtol=1e-13)


def test_without_biases():
    layer = Stacked((LSTM(3, 4), LSTM(4, 4)))
    params = random(layer)
    for part in params.values():
        part.update({name: np.zeros(4) for name in part if name.startswith("b_")})
    saved = state_dict(layer, params, bias=False)
    assert sorted(saved) == ["weight_hh_l0", "weight_hh_l1", "weight_ih_l0", "weight_ih_l1"]
    found, again = load(saved)
    assert found == layer
    for a, b in zip(pytree.leaves(again), pytree.leaves(params), strict=True):
        np.testing.assert_array_equal(a, b)
    params["layer1"]["b_f"][2] = 1e-30
    with pytest.raises(OptionError, match=r"bias=False, and layer1.b_f is not zero; write bias=True"):
        state_dict(layer, params, bias=False)


def test_half_precision_of_one_key_is_named():
    saved = state_dict(LSTM(3, 4), random(LSTM(3, 4)))
    with pytest.raises(DtypeError, match=r"'bias_hh_l0' has dtype float32 and 'weight_ih_l0' has float64"):
        load(saved | {"bias_hh_l0": saved["bias_hh_l0"].astype(np.float32)})
    with pytest.raises(DtypeError, match=r"'bias_hh_l0' has dtype int64, expected floating point"):
        load(saved | {"bias_hh_l0": saved["bias_hh_l0"].astype(np.int64)})


def changed(layer=None, drop=(), **arrays):
    layer = layer or LSTM(3, 4)
    saved = state_dict(layer, random(layer))
    return {key: value for key, value in (saved | arrays).items() if key not in drop}


DEEP = Stacked((LSTM(3, 4), LSTM(4, 4)))
ZEROS = np.zeros
WRONG = [
    (changed(weight_ih_l0=ZEROS((3, 16))), None, ShapeError, r"'weight_ih_l0' has shape \(3, 16\), expected \(16, 3\)"),
    (changed(weight_ih_l0=ZEROS((3, 16))), None, ShapeError, r"looks transposed.*give its \.T; nothing was loaded"),
    (changed(weight_hh_l0=ZEROS((4, 16))), None, ShapeError, r"'weight_hh_l0' has shape \(4, 16\), expected \(16, 4\)"),
    (changed(bias_hh_l0=ZEROS(8)), None, ShapeError, r"'bias_hh_l0' has shape \(8,\), expected \(16,\); give"),
    (changed(weight_hh_l0=ZEROS((20, 4))), None, ShapeError, r"'weight_hh_l0' has shape \(20, 4\), expected \(H, H\)"),
    (changed(weight_hh_l0=ZEROS(4)), None, ShapeError, r"'weight_hh_l0' has shape \(4,\), expected"),
    (changed(drop=["bias_hh_l0"]), None, StructureError, r"keys are missing: 'bias_hh_l0' of shape \(16,\).*nothing"),
    (changed(drop=["weight_ih_l0"]), None, StructureError, r"keys are missing: 'weight_ih_l0'"),
    (changed(DEEP, drop=["weight_hh_l1"]), None, StructureError, r"missing: 'weight_hh_l1' of shape \(16, 4\)"),
    (changed(weight_hh_l2=ZEROS((16, 4))), None, StructureError, r"missing: 'weight_ih_l1' of shape"),
    (changed(weight_hh_l0_reverse=ZEROS((16, 4))), None, StructureError, r"missing: 'weight_ih_l0_reverse' of shape"),
    (changed(**{"fc.weight": ZEROS(1)}), None, StructureError, r"unknown: 'fc.weight' of shape .1,.; expected"),
    ({}, None, StructureError, r"no key starts with ''"),
    ({f"lstm.{k}": v for k, v in changed().items()}, None, StructureError, r"unknown.*give prefix= one of 'lstm'"),
    (changed(Elman(3, 4)), None, OptionError, r"activation is not in a state dict; give kind='RNN_TANH'"),
    (changed(), "GRU", ShapeError, r"'weight_ih_l0' has shape \(16, 3\), expected \(12, 3\)"),
    (changed(ProjectedLSTM(3, 4, 2)), "GRU", StructureError, r"keys are unknown: 'weight_hr_l0' of shape \(2, 4\)"),
    (changed(), "lstm", OptionError, r"kind='lstm', expected RNN, RNN_TANH"),
    ("model.pt", None, OptionError, r"source is a str, expected a state dict.*torch\.load"),
]


@pytest.mark.parametrize(("saved", "kind", "error", "message"), WRONG, ids=[row[3] for row in WRONG])
def test_what_is_wrong_is_named(saved, kind, error, message):
    with pytest.raises(error, match=message):
        load(saved, kind)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (GRU(3, 4), r"GRU\(input_size=3, hidden_size=4, reset_after=False.*\) is no cell of torch"),
        (GRU(3, 4, reset_after=True, update_writes=True), "is no cell of torch"),
        (Elman(3, 4, "sigmoid"), "is no cell of torch"),
        (Stacked((LSTM(3, 4), Linear(4, 2))), r"Linear\(.*stands where torch has LSTM\(input_size=4, hidden_size=4"),
        (Stacked((LSTM(3, 4), LSTM(4, 5))), r"LSTM\(input_size=4, hidden_size=5.*stands where torch has"),
        (Stacked((LSTM(3, 4), GRU(4, 4, reset_after=True))), r"GRU\(.*stands where torch has LSTM"),
        (Bidirectional(LSTM(3, 4), LSTM(3, 4), merge="sum"), "is no cell of torch"),
        (Bidirectional(LSTM(3, 4), LSTM(3, 5)), "hidden_size=5.*stands where torch has"),
        (Linear(3, 4), "is no cell of torch"),
        (Sequential((LSTM(3, 4), Bidirectional(LSTM(4, 4), LSTM(4, 4)))), "its layers differ in their directions"),
        (Sequential((Bidirectional(LSTM(3, 4), LSTM(3, 4)), LSTM(8, 4))), "its layers differ in their directions"),
        (ProjectedLSTM(3, 4, 4), "is no cell of torch"),
    ],
)
def test_what_torch_does_not_have_is_refused(layer, message):
    with pytest.raises(OptionError, match=message):
        state_dict(layer, random(layer))


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_states_go_there_and_back(layer):
    rng = np.random.default_rng(1)
    state = pytree.map(lambda a: rng.normal(size=a.shape), layer.initial_state(2, np.float64))
    there = from_state(layer, state)
    for one in there if isinstance(there, tuple) else [there]:
        assert one.shape[1] == 2
    back = to_state(layer, there)
    assert pytree.structure(back) == pytree.structure(state)
    for a, b in zip(pytree.leaves(back), pytree.leaves(state), strict=True):
        np.testing.assert_array_equal(a, b)


def test_states_that_do_not_fit_are_named():
    with pytest.raises(StructureError, match=r"hx is a ndarray, expected the pair \(h_0, c_0\), as nn\.LSTM takes it"):
        to_state(LSTM(3, 4), np.zeros((1, 2, 4)))
    with pytest.raises(StructureError, match=r"hx is a tuple, expected the array h_0"):
        to_state(Elman(3, 4), (np.zeros((1, 2, 4)),) * 2)
    with pytest.raises(ShapeError, match=r"c_0 has shape \(1, 2, 2\), expected \(1, B, 5\)"):
        to_state(ProjectedLSTM(3, 5, 2), (np.zeros((1, 2, 2)),) * 2)


def test_tensors_are_asked_for_in_vain_without_torch(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    layer = LSTM(3, 4)
    assert len(state_dict(layer, random(layer))) == 4
    with pytest.raises(MissingLibrary, match=r"state_dict: it needs PyTorch, which is not installed"):
        state_dict(layer, random(layer), tensors=True)


# ---- with torch ----


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_torch_takes_what_is_written(layer):
    torch = pytest.importorskip("torch")
    params = random(layer)
    saved = state_dict(layer, params, tensors=True)
    cls = {4: torch.nn.RNN, 16: torch.nn.LSTM, 20: torch.nn.LSTM, 12: torch.nn.GRU}[len(saved["weight_hh_l0"])]
    count = len({key.rpartition("_l")[2].removesuffix("_reverse") for key in saved})
    options = {"nonlinearity": kind(layer)[4:].lower()} if cls is torch.nn.RNN else {}
    if "weight_hr_l0" in saved:
        options["proj_size"] = 2
    hidden = len(saved["weight_hh_l0"]) // {torch.nn.RNN: 1, torch.nn.LSTM: 4, torch.nn.GRU: 3}[cls]
    both = "weight_hh_l0_reverse" in saved
    made = cls(3, hidden, count, bidirectional=both, dtype=torch.float64, **options)
    assert list(made.state_dict()) == list(saved)
    made.load_state_dict(saved)
    found, again = load(made)
    assert found == layer
    for a, b in zip(pytree.leaves(again), pytree.leaves(params), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_layer_of_torch_is_held_against_the_arrays():
    torch = pytest.importorskip("torch")
    made = torch.nn.LSTM(3, 4, 2)
    with pytest.raises(StructureError, match="missing: 'weight_ih_l1' of shape"):
        load(changed(), made)
    with pytest.raises(StructureError, match="unknown: 'weight_ih_l1' of shape"):
        load(changed(DEEP), torch.nn.LSTM(3, 4))
    with pytest.raises(StructureError, match="unknown: 'bias_ih_l0' of shape"):
        load(changed(), torch.nn.LSTM(3, 4, bias=False))
    with pytest.raises(ShapeError, match=r"'weight_ih_l0' has shape \(16, 3\), expected \(16, 2\)"):
        load(changed(), torch.nn.LSTM(2, 4))
    layer, params = load(made.to(torch.bfloat16))
    assert params["layer0"]["W_xi"].dtype == np.float32
    assert layer == DEEP


def test_a_key_of_a_far_layer_is_no_reason_to_count_to_it():
    arrays = {"weight_ih_l0": np.zeros((12, 2)), "weight_hh_l0": np.zeros((12, 3))}
    with pytest.raises(StructureError, match="key of layer 999999999, but keys of layers below it are missing"):
        load(arrays | {"weight_ih_l999999999": np.zeros((12, 3))})


def test_unknown_keys_are_told_with_their_shapes():
    with pytest.raises(StructureError, match=r"unknown: 'weights' of shape \(12, 2\); expected those of nn.RNN"):
        load({"weights": np.zeros((12, 2))})
    with pytest.raises(StructureError, match=r"unknown: '1' of shape \(\)"):
        load({1: 2.0})


def test_a_state_of_another_structure_is_refused():
    for state in (None, np.zeros((2, 3)), (np.zeros((2, 3)),)):
        with pytest.raises(StructureError, match="from_state: state has the structure"):
            from_state(LSTM(2, 3), state)


def test_parameters_may_be_tensors():
    torch = pytest.importorskip("torch")
    params = LSTM(2, 3).init(np.random.default_rng(0))
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in params.items()}
    for key, array in state_dict(LSTM(2, 3), params).items():
        np.testing.assert_array_equal(state_dict(LSTM(2, 3), tensors)[key], array)
