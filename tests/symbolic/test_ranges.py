"""Ranges by calculus: they hold for drawn numbers, and are no larger than they must be."""

import numpy as np
import pytest
import sympy
from hypothesis import assume, given
from hypothesis import strategies as st
from sympy import Rational, oo
from sympy.abc import h, n, u, z

from tapegrad import pytree
from tapegrad.cells import GRU, GRUD, LSTM, Cell, Elman, Input, State, variants
from tapegrad.primitives.registry import primitives
from tapegrad.symbolic import derive
from tapegrad.symbolic.expressions import Value
from tapegrad.symbolic.function_ranges import RANGES, range_of
from tapegrad.symbolic.intervals import EVERYTHING, SYMMETRIC, UNIT, Interval, image
from tapegrad.symbolic.ranges import Ranges
from tapegrad.testing import cells
from tests.strategies.effort import some
from tests.symbolic.measuring import SQUARE, Drawn, additive, cell_of, leaky, linear

EVERY = pytest.mark.parametrize("variant", variants(), ids=str)
LARGE = Interval(Rational(-5), Rational(5))


# ---- expressions ----


@pytest.mark.parametrize(
    ("expression", "given", "low", "high"),
    [
        (z * (1 - z), {z: UNIT}, 0, Rational(1, 4)),
        (1 - h**2, {h: SYMMETRIC}, 0, 1),
        ((1 - h**2) * (1 - z), {h: SYMMETRIC, z: UNIT}, 0, 1),
        ((1 - z) * n + z * h, {z: UNIT, n: SYMMETRIC, h: LARGE}, -5, 5),
        ((h - n) * z * (1 - z), {z: UNIT, n: SYMMETRIC, h: SYMMETRIC}, Rational(-1, 2), Rational(1, 2)),
        (1 / (1 + u**2), {u: EVERYTHING}, 0, 1),
        (u / (1 + u**2), {u: EVERYTHING}, Rational(-1, 2), Rational(1, 2)),
        (u**3 - 3 * u, {u: LARGE}, -110, 110),
        (u**2 * z, {u: EVERYTHING, z: UNIT}, 0, oo),
        (1 / u, {u: SYMMETRIC}, -oo, oo),
        (1 - n * z / 10, {n: SYMMETRIC, z: UNIT}, Rational(9, 10), Rational(11, 10)),
        (sympy.Float(0.5) * z, {z: UNIT}, 0, Rational(1, 2)),
    ],
)
def test_known_ranges(expression, given, low, high):
    assert image(expression, given) == Interval(low, high)


@st.composite
def polynomials(draw):
    symbols = [z, n, h]
    terms = draw(st.lists(st.tuples(st.integers(-3, 3), *[st.integers(0, 3)] * 3), min_size=1, max_size=4))
    return sum(c * sympy.prod([s**e for s, e in zip(symbols, powers, strict=True)]) for c, *powers in terms)


@given(polynomials(), st.integers(0, 2**32 - 1))
def test_no_value_leaves_the_range(expression, seed):
    limits = {z: UNIT, n: SYMMETRIC, h: Interval(Rational(-3, 2), Rational(2))}
    found = image(sympy.sympify(expression), limits)
    rng = np.random.default_rng(seed)
    drawn = [rng.uniform(float(i.low), float(i.high), 200) for i in limits.values()]
    values = sympy.lambdify([z, n, h], expression)(*drawn)
    assert float(found.low) - 1e-9 <= np.min(values)
    assert np.max(values) <= float(found.high) + 1e-9


@given(st.lists(st.integers(-4, 4), min_size=2, max_size=5), st.integers(-3, 2), st.integers(1, 3))
def test_the_range_of_a_polynomial_in_one_symbol_is_reached(coefficients, low, width):
    expression = sympy.Poly(coefficients, u).as_expr()
    assume(expression.has(u))
    found = image(expression, {u: Interval(sympy.Integer(low), sympy.Integer(low + width))})
    values = np.polyval(coefficients, np.linspace(low, low + width, 20001))
    assert float(found.low) == pytest.approx(np.min(values), abs=1e-4)
    assert float(found.high) == pytest.approx(np.max(values), abs=1e-4)


