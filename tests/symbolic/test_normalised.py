"""Bounds of what is divided by a root of its own squares: normalisation of layers and the like."""

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from tapegrad.cells import LayerNormLSTM
from tapegrad.symbolic import derive
from tapegrad.symbolic.expressions import Value
from tapegrad.symbolic.normalised import squares
from tapegrad.symbolic.ranges import Ranges
from tests.symbolic.measuring import SQUARE, Drawn, cell_of

EPSILON = 0.01
SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from([0.01, 0.3, 1.0, 5.0, 50.0])


def mean(v):
    return np.mean(v, axis=-1, keepdims=True)


def lengths(self, params, h, x):
    v = h @ params["W"] + x @ params["U"]
    h = v / np.sqrt(mean(v**2) + EPSILON)
    return h, h


def layers(self, params, h, x):
    v = h @ params["W"] + x @ params["U"]
    v = v - mean(v)
    h = v / np.sqrt(mean(v**2) + EPSILON)
    return h, h


def of_two(self, params, h, x):
    v, w = h @ params["W"], x @ params["U"]
    h = w * (v / np.sqrt(2 * mean(v**2) + 3 * mean(w**2) + EPSILON))
    return h, h


def difference(self, params, h, x):
    v, w = h @ params["W"], x @ params["U"]
    h = v / np.sqrt(mean(v**2) - mean(w**2) + EPSILON)
    return h, h


@pytest.mark.parametrize("step", [lengths, layers, of_two])
@given(seed=SEEDS, weights=SIZES, states=SIZES)
def test_the_jacobian_is_within_the_bound(step, seed, weights, states):
    cell = cell_of(step, **SQUARE)
    derivation = derive(cell)
    assert derivation.bound.gamma_step.bound != sympy.oo
    assert Drawn(cell, np.random.default_rng(seed), weights, states).excess(derivation) <= 1 + 1e-9


@pytest.mark.parametrize("step", [lengths, layers])
def test_elements_reach_their_range_and_the_jacobian_half_of_its_bound(step):
    cell = cell_of(step, inputs=3, **SQUARE | {"U": (3, 3)})
    bound = derive(cell).bound
    (state,) = bound.states
    assert state.limit == pytest.approx(np.sqrt(3))
    params = {"W": np.eye(3), "U": np.eye(3)}
    if step is lengths:  # one element stands for the whole length
        large, _ = cell.step(params, np.array([[1e6, 0.0, 0.0]]), np.zeros((1, 3)))
        assert np.max(large) == pytest.approx(np.sqrt(3))
    small = Drawn(cell, np.random.default_rng(0))
    small.params, small.state, small.x = params, np.zeros((1, 3)), np.zeros((1, 3))
    assert small.gamma_step() == pytest.approx(1 / np.sqrt(EPSILON))
    assert small.gamma_step() <= bound.evaluate(params) <= 4.001 * small.gamma_step()


def test_a_difference_of_squares_is_no_bound():
    bound = derive(cell_of(difference, inputs=3, **SQUARE | {"U": (3, 3)})).bound
    assert bound.gamma_step.bound == sympy.oo
    assert bound.unbounded


def test_the_numbers_before_squares_add_up():
    derivation = derive(LayerNormLSTM(2, 3))
    equations = {equation.left: equation.right for equation in derivation.forward}
    (variance,) = [v for v in equations if v.name == "v_2"]
    found = squares(variance, derivation.bound.ranges)
    assert {v.name: number for v, number in found.items()} == {f"a_{i}": sympy.Rational(1, 12) for i in (4, 5, 6, 7)}


def test_only_the_memory_leaves_layer_normalisation_without_a_limit():
    bound = derive(LayerNormLSTM(2, 3)).bound
    assert bound.gamma_step.bound != sympy.oo
    assert [value.name for value in bound.unbounded] == ["c"]
    assert "no bound is known" not in bound.text()


def test_no_square_counts_beside_a_term_that_may_be_negative():
    v, w = Value("v", (3, 1)), Value("w", (3, 1))
    square, other = (sympy.MatMul(sympy.Transpose(a), a) for a in (v, w))
    assert squares(sympy.MatAdd(square, other), Ranges({})) == {v: 1, w: 1}
    assert squares(sympy.MatAdd(square, sympy.MatMul(-1, other)), Ranges({})) is None
