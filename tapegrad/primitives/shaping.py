"""Primitives that move elements without computing: each is linear, and its transpose is written with the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..tensor import Aval, apply
from .registry import Primitive, example, front, like, shape_of


class Shaping(Primitive):
    """A rearrangement of one array; the tangent is rearranged in the same way."""

    family = "shaping"
    reads_inputs = False

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        return apply(self, tangents, options)


class Reshape(Shaping):
    def run(self, x: Any, shape: tuple[int, ...]) -> Any:
        return np.reshape(x, shape)

    def abstract(self, x: Any, shape: tuple[int, ...]) -> Aval:
        return Aval(shape, x.dtype)

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        return [np.reshape(g, shape_of(args[0]))]

    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        return apply(self, args, {"shape": (size, *options["shape"])})


class Transpose(Shaping):
    def run(self, x: Any, axes: tuple[int, ...]) -> Any:
        return x.transpose(axes)

    def abstract(self, x: Any, axes: tuple[int, ...]) -> Aval:
        return Aval(tuple([x.shape[i] for i in axes]), x.dtype)

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        return [np.transpose(g, tuple([int(i) for i in np.argsort(options["axes"])]))]

    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        return apply(self, args, {"axes": (0, *[i + 1 for i in options["axes"]])})


class BroadcastTo(Shaping):
    def run(self, x: Any, shape: tuple[int, ...]) -> Any:
        return np.broadcast_to(x, shape)

    def abstract(self, x: Any, shape: tuple[int, ...]) -> Aval:
        return Aval(shape, x.dtype)

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        return [like(g, args[0])]

    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        (x,), shape = args, options["shape"]
        x = np.reshape(x, (size,) + (1,) * (len(shape) + 1 - len(x.shape)) + x.shape[1:])
        return apply(self, (x,), {"shape": (size, *shape)})


class Flip(Shaping):
    def run(self, x: Any, axes: tuple[int, ...]) -> Any:
        return np.flip(x, axes)

    def abstract(self, x: Any, axes: tuple[int, ...]) -> Aval:
        return Aval(x.shape, x.dtype)

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        return [np.flip(g, options["axes"])]

    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        return apply(self, args, {"axes": tuple([i + 1 for i in options["axes"]])})


class Pad(Shaping):
    """Zeros around an array; ``widths`` is a pair (before, after) for each axis."""

    def run(self, x: Any, widths: tuple[tuple[int, int], ...]) -> Any:
        x = np.asarray(x)
        out = np.zeros([n + before + after for n, (before, after) in zip(x.shape, widths, strict=True)], x.dtype)
        out[_inside(x.shape, widths)] = x
        return out

    def abstract(self, x: Any, widths: tuple[tuple[int, int], ...]) -> Aval:
        return Aval(tuple([n + before + after for n, (before, after) in zip(x.shape, widths, strict=True)]), x.dtype)

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        return [g[_inside(shape_of(args[0]), options["widths"])]]

    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        return apply(self, args, {"widths": ((0, 0), *options["widths"])})


def _inside(shape: tuple[int, ...], widths: tuple[tuple[int, int], ...]) -> tuple[slice, ...]:
    return tuple([slice(before, before + n) for n, (before, _) in zip(shape, widths, strict=True)])


class Concatenate(Primitive):
    """Arrays joined along an existing axis."""

    family = "shaping"
    reads_inputs = False

    def run(self, *arrays: Any, axis: int) -> Any:
        return np.concatenate(arrays, axis)

    def abstract(self, *arrays: Any, axis: int) -> Aval:
        rests = {x.shape[:axis] + x.shape[axis + 1 :] for x in arrays}
        if len(rests) > 1:
            raise ShapeError(
                f"concatenate: arrays of shapes {', '.join(str(x.shape) for x in arrays)} cannot be joined along axis "
                f"{axis}; all other axes must have the same lengths"
            )
        shape = list(arrays[0].shape)
        shape[axis] = sum(x.shape[axis] for x in arrays)
        return Aval(tuple(shape), np.concatenate([example(x) for x in arrays], axis).dtype)

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        axis, start, parts = options["axis"], 0, []
        for x, slot in zip(args, slots, strict=True):
            stop = start + x.shape[axis]
            parts.append(like(g[(slice(None),) * axis + (slice(start, stop),)], x) if slot >= 0 else None)
            start = stop
        return parts

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        filled = [
            np.zeros(shape_of(x), ans.dtype) if tangent is None else tangent
            for x, tangent in zip(args, tangents, strict=True)
        ]
        return apply(self, filled, options)

    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        arrays = [front(x, flag, size) for x, flag in zip(args, flags, strict=True)]
        return apply(self, arrays, {"axis": options["axis"] + 1})


reshape = Reshape("reshape")
transpose = Transpose("transpose")
broadcast_to = BroadcastTo("broadcast_to")
flip = Flip("flip")
pad = Pad("pad")
concatenate = Concatenate("concatenate")
