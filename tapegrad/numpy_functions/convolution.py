"""Convolution and pooling over any number of axes, as compositions: windows are slices, and one product follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import OptionError, ShapeError
from ..primitives.indexing import index
from .common import asarray
from .padding import pad
from .products import einsum
from .selection import where
from .shapes import concatenate, reshape, stack
from .windows import padded, pairs_of, sizes_of, spatial, windows_of

Sizes = int | Sequence[int]
Padding = str | int | Sequence[int | Sequence[int]]


# ---- convolution ----
def conv(
    x: Any, kernel: Any, *, stride: Sizes = 1, padding: Padding = "valid", dilation: Sizes = 1, groups: int = 1
) -> Any:
    """The kernel moved over an array with channels (a cross-correlation, as in all libraries of neural networks).

    The number of axes that it moves along is that of the kernel without its last two, so one function serves
    sequences, images and volumes. Channels stand last, as features do everywhere in this library.

    Parameters
    ----------
    x : array, shape (..., \\*sizes, C)
        Any number of axes may come first, a batch for instance; C input channels.
    kernel : array, shape (\\*lengths, C / groups, K)
        K output channels. At least one axis in ``lengths``.
    stride : int or one for each axis
        Steps between neighbouring results.
    padding : "valid", "same", int, or for each axis an int or a pair
        Zeros around ``x``. "same" gives ``ceil(size / stride)`` results, with the odd zero behind.
    dilation : int or one for each axis
        Steps between neighbouring elements of the kernel.
    groups : int
        Output channels see only the input channels of their own group; with ``groups=C`` each channel is alone.

    Returns
    -------
    array, shape (..., \\*results, K)
        ``results = (size + padding - dilation * (length - 1) - 1) // stride + 1`` along each axis.
        Goodfellow, Bengio & Courville 2016, equation 9.6.

    Raises
    ------
    ShapeError
        When the channels do not fit, or the kernel is larger than the padded array.
    OptionError
        When ``stride``, ``padding``, ``dilation`` or ``groups`` have no such meaning.

    Examples
    --------
    >>> x = np.array([[1.0], [2.0], [4.0], [8.0]])  # four steps of one channel
    >>> difference = np.array([[[-1.0]], [[1.0]]])
    >>> conv(x, difference)[:, 0]
    array([1., 2., 4.])
    """
    x, kernel = asarray(x), asarray(kernel)
    lengths, channels = _checked_kernel("conv", x, kernel, groups)
    strides = sizes_of("conv", "stride", stride, len(lengths))
    windows = windows_of("conv", spatial(x, len(lengths)), lengths, strides, padding, dilation)
    parts = windows.slices(padded(x, windows.widths))
    count, results = kernel.shape[-1], parts[0].shape[:-1]
    if groups == 1:
        return concatenate(parts, -1) @ reshape(kernel, (len(parts) * channels, count))
    x = reshape(stack(parts, -2), (*results, len(parts), groups, channels))
    kernel = reshape(kernel, (len(parts), channels, groups, count // groups))
    return reshape(einsum("...pgc,pcgk->...gk", x, kernel), (*results, count))


def conv_transpose(x: Any, kernel: Any, *, stride: Sizes = 1, padding: Padding = "valid") -> Any:
    """The transpose of :func:`conv`: each element of ``x`` adds its multiple of the kernel, ``stride`` apart.

    It has the shape and the adjoint of a convolution read backwards, and is used to enlarge (decoders, generators).

    Parameters
    ----------
    x : array, shape (..., \\*sizes, C)
    kernel : array, shape (\\*lengths, C, K)
        Not reversed: a single 1 in ``x`` gives the kernel itself.
    stride : int or one for each axis
    padding : "valid", "same", int, or for each axis an int or a pair
        What is cut off the whole result, which has ``(size - 1) * stride + length`` elements along each axis. "same"
        leaves ``size * stride`` of them, and needs ``length >= stride``.

    Returns
    -------
    array, shape (..., \\*results, K)

    Examples
    --------
    >>> conv_transpose(np.array([[1.0], [10.0]]), np.array([[[1.0]], [[2.0]], [[3.0]]]), stride=2)[:, 0]
    array([ 1.,  2., 13., 20., 30.])
    """
    x, kernel = asarray(x), asarray(kernel)
    lengths, _ = _checked_kernel("conv_transpose", x, kernel, 1)
    n = len(lengths)
    strides, sizes = sizes_of("conv_transpose", "stride", stride, n), spatial(x, n)
    if isinstance(padding, str) and padding == "same":
        if any(length < step for length, step in zip(lengths, strides, strict=True)):
            raise OptionError(
                f"conv_transpose: padding='same' needs a kernel at least as long as the stride, and the lengths are "
                f"{lengths}, the strides {strides}; use padding='valid' and np.pad"
            )
        cuts: Any = [((k - s) // 2, k - s - (k - s) // 2) for k, s in zip(lengths, strides, strict=True)]
    else:
        cuts = pairs_of("conv_transpose", padding, n)
    for axis, step in enumerate(strides, len(x.shape) - n - 1):
        x = _spread(x, axis, step)
    x = padded(x, [(k - 1, k - 1) for k in lengths])
    whole = conv(x, np.flip(kernel, tuple(range(n)))) if all(sizes) else x
    cut = tuple([slice(a, size - b) for size, (a, b) in zip(spatial(whole, n), cuts, strict=True)])
    return index(whole, (Ellipsis, *cut, slice(None)))


def _checked_kernel(name: str, x: Any, kernel: Any, groups: Any) -> tuple[tuple[int, ...], int]:
    n = len(kernel.shape) - 2
    if n < 1 or not all(kernel.shape[:n]):
        raise ShapeError(f"{name}: the kernel has the shape {kernel.shape}, expected (*lengths, input channels, output "
                         "channels) with at least one length, and none of them 0")  # fmt: skip
    if len(x.shape) <= n:
        raise ShapeError(f"{name}: x has the shape {x.shape}, expected (..., *sizes, channels) with {n} sizes")
    if not isinstance(groups, (int, np.integer)) or groups < 1 or x.shape[-1] % groups or kernel.shape[-1] % groups:
        raise OptionError(f"{name}: groups={groups!r} must divide {x.shape[-1]} input and {kernel.shape[-1]} output "
                          "channels")  # fmt: skip
    if kernel.shape[-2] * groups != x.shape[-1]:
        raise ShapeError(
            f"{name}: x of shape {x.shape} has {x.shape[-1]} channels (the last axis), and the kernel of shape "
            f"{kernel.shape} takes {kernel.shape[-2] * groups}; channels stand last in x and last but one in the kernel"
        )
    return kernel.shape[:n], kernel.shape[-2]


def _spread(x: Any, axis: int, step: int) -> Any:
    """``step - 1`` zeros between neighbours along an axis."""
    size = x.shape[axis]
    if step == 1 or not size:
        return x
    wide = reshape(x, (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]))
    widths = [(0, 0)] * len(wide.shape)
    widths[axis + 1] = (0, step - 1)
    wide = reshape(pad(wide, widths), (*x.shape[:axis], size * step, *x.shape[axis + 1 :]))
    return index(wide, (slice(None),) * axis + (slice(0, (size - 1) * step + 1),))


# ---- pooling ----
def max_pool(x: Any, window: Sizes, *, stride: Sizes | None = None, padding: Padding = "valid") -> Any:
    """The largest element of each window, for each channel.

    Parameters
    ----------
    x : array, shape (..., \\*sizes, C)
        Channels last, as in :func:`conv`.
    window : int, or one for each axis that is pooled
    stride : the same, optional
        The window itself by default.
    padding : "valid", "same", int, or for each axis an int or a pair
        As in :func:`conv`, but what is added never is the largest.

    Returns
    -------
    array, shape (..., \\*results, C)
        Where several elements are the largest, they share the gradient equally, as in ``np.max``.

    Examples
    --------
    >>> max_pool(np.array([[1.0], [3.0], [2.0], [0.0]]), 2)[:, 0]
    array([3., 2.])
    """
    least = -np.inf if asarray(x).dtype.kind == "f" else np.iinfo(asarray(x).dtype).min
    return _pooled("max_pool", np.max, x, window, stride, padding, least)[0]


def avg_pool(x: Any, window: Sizes, *, stride: Sizes | None = None, padding: Padding = "valid") -> Any:
    """The mean of each window, for each channel; what padding adds is not counted.

    Parameters
    ----------
    x : array, shape (..., \\*sizes, C)
    window, stride, padding
        As in :func:`max_pool`.

    Returns
    -------
    array, shape (..., \\*results, C)

    Examples
    --------
    >>> avg_pool(np.array([[1.0], [3.0], [2.0]]), 2, padding="same")[:, 0]
    array([2., 2.])
    """
    total, windows = _pooled("avg_pool", np.sum, x, window, stride, padding, 0)
    there = np.ones((*windows.sizes, 1), total.dtype)
    return total / sum(windows.slices(padded(there, windows.widths)))


def _pooled(name: str, fold: Callable, x: Any, window: Any, stride: Any, padding: Any, filling: Any) -> tuple:
    x = asarray(x)
    n = len(window) if isinstance(window, (tuple, list)) else 1
    lengths = sizes_of(name, "window", window, n)
    if len(x.shape) <= n:
        raise ShapeError(f"{name}: x has the shape {x.shape}, and a window over {n} axes needs (..., *sizes, channels)")
    strides = lengths if stride is None else sizes_of(name, "stride", stride, n)
    windows = windows_of(name, spatial(x, n), lengths, strides, padding, 1)
    if any(max(widths) >= k for widths, k in zip(windows.widths, lengths, strict=True)):
        raise OptionError(f"{name}: padding {windows.widths} is not smaller than the window {lengths}")
    if windows.tile and all(windows.results):  # windows side by side: a view, and no copies of their elements
        lead, results = x.shape[: -n - 1], windows.results
        whole = tuple([r * k for r, k in zip(results, lengths, strict=True)])
        x = index(x, (Ellipsis, *[slice(0, size) for size in whole], slice(None)))
        halves = [part for pair in zip(results, lengths, strict=True) for part in pair]
        axes = tuple(range(len(lead) + 1, len(lead) + 2 * n, 2))
        return fold(reshape(x, (*lead, *halves, x.shape[-1])), axis=axes), windows
    wide = padded(x, windows.widths)
    if filling and wide is not x:
        inside = padded(np.ones((*windows.sizes, 1), bool), windows.widths)
        wide = where(inside, wide, np.asarray(filling, x.dtype))
    return fold(stack(windows.slices(wide), 0), axis=0), windows
