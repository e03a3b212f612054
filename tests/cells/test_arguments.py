"""params, xs and state that do not fit: refused before anything is computed, with the remedy in the message."""

import numpy as np
import pytest

from tapegrad import pytree
from tapegrad.cells import GRU, LSTM, Cell, Elman, Input, Linear, Parameter, SoftmaxReadout, Stacked, State, variants
from tapegrad.errors import DtypeError, OptionError, ShapeError, StructureError
from tests.cells.drawing import random_inputs, random_params, random_state

F32, F64 = np.float32, np.float64
ELMAN, LSTM_, DEEP = Elman(2, 3), LSTM(2, 3), Stacked((Elman(2, 3), GRU(3, 4)))
RNG = np.random.default_rng(0)
PARAMS = {cell: cell.init(RNG, F64) for cell in (ELMAN, LSTM_, DEEP)}
XS = np.zeros((5, 4, 2))


def without(params, name):
    return {key: value for key, value in params.items() if key != name}


@pytest.fixture(autouse=True)
def no_step(monkeypatch):
    """A step that runs has computed something."""

    def step(self, params, state, x):
        raise AssertionError("the step ran")

    for cls in (Elman, LSTM, GRU):
        monkeypatch.setattr(cls, "step", step)


@pytest.mark.parametrize(
    ("cell", "change", "error", "words"),
    [
        (ELMAN, lambda p: without(p, "b_h"), StructureError, r"missing: b_h; make the parameters with cell\.init\("),
        (ELMAN, lambda p: p | {"b_x": p["b_h"]}, StructureError, "parameters are unknown: b_x"),
        (LSTM_, lambda p: without(p, "W_xf") | {"W_fx": XS}, StructureError, "missing: W_xf and .* unknown: W_fx"),
        (ELMAN, lambda p: (p["W_xh"], p["W_hh"], p["b_h"]), StructureError, "missing: W_hh, W_xh, b_h"),
        (ELMAN, lambda p: None, StructureError, "missing: W_hh, W_xh, b_h"),
        (ELMAN, lambda p: p | {"b_h": [0.0, 0.0, 0.0]}, StructureError, r"missing: b_h and .* b_h\[0\]"),
        (DEEP, lambda p: without(p, "layer1"), StructureError, "missing: layer1.W_hn"),
        (DEEP, lambda p: {"layer0": p["layer0"]} | {"layer1": p["layer0"]}, StructureError, "unknown: layer1.W_hh"),
        (ELMAN, lambda p: p | {"W_xh": p["W_xh"].T}, ShapeError, r"'W_xh' is of shape \(3, 2\), expected shape \(2,"),
        (ELMAN, lambda p: p | {"b_h": 0.0}, ShapeError, r"'b_h' is a float, expected shape \(3,\)"),
        (DEEP, lambda p: p | {"layer0": p["layer0"] | {"b_h": XS}}, ShapeError, r"'layer0\.b_h'"),
        (ELMAN, lambda p: Elman(2, 7).init(RNG, F64), ShapeError, "the sizes that they were made with"),
        (ELMAN, lambda p: p | {"b_h": np.zeros(3, int)}, DtypeError, r"'b_h' has dtype int64.*\.astype\(np\.float32\)"),
        (ELMAN, lambda p: p | {"b_h": np.zeros(3, F32)}, DtypeError, r"tg\.tree_map\(lambda p: p\.astype\(np\.float64"),
        (ELMAN, lambda p: p | {"W_hh": np.zeros((3, 3), complex)}, DtypeError, "expected floating point"),
    ],
)
def test_parameters(cell, change, error, words):
    with pytest.raises(error, match=words) as caught:
        cell(change(PARAMS[cell]), XS)
    assert type(caught.value) is error
    assert repr(cell) in str(caught.value)


