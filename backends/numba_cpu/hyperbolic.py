"""Hyperbolic functions but tanh, and the inverses of all, on vectors, by exponentials and logarithms."""

from __future__ import annotations

from math import nan

from .constants import LN2
from .exponentials import BIAS, OVERFLOW, logarithm_of_one_plus, power_of_two, split_exponential
from .formulas import formula
from .lanes import Lanes, Truth, absolute, at_most, copysign, fma, select, sqrt

HUGE = {32: 2.0**30, 64: 2.0**60}  # 1 beside its square does not count, and the square does not overflow


@formula(float32=2.5, float64=2.5)
def sinh(x: Lanes) -> Lanes:
    """The hyperbolic sine: (E + E / (E + 1)) / 2 with E = expm1(abs(x))."""
    size = at_most(absolute(x), OVERFLOW[x.width] + 0.7)
    exponent, q = split_exponential(size, 1, BIAS[x.width] - 2)
    scale = power_of_two(exponent, x.width)  # a quarter of 2^n: E itself may overflow
    quarter = fma(scale, q, scale - 0.25)
    return copysign((quarter + quarter / fma(quarter, 4.0, 1.0)) * 2.0, x)


@formula(float32=2, float64=2)
def cosh(x: Lanes) -> Lanes:
    """The hyperbolic cosine."""
    size = at_most(absolute(x), OVERFLOW[x.width] + 0.7)
    exponent, q = split_exponential(size, 1, BIAS[x.width] - 2)
    quarter = power_of_two(exponent, x.width) * (1.0 + q)
    return fma(quarter, 2.0, 0.125 / quarter)


@formula(float32=3, float64=3)
def arcsinh(x: Lanes) -> Lanes:
    """The inverse hyperbolic sine: log1p(a + a^2 / (1 + sqrt(1 + a^2))) of a = abs(x)."""
    size = absolute(x)
    huge = size > HUGE[x.width]
    square = size * size
    small = size + square / (1.0 + sqrt(1.0 + square))
    return copysign(doubled_where(huge, logarithm_of_one_plus(select(huge, size, small))), x)


@formula(float32=3, float64=3)
def arccosh(x: Lanes) -> Lanes:
    """The inverse hyperbolic cosine: log1p(t + sqrt(2 t + t^2)) of t = x - 1; NaN below 1."""
    t = x - 1.0
    huge = x > HUGE[x.width]
    result = doubled_where(huge, logarithm_of_one_plus(select(huge, x, t + sqrt(t * (t + 2.0)))))
    return select(x < 1.0, nan, result)


def doubled_where(huge: Truth, logarithm: Lanes) -> Lanes:
    """log(2 x) from log(x) where x is huge."""
    return logarithm + select(huge, logarithm.of_number(LN2[logarithm.width][0]), 0.0)


@formula(float32=3, float64=3)
def arctanh(x: Lanes) -> Lanes:
    """The inverse hyperbolic tangent: log1p(2 a / (1 - a)) / 2 of a = abs(x); NaN beyond 1."""
    size = absolute(x)
    return copysign(logarithm_of_one_plus((size + size) / (1.0 - size)) * 0.5, x)
