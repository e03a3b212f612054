"""How NumPy's functions, operators and methods reach the primitives (NEP 13 and NEP 18).

Where NumPy cannot dispatch, a Tensor refuses to become an array, with the remedy: a silent
conversion would cut it from its gradient.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .errors import TracingError, UnsupportedPrimitive
from .functions import logsumexp
from .numpy_functions import (
    HOMES,
    creation,
    elementwise,
    linalg,
    matrix_products,
    ordering,
    parts,
    products,
    reductions,
    selection,
    shapes,
    special,
    statistics,
    windows,
)
from .numpy_functions.common import asarray, missing
from .primitives import elementwise as ew
from .primitives.contract import matmul
from .primitives.indexing import concrete, index
from .primitives.registry import Primitive
from .refusals import IN_PLACE, refuse_in_place, refuse_pickle, refuse_view
from .tensor import Tensor, apply


def _dispatches(function: Any) -> bool:
    """Whether NumPy asks its arguments for a rule of their own (NEP 18); ufuncs do it another way."""
    return hasattr(function, "_implementation")


UFUNCS: dict[Any, Any] = {
    row.function: row
    for row in vars(ew).values()
    if isinstance(row, ew.Elementwise) and isinstance(row.function, np.ufunc)
} | {
    np.matmul: lambda x, y: matmul(asarray(x), asarray(y)),
    np.vecdot: matrix_products.vecdot,
    np.true_divide: ew.divide,
    **elementwise.UFUNCS,
    **{getattr(np, name): getattr(products, name) for name in ("matvec", "vecmat") if hasattr(np, name)},
    np.conjugate: parts.conjugate,
}

REDUCE: dict[Any, Callable] = {
    np.add: reductions.sum,
    np.multiply: reductions.prod,
    np.maximum: reductions.max,
    np.minimum: reductions.min,
    np.fmax: statistics.nanmax,
    np.fmin: statistics.nanmin,
    np.logical_and: reductions.all_,
    np.logical_or: reductions.any_,
    np.logaddexp: logsumexp,
}

ACCUMULATE: dict[Any, Callable] = {
    np.add: reductions.cumsum,
    np.multiply: reductions.cumprod,
    **{u: reductions.accumulated(u, u.__name__) for u in (np.maximum, np.minimum, np.fmax, np.fmin, np.logaddexp)},
}

FUNCTIONS: dict[Any, Callable] = {
    getattr(np, name): function
    for home in HOMES
    for name, function in vars(home).items()
    if getattr(function, "__module__", None) == home.__name__ and hasattr(np, name) and _dispatches(getattr(np, name))
} | {
    getattr(np.linalg, name): function
    for home in (linalg, matrix_products)
    for name, function in vars(home).items()
    if getattr(function, "__module__", None) == home.__name__ and hasattr(np.linalg, name)
} | {
    np.matrix_transpose: matrix_products.matrix_transpose,
    np.amax: reductions.max,
    np.amin: reductions.min,
    np.any: reductions.any_,
    np.all: reductions.all_,
    np.around: elementwise.round,
    np.lib.stride_tricks.sliding_window_view: windows.sliding_window_view,
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.size: lambda a, axis=None: a.size if axis is None else a.shape[axis],
    np.zeros_like: creation.zeros_like,
    np.ones_like: creation.ones_like,
    np.full_like: creation.full_like,
    np.empty_like: creation.empty_like,
    np.copy: lambda a, order="K", subok=False: a,
    np.linspace: creation.linspace,
    np.result_type: lambda *args: np.result_type(*[a.dtype if isinstance(a, Tensor) else a for a in args]),
    np.iscomplexobj: lambda x: x.dtype.kind == "c",
    np.isrealobj: lambda x: x.dtype.kind != "c",
}


def _array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    if kwargs.pop("out", None) is not None:
        raise UnsupportedPrimitive(
            f"{special.origin(ufunc)}.{ufunc.__name__}: a traced value cannot be written into an array (out=, +=, -=, "
            "*=, ...), which would lose its gradient; make a new array: x = x + t"
        )
    if method == "__call__":
        if kwargs:
            raise UnsupportedPrimitive(
                f"{special.origin(ufunc)}.{ufunc.__name__}: the argument {next(iter(kwargs))}= is not supported on a "
                "Tensor; select with "
                "np.where, convert with .astype"
            )
        handler = UFUNCS.get(ufunc)
        if handler is None:
            handler = special.found(ufunc)
            if handler is None:
                raise missing(ufunc.__name__, special.origin(ufunc))
        if any(isinstance(x, (list, tuple)) for x in inputs):
            inputs = tuple([asarray(x) for x in inputs])
        return apply(handler, inputs) if isinstance(handler, Primitive) else handler(*inputs)
    if method == "reduce" and ufunc in REDUCE:
        return REDUCE[ufunc](*inputs, **{"axis": 0, **kwargs})
    if method == "accumulate" and ufunc in ACCUMULATE:
        return ACCUMULATE[ufunc](*inputs, **{"axis": 0, **kwargs})
    if method == "outer" and len(inputs) == 2:
        x, y = (asarray(v) for v in inputs)
        return ufunc(shapes.reshape(x, x.shape + (1,) * len(y.shape)), y)
    raise missing(f"{ufunc.__name__}.{method}", special.origin(ufunc))


def _array_function(self: Tensor, func: Any, types: Any, args: tuple, kwargs: dict) -> Any:
    handler: Any = FUNCTIONS.get(func)
    if handler is None:
        raise missing(func.__name__, func.__module__)
    try:
        return handler(*args, **kwargs)
    except TypeError:
        try:
            inspect.signature(handler).bind(*args, **kwargs)
        except TypeError as error:
            raise UnsupportedPrimitive(f"{func.__module__}.{func.__name__} on a Tensor: {error}") from None
        raise


def _refuse_array(self: Tensor, dtype: Any = None, copy: Any = None) -> Any:
    raise TracingError(
        f"a Tensor of shape {self.shape} cannot become a plain array: that would cut it from its gradient. Use "
        "np.stack "
        "for np.array([t]), tapegrad.array for nested lists, tapegrad.full for np.full(shape, t), "
        "tapegrad.index_update for buf[0] = t, tapegrad.take(table, t, axis=0) for table[t], tapegrad.logsumexp "
        "for scipy.special.logsumexp; to look at the number, print it or read t.value"
    )


def _refuse_number(self: Tensor, *args: Any) -> Any:
    raise TracingError(
        f"a Tensor of shape {self.shape} cannot become a Python number: that would cut it from its gradient. "
        "Return it from the function (value_and_grad gives the number), read t.value to look at it, and for "
        "buf[i] = t use tapegrad.index_update(buf, i, t)"
    )


def _refuse_write(self: Tensor, key: Any, value: Any) -> None:
    raise TracingError(
        "a traced array cannot be written to (x[...] = value): its gradient would be lost. Use np.where(mask, "
        "value, x), np.concatenate, or tapegrad.index_update(x, index, value), which return a new array"
    )


def _format(self: Tensor, spec: str) -> str:
    return format(concrete(self, "format")[()], spec) if spec else repr(self)


def _bool(self: Tensor) -> bool:
    return bool(concrete(self, "if, while, and, or, not on a traced value"))


def _index(self: Tensor) -> int:
    return concrete(self, "a traced value as a Python index").__index__()


def _len(self: Tensor) -> int:
    if not self.shape:
        raise TypeError("len() of a Tensor without axes")
    return self.shape[0]


def _iter(self: Tensor) -> Iterator[Any]:
    return iter([index(self, i) for i in range(_len(self))])


OPERANDS = {bool, int, float, np.ndarray, Tensor}


def _operand(value: Any) -> bool:
    return type(value) in OPERANDS or isinstance(value, (Tensor, np.ndarray, np.generic, list, tuple, complex))


def _binary(handler: Any, swap: bool = False) -> Callable:
    call = (lambda x, y: apply(handler, (x, y))) if isinstance(handler, Primitive) else handler

    def forward(self: Tensor, other: Any) -> Any:
        if type(other) not in OPERANDS:
            if not _operand(other):
                return NotImplemented
            other = asarray(other) if isinstance(other, (list, tuple)) else other
        return call(self, other)

    def reflected(self: Tensor, other: Any) -> Any:
        if not _operand(other):
            return NotImplemented
        return call(asarray(other) if isinstance(other, (list, tuple)) else other, self)

    return reflected if swap else forward


def _method(function: Callable) -> Callable:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__name__ = function.__name__
    method.__doc__ = f"As :func:`numpy.{function.__name__.rstrip('_')}`."
    return method


def _shape_method(function: Callable) -> Callable:
    """reshape and transpose take their shape or axes as one tuple or as several ints."""

    def method(self: Tensor, *args: Any) -> Any:
        if not args:
            return function(self)
        return function(self, args[0] if len(args) == 1 and not isinstance(args[0], (int, np.integer)) else args)

    return method


def install() -> None:
    """Give Tensor NumPy's protocols, operators and methods."""
    for name, ufunc in {
        "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "pow": np.power,
        "mod": np.remainder, "floordiv": np.floor_divide, "matmul": np.matmul,
        "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "divmod": np.divmod,
    }.items():  # fmt: skip
        setattr(Tensor, f"__{name}__", _binary(UFUNCS[ufunc]))
        setattr(Tensor, f"__r{name}__", _binary(UFUNCS[ufunc], swap=True))
    for name, ufunc in {
        "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
        "eq": np.equal, "ne": np.not_equal,
    }.items():  # fmt: skip
        setattr(Tensor, f"__{name}__", _binary(UFUNCS[ufunc]))
    for name, function in {
        "neg": ew.negative, "pos": lambda x: x, "abs": ew.absolute, "invert": UFUNCS[np.invert], "getitem": index,
        "len": _len, "iter": _iter, "bool": _bool, "index": _index, "format": _format, "setitem": _refuse_write,
        "float": _refuse_number, "int": _refuse_number, "complex": _refuse_number, "array": _refuse_array,
        "array_ufunc": _array_ufunc, "array_function": _array_function,
        "copy": lambda self: self, "deepcopy": lambda self, memo: self, "reduce_ex": refuse_pickle,
    }.items():  # fmt: skip
        wrapped = (
            (lambda self, primitive=function: apply(primitive, (self,)))
            if isinstance(function, Primitive)
            else function
        )
        setattr(Tensor, f"__{name}__", wrapped)
    methods: list[Callable] = [
        reductions.sum, reductions.max, reductions.min, reductions.prod, reductions.argmax, reductions.argmin,
        reductions.cumsum, reductions.cumprod, statistics.mean, statistics.var, statistics.std, shapes.swapaxes,
        shapes.ravel, shapes.squeeze, shapes.repeat, shapes.astype, selection.take, selection.clip, selection.diagonal,
        selection.trace, selection.choose, ordering.argsort, ordering.argpartition, ordering.searchsorted,
        ordering.nonzero, elementwise.round, products.dot,
    ]  # fmt: skip
    for function in methods:
        setattr(Tensor, function.__name__, _method(function))
    Tensor.any, Tensor.all = _method(reductions.any_), _method(reductions.all_)  # type: ignore[attr-defined]
    Tensor.flatten, Tensor.copy = _method(shapes.ravel), lambda self: self  # type: ignore[attr-defined]
    Tensor.reshape, Tensor.transpose = _shape_method(shapes.reshape), _shape_method(shapes.transpose)  # type: ignore[attr-defined]
    Tensor.real, Tensor.imag = property(parts.real), property(parts.imag)  # type: ignore[attr-defined]
    Tensor.conj = Tensor.conjugate = _method(parts.conjugate)  # type: ignore[attr-defined]
    Tensor.view = refuse_view  # type: ignore[attr-defined]
    for name, remedy in IN_PLACE.items():
        setattr(Tensor, name, refuse_in_place(name, remedy))
    Tensor.item = Tensor.tolist = _refuse_number  # type: ignore[attr-defined]
    Tensor.T = property(shapes.transpose)  # type: ignore[attr-defined]
    Tensor.mT = property(matrix_products.matrix_transpose)  # type: ignore[attr-defined]


install()

__all__ = ["FUNCTIONS", "UFUNCS", "install", "missing"]
