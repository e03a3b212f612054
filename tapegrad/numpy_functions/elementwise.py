"""Functions of elements that are compositions of the elementwise primitives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import UnsupportedPrimitive
from ..primitives import elementwise as ew
from ..primitives.registry import Primitive, example
from ..tensor import apply, aval_of
from .common import asarray, refuse
from .selection import where
from .shapes import astype

LN2, LN10, PI = float(np.log(2.0)), float(np.log(10.0)), float(np.pi)
SINC = (1.0, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800, 1 / 6227020800)


def dtype_of(ufunc: Any, *args: Any) -> np.dtype:
    """The dtype in which NumPy gives the (first) result."""
    made = ufunc(*[example(aval_of(x)) for x in args])
    return (made[0] if isinstance(made, tuple) else made).dtype


def _floating(ufunc: Any, x: Any) -> Any:
    """``x``, and integers as the floating numbers as which ``ufunc`` takes them."""
    if isinstance(x, (int, float)) or aval_of(x).dtype.kind == "f":
        return x
    return astype(x, dtype_of(ufunc, x))


def _scaled(ufunc: Any, factor: float) -> Callable:
    return lambda x: _floating(ufunc, x) * factor


def is_nan(x: Any) -> Any:
    return ew.logical_not(ew.equal(x, x))


def negative_zero_too(x: Any) -> Any:
    """np.signbit: true for -0.0 too, whose angle with the negative axis is -pi."""
    return ew.less(ew.arctan2(ew.stop_gradient(x), -1.0), 0.0)


def reciprocal(x: Any) -> Any:
    return 1.0 / x if aval_of(x).dtype.kind == "f" else astype(1.0 / x, aval_of(x).dtype)


def trunc(x: Any) -> Any:
    return ew.sign(x) * ew.floor(np.abs(x))


def fmax(x: Any, y: Any) -> Any:
    return where(is_nan(x), y, where(is_nan(y), x, ew.maximum(x, y)))


def fmin(x: Any, y: Any) -> Any:
    return where(is_nan(x), y, where(is_nan(y), x, ew.minimum(x, y)))


def logaddexp2(x: Any, y: Any) -> Any:
    return ew.logaddexp(_floating(np.exp2, x) * LN2, _floating(np.exp2, y) * LN2) / LN2


def cbrt(x: Any) -> Any:
    """The real cube root: a power, and a step of Newton's method for its last bits; at 0 the slope is infinite."""
    x = _floating(np.cbrt, x)
    zero = ew.equal(x, 0)
    usual = ew.logical_and(ew.isfinite(x), ew.logical_not(zero))
    safe = where(usual, x, 1.0)
    root = ew.power(np.abs(safe), 1 / 3)
    root = where(ew.less(safe, 0), -root, root)
    root = root - (root - safe / (root * root)) / 3.0
    ends = where(zero, ew.power(where(zero, x, 1.0), 1 / 3), ew.stop_gradient(x))
    return where(usual, root, ends)


def copysign(x: Any, y: Any) -> Any:
    x = astype(asarray(x), dtype_of(np.copysign, x, y))
    differ = ew.logical_not(ew.equal(negative_zero_too(x), negative_zero_too(y)))
    return where(differ, -x, x)


def heaviside(x: Any, y: Any) -> Any:
    dtype = dtype_of(np.heaviside, x, y)
    steps = where(ew.equal(x, 0), y, where(ew.less(x, 0), 0.0, where(is_nan(x), np.nan, 1.0)))
    return astype(steps, dtype)


def modf(x: Any) -> tuple[Any, Any]:
    x = _floating(np.fabs, x)
    whole, ends = trunc(x), ew.logical_not(ew.isfinite(x))
    return where(ends, 0.0 * ew.sign(x), x - where(ends, 0.0, whole)), whole


def fmod(x: Any, y: Any) -> Any:
    """The remainder with the sign of x; of positive numbers it is np.remainder, which is exact."""
    size = abs(y)  # of a Python number a Python number, which is weak
    return where(ew.less(x, 0), -ew.remainder(-x, size), ew.remainder(x, size))


def ldexp(x: Any, exponent: Any) -> Any:
    x = _floating(np.fabs, x)
    return x * astype(ew.power(2.0, exponent), aval_of(x).dtype)


def booleans(symbol: str, primitive: Primitive, *args: Any) -> Any:
    for arg in args:
        if not isinstance(arg, bool) and getattr(arg, "dtype", None) != np.bool_:
            raise UnsupportedPrimitive(
                f"{symbol} on a Tensor combines booleans, and an argument is "
                f"{getattr(arg, 'dtype', type(arg).__name__)}; "
                "compare first, as in (x > 0) & (y > 0)"
            )
    return apply(primitive, args)


def logical_xor(x: Any, y: Any) -> Any:
    return ew.logical_not(ew.equal(ew.logical_not(x), ew.logical_not(y)))


