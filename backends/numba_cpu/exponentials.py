"""Exponentials and logarithms on vectors, branch-free, for float32 and float64.

All stand on two splittings, exp(x) = 2^n (1 + q) and x = 2^e (1 + f), and on polynomials from ``constants.py``.

NaN in gives NaN out, infinities are exact, and zeros have NumPy's signs. Results below the smallest normal number are
rounded as usual or, where the processor is told to flush them, zero; in :func:`sigmoid`, :func:`softplus` and
:func:`logaddexp` exponentials below half the smallest normal number are zero. The code must not be compiled with flags
that let LLVM reorder sums (``reassoc``) or assume that no NaN or infinity comes.
"""

from __future__ import annotations

from math import inf, nan

from .constants import EXPONENTIAL, LN2, LN2_SHORT, LOGARITHM, LOGARITHM_TAIL, TWO_THIRDS
from .formulas import formula
from .lanes import (
    MANTISSA,
    Bits,
    Lanes,
    absolute,
    at_least,
    at_most,
    copysign,
    floor,
    fma,
    is_nan,
    polynomial,
    select,
)

BIAS = {32: 127, 64: 1023}
OVERFLOW = {32: 88.8, 64: 709.9}  # exp is infinite from somewhat below on
UNDERFLOW = {32: -104.0, 64: -746.0}  # exp is zero from somewhat above on
NORMAL = {32: 2.0**-126, 64: 2.0**-1022}  # the smallest normal number
ROOT_HALF = {32: 0x3F3504F3, 64: 0x3FE6A09E667F3BCD}  # the bits of sqrt(1/2)


def shifter(width: int) -> float:
    """A number so large that its last bits are units: adding it rounds to an integer, which then stands in its bits."""
    return 1.5 * 2.0 ** MANTISSA[width]


# ---- exponentials ----
def split_exponential(x: Lanes, sign: int, offset: int, low: Lanes | None = None) -> tuple[Bits, Lanes]:
    """exp(x + low) = 2^n (1 + q): bits whose last ones are ``sign * n + offset``, and q."""
    high_part, low_part = LN2[x.width]
    shifted = fma(x, sign / 0.6931471805599453, shifter(x.width) + offset)
    n = shifted - (shifter(x.width) + offset)
    r = fma(n, -sign * low_part, fma(n, -sign * high_part, x))
    if low is not None:
        r = r + low
    return shifted.bits(), fma(r * r, polynomial(r, EXPONENTIAL), r)


def power_of_two(exponent: Bits, width: int) -> Lanes:
    """2^n from bits whose last ones are n + bias; 0 where these are 0."""
    return (exponent << MANTISSA[width]).as_floats()


def exponential(x: Lanes, low: Lanes | None = None) -> Lanes:
    """exp(x + low), where ``low`` is small."""
    x = at_least(at_most(x, OVERFLOW[x.width]), UNDERFLOW[x.width])
    exponent, q = split_exponential(x, 1, 2 * BIAS[x.width], low)
    first = exponent >> 1  # 2^n in two factors, since n may be too large or too small for one
    return (1.0 + q) * power_of_two(first, x.width) * power_of_two(exponent - first, x.width)


@formula(float32=1.25, float64=1.25)
def exp(x: Lanes) -> Lanes:
    """The exponential function."""
    return exponential(x)


@formula(float32=2, float64=2)
def expm1(x: Lanes) -> Lanes:
    """exp(x) - 1, relatively accurate near 0."""
    bounded = at_least(at_most(x, OVERFLOW[x.width]), -float(MANTISSA[x.width]))  # -1 below that
    exponent, q = split_exponential(bounded, 1, BIAS[x.width] - 1)
    half = power_of_two(exponent, x.width)
    return copysign(fma(half, q, half - 0.5) * 2.0, x)


