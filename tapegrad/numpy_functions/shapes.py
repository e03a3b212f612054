"""Functions that rearrange."""

from __future__ import annotations

import operator

import numpy as np

from ..errors import ShapeError, UnsupportedPrimitive
from ..primitives import elementwise as ew
from ..primitives import shaping
from ..primitives.indexing import index
from ..primitives.reductions import axes_of
from ..primitives.registry import shape_of
from ..tensor import Tensor, apply, complex_refused, is_complex
from .common import asarray, refuse


def reshape(a, /, shape, order="C", *, copy=None):
    a = asarray(a)
    if order == "F":
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        return transpose(reshape(transpose(a), shape[::-1]))
    if order != "C":
        raise UnsupportedPrimitive(
            f"numpy.reshape: order={order!r} asks how an array lies in memory, which a Tensor does not say; give "
            "'C' or 'F'"
        )
    shape = tuple([operator.index(n) for n in ((shape,) if isinstance(shape, (int, np.integer)) else shape)])
    if shape == a.shape:
        return a
    if shape.count(-1) == 1 and a.size:
        known = int(-np.prod(shape, dtype=np.int64))
        shape = tuple([a.size // known if n == -1 and known and a.size % known == 0 else n for n in shape])
    elif -1 in shape:
        shape = np.zeros(a.shape, np.bool_).reshape(shape).shape
    if int(np.prod(shape, dtype=np.int64)) != a.size or -1 in shape:
        raise ShapeError(f"reshape: {a.size} elements of shape {a.shape} do not fill the shape {shape}")
    return apply(shaping.reshape, (a,), {"shape": shape})


def ravel(a, order="C"):
    return reshape(a, (-1,) if a.size else (0,), order)


def transpose(a, axes=None):
    rank = len(a.shape)
    if axes is None:
        axes = tuple(range(rank))[::-1]
    elif sorted(axes_of(axes, rank)) != list(range(rank)):
        raise ShapeError(f"transpose: axes={tuple(axes)} for an array of shape {a.shape}; name each axis once")
    axes = tuple([operator.index(i) % rank for i in axes])
    return a if axes == tuple(range(rank)) else apply(shaping.transpose, (a,), {"axes": axes})


def swapaxes(a, axis1, axis2):
    axes = list(range(len(a.shape)))
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return transpose(a, axes)


def moveaxis(a, source, destination):
    rank = len(a.shape)
    sources, targets = (
        [axes_of(int(i), rank)[0] for i in ([axes] if isinstance(axes, (int, np.integer)) else axes)]
        for axes in (source, destination)
    )
    order = [i for i in range(rank) if i not in sources]
    for target, given in sorted(zip(targets, sources, strict=True)):
        order.insert(target, given)
    return transpose(a, order)


def expand_dims(a, axis):
    rank = len(a.shape) + (len(axis) if isinstance(axis, tuple) else 1)
    rest = iter(a.shape)
    axes = axes_of(axis, rank)
    return reshape(a, tuple([1 if i in axes else next(rest) for i in range(rank)]))


def squeeze(a, axis=None):
    axes = [i for i, n in enumerate(a.shape) if n == 1] if axis is None else axes_of(axis, len(a.shape))
    if [i for i in axes if a.shape[i] != 1]:
        raise ShapeError(f"squeeze: axis {axis} of an array of shape {a.shape} is not of length 1")
    return reshape(a, tuple([n for i, n in enumerate(a.shape) if i not in axes]))


def broadcast_to(array, shape, subok=False):
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple([int(n) for n in shape])
    array = asarray(array)
    if shape == array.shape:
        return array
    try:
        fits = np.broadcast_shapes(array.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"broadcast_to: an array of shape {array.shape} cannot be broadcast to the shape {shape}")
    return apply(shaping.broadcast_to, (array,), {"shape": shape})


def concatenate(arrays, axis=0, out=None, dtype=None, casting="same_kind"):
    refuse("concatenate", out=out, casting=None if casting == "same_kind" else casting)
    arrays = [asarray(a) for a in arrays]
    if dtype is not None:
        arrays = [astype(a, dtype) for a in arrays]
    if axis is None:
        arrays, axis = [ravel(a) for a in arrays], 0
    if len({len(a.shape) for a in arrays}) > 1 or not arrays or not arrays[0].shape:
        raise ShapeError(
            f"concatenate: arrays of shapes {', '.join(str(a.shape) for a in arrays) or 'none'}; "
            "give arrays with the same number of axes, at least one (np.stack makes a new axis)"
        )
    return apply(shaping.concatenate, arrays, {"axis": axes_of(axis, len(arrays[0].shape))[0]})


def stack(arrays, axis=0, out=None, *, dtype=None, casting="same_kind"):
    arrays = [asarray(a) for a in arrays]
    if len({a.shape for a in arrays}) != 1:
        raise ShapeError(
            f"stack: arrays of shapes {', '.join(str(a.shape) for a in arrays) or 'none'}; all must have one shape"
        )
    return concatenate([expand_dims(a, axis) for a in arrays], axis, out, dtype, casting)


def hstack(tup, *, dtype=None, casting="same_kind"):
    arrays = [atleast_1d(asarray(a)) for a in tup]
    return concatenate(arrays, 0 if len(arrays[0].shape) == 1 else 1, dtype=dtype, casting=casting)


def vstack(tup, *, dtype=None, casting="same_kind"):
    return concatenate([atleast_2d(asarray(a)) for a in tup], 0, dtype=dtype, casting=casting)


def atleast_1d(*arys):
    made = [reshape(a, (1,)) if not shape_of(a) else a for a in arys]
    return made[0] if len(made) == 1 else tuple(made)


def atleast_2d(*arys):
    made = [reshape(a, (1, *(shape_of(a) or (1,)))) if len(shape_of(a)) < 2 else a for a in arys]
    return made[0] if len(made) == 1 else tuple(made)


def atleast_3d(*arys):
    made = []
    for a in arys:
        shape = shape_of(a)
        made.append(reshape(a, ((1, 1, 1), (1, *shape, 1), (*shape, 1))[len(shape)]) if len(shape) < 3 else a)
    return made[0] if len(made) == 1 else tuple(made)


def array_split(ary, indices_or_sections, axis=0):
    n, axis = ary.shape[axis], axes_of(axis, len(ary.shape))[0]
    if isinstance(indices_or_sections, (int, np.integer)):
        each, more = divmod(n, int(indices_or_sections))
        sizes = [each + 1] * more + [each] * (int(indices_or_sections) - more)
        ends = [0, *np.cumsum(sizes)]
    else:
        ends = [0, *indices_or_sections, n]
    return [
        index(ary, (slice(None),) * axis + (slice(int(a), int(b)),)) for a, b in zip(ends[:-1], ends[1:], strict=True)
    ]


def split(ary, indices_or_sections, axis=0):
    if isinstance(indices_or_sections, (int, np.integer)) and ary.shape[axis] % indices_or_sections:
        raise ShapeError(
            f"split: an axis of length {ary.shape[axis]} does not divide into {indices_or_sections} equal parts; "
            "use np.array_split for parts of unequal length"
        )
    return array_split(ary, indices_or_sections, axis)


def flip(m, axis=None):
    return apply(shaping.flip, (m,), {"axes": axes_of(axis, len(m.shape))})


def roll(a, shift, axis=None):
    if axis is None:
        return reshape(roll(ravel(a), shift, 0), a.shape)
    if not isinstance(shift, (int, np.integer)) or not isinstance(axis, (int, np.integer)):
        for one, where in np.broadcast(shift, axis):
            a = roll(a, int(one), int(where))
        return a
    axis = axes_of(axis, len(a.shape))[0]
    cut = (-shift) % a.shape[axis] if a.shape[axis] else 0
    lead = (slice(None),) * axis
    return concatenate([a[(*lead, slice(cut, None))], a[(*lead, slice(0, cut))]], axis)


def tile(A, reps):
    A = asarray(A)
    reps = (reps,) if isinstance(reps, (int, np.integer)) else tuple(reps)
    rank = max(len(reps), len(A.shape))
    shape = (1,) * (rank - len(A.shape)) + A.shape
    reps = (1,) * (rank - len(reps)) + reps
    between = tuple([part for n, r in zip(shape, reps, strict=True) for part in (1, n)])
    repeated = tuple([part for n, r in zip(shape, reps, strict=True) for part in (r, n)])
    whole = tuple([r * n for n, r in zip(shape, reps, strict=True)])
    return reshape(broadcast_to(reshape(A, between), repeated), whole)


def repeat(a, repeats, axis=None):
    if axis is None:
        a, axis = ravel(a), 0
    axis = axes_of(axis, len(a.shape))[0]
    before, n, behind = a.shape[:axis], a.shape[axis], a.shape[axis + 1 :]
    if np.size(repeats) == 1:  # all as often: an axis that is broadcast, whose derivative is a sum
        times = len(np.repeat(0, repeats))
        apart = broadcast_to(expand_dims(a, axis + 1), (*before, n, times, *behind))
        return reshape(apart, (*before, n * times, *behind))
    return index(a, (slice(None),) * axis + (np.repeat(np.arange(n), repeats),))


def astype(x, dtype, /, copy=True):
    dtype = np.dtype(dtype)
    if (dtype.kind == "c") != is_complex(x) and (isinstance(x, Tensor) or is_complex(x)):
        raise complex_refused("astype")
    return x if x.dtype == dtype else apply(ew.cast, (x,), {"dtype": dtype})
