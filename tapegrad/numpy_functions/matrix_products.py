"""Products and rearrangements of numpy.linalg, which are those of numpy for matrices along the last two axes."""

from __future__ import annotations

import operator
from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import LinAlgError
from ..primitives import contract
from ..primitives import linalg as prim
from ..primitives.linalg import swap
from . import products, selection
from .common import asarray, refuse
from .linalg import FIRST, SECOND, inv
from .shapes import moveaxis


def matrix_power(a, n):
    a, n = asarray(a), operator.index(n)
    if a.dtype.kind == "f":
        prim.solve.check(a)
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape).copy()
    a, n = (inv(a), -n) if n < 0 else (a, n)
    made = None
    while n:  # squares for the binary digits of n, as in NumPy
        if n % 2:
            made = a if made is None else made @ a
        n //= 2
        a = a @ a if n else a
    return made


def multi_dot(arrays, *, out=None):
    """Matrices multiplied in the order that takes the fewest operations."""
    refuse("linalg.multi_dot", out=out)
    arrays = [asarray(x) for x in arrays]
    if len(arrays) < 2:
        raise LinAlgError(f"multi_dot: {len(arrays)} arrays; give two or more")
    ends = [len(arrays[0].shape) == 1, len(arrays[-1].shape) == 1]
    if any(len(x.shape) != 2 for x in arrays[1:-1]) or not {len(arrays[i].shape) for i in (0, -1)} <= {1, 2}:
        raise LinAlgError(
            f"multi_dot: arrays of shapes {', '.join(str(x.shape) for x in arrays)}; give matrices, and vectors "
            "only as the first and the last"
        )
    sizes = [1 if ends[0] else arrays[0].shape[0], *[x.shape[0] for x in arrays[1:]]]
    sizes.append(1 if ends[1] else arrays[-1].shape[1])
    sizes[1] = arrays[0].shape[-1]

    @lru_cache
    def best(i: int, j: int) -> tuple[int, int]:
        """The least cost of the product from array i to array j, and the array before which it is cut."""
        if i == j:
            return 0, i
        return min(
            (best(i, k - 1)[0] + best(k, j)[0] + sizes[i] * sizes[k] * sizes[j + 1], k) for k in range(i + 1, j + 1)
        )

    def product(i: int, j: int) -> Any:
        cut = best(i, j)[1]
        return arrays[i] if i == j else product(i, cut - 1) @ product(cut, j)

    return product(0, len(arrays) - 1)


def matmul(x1, x2, /):
    return contract.matmul(asarray(x1), asarray(x2))


def tensordot(x1, x2, /, *, axes=2):
    return products.tensordot(x1, x2, axes)


def matrix_transpose(x, /):
    x = asarray(x)
    if len(x.shape) < 2:
        raise LinAlgError(f"matrix_transpose: an array of shape {x.shape}; it must have two axes or more")
    return swap(x)


def vecdot(x1, x2, /, *, axis=-1):
    x1, x2 = (moveaxis(asarray(x), axis, -1) for x in (x1, x2))
    return np.einsum("...i,...i->...", x1, x2)


def outer(x1, x2, /):
    x1, x2 = asarray(x1), asarray(x2)
    if len(x1.shape) != 1 or len(x2.shape) != 1:
        raise LinAlgError(f"outer: arrays of shapes {x1.shape} and {x2.shape}; give two vectors (np.outer flattens)")
    return contract.outer(x1, x2)


def cross(x1, x2, /, *, axis=-1):
    x1, x2 = (moveaxis(asarray(x), axis, -1) for x in (x1, x2))
    if x1.shape[-1] != 3 or x2.shape[-1] != 3:
        raise LinAlgError(f"cross: vectors of {x1.shape[-1]} and {x2.shape[-1]} elements along axis {axis}; give 3")
    after, before = np.array([1, 2, 0]), np.array([2, 0, 1])
    made = x1[..., after] * x2[..., before] - x1[..., before] * x2[..., after]
    return moveaxis(made, -1, axis)


def diagonal(x, /, *, offset=0):
    return selection.diagonal(x, offset, FIRST, SECOND)


def trace(x, /, *, offset=0, dtype=None):
    return np.sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)