@formula(float32=2.5, float64=2.5)
def tanh(x: Lanes) -> Lanes:
    """The hyperbolic tangent: expm1(2 x) / (expm1(2 x) + 2), numerator and denominator divided by 2^n."""
    doubled = 2.0 * at_most(absolute(x), float(MANTISSA[x.width]))  # tanh is 1 long before
    exponent, q = split_exponential(doubled, -1, BIAS[x.width])
    inverse = power_of_two(exponent, x.width)
    numerator = q + (1.0 - inverse)
    return copysign(numerator / fma(inverse, 2.0, numerator), x)  # an error of both does not count where tanh is near 1


@formula(float32=2, float64=2)
def sigmoid(x: Lanes) -> Lanes:
    """1 / (1 + exp(-x)), numerator and denominator divided by 2^n."""
    bounded = at_least(at_most(-x, (BIAS[x.width] + 0.25) * 0.69314718), -2.0 * MANTISSA[x.width])
    exponent, q = split_exponential(bounded, -1, BIAS[x.width])
    inverse = power_of_two(exponent, x.width)
    return inverse / ((q + inverse) + 1.0)


# ---- logarithms ----
def logarithm_terms(f: Lanes) -> tuple[Lanes, Lanes]:
    """(h, t) such that log(1 + f) = f - h + t, with h = f^2 / 2 and a smaller t."""
    s = f / (f + 2.0)  # log(1 + f) = 2 arctanh(s), and 2 s = f - h + s h
    z = s * s
    half_square = f * f * 0.5
    return half_square, s * fma(z, polynomial(z, LOGARITHM), half_square)


def split_float(x: Lanes) -> tuple[Bits, Lanes]:
    """x = 2^e m of positive normal x, with sqrt(1/2) <= m < sqrt(2): bits that begin with e + bias, and m."""
    mantissa = MANTISSA[x.width]
    moved = x.bits() + ((BIAS[x.width] << mantissa) - ROOT_HALF[x.width])
    return moved, ((moved & ((1 << mantissa) - 1)) + ROOT_HALF[x.width]).as_floats()


def exponent_of(moved: Bits, width: int) -> Lanes:
    """e from the bits of :func:`split_float`."""
    counted = (moved >> MANTISSA[width]) + moved.floats.constant_bits(shifter(width))
    return counted.as_floats() - (shifter(width) + BIAS[width])


def split_positive(x: Lanes) -> tuple[Lanes, Lanes]:
    """x = 2^e m of positive x, subnormal numbers included: e and m."""
    scale = MANTISSA[x.width] + 2
    small = x < NORMAL[x.width]
    moved, m = split_float(select(small, x * 2.0**scale, x))
    return exponent_of(moved, x.width) - select(small, x.of_number(scale), 0.0), m


def combined(e: Lanes, f: Lanes) -> Lanes:
    """e log(2) + log(1 + f)."""
    high, low = LN2[f.width]
    half_square, rest = logarithm_terms(f)
    return fma(e, high, f + (fma(e, low, rest) - half_square))


def ends(result: Lanes, x: Lanes, pole: float) -> Lanes:
    """A logarithm with its values at infinity, at its pole, below the pole, and at NaN."""
    return select(x > pole, select(x < inf, result, x), select(x == pole, x.of_number(-inf), nan))


@formula(float32=1, float64=1)
def log(x: Lanes) -> Lanes:
    """The natural logarithm."""
    e, m = split_positive(x)
    return ends(combined(e, m - 1.0), x, 0.0)


def logarithm_of_one_plus(x: Lanes) -> Lanes:
    mantissa, bias = MANTISSA[x.width], BIAS[x.width]
    total = x + 1.0
    lost = select(x > 1.0, 1.0 - (total - x), x - (total - 1.0))  # the rounding error of the sum
    moved, m = split_float(total)
    inverse = power_of_two(2 * bias - (moved >> mantissa), x.width)  # 2^-e
    inverse = select(x > 2.0 ** (mantissa + 2), 0.0, inverse)  # it is no number for the largest e, nor does it count
    f = fma(lost, inverse, m - 1.0)
    return ends(combined(exponent_of(moved, x.width), f), x, -1.0)


@formula(float32=1.5, float64=1.5)
def log1p(x: Lanes) -> Lanes:
    """log(1 + x), relatively accurate near 0."""
    return copysign(logarithm_of_one_plus(x), x)


