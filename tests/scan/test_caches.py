"""When a step is traced anew and when not, and the choice of a backend."""

import types
from importlib import import_module

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import LSTM, Cell, Parameter, Stacked, State
from tapegrad.errors import ShapeError, StructureError, TracingError

SCALE = 2.0


@pytest.fixture
def traced(monkeypatch):
    """A list that grows by one entry each time that a step is traced."""
    module = import_module("tapegrad.loops")
    real, seen = module._trace_step, []
    monkeypatch.setattr(module, "_trace_step", lambda *args: seen.append(1) or real(*args))
    monkeypatch.setattr(module, "_tapes", type(module._tapes)())
    return seen


def test_a_step_is_traced_once_for_all_lengths(traced):
    step = lambda w, s, x: (np.tanh(s * w) + x, s)  # noqa: E731
    for T in range(1, 50):
        tg.scan(step, 0.5, np.zeros(2), np.ones((T, 2)))
    assert len(traced) == 1
    tg.scan(step, 0.5, np.zeros(3), np.ones((4, 3)))
    assert len(traced) == 2, "another shape is another tape"


def test_fresh_lambdas_and_cells_with_equal_captures_share_a_tape(traced):
    def make(k):
        return lambda w, s, x: (np.tanh(k * s), s)

    for _ in range(20):
        tg.scan(make(0.5), None, np.zeros(2), np.ones((2, 2)))
    assert len(traced) == 1
    tg.scan(make(0.25), None, np.zeros(2), np.ones((2, 2)))
    assert len(traced) == 2, "another captured number is another tape"
    rng = np.random.default_rng(0)
    for _ in range(20):
        cell = LSTM(2, 3)
        cell(cell.init(rng), np.ones((4, 5, 2), np.float32))
    assert len(traced) == 3


def test_the_cache_is_bounded(traced):
    for k in range(600):
        tg.scan(lambda w, s, x, k=k: (k * s, s), None, np.zeros(2), np.ones((1, 2)))
    assert len(import_module("tapegrad.loops")._tapes) <= 512


def test_one_program_serves_every_value_of_a_captured_number(monkeypatch):
    reference = import_module("tapegrad.backends.reference")
    monkeypatch.setattr(reference, "_PROGRAMS", type(reference._PROGRAMS)())
    for k in np.linspace(0.1, 2, 100).tolist():
        f = lambda s, k=k: tg.scan(lambda w, s, x: (k * np.tanh(s) + 0.5, s), None, s, None, length=2)[0]  # noqa: E731
        expected = k * np.tanh(k * np.tanh(0.3) + 0.5) + 0.5
        np.testing.assert_allclose(f(0.3), expected)
    assert len(reference._PROGRAMS) == 1


def test_fresh_closures_over_arrays_are_derived_once(monkeypatch):
    residuals = import_module("tapegrad.scan_primitive")
    real, made = residuals.Linearised, []
    monkeypatch.setattr(residuals, "Linearised", lambda *args: made.append(1) or real(*args))
    for i in range(20):
        W = np.full((3, 3), 0.01 * i)
        f = lambda s, W=W: np.sum(tg.scan(lambda _, s, x: (np.tanh(s @ W), s), None, s, None, length=3)[1])  # noqa: E731
        g, e = tg.grad(f)(np.ones(3)), 1e-6 * np.eye(3)[0]
        np.testing.assert_allclose(g[0], (f(np.ones(3) + e) - f(np.ones(3) - e)) / 2e-6, rtol=1e-6)
    assert len(made) == 1


@pytest.mark.parametrize("make", [lambda k: lambda w, s, x: (k * s + x, s)], ids=["float"])
def test_a_captured_number_is_never_stale(make):
    for k in (1.0, 2.0, 3.0, True, 1, np.float64(2.0)):
        final, _ = tg.scan(make(k), None, np.ones(2), np.zeros((1, 2)))
        np.testing.assert_allclose(final, float(k))