UFUNCS: dict[Any, Callable] = {
    np.float_power: lambda x, y: ew.power(astype(asarray(x), np.float64), y),
    np.square: lambda x: x * x,
    np.reciprocal: reciprocal,
    np.positive: lambda x: x,
    np.fabs: lambda x: ew.absolute(_floating(np.fabs, x)),
    np.exp2: lambda x: ew.power(2.0, _floating(np.exp2, x)),
    np.log2: lambda x: ew.log(x) / LN2,
    np.log10: lambda x: ew.log(x) / LN10,
    np.cbrt: cbrt,
    np.logaddexp2: logaddexp2,
    np.deg2rad: _scaled(np.deg2rad, PI / 180.0),
    np.rad2deg: _scaled(np.rad2deg, 180.0 / PI),
    np.radians: _scaled(np.radians, PI / 180.0),
    np.degrees: _scaled(np.degrees, 180.0 / PI),
    np.fmax: fmax,
    np.fmin: fmin,
    np.copysign: copysign,
    np.heaviside: heaviside,
    np.modf: modf,
    np.divmod: lambda x, y: (ew.floor_divide(x, y), ew.remainder(x, y)),
    np.fmod: fmod,
    np.ldexp: ldexp,
    np.ceil: lambda x: -ew.floor(-x),
    np.trunc: trunc,
    np.greater: lambda x, y: ew.less(y, x),
    np.greater_equal: lambda x, y: ew.less_equal(y, x),
    np.not_equal: lambda x, y: ew.logical_not(ew.equal(x, y)),
    np.isnan: is_nan,
    np.isinf: lambda x: ew.equal(np.abs(x), np.inf),
    np.signbit: negative_zero_too,
    np.logical_xor: logical_xor,
    np.bitwise_and: lambda x, y: booleans("&", ew.logical_and, x, y),
    np.bitwise_or: lambda x, y: booleans("|", ew.logical_or, x, y),
    np.bitwise_xor: lambda x, y: ew.logical_not(booleans("^", ew.equal, x, y)),
    np.invert: lambda x: booleans("~", ew.logical_not, x),
}


# ---- functions that are no ufuncs ----
def sinc(x):
    """sin(pi x) / (pi x); within pi |x| < 1/4 its series, whose derivatives lose no digits near 0."""
    y = PI * (x if aval_of(x).dtype.kind == "f" else astype(x, np.float64))
    small = ew.less(np.abs(y), 0.25)
    near, far = where(small, y, 0.0), where(small, 1.0, y)
    square, series = near * near, SINC[-1]
    for coefficient in SINC[-2::-1]:
        series = series * square + coefficient
    return where(small, series, ew.sin(far) / far)


def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    if aval_of(x).dtype.kind != "f":
        return x
    ends = np.finfo(x.dtype)
    x = where(is_nan(x), nan, x)
    x = where(ew.equal(x, np.inf), float(ends.max) if posinf is None else posinf, x)
    return where(ew.equal(x, -np.inf), float(ends.min) if neginf is None else neginf, x)


def round(a, decimals=0, out=None):  # noqa: A001
    refuse("round", out=out)
    dtype = aval_of(a).dtype
    if dtype.kind != "f":
        return a if decimals >= 0 else astype(round(astype(a, np.float64), decimals), dtype)
    if not decimals:
        return ew.rint(a)
    factor = 10.0 ** abs(decimals)
    return ew.rint(a * factor) / factor if decimals > 0 else ew.rint(a / factor) * factor


def fix(x, out=None):
    refuse("fix", out=out)
    return trunc(x)


def isposinf(x, out=None):
    refuse("isposinf", out=out)
    return ew.equal(x, np.inf)


def isneginf(x, out=None):
    refuse("isneginf", out=out)
    return ew.equal(x, -np.inf)


def isclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    a, b = asarray(a), asarray(b)
    finite = ew.logical_and(ew.isfinite(a), ew.isfinite(b))
    gap = np.abs(where(finite, a, 0) - where(finite, b, 0))
    near = ew.logical_and(finite, ew.less_equal(gap, atol + rtol * np.abs(where(finite, b, 0))))
    near = ew.logical_or(near, ew.equal(a, b))
    return ew.logical_or(near, ew.logical_and(is_nan(a), is_nan(b))) if equal_nan else near


def allclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    return np.all(isclose(a, b, rtol, atol, equal_nan))


def array_equal(a1, a2, equal_nan=False):
    a1, a2 = asarray(a1), asarray(a2)
    if a1.shape != a2.shape:
        return False
    same = ew.equal(a1, a2)
    return np.all(ew.logical_or(same, ew.logical_and(is_nan(a1), is_nan(a2))) if equal_nan else same)


def array_equiv(a1, a2):
    a1, a2 = asarray(a1), asarray(a2)
    try:
        np.broadcast_shapes(a1.shape, a2.shape)
    except ValueError:
        return False
    return np.all(ew.equal(a1, a2))
