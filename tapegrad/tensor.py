"""Tensors, traces, and the one door that every operation passes.

A *trace* is one reason for following an operation: recording it for a gradient, pushing a tangent through it, mapping
it over a batch, or writing it down without computing it. A :class:`Tensor` is a value inside one trace. :func:`apply`
hands an operation to the innermost trace among its arguments; that trace computes with the values inside, which may
themselves be Tensors of an outer trace. That is all there is to nesting: each trace has a level, and peels off only its
own.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray  # the interpreter does not cache `np.ndarray`, since that module has a __getattr__

from . import pytree
from .errors import DtypeError, TracingError

if TYPE_CHECKING:
    from .primitives.registry import Primitive

NOTHING: dict[str, Any] = {}
SCALARS = frozenset((bool, int, float, complex))


class Aval:
    """An abstract value: what is known of an array before it is computed.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
        In the byte order of the machine, which is that of every result.
    weak : bool
        True for a Python scalar, which adapts to the dtypes that it meets (NEP 50).
    """

    __slots__ = ("dtype", "shape", "weak")

    def __init__(self, shape: tuple[int, ...], dtype: Any, weak: bool = False):
        self.shape, dtype, self.weak = tuple(shape), np.dtype(dtype), weak
        self.dtype = dtype if dtype.isnative else dtype.newbyteorder("=")

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Aval) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple:
        return self.shape, self.dtype, self.weak

    def __repr__(self) -> str:
        kind = type(np.zeros((), self.dtype).item()).__name__ if self.weak else self.dtype.name
        return f"{kind}[{','.join(map(str, self.shape))}]"


def aval_of(value: Any) -> Aval:
    """The abstract value of an array, scalar or Tensor."""
    if isinstance(value, Aval):
        return value
    if isinstance(value, Tensor):
        weak = type(value.value) in SCALARS or getattr(value.value, "weak", False)
        return Aval(value.shape, value.dtype, weak)
    if type(value) in SCALARS:  # not np.float64, which is a float to isinstance, and is not weak
        return Aval((), np.asarray(value).dtype, weak=True)
    return Aval(value.shape, value.dtype)


class Tensor:
    """A value that some trace follows; it behaves as the NumPy array that it stands for.

    Tensors are made by tapegrad's transformations, never directly. NumPy's own functions, operators and methods work
    on them (see :mod:`tapegrad.numpy_protocols`).

    Attributes
    ----------
    value : ndarray, scalar, Tensor or Aval
        What the tensor holds: a concrete array, a tensor of the next outer trace, or only shape and dtype.
    """

    __slots__ = ("owner", "slot", "value")

    def __init_subclass__(cls) -> None:
        TENSORS.add(cls)

    if TYPE_CHECKING:  # what numpy_protocols gives it: operators, and the attributes of an array

        def __getattr__(self, name: str) -> Any: ...

        __add__: Any
        __radd__: Any
        __sub__: Any
        __rsub__: Any
        __mul__: Any
        __rmul__: Any
        __truediv__: Any
        __rtruediv__: Any
        __pow__: Any
        __rpow__: Any
        __matmul__: Any
        __rmatmul__: Any
        __mod__: Any
        __rmod__: Any
        __floordiv__: Any
        __rfloordiv__: Any
        __neg__: Any
        __abs__: Any
        __lt__: Any
        __le__: Any
        __gt__: Any
        __ge__: Any
        __and__: Any
        __or__: Any
        __invert__: Any
        __getitem__: Any
        __len__: Any
        __iter__: Any

    def __init__(self, owner: Trace, value: Any, slot: int = -1):
        self.owner, self.value, self.slot = owner, value, slot

    @property
    def shape(self) -> tuple[int, ...]:
        try:
            return self.value.shape
        except AttributeError:
            return ()

    @property
    def dtype(self) -> np.dtype:
        try:
            return self.value.dtype
        except AttributeError:
            return np.asarray(self.value).dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    def __repr__(self) -> str:
        return f"Tensor({self.value!r})"

    __hash__ = object.__hash__


TENSORS: set[type] = {Tensor}  # and its subclasses: a look here takes half the time of isinstance
pytree.LEAVES.update((Aval, Tensor, np.ndarray, *np.sctypeDict.values()))


def owned(results: Sequence[Any], given: Sequence[Any]) -> list[Any]:
    """Results as arrays of the caller's own, none of them an argument or a view of one."""
    ids = {id(value) for value in given}
    return [
        np.array(value) if isinstance(value, np.ndarray) and (value.base is not None or id(value) in ids) else value
        for value in results
    ]


UNSETTLED = (np.ndarray, complex, np.complexfloating)  # constants that are looked at before they are recorded


def complex_refused(name: str, said: str = "a complex value meets a Tensor") -> DtypeError:
    """The error for a complex value in a trace; ``said`` says how it came there."""
    return DtypeError(
        f"{name}: {said}; complex derivatives are not supported: compute with real and imaginary parts, as two real "
        "arrays (z.real, z.imag) or as a last axis of length 2"
    )


def is_complex(value: Any) -> bool:
    """Whether a value is a complex number or array."""
    return isinstance(value, complex) or getattr(getattr(value, "dtype", None), "kind", "") == "c"


