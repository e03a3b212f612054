"""The gamma analysis against measured Jacobians, and what theory says of known cells."""

import functools

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.cells import GRU, LSTM, Elman, variants
from tapegrad.errors import OptionError
from tapegrad.symbolic import derive, ranges
from tapegrad.symbolic.counterexample import Counterexample
from tapegrad.symbolic.intervals import Interval
from tapegrad.symbolic.norms import Norms
from tapegrad.testing import cells
from tests.strategies.effort import some
from tests.symbolic.measuring import SQUARE, Drawn, additive, cell_of, leaky, linear, residual

EVERY = pytest.mark.parametrize("variant", variants(), ids=str)
ROUNDING = 1 + 1e-9
SIZES = st.sampled_from([0.01, 0.3, 1.0, 5.0, 50.0])
SEEDS = st.integers(0, 2**32 - 1)


@functools.cache
def derived(variant):
    cell = variant.build(np.random.default_rng(3))
    return cell, derive(cell)


def largest(cell, derivation, seeds=40, **sizes):
    """The largest excess over some draws."""
    return max(Drawn(cell, np.random.default_rng(seed), **sizes).excess(derivation) for seed in range(seeds))


# ---- the bound holds ----


@EVERY
@given(seed=SEEDS, weights=SIZES, states=SIZES)
def test_gamma_step_never_exceeds_its_bound(variant, seed, weights, states):
    cell, derivation = derived(variant)
    assert derivation.bound.gamma_step.bound != sympy.oo
    assert Drawn(cell, np.random.default_rng(seed), weights, states).excess(derivation) <= ROUNDING


@some()
# What a matrix state adds to itself has no bound as a rule, and the sup is then infinite.
@given(cell=cells(smooth=False, max_memories=0), seed=SEEDS, weights=SIZES, states=SIZES)
def test_gamma_step_of_a_drawn_cell_never_exceeds_its_bound(cell, seed, weights, states):
    derivation = derive(cell)
    assert derivation.bound.gamma_step.bound != sympy.oo
    assert Drawn(cell, np.random.default_rng(seed), weights, states).excess(derivation) <= ROUNDING


@EVERY
def test_the_product_of_jacobians_is_below_the_product_of_bounds(variant):
    cell, derivation = derived(variant)
    rng = np.random.default_rng(1)
    drawn = Drawn(cell, rng)
    product, bound = np.eye(len(drawn.jacobian())), 1.0
    for _ in range(6):
        product = drawn.jacobian() @ product
        bound *= derivation.bound.evaluate(drawn.params, drawn.norms(derivation))
        drawn.state, _ = cell.step(drawn.params, drawn.state, drawn.x)
        drawn.x = drawn.draw_input(rng)
    assert np.linalg.norm(product, 2) <= bound * ROUNDING


@pytest.mark.parametrize("variant", [v for v in variants() if "GRU" in str(v) or "Elman" in str(v)], ids=str)
def test_gamma_holds_at_all_steps_from_states_within_their_ranges(variant):
    cell, derivation = derived(variant)
    for seed in range(5):
        drawn = Drawn(cell, np.random.default_rng(seed))
        drawn.state = tg.pytree.map(lambda a: np.clip(a, -1, 1), drawn.state)
        states = {leaf.symbol.name for leaf in derivation.subject.state}
        inputs = {name: norm for name, norm in drawn.norms(derivation).items() if name not in states}
        try:
            gamma = derivation.bound.evaluate(drawn.params, inputs)
        except OptionError:
            assert derivation.bound.gamma == sympy.oo  # an LSTM among the layers
            return
        for _ in range(5):
            assert drawn.gamma_step() <= gamma * ROUNDING
            drawn.state, _ = cell.step(drawn.params, drawn.state, drawn.x)


# ---- it is as small as theory says ----


@pytest.mark.parametrize(("activation", "gamma_f"), [("tanh", 1), ("sigmoid", sympy.Rational(1, 4)), ("relu", 1)])
def test_elman_reaches_gamma_f_times_the_largest_singular_value(activation, gamma_f):
    cell = Elman(2, 4, activation=activation)
    derivation = derive(cell)
    assert list(derivation.bound.gamma_f.values()) == [gamma_f]
    drawn = Drawn(cell, np.random.default_rng(0), weights=2.0)
    drawn.state, drawn.x = np.zeros((1, 4)), np.zeros((1, 2))
    drawn.params["b_h"] = np.full(4, 1.0 if activation == "relu" else 0.0)  # where f' is largest
    sigma = np.linalg.norm(drawn.params["W_hh"], 2)
    bound = derivation.bound.evaluate(drawn.params)
    assert bound == pytest.approx(float(gamma_f) * sigma, rel=1e-12)
    assert drawn.gamma_step() == pytest.approx(bound, rel=1e-12)


