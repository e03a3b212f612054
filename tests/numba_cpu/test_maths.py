"""The vectorised functions against exact ones: the bounds that they state, special values, and NumPy's conventions."""

import inspect
import re

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mpf

from tapegrad.backends.numba_cpu import constants, maths
from tapegrad.primitives import error_function
from tests.numba_cpu import derive_constants
from tests.numba_cpu.mapped import DTYPES, mapped, njit

LIMITS = {np.float32: (-126, 23, 88.7), np.float64: (-1022, 52, 709.7)}  # exponent, mantissa bits, largest exponent
EXACT = ("floor_divide", "maximum", "minimum", "remainder", "sign")
BINARY = ("arctan2", "floor_divide", "hypot", "logaddexp", "maximum", "minimum", "power", "remainder")
ROUNDED = sorted(set(maths.FUNCTIONS) - set(EXACT))


def logistic(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.logaddexp(x, x.dtype.type(0))


NUMPY = {"logistic": logistic, "softplus": softplus}
NUMPY |= {"erf": error_function.erf_function, "erfc": error_function.erfc_function}
NUMPY |= {name: getattr(np, name) for name in maths.FUNCTIONS if name not in NUMPY}
MPMATH = {
    "arccos": mpmath.acos,
    "arccosh": mpmath.acosh,
    "arcsin": mpmath.asin,
    "arcsinh": mpmath.asinh,
    "arctan": mpmath.atan,
    "arctan2": mpmath.atan2,
    "arctanh": mpmath.atanh,
    "erfc": lambda x: mpmath.erfc(x) if x < 30 else mpf(0),  # it overflows in mpmath
    "logaddexp": lambda x, y: mpmath.log(mpmath.exp(x) + mpmath.exp(y)),
    "logistic": lambda x: 1 / (1 + mpmath.exp(-x)),
    "power": lambda x, y: x**y,
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
}


def exact(name, arrays):
    """In two parts, whose sum has more digits than the dtype: by NumPy in float64, or by mpmath."""
    if arrays[0].dtype == np.float32:
        with np.errstate(all="ignore"):
            return NUMPY[name](*(array.astype(np.float64) for array in arrays)), 0.0
    function = MPMATH.get(name) or getattr(mpmath, name)
    with mpmath.workprec(1200 if name == "logaddexp" else 200):
        values = [function(*map(mpf, point)) for point in zip(*(array.tolist() for array in arrays), strict=True)]
        heads = np.array([float(value) for value in values])
        tails = np.array([float(v - mpf(h)) if np.isfinite(h) else 0.0 for v, h in zip(values, heads, strict=True)])
    return heads, tails


def unit(size, dtype):
    """The unit in the last place of a number of this size."""
    lowest, mantissa, _ = LIMITS[dtype]
    return np.ldexp(1.0, np.maximum(np.frexp(size)[1] - 1, lowest) - mantissa)


def assert_within_bound(name, *arrays):
    """The stated error, where the true result is a finite normal number; zero is allowed for smaller ones."""
    dtype = arrays[0].dtype.type
    function = maths.FUNCTIONS[name]
    result = mapped(function, *arrays).astype(np.float64)
    head, tail = exact(name, arrays)
    with np.errstate(over="ignore"):
        finite = np.isfinite(head) & np.isfinite(head.astype(dtype))
    size = np.maximum(np.abs(head), np.abs(np.maximum(*arrays))) if name == "logaddexp" else np.abs(head)
    allowed = function.ulps[8 * np.dtype(dtype).itemsize] * unit(np.where(finite, size, 1.0), dtype)
    flushed = np.isfinite(head) & (np.abs(head) < np.finfo(dtype).tiny) & (result == 0)
    overflown = ~finite & (np.abs(result) > 0.999 * np.finfo(dtype).max)
    with np.errstate(invalid="ignore"):
        right = finite & (np.abs((result - head) - tail) <= allowed)
    right |= overflown | flushed | (np.isnan(head) & np.isnan(result))
    if not right.all():
        i = np.flatnonzero(~right)[0]
        point = ", ".join(repr(float(array[i])) for array in arrays)
        pytest.fail(f"{name}({point}) = {result[i]!r}, not {head[i]!r}, in {np.dtype(dtype)}; wrong: {(~right).sum()}")


def either_sign(magnitudes, rng):
    return magnitudes * rng.choice([-1.0, 1.0], magnitudes.size)


def grids(name, dtype):
    """Arguments all over the domain: around 1, up to the overflow of exp, at every order of magnitude, at the edges."""
    rng = np.random.default_rng(0)
    count = 20_000 if dtype == np.float32 else 300
    lowest, mantissa, largest = LIMITS[dtype]
    normal = rng.normal(size=count)
    broad = rng.uniform(-largest, largest, count)
    orders = either_sign(np.exp2(rng.uniform(lowest, -lowest, count)), rng)
    units = either_sign(np.exp2(rng.uniform(-mantissa - 4, 0, count)), rng)
    if name == "power":
        x = np.abs(np.concatenate([orders, 1 + normal / 50]))
        with np.errstate(all="ignore"):
            return x, np.clip(np.concatenate([broad, broad]) / np.log(x), -1e30, 1e30)
    if name == "logaddexp":
        far = rng.uniform(-largest, largest, count)
        return np.concatenate([normal, broad, far]), np.concatenate([np.flip(normal), broad + 5 * normal, broad])
    if name in BINARY:
        return np.concatenate([normal, orders, broad]), np.concatenate([np.flip(normal), np.flip(orders), normal])
    if name in ("sin", "cos", "tan"):
        limit = 1e5 if dtype == np.float32 else 1e8
        turns = np.round(rng.uniform(-limit, limit, count) / (np.pi / 2)) * (np.pi / 2)  # where the reduction cancels
        return (np.concatenate([normal, broad, orders, rng.uniform(-limit, limit, count), turns, 10 * turns]),)
    if name in ("arcsin", "arccos", "arctanh"):
        return (np.concatenate([units, rng.uniform(-1, 1, count), np.copysign(1, units) - units]),)
    if name in ("erf", "erfc"):
        return (np.concatenate([normal, orders, units, rng.uniform(-6, 6, count), rng.uniform(0, 28, count)]),)
    if name == "log":
        return (np.abs(np.concatenate([normal, orders, 1 + units, 1 + normal / 50])),)
    if name == "log1p":
        return (np.concatenate([np.abs(normal), np.abs(orders), units[np.abs(units) < 1], -rng.uniform(0, 1, count)]),)
    if name == "arccosh":
        return (1 + np.abs(np.concatenate([normal, orders, units])),)
    return (np.concatenate([normal, broad, orders, units]),)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ROUNDED)
