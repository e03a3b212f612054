"""Tapes of steps made smaller: the same values and derivatives from fewer operations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.simplify import simplified
from tapegrad.structure import structure_key
from tapegrad.tape import run
from tapegrad.testing import programs

Z = np.linspace(-5, 5, 12).reshape(3, 4)


def tape_of(f, *args):
    return simplified(tg.trace(f)(*args))


def names(tape):
    """The primitives of a tape, in order."""
    return [node.primitive.name for node in tape.nodes if node is not None]


# ---- what is computed twice, or for nobody ----
def test_what_is_computed_twice_is_computed_once():
    tape = tape_of(lambda x, y: (np.tanh(x * y) + np.tanh(x * y), x * y, y * x), Z, Z)
    assert names(tape) == ["multiply", "tanh", "add", "multiply"]
    np.testing.assert_array_equal(run(tape, [Z, Z])[0], 2 * np.tanh(Z * Z))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x * 2.0 + x * 3.0,
        lambda x: x * 2 + x * 2.0,
        lambda x: np.sum(x, 0) + np.sum(x, 1)[:1],
        lambda x: x[0] + x[1],
        lambda x: (x - x[0]) * (x[1] - x),
        lambda x: x * 0.0 + x * -0.0,
        lambda x: np.tanh(x) + np.sinh(x),
        lambda x: x.astype(np.float32) + x.astype(np.float16),
        lambda x: tg.checkpoint(np.sin)(x) + tg.checkpoint(np.cos)(x),
    ],
)
def test_what_only_looks_the_same_is_not_shared(f):
    assert names(tape_of(f, Z)) == names(tg.trace(f)(Z))
    np.testing.assert_array_equal(run(tape_of(f, Z), [Z])[0], f(Z))


def test_results_of_operations_with_several_are_shared():
    def f(x):
        a, b = tg.scan(lambda p, s, v: (s + v, s * v), None, x[0], x)
        c, d = tg.scan(lambda p, s, v: (s + v, s * v), None, x[0], x)
        return a + c, b * d

    tape = tape_of(f, Z)
    assert names(tape).count("scan") == 1
    for one, other in zip(run(tape, [Z]), f(Z), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_nobody_reads_is_left_out():
    def f(x, unused):
        lost = np.sinh(x) * HELD  # noqa: F841
        return np.tanh(x)

    HELD = np.full(4, 2.0)
    tape = tape_of(f, Z, Z)
    assert names(tape) == ["tanh"]
    assert len(tape.inputs) == 2
    assert not tape.consts


def test_names_stay_and_the_first_counts():
    def step(p, s, x):
        first = np.tanh(s + x)
        second = np.tanh(s + x)
        return first, second * 2.0

    *_, recorded = tg.scan(step, None, Z[0], Z, record=["first", "second"])
    np.testing.assert_array_equal(recorded["first"], recorded["second"])
    _, _, recorded = tg.scan(step, None, Z[0], Z, record=True)
    assert set(recorded) == {"first", "second"}
    _, pullback = tg.vjp(lambda s: tg.scan(step, None, s, Z), Z[0])
    assert "first" in str(pullback.tape)

    def half_named(p, s, x):
        doubled = np.tanh(s + x) * 2.0
        named = np.tanh(s + x)
        return named, doubled

    _, pullback = tg.vjp(lambda s: tg.scan(half_named, None, s, Z), Z[0])
    assert "named" in str(pullback.tape)


@given(programs(smooth=False), st.integers(0, 99))
def test_random_programs_keep_their_values_and_derivatives(program, seed):
    """The program is done twice, so that there is something to share."""
    rng = np.random.default_rng(seed)
    once = tg.trace(program)(*program.args)
    twice = lambda *args: (run(once, args)[0], run(once, args)[0])  # noqa: E731
    tape = tg.trace(twice)(*program.args)
    small = simplified(tg.trace(twice)(*program.args))
    assert len(names(small)) <= len(names(tape)) // 2
    assert names(simplified(simplified(tg.trace(twice)(*program.args)))) == names(small)
    for one, other in zip(run(small, program.args), run(tape, program.args), strict=True):
        np.testing.assert_array_equal(one, other)
    weight = rng.normal(size=np.shape(program(*program.args)))
    grads = [
        tg.vjp(lambda *args, tape=tape: np.sum(weight * run(tape, args)[0]), *program.args)[1](1.0)
        for tape in (tape, small)
    ]
    for one, other in zip(*grads, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)


# ---- the logistic function, as people write it ----
LOGISTIC = {
    "1/(1+exp(-z))": lambda z: 1 / (1 + np.exp(-z)),
    "floats": lambda z: 1.0 / (1.0 + np.exp(-z)),
    "swapped": lambda z: 1 / (np.exp(-z) + 1),
    "np.divide": lambda z: np.divide(1.0, np.add(np.exp(np.negative(z)), 1.0)),
    "reciprocal": lambda z: np.reciprocal(1 + np.exp(-z)),
    "of another sign": lambda z: 1 / (1 + np.exp(z)),
    "of a product": lambda z: 1 / (1 + np.exp(-2.0 * z)),
}
NEGATED = ("of another sign", "of a product")
OTHERS = {
    "numerator": lambda z: 2 / (1 + np.exp(-z)),
    "summand": lambda z: 1 / (2 + np.exp(-z)),
    "difference": lambda z: 1 / (1 - np.exp(-z)),
    "turned over": lambda z: (1 + np.exp(-z)) / 1,
    "another function": lambda z: 1 / (1 + np.expm1(-z)),
    "shared": lambda z: (lambda e: 1 / (1 + e) + e)(np.exp(-z)),
    "shared sum": lambda z: (lambda d: 1 / d + d)(1 + np.exp(-z)),
    "two": lambda z: 1 / (np.exp(-z) + np.exp(-z)),
    "an array of ones": lambda z: np.ones((2, 3, 4)) / (1 + np.exp(-z)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", LOGISTIC)
def test_the_logistic_function_is_recognised(form, dtype):
    z = Z.astype(dtype)
    tape = tape_of(lambda z: LOGISTIC[form](z * 2), z)
    assert names(tape)[-1] == "logistic"
    assert "exp" not in names(tape)
    assert ("negative" in names(tape)) == (form in NEGATED)
    (value,) = run(tape, [z])
    assert value.dtype == dtype
    np.testing.assert_array_equal(value, LOGISTIC[form](z * 2))


@pytest.mark.parametrize("form", OTHERS)
def test_what_is_not_the_logistic_function_is_left_alone(form):
    tape = tape_of(OTHERS[form], Z)
    assert "logistic" not in names(tape)
    np.testing.assert_array_equal(run(tape, [Z])[0], OTHERS[form](Z))


def test_dtypes_that_differ_are_left_alone():
    """An np.float64 one promotes float32, and an integer becomes floating: the tape keeps what NumPy gives."""
    for f, z in (
        (lambda z: np.float64(1) / (1 + np.exp(-z)), Z.astype(np.float32)),
        (LOGISTIC["floats"], Z.astype(int)),
    ):
        tape = tape_of(f, z)
        assert "logistic" not in names(tape)
        assert run(tape, [z])[0].dtype == np.float64


@pytest.mark.parametrize("form", sorted(set(LOGISTIC) - set(NEGATED)))
def test_a_step_with_it_costs_what_a_step_with_sigmoid_costs(form):
    def parts(f):
        step = lambda w, s, x: (np.tanh(f(x @ w + s) * s), s)  # noqa: E731
        _, pullback = tg.vjp(lambda w: tg.scan(step, w, np.zeros((2, 4)), np.ones((3, 2, 4))), np.eye(4))
        node = next(node for node in pullback.tape.nodes if node is not None)
        linear = node.options["linear"]
        pulled = linear.backward(linear.pattern([True, True]))
        for step in (linear.forward, pulled.step):
            step.tape.names.clear()
        return structure_key(linear.forward.tape), structure_key(pulled.step.tape)

    assert parts(LOGISTIC[form]) == parts(tg.sigmoid)


def test_gradients_stay_finite_where_exp_overflows():
    xs = np.array([-1000.0, -1.0, 0.0, 1000.0])
    expected = tg.value_and_grad(lambda w: np.sum(tg.sigmoid(w * xs)))(1.0)
    for f in (lambda z: 1 / (1 + np.exp(-z)), lambda z: 1 / (1 + np.exp(-1.0 * z))):
        step = lambda w, s, x: (s, f(w * x))  # noqa: B023, E731
        found = tg.value_and_grad(lambda w: np.sum(tg.scan(step, w, 0.0, xs)[1]))(1.0)  # noqa: B023
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_part_that_is_a_result_is_kept(sign):
    def f(z):
        total = 1 + np.exp(-z if sign < 0 else z)
        return total, 1 / total

    for one, other in zip(run(tape_of(f, Z), [Z]), f(Z), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_recorded_part_is_kept():
    def step(w, s, x):
        e = np.exp(-w * x)
        y = 1 / (1 + e)
        return s, y

    _, ys, recorded = tg.scan(step, 2.0, 0.0, Z, record=["e", "y"])
    np.testing.assert_array_equal(recorded["e"], np.exp(-2.0 * Z))
    np.testing.assert_array_equal(recorded["y"], ys)


def test_backward_steps_share_too():
    """cosh is needed in the pullback of each sinh, and both are of one argument."""
    step = lambda w, s, x: (np.sinh(w * s) * np.cosh(w * s), s)  # noqa: E731
    _, pullback = tg.vjp(lambda w: tg.scan(step, w, np.ones(4), Z), np.full(4, 0.1))
    linear = next(node for node in pullback.tape.nodes if node is not None).options["linear"]
    assert names(linear.forward.tape).count("sinh") == 1
    pulled = names(linear.backward(linear.pattern([True, True])).step.tape)
    assert pulled.count("sinh") <= 1
    assert pulled.count("cosh") <= 1
