"""Arguments of a call are checked once for all calls that look the same; whatever differs is checked again."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import LSTM, Cell, Parameter, State, calls
from tapegrad.errors import DtypeError, ShapeError, StructureError

FACTOR = 2.0
XS = np.ones((3, 4, 2), np.float32)


@pytest.fixture
def checked(monkeypatch):
    """A list that grows by one entry each time that arguments are checked in full."""
    seen, real = [], calls.check_call
    monkeypatch.setattr(calls, "check_call", lambda *args: seen.append(1) or real(*args))
    monkeypatch.setattr(calls, "_starts", type(calls._starts)())
    return seen


def test_calls_that_look_the_same_are_checked_once(checked):
    cell = LSTM(2, 3)
    params = cell.init(np.random.default_rng(0))
    for _ in range(5):
        cell(params, XS)
        tg.grad(lambda p: np.sum(cell(p, XS)[1]))(params)
        LSTM(2, 3)(dict(reversed(params.items())), XS + 1)
    assert len(checked) == 1
    for T in range(1, 5):
        cell(params, np.ones((T, 4, 2), np.float32), cell.initial_state(4))
    assert len(checked) == 5


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda p, xs, s: (p | {"b_i": np.zeros(4, np.float32)}, xs, s), ShapeError),
        (lambda p, xs, s: (p | {"b_i": p["b_i"].astype(float)}, xs, s), DtypeError),
        (lambda p, xs, s: (p | {"b_i": p["b_i"] == 0}, xs, s), DtypeError),
        (lambda p, xs, s: (p | {"more": p["b_i"]}, xs, s), StructureError),
        (lambda p, xs, s: (p | {"b_i": [0.0, 0.0, 0.0]}, xs, s), StructureError),
        (lambda p, xs, s: (p, xs[0], s), ShapeError),
        (lambda p, xs, s: (p, xs.astype(float), s), DtypeError),
        (lambda p, xs, s: (p, [xs], s), StructureError),
        (lambda p, xs, s: (p, xs[:, :2], s), ShapeError),
        (lambda p, xs, s: (p, xs, list(s)), StructureError),
        (lambda p, xs, s: (p, xs, (s[0], s[1].astype(float))), DtypeError),
        (lambda p, xs, s: (p, xs, (s[0], "text")), ShapeError),
    ],
)
def test_what_differs_from_a_call_that_fitted_is_refused(change, error):
    cell = LSTM(2, 3)
    good = cell.init(np.random.default_rng(0)), XS, cell.initial_state(4)
    for _ in range(2):
        cell(*good)
        with pytest.raises(error):
            cell(*change(*good))


class Scalar(Cell):
    """Has a parameter that is a single number."""

    def parameters(self):
        return {"k": Parameter((), init="ones")}

    def state(self):
        return State((2,))

    def step(self, params, state, x):
        return state + params["k"] * x, state


def test_a_number_is_no_array_although_a_tensor_of_a_number_looks_like_one():
    cell, xs = Scalar(), np.ones((3, 1, 2))
    assert tg.grad(lambda k: np.sum(cell({"k": k}, xs)[1]))(2.0) == 6.0
    with pytest.raises(ShapeError, match="'k' is a float"):
        cell({"k": 2.0}, xs)
    for k in (np.float64(2.0), np.array(2.0)):
        np.testing.assert_array_equal(cell({"k": k}, xs)[0], 6.0)


class Started(Cell):
    value: float

    def state(self):
        return State((2,), init=self.value)

    def step(self, params, state, x):
        return state, state


@pytest.mark.parametrize("value", [0.0, -0.0, 1.5, np.inf])
def test_the_initial_state_is_filled_anew_for_each_call(value):
    cell, xs = Started(value), np.ones((0, 1, 2), np.float32)
    for _ in range(2):
        final, _ = cell({}, xs)
        assert final.dtype == np.float32
        np.testing.assert_array_equal(final, np.full((1, 2), value))
        assert (np.signbit(final) == np.signbit(value)).all()
        final += 1.0  # belongs to the caller


class Gain(Cell):
    input_size: int
    rate: float = 2.0

    def parameters(self):
        return {"w": Parameter((self.input_size,), init="ones")}

    def state(self):
        return State((self.input_size,), init=FACTOR)

    def step(self, params, state, x):
        h = state * self.rate + x * params["w"]
        return h, h


class Other(Gain):
    """Has no ``state`` of its own at first."""

    def step(self, params, state, x):
        return state * 0.0, state


def test_what_is_forced_into_a_frozen_cell():
    cell = Gain(2)
    params = cell.init(np.random.default_rng(0))
    run = lambda: cell(params, np.zeros((1, 1, 2), np.float32))[0][0, 0]  # noqa: E731
    assert (run(), run()) == (4.0, 4.0)
    object.__setattr__(cell, "rate", 5.0)
    assert run() == 10.0
    object.__setattr__(cell, "__class__", Other)
    assert run() == 0.0


def test_a_method_that_a_class_gets_later(monkeypatch):
    cell = Other(2)
    params = cell.init(np.random.default_rng(0))
    run = lambda: cell(params, np.zeros((1, 1, 2), np.float32))[1][0, 0, 0]  # noqa: E731
    assert (run(), run()) == (2.0, 2.0)
    monkeypatch.setattr(Other, "state", lambda self: State((self.input_size,), init=7.0), raising=False)
    assert run() == 7.0
    monkeypatch.setattr(Other, "initial_state", lambda self, batch, dtype: np.full((batch, 2), 9.0, dtype))
    assert run() == 9.0
