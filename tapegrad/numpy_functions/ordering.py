"""Sorting, and what is read off a sorted array: medians, quantiles, places among sorted values."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ShapeError, UnsupportedPrimitive
from ..primitives import elementwise as ew
from ..primitives import reductions
from ..primitives.indexing import concrete, index
from ..primitives.reductions import axes_of
from ..tensor import Tensor, apply
from .common import asarray, refuse
from .reductions import sum  # noqa: A004
from .selection import take, take_along_axis, where
from .shapes import astype, expand_dims, moveaxis, ravel, reshape, transpose
from .statistics import mean


def _one_axis(name: str, a: Any, axis: Any) -> tuple[Any, int]:
    a = asarray(a)
    if axis is None:
        return ravel(a), 0
    if not a.shape:
        raise ShapeError(f"{name}: a number has no axis to sort along; give axis=None")
    return a, axes_of(axis, len(a.shape))[0]


def argsort(a, axis=-1, kind=None, order=None, *, stable=None):
    refuse("argsort", order=order)
    a, axis = _one_axis("argsort", a, axis)
    return apply(reductions.argsort, (a,), {"axis": axis, "kind": "stable" if stable else kind, "kth": None})


def sort(a, axis=-1, kind=None, order=None, *, stable=None):
    """The elements at the positions of a stable order: of elements that tie the first comes first."""
    refuse("sort", order=order)
    a, axis = _one_axis("sort", a, axis)
    return take_along_axis(a, argsort(a, axis, stable=True), axis)


def argpartition(a, kth, axis=-1, kind="introselect", order=None):
    refuse("argpartition", order=order)
    a, axis = _one_axis("argpartition", a, axis)
    n = a.shape[axis]
    places = tuple([operator.index(k) for k in (np.ravel(kth) if np.ndim(kth) else [kth])])
    if any(not -n <= k < n for k in places):
        raise ShapeError(f"partition: kth={kth} for an axis of length {n}; places count from 0")
    return apply(reductions.argsort, (a,), {"axis": axis, "kind": None, "kth": tuple([k % n for k in places])})


def partition(a, kth, axis=-1, kind="introselect", order=None):
    refuse("partition", order=order)
    a, axis = _one_axis("partition", a, axis)
    return take_along_axis(a, argpartition(a, kth, axis), axis)


# ---- medians and quantiles ----
def _sorted_last(a: Any, axis: Any) -> tuple[Any, tuple[int, ...]]:
    """The elements of the axes in order, as a last axis; and the shape with these axes of length 1."""
    a = asarray(a)
    a = astype(a, np.float64) if a.dtype.kind == "b" else a
    axes = axes_of(axis, len(a.shape))
    rest = [i for i in range(len(a.shape)) if i not in axes]
    size = int(np.prod([a.shape[i] for i in axes], dtype=np.int64))
    merged = reshape(transpose(a, (*rest, *axes)), (*[a.shape[i] for i in rest], size))
    return sort(merged), tuple([1 if i in axes else n for i, n in enumerate(a.shape)])


def median(a, axis=None, out=None, overwrite_input=False, keepdims=False):
    refuse("median", out=out)
    ordered, kept = _sorted_last(a, axis)
    n = ordered.shape[-1]
    made = mean(ordered[..., max(n - 1, 0) // 2 : n // 2 + 1], -1)
    if n and ordered.dtype.kind == "f":
        made = where(ew.equal(ordered[..., -1], ordered[..., -1]), made, ordered[..., -1])
    return reshape(made, kept) if keepdims is True else made


def nanmedian(a, axis=None, out=None, overwrite_input=False, keepdims=False):
    refuse("nanmedian", out=out)
    ordered, kept = _sorted_last(a, axis)
    if ordered.dtype.kind != "f" or not ordered.shape[-1]:
        return median(a, axis, keepdims=keepdims)
    count = sum(ew.equal(ordered, ordered), -1)
    made = mean(_places(ordered, np.stack([(count - 1) // 2, count // 2], -1)), -1)
    return reshape(made, kept) if keepdims is True else made


def _places(ordered: Any, at: Any) -> Any:
    """Elements of the last axis; no elements at all give index -1, which is NaN."""
    return take_along_axis(ordered, at, -1)


METHODS: dict[str, tuple[Callable, Callable]] = {  # the virtual index, and the share of the upper neighbour
    "linear": (lambda at: at, lambda gamma, lower: gamma),
    "lower": (np.floor, lambda gamma, lower: gamma),
    "higher": (np.ceil, lambda gamma, lower: gamma),
    "midpoint": (lambda at: 0.5 * (np.floor(at) + np.ceil(at)), lambda gamma, lower: gamma),
    "nearest": (np.rint, lambda gamma, lower: gamma),
}  # fmt: skip


def _between(lower: Any, upper: Any, share: Any) -> Any:
    """NumPy's interpolation, which starts from the nearer end."""
    gap = upper - lower
    return where(share >= 0.5, upper - gap * (1 - share), lower + gap * share)


def _parts(name: str, q: Any, dtype: Any) -> np.ndarray:
    """``q`` in its own precision, and a Python number in that of the array."""
    q = np.asarray(q, dtype if isinstance(q, (int, float)) else np.result_type(np.asarray(q), 0.0))
    return np.asarray(q / (100 if q.ndim else q.dtype.type(100))) if "percentile" in name else q


