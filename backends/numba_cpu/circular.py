"""Sine, cosine, tangent and their inverses on vectors, for float32 and float64.

The argument is reduced by multiples of pi / 2, which are subtracted in three parts with one rounding each. That is good
up to ``REDUCIBLE``; in the rare vector with a larger argument, those lanes go one by one through the C library's
function, which is as accurate everywhere but twenty to fifty times slower. Infinities give NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from llvmlite import ir

from .constants import ARCSINE, ARCTANGENT, COSINE, HALF_PI, SINE
from .exponentials import shifter
from .formulas import formula, where_rare
from .lanes import Bits, Lanes, absolute, copysign, fma, polynomial, select, sqrt
from .vectors import call_llvm

REDUCIBLE = {32: 1e5, 64: 1e8}
TAN_PI_8, TAN_3_PI_8 = 0.41421356237309503, 2.414213562373095


def library(name: str) -> Callable:
    """A function of the C library, of one element."""

    def scalar(builder: Any, element: Any) -> Any:
        suffix = "f" if element.type == ir.FloatType() else ""
        return call_llvm(builder, name + suffix, element.type, element)

    scalar.__name__ = name
    return scalar


def reduced(size: Lanes, quarter: int) -> tuple[Bits, Lanes]:
    """size = n pi / 2 + r with abs(r) <= pi / 4: bits whose last two are n + quarter modulo 4, and r."""
    whole = fma(size, 0.6366197723675814, shifter(size.width) + quarter)
    n = whole - (shifter(size.width) + quarter)
    r = size
    for part in HALF_PI[size.width]:
        r = fma(n, -part, r)
    return whole.bits(), r


def sine_and_cosine(r: Lanes) -> tuple[Lanes, Lanes]:
    """Of an argument within pi / 4."""
    z = r * r
    sine = fma(z * r, polynomial(z, SINE), r)
    return sine, fma(z * z, polynomial(z, COSINE), fma(z, -0.5, 1.0))


def sine_of_quadrant(quadrant: Bits, r: Lanes) -> Lanes:
    """sin(r + quadrant pi / 2)."""
    sine, cosine = sine_and_cosine(r)
    turned = select((quadrant & 1).nonzero(), cosine, sine)
    sign = (quadrant >> 1) << (r.width - 1)
    return (turned.bits() ^ sign).as_floats()


@formula(float32=2, float64=2)
def sin(x: Lanes) -> Lanes:
    """The sine; beyond 1e5 (float32) or 1e8 (float64) the C library's, one lane at a time."""
    size = absolute(x)
    result = sine_of_quadrant(*reduced(size, 0))
    signed = (result.bits() ^ (x.bits() ^ size.bits())).as_floats()
    return where_rare(size > REDUCIBLE[x.width], signed, library("sin"), x)


@formula(float32=2, float64=2)
def cos(x: Lanes) -> Lanes:
    """The cosine; beyond 1e5 (float32) or 1e8 (float64) the C library's, one lane at a time."""
    size = absolute(x)
    return where_rare(size > REDUCIBLE[x.width], sine_of_quadrant(*reduced(size, 1)), library("cos"), x)


@formula(float32=4, float64=4)
def tan(x: Lanes) -> Lanes:
    """The tangent; beyond 1e5 (float32) or 1e8 (float64) the C library's, one lane at a time."""
    size = absolute(x)
    quadrant, r = reduced(size, 0)
    sine, cosine = sine_and_cosine(r)
    odd = (quadrant & 1).nonzero()
    result = select(odd, -cosine, sine) / select(odd, sine, cosine)
    signed = (result.bits() ^ (x.bits() ^ size.bits())).as_floats()
    return where_rare(size > REDUCIBLE[x.width], signed, library("tan"), x)


# ---- inverses ----
def angle(y: Lanes, x: Lanes) -> Lanes:
    """arctan(y / x) of y >= 0 and x >= 0, from the nearest multiple of pi / 4; 0 at the origin."""
    steep, middle = y > x * TAN_3_PI_8, y > x * TAN_PI_8
    numerator = select(steep, -x, select(middle, y - x, y))
    denominator = select(steep, y, select(middle, y + x, select(x == 0.0, 1.0, x)))
    t = numerator / denominator
    high, low, _ = HALF_PI[x.width]
    zero = x.of_number(0.0)
    base = select(steep, high, select(middle, 0.5 * high, zero))
    base_low = select(steep, low, select(middle, 0.5 * low, zero))
    z = t * t
    return base + (fma(z * t, polynomial(z, ARCTANGENT), base_low) + t)


@formula(float32=2, float64=2)
def arctan(x: Lanes) -> Lanes:
    """The inverse tangent."""
    return copysign(angle(absolute(x), x.of_number(1.0)), x)


@formula(float32=3, float64=3)
def arctan2(y: Lanes, x: Lanes) -> Lanes:
    """The angle of the point (x, y), between -pi and pi, with the values of C's atan2 on the axes and at infinity."""
    rise, run = absolute(y), absolute(x)
    largest = 2.0**125 if x.width == 32 else 2.0**1021
    scale = select((rise > largest) | (run > largest), rise.of_number(0.125), 1.0)  # their sum must not overflow
    corner = (rise == inf) & (run == inf)
    rise, run = select(corner, 1.0, rise * scale), select(corner, 1.0, run * scale)
    high, low, _ = HALF_PI[x.width]
    result = angle(rise, run)
    behind = copysign(1.0, x) < 0.0
    return copysign(select(behind, 2.0 * high - (result - 2.0 * low), result), y)


@formula(float32=2, float64=2)
def arcsin(x: Lanes) -> Lanes:
    """The inverse sine; NaN beyond 1."""
    size = absolute(x)
    outer = size > 0.5
    z = select(outer, fma(size, -0.5, 0.5), x * x)
    root = select(outer, sqrt(z), size)  # arcsin(x) = pi / 2 - 2 arcsin(sqrt((1 - x) / 2))
    rest = root * z * polynomial(z, ARCSINE)
    high, low, _ = HALF_PI[x.width]
    return copysign(select(outer, high - fma(root, 2.0, fma(rest, 2.0, -low)), root + rest), x)


@formula(float32=2, float64=2)
def arccos(x: Lanes) -> Lanes:
    """The inverse cosine; NaN beyond 1."""
    size = absolute(x)
    outer = size > 0.5
    z = select(outer, fma(size, -0.5, 0.5), x * x)
    root = select(outer, sqrt(z), x)
    rest = root * z * polynomial(z, ARCSINE)
    high, low, _ = HALF_PI[x.width]
    inner = high - (root + (rest - low))
    near_one = 2.0 * (root + rest)
    return select(outer, select(x > 0.0, near_one, 2.0 * high - (near_one - 2.0 * low)), inner)
