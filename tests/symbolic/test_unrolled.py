"""Unrolled expressions, differentiated by SymPy, against the tapes that the engine derives, to 1e-30 and exactly."""

import dataclasses
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import pytree
from tapegrad.cells import LSTM, Cell, Elman, Parameter, State, variants
from tapegrad.errors import OptionError, ShapeError, StructureError, UnsupportedPrimitive
from tapegrad.primitives import elementwise
from tapegrad.symbolic import derive, unroll
from tapegrad.symbolic.precision import Precision
from tapegrad.symbolic.scalar_expressions import Expressions
from tapegrad.symbolic.scalars import run_tape
from tapegrad.testing import cells
from tests.cells.drawing import random_params, random_state
from tests.strategies.effort import few
from tests.symbolic.proving import draw_inputs, sequence
from tests.symbolic.steps import Deep, Memory, SoftmaxRNN

EVERY = pytest.mark.parametrize("variant", variants(), ids=str)
DIGITS, CLOSE = 50, 1e-30


class Problem:
    """One sequence through a cell: parameters, first state, inputs, and weights of the outputs."""

    def __init__(self, cell, rng, steps, draw=None):
        self.cell, self.steps = cell, steps
        self.params, self.state = random_params(cell, rng), pytree.map(lambda a: a[0], random_state(cell, rng, 1))
        self.xs = sequence(draw_inputs(cell, rng, steps))
        ys = cell(self.params, batch(self.xs, 1), batch(self.state, 0))[1]
        self.weights = pytree.map(lambda a: rng.standard_normal((steps, *a.shape[2:])), ys)
        if draw is not None:
            self.params, self.state, self.xs, self.weights = pytree.map(draw, self.arguments())

    def arguments(self):
        return self.params, self.state, self.xs, self.weights

    def by_tape(self, numbers, data, looped):
        """Loss and gradients by the engine's own derivative, whose tape is carried out on other numbers."""

        def gradients(params, state, xs, weights):
            def loss(params, state, xs):
                if looped:
                    ys = self.cell(params, batch(xs, 1), batch(state, 0), backend="reference")[1]
                else:
                    ys = self.eager(params, batch(state, 0), batch(xs, 1))
                return sum(pytree.leaves(pytree.map(lambda y, w: np.sum(y[:, 0] * w), ys, weights)))

            by = (0, 1, 2) if floating(self.xs) else (0, 1)
            return tg.value_and_grad(loss, argnums=by)(params, state, xs)

        examples = pytree.map(lambda a: np.zeros(np.shape(a)) if floating(a) else a, self.arguments())
        tape = tg.trace(gradients)(*examples)
        given_ = [data(a) if floating(a) else a for a in pytree.leaves(self.arguments())]
        found = run_tape(tape, given_, numbers)
        return found[0], found[1:]

    def eager(self, params, state, xs):
        ys = []
        for t in range(self.steps):
            state, y = self.cell.step(params, state, pytree.map(lambda a, t=t: a[t], xs))
            ys.append(y)
        return pytree.map(lambda *a: np.stack(a), *ys)

    def of(self, values):
        """The same order as on the tape."""
        return [a for arrays in (values.gradients, values.initial, values.inputs) for a in arrays.values()]


def floating(tree):
    return all(np.asarray(a).dtype.kind in "fO" for a in pytree.leaves(tree))


def batch(tree, axis):
    return pytree.map(lambda a: np.expand_dims(a, axis), tree)


def tiny(variant, rng):
    """A cell of the variant with sizes from 1 to 3, all of them different, where it has sizes of its own."""
    cell = variant.build(rng)
    sizes = [f.name for f in dataclasses.fields(cell) if f.name.endswith("_size")]
    return dataclasses.replace(cell, **dict(zip(sizes, rng.permutation([1, 2, 3]).tolist(), strict=False)))


def worst(found, expected):
    """The largest difference, which may be that of shapes."""
    assert [np.shape(a) for a in found] == [np.shape(a) for a in expected]
    pairs = [pair for a, b in zip(found, expected, strict=True) for pair in zip(np.ravel(a), np.ravel(b), strict=True)]
    return max([abs(a - b) for a, b in pairs], default=0)


