"""What every cell is: a frozen, hashable value with declared parameters and states."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest

from tapegrad import pytree
from tapegrad.cells import GRU, LSTM, Cell, Elman, Input, Parameter, Stacked, State, variants
from tapegrad.errors import DtypeError, OptionError, ShapeError, StructureError, TapegradError
from tests.cells.drawing import at, random_inputs, random_params, random_state, unroll

EVERY = pytest.mark.parametrize("variant", variants() + variants("readout"), ids=str)


def built(variant, seed=0):
    return variant.build(np.random.default_rng(seed))


# ---- every cell ----


@EVERY
def test_a_cell_is_a_frozen_value(variant):
    cell, twin = built(variant), built(variant)
    assert cell == twin
    assert hash(cell) == hash(twin)
    assert cell != built(variant, seed=1) or built(variant, seed=1) != built(variant, seed=2)
    assert copy.deepcopy(cell) == pickle.loads(pickle.dumps(cell)) == cell
    assert pytree.leaves(cell) == [cell]
    field = dataclasses.fields(cell)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(cell, field, 3)
    options = {f.name: getattr(cell, f.name) for f in dataclasses.fields(cell)}
    assert type(cell)(**options) == cell
    assert type(cell).__name__ in repr(cell)


@EVERY
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_init_follows_the_declaration(variant, dtype):
    cell = built(variant)
    params = cell.init(np.random.default_rng(0), dtype)
    declared, structure = pytree.flatten(cell.parameters())
    leaves, came = pytree.flatten(params)
    assert came == structure
    for leaf, parameter in zip(leaves, declared, strict=True):
        assert isinstance(leaf, np.ndarray)
        assert (leaf.shape, leaf.dtype) == (parameter.shape, dtype)
        assert leaf.flags.writeable
    assert cell.parameter_count == sum(leaf.size for leaf in leaves)


@EVERY
def test_init_depends_on_the_seed_alone(variant):
    cell = built(variant)
    one, two, other = (pytree.leaves(cell.init(np.random.default_rng(seed), np.float64)) for seed in (5, 5, 6))
    narrow = pytree.leaves(cell.init(np.random.default_rng(5)))
    for a, b, c in zip(one, two, narrow, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a.astype(np.float32), c)
    assert any((a != b).any() for a, b in zip(one, other, strict=True))


@EVERY
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_initial_state_follows_the_declaration(variant, batch):
    cell = built(variant)
    state = cell.initial_state(batch, np.float32)
    assert pytree.structure(state) == pytree.structure(cell.state())
    for leaf, declared in zip(pytree.leaves(state), pytree.leaves(cell.state()), strict=True):
        assert (leaf.shape, leaf.dtype) == ((batch, *declared.shape), declared.dtype or np.float32)
        np.testing.assert_array_equal(leaf, declared.init)


@EVERY
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch", [0, 1, 4])
def test_a_step_keeps_shapes_and_dtypes(variant, dtype, batch):
    cell, rng = built(variant), np.random.default_rng(1)
    params, state = random_params(cell, rng, dtype), random_state(cell, rng, batch, dtype)
    x = at(random_inputs(cell, rng, 1, batch, dtype), 0)
    new, y = cell.step(params, state, x)
    assert pytree.structure(new) == pytree.structure(state)
    for before, after in zip(pytree.leaves(state), pytree.leaves(new), strict=True):
        assert (before.shape, before.dtype) == (after.shape, after.dtype)
    assert (y.shape, y.dtype) == ((batch, cell.output_size), dtype)


@EVERY
def test_a_step_leaves_its_arguments_alone(variant):
    cell, rng = built(variant), np.random.default_rng(2)
    arguments = random_params(cell, rng), random_state(cell, rng, 3), at(random_inputs(cell, rng, 1, 3), 0)
    for leaf in pytree.leaves(arguments):
        leaf.setflags(write=False)
    cell.step(*arguments)


@EVERY
def test_rows_of_a_batch_do_not_meet(variant):
    cell, rng = built(variant), np.random.default_rng(3)
    params, state, xs = random_params(cell, rng), random_state(cell, rng, 4), random_inputs(cell, rng, 3, 4)
    ys = unroll(cell, params, state, xs)[1]
    for row in range(4):
        alone = unroll(cell, params, at(state, np.s_[row : row + 1]), at(xs, np.s_[:, row : row + 1]))[1]
        np.testing.assert_allclose(alone[:, 0], ys[:, row], rtol=1e-12, atol=1e-14)


@EVERY
def test_every_parameter_state_and_input_matters(variant):
    """A gate that is computed and then forgotten, or weights that are read twice, would show here."""
    cell, rng = built(variant), np.random.default_rng(4)
    arguments = random_params(cell, rng), random_state(cell, rng, 2), random_inputs(cell, rng, 3, 2)
    ys = unroll(cell, *arguments)[1]
    leaves, structure = pytree.flatten(arguments)
    for position in range(len(leaves)):
        moved = list(leaves)
        moved[position] = moved[position] + 0.37 * rng.standard_normal(moved[position].shape)
        changed = np.abs(unroll(cell, *structure.unflatten(moved))[1] - ys).max()
        assert changed > 1e-6, pytree.paths(arguments)[position]


# ---- particular cells ----


def test_forget_bias_is_where_it_starts():
    params = LSTM(2, 3, forget_bias=2.5).init(np.random.default_rng(0))
    np.testing.assert_array_equal(params["b_f"], [2.5] * 3)
    np.testing.assert_array_equal(LSTM(2, 3).init(np.random.default_rng(0))["b_f"], [1] * 3)
    for name in ("b_i", "b_g", "b_o"):
        np.testing.assert_array_equal(params[name], [0] * 3)


def test_sigmoid_units_of_the_simple_network_start_at_rest():
    np.testing.assert_array_equal(Elman(2, 3, "sigmoid").initial_state(1), [[0.5] * 3])
    np.testing.assert_array_equal(Elman(2, 3).initial_state(1), [[0] * 3])


def test_every_cell_names_its_source():
    for variant in variants() + variants("readout"):
        assert variant.cell.source
        assert variant.cell.__doc__


@pytest.mark.parametrize("pattern", ["W_hh", "*W_hh", "layer?.W_hh"])
def test_overrides_choose_initialisers_by_name(pattern):
    cell = Elman(2, 3) if pattern == "W_hh" else Stacked((Elman(2, 3), Elman(3, 4)))
    params = cell.init(np.random.default_rng(0), overrides={"*": 7.0, pattern: "identity"})
    for path, leaf in zip(pytree.paths(params), pytree.leaves(params), strict=True):
        np.testing.assert_array_equal(leaf, np.eye(len(leaf)) if path.endswith("W_hh") else np.full(leaf.shape, 7.0))


# ---- cells of a user's own ----


class Counter(Cell):
    """Takes token numbers, counts steps in an integer state, and has nested parameters."""

    vocabulary: int
    hidden_size: int

    def parameters(self):
        n = self.hidden_size
        return {"E": Parameter((self.vocabulary, n), init="normal"), "deep": [{"W": Parameter((n, n))}]}

    def state(self):
        return {"h": State((self.hidden_size,)), "n": State((), dtype=np.int64)}

    def inputs(self):
        return Input((), dtype=np.int64)

    def step(self, params, state, x):
        h = np.tanh(params["E"][x] + state["h"] @ params["deep"][0]["W"])
        return {"h": h, "n": state["n"] + 1}, h


def test_a_cell_may_take_tokens_and_carry_integers():
    cell = Counter(5, 3)
    params = cell.init(np.random.default_rng(0))
    assert pytree.paths(params) == ["E", "deep[0].W"]
    state, ys = unroll(cell, params, cell.initial_state(2), np.array([[0, 4], [3, 3], [1, 2]]))
    assert state["n"].tolist() == [3, 3]
    assert state["n"].dtype == np.int64
    assert ys.dtype == np.float32


def test_inherited_options_and_keyword_only_ones():
    class Scaled(Elman, kw_only=True):
        scale: float

    cell = Scaled(2, 3, scale=0.5)
    assert (cell.input_size, cell.activation, cell.scale) == (2, "tanh", 0.5)
    assert cell != Elman(2, 3)
    assert cell.parameters() == Elman(2, 3).parameters()


def test_sizes_become_python_integers():
    cell = Elman(np.int64(2), np.int32(3))
    assert type(cell.input_size) is type(cell.hidden_size) is int


class Bare(Cell):
    width: int = 1


class Wrong(Cell):
    def parameters(self):
        return {"W": (3, 3)}


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Elman(0, 3), OptionError, "Elman: input_size=0, expected an integer of at least 1"),
        (lambda: LSTM(2, 3.0), OptionError, r"LSTM: hidden_size=3\.0, expected an integer"),
        (lambda: GRU(True, 3), OptionError, "GRU: input_size=True, expected an integer"),
        (lambda: GRU("2", 3), OptionError, "GRU: input_size='2', expected an integer"),
        (lambda: Elman(2, 3, "swish"), OptionError, "expected one of tanh, sigmoid, relu"),
        (lambda: Bare(np.ones(2)), OptionError, "keep arrays in the parameters or in xs"),
        (lambda: Bare().step({}, None, 0), TapegradError, r"write step\(self, params, state, x\)"),
        (lambda: Wrong().init(np.random.default_rng(0)), StructureError, r"write Parameter\(shape, init=\.\.\.\)"),
        (lambda: Elman(2, 3).init(0), OptionError, r"rng=0, expected a Generator; write np\.random\.default_rng\("),
        (lambda: Elman(2, 3).init(np.random), OptionError, r"np\.random\.default_rng\(seed\)"),
        (lambda: Elman(2, 3).init(np.random.default_rng(0), int), DtypeError, r"give np\.float32 or np\.float64"),
        (lambda: Elman(2, 3).init(np.random.default_rng(0), None), DtypeError, r"give np\.float32 or np\.float64"),
        (lambda: Elman(2, 3).init(np.random.default_rng(0), "flot"), DtypeError, r"give np\.float32 or np\.float64"),
        (lambda: Elman(2, 3).init(np.random.default_rng(0), np.complex64), DtypeError, "expected a floating dtype"),
        (
            lambda: Elman(2, 3).init(np.random.default_rng(0), overrides={"U": "zeros"}),
            OptionError,
            "fits no parameter; the parameters are W_hh, W_xh, b_h",
        ),
        (
            lambda: Elman(2, 3).init(np.random.default_rng(0), overrides={"W_xh": "identity"}),
            ShapeError,
            "parameter 'W_xh'.*not square",
        ),
        (lambda: Elman(2, 3).initial_state(-1), OptionError, "batch=-1, expected an integer of at least 0"),
        (lambda: Elman(2, 3).initial_state((4, 3)), OptionError, "expected an integer of at least 0"),
        (lambda: Elman(2, 3).initial_state(4, np.int32), DtypeError, r"give np\.float32 or np\.float64"),
        (lambda: State((3,), dtype="flot"), DtypeError, "is no dtype"),
        (lambda: State(3), ShapeError, "expected a tuple of integers"),
        (lambda: Input("ab"), ShapeError, "expected a tuple of integers"),
    ],
)
def test_wrong_options_are_refused_with_the_remedy(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert type(caught.value) is error
