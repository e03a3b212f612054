"""The compiled backend as users meet it: which steps it takes, threads, forks, sizes, memory that is the caller's."""

import os
import signal
import threading

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import backends
from tapegrad.backends.numba_cpu import cache, run
from tapegrad.cells import LSTM, Cell, Parameter, Stacked, State, variants
from tapegrad.errors import OptionError, UnsupportedPrimitive
from tests.cells.drawing import random_inputs, random_state
from tests.numba_cpu import emulated
from tests.numba_cpu.calls import spoilt
from tests.numba_cpu.compared import assert_same, compare
from tests.numba_cpu.kept import forget
from tests.numba_cpu.steps import CASES


class Gates(Cell):
    """Two states of different widths, a column gate, products of products, a constant of the batch."""

    input_size: int
    hidden_size: int
    rate: float = 0.3

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {
            "U": Parameter((m, n)),
            "W": Parameter((n, n)),
            "V": Parameter((n, 1)),
            "Q": Parameter((n, 2 * n)),
            "b": Parameter((n,), init="normal"),
        }

    def state(self):
        return State((self.hidden_size,)), State((2 * self.hidden_size,))

    def step(self, params, state, x):
        h, q = state
        gate = tg.sigmoid(h @ params["V"])  # one number for each row
        a = np.tanh(x @ params["U"] + (gate * h) @ params["W"] + params["b"])
        h = (1 - self.rate) * h + self.rate * np.where(a > 0, a, 0.5 * a)
        q = np.maximum(q * 0.5, np.exp(-h @ params["Q"])) / 2.0
        return (h, q), {"a": a, "q": q, "gate": gate}


def called(cell, **options):
    return lambda params, xs, backend: cell(params, xs, backend=backend, **options)


# ---- cells ----
# A stack's loop is made of what its layers' loops are made of, and takes long to compile: its source is run below.
@pytest.mark.parametrize("variant", [v for v in variants() if not str(v).startswith("Stacked")], ids=str)
def test_values_and_gradients_of_every_cell(variant):
    """On many rows. Sizes and what is differentiated are those of ``check_cell``'s tests, and so is the code."""
    cell, rng = variant.build(np.random.default_rng(0)), np.random.default_rng(7)
    params, xs = cell.init(rng, dtype=np.float64), random_inputs(cell, rng, 5, 11)
    state = random_state(cell, rng, 11)
    compare(lambda params, state, xs, backend: cell(params, xs, state, backend=backend), (params, state, xs), "numba")


@pytest.mark.parametrize("reverse", [False, True])
def test_a_cell_of_ones_own_with_masks_and_directions(reverse):
    rng = np.random.default_rng(3)
    cell = Gates(3, 5)
    options = {"lengths": np.array([0, 6, 3, 1]), "reset": rng.random((6, 4)) < 0.3, "reverse": reverse}
    compare(called(cell, **options), (cell.init(rng, dtype=np.float64), rng.normal(size=(6, 4, 3))), "numba")


@pytest.mark.parametrize("variant", variants(), ids=str)
def test_checked_source_of_every_cell_with_masks(variant):
    """In float32, with recorded values, and in derivatives of second order."""
    rng = np.random.default_rng(4)
    cell = variant.build(rng)
    xs = random_inputs(cell, rng, 4, 5)
    masks = {"lengths": np.array([0, 4, 3, 1, 4]), "reset": rng.random((4, 5)) < 0.3}
    with emulated.installed():
        compare(called(cell, **masks), (cell.init(rng), tg.tree_map(np.float32, xs)), "emulated")
        compare(called(cell), (cell.init(rng, dtype=np.float64), xs), "emulated", second=True)


def test_second_order_and_forward_mode_are_compiled():
    step = lambda w, s, x: (np.tanh(s @ w + x), s)  # noqa: E731
    rng = np.random.default_rng(5)
    args = rng.normal(size=(3, 3)), rng.normal(size=(4, 3)), rng.normal(size=(3, 4, 3))
    compare(lambda *a, backend: tg.scan(step, *a, backend=backend), args, "numba", second=True)


def test_a_stack_of_cells():
    rng = np.random.default_rng(8)
    lstm = next(v for v in variants() if str(v) == "LSTM")
    first = lstm.build(rng)
    cell = Stacked((first, LSTM(first.hidden_size, 3)))
    with emulated.installed():
        xs = rng.normal(size=(4, 3, *cell.inputs().shape))
        compare(called(cell), (cell.init(rng, dtype=np.float64), xs), "emulated")


