"""Batching: one function applied to every index of an axis, in one pass over whole arrays."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from . import pytree
from .errors import OptionError, ShapeError, StructureError
from .primitives.registry import front, shape_of
from .tensor import UNSETTLED, Tensor, Trace, apply, check_alive, complex_refused, constant, is_complex, opened, owned


class Batched(Tensor):
    """A value whose leading axis is the batch; its shape does not show it."""

    __slots__ = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape[1:]


class BatchTrace(Trace):
    """Carries operations out for a whole batch, by the primitive's own rule."""

    purpose = "vmap"

    def __init__(self, size: int):
        self.size = size

    def process(self, primitive: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
        flags = [isinstance(arg, Tensor) and arg.owner is self for arg in args]
        for arg in args:
            if isinstance(arg, UNSETTLED):
                constant(arg, protect=False, name=primitive.name)
        values = [arg.value if flag else arg for arg, flag in zip(args, flags, strict=True)]
        if not any(flags):
            return apply(primitive, values, options)
        result = primitive.batch(self.size, values, flags, options)
        if not primitive.multiple:
            return Batched(self, result)
        return [Batched(self, value) if flag else value for value, flag in result]


def vmap(f: Callable, in_axes: Any = 0, out_axes: Any = 0) -> Callable:
    """A function that applies ``f`` to every index of an axis of its arguments and stacks the results.

    Parameters
    ----------
    f : callable
        From pytrees of arrays to a pytree of arrays.
    in_axes : int, None, or a sequence of them with one entry for each argument
        The axis of every array in the argument that is mapped over; None passes the argument whole. An entry may
        also be a pytree of the argument's structure.
    out_axes : int
        Where the mapped axis stands in each result.

    Raises
    ------
    ShapeError
        When the mapped axes differ in length.

    Examples
    --------
    >>> vmap(lambda w, x: w @ x, in_axes=(None, 0))(np.eye(2), np.ones((3, 2))).shape
    (3, 2)
    """

    @wraps(f)
    def mapped(*args: Any) -> Any:
        whole = in_axes if isinstance(in_axes, (list, tuple)) else [in_axes] * len(args)
        axes = [_checked_axis(axis) for axis in whole]
        if len(axes) != len(args):
            raise StructureError(f"vmap: in_axes has {len(axes)} entries for {len(args)} arguments")
        leaves, structure = pytree.flatten(args)
        for leaf, path in zip(leaves, pytree.paths(args), strict=True):
            if is_complex(leaf):
                raise complex_refused("vmap", f"argument {path} is complex")
        spread = [axis for arg, axis in zip(args, axes, strict=True) for axis in _axis_of_each_leaf(arg, axis)]
        sizes = {shape_of(leaf)[axis] for leaf, axis in zip(leaves, spread, strict=True) if _mapped(leaf, axis)}
        if len(sizes) != 1:
            raise ShapeError(
                "vmap: no argument has a mapped axis; give in_axes an axis for at least one of them"
                if not sizes
                else f"vmap: the mapped axes have the lengths {sorted(sizes)}; they must be equal"
            )
        with opened(BatchTrace(sizes.pop())) as trace:
            inside = [
                leaf if axis is None else Batched(trace, _move(leaf, axis, 0))
                for leaf, axis in zip(leaves, spread, strict=True)
            ]
            results, out_structure = pytree.flatten(f(*structure.unflatten(inside)))
        finished = []
        for result in results:
            check_alive("vmap", result, trace)
            mine = isinstance(result, Tensor) and result.owner is trace
            finished.append(_move(front(result.value if mine else result, mine, trace.size), 0, out_axes))
        return out_structure.unflatten(owned(finished, leaves))

    return mapped


def _checked_axis(axis: Any) -> Any:
    """An entry of in_axes with its numbers as plain ints."""
    if axis is None or hasattr(axis, "__index__"):
        return axis if axis is None else operator.index(axis)
    if isinstance(axis, (list, tuple)):
        return [_checked_axis(part) for part in axis]
    if isinstance(axis, dict):
        return {key: _checked_axis(part) for key, part in axis.items()}
    raise OptionError(f"vmap: in_axes holds {axis!r}; give an axis, None, or a pytree of them for an argument")


def _axis_of_each_leaf(arg: Any, axis: Any) -> list[Any]:
    count = len(pytree.leaves(arg))
    if axis is None or isinstance(axis, int):
        return [axis] * count
    given = _axes(axis)
    if len(given) != count:
        raise StructureError(f"vmap: an entry of in_axes names {len(given)} axes for an argument of {count} arrays")
    return given


def _axes(axis: Any) -> list[Any]:
    if axis is None or isinstance(axis, int):
        return [axis]
    parts = [axis[key] for key in sorted(axis)] if isinstance(axis, dict) else axis
    return [entry for part in parts for entry in _axes(part)]


def _mapped(leaf: Any, axis: Any) -> bool:
    if axis is None:
        return False
    rank = len(shape_of(leaf))
    if not -rank <= axis < rank:
        raise ShapeError(f"vmap: axis {axis} is mapped over, and an argument has the shape {shape_of(leaf)}")
    return True


def _move(value: Any, source: int, destination: int) -> Any:
    return value if source == destination else np.moveaxis(value, source, destination)
