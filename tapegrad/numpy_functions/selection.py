"""Functions that choose elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import UnsupportedPrimitive
from ..primitives import elementwise as ew
from ..primitives.indexing import index
from ..primitives.reductions import axes_of
from ..tensor import apply
from .common import asarray, refuse
from .shapes import moveaxis, ravel


def where(condition, x=None, y=None, /):
    if x is None or y is None:
        raise UnsupportedPrimitive("numpy.where: give all three of condition, x and y; positions have no derivative")
    return apply(ew.where, [v if isinstance(v, (bool, int, float)) else asarray(v) for v in (condition, x, y)])


def clip(a, a_min=None, a_max=None, out=None, *, min=None, max=None):  # noqa: A002
    refuse("clip", out=out)
    low, high = (min if a_min is None else a_min), (max if a_max is None else a_max)
    if low is not None:
        a = np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


def take(a, indices, axis=None, out=None, mode="raise"):
    refuse("take", out=out)
    if mode != "raise":
        raise UnsupportedPrimitive("numpy.take: only mode='raise' is supported on a Tensor; clip or wrap the indices")
    if axis is None:
        a, axis = ravel(a), 0
    axis = axes_of(axis, len(a.shape))[0]
    indices = indices if isinstance(indices, (int, np.integer)) else asarray(indices)
    return index(a, (slice(None),) * axis + (indices,))


def take_from(a: Any, indices: Any, axis: int | None = None) -> Any:
    """``np.take``, also of a plain array by traced indices, which NumPy does not dispatch.

    Parameters
    ----------
    a : array
    indices : array of int
    axis : int, optional
        Without it from the flattened array.

    Examples
    --------
    >>> take_from(np.array([5.0, 6.0, 7.0]), np.array([2, 0]))
    array([7., 5.])
    """
    return take(asarray(a), indices, axis)


def take_along_axis(arr, indices, axis=-1):
    if axis is None:
        arr, axis = ravel(arr), 0
    axis, rank = axes_of(axis, len(arr.shape))[0], len(arr.shape)
    grid: list[Any] = [np.arange(n).reshape((1,) * i + (n,) + (1,) * (rank - 1 - i)) for i, n in enumerate(arr.shape)]
    grid[axis] = asarray(indices)
    return index(arr, tuple(grid))


def tril(m, k=0):
    return where(np.tril(np.ones(m.shape[-2:], bool), k), m, 0)


def triu(m, k=0):
    return where(np.triu(np.ones(m.shape[-2:], bool), k), m, 0)


def diagonal(a, offset=0, axis1=0, axis2=1):
    a = moveaxis(a, (axis1, axis2), (-2, -1))
    n = np.diagonal(np.zeros(a.shape[-2:], bool), offset).shape[0]
    at = np.arange(n)
    return index(a, (Ellipsis, at + max(-offset, 0), at + max(offset, 0)))


def trace(a, offset=0, axis1=0, axis2=1):
    return np.sum(diagonal(a, offset, axis1, axis2), -1)
