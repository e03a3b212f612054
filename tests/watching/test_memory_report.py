"""tape_memory: what is held is counted, once, and by the line that holds it."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import LSTM

SOURCE = Path(__file__).read_text(encoding="utf-8").splitlines()
W = np.random.default_rng(0).normal(size=(60, 80)) / 10
X = np.random.default_rng(1).normal(size=(500, 60))
CELL = LSTM(16, 32)
PARAMS = CELL.init(np.random.default_rng(0), dtype=np.float32)
XS = np.random.default_rng(1).normal(size=(100, 8, 16)).astype(np.float32)


def line_of(mark):
    (found,) = [number for number, line in enumerate(SOURCE, 1) if line.endswith(f"# {mark}")]
    return found


def network(w):
    z = X @ w  # product
    h = np.tanh(z)  # tanh
    flat = h.reshape(-1)  # view
    return np.sum(np.exp(flat) * flat)  # both


def held_by(f, *args):
    """What tracemalloc says that a pullback holds."""
    tg.vjp(f, *args)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        value, pullback = tg.vjp(f, *args)
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def sequence(params):
    return np.sum(CELL(params, XS, backend="reference")[1] ** 2)  # sequence


@pytest.mark.parametrize(("f", "arg"), [(network, W), (sequence, PARAMS)])
def test_the_total_is_what_is_allocated(f, arg):
    with tg.tape_memory() as report:
        tg.grad(f)(arg)
    assert report.total == pytest.approx(held_by(f, arg), rel=0.03)
    assert report.total == sum(row.bytes for row in report.rows)


def test_each_line_has_its_own_and_views_count_once():
    with tg.tape_memory() as report:
        tg.grad(network)(W)
    found = {(row.operation, row.place.line): (row.bytes, row.shape, row.arrays) for row in report.rows}
    full = 500 * 80 * 8
    assert found == {
        ("contract", line_of("product")): (full, (500, 80), 1),
        ("captured by contract", line_of("product")): (X.nbytes, X.shape, 1),
        ("arguments", line_of("product")): (W.nbytes, W.shape, 1),
        ("tanh", line_of("tanh")): (full, (500, 80), 1),
        ("exp", line_of("both")): (full, (500 * 80,), 1),
        ("multiply", line_of("both")): (full, (500 * 80,), 1),
    }
    assert [row.bytes for row in report.rows] == sorted([row.bytes for row in report.rows], reverse=True)


def test_operations_of_one_line_are_added_up():
    def f(x):
        for _ in range(5):
            x = np.sin(x)  # five
        return np.sum(x)

    with tg.tape_memory() as report:
        tg.grad(f)(np.ones(1000))
    (row,) = [row for row in report.rows if row.operation == "sin"]
    assert (row.arrays, row.bytes, row.place.line, row.place.function) == (5, 40000, line_of("five"), "f")
    text = str(report)
    assert text.splitlines()[0].split() == "46.9 KiB held for the backward pass, in 6 arrays".split()
    assert "39.1 KiB  83%  sin 5 x [1000]" in text
    assert f"{__file__}:{line_of('five')}, in f: x = np.sin(x)  # five" in text


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_what_a_loop_keeps_is_named_as_in_its_step(backend):
    def loss(params):
        return np.sum(CELL(params, XS, backend=backend)[1])  # loop

    with tg.tape_memory() as report:
        tg.grad(loss)(PARAMS)
    kept = {row.name.removeprefix("keeps "): row for row in report.rows if row.name}
    assert {"i", "f", "g", "o"} <= set(kept)
    assert all(row.place.line == line_of("loop") and row.operation == "scan" for row in kept.values())
    assert kept["i"].shape == (100, 8, 32)
    assert kept["i"].bytes == 100 * 8 * 32 * 4
    (loop,) = report.loops
    assert loop.kept == sum(row.bytes for row in kept.values())
    assert (loop.steps, loop.place.line) == (100, line_of("loop"))
    assert 'checkpoint="sqrt" on the loop of 100 steps would keep about' in str(report)


def test_the_names_are_those_of_the_arrays():
    def step(params, state, x):
        wide = np.tanh(x @ params)
        narrow = np.sin(wide[:, :2])
        single = np.exp(np.sum(narrow))
        return state * single + np.sum(wide), state * narrow[0, 0]

    xs = np.ones((7, 3, 4))
    with tg.tape_memory() as report:
        tg.grad(lambda p: np.sum(tg.scan(step, p, np.array(0.5), xs, backend="reference")[1]))(np.ones((4, 5)) / 10)
    shapes = {row.name.removeprefix("keeps "): row.shape for row in report.rows if row.name}
    assert shapes["wide"] == (7, 3, 5)
    assert shapes["single"] == (7,)
    assert shapes["state"] == (7,)
    assert shapes.get("narrow", (7, 3, 2)) == (7, 3, 2)


def test_windows_and_repeated_elements_count_as_the_memory_that_they_use():
    windows = tg.primitive(lambda x: np.lib.stride_tricks.sliding_window_view(x, 100), name="windows")
    windows.defvjp(lambda g, ans, x: np.sum(g, axis=1)[0] * np.ones_like(x))
    one = tg.primitive(lambda x: np.ndarray((1000,), float, np.float64(2.0), 0, (0,)), name="one")
    one.defvjp(lambda g, ans, x: 0.0 * x)
    with tg.tape_memory() as report:
        tg.grad(lambda x: np.sum(windows(x)) + np.sum(one(x)))(np.ones(1000))
    found = {row.operation: row.bytes for row in report.rows}
    assert found == {"arguments": 8000, "one": 8}


def test_the_outer_tape_counts_while_an_inner_one_is_fullest():
    def f(x):
        y = np.sum(np.sin(x))
        inner = tg.grad(lambda z: np.sum(np.cos(z)))(np.ones(5000))
        return y * inner[0]

    with tg.tape_memory() as report:
        tg.grad(f)(np.ones(100))
    assert report.total == 2 * 800 + 2 * 40000


def test_a_report_may_be_asked_for_again():
    again = tg.tape_memory()
    with again as outer:
        with again as inner:
            tg.grad(np.sum)(np.ones(10))
        tg.grad(np.sum)(np.ones(20))
    assert (inner.total, outer.total) == (80, 160)


def test_what_checkpoint_is_said_to_save_is_what_it_saves():
    loss = lambda params, **options: np.sum(CELL(params, XS, **options)[1])  # noqa: E731
    with tg.tape_memory() as whole:
        tg.grad(loss)(PARAMS)
    chunk = lambda params: np.sum(CELL(params, XS[:10])[1])  # noqa: E731
    with tg.tape_memory() as one:
        tg.grad(chunk)(PARAMS)
    with tg.tape_memory() as chunks:
        tg.grad(lambda params: loss(params, checkpoint="sqrt"))(PARAMS)
    states = sum(row.bytes for row in chunks.rows if row.name)
    assert whole.loops[0].checkpointed == pytest.approx(states + one.loops[0].kept, rel=0.05)
    assert "checkpoint=" not in str(chunks)


def test_the_fullest_of_several_gradients_is_reported():
    def f(x):
        return np.sum(np.sin(x) * x)

    with tg.tape_memory() as report:
        for n in (10, 1000, 100):
            tg.grad(f)(np.ones(n))
    assert report.total == 3 * 8000
    with tg.tape_memory() as outer:
        with tg.tape_memory() as inner:
            tg.grad(f)(np.ones(10))
        tg.grad(f)(np.ones(1000))
    assert (inner.total, outer.total) == (3 * 80, 3 * 8000)


def test_levels():
    """The tape of an inner gradient counts with that of the outer one."""
    x = np.ones(1000)
    f = lambda x: np.sum(np.sin(x) * np.cos(x))  # noqa: E731
    with tg.tape_memory() as first:
        tg.grad(f)(x)
    with tg.tape_memory() as second:
        tg.grad(lambda x: np.sum(tg.grad(f)(x) ** 2))(x)
    assert second.total == pytest.approx(held_by(lambda x: np.sum(tg.grad(f)(x) ** 2), x), rel=0.1)
    assert second.total > first.total
    with tg.tape_memory() as batched:
        tg.vmap(tg.grad(f))(np.ones((3, 1000)))
    assert batched.total == pytest.approx(3 * first.total, rel=0.01)
    with tg.tape_memory() as anomaly, tg.detect_anomaly():
        tg.grad(f)(x)
    assert anomaly.total == first.total


def test_without_a_gradient():
    with tg.tape_memory() as report:
        pass
    assert "take a gradient inside" in str(report)
    assert report.total == 0