def test_float32_stays_float32_and_is_as_right_as_float32_can_be():
    rng = np.random.default_rng(1)
    cell = Gates(3, 37)  # a tail behind the last whole vector
    params = cell.init(rng)
    xs = rng.normal(size=(9, 19, 3)).astype(np.float32)
    f = lambda p: np.mean(cell(p, xs, backend="numba")[1]["a"] ** 2)  # noqa: E731
    value, grads = tg.value_and_grad(f)(params)
    exact = lambda p: np.mean(cell(p, xs.astype(float), backend="reference")[1]["a"] ** 2)  # noqa: E731
    wide = tg.value_and_grad(exact)({k: v.astype(float) for k, v in params.items()})
    assert value.dtype == np.float32
    for name, g in grads.items():
        assert g.dtype == np.float32
        np.testing.assert_allclose(g, wide[1][name], rtol=0, atol=2e-5 * np.abs(wide[1][name]).max())


# ---- which steps ----
def test_numba_is_what_auto_chooses():
    step = lambda w, s, x: (s + x, s)  # noqa: E731
    tape = tg.trace(lambda s: tg.scan(step, None, s, np.ones((2, 1, 1))))(np.zeros((1, 1)))
    node = next(n for n in tape.nodes if n)
    assert backends.select("auto", node.options["step"]).name == "numba"


def test_a_primitive_of_ones_own_is_refused_by_name_and_runs_on_auto(monkeypatch):
    monkeypatch.setattr(backends.base, "_WARNED", set())
    cube = tg.primitive(lambda x: x**3, name="cube_for_this_test", shape=lambda x: x.shape)
    step = lambda w, s, x: (cube(s) * w, s)  # noqa: E731
    args = 0.5, np.ones((2, 3)), np.ones((4, 2, 3))
    with pytest.raises(
        UnsupportedPrimitive, match=r"'numba' cannot run the primitive 'cube_for_this_test'.*'reference'"
    ):
        tg.scan(step, *args, backend="numba")
    with tg.backend("auto"), pytest.warns(UserWarning, match="'cube_for_this_test'"):
        assert tg.scan(step, *args)[0].shape == (2, 3)


def test_half_precision_is_refused():
    step = lambda w, s, x: (s * w, s)  # noqa: E731
    args = np.float16(0.5), np.ones((2, 3), np.float16), np.ones((4, 2, 3))
    with pytest.raises(UnsupportedPrimitive, match="'numba' cannot run values of dtype float16 in"):
        tg.scan(step, *args, backend="numba")


def test_empty_batches_and_no_steps():
    step = lambda w, s, x: (np.tanh(s @ w + x), (s, np.sum(s, axis=0)))  # noqa: E731
    for T, B, H in ((0, 2, 2), (3, 0, 2), (0, 0, 2), (2, 3, 0)):
        args = np.ones((H, H)), np.ones((B, H)), np.ones((T, B, H))
        found, expected = (tg.scan(step, *args, backend=name) for name in ("numba", "reference"))
        assert_same(found, expected, 0)


# ---- what is compiled ----
def test_equal_loops_are_compiled_once(folder, monkeypatch):
    """For every number of steps and for every number in the step."""
    forget(monkeypatch)
    for T in (1, 2, 5, 40):
        for k in (0.25, 0.5):
            step = lambda w, s, x, k=k: (np.tanh(k * s + x * w), s)  # noqa: E731
            tg.scan(step, 0.5, np.zeros((3, 2)), np.ones((T, 3, 2)), backend="numba")
    assert len(cache._recent) == 1


# ---- threads ----
def test_rows_do_not_mix_and_threads_do_not_matter(monkeypatch):
    """Every size is the same here, so that rows, features and steps could be taken for each other."""
    monkeypatch.setattr(run, "SMALL", 0)
    rng = np.random.default_rng(4)
    n = 24
    W, xs = 0.3 * rng.normal(size=(n, n)), rng.normal(size=(n, n, n))

    def step(w, state, x):
        s, count = state
        return (np.tanh(s @ w + x * (count % 2 == 0)), count + 1), (s * x, count)

    results = []
    for count in ("1", "2", "3"):
        monkeypatch.setenv("TAPEGRAD_NUM_THREADS", count)
        results.append(tg.scan(step, W, (np.zeros((n, n)), 0), xs, backend="numba"))
    assert_same(results[0], results[1], 0)
    assert_same(results[0], results[2], 0)
    assert_same(results[0], tg.scan(step, W, (np.zeros((n, n)), 0), xs, backend="reference"), 1e-12)
    monkeypatch.setenv("TAPEGRAD_NUM_THREADS", "many")
    with pytest.raises(OptionError, match="whole number"):
        tg.scan(step, W, (np.zeros((n, n)), 0), xs, backend="numba")