# ---- functions ----


@pytest.mark.parametrize("function", sorted(RANGES))
def test_functions_stay_within_their_ranges(function):
    primitive = next(p for p in primitives() if p.name == function)
    arguments = len(primitive.derivatives)
    rng = np.random.default_rng(0)
    for _ in range(20):
        ends = [sorted(rng.integers(-6, 7, 2).tolist()) for _ in range(arguments)]
        drawn = [rng.uniform(low, high, 300) for low, high in ends]
        limits = [Interval(sympy.Integer(low), sympy.Integer(high)) for low, high in ends]
        with np.errstate(all="ignore"):
            values = np.asarray(primitive.run(*drawn), float)
        values = values[np.isfinite(values)]
        found = range_of(function, limits)
        if values.size:
            assert float(found.low) <= np.min(values) + 1e-9
            assert np.max(values) - 1e-9 <= float(found.high)
        everything = range_of(function, [EVERYTHING] * arguments)
        assert everything.low <= found.low
        assert found.high <= everything.high


def test_a_function_that_nothing_is_known_of_may_have_any_value():
    assert range_of("a function of the user", [UNIT]) == EVERYTHING


# ---- values of a step ----


def check_values(cell, seed, weights, states):
    derivation = derive(cell)
    rng = np.random.default_rng(seed)
    drawn = Drawn(cell, rng, weights, states)
    xs = pytree.map(lambda a: np.repeat(a, 3, axis=0), drawn.x)
    run = derivation.run(drawn.params, xs, pytree.map(lambda a: a[0], drawn.state))
    equations = {e.left: e.right for e in derivation.forward}
    known = Ranges(equations, {}, derivation.constants)
    for t in (1, 2, 3):
        norms = {}
        for value in equations:
            made = run[value.at(t)]
            limits, largest = known.of(value), known.magnitude(value)
            assert float(limits.low) - 1e-9 <= np.min(made), value
            assert np.max(made) <= float(limits.high) + 1e-9, value
            norms = {s: number(run, kind, of, t) for s, (kind, of) in known.norms.items()}
            bound = float(largest.xreplace(norms))
            assert np.max(np.abs(made)) <= bound * (1 + 1e-9) + 1e-12, (value, largest)


def number(run, kind, value, t):
    matrix = run.at(value, t)
    order = {"rows": np.inf, "columns": 1, "sigma": 2}
    made = np.max(np.abs(matrix)) if kind == "elements" else np.linalg.norm(matrix, order[kind])
    return sympy.Float(float(made), 17)


@EVERY
@pytest.mark.parametrize(("weights", "states"), [(0.5, 1.0), (5.0, 20.0)])
def test_values_of_registered_cells(variant, weights, states):
    check_values(variant.build(np.random.default_rng(0)), 0, weights, states)


@some()
@given(cells(smooth=False), st.integers(0, 2**32 - 1), st.sampled_from([0.3, 3.0]), st.sampled_from([0.3, 10.0]))
def test_values_of_drawn_cells(cell, seed, weights, states):
    check_values(cell, seed, weights, states)


# ---- states over time ----


def states_of(cell):
    return {r.state.name: r for r in derive(cell).bound.states}


def test_ranges_of_states():
    assert (states_of(Elman(2, 3))["h"].kind, states_of(Elman(2, 3))["h"].limit) == ("function", 1)
    assert states_of(Elman(2, 3, activation="relu"))["h"].kind == "none"
    for after in (False, True):
        gru = states_of(GRU(2, 3, reset_after=after))["h"]
        assert (gru.kind, gru.limit) == ("induction", 1)
    lstm = states_of(LSTM(2, 3))
    assert (lstm["h"].kind, lstm["h"].limit) == ("function", 1)
    assert (lstm["c"].kind, lstm["c"].limit, lstm["c"].growth) == ("growth", oo, 1)
    assert states_of(cell_of(leaky, **SQUARE))["h"].limit == 1
    assert states_of(cell_of(additive, U=(2, 3)))["h"].kind == "growth"
    assert states_of(cell_of(linear, **SQUARE))["h"].kind == "none"


