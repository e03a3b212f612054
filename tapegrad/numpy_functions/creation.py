"""Arrays made of Tensors, and functional writes, for what NumPy cannot dispatch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import DtypeError, OptionError, ShapeError
from ..primitives.indexing import concrete, index
from ..primitives.registry import is_inexact
from ..tensor import Tensor, aval_of, complex_refused, is_complex
from .common import asarray
from .selection import where
from .shapes import astype, broadcast_to, moveaxis, ravel


def full(shape: int | Sequence[int], fill_value: Any, dtype: Any = None) -> Any:
    """An array of a shape filled with a value that may be a Tensor, as ``np.full`` cannot be.

    Parameters
    ----------
    shape : int or tuple of int
    fill_value : array, scalar or Tensor
        Broadcast to the shape.
    dtype : dtype, optional
        That of the value by default.

    Returns
    -------
    array of that shape

    Raises
    ------
    ShapeError
        When the value does not broadcast to the shape.
    DtypeError
        When a Tensor meets a complex dtype.

    Examples
    --------
    >>> full((2,), 3.0)
    array([3., 3.])
    """
    if dtype is not None and is_complex(fill_value) and np.dtype(dtype).kind != "c":
        raise complex_refused("full", f"a complex value for the dtype {np.dtype(dtype)}")
    if not isinstance(fill_value, (list, tuple, Tensor)):
        return np.full(shape, fill_value, dtype)
    value = array(fill_value, dtype)
    return broadcast_to(value, shape) if isinstance(value, Tensor) else np.full(shape, value)


def array(items: Any, dtype: Any = None) -> Any:
    """An array of nested lists that may hold Tensors, as ``np.array`` cannot make.

    Parameters
    ----------
    items : nested lists and tuples of Tensors, arrays and numbers
        All parts of one list have the same shape.
    dtype : dtype, optional
        By default what the parts have in common: Python's numbers adapt to the arrays beside them, so that a float32
        Tensor among numbers gives float32.

    Returns
    -------
    array

    Raises
    ------
    ShapeError
        When the parts of a list differ in shape.
    DtypeError
        When a Tensor meets a complex number.

    Examples
    --------
    >>> array([[1.0, 2.0], [3.0, 4.0]]).shape
    (2, 2)
    >>> array([np.float32(1), 2.0]).dtype
    dtype('float32')
    """
    parts = _numbers(items)
    if not isinstance(items, (list, tuple)) or not parts:
        value = asarray(items)
        return value if dtype is None else astype(value, dtype)
    if dtype is None:  # of a Tensor's abstract value: its dtype, weak where it stands for a Python number
        dtype = np.result_type(*[_kind(part) for part in parts])
    return _stacked(items, np.dtype(dtype))


def _numbers(items: Any) -> list[Any]:
    """What nested lists hold."""
    if not isinstance(items, (list, tuple)):
        return [items]
    return [part for item in items for part in _numbers(item)]


def _kind(part: Any) -> Any:
    """What counts for a common dtype: a number of Python for itself, if not a boolean, which NumPy takes for strong."""
    known = aval_of(part) if isinstance(part, Tensor) else None
    if known is not None and known.weak:
        return known.dtype.type(0).item()
    return part if type(part) in (int, float, complex) else np.asarray(part).dtype if known is None else known.dtype


def _stacked(items: Any, dtype: np.dtype) -> Any:
    if not isinstance(items, (list, tuple)):
        return astype(asarray(items), dtype)
    made = [_stacked(item, dtype) for item in items]
    shapes = {np.shape(part) for part in made}
    if len(shapes) > 1:
        raise ShapeError(
            f"array: parts of one list have the shapes {', '.join(map(str, sorted(shapes)))}; all must have one shape "
            "(np.concatenate joins arrays of different lengths)"
        )
    return np.stack(made) if made else np.zeros(0, dtype)


def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """Evenly spaced numbers between ends that may be Tensors, as ``np.linspace`` cannot take them.

    Parameters
    ----------
    start, stop : array, scalar or Tensor
        Broadcast against each other.
    num : int
        How many numbers.
    endpoint : bool
        Whether the last one is ``stop``.
    dtype : dtype, optional
        By default float64, or what floating Tensors or arrays have in common with Python's numbers.
    axis : int
        Of the result, along which the numbers run.

    Returns
    -------
    array
        On plain arrays what ``np.linspace`` gives, and on Tensors the same numbers to the last bit.

    Examples
    --------
    >>> linspace(0.0, 1.0, 3)
    array([0. , 0.5, 1. ])
    """
    if not isinstance(start, Tensor) and not isinstance(stop, Tensor):
        return np.linspace(start, stop, num, endpoint=endpoint, dtype=dtype, axis=axis)
    if not isinstance(num, (int, np.integer)) or num < 0:
        raise OptionError(f"linspace: num={num!r}, expected a whole number that is not negative")
    kind = np.result_type(_kind(start), _kind(stop), 0.0)
    asked = kind if dtype is None else np.dtype(dtype)
    start, stop = astype(asarray(start), kind), astype(asarray(stop), kind)
    count = num - 1 if endpoint else num
    delta = stop - start
    steps = np.arange(num, dtype=kind).reshape((num,) + (1,) * len(delta.shape))
    if count > 0:  # NumPy multiplies by the step, and by the whole if any step is 0, be it by rounding
        step = delta / count
        parts = where(np.any(np.equal(step, 0)), (steps / kind.type(count)) * delta, steps * step)
    else:
        parts = steps * delta
    result = parts + start
    if endpoint and num > 1:
        last = np.arange(num).reshape(steps.shape) == num - 1
        result = where(last, stop, result)
    if asked.kind in "iu":
        result = np.floor(result)
    return moveaxis(astype(result, asked), 0, axis)


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
