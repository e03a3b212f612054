"""Convolution, pooling and windows, against plain loops over windows."""

from importlib import import_module
from itertools import product

import numpy as np
from hypothesis import strategies as st

from tapegrad.testing.strategies import random_array
from tests.strategies.calls import GENERATORS, Call
from tests.surface.rows import Row


# ---- drawn calls ----
@st.composite
def paddings(draw, n, spans):
    """ "valid", "same", a number, or a pair for each axis, smaller than the spans."""
    pairs = [draw(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1))) for k in spans]
    return draw(st.sampled_from(["valid", "same", min(min(pair) for pair in pairs), tuple(pairs)]))


@st.composite
def convolutions(draw, transposed=False):
    rng, n = draw(GENERATORS), draw(st.sampled_from([1, 2, 2]))
    draw_each = lambda low, high: tuple([draw(st.integers(low, high)) for _ in range(n)])  # noqa: E731
    lengths, strides = draw_each(1, 3), draw_each(1, 3)
    dilations, groups = ((1,) * n, 1) if transposed else (draw_each(1, 2), draw(st.sampled_from([1, 1, 2])))
    if transposed:
        lengths = tuple(map(max, lengths, strides))
    spans = [d * (k - 1) + 1 for k, d in zip(lengths, dilations, strict=True)]
    sizes = tuple([draw(st.integers(1 if transposed else k, k + 2)) for k in spans])
    channels = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    x = random_array(rng, (draw(st.integers(1, 2)), *sizes, channels[0]))
    kernel = random_array(rng, (*lengths, channels[0] // groups, channels[1]))
    options = {"stride": strides, "padding": draw(st.sampled_from(["valid", "same"]))}
    if not transposed:
        options = {"stride": strides, "padding": draw(paddings(n, spans)), "dilation": dilations, "groups": groups}
    return Call((x, kernel), options)


@st.composite
def pools(draw):
    rng, n = draw(GENERATORS), draw(st.sampled_from([1, 2]))
    window = tuple([draw(st.integers(1, 3)) for _ in range(n)])
    stride = draw(st.sampled_from([None, (1,) * n, (2,) * n]))
    sizes = tuple([draw(st.integers(k, k + 3)) for k in window])
    shape = (draw(st.integers(1, 2)), *sizes, draw(st.integers(1, 2)))
    x = np.asarray(rng.permutation(int(np.prod(shape))).reshape(shape), float) / 7.0  # no two alike
    return Call((x,), {"window": window, "stride": stride, "padding": draw(paddings(n, window))})


@st.composite
def pairs(draw):
    rng = draw(GENERATORS)
    sizes = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    return Call(
        tuple([random_array(rng, (n,)) for n in sizes]), {"mode": draw(st.sampled_from(["full", "same", "valid"]))}
    )


@st.composite
def windowed(draw):
    x = random_array(draw(GENERATORS), draw(st.sampled_from([(3, 4), (4, 3, 2), (5, 2)])))
    shape, axis = draw(st.sampled_from([((2, 2), (0, 1)), (2, 1), (3, 0), ((2, 1), (0, 0))]))
    return Call((x,), {"window_shape": shape, "axis": axis})


# ---- plain loops ----
def widths_of(padding, sizes, strides, spans):
    """The zeros before and behind each axis."""
    if padding == "same":
        totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip(sizes, strides, spans, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    if padding == "valid":
        return [(0, 0)] * len(sizes)
    return [(padding, padding)] * len(sizes) if isinstance(padding, int) else list(padding)


def windows(x, lengths, strides, dilations, padding, filling):
    """The place of each window among the results, and its elements: (batch, *lengths, channels)."""
    sizes = x.shape[1:-1]
    spans = [d * (k - 1) + 1 for k, d in zip(lengths, dilations, strict=True)]
    widths = widths_of(padding, sizes, strides, spans)
    x = np.pad(x, [(0, 0), *widths, (0, 0)], constant_values=filling)
    counts = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], spans, strides, strict=True)]
    for place in product(*map(range, counts)):
        at = [slice(i * s, i * s + k, d) for i, s, k, d in zip(place, strides, spans, dilations, strict=True)]
        yield counts, place, x[(slice(None), *at)]


