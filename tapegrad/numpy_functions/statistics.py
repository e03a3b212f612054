"""Means, variances, and what leaves NaN out."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..primitives import elementwise as ew
from ..primitives.reductions import axes_of
from .common import asarray, given, refuse
from .reductions import argmax, argmin, counted, cumprod, cumsum, max, min, prod, selected, sum  # noqa: A004
from .selection import where as choose
from .shapes import astype, broadcast_to, concatenate, reshape, transpose


def root(x: Any) -> Any:
    """The square root with the derivative 0 at 0, for norms and deviations, which have a cone's tip there."""
    tip = ew.equal(x, 0)
    return choose(tip, 0.0, ew.sqrt(choose(tip, 1.0, x)))


def mean(a, axis=None, dtype=None, out=None, keepdims=False, where=None):
    refuse("mean", out=out)
    a = asarray(a)
    count = counted(a.shape, axis, where, keepdims)
    a = selected(a, where, 0)
    if dtype is not None:
        return sum(a, axis, dtype, keepdims=keepdims) / count
    if a.dtype == np.float16:  # NumPy adds up half precision in single precision
        return astype(sum(a, axis, np.float32, keepdims=keepdims) / count, np.float16)
    dtype = np.dtype(np.float64) if a.dtype.kind in "iub" else a.dtype
    made = sum(a, axis, dtype, keepdims=keepdims) / count
    return made if made.dtype == dtype else astype(made, dtype)


def var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, where=None, mean=None, correction=None):
    refuse("var", out=out)
    a = asarray(a)
    half = a.dtype == np.float16 and dtype is None
    a = astype(a, np.float32 if half else dtype) if half or dtype is not None else a
    centre = mean if given(mean) else _mean(a, axis, keepdims=True, where=where)
    centred = selected(a - centre, where, 0)
    left = counted(a.shape, axis, where, keepdims) - (correction if given(correction) else ddof)
    left = builtins.max(left, 0) if isinstance(left, (int, float)) else np.maximum(left, 0)
    made = sum(centred * centred, axis, keepdims=keepdims) / left
    return astype(made, np.float16 if half else centred.dtype)


_mean = mean


def std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, where=None, mean=None, correction=None):
    """The deviation; where all elements are equal its derivative is taken as 0."""
    return root(var(a, axis, dtype, out, ddof, keepdims, where, mean, correction))


def average(a, axis=None, weights=None, returned=False, *, keepdims=False):
    a = asarray(a)
    if weights is None:
        made = mean(a, axis, keepdims=keepdims)
        return (made, np.full(made.shape, float(counted(a.shape, axis, None)))) if returned else made
    weights = asarray(weights)
    if weights.shape != a.shape:
        axes = (axis,) if isinstance(axis, (int, np.integer)) else axis
        if axes is None or weights.shape != tuple([a.shape[i] for i in axes]):
            raise ShapeError(
                f"average: weights of shape {weights.shape} for an array of shape {a.shape} along axis {axis}; give "
                "weights of the shape of the array, or of its axes named by axis="
            )
        weights = transpose(weights, sorted(range(len(axes)), key=lambda i: axes[i] % len(a.shape)))
        places = axes_of(axis, len(a.shape))
        weights = reshape(weights, tuple([n if i in places else 1 for i, n in enumerate(a.shape)]))
    dtype = np.result_type(a.dtype, weights.dtype, *[np.float64] * (a.dtype.kind in "iub"))
    weights = weights if weights.shape == a.shape else broadcast_to(weights, a.shape)
    total = sum(weights, axis, dtype, keepdims=keepdims)
    made = sum(a * weights, axis, dtype, keepdims=keepdims) / total
    return (made, broadcast_to(total, made.shape)) if returned else made


def cov(m, y=None, rowvar=True, bias=False, ddof=None, fweights=None, aweights=None, *, dtype=None):
    refuse("cov", fweights=fweights, aweights=aweights)
    parts = [_rows_of(part, rowvar) for part in ([m] if y is None else [m, y])]
    dtype = np.result_type(np.float64, *[x.dtype for x in parts]) if dtype is None else dtype
    x = astype(concatenate(parts), dtype)
    x = x - mean(x, 1, keepdims=True)
    ddof = (0 if bias else 1) if ddof is None else ddof
    made = np.matmul(x, transpose(x)) / builtins.max(x.shape[1] - ddof, 0)
    return made if made.shape != (1, 1) else made[0, 0]


def _rows_of(m: Any, rowvar: bool) -> Any:
    m = asarray(m)
    return reshape(m, (1, *(m.shape or (1,)))) if len(m.shape) < 2 else m if rowvar else transpose(m)


def corrcoef(x, y=None, rowvar=True, *, dtype=None):
    made = cov(x, y, rowvar, dtype=dtype)
    if not made.shape:
        return made / made
    deviation = ew.sqrt(np.diagonal(made))
    made = made / deviation[:, None] / deviation[None, :]
    return np.clip(made, -1, 1)


# ---- without NaN ----
def _known(a: Any) -> Any:
    return ew.equal(a, a)


def nansum(a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=None):
    a = asarray(a)
    return sum(choose(_known(a), a, 0), axis, dtype, out, keepdims, initial, where)


def nanprod(a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=None):
    a = asarray(a)
    return prod(choose(_known(a), a, 1), axis, dtype, out, keepdims, initial, where)


def nancumsum(a, axis=None, dtype=None, out=None):
    return cumsum(choose(_known(a), a, 0), axis, dtype, out)


def nancumprod(a, axis=None, dtype=None, out=None):
    return cumprod(choose(_known(a), a, 1), axis, dtype, out)


def _both(known: Any, where: Any) -> Any:
    return ew.logical_and(known, asarray(where)) if given(where) else known


def nanmean(a, axis=None, dtype=None, out=None, keepdims=False, where=None):
    a = asarray(a)
    return mean(a, axis, dtype, out, keepdims, _both(_known(a), where))


def nanvar(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, where=None, mean=None, correction=None):
    a = asarray(a)
    return var(a, axis, dtype, out, ddof, keepdims, _both(_known(a), where), mean, correction)


def nanstd(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, where=None, mean=None, correction=None):
    return root(nanvar(a, axis, dtype, out, ddof, keepdims, where, mean, correction))


def nanmax(a, axis=None, out=None, keepdims=False, initial=None, where=None):
    if a.dtype.kind != "f":
        return max(a, axis, out, keepdims, initial, where)
    made = max(choose(_known(a), a, -np.inf), axis, out, keepdims, initial, where)
    return choose(np.any(_known(a), axis, keepdims=keepdims), made, made if given(initial) else np.nan)


def nanmin(a, axis=None, out=None, keepdims=False, initial=None, where=None):
    if a.dtype.kind != "f":
        return min(a, axis, out, keepdims, initial, where)
    made = min(choose(_known(a), a, np.inf), axis, out, keepdims, initial, where)
    return choose(np.any(_known(a), axis, keepdims=keepdims), made, made if given(initial) else np.nan)


def nanargmax(a, axis=None, out=None, *, keepdims=False):
    return argmax(choose(_known(a), a, -np.inf) if a.dtype.kind == "f" else a, axis, out, keepdims=keepdims)


def nanargmin(a, axis=None, out=None, *, keepdims=False):
    return argmin(choose(_known(a), a, np.inf) if a.dtype.kind == "f" else a, axis, out, keepdims=keepdims)
