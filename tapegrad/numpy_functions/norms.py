"""Norms of vectors and matrices.

Where a norm is 0 its derivative is taken as 0: it has a cone's tip there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError, UnsupportedPrimitive
from ..primitives import elementwise as ew
from ..primitives.reductions import axes_of
from ..tensor import complex_refused
from .common import asarray
from .reductions import max, min, sum  # noqa: A004
from .selection import where
from .shapes import astype, moveaxis, reshape
from .statistics import root


def norm(x, ord=None, axis=None, keepdims=False):  # noqa: A002
    x = asarray(x)
    if isinstance(ord, complex):
        raise complex_refused("norm", f"ord={ord!r}")
    x = x if x.dtype.kind == "f" else astype(x, np.float64)
    rank = len(x.shape)
    if axis is None and (ord is None or (ord in ("f", "fro") and rank == 2) or (ord == 2 and rank == 1)):
        return root(sum(x * x, keepdims=keepdims))
    axes = [axes_of(i, rank)[0] for i in (range(rank) if axis is None else np.ravel(axis))]
    if len(axes) == 1:
        return _of_vectors(x, ord, axes[0], keepdims)
    if len(axes) != 2 or axes[0] == axes[1]:
        raise ShapeError(f"norm: axis={axis} of an array of shape {x.shape}; name one axis, or two different ones")
    return _of_matrices(x, ord, axes, keepdims)


def _of_vectors(x: Any, ord: Any, axis: int, keepdims: Any) -> Any:  # noqa: A002
    if ord is None or ord == 2:
        return root(sum(x * x, axis, keepdims=keepdims))
    if isinstance(ord, str):
        raise UnsupportedPrimitive(f"numpy.linalg.norm: ord={ord!r} is no norm of vectors; give a number")
    if ord == 0:
        return sum(astype(astype(x, bool), x.dtype), axis, keepdims=keepdims)
    if ord in (np.inf, -np.inf):
        return (max if ord > 0 else min)(np.abs(x), axis, keepdims=keepdims)
    if ord == 1:
        return sum(np.abs(x), axis, keepdims=keepdims)
    if ord < 0:
        return ew.power(sum(ew.power(np.abs(x), float(ord)), axis, keepdims=keepdims), 1 / ord)
    zero = ew.equal(x, 0)  # where |x|^(p - 1) may be infinite
    total = sum(where(zero, 0.0, ew.power(np.abs(where(zero, 1.0, x)), float(ord))), axis, keepdims=keepdims)
    tip = ew.equal(total, 0)
    return where(tip, 0.0, ew.power(where(tip, 1.0, total), 1 / ord))


def _of_matrices(x: Any, ord: Any, axes: list[int], keepdims: Any) -> Any:  # noqa: A002
    x = moveaxis(x, axes, (-2, -1))
    if ord in (None, "f", "fro"):
        made = root(sum(x * x, (-2, -1)))
    elif ord in (1, -1, np.inf, -np.inf):
        sums = sum(np.abs(x), -2 if abs(ord) == 1 else -1)
        made = (max if ord > 0 else min)(sums, -1)
    else:
        raise UnsupportedPrimitive(
            f"numpy.linalg.norm: ord={ord!r} of matrices is not supported here; give 1, -1, inf, -inf or 'fro'"
        )
    if not keepdims:
        return made
    shape = list(made.shape)
    for axis in sorted(axes):
        shape.insert(axis, 1)
    return reshape(made, tuple(shape))