def test_a_sum_that_decays_stays_below_its_limit():
    def step(self, params, s, x):
        s = 0.9 * s + np.tanh(x @ params["U"])
        return s, s

    cell = cell_of(step, U=(2, 3))
    assert states_of(cell)["s"].limit == 10
    state = np.full((1, 3), 9.99)
    for _ in range(50):
        state, _ = cell.step({"U": np.full((2, 3), 50.0)}, state, np.ones((1, 2)))
    assert 9.9 < np.max(state) <= 10


def check_states(cell, seed, weights):
    found = derive(cell).bound.states
    drawn = Drawn(cell, np.random.default_rng(seed), weights)
    ends = [float(r.limit) for r in found]
    flat, structure = pytree.flatten(drawn.state)
    first = [np.clip(a, -e, e) for a, e in zip(flat, ends, strict=True)]
    state = structure.unflatten(first)
    for t in range(1, 7):
        state, _ = cell.step(drawn.params, state, drawn.x)
        for r, a, start in zip(found, pytree.leaves(state), first, strict=True):
            if r.kind == "growth":
                assert np.max(np.abs(a)) <= np.max(np.abs(start)) + t * float(r.growth) + 1e-9
            assert np.max(np.abs(a)) <= float(r.limit) * (1 + 1e-12)


@EVERY
def test_no_state_of_a_registered_cell_leaves_its_range(variant):
    check_states(variant.build(np.random.default_rng(0)), 0, 5.0)


@some()
@given(cells(smooth=False), st.integers(0, 2**32 - 1), st.sampled_from([0.5, 10.0]))
def test_no_state_of_a_drawn_cell_leaves_its_range(cell, seed, weights):
    check_states(cell, seed, weights)


def test_a_gated_state_stays_below_what_it_started_from():
    cell = GRU(2, 3)
    for seed in range(20):
        drawn = Drawn(cell, np.random.default_rng(seed), weights=3.0, states=4.0)
        start = max(1.0, np.max(np.abs(drawn.state)))
        for _ in range(5):
            drawn.state, _ = cell.step(drawn.params, drawn.state, drawn.x)
            assert np.max(np.abs(drawn.state)) <= start


class MatrixState(Cell):
    """A matrix for each row of a batch, and one of two steps."""

    name: str
    n_size: int = 3

    def inputs(self):
        return Input((self.n_size,))

    def state(self):
        return State((self.n_size, self.n_size))

    def step(self, params, S, x):
        if self.name == "skew":
            S = S - np.swapaxes(S, 1, 2)
        else:
            h = np.tanh(x)
            S = 0.5 * S + h[:, :, None] * h[:, None, :]
        return S, S[:, 0]


def test_an_element_and_the_one_that_a_transpose_has_in_its_place_are_two_numbers():
    """S - S^T is not 0, and h h^T is negative where signs differ."""
    (skew,) = derive(MatrixState("skew")).bound.states
    assert (skew.limit, skew.kind) == (oo, "none")
    (outer,) = derive(MatrixState("outer")).bound.states
    assert (outer.limit, outer.kind) == (2, "induction")
    h = Value("h", (3, 1))
    assert Ranges({}, {h: SYMMETRIC}).of(h * h.T) == SYMMETRIC


def test_a_state_that_decays_before_it_is_read_stays_in_its_range():
    """GRU-D: k = gamma * h_{t-1}, h_t = (1 - z) * k + z * n."""
    h, d = derive(GRUD(2, 3)).bound.states
    assert (h.limit, h.kind) == (1, "induction")
    assert (d.limit, d.kind) == (oo, "none")
