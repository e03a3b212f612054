"""Long sequences: chunks of time, a step at a time, states kept every so often."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.backends.numba_cpu import run
from tapegrad.cells import GRU, LSTM


@pytest.mark.parametrize(("T", "B"), [(600, 1), (257, 1), (300, 3), (40, 33), (70, 9)])
def test_chunks_of_time_of_every_size_give_the_same(T, B, monkeypatch):
    monkeypatch.setattr(run, "SMALL", 0)
    monkeypatch.setenv("TAPEGRAD_NUM_THREADS", "2")
    rng = np.random.default_rng(T)
    cell = GRU(3, 5)
    params = cell.init(rng, dtype=np.float64)
    xs, lengths = rng.normal(size=(T, B, 3)), rng.integers(0, T + 1, size=B)
    for reverse in (False, True):

        def loss(params, xs, backend):
            return np.sum(np.sin(cell(params, xs, lengths=lengths, reverse=reverse, backend=backend)[1]))  # noqa: B023

        found, expected = (tg.grad(loss, (0, 1))(params, xs, name) for name in ("numba", "reference"))
        for a, b in zip(tg.tree_leaves(found), tg.tree_leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-11 * np.abs(b).max())


@pytest.mark.parametrize("B", [1, 5, 40])
def test_one_step_at_a_time_gives_the_same_bits(B):
    rng = np.random.default_rng(B)
    cell = GRU(7, 37)
    params = cell.init(rng)
    xs = rng.normal(size=(30, B, 7)).astype(np.float32)
    final, ys = cell(params, xs, backend="numba")
    state, seen = np.zeros((B, 37), np.float32), []
    for t in range(30):
        state, y = cell(params, xs[t : t + 1], state, backend="numba")
        seen.append(y[0])
    np.testing.assert_array_equal(np.stack(seen), ys)
    np.testing.assert_array_equal(state, final)


def test_a_row_does_not_depend_on_the_other_rows():
    rng = np.random.default_rng(0)
    cell = LSTM(7, 37)
    params = cell.init(rng)
    xs = rng.normal(size=(9, 21, 7)).astype(np.float32)
    ys = cell(params, xs, backend="numba")[1]
    for row in (0, 8, 20):
        np.testing.assert_array_equal(cell(params, xs[:, row : row + 1], backend="numba")[1][:, 0], ys[:, row])


def test_states_kept_now_and_then_give_the_gradients_of_all_kept():
    rng = np.random.default_rng(1)
    cell = LSTM(3, 8)
    params = cell.init(rng, dtype=np.float64)
    xs = rng.normal(size=(10_000, 1, 3))
    start = np.zeros((1, 8)), np.zeros((1, 8))

    def loss(params, checkpoint):
        return np.sum(tg.scan(cell.step, params, start, xs, checkpoint=checkpoint, backend="numba")[1] ** 2)

    whole, kept = (tg.grad(loss)(params, checkpoint) for checkpoint in (None, "sqrt"))
    for name, g in whole.items():
        np.testing.assert_allclose(kept[name], g, rtol=0, atol=1e-12 * np.abs(g).max())