def test_of_a_linear_cell_the_bound_is_the_norm_and_eigenvalues_decide():
    cell = cell_of(linear, **SQUARE)
    bound = derive(cell).bound
    drawn = Drawn(cell, np.random.default_rng(0))
    assert bound.constant
    assert bound.gamma_f == {}
    assert bound.evaluate(drawn.params) == pytest.approx(drawn.gamma_step(), rel=1e-12)
    radius = np.max(np.abs(np.linalg.eigvals(drawn.params["W"])))
    assert bound.spectral_radius(drawn.params) == pytest.approx(radius, rel=1e-12)
    assert "if and only if its spectral radius" in bound.sufficient
    power = np.linalg.matrix_power(drawn.jacobian(), 60)
    assert np.linalg.norm(power, 2) ** (1 / 60) == pytest.approx(radius, rel=0.05)


def test_eigenvalues_decide_nothing_where_the_jacobian_changes():
    cell = Elman(2, 3)
    with pytest.raises(OptionError, match="changes from step to step"):
        derive(cell).bound.spectral_radius(cell.init(np.random.default_rng(0)))


def test_gru_bound_is_made_of_its_four_terms():
    bound = derive(GRU(2, 3)).bound
    (block,) = bound.blocks.values()
    assert len(block.terms) == 4
    names = {str(s): s for s in bound.gamma_step.bound.free_symbols}
    h, n, r, z = (names[f] for f in ("max|h[t-1]|", "sigma(W_hn)", "sigma(W_hr)", "sigma(W_hz)"))
    quarter = sympy.Rational(1, 4)
    assert sympy.expand(bound.gamma_step.bound - (1 + n + quarter * h * n * r + quarter * (1 + h) * z)) == 0
    assert sympy.expand(bound.gamma - (1 + n + quarter * n * r + z / 2)) == 0


# ---- faults are seen ----


def test_a_dropped_term_is_seen(monkeypatch):
    terms = Norms.terms

    def fewer(self, x):
        found = terms(self, x)
        return [pair for pair in found if "W_hf" not in str(pair[0])] or found

    cell = LSTM(2, 3)
    assert largest(cell, derive(cell), states=50.0) <= ROUNDING
    monkeypatch.setattr(Norms, "terms", fewer)
    assert largest(cell, derive(cell), states=50.0) > 1.5


@pytest.mark.parametrize("wrong", [sympy.Rational(1, 2), sympy.Rational(1, 8)])
def test_another_slope_of_the_sigmoid_is_seen(monkeypatch, wrong):
    image = ranges.image

    def mistaken(expression, given):
        found = image(expression, given)
        return Interval(found.low, wrong) if found.high == sympy.Rational(1, 4) else found

    monkeypatch.setattr(ranges, "image", mistaken)
    cell = Elman(2, 1, activation="sigmoid")
    drawn = Drawn(cell, np.random.default_rng(0))
    drawn.state, drawn.x, drawn.params["b_h"] = np.zeros((1, 1)), np.zeros((1, 2)), np.zeros(1)
    excess = drawn.excess(derive(cell))
    assert excess == pytest.approx(float(sympy.Rational(1, 4) / wrong), rel=1e-12)


# ---- what may grow stays in the bound ----


def test_lstm_bound_contains_the_cell_state():
    cell = LSTM(2, 3)
    bound = derive(cell).bound
    (c,) = [s for s in bound.gamma_step.bound.free_symbols if bound.ranges.norms[s].of.name == "c"]
    assert bound.ranges.norms[c].kind == "elements"
    assert bound.blocks["c", "h"].bound.coeff(c) != 0
    assert bound.gamma == sympy.oo
    assert [v.name for v in bound.unbounded] == ["c"]
    assert "diag(f_t ⊙ (1 - f_t) ⊙ c_{t-1}) W_hf" in bound.sufficient
    params = cell.init(np.random.default_rng(0))
    with pytest.raises(OptionError, match=r"norm of c\[t - 1\], which has no limit"):
        bound.evaluate(params)
    assert bound.evaluate(params, c=100.0) > bound.evaluate(params, c=1.0)
    with pytest.raises(OptionError, match="params holds 1 arrays, the step takes 12"):
        bound.evaluate([params["b_i"]], c=1.0)


def test_a_jacobian_without_notation_has_no_bound():
    def step(self, params, h, x):
        h = np.cumsum(h, axis=-1) @ params["W"] * np.max(h, axis=-1, keepdims=True)
        return h, h

    bound = derive(cell_of(step, W=(3, 3))).bound
    assert bound.gamma_step.bound == sympy.oo
    assert bound.unbounded
    assert bound.evaluate({"W": np.eye(3)}) == np.inf
    assert "no bound" in bound.sufficient


def chain(depth, bounded):
    """A cell whose state goes through a long chain, in which each value is used twice."""

    def step(self, params, s, x):
        s = np.tanh(s) if bounded else s
        for _ in range(depth):
            s = s * (1.0 - s) + 0.5 * s @ params["W"]
        return s, s

    return cell_of(step, W=(3, 3))


