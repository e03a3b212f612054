"""Reading and adding at indices: ``getitem`` and its transpose ``scatter``.

An index is split in two. The *basic* part (ints, slices, None) is static and stands in the
options. Integer arrays are arguments, since a step may be given its indices as data; they act on axes of their
own, marked ``ARRAY`` in the template, among full slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DtypeError, ShapeError, TracingError
from ..tape import AbstractTape, Addition
from ..tensor import Aval, Tensor, apply
from .registry import Primitive, shape_of

ARRAY = "array"
FULL = slice(None)


def filled(template: tuple, arrays: Sequence[Any]) -> tuple:
    """The template as an index that NumPy takes."""
    given = iter(arrays)
    return tuple([next(given) if entry is ARRAY else entry for entry in template])


def arrays_first(template: tuple) -> int:
    """The position in the result of the axes that the index arrays make."""
    marks = [i for i, entry in enumerate(template) if entry is ARRAY]
    return marks[0] if marks[-1] - marks[0] == len(marks) - 1 else 0


class Getitem(Primitive):
    """``x[index]``; ``template`` is wholly basic, or of ARRAY marks and full slices, one for each axis."""

    family = "indexing"

    def run(self, x: Any, *arrays: Any, template: tuple) -> Any:
        try:
            return x[filled(template, arrays)]
        except IndexError as error:
            raise IndexError(f"getitem: {error}; the array has the shape {shape_of(x)}, indices count from 0") from None

    def abstract(self, x: Any, *arrays: Any, template: tuple) -> Aval:
        if not arrays:
            return Aval(np.broadcast_to(np.zeros(()), x.shape)[template].shape, x.dtype)
        made = np.broadcast_shapes(*[shape_of(a) for a in arrays])
        rest = [n for n, entry in zip(x.shape, template, strict=True) if entry is not ARRAY]
        at = arrays_first(template)
        return Aval((*rest[:at], *made, *rest[at:]), x.dtype)

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        if slots[0] < 0:
            return [None] * len(args)
        x, *arrays = args
        template = options["template"]
        inverse = {"template": template, "shape": shape_of(x)}
        part = Addition(g, lambda: apply(scatter, (g, *arrays), inverse), lambda out: add_at(out, g, arrays, template))
        return [part, *[None] * len(arrays)]

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        return apply(self, (tangents[0], *args[1:]), options)  # integers have no tangents

    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        (x, *arrays), template = args, options["template"]
        if not any(flags[1:]):
            result = apply(self, args, {"template": (FULL, *template)})
            if arrays and arrays_first((FULL, *template)) == 0:
                return np.moveaxis(result, len(np.broadcast_shapes(*map(shape_of, arrays))), 0)
            return result
        arrays, made = _batched_arrays(size, arrays, flags[1:])
        if not flags[0]:  # the arrays' axes bring the batch axis, as the first of them
            return np.moveaxis(apply(self, (x, *arrays), options), arrays_first(template), 0)
        rows = np.arange(size).reshape((size,) + (1,) * made)
        result = apply(self, (x, rows, *arrays), {"template": (ARRAY, *template)})
        at = arrays_first(template)
        if at:
            result = np.moveaxis(result, range(1, 1 + made), range(1 + at, 1 + at + made))
        return result


class Scatter(Primitive):
    """Zeros of ``shape`` with ``g`` added at an index: the transpose of ``getitem``."""

    family = "indexing"

    def run(self, g: Any, *arrays: Any, template: tuple, shape: tuple[int, ...]) -> Any:
        out = np.zeros(shape, getattr(g, "dtype", float))
        add_at(out, g, arrays, template)
        return out

    def abstract(self, g: Any, *arrays: Any, template: tuple, shape: tuple[int, ...]) -> Aval:
        return Aval(shape, g.dtype)

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        if slots[0] < 0:
            return [None] * len(args)
        arrays = args[1:]
        return [apply(getitem, (g, *arrays), {"template": options["template"]}), *[None] * len(arrays)]

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        return apply(self, (tangents[0], *args[1:]), options)  # integers have no tangents

    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        (g, *arrays), template, shape = args, options["template"], options["shape"]
        if not arrays:
            return apply(self, args, {"template": (FULL, *template), "shape": (size, *shape)})
        at = arrays_first(template)
        if any(flags[1:]):
            arrays, made = _batched_arrays(size, arrays, flags[1:])
        else:
            made = len(np.broadcast_shapes(*map(shape_of, arrays)))
        if not flags[0]:
            g = np.broadcast_to(g, (size, *shape_of(g)))
        rows = np.arange(size).reshape((size,) + (1,) * made)
        if at:
            g = np.moveaxis(g, range(1 + at, 1 + at + made), range(1, 1 + made))
        return apply(self, (g, rows, *arrays), {"template": (ARRAY, *template), "shape": (size, *shape)})


def add_at(out: np.ndarray, g: Any, arrays: Sequence[Any], template: tuple) -> None:
    """``out[index] += g``, in place, where repeated indices add up."""
    if not arrays:
        out[template] += g
    elif len(arrays) == 1 and template[0] is ARRAY and np.ndim(arrays[0]):
        _add_rows(out, np.ravel(arrays[0]), np.reshape(g, (np.size(arrays[0]), *out.shape[1:])))
    else:
        np.add.at(out, filled(template, arrays), g)


def _add_rows(out: np.ndarray, index: np.ndarray, rows: np.ndarray) -> None:
    """``out[index] += rows`` with repeated indices added up, as sums over runs of sorted indices."""
    if not index.size:
        return
    index = index.astype(np.intp)
    index = np.where(index < 0, index + len(out), index)
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    out[ordered[starts]] += np.add.reduceat(rows[order], starts, axis=0)


def _batched_arrays(size: int, arrays: Sequence[Any], flags: Sequence[bool]) -> tuple[list[Any], int]:
    """Index arrays that share a leading batch axis, and how many axes they have behind it."""
    made = max(len(shape_of(a)) - flag for a, flag in zip(arrays, flags, strict=True))
    return [
        np.reshape(a, (size,) + (1,) * (made + 1 - len(shape_of(a))) + shape_of(a)[1:]) if flag else a
        for a, flag in zip(arrays, flags, strict=True)
    ], made


getitem = Getitem("getitem")
scatter = Scatter("scatter")


def index(x: Any, key: Any) -> Any:
    """``x[key]`` for any key that NumPy takes: basic, integer arrays, concrete boolean masks."""
    entries = _expand(key if isinstance(key, tuple) else (key,), shape_of(x))
    if not any(isinstance(entry, (np.ndarray, Tensor)) for entry in entries):
        return apply(getitem, (x,), {"template": entries})
    # An integer beside index arrays counts as an index array of no axes.
    entries = tuple([np.asarray(e) if isinstance(e, int) else e for e in entries])
    basic = tuple([FULL if isinstance(e, (np.ndarray, Tensor)) else e for e in entries])
    if any(e != FULL for e in basic):
        x = apply(getitem, (x,), {"template": basic})
    arrays = [e for e in entries if isinstance(e, (np.ndarray, Tensor))]
    template = [ARRAY if isinstance(e, (np.ndarray, Tensor)) else FULL for e in entries]
    _check_bounds(x, template, arrays)
    return apply(getitem, (x, *arrays), {"template": tuple(template)})


def _check_bounds(x: Any, template: list, arrays: list) -> None:
    given = iter(arrays)
    for axis, entry in enumerate(template):
        if entry is ARRAY:
            a, n = next(given), x.shape[axis]
            if isinstance(a, np.ndarray) and a.size and (a.max() >= n or a.min() < -n):
                worst = int(a.max()) if a.max() >= n else int(a.min())
                raise IndexError(f"getitem: index {worst} is out of range for axis {axis} of length {n}")


def _expand(key: tuple, shape: tuple[int, ...]) -> tuple:
    """One entry for each axis and each None: Ellipsis written out, masks turned into integer arrays."""
    entries: list[Any] = []
    for entry in key:
        entries.extend(_entry(entry))
    used = sum(entry is not None and entry is not Ellipsis for entry in entries)
    if used > len(shape):
        raise ShapeError(f"getitem: {used} indices for an array of shape {shape}; give at most one for each axis")
    if not any(entry is Ellipsis for entry in entries):
        entries.append(Ellipsis)
    at = next(i for i, entry in enumerate(entries) if entry is Ellipsis)
    if any(entry is Ellipsis for entry in entries[at + 1 :]):
        raise ShapeError("getitem: an index can have a single ellipsis ('...')")
    return tuple(entries[:at] + [FULL] * (len(shape) - used) + entries[at + 1 :])


def _entry(entry: Any) -> list[Any]:
    if entry is None or entry is Ellipsis or isinstance(entry, slice):
        return [entry]
    if isinstance(entry, (int, np.integer)) and not isinstance(entry, bool):
        return [int(entry)]
    if not isinstance(entry, Tensor):
        entry = np.asarray(entry)
        if not entry.size and entry.dtype.kind == "f":
            entry = entry.astype(np.intp)
    if entry.dtype.kind == "b":
        return list(np.nonzero(concrete(entry, "boolean mask as an index")))
    if entry.dtype.kind not in "iu":
        raise DtypeError(
            f"getitem: an index of dtype {entry.dtype}; index with integers, slices or booleans "
            "(convert with .astype(int) if these are whole numbers)"
        )
    return [entry]


def concrete(value: Any, what: str) -> np.ndarray:
    """The array inside a value, where a result's shape or Python's control flow depends on it."""
    while isinstance(value, Tensor):
        if value.owner.purpose == "vmap":
            raise TracingError(
                f"{what}: the value differs from one index of the mapped axis to the next (inside vmap); choose "
                "between "
                "values with np.where, which keeps the shape, or move the choice outside the mapped function"
            )
        if isinstance(value.owner, AbstractTape):
            raise TracingError(
                f"{what}: the value is not known while a function is traced (inside scan, checkpoint or trace); "
                "choose between values with np.where, which keeps the shape, or move the choice outside the "
                "traced function"
            )
        value = value.value
    return np.asarray(value)
