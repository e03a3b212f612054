"""Sums, products and extrema along axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError
from ..primitives import reductions
from ..primitives.reductions import axes_of
from ..tensor import apply
from .common import asarray, refuse
from .shapes import astype, concatenate, ravel, reshape, transpose


def _reduce(primitive: Any, x: Any, axis: Any, keepdims: Any, dtype: Any = None) -> Any:
    x = asarray(x)
    x = x if dtype is None else astype(x, dtype)
    keepdims = False if keepdims is np._NoValue else bool(keepdims)
    return apply(primitive, (x,), {"axis": axes_of(axis, len(x.shape)), "keepdims": keepdims})


def sum(a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=None):  # noqa: A001
    if not (out is None and initial is None and where is None):
        refuse("sum", out=out, initial=initial, where=where)
    return _reduce(reductions.sum_, a, axis, keepdims, dtype)


def _extremum(primitive: Any, a: Any, axis: Any, keepdims: Any) -> Any:
    if any(a.shape[i] == 0 for i in axes_of(axis, len(a.shape))):
        raise ShapeError(f"{primitive.name}: an array of shape {a.shape} has no elements along axis {axis}")
    return _reduce(primitive, a, axis, keepdims)


def max(a, axis=None, out=None, keepdims=False, initial=None, where=None):  # noqa: A001
    refuse("max", out=out, initial=initial, where=where)
    return _extremum(reductions.max_, a, axis, keepdims)


def min(a, axis=None, out=None, keepdims=False, initial=None, where=None):  # noqa: A001
    refuse("min", out=out, initial=initial, where=where)
    return _extremum(reductions.min_, a, axis, keepdims)


def any_(a, axis=None, out=None, keepdims=False, where=None):
    refuse("any", out=out, where=where)
    if not a.size:  # the maximum of nothing is not defined, but no element of nothing is true
        return np.any(np.zeros(a.shape), axis, keepdims=keepdims)
    return _reduce(reductions.max_, astype(a, bool), axis, keepdims)


def all_(a, axis=None, out=None, keepdims=False, where=None):
    refuse("all", out=out, where=where)
    if not a.size:
        return np.all(np.zeros(a.shape), axis, keepdims=keepdims)
    return _reduce(reductions.min_, astype(a, bool), axis, keepdims)


def mean(a, axis=None, dtype=None, out=None, keepdims=False, where=None):
    refuse("mean", out=out, where=where)
    count = 1
    for i in axes_of(axis, len(a.shape)):
        count *= a.shape[i]
    if a.dtype.kind in "iub" and dtype is None:
        dtype = np.float64
    if a.dtype == np.float16 and dtype is None:  # NumPy adds up half precision in single precision
        return astype(_reduce(reductions.sum_, a, axis, keepdims, np.float32) / count, np.float16)
    return _reduce(reductions.sum_, a, axis, keepdims, dtype) / count


def var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
    refuse("var", out=out, dtype=dtype)
    centred = a - mean(a, axis, keepdims=True)
    count = 1
    for i in axes_of(axis, len(a.shape)):
        count *= a.shape[i]
    return sum(centred * centred, axis, keepdims=keepdims) / (count - ddof)


def std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
    return np.sqrt(var(a, axis, dtype, out, ddof, keepdims))


def prod(a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=None):
    """A tree of products of halves: exact derivatives of every order, zeros included."""
    refuse("prod", out=out, initial=initial, where=where)
    axes = axes_of(axis, len(a.shape))
    a = a if dtype is None else astype(a, dtype)
    rest = tuple([i for i in range(len(a.shape)) if i not in axes])
    kept = tuple([1 if i in axes else n for i, n in enumerate(a.shape)])
    count = int(np.prod([a.shape[i] for i in axes], dtype=np.int64))  # not -1, which an empty array leaves open
    x = reshape(transpose(a, axes + rest), (count, *[a.shape[i] for i in rest]))
    if x.shape[0] == 0:
        x = np.ones((1, *x.shape[1:]), a.dtype)
    while x.shape[0] > 1:
        half = x.shape[0] // 2
        odd = [x[2 * half :]] if x.shape[0] % 2 else []
        x = concatenate([x[:half] * x[half : 2 * half], *odd])
    return reshape(x, kept if keepdims else tuple([a.shape[i] for i in rest]))


def cumsum(a, axis=None, dtype=None, out=None):
    refuse("cumsum", out=out)
    a = a if dtype is None else astype(a, dtype)
    if axis is None:
        a, axis = ravel(a), 0
    return apply(reductions.cumsum, (a,), {"axis": axes_of(axis, len(a.shape))[0]})


def _position(primitive: Any, a: Any, axis: Any, keepdims: Any) -> Any:
    if axis is None:
        a, axis = ravel(a), 0
    return _reduce(primitive, a, axis, keepdims)


def argmax(a, axis=None, out=None, *, keepdims=False):
    refuse("argmax", out=out)
    return _position(reductions.argmax, a, axis, keepdims)


def argmin(a, axis=None, out=None, *, keepdims=False):
    refuse("argmin", out=out)
    return _position(reductions.argmin, a, axis, keepdims)