def constant(value: Any, protect: bool = True, name: str = "constant") -> Any:
    """A constant of the operation ``name``: never complex, a plain array, and out of reach of later writes.

    The last only where it is asked for (``protect``).
    """
    if type(value) is not ndarray or value.dtype.kind not in "biuf":
        if not isinstance(value, np.ndarray) or value.dtype.kind == "c":
            raise complex_refused(name)
        if value.dtype.kind not in "biuf":
            raise DtypeError(f"an array of dtype {value.dtype} meets a Tensor; convert it to numbers: a.astype(float)")
        check_plain(value, f"a {type(value).__name__} meets a Tensor")
    return protected(value) if protect else value


def check_plain(value: Any, said: str) -> None:
    """Refuse a matrix or a masked array; ``said`` says where it was met."""
    if isinstance(value, (np.matrix, np.ma.MaskedArray)):
        raise DtypeError(
            f"{said}, and its own meaning of the operation would be lost; give a plain array: np.asarray(m), or "
            "m.filled(0) with np.where for a mask"
        )


def protected(array: Any) -> Any:
    """An array that nobody else can write into: itself if it is read-only down to its base, else a copy."""
    if type(array) is ndarray and array.flags.writeable:
        return array.copy("K")
    view = array
    while isinstance(view, ndarray) and not view.flags.writeable:
        view = view.base
    return array if view is None or isinstance(view, Lent) else np.array(array)


class Lent:
    """Memory of another library, which notices itself when it is written into: ``np.asarray(lent)`` is never copied.

    Attributes
    ----------
    owner : object
        What keeps the memory alive.
    """

    __slots__ = ("__array_interface__", "owner")

    def __init__(self, array: ndarray, owner: Any):
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], True)}  # read-only
        self.owner = owner


class Trace:
    """One reason for following operations; the subclasses say what is done with each.

    ``level`` is 1 for the outermost trace of a thread, counting inwards.
    """

    level = 0

    def process(self, primitive: Primitive, args: Sequence[Any], options: dict[str, Any]) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        """Refuse whatever is still done with the tensors of this trace."""
        self.process = _escaped(self.purpose)  # type: ignore[method-assign]

    purpose = "trace"


class _Escaped:
    """The process of a trace that has ended. It does not refer to the trace, which so dies with its last user."""

    def __init__(self, purpose: str):
        self.purpose = purpose

    def __call__(self, primitive: Primitive, args: Sequence[Any], options: dict[str, Any]) -> Any:
        raise TracingError(
            f"{primitive.name}: an argument is a Tensor whose {self.purpose} has ended. A traced value must not "
            "be kept (in a global, an attribute, a list or a custom rule) beyond the function that was being "
            "transformed: return it instead, or pass it as an argument"
        )


_escaped = cache(_Escaped)


def check_alive(name: str, result: Any, trace: Trace) -> None:
    """Raise when a result belongs to another trace that has ended."""
    if isinstance(result, Tensor) and result.owner is not trace and isinstance(result.owner.process, _Escaped):
        raise TracingError(
            f"{name}: the function returned a Tensor that was kept from a {result.owner.purpose} that has "
            "ended; return what it computes from its own arguments"
        )


_thread = threading.local()
# Who looks on (see watching.py), None as a rule. Asked once for each trace and each run of a tape or loop: an operation
# of a trace that nobody watches costs nothing more.
WATCH: ContextVar[Any] = ContextVar("tapegrad_watch", default=None)


class opened:  # noqa: N801 - read as `with opened(trace):`
    """Run the body inside a new innermost trace, and close the trace after it."""

    __slots__ = ("trace",)

    def __init__(self, trace: Any):
        self.trace = trace

    def __enter__(self) -> Any:
        trace = self.trace
        _thread.depth = trace.level = getattr(_thread, "depth", 0) + 1
        watch = WATCH.get()
        if watch is not None:
            watch.enter(trace)
        return trace

    def __exit__(self, *error: Any) -> None:
        _thread.depth = self.trace.level - 1
        self.trace.close()


def apply(primitive: Primitive, args: Sequence[Any], options: dict[str, Any] = NOTHING) -> Any:
    """Carry out a primitive on arrays, scalars and Tensors: every operation of the library passes here.

    Parameters
    ----------
    primitive : Primitive
    args : sequence
        The arguments that can be differentiated.
    options : dict
        The static rest: axes, shapes, index expressions.

    Raises
    ------
    TracingError
        When two Tensors of unrelated traces meet, or a Tensor outlived its trace.
    """
    top = None
    for arg in args:
        if type(arg) in TENSORS:
            trace = arg.owner
            if trace is top:
                continue
            if top is None or trace.level > top.level:
                top = trace
            elif trace.level == top.level:
                raise TracingError(
                    f"{primitive.name}: two arguments belong to unrelated traces; one of them is a Tensor that was "
                    "kept beyond the function that was being transformed, or that another thread made: return it "
                    "instead"
                )
    if top is None:
        try:
            return primitive.run(*args, **options)
        except ValueError as error:
            raise primitive.explained(error, args) from None
    return top.process(primitive, args, options)