@pytest.mark.parametrize(
    ("xs", "error", "words"),
    [
        (XS[:, 0], ShapeError, r"shape \(5, 2\), expected shape \(T, B, 2\).*single sequence write xs\[:, None\]"),
        (XS[0, 0], ShapeError, r"expected shape \(T, B, 2\): time, batch"),
        (XS[..., None], ShapeError, "reshape xs"),
        (np.zeros((5, 4, 3)), ShapeError, "make the cell with input_size=3"),
        (np.zeros((5, 4), int), ShapeError, r"np\.eye\(2, dtype=np\.float32\)\[tokens\].*inputs\(\) return Input\("),
        (XS.tolist(), StructureError, r"np\.asarray\(xs, np\.float32\)"),
        ([XS, XS], StructureError, r"expected \*, where \* is an array"),
        (None, StructureError, r"structure None, expected \*"),
        ("text", ShapeError, "xs is a str, expected shape"),
        (1.5, ShapeError, "xs is a float, expected shape"),
        (XS.astype(F32), DtypeError, r"dtype float32, expected that of the parameters, float64; write xs\.astype\("),
        (XS.astype(int), DtypeError, r"dtype int64, expected that of the parameters, float64; write xs\.astype\("),
        (XS == 0, DtypeError, r"dtype bool, expected that of the parameters"),
    ],
)
@pytest.mark.parametrize("cell", [ELMAN, LSTM_, DEEP], ids=lambda cell: type(cell).__name__)
def test_inputs(cell, xs, error, words):
    with pytest.raises(error, match=words) as caught:
        cell(PARAMS[cell], xs)
    assert type(caught.value) is error
    assert repr(cell) in str(caught.value)


H = np.zeros((4, 3))


@pytest.mark.parametrize(
    ("cell", "state", "error", "words"),
    [
        (ELMAN, H[0], ShapeError, r"of shape \(3,\), expected shape \(4, 3\); start from cell\.initial_state\(4"),
        (ELMAN, np.zeros((5, 3)), ShapeError, r"expected shape \(4, 3\)"),
        (ELMAN, 0.0, ShapeError, "state is a float"),
        (ELMAN, (H, H), StructureError, r"structure \(\*, \*\), expected \*"),
        (LSTM_, H, StructureError, r"structure \*, expected \(\*, \*\).*cell\.initial_state\(4, np\.float64\)"),
        (LSTM_, [H, H], StructureError, r"structure \[\*, \*\], expected \(\*, \*\)"),
        (LSTM_, (H, H[:2]), ShapeError, r"state\[1\] is of shape \(2, 3\), expected shape \(4, 3\)"),
        (LSTM_, (H, H.astype(F32)), DtypeError, r"state\[1\] has dtype float32, expected float64; write \.astype\("),
        (ELMAN, H.astype(int), DtypeError, "state has dtype int64, expected float64"),
        (DEEP, (H, H), ShapeError, r"state\[1\] is of shape \(4, 3\), expected shape \(4, 4\)"),
    ],
)
def test_states(cell, state, error, words):
    with pytest.raises(error, match=words) as caught:
        cell(PARAMS[cell], XS, state)
    assert type(caught.value) is error


class Tokens(Cell):
    """Looks token numbers up; counts them in an integer state; is given a float beside them."""

    size: int

    def parameters(self):
        return {"E": Parameter((self.size, 2))}

    def state(self):
        return {"h": State((2,)), "n": State((), dtype=np.int64)}

    def inputs(self):
        return {"token": Input((), dtype=np.int64), "gain": Input((1,))}

    def step(self, params, state, x):
        h = state["h"] + params["E"][x["token"]] * x["gain"]
        return {"h": h, "n": state["n"] + 1}, h


TOKENS = Tokens(6)
GOOD = {"token": np.zeros((5, 4), np.int32), "gain": np.zeros((5, 4, 1))}


@pytest.mark.parametrize(
    ("xs", "error", "words"),
    [
        (GOOD | {"token": np.zeros((5, 4))}, DtypeError, r"xs\.token has dtype float64, expected int64; write xs\.as"),
        (GOOD | {"token": np.zeros((5, 3), int)}, ShapeError, "expected the same numbers of steps and sequences"),
        (GOOD | {"gain": np.zeros((4, 4, 1))}, ShapeError, "expected the same numbers of steps and sequences"),
        (GOOD | {"gain": np.zeros((5, 4, 1), F32)}, DtypeError, r"xs\.gain has dtype float32"),
        (GOOD["token"], StructureError, r"expected \{'gain': \*, 'token': \*\}"),
    ],
)
def test_several_inputs(xs, error, words):
    with pytest.raises(error, match=words) as caught:
        TOKENS(TOKENS.init(RNG, F64), xs)
    assert type(caught.value) is error


