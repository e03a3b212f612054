"""Functions that join, split, turn and spread arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError
from ..primitives.indexing import ARRAY, concrete, index, scatter
from ..primitives.reductions import axes_of
from ..tensor import Tensor, apply
from .common import asarray
from .shapes import (
    astype,
    atleast_2d,
    atleast_3d,
    broadcast_to,
    concatenate,
    flip,
    moveaxis,
    ravel,
    reshape,
    split,
    swapaxes,
    transpose,
)


# ---- joining ----
def dstack(tup):
    return concatenate([atleast_3d(asarray(a)) for a in tup], 2)


def column_stack(tup):
    arrays = [asarray(a) for a in tup]
    return concatenate([a if len(a.shape) > 1 else transpose(atleast_2d(a)) for a in arrays], 1)


def append(arr, values, axis=None):
    return concatenate([asarray(arr), asarray(values)], axis)


def block(arrays):
    """Nested lists, the innermost joined along the last axis."""
    depth = _depth(arrays)
    rank = max(depth, *[len(asarray(a).shape) for a in _leaves(arrays)])
    return _joined(arrays, depth, rank)


def _depth(arrays: Any) -> int:
    return 1 + _depth(arrays[0]) if isinstance(arrays, list) else 0


def _leaves(arrays: Any) -> list[Any]:
    return [leaf for item in arrays for leaf in _leaves(item)] if isinstance(arrays, list) else [arrays]


def _joined(arrays: Any, depth: int, rank: int) -> Any:
    if isinstance(arrays, list):
        return concatenate([_joined(a, depth - 1, rank) for a in arrays], rank - depth)
    a = asarray(arrays)
    return reshape(a, (1,) * (rank - len(a.shape)) + a.shape)


# ---- splitting ----
def _needs(name: str, ary: Any, rank: int) -> None:
    if len(ary.shape) < rank:
        raise ShapeError(f"{name}: an array of shape {ary.shape}; give one with at least {rank} axes")


def hsplit(ary, indices_or_sections):
    _needs("hsplit", ary, 1)
    return split(ary, indices_or_sections, 1 if len(ary.shape) > 1 else 0)


def vsplit(ary, indices_or_sections):
    _needs("vsplit", ary, 2)
    return split(ary, indices_or_sections, 0)


def dsplit(ary, indices_or_sections):
    _needs("dsplit", ary, 3)
    return split(ary, indices_or_sections, 2)


def unstack(x, /, *, axis=0):
    _needs("unstack", x, 1)
    x = moveaxis(x, axis, 0)
    return tuple([x[i] for i in range(x.shape[0])])


# ---- turning ----
def rollaxis(a, axis, start=0):
    rank = len(a.shape)
    axis = axes_of(axis, rank)[0]
    start = start + rank if start < 0 else start
    return moveaxis(a, axis, start - 1 if axis < start else start)


def rot90(m, k=1, axes=(0, 1)):
    rank = len(m.shape)
    first, second = (axes_of(int(i), rank)[0] for i in axes)
    if first == second:
        raise ShapeError(f"rot90: axes={tuple(axes)}; name two different axes")
    k = k % 4
    if k == 2:
        return flip(m, (first, second))
    if k == 1:
        return swapaxes(flip(m, second), first, second)
    return flip(swapaxes(m, first, second), second) if k == 3 else m


def fliplr(m):
    _needs("fliplr", m, 2)
    return flip(m, 1)


def flipud(m):
    _needs("flipud", m, 1)
    return flip(m, 0)


# ---- spreading ----
def broadcast_arrays(*args, subok=False):
    arrays = [asarray(a) for a in args]
    shape = np.broadcast_shapes(*[a.shape for a in arrays])
    return tuple([broadcast_to(a, shape) for a in arrays])


def meshgrid(*xi, copy=True, sparse=False, indexing="xy"):
    rank = len(xi)
    order = [1, 0, *range(2, rank)] if indexing == "xy" and rank > 1 else list(range(rank))
    made = [reshape(asarray(x), tuple([-1 if i == order[k] else 1 for i in range(rank)])) for k, x in enumerate(xi)]
    return tuple(made) if sparse else broadcast_arrays(*made)


def diag(v, k=0):
    """The diagonal of a matrix, or a matrix with this diagonal."""
    v = asarray(v)
    if len(v.shape) == 2:
        return np.diagonal(v, k)
    if len(v.shape) != 1:
        raise ShapeError(f"diag: an array of shape {v.shape}; give one with one or two axes")
    n, at = v.shape[0] + abs(k), np.arange(v.shape[0])
    return apply(scatter, (v, at + max(-k, 0), at + max(k, 0)), {"template": (ARRAY, ARRAY), "shape": (n, n)})


def diagflat(v, k=0):
    return diag(ravel(asarray(v)), k)


def vander(x, N=None, increasing=False):
    x = asarray(x)
    x = astype(x, np.promote_types(x.dtype, int))
    columns = [np.ones(x.shape, x.dtype)]
    for _ in range(1, len(x) if N is None else N):
        columns.append(x if len(columns) == 1 else columns[-1] * x)
    if N == 0:
        return np.zeros((len(x), 0), columns[0].dtype)
    return np.stack(columns if increasing else columns[::-1], 1)


# ---- by moving positions: NumPy itself says where each element goes ----
def resize(a, new_shape):
    a = ravel(asarray(a))
    return index(a, np.resize(np.arange(a.shape[0]), new_shape)) if a.shape[0] else np.resize(np.zeros(0), new_shape)


def _static(name: str, value: Any) -> Any:
    return concrete(value, f"the places of {name}") if isinstance(value, Tensor) else value


def delete(arr, obj, axis=None):
    arr = asarray(arr)
    if axis is None:
        arr, axis = ravel(arr), 0
    axis = axes_of(axis, len(arr.shape))[0]
    return index(arr, (slice(None),) * axis + (np.delete(np.arange(arr.shape[axis]), _static("delete", obj)),))

