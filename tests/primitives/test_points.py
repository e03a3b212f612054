"""Special points: ties, ends of the domain, infinities, NaN, and Python scalars among the arguments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.primitives.elementwise import Elementwise
from tapegrad.testing import check_grads
from tests.specs import PRIMITIVES, SMOOTH, SPECS

POINTS = [
    pytest.param(row, point, id=f"{row.name}{point.args}") for row in SPECS.values() for point in row.points
]
ELEMENTWISE = [row for row in SMOOTH if isinstance(PRIMITIVES[row.name], Elementwise) and row.name != "cast"]


def floating(point):
    return [i for i, x in enumerate(point.args) if isinstance(x, (float, np.ndarray))]


def among(row, point, moving):
    def f(*given):
        args = list(point.args)
        for i, value in zip(moving, given, strict=True):
            args[i] = value
        return PRIMITIVES[row.name](*args, **point.options)

    return f


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("row", "point"), POINTS)
def test_the_derivative_at_special_points(row, point, dtype):
    asked = zip(floating(point), point.partials, strict=True)
    moving, partials = zip(*[(i, partial) for i, partial in asked if partial is not None], strict=True)
    f = among(row, point, moving)
    args = [np.asarray(point.args[i], dtype) for i in moving]
    value, pullback = tg.vjp(f, *args)
    weight = 0.75  # no number that the arguments have, so that none of them can stand in its place
    for position, (g, partial) in enumerate(zip(pullback(weight * np.ones_like(value)), partials, strict=True)):
        np.testing.assert_allclose(g, weight * np.asarray(partial), rtol=1e-6)
        along = [np.zeros_like(x) for x in args]
        if np.isfinite(partial).all() and all(np.isfinite(x).all() for x in args):
            along[position] = weight * np.ones_like(args[position])
            slope = tg.jvp(f, args, along)[1]
            np.testing.assert_allclose(slope, weight * np.sum(partial), rtol=1e-6)
            alone, others = args[position], (args[:position], args[position + 1 :])
            slope = tg.jvp(lambda x, others=others: f(*others[0], x, *others[1]), [alone], [along[position]])[1]
            np.testing.assert_allclose(slope, weight * np.sum(partial), rtol=1e-6)


def test_smooth_functions_are_smooth_where_their_arguments_are_equal():
    x = np.array([0.3, -1.2])
    for f in (np.logaddexp, np.add, np.multiply, np.divide, np.arctan2, lambda x, y: np.logaddexp(x, y) - x):
        check_grads(f, (x, x), order=3)


def test_a_power_of_zero_does_not_move_with_its_exponent():
    """A convention for negative exponents, where NumPy itself warns: the power is infinite."""
    for zero in (0, np.zeros(2)):
        with np.errstate(divide="ignore"):
            pullback = tg.vjp(lambda y, x=zero: x**y, np.array([2.0, -1.0]))[1]
        np.testing.assert_array_equal(pullback(np.ones(2))[0], 0.0)


def test_second_derivatives_where_an_argument_is_zero():
    def second(f, x, y):
        return tg.hessian(lambda z: f(z[0], z[1]))(np.array([x, y]))

    np.testing.assert_array_equal(second(np.hypot, 0.0, 4.0), [[0.25, 0.0], [0.0, 0.0]])
    np.testing.assert_array_equal(second(np.hypot, 4.0, 0.0), [[0.0, 0.0], [0.0, 0.25]])
    np.testing.assert_array_equal(second(np.hypot, 0.0, 0.0), np.zeros((2, 2)))
    np.testing.assert_array_equal(second(PRIMITIVES["xlogy"], 0.0, 4.0), [[0.0, 0.25], [0.25, 0.0]])
    np.testing.assert_array_equal(second(PRIMITIVES["xlog1py"], 0.0, 3.0), [[0.0, 0.25], [0.25, 0.0]])


def test_logarithms_have_an_infinite_slope_at_zero():
    with np.errstate(divide="ignore"):
        for name, pole in (("xlogy", 0.0), ("xlog1py", -1.0)):
            assert tg.grad(PRIMITIVES[name], 1)(2.0, pole) == np.inf


def test_a_cotangent_that_is_zero_can_be_differentiated():
    pullback = tg.vjp(np.hypot, 3.0, 4.0)[1]
    slopes = tg.jvp(pullback, (0.0,), (1.0,))[1]
    np.testing.assert_allclose(slopes, [0.6, 0.8], rtol=1e-15)


def test_reductions_of_python_numbers():
    for name in ("max", "min", "sum"):
        f = lambda x, name=name: PRIMITIVES[name](x, axis=(), keepdims=False)  # noqa: E731
        assert tg.grad(f)(2.0) == 1.0
        assert tg.jvp(f, (2.0,), (3.0,))[1] == 3.0


def test_infinite_python_numbers():
    x = np.array([-np.inf, 0.0])
    np.testing.assert_array_equal(tg.vjp(lambda x: np.logaddexp(x, -np.inf), x)[1](np.ones(2))[0], [0.5, 1.0])
    np.testing.assert_array_equal(tg.vjp(lambda x: np.logaddexp(-np.inf, x), x)[1](np.ones(2))[0], [0.5, 1.0])


def test_a_number_made_an_integer_has_no_gradient():
    x, table = np.array([1.2, 0.3, 1.9]), np.array([5.0, 7.0])
    for f, right in (
        (lambda x: x.astype(int) * 2.5, 0.0),
        (lambda x: x.astype(int) * x, [1.0, 0.0, 1.0]),
        (lambda x: tg.take(table, x.astype(int), axis=0), 0.0),
        (lambda x: tg.take(table, x.astype(int), axis=0) * x, [7.0, 5.0, 7.0]),
        (lambda x: PRIMITIVES["scatter"](np.ones(3), x.astype(int), template=("array",), shape=(2,)), 0.0),
    ):
        value, pullback = tg.vjp(f, x)
        np.testing.assert_array_equal(pullback(np.ones_like(value))[0], np.zeros(3) + right)
        np.testing.assert_array_equal(tg.jvp(f, (x,), (np.ones(3),))[1], np.zeros(value.shape) + right)


def test_narrow_integers_index_long_arrays():
    table, at = np.arange(600.0).reshape(300, 2), np.array([-1, 3, 3, -128], np.int8)
    found = tg.vjp(lambda table: table[at], table)[1](np.ones((4, 2)))[0]
    np.testing.assert_array_equal(np.flatnonzero(found[:, 0]), [3, 172, 299])
    np.testing.assert_array_equal(found[3], [2.0, 2.0])
    assert not tg.vjp(lambda table: table[at[:0]], table)[1](np.ones((0, 2)))[0].any()


def test_gradients_of_a_mixed_product_have_the_dtypes_of_its_operands():
    for dtypes in ((np.float32, np.float64), (np.float64, np.float32)):
        x, y = (np.ones((2, 2), dtype) for dtype in dtypes)
        assert [g.dtype for g in tg.vjp(np.matmul, x, y)[1](np.ones((2, 2)))] == [np.dtype(d) for d in dtypes]


def test_rows_that_are_read_under_several_names_add_up():
    x, at = np.linspace(0.1, 0.9, 24).reshape(4, 3, 2), np.array([[-1, 3, 2], [0, -4, 3]])
    check_grads(lambda x: x[at] * np.cos(x[at[:, ::-1]]), (x,), order=1)
    check_grads(lambda x: x[at] * np.cos(x[at[0]])[0], (x,), order=1)
    mapped = tg.vmap(lambda i: tg.take(x, i, axis=2))(at % 2)
    np.testing.assert_array_equal(mapped, np.stack([x[:, :, i] for i in at % 2]))
    both = lambda x: PRIMITIVES["scatter"](  # noqa: E731
        np.ones(3), x.astype(int), np.arange(3), template=("array", "array"), shape=(2, 3))  # fmt: skip
    assert not tg.vjp(both, np.ones(3))[1](np.ones((2, 3)))[0].any()


def test_what_does_not_depend_on_the_batch_is_repeated():
    for constant in (2.5, np.array(2.5), np.array([2.5, 1.0])):
        found = tg.vmap(lambda x, c=constant: c)(np.zeros(3))
        np.testing.assert_array_equal(found, np.stack([np.asarray(constant)] * 3))


def test_a_power_with_the_exponent_zero_is_smooth_in_both():
    check_grads(lambda x, y: x**y, (np.array([0.3, 1.7]), np.zeros(2)), order=3)


@pytest.mark.parametrize("row", ELEMENTWISE, ids=str)
@given(st.data())
def test_nan_does_not_spread_to_other_elements(row, data):
    primitive, call = PRIMITIVES[row.name], data.draw(row.calls)
    args = [np.array(x) for x in np.broadcast_arrays(*call.args)]
    place = next((i for i, x in enumerate(args) if x.dtype.kind == "f"), 0)
    f = lambda *args: np.sum(primitive(*args, **call.options))  # noqa: E731
    clean = tg.grad(f, place)(*args)
    if clean.size:
        args[place].flat[0] = np.nan
        with np.errstate(invalid="ignore"):
            found = tg.grad(f, place)(*args)
        np.testing.assert_array_equal(np.ravel(found)[1:], np.ravel(clean)[1:])


@pytest.mark.parametrize("row", [r for r in ELEMENTWISE if r.name != "where"], ids=str)
@given(st.data())
def test_python_floats_and_zero_dimensional_arrays_agree(row, data):
    """A Python float is weak, and otherwise an array without axes; it can be differentiated too."""
    primitive, call = PRIMITIVES[row.name], data.draw(row.calls)
    if any(np.size(x) == 0 or not np.issubdtype(np.asarray(x).dtype, np.floating) for x in call.args):
        return
    numbers = [float(np.ravel(x)[0]) for x in call.args]
    value, grads = tg.value_and_grad(primitive, range(len(numbers)))(*numbers)
    expected = tg.value_and_grad(primitive, range(len(numbers)))(*[np.float64(n) for n in numbers])
    np.testing.assert_allclose((value, *grads), (expected[0], *expected[1]), rtol=1e-13)


WITH_TWO = [
    row for row in ELEMENTWISE if len(PRIMITIVES[row.name].derivatives) == 2 and all(PRIMITIVES[row.name].derivatives)
]


@pytest.mark.parametrize("row", WITH_TWO, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("place", ["left", "right", "whole"])
def test_a_python_scalar_operand_keeps_the_dtype(row, dtype, place):
    """NEP 50, on both sides, in the value, the cotangent, the tangent and the second derivative."""
    primitive, x = PRIMITIVES[row.name], np.array([0.7, 1.6], dtype)

    def f(x, number=float if place != "whole" else int):
        return primitive(number(0.9), x) if place == "left" else primitive(x, number(2.9))

    value, pullback = tg.vjp(f, x)
    tangent = tg.jvp(f, (x,), (x,))[1]
    second = tg.hvp(lambda x: np.sum(f(x)), x, x)
    cotangent = pullback(np.ones_like(value))[0]
    assert {a.dtype for a in (value, tangent, second, cotangent)} == {np.dtype(dtype)}
    by_array = tg.vjp(lambda x: f(x, dtype), x)[1](np.ones_like(value))[0]
    if place != "whole":
        np.testing.assert_allclose(cotangent, by_array, rtol=1e-6)