def _quantiles(name: str, a: Any, q: Any, options: dict) -> Any:
    if isinstance(q, Tensor):
        raise UnsupportedPrimitive(f"numpy.{name}: q is traced; give numbers that do not depend on what is traced")
    method = options["method"]
    refuse(name, out=options["out"], weights=options["weights"], interpolation=options["interpolation"])
    if method not in METHODS:
        raise UnsupportedPrimitive(
            f"numpy.{name}: method={method!r} is not supported on a Tensor; choose one of {', '.join(METHODS)}"
        )
    a = asarray(a)
    float_type = a.dtype.type if a.dtype.kind == "f" else np.float64
    q = _parts(name, q, float_type)
    if not np.all((q >= 0) & (q <= 1)):
        raise ShapeError(f"numpy.{name}: q={q} goes beyond the whole; give parts between 0 and 1 (percent up to 100)")
    ordered, kept = _sorted_last(a, options["axis"])
    virtual_index, share_of = METHODS[method]
    at = (ordered.shape[-1] - 1) * q
    at = virtual_index(at).astype(q.dtype)
    lower = np.floor(at).astype(np.intp)
    upper = np.minimum(lower + 1, ordered.shape[-1] - 1)
    made = take(ordered, lower, -1)
    if method not in ("lower", "higher", "nearest"):
        share = np.asarray(share_of(at - lower, lower), q.dtype)
        made = _between(made, take(ordered, upper, -1), share)
    if ordered.dtype.kind == "f":
        last = index(ordered, (Ellipsis, *[None] * q.ndim, -1))
        made = where(ew.equal(last, last), made, last)
    return _arranged(made, q, kept, options["keepdims"])


def _arranged(made: Any, q: np.ndarray, kept: tuple[int, ...], keepdims: Any) -> Any:
    """The axes of ``q`` brought to the front."""
    rank = len(made.shape) - q.ndim
    made = moveaxis(made, range(rank, rank + q.ndim), range(q.ndim))
    return reshape(made, (*q.shape, *kept)) if keepdims is True else made


def quantile(a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False, *, weights=None,
             interpolation=None):  # fmt: skip
    return _quantiles("quantile", a, q, locals())


def percentile(a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False, *, weights=None,
               interpolation=None):  # fmt: skip
    return _quantiles("percentile", a, q, locals())


def _nan_quantiles(name: str, a: Any, q: Any, options: dict) -> Any:
    """Of what is no NaN: how many there are may differ, so that the places are computed for each."""
    ordered, kept = _sorted_last(a, options["axis"])
    if ordered.dtype.kind != "f" or options["method"] != "linear" or isinstance(q, Tensor) or not ordered.shape[-1]:
        refuse(name, method=None if options["method"] == "linear" else options["method"])
        return _quantiles(name.removeprefix("nan"), a, q, options)
    refuse(name, out=options["out"], weights=options["weights"], interpolation=options["interpolation"])
    q = _parts(name, q, ordered.dtype)
    shares = np.ravel(q)
    count = expand_dims(sum(ew.equal(ordered, ordered), -1), -1)
    at = astype(count - 1, q.dtype) * shares
    lower = astype(np.floor(at), np.intp)
    upper = np.minimum(lower + 1, count - 1)
    made = _between(_places(ordered, lower), _places(ordered, upper), at - lower.astype(q.dtype))
    return _arranged(reshape(made, (*made.shape[:-1], *q.shape)), q, kept, options["keepdims"])


def nanquantile(a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False, *, weights=None,
                interpolation=None):  # fmt: skip
    return _nan_quantiles("nanquantile", a, q, locals())


def nanpercentile(a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False, *, weights=None,
                  interpolation=None):  # fmt: skip
    return _nan_quantiles("nanpercentile", a, q, locals())


# ---- places ----
def searchsorted(a, v, side="left", sorter=None):
    """How many elements of ``a`` lie before each of ``v``."""
    a, v = asarray(a), asarray(v)
    a = a if sorter is None else index(a, asarray(sorter))
    before = ew.less(a, expand_dims(v, -1)) if side == "left" else ew.less_equal(a, expand_dims(v, -1))
    return sum(before, -1)


def digitize(x, bins, right=False):
    bins = asarray(bins)
    edges = concrete(bins, "the order of the bins of digitize")
    if edges.size and edges[0] > edges[-1]:
        return edges.size - searchsorted(bins[::-1], x, "left" if not right else "right")
    return searchsorted(bins, x, "left" if right else "right")


def unravel_index(indices, shape, order="C"):
    refuse("unravel_index", order=None if order == "C" else order)
    made = []
    for n in ((shape,) if isinstance(shape, (int, np.integer)) else shape)[::-1]:
        made.append(ew.remainder(indices, n))
        indices = ew.floor_divide(indices, n)
    return tuple(made[::-1])


def nonzero(a):
    """Positions; how many there are must be known."""
    return np.nonzero(concrete(a, "nonzero"))


def flatnonzero(a):
    return np.flatnonzero(concrete(a, "flatnonzero"))


def argwhere(a):
    return np.argwhere(concrete(a, "argwhere"))
