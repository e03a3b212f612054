"""Work: its data, its results and how results are compared."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.benchmarks.work import Results, Shape, Work, deviation, parse_shapes, tolerance
from tapegrad.cells import LSTM, Cell, Input, Parameter, State
from tapegrad.errors import OptionError


class Tokens(Cell):
    """Takes token numbers; its outputs are a pair, of which one is a truth value."""

    input_size: int
    hidden_size: int

    def parameters(self):
        return {"E": Parameter((self.input_size, self.hidden_size))}

    def state(self):
        return State((self.hidden_size,))

    def inputs(self):
        return Input((), dtype=np.int64)

    def step(self, params, state, x):
        h = np.tanh(params["E"][x] + 0.5 * state)
        return h, {"h": h, "twice": 2 * h[:, :1]}


def test_the_derivative_is_that_of_the_weighted_sum():
    work = Work.draw("lstm", LSTM(3, 4), Shape(5, 2, 3, 4), np.float64, with_inputs=True)

    def weighted(params, xs):
        return np.sum(work.cell(params, xs)[1] * work.cotangent)

    gradients = tg.grad(weighted, argnums=(0, 1))(work.params, work.xs)
    found = work.truth()
    assert set(found.gradients) == {*work.params, "xs"}
    for name, expected in {**gradients[0], "xs": gradients[1]}.items():
        np.testing.assert_allclose(found.gradients[name], expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(found.ys[0], work.forward("reference"))


def test_data_are_random_where_the_cell_starts_from_constants():
    work = Work.draw("lstm", LSTM(3, 4), Shape(5, 2, 3, 4))
    assert all(len(np.unique(value)) > 1 for value in work.params.values())
    assert work.dtype == work.params["b_f"].dtype == work.xs.dtype == np.float32
    again = Work.draw("lstm", LSTM(3, 4), Shape(5, 2, 3, 4))
    np.testing.assert_array_equal(work.params["b_f"], again.params["b_f"])


def test_cells_with_tokens_and_several_outputs():
    work = Work.draw("tokens", Tokens(6, 3), Shape(7, 2, 6, 3))
    assert work.xs.shape == (7, 2)
    assert work.xs.dtype.kind == "i"
    assert 0 <= work.xs.min() <= work.xs.max() < 6
    found = work.results(work.both("reference"))
    assert [y.shape for y in found.ys] == [(7, 2, 3), (7, 2, 1)]
    errors = deviation(found, work.truth())
    assert 0 < max(errors.values()) < 1e-5


def test_deviation_is_relative_to_the_largest_entry_and_finds_what_is_missing():
    expected = Results([np.array([2.0, -4.0])], {"W": np.array([[10.0]]), "b": np.array([0.0])})
    found = Results([np.array([2.0, -3.0])], {"W": np.array([[10.1]]), "b": np.array([0.0])})
    assert deviation(found, expected) == pytest.approx({"ys": 0.25, "gradients": 0.01})
    infinite = float("inf")
    for gradients in (
        {"W": found.gradients["W"]},
        found.gradients | {"W": np.ones(1)},
        found.gradients | {"b": np.array([np.nan])},
    ):
        assert deviation(found._replace(gradients=gradients), expected)["gradients"] == infinite
    assert deviation(found._replace(ys=[]), expected)["ys"] == infinite
    assert deviation(found._replace(ys=[np.ones(3)]), expected)["ys"] == infinite


def test_what_is_allowed_grows_with_the_root_of_the_length_and_never_hides_a_thousandth():
    assert tolerance("float32", 400) == pytest.approx(2 * tolerance("float32", 100))
    assert tolerance("float64", 784) < 1e-12
    drawn2 = 1.2e-4  # what all libraries are off by at this length
    assert drawn2 < tolerance("float32", 784) < 3e-4
    assert tolerance("float32", 10**7) < 1e-3 / 1.5


def test_shapes():
    assert parse_shapes("1,2,3,4; 5,6,7,8") == [Shape(1, 2, 3, 4), Shape(5, 6, 7, 8)]
    assert str(Shape(1, 2, 3, 4)) == "(1, 2, 3, 4)"
    for text in ("", "1,2,3", "1,2,3,4;", "1,2,3,0", "1,2,3,x", "1,-2,3,4"):
        with pytest.raises(OptionError, match="four whole numbers"):
            parse_shapes(text)
