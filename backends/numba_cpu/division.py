"""Remainders, signs, extremes and lengths on vectors, as NumPy defines them; all but lengths are exact."""

from __future__ import annotations

from math import inf
from typing import Any

from .formulas import formula, where_rare
from .lanes import MANTISSA, Lanes, Truth, absolute, copysign, floor, fma, is_nan, select, sqrt, truncate


def library_remainder(builder: Any, x: Any, y: Any) -> Any:
    """C's fmod of one element."""
    return builder.frem(x, y)


def truncated_remainder(x: Lanes, y: Lanes) -> Lanes:
    """x - q y with the quotient q rounded towards 0, exactly.

    Where the quotient is below 2^23 (float32) or 2^52, the rounded one is at most 1 too large, and the difference is
    exact; elsewhere the C library does it, one lane at a time.
    """
    q = truncate(x / y)
    r = fma(-q, y, x)
    r = select(opposite(r, x), r + copysign(y, x), r)
    rare = (absolute(q) >= 2.0 ** MANTISSA[x.width]) | (absolute(y) == inf)
    return where_rare(rare, r, library_remainder, x, y)


def opposite(r: Lanes, y: Lanes) -> Truth:
    """Neither is 0, and their signs differ."""
    return ((r < 0.0) & (y > 0.0)) | ((r > 0.0) & (y < 0.0))


@formula(float32=0.5, float64=0.5)
def remainder(x: Lanes, y: Lanes) -> Lanes:
    """x modulo y, with the sign of y; NaN for y = 0 and for infinite x."""
    r = truncated_remainder(x, y)
    return select(r == 0.0, copysign(0.0, y), select(opposite(r, y), r + y, r))


@formula(float32=0.5, float64=0.5)
def floor_divide(x: Lanes, y: Lanes) -> Lanes:
    """The quotient that belongs to :func:`remainder`; x / y for y = 0."""
    r = truncated_remainder(x, y)
    quotient = (x - r) / y - select(opposite(r, y), x.of_number(1.0), 0.0)
    below = floor(quotient)
    nearest = select(quotient - below > 0.5, below + 1.0, below)
    result = select(quotient == 0.0, copysign(0.0, x / y), nearest)
    return select(y == 0.0, x / y, result)


@formula(float32=0, float64=0)
def sign(x: Lanes) -> Lanes:
    """-1, 0 or 1; NaN of NaN."""
    return select(x > 0.0, 1.0, select(x < 0.0, -1.0, absolute(x) * 0.0))  # a flushed denormal is 0 as well


@formula(float32=0, float64=0)
def maximum(x: Lanes, y: Lanes) -> Lanes:
    """The larger one; NaN if one is NaN."""
    return select((x > y) | is_nan(x), x, y)


@formula(float32=0, float64=0)
def minimum(x: Lanes, y: Lanes) -> Lanes:
    """The smaller one; NaN if one is NaN."""
    return select((x < y) | is_nan(x), x, y)


@formula(float32=2, float64=2)
def hypot(x: Lanes, y: Lanes) -> Lanes:
    """sqrt(x^2 + y^2) without overflow; infinite where one argument is, even beside NaN."""
    x, y = absolute(x), absolute(y)
    larger, smaller = select(x > y, x, y), select(x > y, y, x)
    ratio = select(larger == 0.0, smaller, smaller / larger)  # a NaN beside 0 stays
    return select((x == inf) | (y == inf), x.of_number(inf), larger * sqrt(fma(ratio, ratio, 1.0)))