@pytest.mark.parametrize("bounded", [False, True])
def test_bounds_of_long_chains_stay_short(bounded):
    cell = chain(3, bounded)
    derivation = derive(cell)
    for seed in range(5):
        assert Drawn(cell, np.random.default_rng(seed), 0.3, 0.5).excess(derivation) <= ROUNDING
    sizes = [len(derive(chain(depth, bounded)).bound.text()) for depth in (4, 8, 16)]
    assert sizes[2] - sizes[1] < 3 * (sizes[1] - sizes[0])


# ---- paths ----


def path(cell, state):
    return next(p for p in derive(cell).bound.paths if p.state.name == state)


def test_an_additive_cell_carries_the_gradient_as_it_is():
    cell = cell_of(additive, U=(2, 3))
    found = derive(cell).bound
    (only,) = found.paths
    assert only.is_identity
    assert isinstance(only.direct, sympy.Identity)
    assert only.rest.is_ZeroMatrix
    assert found.gamma == 1
    assert found.evaluate({"U": np.ones((2, 3))}) == 1.0
    assert found.sufficient.startswith("The Jacobian is the identity")
    assert found.necessary.startswith("The gradient cannot explode")


def test_direct_paths():
    lstm = path(LSTM(2, 3), "c")
    assert str(lstm.factor) == "f[t]"
    assert lstm.range == Interval(0, 1)
    assert lstm.rest.is_ZeroMatrix
    assert [v.name for v in lstm.through] == ["h"]
    assert not path(LSTM(2, 3), "h").exists
    assert not path(Elman(2, 3), "h").exists
    for after in (False, True):
        gru = path(GRU(2, 3, reset_after=after), "h")
        assert str(gru.factor) == "z[t]"
        assert len(gru.rest.args) == 3
    mixed = path(cell_of(residual, **SQUARE), "h")
    assert mixed.is_identity
    assert "W" in str(mixed.rest)
    decayed = path(cell_of(leaky, **SQUARE), "h")
    assert decayed.range == Interval(sympy.Rational(3, 4), sympy.Rational(3, 4))


@pytest.mark.parametrize("cell", [LSTM(2, 3), GRU(2, 3), cell_of(residual, **SQUARE), cell_of(leaky, **SQUARE)])
def test_direct_path_and_rest_are_the_block(cell):
    derivation = derive(cell)
    rng = np.random.default_rng(0)
    drawn = Drawn(cell, rng)
    state = tg.pytree.map(lambda a: a[0], drawn.state)
    run = derivation.run(drawn.params, np.stack([drawn.x[0]]), state)
    for p in derivation.bound.paths:
        block = run.jacobian(p.state.name, p.state.name, 1)
        np.testing.assert_allclose(run.at(p.direct, 1) + run.at(p.rest, 1), block, atol=1e-14)


# ---- necessary, not sufficient ----


def test_counterexample_vanishes_in_the_library_too():
    example = Counterexample()
    W = np.array(example.W.tolist(), float)
    cell = Elman(2, 2)
    params = {"W_xh": np.ones((2, 2)), "W_hh": W.T, "b_h": np.zeros(2)}
    bound = derive(cell).bound
    drawn = Drawn(cell, np.random.default_rng(0))
    drawn.params, drawn.state, drawn.x = params, np.zeros((1, 2)), np.zeros((1, 2))
    assert drawn.gamma_step() == pytest.approx(float(example.sigma_max)) == pytest.approx(bound.evaluate(params))
    assert drawn.gamma_step() > 4
    assert example.spectral_radius == sympy.Rational(1, 2)
    xs = np.zeros((40, 1, 2))
    through = tg.jacobian(lambda h: cell(params, xs, h)[0])(np.zeros((1, 2))).reshape(2, 2)
    assert np.linalg.norm(through, 2) == pytest.approx(float(example.product_norm(40)), rel=1e-9)
    assert np.linalg.norm(through, 2) < 1e-9


def test_a_nilpotent_matrix_stops_the_gradient_at_once():
    example = Counterexample(sympy.ImmutableMatrix([[0, 7], [0, 0]]))
    assert (example.sigma_max, example.spectral_radius, example.product_norm(2)) == (7, 0, 0)


def test_sufficient_condition_makes_gradients_vanish():
    cell = Elman(2, 4, activation="sigmoid")
    rng = np.random.default_rng(0)
    drawn = Drawn(cell, rng)
    drawn.params["W_hh"] *= 3.0 / np.linalg.norm(drawn.params["W_hh"], 2)  # gamma = 3/4
    xs = 10 * rng.standard_normal((30, 1, 2))
    through = tg.jacobian(lambda h: cell(drawn.params, xs, h)[0])(drawn.state).reshape(4, 4)
    assert np.linalg.norm(through, 2) <= 0.75**30
    assert "σ_max(W_hh) < 4" in derive(cell).bound.sufficient