def test_gradients_do_not_depend_on_threads_beyond_rounding(monkeypatch):
    monkeypatch.setattr(run, "SMALL", 0)
    args = CASES["merged_gates"].arguments("float64")
    args = tg.tree_map(lambda a: np.repeat(a, 6, axis=a.ndim - 2) if a.ndim > 1 and a.shape[-2] == 6 else a, args)
    found = []
    for count in ("1", "2", "4"):
        monkeypatch.setenv("TAPEGRAD_NUM_THREADS", count)
        loss = lambda *a: np.sum(np.sin(tg.scan(CASES["merged_gates"].step, *a, backend="numba")[1]))  # noqa: E731
        found.append(tg.grad(loss, (0, 1, 2))(*args))
    assert_same(found[1], found[0], 1e-14)
    assert_same(found[2], found[0], 1e-14)


def test_calls_from_several_python_threads():
    rng = np.random.default_rng(6)
    cell = Gates(3, 5)
    params = cell.init(rng, dtype=np.float64)
    xs = rng.normal(size=(7, 3, 3))
    expected = cell(params, xs, backend="reference")[1]["a"]
    errors = []

    def work():
        errors.extend([np.abs(cell(params, xs, backend="numba")[1]["a"] - expected).max() for _ in range(20)])

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(errors) == 80
    assert max(errors) < 1e-12


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_fork_after_the_threads_were_used(monkeypatch):
    monkeypatch.setattr(run, "SMALL", 0)
    monkeypatch.setenv("TAPEGRAD_NUM_THREADS", "2")
    step = lambda w, s, x: (np.tanh(s * w + x), s)  # noqa: E731
    again = lambda: tg.scan(step, 0.5, np.zeros((32, 2)), np.ones((3, 32, 2)), backend="numba")[0]  # noqa: E731
    expected = again()
    child = os.fork()
    if not child:
        signal.alarm(30)  # a child that waits for threads that are not there is killed
        os._exit(0 if np.array_equal(again(), expected) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# ---- memory ----
def test_inputs_may_be_strided_and_read_only_and_results_are_ones_own():
    rng = np.random.default_rng(2)
    xs = np.asfortranarray(rng.normal(size=(5, 4, 3)))[::-1]
    xs.flags.writeable = False
    start = np.zeros((4, 3))
    step = lambda w, s, x: (np.tanh(s @ w + x), (x, s))  # noqa: E731
    W = rng.normal(size=(3, 6))[:, ::2]
    found = [tg.scan(step, W, start, xs, backend=name) for name in ("numba", "reference")]
    assert_same(*found, 1e-14)
    for leaf in tg.tree_leaves(found[0]):
        leaf[...] = 9
    assert not start.any()
    assert np.abs(xs).max() < 9


class Plain(np.ndarray):
    """An array of a class of its own."""


@pytest.mark.parametrize("given", [lambda a: a.astype(">f8"), lambda a: a.view(Plain)], ids=["swapped", "subclass"])
@pytest.mark.parametrize("what", range(4))
def test_arrays_of_another_byte_order_and_of_other_classes(given, what):
    """As params, states, inputs and constants of the step."""
    rng = np.random.default_rng(9)
    args = [rng.normal(size=shape) for shape in ((3, 3), (4, 3), (5, 4, 3), (3,))]
    args[what] = given(args[what])
    held = args[3]
    run = lambda *a, backend: tg.scan(lambda w, s, x: (np.tanh(s @ w + x * held), x), *a, backend=backend)  # noqa: E731
    compare(run, tuple(args[:3]), "numba")
    for leaf in tg.tree_leaves(run(*args[:3], backend="numba")):
        assert type(leaf) is np.ndarray
        assert leaf.dtype.isnative


def test_results_do_not_depend_on_what_lay_in_memory():
    """Scratch and results hold NaN before each call."""
    step = CASES["fast_weights"].step
    args = CASES["fast_weights"].arguments("float64")
    loss = lambda *a: np.sum(np.sin(tg.scan(step, *a, backend="numba")[1]))  # noqa: E731
    expected = tg.value_and_grad(loss, (0, 1, 2))(*args)
    with spoilt() as programs:
        assert_same(tg.value_and_grad(loss, (0, 1, 2))(*args), expected, 0)
    assert len(programs) == 2
