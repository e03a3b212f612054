"""Reductions, orders and cumulative sums along axes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..tensor import Aval, apply
from .registry import Primitive, example, like, shape_of, stretched


def axes_of(axis: Any, rank: int) -> tuple[int, ...]:
    """``axis`` as NumPy takes it (None, an int, a tuple) as a sorted tuple of non-negative ints."""
    if axis is None:
        return tuple(range(rank))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    return tuple(sorted(np.lib.array_utils.normalize_axis_tuple([operator.index(i) for i in given], rank)))


def _kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([1 if i in axes else n for i, n in enumerate(shape)])


class Reduction(Primitive):
    """A function that folds some axes; ``axis`` is a tuple of non-negative ints."""

    family = "reductions"

    def __init__(self, name: str, function: Callable, differentiable: bool = True):
        super().__init__(name)
        self.function = function
        self.differentiable = differentiable

    def run(self, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        return self.function(x, axis=axis, keepdims=keepdims)

    def abstract(self, x: Any, axis: tuple[int, ...], keepdims: bool) -> Aval:
        shape = _kept(x.shape, axis) if keepdims else tuple([n for i, n in enumerate(x.shape) if i not in axis])
        return Aval(shape, np.asarray(self.run(example(x), axis=axis, keepdims=keepdims)).dtype)

    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        return apply(self, args, options | {"axis": tuple([i + 1 for i in options["axis"]])})

    def spread(self, g: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        """``g``, of the shape of the result, repeated to the shape of the argument."""
        if not keepdims and shape_of(g):
            g = np.reshape(g, _kept(shape_of(x), axis))
        return stretched(g, shape_of(x))


class Sum(Reduction):
    reads_inputs = False

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        return [like(self.spread(g, args[0], **options), args[0])]

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        return apply(self, tangents, options)


class Extremum(Reduction):
    """max and min: elements that tie share the derivative equally."""

    def share(self, x: Any, ans: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        best = np.equal(x, ans if keepdims else np.reshape(ans, _kept(shape_of(x), axis)))
        best = best.astype(getattr(x, "dtype", np.float64))  # a Python number has none
        return best / np.sum(best, axis=axis, keepdims=True)

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        x = args[0]
        return [self.spread(g, x, **options) * self.share(x, ans, **options)]

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        return np.sum(tangents[0] * self.share(args[0], ans, **options), **options)


class Position(Reduction):
    """argmax and argmin over one axis."""

    def run(self, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        return self.function(x, axis=axis[0], keepdims=keepdims)


class Order(Primitive):
    """The positions that sort along one axis, or with ``kth`` bring only these places in order."""

    family = "reductions"
    differentiable = False

    def run(self, x: Any, axis: int, kind: Any, kth: tuple[int, ...] | None) -> Any:
        return np.argsort(x, axis, kind) if kth is None else np.argpartition(x, kth, axis)

    def abstract(self, x: Any, axis: int, kind: Any, kth: tuple[int, ...] | None) -> Aval:
        return Aval(shape_of(x), np.intp)

    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        return apply(self, args, options | {"axis": options["axis"] + 1})


class Cumsum(Primitive):
    """The running sum along one axis."""

    family = "reductions"
    reads_inputs = False

    def run(self, x: Any, axis: int) -> Any:
        return np.cumsum(x, axis=axis)

    def abstract(self, x: Any, axis: int) -> Aval:
        return Aval(shape_of(x), np.cumsum(example(x), axis=axis).dtype)

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        axis = options["axis"]
        return [like(np.flip(np.cumsum(np.flip(g, axis), axis), axis), args[0])]

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        return apply(self, tangents, options)

    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        return apply(self, args, {"axis": options["axis"] + 1})


sum_ = Sum("sum", np.add.reduce)
max_ = Extremum("max", np.maximum.reduce)
min_ = Extremum("min", np.minimum.reduce)
argmax = Position("argmax", np.argmax, differentiable=False)
argmin = Position("argmin", np.argmin, differentiable=False)
argsort = Order("argsort")
cumsum = Cumsum("cumsum")