def log1p_exp(x: Lanes, low: Lanes | None = None) -> Lanes:
    """log(1 + exp(x + low)) of x <= 0 and a small ``low``."""
    bounded = at_least(x, -(BIAS[x.width] + 0.25) * 0.69314718)
    exponent, q = split_exponential(bounded, 1, BIAS[x.width], low)
    power = fma(power_of_two(exponent, x.width), q, power_of_two(exponent, x.width))
    halved = power > 0.4142135623730951
    f = select(halved, (power - 1.0) * 0.5, power)  # 1 + power = 2 (1 + f), or 1 + f
    return combined(select(halved, x.of_number(1.0), 0.0), f)


@formula(float32=2, float64=2)
def softplus(x: Lanes) -> Lanes:
    """log(1 + exp(x)), relatively accurate where it is small."""
    return at_least(x, 0.0) + log1p_exp(-absolute(x))


@formula(float32=4, float64=4)
def logaddexp(x: Lanes, y: Lanes) -> Lanes:
    """log(exp(x) + exp(y)).

    Where it is near 0 because the larger argument and the logarithm cancel, the bound holds for units of the larger
    one's last place.
    """
    larger, smaller = select(x > y, x, y), select(x > y, y, x)
    difference = select(x == y, 0.0, smaller - larger)  # of the same infinity as well
    back = difference - smaller
    lost = (smaller - (difference - back)) - (larger + back)  # the rounding error of the difference
    return larger + log1p_exp(difference, select(absolute(lost) < 1.0, lost, 0.0))


# ---- power ----
def precise_logarithm(e: Lanes, m: Lanes) -> tuple[Lanes, Lanes]:
    """e log(2) + log(m) as the sum of a number and a much smaller one, to about one and a half times their digits."""
    one, total, numerator = m.of_number(1.0), m + 1.0, m - 1.0
    back = total - one
    lost = (one - (total - back)) + (m - back)
    inverse = 1.0 / total
    s = numerator * inverse
    s_low = fma(-s, lost, fma(-s, total, numerator)) * inverse
    # 2 arctanh(s) = 2 s + s^3 w with w = 2/3 + s^2 (2/5 + ...): s^2, s^3, w and the product in two parts each
    z = s * s
    z_low = fma(s, s, -z) + 2.0 * s * s_low
    series = z * polynomial(z, LOGARITHM_TAIL)
    w = series + TWO_THIRDS[m.width][0]
    w_low = (TWO_THIRDS[m.width][0] - w) + series + TWO_THIRDS[m.width][1]
    cube = s * z
    cube_low = fma(s, z, -cube) + fma(s, z_low, s_low * z)
    product = cube * w
    product_low = fma(cube, w, -product) + fma(cube, w_low, cube_low * w)
    log_m = 2.0 * s + product
    log_m_low = (2.0 * s - log_m) + product + fma(s_low, 2.0, product_low)
    high, low = LN2_SHORT[m.width]
    whole = e * high
    result = whole + log_m
    return result, (whole - result) + log_m + fma(e, low, log_m_low)


@formula(float32=1.5, float64=1.5)
def power(x: Lanes, y: Lanes) -> Lanes:
    """x ** y, with the values of C's pow at 0, 1, infinities and negative x."""
    size = absolute(x)
    e, m = split_positive(size)
    log_high, log_low = precise_logarithm(e, m)
    log_high = select(size > 0.0, select(size < inf, log_high, inf), -inf)
    exponent = y * log_high
    low = fma(y, log_high, -exponent) + y * log_low
    low = select(absolute(exponent) < 2.0 * OVERFLOW[x.width], low, 0.0)  # it may be NaN beyond
    result = exponential(exponent, low)
    whole = floor(y) == y  # true of infinities, which count as even
    half = y * 0.5
    odd = whole & (floor(half) != half)
    result = select(odd, copysign(result, x), result)
    result = select(whole | (x >= 0.0) | (size == inf), result, nan)
    result = select(is_nan(x) | is_nan(y), nan, result)
    return select((x == 1.0) | (y == 0.0) | ((size == 1.0) & (absolute(y) == inf)), 1.0, result)
