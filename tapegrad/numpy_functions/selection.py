"""Functions that choose elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError, UnsupportedPrimitive
from ..primitives import elementwise as ew
from ..primitives.indexing import concrete, index
from ..primitives.reductions import axes_of
from ..tensor import apply
from .common import asarray, refuse
from .shapes import astype, broadcast_to, moveaxis, ravel


def where(condition, x=None, y=None, /):
    if x is None and y is None:
        return np.nonzero(concrete(condition, "where without choices"))
    if x is None or y is None:
        raise UnsupportedPrimitive("numpy.where: give all three of condition, x and y, or the condition alone")
    return apply(ew.where, [v if isinstance(v, (bool, int, float)) else asarray(v) for v in (condition, x, y)])


def clip(a, a_min=None, a_max=None, out=None, *, min=None, max=None):  # noqa: A002
    refuse("clip", out=out)
    low, high = (min if a_min is None else a_min), (max if a_max is None else a_max)
    if low is not None:
        a = np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


def take(a, indices, axis=None, out=None, mode="raise"):
    refuse("take", out=out)
    if axis is None:
        a, axis = ravel(a), 0
    axis = axes_of(axis, len(a.shape))[0]
    indices = indices if isinstance(indices, (int, np.integer)) else asarray(indices)
    if mode == "wrap":
        indices = np.remainder(indices, a.shape[axis])
    elif mode == "clip":
        indices = np.clip(indices, 0, a.shape[axis] - 1)
    elif mode != "raise":
        raise UnsupportedPrimitive(f"numpy.take: mode={mode!r}; give 'raise', 'wrap' or 'clip'")
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


def compress(condition, a, axis=None, out=None):
    refuse("compress", out=out)
    return take(asarray(a), np.flatnonzero(concrete(condition, "the condition of compress")), axis)


def extract(condition, arr):
    return take(ravel(asarray(arr)), np.flatnonzero(concrete(condition, "the condition of extract")))


def select(condlist, choicelist, default=0):
    """The first choice whose condition holds."""
    if len(condlist) != len(choicelist):
        raise ShapeError(f"select: {len(condlist)} conditions and {len(choicelist)} choices; give as many of both")
    choices = [asarray(choice) for choice in choicelist]
    weak = isinstance(default, (bool, int, float))
    dtype = np.result_type(*[c.dtype for c in choices], default if weak else asarray(default).dtype)
    made: Any = astype(asarray(default), dtype)
    for condition, choice in zip(condlist[::-1], choices[::-1], strict=True):
        made = where(condition, choice, made)
    return made


def choose(a, choices, out=None, mode="raise"):
    refuse("choose", out=out, mode=None if mode == "raise" else mode)
    choices = [asarray(choice) for choice in choices]
    a = asarray(a)
    shape = np.broadcast_shapes(a.shape, *[c.shape for c in choices])
    made = choices[0]
    for i, choice in enumerate(choices[1:], 1):
        made = where(ew.equal(a, i), choice, made)
    return broadcast_to(made, shape)


def _triangle(m: Any, k: int, upper: bool) -> Any:
    m = asarray(m)
    rows, columns = (m.shape * 2)[-2:]  # of a vector as many rows
    lower = np.tri(rows, columns, k - upper, bool)
    zero = m.dtype.type(0)
    return where(lower, zero, m) if upper else where(lower, m, zero)


def tril(m, k=0):
    return _triangle(m, k, upper=False)


def triu(m, k=0):
    return _triangle(m, k, upper=True)


def diagonal(a, offset=0, axis1=0, axis2=1):
    a = moveaxis(a, (axis1, axis2), (-2, -1))
    n = np.diagonal(np.zeros(a.shape[-2:], bool), offset).shape[0]
    at = np.arange(n)
    return index(a, (Ellipsis, at + max(-offset, 0), at + max(offset, 0)))


def trace(a, offset=0, axis1=0, axis2=1, dtype=None, out=None):
    refuse("trace", out=out)
    return np.sum(diagonal(a, offset, axis1, axis2), -1, dtype=dtype)
