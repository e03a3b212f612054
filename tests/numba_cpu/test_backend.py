"""The compiled loop against the reference: values and derivatives of every order that a cell can ask for."""

import os
import signal
import threading

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import backends
from tapegrad.backends.numba_cpu import backend as compiled
from tapegrad.cells import Cell, Parameter, Stacked, State, variants
from tapegrad.errors import OptionError, UnsupportedPrimitive

COMPILED = [v for v in variants() if "softmax" not in str(v)]


def close(found, expected, tolerance):
    def one(a, b):
        scale = max(1.0, float(np.max(np.abs(b), initial=0)))
        assert np.shape(a) == np.shape(b)
        assert getattr(a, "dtype", None) == getattr(b, "dtype", None)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)

    tg.tree_map(one, found, expected)


def loss_of(cell, xs, backend, **options):
    def loss(params, xs=xs):
        state, ys = cell(params, xs, backend=backend, **options)
        return np.sum(np.sin(ys)) + sum(np.sum(s * s) for s in tg.tree_leaves(state))

    return loss


@pytest.mark.parametrize("variant", COMPILED, ids=str)
def test_values_and_gradients_are_those_of_the_reference(variant):
    rng = np.random.default_rng(7)
    cell = variant.build(rng)
    params = cell.init(rng, dtype=np.float64)
    xs = rng.normal(size=(5, 11, cell.inputs().shape[0]))
    both = [tg.value_and_grad(loss_of(cell, xs, name), (0, 1))(params, xs) for name in ("numba", "reference")]
    close(*both, 1e-12)


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


@pytest.mark.parametrize("reverse", [False, True])
def test_a_cell_of_ones_own_with_masks_and_directions(reverse):
    rng = np.random.default_rng(3)
    cell = Gates(3, 5)
    params = cell.init(rng, dtype=np.float64)
    xs = rng.normal(size=(6, 4, 3))
    options = {"lengths": np.array([0, 6, 3, 1]), "reset": rng.random((6, 4)) < 0.3, "reverse": reverse}

    def run(backend):
        def loss(params, xs):
            state, ys = cell(params, xs, backend=backend, **options)
            return sum(np.sum(np.sin(a)) for a in tg.tree_leaves((state, ys)))

        return tg.value_and_grad(loss, (0, 1))(params, xs)

    close(run("numba"), run("reference"), 1e-12)


def test_second_order_and_forward_mode_stay_compiled():
    rng = np.random.default_rng(5)
    cell = Gates(2, 3)
    params = cell.init(rng, dtype=np.float64)
    xs = rng.normal(size=(4, 3, 2))
    move = tg.tree_map(lambda a: rng.normal(size=a.shape), params)

    def derivatives(backend):
        f = lambda p: sum(np.sum(a * a) for a in tg.tree_leaves(cell(p, xs, backend=backend)))  # noqa: E731
        slope = lambda p: sum(np.sum(g * v) for g, v in zip(tg.tree_leaves(tg.grad(f)(p)), tg.tree_leaves(move)))  # noqa: E731, B905
        return tg.jvp(f, (params,), (move,)), tg.hvp(f, params, move), tg.grad(slope)(params)

    close(derivatives("numba"), derivatives("reference"), 1e-10)


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


def test_equal_loops_are_compiled_once(monkeypatch):
    monkeypatch.setattr(compiled, "_compiled", type(compiled._compiled)())
    for T, B in ((1, 1), (2, 3), (5, 1), (4, 9), (3, 33)):
        for k in (0.25, 0.5):
            step = lambda w, s, x, k=k: (np.tanh(k * s + x * w), s)  # noqa: E731
            tg.scan(step, 0.5, np.zeros((B, 2)), np.ones((T, B, 2)), backend="numba")
    assert len(compiled._compiled) == 1, "sizes and numbers are arguments"


def test_empty_batches_and_no_steps():
    step = lambda w, s, x: (np.tanh(s * w + x), s)  # noqa: E731
    for T, B in ((0, 2), (3, 0), (0, 0)):
        final, ys = tg.scan(step, 0.5, np.ones((B, 2)), np.ones((T, B, 2)), backend="numba")
        assert (final.shape, ys.shape) == ((B, 2), (T, B, 2))


def test_inputs_may_be_strided_and_read_only_and_results_are_ones_own():
    rng = np.random.default_rng(2)
    xs = np.asfortranarray(rng.normal(size=(5, 4, 3)))[::-1]
    xs.flags.writeable = False
    start = np.zeros((4, 3))
    step = lambda w, s, x: (np.tanh(s @ w + x), x)  # noqa: E731
    W = rng.normal(size=(3, 6))[:, ::2]
    found = [tg.scan(step, W, start, xs, backend=name) for name in ("numba", "reference")]
    close(*found, 1e-14)
    found[0][0][...] = 9
    found[0][1][...] = 9
    assert not start.any()
    assert np.abs(xs).max() < 9


