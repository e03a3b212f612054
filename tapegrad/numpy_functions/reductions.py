"""Sums, products and extrema along axes, whole and running."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..primitives import elementwise as ew
from ..primitives import reductions
from ..primitives.reductions import axes_of
from ..tensor import apply
from .common import NO_VALUE, asarray, given, refuse
from .selection import where as choose
from .shapes import astype, broadcast_to, concatenate, ravel, reshape, transpose


def _reduce(primitive: Any, x: Any, axis: Any, keepdims: Any, dtype: Any = None) -> Any:
    x = asarray(x)
    x = x if dtype is None else astype(x, dtype)
    keepdims = False if keepdims is np._NoValue else bool(keepdims)
    return apply(primitive, (x,), {"axis": axes_of(axis, len(x.shape)), "keepdims": keepdims})


def selected(a: Any, where: Any, otherwise: Any) -> Any:
    """``a`` where the mask is true, for reductions under ``where=``."""
    return choose(asarray(where), a, otherwise) if given(where) and where is not True else a


def counted(shape: tuple[int, ...], axis: Any, where: Any, keepdims: Any = False) -> Any:
    """How many elements a reduction takes: a number, or under ``where=`` an array."""
    if given(where) and where is not True:
        return _reduce(reductions.sum_, astype(broadcast_to(where, shape), np.int64), axis, keepdims)
    return math.prod([shape[i] for i in axes_of(axis, len(shape))])


def sum(a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=None):  # noqa: A001
    if out is None and initial is None and where is None:
        return _reduce(reductions.sum_, a, axis, keepdims, dtype)
    refuse("sum", out=out)
    total = _reduce(reductions.sum_, selected(asarray(a), where, 0), axis, keepdims, dtype)
    return astype(total + initial, total.dtype) if given(initial) else total


def _extremum(name: str, a: Any, axis: Any, out: Any, keepdims: Any, initial: Any, where: Any) -> Any:
    a = asarray(a)
    primitive, pair = (reductions.max_, ew.maximum) if name == "max" else (reductions.min_, ew.minimum)
    if out is None and initial is None and where is None:
        return _nonempty(primitive, a, axis, keepdims)
    refuse(name, out=out)
    if given(where) and where is not True and not given(initial):
        raise ShapeError(f"{name}: where= needs initial=, the result where no element is chosen")
    if not given(initial):
        return _nonempty(primitive, a, axis, keepdims)
    initial = astype(asarray(initial), a.dtype)
    if any(a.shape[i] == 0 for i in axes_of(axis, len(a.shape))):
        return broadcast_to(initial, _reduce(reductions.sum_, a, axis, keepdims).shape)
    return apply(pair, (_reduce(primitive, selected(a, where, initial), axis, keepdims), initial))


def _nonempty(primitive: Any, a: Any, axis: Any, keepdims: Any) -> Any:
    if any(a.shape[i] == 0 for i in axes_of(axis, len(a.shape))):
        raise ShapeError(f"{primitive.name}: an array of shape {a.shape} has no elements along axis {axis}")
    return _reduce(primitive, a, axis, keepdims)


def max(a, axis=None, out=None, keepdims=False, initial=None, where=None):  # noqa: A001
    return _extremum("max", a, axis, out, keepdims, initial, where)


def min(a, axis=None, out=None, keepdims=False, initial=None, where=None):  # noqa: A001
    return _extremum("min", a, axis, out, keepdims, initial, where)


def any_(a, axis=None, out=None, keepdims=False, where=None):
    refuse("any", out=out)
    a = selected(astype(asarray(a), bool), where, False)
    if not a.size:  # the maximum of nothing is not defined, but no element of nothing is true
        return np.any(np.zeros(a.shape), axis, keepdims=keepdims)
    return _reduce(reductions.max_, a, axis, keepdims)


def all_(a, axis=None, out=None, keepdims=False, where=None):
    refuse("all", out=out)
    a = selected(astype(asarray(a), bool), where, True)
    if not a.size:
        return np.all(np.zeros(a.shape), axis, keepdims=keepdims)
    return _reduce(reductions.min_, a, axis, keepdims)


def ptp(a, axis=None, out=None, keepdims=False):
    refuse("ptp", out=out)
    return max(a, axis, keepdims=keepdims) - min(a, axis, keepdims=keepdims)


def count_nonzero(a, axis=None, *, keepdims=False):
    return sum(astype(asarray(a), bool), axis, keepdims=keepdims)


def _product_dtype(a: Any) -> Any:
    """Products of small integers are made in large ones."""
    return np.prod(np.ones(1, a.dtype)).dtype if a.dtype.kind in "iub" else a.dtype


def prod(a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=None):
    """A tree of products of halves: exact derivatives of every order, zeros included."""
    refuse("prod", out=out)
    a = selected(asarray(a), where, 1)
    axes = axes_of(axis, len(a.shape))
    a = astype(a, _product_dtype(a) if dtype is None else dtype)
    rest = tuple([i for i in range(len(a.shape)) if i not in axes])
    kept = tuple([1 if i in axes else n for i, n in enumerate(a.shape)])
    count = math.prod([a.shape[i] for i in axes])
    x = reshape(transpose(a, axes + rest), (count, *[a.shape[i] for i in rest]))
    if x.shape[0] == 0:
        x = np.ones((1, *x.shape[1:]), a.dtype)
    while x.shape[0] > 1:
        half = x.shape[0] // 2
        odd = [x[2 * half :]] if x.shape[0] % 2 else []
        x = concatenate([x[:half] * x[half : 2 * half], *odd])
    x = reshape(x, kept if given(keepdims) and keepdims else tuple([a.shape[i] for i in rest]))
    return astype(x * initial, x.dtype) if given(initial) else x


def running(operation: Callable, a: Any, axis: int) -> Any:
    """The results of an associative operation on the elements up to each place, in log n rounds."""
    lead, step = (slice(None),) * axis, 1
    while step < a.shape[axis]:
        made = operation(a[(*lead, slice(step, None))], a[(*lead, slice(None, -step))])
        a = concatenate([a[(*lead, slice(None, step))], made], axis)
        step *= 2
    return a


def accumulated(operation: Callable, name: str) -> Callable:
    """ufunc.accumulate for an associative operation."""

    def accumulate(array, axis=0, dtype=None, out=None):
        refuse(name, out=out)
        a = astype(asarray(array), array.dtype if dtype is None else dtype)
        return running(operation, a, axes_of(axis, len(a.shape))[0])

    return accumulate


def _flat(a: Any, axis: Any) -> tuple[Any, int]:
    return (ravel(a), 0) if axis is None else (a, axes_of(axis, len(a.shape))[0])


def cumsum(a, axis=None, dtype=None, out=None):
    refuse("cumsum", out=out)
    a, axis = _flat(a if dtype is None else astype(a, dtype), axis)
    return apply(reductions.cumsum, (a,), {"axis": axis})


def cumprod(a, axis=None, dtype=None, out=None):
    """Products of parts: like :func:`prod`, exact at zeros."""
    refuse("cumprod", out=out)
    a, axis = _flat(astype(a, _product_dtype(a) if dtype is None else dtype), axis)
    return running(ew.multiply, a, axis)


def _with_initial(made: Any, x: Any, axis: Any, include_initial: bool, first: int) -> Any:
    if not include_initial:
        return made
    axis = 0 if axis is None else axes_of(axis, len(x.shape))[0]
    shape = tuple([1 if i == axis else n for i, n in enumerate(made.shape)])
    return concatenate([np.full(shape, first, made.dtype), made], axis)


def cumulative_sum(x, /, *, axis=None, dtype=None, out=None, include_initial=False):
    _one_axis("cumulative_sum", x, axis)
    return _with_initial(cumsum(x, axis, dtype, out), x, axis, include_initial, 0)


def cumulative_prod(x, /, *, axis=None, dtype=None, out=None, include_initial=False):
    _one_axis("cumulative_prod", x, axis)
    return _with_initial(cumprod(x, axis, dtype, out), x, axis, include_initial, 1)


def _one_axis(name: str, x: Any, axis: Any) -> None:
    if axis is None and len(x.shape) != 1:
        raise ShapeError(f"{name}: an array of shape {x.shape} has several axes; name one with axis=")


def _position(primitive: Any, a: Any, axis: Any, keepdims: Any) -> Any:
    if axis is None:
        rank = len(a.shape)
        found = _reduce(primitive, ravel(a), 0, False)
        return reshape(found, (1,) * rank) if keepdims and keepdims is not NO_VALUE else found
    return _reduce(primitive, a, axis, keepdims)


def argmax(a, axis=None, out=None, *, keepdims=False):
    refuse("argmax", out=out)
    return _position(reductions.argmax, a, axis, keepdims)


def argmin(a, axis=None, out=None, *, keepdims=False):
    refuse("argmin", out=out)
    return _position(reductions.argmin, a, axis, keepdims)
