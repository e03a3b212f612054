"""Vector functions as functions of arrays, for the tests."""

from functools import cache

import numba
import numpy as np

from tapegrad.backends.numba_cpu.vectors import BITS, load, load_part, store, store_part

njit = numba.njit(nogil=True, error_model="numpy", boundscheck=False)
DTYPES = (np.float32, np.float64)


@cache
def loop(function, arity):
    if arity == 1:

        @njit
        def run(lanes, out, x):
            whole = len(x) // lanes * lanes
            for j in range(0, whole, lanes):
                store(out, j, function(load(x, j)))
            if whole < len(x):
                rest = len(x) - whole
                store_part(out, whole, function(load_part(x, whole, rest)), rest)
    else:

        @njit
        def run(lanes, out, x, y):
            whole = len(x) // lanes * lanes
            for j in range(0, whole, lanes):
                store(out, j, function(load(x, j), load(y, j)))
            if whole < len(x):
                rest = len(x) - whole
                store_part(out, whole, function(load_part(x, whole, rest), load_part(y, whole, rest)), rest)

    return run


def lanes_of(dtype):
    return BITS // (8 * np.dtype(dtype).itemsize)


def mapped(function, *arrays):
    """The function of each element, of arrays of one dtype and length."""
    out = np.empty_like(arrays[0])
    loop(function, len(arrays))(lanes_of(out.dtype), out, *arrays)
    return out
