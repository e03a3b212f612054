"""What a primitive is, and the list of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import TapegradError, UnsupportedPrimitive
from ..tensor import NOTHING, Aval, apply

_REGISTRY: dict[str, Primitive] = {}


class Primitive:
    """An operation that the engine knows how to run, type, differentiate and batch.

    The families (elementwise, contract, reductions, shaping, indexing) are the subclasses; a table row makes an
    instance. Rules are written with NumPy functions: on arrays these run, on Tensors they are
    traced again, so that derivatives of derivatives need nothing more.

    Attributes
    ----------
    name : str
    family : str
    multiple : bool
        Whether it returns a tuple of results.
    parts : tuple of str
        What the results are called in print, where there are several.
    differentiable : bool
    reads_inputs : bool
        Whether the derivative reads the arguments, so that they must be kept unchanged.
    reads_result : bool
        Whether the derivative reads the result, or may give out memory that it shares. Where it does not, the result
        may be the caller's own.
    """

    family = "user"
    multiple = False
    parts: tuple[str, ...] = ()
    differentiable = True
    reads_inputs = True
    reads_result = True
    augment: Callable[..., Any] | None = None  # records itself on a ReverseTape, with what its pull will need
    push_with: Callable[..., Any] | None = None  # computes results and tangents together

    def __init__(self, name: str):
        if name in _REGISTRY:
            raise TapegradError(f"primitive {name!r} is registered twice; choose another name")
        self.name = name
        _REGISTRY[name] = self

    def __call__(self, *args: Any, **options: Any) -> Any:
        return apply(self, args, options or NOTHING)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def run(self, *args: Any, **options: Any) -> Any:
        """Compute on arrays."""
        raise NotImplementedError

    def abstract(self, *args: Any, **options: Any) -> Any:
        """The abstract result (an Aval, or a tuple of them) of abstract arguments."""
        raise self.unsupported("be traced without values: it has no shape rule")

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        """The cotangent of each argument with a slot >= 0, None for the others (the VJP)."""
        raise self.unsupported("be differentiated in reverse mode")

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        """The tangent of the result; a missing tangent is None (the JVP)."""
        raise self.unsupported("be differentiated in forward mode")

    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        """Carry out for every index of a leading batch axis, which the flagged arguments have."""
        raise self.unsupported("be batched by vmap")

    def explained(self, error: ValueError, args: Sequence[Any]) -> Exception:
        """The error to raise where NumPy refused the arguments."""
        return error

    def count(self, options: dict) -> int:
        """How many results a primitive with several results returns."""
        return 1

    def unsupported(self, what: str) -> UnsupportedPrimitive:
        return UnsupportedPrimitive(
            f"{self.name} cannot {what}; build the function from NumPy functions, or register a rule with "
            "tapegrad.primitive(...)"
        )


def primitives() -> Iterator[Primitive]:
    """All registered primitives."""
    return iter(list(_REGISTRY.values()))


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of an array, Tensor, Aval or Python scalar."""
    return getattr(value, "shape", ())


def is_inexact(value: Any) -> bool:
    """Whether a value has a floating dtype, and so can have a derivative."""
    if isinstance(value, float):
        return True
    dtype = getattr(value, "dtype", None)
    return dtype is not None and dtype.kind in "fc"


def like(g: Any, x: Any) -> Any:
    """The cotangent ``g`` summed over the axes along which ``x`` was broadcast, in the dtype of ``x``."""
    shape = getattr(x, "shape", None)
    if shape is None:
        shape = ()
    elif g.dtype != x.dtype:
        g = g.astype(x.dtype)
    if g.shape == shape:
        return g
    lead = len(g.shape) - len(shape)
    axes = tuple(range(lead)) + tuple([i for i, n in enumerate(shape, lead) if n == 1 and g.shape[i] != 1])
    if axes:
        reduce: Any = np.add.reduce
        g = reduce(g, axis=axes, keepdims=len(axes) > lead)
    return g if g.shape == shape else g.reshape(shape)


def stretched(value: Any, shape: tuple[int, ...]) -> Any:
    """``value`` broadcast to ``shape``, a view that cannot be written to."""
    if isinstance(value, np.generic):  # much faster than np.broadcast_to
        return np.ndarray(shape, value.dtype, value, 0, (0,) * len(shape))
    return np.broadcast_to(value, shape)


def front(value: Any, flag: bool, size: int) -> Any:
    """``value`` with a leading batch axis, repeated where it has none."""
    if flag:
        return value
    if not hasattr(value, "shape"):
        return np.full(size, value)
    return np.broadcast_to(value, (size, *value.shape))


def aligned(size: int, args: Sequence[Any], flags: Sequence[bool]) -> list[Any]:
    """Arguments with a leading batch axis where they are flagged, which broadcast against each other behind it."""
    rank = max(len(shape_of(arg)) - flag for arg, flag in zip(args, flags, strict=True))
    made = []
    for arg, flag in zip(args, flags, strict=True):
        missing = rank - (len(shape_of(arg)) - 1)
        if flag and missing:
            arg = np.reshape(arg, (size,) + (1,) * missing + shape_of(arg)[1:])
        made.append(arg)
    return made


def example(value: Any) -> Any:
    """A smallest concrete stand-in for an abstract argument, to ask NumPy for a dtype."""
    if isinstance(value, Aval):
        return value.dtype.type(1).item() if value.weak else np.ones((1,) * value.ndim, value.dtype)
    return value
