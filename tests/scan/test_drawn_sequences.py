"""Drawn cells, memories too, over drawn sequences: lengths, reset and reverse against each row in a plain loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import pytree
from tapegrad.cells import LSTM, Cell, Parameter, State
from tapegrad.testing import cells, sequences
from tapegrad.testing.cell_masks import Masks, row_by_row
from tapegrad.testing.flat import flattened
from tests.testing.odd_cells import Tokens


class FastWeights(Cell):
    """A matrix for each row: M = 0.9 M + n outer g, read by a product; a softmax chooses among its rows."""

    input_size: int = 3
    slots_size: int = 4
    hidden_size: int = 2

    def parameters(self):
        m, s, n = self.input_size, self.slots_size, self.hidden_size
        return {"K": Parameter((m, s)), "V": Parameter((m, n)), "W": Parameter((n, n)), "S": Parameter((n, s))}

    def state(self):
        return {"h": State((self.hidden_size,)), "M": State((self.slots_size, self.hidden_size))}

    def step(self, params, state, x):
        h, M = state["h"], state["M"]
        key = tg.softmax(x @ params["K"] + h @ params["S"])
        value = np.tanh(x @ params["V"])
        read = np.einsum("bi,bij->bj", key, M)
        M = 0.9 * M + key[:, :, None] * (value - 0.5 * read)[:, None, :]
        h = np.tanh(h @ params["W"] + np.sum(key[:, :, None] * M, axis=1))
        return {"h": h, "M": M}, {"h": h, "key": key}


def arguments(cell, s, seed):
    rng = np.random.default_rng(seed)
    state = pytree.map(
        lambda leaf: np.asarray(rng.standard_normal((s.batch, *leaf.shape)), leaf.dtype or np.float64), cell.state()
    )
    return cell.init(rng, np.float64), state


def assert_each_row_alone(cell, s, seed, backend):
    """Results, and gradients by parameters, initial states and inputs, contracted with random weights."""
    params, state = arguments(cell, s, seed)
    found = cell(params, s.xs, state, backend=backend, **s.options)
    alone = row_by_row(cell.step, Masks(s.lengths, s.reset, s.reverse), s.batch, found[1])
    runs = (lambda p, s0, xs: cell(p, xs, s0, backend=backend, **s.options)), alone
    results = []
    for run in runs:
        flat = flattened("test", run, (params, state, s.xs))  # of tokens and masks there is no derivative
        values, pull = tg.vjp(flat.function, *flat.args)
        rng = np.random.default_rng(seed)
        results.append((run(params, state, s.xs), pull([rng.standard_normal(y.shape) for y in values])))
    for a, b in zip(*map(pytree.leaves, results), strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


@settings(max_examples=max(10, settings().max_examples // 3))  # each cell is traced anew
@given(st.data())
def test_drawn_cells_on_the_reference(data):
    cell = data.draw(cells(smooth=False))
    assert_each_row_alone(cell, data.draw(sequences(cell)), data.draw(st.integers(0, 99)), "reference")


# Sizes of time and batch are arguments of a compiled loop: each of these is compiled once.
@pytest.mark.parametrize(
    ("cell", "backend"),
    [(FastWeights(), "reference"), (FastWeights(), "numba"), (LSTM(2, 3), "reference"), (Tokens(), "reference")],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)  # check_cell compares the other two on the compiled backend, under masks too
@settings(max_examples=max(10, settings().max_examples // 3))
@given(data=st.data())
def test_drawn_sequences(cell, backend, data):
    assert_each_row_alone(cell, data.draw(sequences(cell, max_steps=6)), data.draw(st.integers(0, 99)), backend)


@settings(max_examples=1)  # compiling takes some ten seconds
@given(st.data())
def test_drawn_cells_on_numba(data):
    cell = data.draw(cells(smooth=False).filter(lambda cell: "m1" in cell.text))
    for _ in range(5):
        assert_each_row_alone(cell, data.draw(sequences(cell)), data.draw(st.integers(0, 99)), "numba")


@settings(max_examples=10)
@given(st.data())
def test_second_order_under_masks(data):
    """Reverse over reverse against forward over reverse, of a memory over a drawn sequence."""
    cell = FastWeights()
    s = data.draw(sequences(cell))
    params, state = arguments(cell, s, data.draw(st.integers(0, 99)))
    move = pytree.map(np.cos, params)

    def loss(run):
        return lambda p: sum(np.sum(np.sin(leaf)) for leaf in pytree.leaves(run(p)))

    like = cell(params, s.xs, state, **s.options)[1]
    alone = row_by_row(cell.step, Masks(s.lengths, s.reset, s.reverse), s.batch, like)
    masked = loss(lambda p: cell(p, s.xs, state, **s.options))
    plain = loss(lambda p: alone(p, state, s.xs))
    slope = lambda f: lambda p: sum(  # noqa: E731
        np.sum(g * m) for g, m in zip(pytree.leaves(tg.grad(f)(p)), pytree.leaves(move), strict=True)
    )
    expected = tg.grad(slope(plain))(params)
    for found in (tg.grad(slope(masked))(params), tg.jvp(tg.grad(masked), (params,), (move,))[1]):
        for a, b in zip(pytree.leaves(found), pytree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
