"""The error function and its complement on vectors, as ``tapegrad.primitives.error_function`` computes them."""

from __future__ import annotations

import math

import numba

from .constants import ERROR_FAR, ERROR_NEAR
from .exponentials import exponential
from .formulas import formula
from .lanes import Lanes, absolute, at_least, at_most, copysign, fma, polynomial, select

SPLIT = 0.75  # between the two forms
LAST = 28.0  # erfc is zero from before on


@formula(float32=2, float64=2)
def erf(x: Lanes) -> Lanes:
    """The error function."""
    size = at_most(absolute(x), LAST)
    return copysign(select(size < SPLIT, near(size), 1.0 - far(size)), x)


@formula(float32=5, float64=5)
def erfc(x: Lanes) -> Lanes:
    """1 - erf(x), relatively accurate where it is small."""
    size = at_most(absolute(x), LAST)
    tail = far(size)
    return select(size < SPLIT, 1.0 - copysign(near(size), x), select(x < 0.0, 2.0 - tail, tail))


def near(size: Lanes) -> Lanes:
    """erf(x) of 0 <= x <= SPLIT."""
    size = at_most(size, SPLIT)
    return fma(size, polynomial(size * size, ERROR_NEAR), size)


def far(size: Lanes) -> Lanes:
    """erfc(x) of x >= SPLIT."""
    size = at_least(size, SPLIT)
    square = size * size
    power = exponential(-square, fma(-size, size, square))  # the second is what the square lost by rounding
    return power * (polynomial((size - 3.0) / (size + 3.0), ERROR_FAR) / fma(size, 2.0, 1.0))


# ---- single numbers ----
compiled = numba.njit(nogil=True, error_model="numpy")


@compiled
def number_erf(x):
    return math.erf(x)


@compiled
def number_erfc(x):
    return math.erfc(x)