def test_a_module_variable_is_never_stale(monkeypatch):
    step = lambda w, s, x: (SCALE * s, s)  # noqa: E731
    assert tg.scan(step, None, 1.0, np.zeros(1))[0] == 2.0
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    assert tg.scan(step, None, 1.0, np.zeros(1))[0] == 5.0


def test_captured_arrays_are_never_stale():
    """Not even where NumPy computes with two of them before a Tensor is met, or Python branches on one."""
    for value in (1.0, 2.0, -3.0):
        W, mask = np.full(2, value), np.ones(2)

        def step(_, s, x, W=W, mask=mask):
            factor = W * mask
            return (s * factor if W[0] > 0 else s - factor), s

        assert tg.scan(step, None, np.ones(2), np.zeros((1, 2)))[0][0] == (value if value > 0 else 4.0)
        closed = lambda _, s, x: (s * (W * mask), s)  # noqa: B023, E731
        assert tg.scan(closed, None, np.ones(2), np.zeros((1, 2)))[0][0] == value


def test_an_array_changed_in_place_between_calls_is_seen():
    W = np.ones(2)
    step = lambda _, s, x: (s * W, s)  # noqa: E731
    tg.scan(step, None, np.ones(2), np.zeros((1, 2)))
    W *= 3
    assert tg.scan(step, None, np.ones(2), np.zeros((1, 2)))[0][0] == 3


def test_a_changed_object_is_never_stale():
    class Gain:
        value = 1.0

    gain = Gain()
    step = lambda _, s, x: (s * gain.value, s)  # noqa: E731
    assert tg.scan(step, None, 1.0, np.zeros(1))[0] == 1.0
    gain.value = 4.0
    assert tg.scan(step, None, 1.0, np.zeros(1))[0] == 4.0


class Scaled(Cell):
    input_size: int
    rate = 1.0

    def parameters(self):
        return {"w": Parameter((self.input_size,), init="ones")}

    def state(self):
        return State((self.input_size,))

    def scaled(self, x):
        return x * SCALE

    @property
    def shift(self):
        return OFFSET

    def step(self, params, state, x):
        h = state * self.rate + self.scaled(x) * params["w"] + self.shift
        return h, h


OFFSET = 0.0


@pytest.mark.parametrize("deep", [False, True])
def test_what_a_cell_reads_through_its_class_is_never_stale(monkeypatch, traced, deep):
    cell = Stacked((Scaled(2),)) if deep else Scaled(2)
    params = cell.init(np.random.default_rng(0))
    run = lambda: cell(params, np.ones((2, 1, 2), np.float32))[1][-1, 0, 0]  # noqa: E731
    assert (run(), run(), len(traced)) == (4.0, 4.0, 1)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert run() == 6.0
    monkeypatch.setitem(globals(), "OFFSET", 1.0)
    assert run() == 8.0
    monkeypatch.setattr(Scaled, "rate", 0.0)
    assert run() == 4.0
    monkeypatch.setattr(Scaled, "scaled", lambda self, x: x)
    assert run() == 2.0


class Child(Scaled):
    def step(self, params, state, x):
        return super().step(params, state, x)


class Wrapped(Cell):
    inner: Cell

    def parameters(self):
        return self.inner.parameters()

    def state(self):
        return self.inner.state()

    def step(self, params, state, x):
        return self.inner.step(params, state, x)


@pytest.mark.parametrize("cell", [Child(2), Wrapped(Scaled(2)), Stacked((Child(2),))], ids=["base", "inner", "stack"])
def test_what_a_base_or_an_inner_cell_reads_is_never_stale(monkeypatch, traced, cell):
    params = cell.init(np.random.default_rng(0))
    run = lambda: cell(params, np.ones((2, 1, 2), np.float32))[1][-1, 0, 0]  # noqa: E731
    assert (run(), run(), len(traced)) == (4.0, 4.0, 1)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert run() == 6.0


