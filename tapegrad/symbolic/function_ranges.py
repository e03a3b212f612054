"""The values that functions of elements take, given the values of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sympy import Integer, S, asinh, atan, erf, erfc, exp, log, oo, pi, sinh, sqrt, tanh

from .intervals import EVERYTHING, SYMMETRIC, UNIT, Interval, around, hull, rounded


def _increasing(function: Callable, domain: Interval = EVERYTHING) -> Callable[..., Interval]:
    def ranged(x: Interval) -> Interval:
        low, high = (min(max(end, domain.low), domain.high) for end in x)
        return around([function(low), function(high)])

    return ranged


def _logistic(x: Any) -> Any:
    return 1 / (1 + exp(-x))


def _logarithm(x: Any) -> Any:
    return -oo if x == 0 else log(x)


def _magnitude(x: Interval) -> Interval:
    return Interval(S.Zero if x.low <= 0 <= x.high else min(abs(x.low), abs(x.high)), x.magnitude)


def _log_of_sum(x: Interval, y: Interval) -> Interval:
    ends = [oo if oo in (a, b) else _logarithm(exp(a) + exp(b)) for a, b in zip(x, y, strict=True)]
    return around(ends)


def _signs(x: Interval) -> Interval:
    return Interval(Integer(1) if x.low > 0 else S.Zero if x.low == 0 else S.NegativeOne,
                    Integer(-1) if x.high < 0 else S.Zero if x.high == 0 else S.One)  # fmt: skip


POSITIVE = Interval(S.Zero, oo)
HALF_TURN = Interval(rounded(-pi / 2, up=False), rounded(pi / 2, up=True))
RANGES: dict[str, Callable[..., Interval]] = {
    "tanh": _increasing(tanh),
    "logistic": _increasing(_logistic),
    "erf": _increasing(erf),
    "erfc": _increasing(erfc),  # it decreases: the ends are sorted
    "exp": _increasing(exp),
    "expm1": _increasing(lambda x: exp(x) - 1),
    "log": _increasing(_logarithm, POSITIVE),
    "log1p": _increasing(lambda x: _logarithm(1 + x), Interval(S.NegativeOne, oo)),
    "sqrt": _increasing(sqrt, POSITIVE),
    "sinh": _increasing(sinh),
    "arctan": _increasing(atan),
    "arcsinh": _increasing(asinh),
    "sin": lambda x: SYMMETRIC,
    "cos": lambda x: SYMMETRIC,
    "arcsin": lambda x: HALF_TURN,
    "cosh": lambda x: Interval(S.One, oo),
    "absolute": _magnitude,
    "sign": _signs,
    "maximum": lambda x, y: Interval(max(x.low, y.low), max(x.high, y.high)),
    "minimum": lambda x, y: Interval(min(x.low, y.low), min(x.high, y.high)),
    "where": lambda c, x, y: hull([x, y]),
    "logaddexp": _log_of_sum,
    "stop_gradient": lambda x: x,
    **dict.fromkeys(
        ("equal", "less", "less_equal", "isfinite", "logical_and", "logical_or", "logical_not"), lambda *x: UNIT
    ),
}

# Bounds of |f(x)| by those of |x|, for functions without a bound.
MAGNITUDES: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("sinh", "cosh", "exp", "expm1"), exp),
    **dict.fromkeys(("absolute", "arcsinh", "stop_gradient"), lambda x: x),
    **dict.fromkeys(("floor", "rint"), lambda x: x + 1),
}


def range_of(function: str, arguments: list[Interval]) -> Interval:
    """The range of a function of elements; everything, of one that nothing is known of."""
    rule = RANGES.get(function)
    return EVERYTHING if rule is None else rule(*arguments)
