"""Arrays made of Tensors, and functional writes, for what NumPy cannot dispatch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import DtypeError
from ..primitives.indexing import concrete, index
from ..primitives.registry import is_inexact
from ..tensor import Tensor
from .common import asarray
from .selection import where
from .shapes import astype, broadcast_to, ravel


def full(shape: int | Sequence[int], fill_value: Any, dtype: Any = None) -> Any:
    """An array of a shape filled with a value that may be a Tensor, as ``np.full`` cannot be.

    >>> full((2,), 3.0)
    array([3., 3.])
    """
    value = asarray(fill_value)
    value = value if dtype is None else astype(value, dtype)
    return broadcast_to(value, shape) if isinstance(value, Tensor) else np.full(shape, value)


def array(items: Any, dtype: Any = None) -> Any:
    """An array of nested lists that may hold Tensors, as ``np.array`` cannot make.

    >>> array([[1.0, 2.0], [3.0, 4.0]]).shape
    (2, 2)
    """
    value = asarray(items)
    return value if dtype is None else astype(value, dtype)


def _like(make: Callable) -> Callable:
    """np.zeros_like and its kind: of a Tensor they read shape and dtype alone."""

    def like(a, dtype=None, order="K", subok=True, shape=None, *, device=None):
        return make(a.shape if shape is None else shape, a.dtype if dtype is None else dtype)

    return like


zeros_like, ones_like, empty_like = _like(np.zeros), _like(np.ones), _like(np.empty)


def full_like(a, fill_value, dtype=None, order="K", subok=True, shape=None, *, device=None):
    return full(a.shape if shape is None else shape, fill_value, a.dtype if dtype is None else dtype)


def index_add(x: Any, key: Any, value: Any) -> Any:
    """``x`` with ``value`` added at ``x[key]``; repeated indices add up. ``x`` itself is not changed.

    >>> index_add(np.zeros(3), np.array([0, 0, 2]), 1.0)
    array([2., 0., 1.])
    """
    if not is_inexact(x):
        if isinstance(x, Tensor) or isinstance(value, Tensor):
            raise DtypeError(f"index_add: x has the dtype {x.dtype}; traced values are added to floating arrays only")
        added = np.array(x)
        np.add.at(added, key, value)
        return added
    return x + _scattered(x, key, value)


def index_update(x: Any, key: Any, value: Any) -> Any:
    """``x`` with ``x[key]`` replaced by ``value``, as ``x[key] = value`` would. ``x`` itself is not changed.

    >>> index_update(np.zeros(3), 1, 5.0)
    array([0., 5., 0.])
    """
    key = tuple([_concrete(part) for part in key]) if isinstance(key, tuple) else _concrete(key)
    origin = np.full(x.shape, -1)  # which element of value each element comes from; the last one written counts
    shape = origin[key].shape
    origin[key] = np.arange(int(np.prod(shape))).reshape(shape)
    if not np.prod(shape):
        return x
    values = ravel(broadcast_to(astype(asarray(value), x.dtype), shape))
    return where(origin >= 0, index(values, np.maximum(origin, 0)), x)


def _concrete(part: Any) -> Any:
    return concrete(part, "the index of index_update") if isinstance(part, Tensor) else part


def _scattered(x: Any, key: Any, value: Any) -> Any:
    """Zeros of the shape of ``x`` with ``value`` at an index: the cotangent of reading there."""
    from ..transforms import vjp

    read, pullback = vjp(lambda held: index(held, key), np.zeros(x.shape, x.dtype))
    return pullback(broadcast_to(astype(asarray(value), read.dtype), read.shape))[0]
