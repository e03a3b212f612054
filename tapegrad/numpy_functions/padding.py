"""np.pad in all modes: one axis after the other, as NumPy does it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import UnsupportedPrimitive
from ..primitives import shaping
from ..primitives.indexing import index
from ..tensor import Tensor, apply, complex_refused
from .common import asarray
from .selection import where
from .shapes import astype, broadcast_to, concatenate

MOVING = ("edge", "reflect", "symmetric", "wrap")
STATISTICS: dict[str, Any] = {"maximum": np.max, "minimum": np.min, "mean": np.mean, "median": np.median}
OPTIONS = {
    "constant": "constant_values", "linear_ramp": "end_values", **dict.fromkeys(MOVING, ""),
    **dict.fromkeys(STATISTICS, "stat_length"),
}  # fmt: skip


def pad(array, pad_width, mode="constant", **options):
    array = asarray(array)
    rank = len(array.shape)
    if mode not in OPTIONS:
        raise UnsupportedPrimitive(f"numpy.pad: mode={mode!r} is not supported on a Tensor; one of {list(OPTIONS)} is")
    if mode in ("reflect", "symmetric") and options.get("reflect_type") == "even":
        del options["reflect_type"]
    for option, value in options.items():
        if not isinstance(value, (str, Tensor)) and np.iscomplexobj(value):
            raise complex_refused("pad", f"{option}={value!r}")
        if option != OPTIONS[mode]:
            raise UnsupportedPrimitive(f"numpy.pad: {option}={options[option]!r} is not supported with mode={mode!r}")
    if isinstance(pad_width, dict):
        pad_width = [pad_width.get(i, pad_width.get(i - rank, 0)) for i in range(rank)]
        pad_width = [(w, w) if isinstance(w, (int, np.integer)) else w for w in pad_width]
    widths = [(int(a), int(b)) for a, b in np.broadcast_to(np.asarray(pad_width), (rank, 2))]
    if mode == "constant":
        return _constant(array, widths, options.get("constant_values", 0))
    given = options.get(OPTIONS[mode], 0 if mode == "linear_ramp" else None)
    pairs = np.broadcast_to(np.asarray(given), (rank, 2)) if given is not None else [(None, None)] * rank
    for axis, ((before, after), pair) in enumerate(zip(widths, pairs, strict=True)):
        if not before and not after:
            continue
        if mode in MOVING:  # NumPy moves positions as it moves elements
            places = np.pad(np.arange(array.shape[axis]), (before, after), mode)
            array = index(array, (slice(None),) * axis + (places,))
        else:
            sides = [_side(array, axis, mode, first, pair[0 if first else 1]) for first in (True, False)]
            left, right = (side(width) for side, width in zip(sides, (before, after), strict=True))
            array = concatenate([left, array, right], axis)
    return array


def _constant(array: Any, widths: list[tuple[int, int]], values: Any) -> Any:
    padded = apply(shaping.pad, (array,), {"widths": tuple(widths)})
    if not isinstance(values, Tensor):
        if not np.any(np.asarray(values)):
            return padded
        values = np.pad(np.zeros(array.shape, array.dtype), widths, constant_values=values)
    return where(np.pad(np.ones(array.shape, bool), widths), padded, astype(values, array.dtype))


def _side(array: Any, axis: int, mode: str, first: bool, given: Any) -> Any:
    """What is put before or behind an axis, as a function of how much."""
    n, lead = array.shape[axis], (slice(None),) * axis

    def part(start: int, stop: int) -> Any:
        return array[(*lead, slice(start, stop))]

    def ramp(width: int) -> Any:
        shape = tuple([width if i == axis else 1 for i in range(len(array.shape))])
        share = (np.arange(width, dtype=array.dtype) / array.dtype.type(max(width, 1))).reshape(shape)
        share = share if first else np.flip(share)
        edge = part(0, 1) if first else part(n - 1, n)
        end = array.dtype.type(given)
        return share * (edge - end) + end

    def statistic(width: int) -> Any:
        length = n if given is None else min(int(given), n)
        chosen = part(0, length) if first else part(n - length, n)
        value = STATISTICS[mode](chosen, axis=axis, keepdims=True)
        return broadcast_to(value, tuple([width if i == axis else k for i, k in enumerate(array.shape)]))

    return ramp if mode == "linear_ramp" else statistic
