"""The error function and its complement in NumPy alone, for float32 and float64.

erf(x) = x + x P(x^2) up to 3/4, and erfc(x) = exp(-x^2) Q(t) / (1 + 2 x) with t = (x - 3) / (x + 3) beyond, a form of
Shepherd & Laframboise 1981, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x". The polynomials are those of
least largest relative error, coefficients lowest first; ``tests/numba_cpu/derive_constants.py`` derives them. The
backends compute the same with the same tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

SPLIT = 0.75  # between the two forms
LAST = 28.0  # erfc is zero from before on
BLOCK = 8192  # elements whose intermediate results stay in the cache

ERROR_NEAR = {
    32: (0.128379166, -0.3761262, 0.112833932, -0.026835436, 0.00511598354, -0.000676110853),  # 2 ** -29.3
    64: (  # 2 ** -60.1
        0.12837916709551259, -0.37612638903183715, 0.11283791670952632, -0.026866170644436752,
        0.0052239776155160759, -0.00085483261950995541, 0.00012055289823646671, -1.4924202708561506e-5,
        1.6430780919381511e-6, -1.5940876054921817e-7, 1.1475376468236916e-8,
    ),
}
ERROR_FAR = {
    32: (  # 2 ** -29.2
        1.25300801, -0.135621101, -0.0475620478, 0.12964493, -0.11927858, 0.0683122203, -0.023735946,
        0.00249778177, 0.00178820069, -0.000677030999,
    ),
    64: (  # 2 ** -56.7
        1.2530080582697296, -0.13562110612458153, -0.047562294353450961, 0.12964515870281249,
        -0.11927366341530629, 0.068308027341673336, -0.023770514917971833, 0.0025293918629606389,
        0.0018886903322533704, -0.00077983279124340386, -0.00010515937065291397, 0.00012510272796302976,
        4.9458920857481998e-6, -2.011371194962756e-5, -7.1425542560951132e-7, 3.5018906345878849e-6,
        3.0864863242528774e-7, -6.4901928007062466e-7, -6.7474030660875145e-8, 1.0749845049580876e-7,
        -1.0612787861286595e-8,
    ),
}


def erf_function(x: Any) -> Any:
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x; at most 2 ulp off."""
    return _in_blocks(_erf, x)


def erfc_function(x: Any) -> Any:
    """1 - erf(x), relatively accurate where it is small: at most 5 ulp off for normal results."""
    return _in_blocks(_erfc, x)


def _erf(x: np.ndarray, size: np.ndarray) -> np.ndarray:
    return np.copysign(np.where(size < SPLIT, size + size * _near(size), 1.0 - _far(size)), x)


def _erfc(x: np.ndarray, size: np.ndarray) -> np.ndarray:
    tail, near = _far(size), np.copysign(size + size * _near(size), x)
    return np.where(size < SPLIT, 1.0 - near, np.where(x < 0.0, 2.0 - tail, tail))


def _in_blocks(function: Callable, x: Any) -> Any:
    given = np.asarray(x)
    if given.dtype.kind not in "biuf":
        raise TypeError(f"the error function takes real numbers, not {given.dtype}")
    kind = given.dtype if given.dtype.kind == "f" else np.dtype(np.float64)
    flat = np.ravel(given).astype(np.float32 if kind == np.float16 else kind, copy=False)
    result = np.empty(flat.shape, kind)
    with np.errstate(under="ignore"):
        for start in range(0, flat.size, BLOCK):
            part = flat[start : start + BLOCK]
            result[start : start + BLOCK] = function(part, np.minimum(np.abs(part), LAST))
    return result.reshape(given.shape)[()]


def _near(size: np.ndarray) -> np.ndarray:
    """erf(x) / x - 1 of abs(x) <= SPLIT; other elements are clipped."""
    size = np.minimum(size, SPLIT)
    return _polynomial(size * size, ERROR_NEAR)


def _far(size: np.ndarray) -> np.ndarray:
    """erfc(x) of x >= SPLIT, with the square in two parts since its rounding error would be multiplied by x^2."""
    size = np.maximum(size, SPLIT)
    square = size * size
    whole = size * (2.0**12 + 1.0 if size.dtype == np.float32 else 2.0**27 + 1.0)
    high = whole - (whole - size)  # half of the digits (Dekker 1971)
    low = size - high
    lost = ((high * high - square) + 2.0 * high * low) + low * low
    power = np.exp(-square)
    scale = _polynomial((size - 3.0) / (size + 3.0), ERROR_FAR) / (1.0 + 2.0 * size)
    return (power - power * lost) * scale


def _polynomial(x: np.ndarray, table: Mapping[int, Sequence[float]]) -> np.ndarray:
    coefficients = table[32 if x.dtype == np.float32 else 64]
    value = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value *= x
        value += coefficient
    return value
