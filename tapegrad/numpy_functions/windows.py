"""Windows: what convolution and pooling slide along axes, and NumPy's own functions of them."""

from __future__ import annotations

import operator
from itertools import product
from typing import Any

import numpy as np

from ..errors import OptionError, ShapeError
from ..primitives.indexing import index
from ..primitives.reductions import axes_of
from .common import asarray, refuse
from .padding import pad
from .shapes import atleast_1d, broadcast_to, moveaxis, reshape


class Windows:
    """Where windows lie: along each axis their size, stride and dilation, the zeros around, and how many there are."""

    def __init__(self, sizes: Any, lengths: Any, strides: Any, dilations: Any, widths: Any):
        self.sizes, self.lengths, self.strides, self.dilations, self.widths = sizes, lengths, strides, dilations, widths
        self.results = tuple([
            (size + a + b - step * (k - 1) - 1) // stride + 1
            for size, k, stride, step, (a, b) in zip(sizes, lengths, strides, dilations, widths, strict=True)
        ])  # fmt: skip

    @property
    def tile(self) -> bool:
        return self.lengths == self.strides and not any(map(any, self.widths)) and set(self.dilations) <= {1}

    def slices(self, x: Any) -> list[Any]:
        """For each element of a window, in order, what stands there in all windows of the padded array."""
        each = [
            [slice(step * i, step * i + stride * (count - 1) + 1, stride) for i in range(k)]
            for k, stride, step, count in zip(self.lengths, self.strides, self.dilations, self.results, strict=True)
        ]
        return [index(x, (Ellipsis, *key, slice(None))) for key in product(*each)]


def windows_of(name: str, sizes: Any, lengths: Any, strides: Any, padding: Any, dilation: Any) -> Windows:
    dilations = sizes_of(name, "dilation", dilation, len(lengths))
    spans = [step * (k - 1) + 1 for k, step in zip(lengths, dilations, strict=True)]
    if isinstance(padding, str) and padding == "same":
        widths: Any = []
        for size, stride, span in zip(sizes, strides, spans, strict=True):
            total = max((-(-size // stride) - 1) * stride + span - size, 0)
            widths.append((total // 2, total - total // 2))
    else:
        widths = pairs_of(name, padding, len(lengths))
    for size, span, (a, b) in zip(sizes, spans, widths, strict=True):
        if size + a + b < span:
            raise ShapeError(
                f"{name}: a window that spans {span} elements does not fit on an axis of {size} with padding {(a, b)}; "
                "use padding='same' or a smaller window"
            )
    return Windows(sizes, lengths, strides, dilations, tuple(widths))


def spatial(x: Any, n: int) -> tuple[int, ...]:
    return x.shape[len(x.shape) - n - 1 : -1]


def padded(x: Any, widths: Any) -> Any:
    if not any(map(any, widths)):
        return x
    every = [(0, 0)] * (len(x.shape) - len(widths) - 1) + [*widths, (0, 0)]
    return np.pad(x, every)


def sizes_of(name: str, argument: str, given: Any, n: int) -> tuple[int, ...]:
    try:
        found = tuple([operator.index(i) for i in given]) if np.ndim(given) else (operator.index(given),) * n
    except TypeError:
        found = ()
    if len(found) != n or any(i < 1 for i in found):
        raise OptionError(f"{name}: {argument}={given!r}, expected a positive whole number, or {n} of them")
    return found


def pairs_of(name: str, padding: Any, n: int) -> tuple[tuple[int, int], ...]:
    wrong = OptionError(
        f"{name}: padding={padding!r}, expected 'valid', 'same', a number that is not negative, or {n} of them or of "
        "pairs"
    )
    if isinstance(padding, str):
        if padding != "valid":
            raise wrong
        return ((0, 0),) * n
    try:
        each = [padding] * n if isinstance(padding, (int, np.integer)) else list(padding)
        pairs = [(p, p) if isinstance(p, (int, np.integer)) else tuple(p) for p in each]
        found = tuple([(operator.index(a), operator.index(b)) for a, b in pairs])
    except (TypeError, ValueError):
        raise wrong from None
    if len(found) != n or any(min(pair) < 0 for pair in found):
        raise wrong
    return found


# ---- NumPy's own ----
def sliding_window_view(x, window_shape, axis=None, *, subok=False, writeable=False):
    refuse("lib.stride_tricks.sliding_window_view", writeable=writeable or None)
    rank = len(x.shape)
    lengths = tuple(window_shape) if isinstance(window_shape, (tuple, list)) else (window_shape,)
    axes = tuple(range(rank)) if axis is None else tuple([axes_of(i, rank)[0] for i in np.atleast_1d(axis)])
    if len(axes) != len(lengths):
        raise ShapeError(f"sliding_window_view: {len(lengths)} windows for {len(axes)} axes of shape {x.shape}")
    for i, length in zip(axes, lengths, strict=True):
        x = _windows_along(x, i, int(length))
    return x


def _windows_along(x: Any, axis: int, length: int) -> Any:
    """Windows along an axis, with a last axis for their elements; a constant number of operations.

    Copies of the axis, one after the other, are read in rows that are longer by one: each begins one element later.
    """
    size = x.shape[axis]
    count = size - length + 1
    if length < 1 or count < 1:
        raise ShapeError(f"sliding_window_view: a window of {length} does not fit on an axis of {size}")
    x = moveaxis(x, axis, -1)
    lead = x.shape[:-1]
    copies = reshape(broadcast_to(reshape(x, (*lead, 1, size)), (*lead, length, size)), (*lead, length * size))
    rows = reshape(pad(copies, [(0, 0)] * len(lead) + [(0, length)]), (*lead, length, size + 1))
    return moveaxis(index(rows, (Ellipsis, slice(0, count))), -1, axis)


def convolve(a, v, mode="full"):
    a, v = atleast_1d(asarray(a)), atleast_1d(asarray(v))
    if v.shape[0] > a.shape[0]:
        a, v = v, a
    return _correlated("convolve", a, np.flip(v, 0), mode)


def correlate(a, v, mode="valid"):
    return _correlated("correlate", atleast_1d(asarray(a)), atleast_1d(asarray(v)), mode)


def _correlated(name: str, a: Any, v: Any, mode: str) -> Any:
    if len(a.shape) != 1 or len(v.shape) != 1 or not a.size or not v.size:
        raise ShapeError(
            f"{name}: shapes {a.shape} and {v.shape}, expected two arrays with one axis and elements on it; "
            "tapegrad.conv takes more axes, and a batch"
        )
    short = v.shape[0] > a.shape[0]
    long, other = (v, a) if short else (a, v)
    length = other.shape[0]
    if mode not in ("full", "same", "valid"):
        raise OptionError(f"{name}: mode={mode!r}, expected 'full', 'same' or 'valid'")
    # With "same" NumPy cuts an odd element off the end of a result that is read forwards.
    front = {"valid": 0, "full": length - 1, "same": length // 2}[mode]
    back = {"valid": 0, "full": length - 1, "same": length - 1 - length // 2}[mode]
    result = sliding_window_view(np.pad(long, (front, back)), length) @ other
    return np.flip(result, 0) if short else result