def test_integer_states_keep_their_dtype():
    state = TOKENS.initial_state(4, F64) | {"n": np.zeros(4)}
    with pytest.raises(DtypeError, match="state.n has dtype float64, expected int64"):
        TOKENS(TOKENS.init(RNG, F64), GOOD, state)


class Anything(Cell):
    """Says nothing of its inputs."""

    def state(self):
        return State((2,))


def test_without_declared_inputs_the_axes_of_time_and_batch_are_still_needed():
    with pytest.raises(ShapeError, match=r"expected shape \(T, B, \.\.\.\)"):
        Anything()({}, np.zeros(3))
    with pytest.raises(StructureError, match=r"give at least one of shape \(T, B, \.\.\.\)"):
        Anything()({}, None)


# ---- readouts and stacks ----


@pytest.mark.parametrize("name", ["__call__", "logits"])
@pytest.mark.parametrize(
    ("h", "words"),
    [
        (np.zeros((4, 2)), r"h is of shape \(4, 2\), expected shape \(\.\.\., 3\); .* hidden_size of the cell"),
        ((np.zeros((4, 3)), np.zeros((5, 4, 3))), r"h is a tuple, .* give it ys, not \(state, ys\)"),
        (1.0, "h is a float"),
    ],
)
def test_what_a_readout_is_given(name, h, words):
    readout = SoftmaxReadout(3, 5)
    with pytest.raises(ShapeError, match=words):
        getattr(readout, name)(readout.init(RNG, F64), h)


def test_parameters_of_another_readout():
    with pytest.raises(ShapeError, match=r"'W_hy' is of shape \(3, 4\), expected shape \(3, 5\)"):
        Linear(3, 5)(Linear(3, 4).init(RNG, F64), np.zeros((2, 3)))
    with pytest.raises(StructureError, match="missing: b_y"):
        Linear(3, 5)(without(Linear(3, 5).init(RNG, F64), "b_y"), np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("cells", "error", "words"),
    [
        ((), OptionError, "a tuple of at least one cell"),
        (LSTM_, OptionError, "a tuple of at least one cell"),
        ((LSTM_, LSTM), OptionError, r"layer 1 is <class .*expected a cell such as LSTM\(8, 32\)"),
        ((LSTM_, LSTM_), ShapeError, r"layer 1, LSTM.* takes inputs of shape \(2,\), but .*layer 1 with input_size=3"),
        ((ELMAN, GRU(3, 4), Linear(5, 2)), ShapeError, "layer 2, Linear.* but layer 1, GRU.*input_size=4"),
    ],
)
def test_layers_that_do_not_fit(cells, error, words):
    with pytest.raises(error, match=words) as caught:
        Stacked(cells)
    assert type(caught.value) is error


class Doubling(Cell):
    """Gives twice as many outputs as inputs, and does not say so."""

    input_size: int

    def step(self, params, state, x):
        return state, np.concatenate([x, x], axis=-1)


def test_layers_that_turn_out_not_to_fit():
    cell = Stacked((Doubling(2), Linear(3, 2)))
    with pytest.raises(ShapeError, match=r"layer 1, Linear.* takes .*\(3,\), but layer 0, Doubling.* gives \(4,\)"):
        cell.step(cell.init(RNG), cell.initial_state(5), np.zeros((5, 2), F32))


def test_a_list_of_layers_is_taken_as_a_tuple():
    assert Stacked([ELMAN, GRU(3, 4)]) == DEEP
    assert Stacked((DEEP, Linear(4, 2))).output_size == 2


# ---- every cell ----


@pytest.mark.parametrize("variant", variants(), ids=str)
def test_every_cell_refuses_a_leaf_that_does_not_fit(variant):
    rng = np.random.default_rng(1)
    cell = variant.build(rng)
    params, state, xs = random_params(cell, rng), random_state(cell, rng, 3), random_inputs(cell, rng, 2, 3)
    leaves, structure = pytree.flatten((params, state, xs))
    for position, leaf in enumerate(leaves):
        for wrong, error in ((leaf.astype(F32), DtypeError), (np.concatenate([leaf, leaf]).T[None], ShapeError)):
            changed = list(leaves)
            changed[position] = wrong
            p, s, x = structure.unflatten(changed)
            with pytest.raises(error):
                cell(p, x, s)
