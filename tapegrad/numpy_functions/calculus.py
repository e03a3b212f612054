"""Differences, integrals, interpolation and polynomials on grids."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError, UnsupportedPrimitive
from ..primitives import elementwise as ew
from ..primitives.indexing import index
from ..primitives.reductions import axes_of
from .common import asarray, given, refuse
from .creation import linspace
from .ordering import searchsorted
from .reductions import sum  # noqa: A004
from .selection import where
from .shapes import astype, broadcast_to, concatenate, expand_dims, moveaxis, ravel, reshape


def _along(axis: int, *rest: Any) -> tuple:
    return (*(slice(None),) * axis, *rest)


def diff(a, n=1, axis=-1, prepend=np._NoValue, append=np._NoValue):
    a = asarray(a)
    axis = axes_of(axis, len(a.shape))[0]
    ends = [[_end(end, a, axis)] if given(end) else [] for end in (prepend, append)]
    a = concatenate([*ends[0], a, *ends[1]], axis) if ends != [[], []] else a
    if n < 0:
        raise ShapeError(f"diff: n={n}; give how often to take differences, 0 or more")
    for _ in range(n):
        later, earlier = a[_along(axis, slice(1, None))], a[_along(axis, slice(None, -1))]
        a = later != earlier if a.dtype == np.bool_ else later - earlier
    return a


def _end(end: Any, a: Any, axis: int) -> Any:
    end = asarray(end)
    return end if end.shape else broadcast_to(end, tuple([1 if i == axis else k for i, k in enumerate(a.shape)]))


def ediff1d(ary, to_end=None, to_begin=None):
    ary = ravel(asarray(ary))
    made = [ary[1:] - ary[:-1]]
    made += [] if to_end is None else [astype(ravel(asarray(to_end)), ary.dtype)]
    made = made if to_begin is None else [astype(ravel(asarray(to_begin)), ary.dtype), *made]
    return concatenate(made) if len(made) > 1 else made[0]


def trapezoid(y, x=None, dx=1.0, axis=-1):
    y = asarray(y)
    axis = axes_of(axis, len(y.shape))[0]
    steps = dx
    if x is not None:
        x = asarray(x)
        steps = diff(x, axis=0 if len(x.shape) == 1 else axis)
        if len(steps.shape) == 1:
            steps = reshape(steps, tuple([-1 if i == axis else 1 for i in range(len(y.shape))]))
    pairs = y[_along(axis, slice(1, None))] + y[_along(axis, slice(None, -1))]
    return sum(steps * pairs / 2.0, axis)


def gradient(f, *varargs, axis=None, edge_order=1):
    f = asarray(f)
    f = f if f.dtype.kind == "f" else astype(f, np.float64)
    axes = [axes_of(i, len(f.shape))[0] for i in ([*range(len(f.shape))] if axis is None else np.ravel(axis))]
    steps = list(varargs) or [1.0]
    steps = steps * len(axes) if len(steps) == 1 else steps
    if len(steps) != len(axes):
        raise ShapeError(f"gradient: {len(steps)} spacings for {len(axes)} axes; give none, one, or one for each axis")
    if edge_order not in (1, 2):
        raise UnsupportedPrimitive(f"numpy.gradient: edge_order={edge_order}; give 1 or 2")
    made = [_slope(f, h, i, edge_order) for h, i in zip(steps, axes, strict=True)]
    return made[0] if len(made) == 1 else tuple(made)


def _slope(f: Any, h: Any, axis: int, edge_order: int) -> Any:
    """Second-order differences inside, of order ``edge_order`` at the ends."""
    n = f.shape[axis]
    if n <= edge_order:
        raise ShapeError(f"gradient: axis {axis} has length {n}; it must be at least {edge_order + 1}")
    even = not np.ndim(h)
    if not even:
        h = diff(asarray(h))
        if h.shape != (n - 1,):
            raise ShapeError(f"gradient: {h.shape[0] + 1} coordinates for an axis of length {n}")
    else:
        h = broadcast_to(asarray(h), (n - 1,))
    h = reshape(h, tuple([n - 1 if i == axis else 1 for i in range(len(f.shape))]))

    def at(x: Any, start: int, stop: int | None) -> Any:
        return x[_along(axis, slice(start, stop))]

    low, high = at(h, 0, -1), at(h, 1, None)
    if even:
        inside = (at(f, 2, None) - at(f, 0, -2)) / (2.0 * low)
    else:
        inside = (-high / (low * (low + high)) * at(f, 0, -2) + (high - low) / (low * high) * at(f, 1, -1)
                  + low / (high * (low + high)) * at(f, 2, None))  # fmt: skip
    if edge_order == 1:
        first = (at(f, 1, 2) - at(f, 0, 1)) / at(h, 0, 1)
        last = (at(f, -1, None) - at(f, -2, -1)) / at(h, -1, None)
    else:
        low, high = at(h, 0, 1), at(h, 1, 2)
        first = (-(2.0 * low + high) / (low * (low + high)) * at(f, 0, 1) + (low + high) / (low * high) * at(f, 1, 2)
                 - low / (high * (low + high)) * at(f, 2, 3))  # fmt: skip
        low, high = at(h, -2, -1), at(h, -1, None)
        last = (high / (low * (low + high)) * at(f, -3, -2) - (high + low) / (low * high) * at(f, -2, -1)
                + (2.0 * high + low) / (high * (low + high)) * at(f, -1, None))  # fmt: skip
    return astype(concatenate([first, inside, last], axis), f.dtype)


def interp(x, xp, fp, left=None, right=None, period=None):
    """Piecewise linear; at a knot the slope is that to its right."""
    refuse("interp", period=period)
    x, xp, fp = (astype(asarray(v), np.float64) for v in (x, xp, fp))
    n = xp.shape[0]
    if xp.shape != fp.shape or len(xp.shape) != 1 or not n:
        raise ShapeError(f"interp: xp of shape {xp.shape} and fp of shape {fp.shape}; give two of one length")
    if n == 1:
        middle = broadcast_to(fp[0], x.shape)
    else:
        at = np.clip(searchsorted(xp, x, "right") - 1, 0, n - 2)
        start, height = index(xp, at), index(fp, at)
        gap = index(xp, at + 1) - start
        middle = (index(fp, at + 1) - height) / where(ew.equal(gap, 0), 1.0, gap) * (x - start) + height
    low, high = ew.less(x, xp[0]), ew.less_equal(xp[-1], x)
    beyond = ew.less(xp[-1], x)
    middle = where(high, fp[-1], where(low, fp[0] if left is None else left, middle))
    middle = middle if right is None else where(beyond, right, middle)
    return where(ew.equal(x, x), middle, x)


# ---- grids between traced ends ----
def logspace(start, stop, num=50, endpoint=True, base=10.0, dtype=None, axis=0):
    made = ew.power(base, linspace(start, stop, num, endpoint, axis=axis))
    return made if dtype is None else astype(made, dtype)


def geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    """Of positive ends; the ends are met exactly."""
    start, stop = asarray(start), asarray(stop)
    shape = np.broadcast_shapes(start.shape, stop.shape)
    share = np.linspace(0.0, 1.0, num, endpoint).reshape((-1,) + (1,) * len(shape))
    made = start * ew.power(stop / start, share)
    made = concatenate([made[:-1], expand_dims(broadcast_to(stop, shape), 0)]) if endpoint and num > 1 else made
    made = moveaxis(made, 0, axis)
    return made if dtype is None else astype(made, dtype)


# ---- polynomials ----
def polyval(p, x):
    """Horner's rule; the first coefficient is that of the highest power."""
    p, x = asarray(p), asarray(x)
    made: Any = np.zeros(x.shape, x.dtype)
    for i in range(p.shape[0]):
        made = made * x + p[i]
    return made