def close_to_the_tape(problem, looped):
    numbers = Precision(DIGITS)
    given_ = {} if floating(problem.xs) else {"xs": problem.xs}
    values = unroll(problem.cell, problem.steps, **given_).to_function(DIGITS)(
        problem.params, problem.xs, problem.state, problem.weights
    )
    loss, gradients = problem.by_tape(numbers, numbers.data, looped)
    assert abs(values.loss - loss) < CLOSE
    assert worst(problem.of(values), gradients) < CLOSE
    return values


@EVERY
def test_expressions_are_the_tape_to_thirty_digits(variant):
    rng = np.random.default_rng(0)
    cell = tiny(variant, rng)
    close_to_the_tape(Problem(cell, rng, 3 if len(cell.init(rng)) < 12 else 2), looped=False)


@EVERY
def test_expressions_are_the_loop_and_the_printed_equations_to_thirty_digits(variant):
    rng = np.random.default_rng(1)
    problem = Problem(tiny(variant, rng), rng, 2)
    values = close_to_the_tape(problem, looped=True)
    numbers = Precision(DIGITS)
    params, state, xs, weights = pytree.map(numbers.data, problem.arguments())
    run = derive(problem.cell).run(params, xs, state, outputs=weights, arithmetic=numbers)
    for path, gradient in run.gradients.items():
        assert worst([values.gradients[path]], [gradient]) < CLOSE
    for made, expected in zip(run.initial, values.initial.values(), strict=True):
        assert worst([np.reshape(made, expected.shape)], [expected]) < CLOSE


@few()
@given(cells(max_states=2, max_size=2), st.integers(0, 2**32 - 1), st.booleans())
def test_random_cells_to_thirty_digits(cell, seed, looped):
    close_to_the_tape(Problem(cell, np.random.default_rng(seed), 2), looped)


@pytest.mark.parametrize("looped", [False, True])
@pytest.mark.parametrize("cell", [Memory(3, 3), Deep(1, 2, 3), SoftmaxRNN(1, 2, 3)], ids=lambda c: type(c).__name__)
def test_odd_cells_to_thirty_digits(cell, looped):
    close_to_the_tape(Problem(cell, np.random.default_rng(0), 2), looped)


def test_a_rule_that_is_wrong_by_a_billionth_is_seen(monkeypatch):
    wrong = (lambda g, ans, x: g * (1.0 - ans * ans) * 1.000000001,)
    monkeypatch.setattr(elementwise.tanh, "derivatives", wrong)
    rng = np.random.default_rng(0)
    with pytest.raises(AssertionError):
        close_to_the_tape(Problem(Elman(1, 2), rng, 2), looped=False)


# ---- exact ----


class Polynomial(Cell):
    """Sums, products, a quotient, a kink, slices and a mean."""

    input_size: int
    hidden_size: int

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {"U": Parameter((m, n)), "W": Parameter((n, n)), "p": Parameter((n,))}

    def state(self):
        return State((self.hidden_size,)), State((self.hidden_size,))

    def step(self, params, state, x):
        h, c = state
        a = x @ params["U"] + h @ params["W"]
        c = 0.9 * c + a * c * params["p"] - np.mean(a, axis=-1, keepdims=True) / 3
        h = np.clip(c, -1.5, 1.5) / (1.0 + a**2) + np.abs(a)
        return (h, c), (np.maximum(h, c), np.concatenate([c[:, 1:], h[:, :1]], axis=1))