def test_modules_classes_and_function_attributes_are_never_stale():
    settings = types.ModuleType("settings")

    def scaled(x):
        return x * scaled.factor

    for value in (1.0, 2.0, 3.0):
        settings.factor = scaled.factor = value

        class Held:
            factor = value

        for step in (
            lambda p, s, x: (s + settings.factor * x, s),
            lambda p, s, x: (s + Held.factor * x, s),  # noqa: B023
            lambda p, s, x: (s + scaled(x), s),
        ):
            assert tg.scan(step, None, 0.0, np.ones(1))[0] == value


def test_a_buffer_that_the_step_reuses_is_read_when_it_is_used():
    def step(p, s, x):
        mask, total = np.zeros(3), 0.0
        for i in range(3):
            mask[:] = 0
            mask[i] = 1
            total = total + x * mask
        return s, total

    xs = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(tg.scan(step, None, 0.0, xs)[1], xs)
    square = tg.checkpoint(lambda x: np.sum(step(None, 0.0, x)[1] ** 2))
    np.testing.assert_array_equal(tg.grad(square)(xs[1]), 2 * xs[1])


def test_a_weak_initial_state_takes_the_dtype_of_the_step():
    final, ys = tg.scan(lambda w, s, x: (s * w + x, s), np.float32(2), 0.0, np.ones(3, np.float32))
    assert final.dtype == ys.dtype == np.float32


def test_without_inputs_and_without_outputs():
    final, ys = tg.scan(lambda w, s, x: (s * w, None), 2.0, 1.0, None, length=5)
    assert final == 32
    assert ys is None
    state, ys = tg.scan(lambda w, s, x: (None, w * x), 2.0, None, np.arange(3.0))
    assert state is None
    np.testing.assert_array_equal(ys, [0, 2, 4])
    assert tg.grad(lambda w: tg.scan(lambda w, s, x: (s * w, None), w, 1.0, None, length=5)[0])(2.0) == 80


def test_read_only_and_strided_inputs_and_results_are_the_callers_own():
    xs = np.arange(12.0).reshape(6, 2)[::-2]
    xs.flags.writeable = False
    start = np.zeros(2)
    final, ys = tg.scan(lambda p, s, x: (x, s), None, start, xs)
    final += 1
    ys += 1
    np.testing.assert_array_equal(xs[-1], [2, 3])
    np.testing.assert_array_equal(start, 0)


# ---- mistakes ----
def test_a_step_that_returns_something_else():
    with pytest.raises(StructureError, match="pair"):
        tg.scan(lambda p, s, x: s, None, np.zeros(2), np.zeros((3, 2)))
    with pytest.raises(StructureError, match="state has the structure"):
        tg.scan(lambda p, s, x: ((s, s), None), None, np.zeros(2), np.zeros((3, 2)))


def test_without_steps_to_count():
    with pytest.raises(ShapeError, match="give length="):
        tg.scan(lambda p, s, x: (s, s), None, 1.0, None)
    with pytest.raises(ShapeError, match="time axis"):
        tg.scan(lambda p, s, x: (s, s), None, 1.0, 3.0)
    with pytest.raises(ShapeError, match="3 in a, 4 in b"):
        tg.scan(lambda p, s, x: (s, s), None, 1.0, {"a": np.ones(3), "b": np.ones(4)})


def test_a_path_that_depends_on_values():
    with pytest.raises(TracingError, match="np.where"):
        tg.scan(lambda p, s, x: (s if s > 0 else x, s), None, 1.0, np.ones(3))


def test_an_escaped_tensor_of_a_step():
    kept = []

    def step(p, s, x):
        kept.append(s)
        return s + x, s

    tg.scan(step, None, 1.0, np.ones(3))
    with pytest.raises(TracingError, match="return it instead"):
        kept[0] + 1