def test_rows_do_not_mix_and_threads_do_not_matter(monkeypatch):
    """Every size is the same here, so that rows, features and steps could be taken for each other."""
    monkeypatch.setattr(compiled, "SMALL", 0)
    rng = np.random.default_rng(4)
    n = 24
    W, xs = 0.3 * rng.normal(size=(n, n)), rng.normal(size=(n, n, n))
    step = lambda w, s, x: (np.tanh(s @ w + x), s * x)  # noqa: E731
    results = []
    for count in ("1", "2", "3"):
        monkeypatch.setenv("TAPEGRAD_NUM_THREADS", count)
        results.append(tg.scan(step, W, np.zeros((n, n)), xs, backend="numba"))
    close(results[0], results[1], 0)
    close(results[0], results[2], 0)
    close(results[0], tg.scan(step, W, np.zeros((n, n)), xs, backend="reference"), 1e-12)
    monkeypatch.setenv("TAPEGRAD_NUM_THREADS", "many")
    with pytest.raises(OptionError, match="whole number"):
        tg.scan(step, W, np.zeros((n, n)), xs, backend="numba")


def test_calls_from_several_python_threads():
    rng = np.random.default_rng(6)
    cell = Gates(2, 4)
    params = cell.init(rng, dtype=np.float64)
    xs = rng.normal(size=(7, 3, 2))
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
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_after_the_threads_were_used(monkeypatch):
    monkeypatch.setattr(compiled, "SMALL", 0)
    monkeypatch.setenv("TAPEGRAD_NUM_THREADS", "2")
    step = lambda w, s, x: (np.tanh(s * w + x), s)  # noqa: E731
    run = lambda: tg.scan(step, 0.5, np.zeros((32, 4)), np.ones((3, 32, 4)), backend="numba")[0]  # noqa: E731
    expected = run()
    child = os.fork()
    if not child:
        signal.alarm(30)  # a child that waits for threads that are not there is killed
        os._exit(0 if np.array_equal(run(), expected) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    ("step", "name"),
    [
        (lambda w, s, x: (s - np.max(s, axis=-1, keepdims=True), None), "max"),
        (lambda w, s, x: (s + np.mean(s, axis=0), None), "sum"),
        (lambda w, s, x: (s @ np.einsum("ab,ac->bc", s, s), None), "contract"),
        (lambda w, s, x: (np.concatenate([s[:, 1:], x[:, :1]], axis=1), None), "getitem"),
    ],
)
def test_what_is_not_compiled_is_refused_by_name_and_runs_on_auto(step, name):
    args = None, np.ones((2, 3)), np.ones((4, 2, 3))
    with pytest.raises(UnsupportedPrimitive, match=f"'numba' cannot run the primitive '{name}.*'reference'"):
        tg.scan(step, *args, backend="numba")
    assert tg.scan(step, *args)[0].shape == (2, 3)


def test_states_that_are_no_matrices_are_refused():
    with pytest.raises(UnsupportedPrimitive, match="float matrix"):
        tg.scan(lambda w, s, x: (s + 1, None), None, np.zeros(3), np.ones((4, 3)), backend="numba")
    with pytest.raises(UnsupportedPrimitive, match="float matrix"):
        tg.scan(lambda w, s, x: (s + 1, None), None, np.zeros((2, 3), int), np.ones((4, 2, 3)), backend="numba")


def test_nan_and_infinity_pass():
    step = lambda w, s, x: (np.tanh(s @ w + x), s)  # noqa: E731
    xs = np.zeros((3, 4, 2))
    xs[1, 0], xs[1, 1], xs[1, 2] = np.nan, np.inf, -np.inf
    found = [tg.scan(step, np.eye(2), np.zeros((4, 2)), xs, backend=name) for name in ("numba", "reference")]
    np.testing.assert_array_equal(np.isnan(found[0][0]), np.isnan(found[1][0]))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-12)


def test_numba_is_there_but_auto_does_not_choose_it_yet():
    assert "numba" in backends.available()
    step = lambda w, s, x: (s + x, s)  # noqa: E731
    tape = tg.trace(lambda s: tg.scan(step, None, s, np.ones((2, 1, 1))))(np.zeros((1, 1)))
    node = next(n for n in tape.nodes if n)
    assert backends.select("auto", node.options["step"]).name == "reference"


def test_a_stack_of_cells():
    rng = np.random.default_rng(8)
    cell = Stacked(tuple(v.build(rng) for v in COMPILED if str(v) == "LSTM"))
    params = cell.init(rng, dtype=np.float64)
    xs = rng.normal(size=(4, 3, cell.inputs().shape[0]))
    close(*[tg.grad(loss_of(cell, xs, name))(params) for name in ("numba", "reference")], 1e-12)