@pytest.mark.parametrize("cell", [Elman(2, 3, "relu"), Polynomial(2, 2)], ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("looped", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_fractions_are_equal_exactly(cell, looped, seed):
    rng = np.random.default_rng(seed)

    def fractions(a):
        drawn = [sympy.Rational(int(rng.integers(-9, 10)), int(rng.integers(1, 9))) for _ in range(np.size(a))]
        return np.array(drawn, object).reshape(np.shape(a))

    problem = Problem(cell, rng, 3, draw=fractions)
    unrolled = unroll(cell, 3)
    held = unrolled.subs(unrolled.values(problem.params, problem.xs, problem.state, problem.weights))
    loss, gradients = problem.by_tape(Expressions(), lambda a: a, looped)
    assert held.loss.is_Rational
    assert held.loss == loss.item()
    for found, expected in zip(problem.of(held), gradients, strict=True):
        assert found.shape == expected.shape
        assert all(a.is_Rational and a == b for a, b in zip(found.flat, expected.flat, strict=True))
    params, state, xs, weights = problem.arguments()
    run = derive(cell).run(params, xs, state, outputs=weights, arithmetic=Expressions())
    for path, gradient in run.gradients.items():
        assert (gradient == held.gradients[path]).all()


def test_ties_share_the_derivative_as_in_the_engine():
    def step(params, state, x):
        h = np.maximum(state, params["b"]) + np.max(x * params["b"], axis=-1, keepdims=True) + np.abs(state)
        return h, h + tg.relu(state)

    params, state, xs = {"b": np.zeros(3)}, np.zeros(3), np.ones((2, 3))
    unrolled = unroll(step, 2, params=params, state=state, xs=xs)
    held = unrolled.subs(unrolled.values(params, xs))

    def loss(params):
        end, first = step(params, state[None], xs[:1])
        return np.sum(first) + np.sum(step(params, end, xs[1:])[1])

    assert held.gradients["b"].astype(float) == pytest.approx(tg.grad(loss)(params)["b"], abs=1e-15)


KINKS = {
    "relu": tg.relu,
    "maximum": lambda a: np.maximum(a, 0.0),
    "minimum": lambda a: np.minimum(0.0, a),
    "absolute": np.abs,
    "clip": lambda a: np.clip(a, -1.0, 1.0),
}


@pytest.mark.parametrize("name", KINKS)
def test_kinks_are_as_in_the_engine(name):
    at = np.array([0.0, 1.0, -1.0, 0.5])
    unrolled = unroll(
        lambda p, s, x: (s, KINKS[name](p["b"] + x)), 1, params={"b": at}, state=np.zeros(1), xs=np.zeros((1, 4))
    )
    held = unrolled.subs(unrolled.values({"b": at}, np.zeros((1, 4))))
    assert held.gradients["b"].astype(float).tolist() == tg.grad(lambda b: np.sum(KINKS[name](b)))(at).tolist()


# ---- what it is ----


def test_gradients_are_what_sympy_says_of_the_whole_expression():
    """Chained over the definitions or taken at once: the same function."""
    rng = np.random.default_rng(0)
    for cell, steps in ((Elman(1, 2), 2), (LSTM(1, 1), 1)):
        unrolled = unroll(cell, steps)
        given_ = sorted(unrolled.loss.free_symbols, key=str)
        numbers = [mpmath.mpf(int(n)) / 7 for n in rng.integers(1, 9, len(given_))]
        for path, held in unrolled.symbols["params"].items():
            at_once = [unrolled.loss.diff(symbol) for symbol in held.flat]
            both = sympy.lambdify(given_, [at_once, list(unrolled.gradients[path].flat)], "mpmath", cse=True)
            with mpmath.workdps(DIGITS):
                assert worst(*both(*numbers)) < CLOSE


def test_shapes_and_names():
    unrolled = unroll(LSTM(64, 128), 2, {"input_size": 1, "hidden_size": 2})
    assert unrolled.gradients["W_xi"].shape == (1, 2)
    assert unrolled.initial["[1]"].shape == (2,)
    assert unrolled.inputs["value"].shape == (2, 1)
    assert {"c_1_0", "i_2_1", "d_c_1_1"} <= {s.name for s in unrolled.definitions}
    assert unrolled.symbols["params"]["W_hf"][0, 1].name == "W_hf_0_1"
    given_ = {s for group in unrolled.symbols.values() for a in group.values() for s in a.flat}
    assert unrolled.loss.free_symbols <= given_


def test_a_loss_of_ones_own():
    def loss(y, target):
        return tg.softmax_cross_entropy(y, target, reduction="sum")

    labels, rng = np.array([1, 0, 2]), np.random.default_rng(0)
    cell = Elman(2, 3)
    params, xs = random_params(cell, rng), rng.standard_normal((3, 2))
    values = unroll(cell, 3, loss=loss, target=labels).to_function()(params, xs)

    def total(params):
        return tg.softmax_cross_entropy(cell(params, xs[:, None])[1], labels[:, None], reduction="sum")

    value, grads = tg.value_and_grad(total)(params)
    assert float(values.loss) == pytest.approx(value, rel=1e-14)
    for path, gradient in grads.items():
        assert values.gradients[path].astype(float) == pytest.approx(gradient, abs=1e-14)
    squared = unroll(Elman(1, 1), 1, loss=lambda y, z: (y - z) ** 2, target=np.zeros((1, 1)))
    assert {s.name for s in squared.symbols["target"]["value"].flat} == {"target_1_0"}
    with pytest.raises(StructureError, match="target lacks value"):
        squared.values(random_params(Elman(1, 1), rng), np.zeros((1, 1)))


def test_numbers_in_the_step_are_exact_and_data_are_what_they_are():
    def step(params, state, x):
        return 0.9 * state + x / 3, None

    unrolled = unroll(step, 1, params={}, state=np.zeros(1), xs=np.zeros((1, 1)))
    h, x, w = sympy.symbols("s_0_0 x_1_0 w_s_1_0", real=True)
    assert sympy.expand(unrolled.loss - w * (sympy.Rational(9, 10) * h + x / 3)) == 0
    values = unrolled.values({}, np.array([[0.1]]), np.array([Fraction(1, 3)]))
    assert values[x] == sympy.Rational(*(0.1).as_integer_ratio())
    assert values[h] == sympy.Rational(1, 3)


def test_inner_loops_and_choices():
    def step(params, state, x):
        def inner(p, s, x):
            s = np.tanh(s * p + x)
            return s, s

        h, rounds = tg.scan(inner, params["w"], state, np.stack([x, 2.0 * x]), backend="reference")
        return np.where(h > 0.1, h, -h), tg.softmax(np.sum(rounds, axis=0) * np.floor(3.7 + state))

    rng = np.random.default_rng(3)
    params, state, xs = {"w": rng.standard_normal(2)}, rng.standard_normal(2), rng.standard_normal((2, 2))
    weights = rng.standard_normal((2, 2))
    values = unroll(step, 2, params=params, state=state, xs=xs).to_function(30)(params, xs, state, weights)

    def loss(params):
        return np.sum(tg.scan(step, params, state[None], xs[:, None], backend="reference")[1][:, 0] * weights)

    assert values.gradients["w"].astype(float) == pytest.approx(tg.grad(loss)(params)["w"], abs=1e-13)


def test_names_that_python_or_mpmath_have_are_no_trouble():
    def step(params, state, x):
        exp = np.tanh(state * params["lambda"] + params["tanh"])
        return exp, exp

    params, xs = {"lambda": np.ones(()), "tanh": np.ones(1)}, np.zeros((2, 1))
    values = unroll(step, 2, params=params, state=np.ones(1), xs=xs).to_function()(params, xs)
    assert float(values.loss) == pytest.approx(np.tanh(2.0) + np.tanh(np.tanh(2.0) + 1.0))


# ---- refused ----


def test_what_cannot_be_unrolled_is_said():
    with pytest.raises(OptionError, match="T=0"):
        unroll(Elman(1, 1), 0)
    with pytest.raises(OptionError, match="no option hidden"):
        unroll(Elman(1, 1), 2, {"hidden": 3})
    with pytest.raises(OptionError, match="state=\\.\\.\\."):
        unroll(lambda p, s, x: (s, s), 2)
    with pytest.raises(OptionError, match="target"):
        unroll(Elman(1, 1), 2, loss=lambda y, z: y)
    with pytest.raises(UnsupportedPrimitive, match="argmax"):
        unroll(lambda p, s, x: (s, s[:, np.argmax(x)]), 1, params={}, state=np.ones(2), xs=np.ones((1, 2)))
    unrolled = unroll(Elman(1, 2), 2)
    params = Elman(1, 2).init(np.random.default_rng(0))
    with pytest.raises(ShapeError, match="xs value has the shape"):
        unrolled.values(params, np.zeros((3, 1)))
    with pytest.raises(StructureError, match="lacks b_h"):
        unrolled.values({"W_xh": params["W_xh"], "W_hh": params["W_hh"]}, np.zeros((2, 1)))