def test_error_is_within_the_stated_bound(name, dtype):
    assert_within_bound(name, *(grid.astype(dtype) for grid in grids(name, dtype)))


# ---- special values ----
def special_values(dtype):
    info = np.finfo(dtype)
    small = [0.0, info.smallest_subnormal, info.tiny, info.eps, 0.5, 1.0, 1.5, 2.0, 3.0, 88.0, 1e4, 2.0**25, info.max]
    return np.array([*small, *(-value for value in small), np.inf, -np.inf, np.nan], dtype)


def assert_like_numpy(name, *arrays):
    """Values at infinity, NaN and zero, and the signs of zeros; the others within a few units of NumPy's own."""
    dtype = arrays[0].dtype.type
    result = mapped(maths.FUNCTIONS[name], *arrays)
    with np.errstate(all="ignore"):
        expected = NUMPY[name](*arrays)
        close = np.abs(result - expected) <= 8 * unit(np.abs(expected), dtype)
        close |= (name == "logaddexp") & (np.abs(result - expected) < np.finfo(dtype).tiny)
    tiny = np.abs(expected) <= np.finfo(dtype).tiny
    right = (result == expected) | (np.isnan(result) & np.isnan(expected)) | close | (tiny & (result == 0))
    if name not in ("maximum", "minimum"):  # of zeros of both signs NumPy returns either
        right &= (result != 0) | (expected != 0) | (np.signbit(result) == np.signbit(expected))
    wrong = [tuple(float(array[i]) for array in arrays) for i in np.flatnonzero(~right)]
    assert not wrong, f"{name} of {wrong[:5]}: {result[~right][:5]}, not {expected[~right][:5]}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", maths.FUNCTIONS)
def test_special_values_are_numpys(name, dtype):
    values = special_values(dtype)
    if name in BINARY:
        x, y = (grid.ravel() for grid in np.meshgrid(values, values))
        assert_like_numpy(name, x, y)
    else:
        assert_like_numpy(name, values)


def test_large_angles_go_through_the_library():
    for dtype in DTYPES:
        x = np.array([1e5, 2e5, 1e9, 1e22, 3e38, 0.5, -1e30, 1.0], dtype)
        for name in ("sin", "cos", "tan"):
            assert_within_bound(name, x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_exact_functions_equal_numpys(name, dtype):
    rng = np.random.default_rng(1)
    x, y = (either_sign(np.exp2(rng.uniform(-40, 40, 5000)), rng).astype(dtype) for _ in range(2))
    whole = np.round(rng.uniform(-50, 50, (2, 5000))).astype(dtype)
    cases = [(x, y), tuple(whole), (x, np.round(x / 3)), (y * np.round(x), y)]
    for case in cases:
        assert_like_numpy(name, *case[: 2 if name in BINARY else 1])
        with np.errstate(all="ignore"):
            expected = NUMPY[name](*case[: 2 if name in BINARY else 1])
        np.testing.assert_array_equal(mapped(maths.FUNCTIONS[name], *case[: 2 if name in BINARY else 1]), expected)


# ---- anything at all ----
@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_any_numbers(dtype, data):
    name = data.draw(st.sampled_from(ROUNDED), label="function")
    numbers = st.floats(width=8 * np.dtype(dtype).itemsize, allow_nan=False, allow_infinity=False)
    bounded = st.floats(-200, 200, width=32)
    points = st.lists(numbers | bounded, min_size=40, max_size=40)
    x, y = (np.array(data.draw(points, label="arguments"), dtype) for _ in range(2))
    assert_like_numpy(name, *((x, y) if name in BINARY else (x,)))


def test_numbers_stand_beside_vectors():
    power = maths.FUNCTIONS["power"]
    x = np.linspace(0.1, 4, 37, dtype=np.float32)
    np.testing.assert_allclose(mapped(njit(lambda x: power(x, 1 / 3)), x), np.cbrt(x), rtol=1e-6)
    np.testing.assert_allclose(mapped(njit(lambda x: power(2, x)), x), np.exp2(x), rtol=1e-6)


# ---- what stands in the documents ----
def test_docstrings_state_the_bounds():
    for name, function in maths.FUNCTIONS.items():
        stated = re.search(r"at most ([\d.]+) ulp in float32 and ([\d.]+) ulp in float64", inspect.getdoc(function))
        assert stated, name
        assert [float(bound) for bound in stated.groups()] == [function.ulps[32], function.ulps[64]]


def test_constants_are_the_derived_ones(capsys):
    derive_constants.main()
    derived: dict = {}
    exec(capsys.readouterr().out, derived)
    for name, table in [*vars(constants).items(), *vars(error_function).items()]:
        if name.isupper() and isinstance(table, dict):
            assert derived[name] == table, name
