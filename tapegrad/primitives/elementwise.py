"""Elementwise primitives: a row gives the NumPy function and, for each argument, the derivative.

A derivative is written as the linear map ``g -> g * d ans / d argument``. The map is its own
transpose, so one row serves the VJP (then summed over broadcast axes), the JVP (then broadcast), batching and
the symbolic reading.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import DtypeError, ShapeError
from ..holding import passed
from ..tensor import Aval, apply
from .registry import Primitive, aligned, example, is_inexact, like, shape_of


def same(g, ans, *args):
    return g


def negated(g, ans, *args):
    return -g


class Elementwise(Primitive):
    """A function applied to each element, its arguments broadcast against each other."""

    family = "elementwise"

    def __init__(self, name: str, function: Callable, *derivatives: Callable | None):
        super().__init__(name)
        self.function = self.run = function  # type: ignore[method-assign]
        self.derivatives = derivatives
        self.differentiable = any(derivatives)
        self.reads_inputs = not all(rule in (None, same, negated) for rule in derivatives)
        self._dtypes: dict[tuple, np.dtype] = {}

    def abstract(self, *args: Any, **options: Any) -> Aval:
        try:
            shape = np.broadcast_shapes(*[shape_of(arg) for arg in args])
        except ValueError as error:
            raise self.explained(error, args) from None
        key = tuple([(arg.dtype, arg.weak) if isinstance(arg, Aval) else type(arg) for arg in args])
        dtype = self._dtypes.get(key)
        if dtype is None or options:
            try:
                with np.errstate(all="ignore"):  # the stand-in may be a pole, as 1 is of arctanh
                    dtype = np.asarray(self.function(*[example(arg) for arg in args], **options)).dtype
            except TypeError as error:
                raise DtypeError(f"{self.name}: {error}") from None
            self._dtypes[key] = dtype
        return Aval(shape, dtype)

    def explained(self, error: ValueError, args: Sequence[Any]) -> Exception:
        if "broadcast" not in str(error):
            return error
        return ShapeError(
            f"{self.name}: arguments of shapes {' and '.join(str(shape_of(arg)) for arg in args)} cannot be broadcast "
            "together; axes are compared from the last one, and must be equal or 1"
        )

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        return [
            like(rule(g, ans, *args), x) if slot >= 0 and rule is not None else None
            for rule, x, slot in zip(self.derivatives, args, slots, strict=True)
        ]

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        total = None
        for rule, tangent in zip(self.derivatives, tangents, strict=True):
            if tangent is not None and rule is not None:
                part = rule(tangent, ans, *args)
                total = part if total is None else total + part
        if total is None:
            return None
        if total.dtype != ans.dtype:
            total = total.astype(ans.dtype)
        return total if total.shape == ans.shape else np.broadcast_to(total, ans.shape)

    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        return apply(self, aligned(size, args, flags), options)


class Cast(Elementwise):
    """Conversion to another dtype; the cotangent returns in the dtype of the argument."""

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        return [like(g, args[0]) if is_inexact(ans) else None]

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        return apply(self, tangents, options) if is_inexact(ans) else None


def logistic_function(x):
    """1 / (1 + exp(-x)) without a warning where exp overflows to infinity and the result is 0."""
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-x))


def larger(g, x, y):
    """g where x > y, half of it at a tie."""
    return np.where(x > y, g, np.where(x == y, 0.5 * g, 0.0))


def power_base(g, ans, x, y):
    """d x^y / dx = y x^(y-1), and 0 at x = y = 0."""
    if isinstance(y, (int, float)):
        return g * (2 * x if y == 2 else y * x ** (y - 1) if y else 0.0)
    zero = np.logical_and(np.equal(x, 0), np.equal(y, 0))  # nowhere else: by y the derivative at y = 0 is 1 / x
    return g * (y * x ** np.where(zero, 1.0, y - 1))


def power_exponent(g, ans, x, y):
    """d x^y / dy = x^y log x, and its limit 0 at x = 0."""
    if isinstance(x, (int, float)):
        return g * (ans * (math.log(x) if x > 0 else math.nan) if x else 0.0)
    zero = np.equal(x, 0)
    return g * (np.where(zero, 0.0, ans) * np.log(np.where(zero, 1.0, x)))


def share(g, x, ans):
    """g x / ans, and 0 where ans is 0: a cone has no slope at its tip."""
    return g * (np.where(ans == 0, 0.0, x) / np.where(ans == 0, 1.0, ans))


def gap(x, y):
    """x - y, and 0 where both are the same infinity."""
    if any(type(number) in (int, float) and math.isfinite(number) for number in (x, y)):
        return x - y  # a choice between two Python numbers would be a float64 array, and all behind it
    ends = np.logical_and(np.equal(x, y), np.logical_not(np.isfinite(x)))
    return np.where(ends, 0.0, x - np.where(ends, 0.0, y))


# ---- arithmetic ----
add = Elementwise("add", np.add, same, same)
subtract = Elementwise("subtract", np.subtract, same, negated)
multiply = Elementwise("multiply", np.multiply, lambda g, ans, x, y: g * y, lambda g, ans, x, y: g * x)
divide = Elementwise("divide", np.divide, lambda g, ans, x, y: g / y, lambda g, ans, x, y: -g * ans / y)
power = Elementwise("power", np.power, power_base, power_exponent)
remainder = Elementwise("remainder", np.remainder, same, lambda g, ans, x, y: -g * np.floor(x / y))
negative = Elementwise("negative", np.negative, negated)
absolute = Elementwise("absolute", np.absolute, lambda g, ans, x: g * np.sign(x))
hypot = Elementwise("hypot", np.hypot, lambda g, ans, x, y: share(g, x, ans), lambda g, ans, x, y: share(g, y, ans))
maximum = Elementwise("maximum", np.maximum, lambda g, ans, x, y: larger(g, x, y), lambda g, ans, x, y: larger(g, y, x))
minimum = Elementwise("minimum", np.minimum, lambda g, ans, x, y: larger(g, y, x), lambda g, ans, x, y: larger(g, x, y))

# ---- exponentials and logarithms ----
exp = Elementwise("exp", np.exp, lambda g, ans, x: g * ans)
expm1 = Elementwise("expm1", np.expm1, lambda g, ans, x: g * (ans + 1.0))
log = Elementwise("log", np.log, lambda g, ans, x: g / x)
log1p = Elementwise("log1p", np.log1p, lambda g, ans, x: g / (x + 1.0))
sqrt = Elementwise("sqrt", np.sqrt, lambda g, ans, x: 0.5 * g / ans)
logistic = Elementwise("logistic", logistic_function, lambda g, ans, x: g * (ans * (1.0 - ans)))
logaddexp = Elementwise(
    "logaddexp",
    np.logaddexp,
    lambda g, ans, x, y: g * logistic(gap(x, y)),
    lambda g, ans, x, y: g * logistic(gap(y, x)),
)

# ---- trigonometric and hyperbolic ----
sin = Elementwise("sin", np.sin, lambda g, ans, x: g * np.cos(x))
cos = Elementwise("cos", np.cos, lambda g, ans, x: -g * np.sin(x))
tan = Elementwise("tan", np.tan, lambda g, ans, x: g * (1.0 + ans * ans))
arcsin = Elementwise("arcsin", np.arcsin, lambda g, ans, x: g / np.sqrt(1.0 - x * x))
arccos = Elementwise("arccos", np.arccos, lambda g, ans, x: -g / np.sqrt(1.0 - x * x))
arctan = Elementwise("arctan", np.arctan, lambda g, ans, x: g / (1.0 + x * x))
arctan2 = Elementwise(
    "arctan2",
    np.arctan2,
    lambda g, ans, x, y: g * (y / (x * x + y * y)),
    lambda g, ans, x, y: -g * (x / (x * x + y * y)),
)
sinh = Elementwise("sinh", np.sinh, lambda g, ans, x: g * np.cosh(x))
cosh = Elementwise("cosh", np.cosh, lambda g, ans, x: g * np.sinh(x))
arcsinh = Elementwise("arcsinh", np.arcsinh, lambda g, ans, x: g / np.sqrt(x * x + 1.0))
arccosh = Elementwise("arccosh", np.arccosh, lambda g, ans, x: g / (np.sqrt(x - 1.0) * np.sqrt(x + 1.0)))
arctanh = Elementwise("arctanh", np.arctanh, lambda g, ans, x: g / (1.0 - x * x))
tanh = Elementwise("tanh", np.tanh, lambda g, ans, x: g * (1.0 - ans * ans))

# ---- choice and conversion ----
where = Elementwise(
    "where",
    np.where,
    None,
    lambda g, ans, c, x, y: np.where(c, g, 0.0),
    lambda g, ans, c, x, y: np.where(c, 0.0, g),
)
cast = Cast("cast", lambda x, dtype: np.asarray(x).astype(dtype), same)
stop_gradient = Elementwise("stop_gradient", lambda x: x, None)
stop_gradient.run = passed  # type: ignore[method-assign]  # which an oracle may hold at its values at a point

# ---- without a derivative, or with a derivative that is zero wherever it exists ----
sign = Elementwise("sign", np.sign, None)
floor = Elementwise("floor", np.floor, None)
rint = Elementwise("rint", np.rint, None)
floor_divide = Elementwise("floor_divide", np.floor_divide, None, None)
equal = Elementwise("equal", np.equal, None, None)
less = Elementwise("less", np.less, None, None)
less_equal = Elementwise("less_equal", np.less_equal, None, None)
isfinite = Elementwise("isfinite", np.isfinite, None)
logical_and = Elementwise("logical_and", np.logical_and, None, None)
logical_or = Elementwise("logical_or", np.logical_or, None, None)
logical_not = Elementwise("logical_not", np.logical_not, None)