def conv(x, kernel, stride, padding, dilation, groups):
    lengths, result = kernel.shape[:-2], None
    each, count = kernel.shape[-2], kernel.shape[-1] // groups
    for counts, place, window in windows(x, lengths, stride, dilation, padding, 0):
        if result is None:
            result = np.zeros((len(x), *counts, kernel.shape[-1]), np.result_type(x, kernel))
        for k in range(kernel.shape[-1]):
            group = k // count
            seen = window[..., group * each : (group + 1) * each]
            result[(slice(None), *place, k)] = np.sum(seen * kernel[..., k], axis=tuple(range(1, seen.ndim)))
    return result


def conv_transpose(x, kernel, stride, padding):
    lengths = kernel.shape[:-2]
    whole = [(n - 1) * s + k for n, s, k in zip(x.shape[1:-1], stride, lengths, strict=True)]
    result = np.zeros((len(x), *whole, kernel.shape[-1]), np.result_type(x, kernel))
    for place in np.ndindex(*x.shape[1:-1]):
        at = [slice(i * s, i * s + k) for i, s, k in zip(place, stride, lengths, strict=True)]
        result[(slice(None), *at)] += np.einsum("bc,...ck->b...k", x[(slice(None), *place)], kernel)
    if padding == "same":
        cuts = [(k - s) // 2 for k, s in zip(lengths, stride, strict=True)]
        kept = [slice(a, a + n * s) for a, n, s in zip(cuts, x.shape[1:-1], stride, strict=True)]
        result = result[(slice(None), *kept)]
    return result


def pooled(fold):
    def pool(x, window, stride, padding):
        result = None
        for counts, place, part in windows(x, window, stride or window, (1,) * len(window), padding, np.nan):
            if result is None:
                result = np.zeros((len(x), *counts, x.shape[-1]), x.dtype)
            result[(slice(None), *place)] = fold(part, axis=tuple(range(1, part.ndim - 1)))
        return result

    return pool


# ---- the same in JAX ----
def lax():
    return import_module("jax").lax


def jax_conv(x, kernel, stride, padding, dilation, groups):
    n = len(stride)
    letters = "DHW"[-n:]
    return lax().conv_general_dilated(
        x, kernel, stride, jax_padding(padding, n), rhs_dilation=dilation, feature_group_count=groups,
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
    )  # fmt: skip


def jax_padding(padding, n):
    return padding.upper() if isinstance(padding, str) else [(padding, padding)] * n if isinstance(
        padding, int) else padding  # fmt: skip


def jax_pool(start, fold):
    def pool(x, window, stride, padding):
        n = len(window)
        around = jax_padding(padding, n)
        if not isinstance(around, str):
            around = [(0, 0), *around, (0, 0)]
        places = (1, *window, 1), (1, *(stride or window), 1), around
        return fold(x, lambda x: lax().reduce_window(x, start, getattr(lax(), "max" if start else "add"), *places))

    return pool


def mean(x, total):
    return total(x) / total(import_module("jax").numpy.ones_like(x))


NO_CONV = {"autograd": "autograd.scipy.signal has other layouts, and neither stride nor padding"}
NO_POOL = {"autograd": "autograd lacks it"}
PRODUCTS = {"autograd": "autograd has no rule for it"}

ROWS = [
    Row("tg.conv", convolutions(), like=conv, unlike=NO_CONV, spelled={"jax": jax_conv}),
    Row("tg.conv_transpose", convolutions(transposed=True), like=conv_transpose,
        unlike=NO_CONV | {"jax": "jax pads it otherwise"}),
    Row("tg.max_pool", pools(), like=pooled(np.nanmax), unlike=NO_POOL,
        spelled={"jax": jax_pool(-np.inf, lambda x, largest: largest(x))}),
    Row("tg.avg_pool", pools(), like=pooled(np.nanmean), unlike=NO_POOL, spelled={"jax": jax_pool(0.0, mean)}),
    Row("convolve", pairs(), unlike=PRODUCTS),
    Row("correlate", pairs(), unlike=PRODUCTS),
    Row("lib.stride_tricks.sliding_window_view", windowed(),
        unlike=PRODUCTS | {"jax": "jax lacks it"}),
]  # fmt: skip
