"""Steps with linear algebra: what follows from the parameters is computed once, and the loop is compiled, both ways."""

import warnings
from functools import partial

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import backends
from tapegrad.cells import Cell, Parameter, State
from tapegrad.primitives.linalg import solve
from tests.numba_cpu.compared import assert_same, derivatives


def by_solution(a):
    """The Cayley transform of a skew-symmetric matrix, which is orthogonal."""
    skew, one = a - a.T, np.eye(len(a), dtype=a.dtype)
    return np.linalg.solve(one + skew, one - skew)


def by_inverse(a):
    skew, one = a - a.T, np.eye(len(a), dtype=a.dtype)
    return np.linalg.inv(one + skew) @ (one - skew)


class Orthogonal(Cell):
    """h_t = tanh(x_t U + h_{t-1} W + b), where W is the Cayley transform of a skew-symmetric matrix.

    Source: Helfrich, Willmott & Ye 2018, "Orthogonal recurrent neural networks with scaled Cayley transform".
    """

    input_size: int
    hidden_size: int
    inverse: bool = False

    def parameters(self):
        n, m = self.hidden_size, self.input_size
        return {"U": Parameter((m, n)), "A": Parameter((n, n)), "b": Parameter((n,), init="zeros")}

    def state(self):
        return State((self.hidden_size,))

    def step(self, params, state, x):
        W = (by_inverse if self.inverse else by_solution)(params["A"])
        h = np.tanh(x @ params["U"] + state @ W + params["b"])
        return h, h


def turning(w, s, x):
    """A recurrence whose matrix is another one at each step."""
    s = np.tanh(s @ by_solution(w * np.mean(x)) + x)
    return s, s


def problem(cell, T=5, B=3):
    rng = np.random.default_rng(0)
    params = {**cell.init(rng, dtype=np.float64), "b": rng.normal(size=cell.hidden_size)}
    return params, rng.normal(size=(B, cell.hidden_size)), rng.normal(size=(T, B, cell.input_size))


@pytest.mark.parametrize("inverse", [False, True])
def test_an_orthogonal_recurrence_is_compiled(inverse):
    """With gradients by all arguments; ``numba``, asked for by name, would refuse what it cannot compile."""
    cell = Orthogonal(2, 4, inverse=inverse)
    args = problem(cell)
    found, expected = (
        derivatives(partial(tg.scan, cell.step, backend=name), args, second=False) for name in ("numba", "reference")
    )
    for what in expected:
        assert_same(found[what], expected[what], 1e-11, what)


def test_the_matrix_is_computed_once_for_all_steps(monkeypatch):
    cell, calls = Orthogonal(2, 4), []
    right = solve.run
    monkeypatch.setattr(solve, "run", lambda a, b: calls.append(1) or right(a, b), raising=False)
    for T in (5, 9):
        params, state, xs = problem(cell, T)
        calls.clear()
        with warnings.catch_warnings(), tg.backend("auto"):
            warnings.simplefilter("error")
            tg.grad(lambda p: np.sum(tg.scan(cell.step, p, state, xs)[1]))(params)  # noqa: B023
        assert len(calls) <= 3, "W for each direction, and one equation for the sum of all gradients of W"


def test_a_matrix_that_depends_on_time_falls_back_with_one_warning(monkeypatch):
    monkeypatch.setattr(backends.base, "_WARNED", set())
    rng = np.random.default_rng(0)
    args = rng.normal(size=(3, 3)), rng.normal(size=(4, 3)), rng.normal(size=(5, 4, 3))
    run = lambda w, s, xs: tg.scan(turning, w, s, xs)  # noqa: E731
    with tg.backend("auto"), pytest.warns(UserWarning, match="the primitive 'solve'") as caught:
        found = derivatives(run, args, second=False)
    assert len(caught) == 1
    with tg.backend("reference"):
        expected = derivatives(run, args, second=False)
    for what in expected:
        assert_same(found[what], expected[what], 1e-12, what)
