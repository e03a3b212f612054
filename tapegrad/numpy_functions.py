"""NumPy's functions, written with the primitives.

:mod:`tapegrad.numpy_protocols` sends ``np.mean(t)`` and its kind here. The signatures are NumPy's,
as far as they are supported; what is missing from a signature is refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters
from typing import Any

import numpy as np

from .errors import ShapeError, StructureError, UnsupportedPrimitive
from .primitives import contract as products
from .primitives import elementwise as ew
from .primitives import reductions, shaping
from .primitives.indexing import index
from .primitives.reductions import axes_of
from .primitives.registry import shape_of
from .tape import Tensor, apply


def refuse(name: str, **arguments: Any) -> None:
    """Raise when an argument that has no rule was given."""
    for keyword, value in arguments.items():
        if value is not None and value is not np._NoValue:
            raise UnsupportedPrimitive(
                f"numpy.{name}: the argument {keyword}= is not supported on a Tensor; "
                + (
                    "results are new arrays: write x = f(x) instead of f(x, out=x)"
                    if keyword == "out"
                    else "select with np.where before calling it"
                )
            )


def asarray(value: Any) -> Any:
    """``value`` as something with a shape and dtype: lists of Tensors are stacked."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        return value
    if isinstance(value, (list, tuple)) and _holds_tensor(value):
        return stack([asarray(item) for item in value])
    return np.asarray(value)


def _holds_tensor(items: Any) -> bool:
    return any(isinstance(i, Tensor) or (isinstance(i, (list, tuple)) and _holds_tensor(i)) for i in items)


# ---- reductions ----
def _reduce(primitive: Any, x: Any, axis: Any, keepdims: Any, dtype: Any = None) -> Any:
    x = asarray(x)
    x = x if dtype is None else astype(x, dtype)
    keepdims = False if keepdims is np._NoValue else bool(keepdims)
    return apply(primitive, (x,), {"axis": axes_of(axis, len(x.shape)), "keepdims": keepdims})


def sum(a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=None):  # noqa: A001
    refuse("sum", out=out, initial=initial, where=where)
    return _reduce(reductions.sum_, a, axis, keepdims, dtype)


def _extremum(primitive: Any, a: Any, axis: Any, keepdims: Any) -> Any:
    if any(a.shape[i] == 0 for i in axes_of(axis, len(a.shape))):
        raise ShapeError(f"{primitive.name}: an array of shape {a.shape} has no elements along axis {axis}")
    return _reduce(primitive, a, axis, keepdims)


def max(a, axis=None, out=None, keepdims=False, initial=None, where=None):  # noqa: A001
    refuse("max", out=out, initial=initial, where=where)
    return _extremum(reductions.max_, a, axis, keepdims)


def min(a, axis=None, out=None, keepdims=False, initial=None, where=None):  # noqa: A001
    refuse("min", out=out, initial=initial, where=where)
    return _extremum(reductions.min_, a, axis, keepdims)


def any_(a, axis=None, out=None, keepdims=False, where=None):
    refuse("any", out=out, where=where)
    return _reduce(reductions.max_, astype(a, bool), axis, keepdims) if a.size else np.any(np.zeros(a.shape), axis)


def all_(a, axis=None, out=None, keepdims=False, where=None):
    refuse("all", out=out, where=where)
    return _reduce(reductions.min_, astype(a, bool), axis, keepdims) if a.size else np.all(np.zeros(a.shape), axis)


def mean(a, axis=None, dtype=None, out=None, keepdims=False, where=None):
    refuse("mean", out=out, where=where)
    count = 1
    for i in axes_of(axis, len(a.shape)):
        count *= a.shape[i]
    if a.dtype.kind in "iub" and dtype is None:
        dtype = np.float64
    return _reduce(reductions.sum_, a, axis, keepdims, dtype) / count


def var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
    refuse("var", out=out, dtype=dtype)
    centred = a - mean(a, axis, keepdims=True)
    count = 1
    for i in axes_of(axis, len(a.shape)):
        count *= a.shape[i]
    return sum(centred * centred, axis, keepdims=keepdims) / (count - ddof)


def std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
    return np.sqrt(var(a, axis, dtype, out, ddof, keepdims))


def prod(a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=None):
    """A tree of products of halves: exact derivatives of every order, zeros included."""
    refuse("prod", out=out, initial=initial, where=where)
    axes = axes_of(axis, len(a.shape))
    a = a if dtype is None else astype(a, dtype)
    rest = tuple([i for i in range(len(a.shape)) if i not in axes])
    kept = tuple([1 if i in axes else n for i, n in enumerate(a.shape)])
    x = reshape(transpose(a, axes + rest), (-1, *[a.shape[i] for i in rest]))
    if x.shape[0] == 0:
        x = np.ones((1, *x.shape[1:]), a.dtype)
    while x.shape[0] > 1:
        half = x.shape[0] // 2
        odd = [x[2 * half :]] if x.shape[0] % 2 else []
        x = concatenate([x[:half] * x[half : 2 * half], *odd])
    return reshape(x, kept if keepdims else tuple([a.shape[i] for i in rest]))


def cumsum(a, axis=None, dtype=None, out=None):
    refuse("cumsum", out=out)
    a = a if dtype is None else astype(a, dtype)
    if axis is None:
        a, axis = ravel(a), 0
    return apply(reductions.cumsum, (a,), {"axis": axes_of(axis, len(a.shape))[0]})


def _position(primitive: Any, a: Any, axis: Any, keepdims: Any) -> Any:
    if axis is None:
        a, axis = ravel(a), 0
    return _reduce(primitive, a, axis, keepdims)


def argmax(a, axis=None, out=None, *, keepdims=False):
    refuse("argmax", out=out)
    return _position(reductions.argmax, a, axis, keepdims)


def argmin(a, axis=None, out=None, *, keepdims=False):
    refuse("argmin", out=out)
    return _position(reductions.argmin, a, axis, keepdims)


# ---- shapes ----
def reshape(a, /, shape, order="C"):
    if order != "C":
        raise UnsupportedPrimitive("numpy.reshape: only order='C' is supported on a Tensor; transpose before reshaping")
    a = asarray(a)
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple([int(n) for n in shape])
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
    axes = tuple(range(rank))[::-1] if axes is None else tuple([int(i) % rank for i in axes])
    return a if axes == tuple(range(rank)) else apply(shaping.transpose, (a,), {"axes": axes})


def swapaxes(a, axis1, axis2):
    axes = list(range(len(a.shape)))
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return transpose(a, axes)


def moveaxis(a, source, destination):
    rank = len(a.shape)
    sources = [source] if isinstance(source, (int, np.integer)) else list(source)
    targets = [destination] if isinstance(destination, (int, np.integer)) else list(destination)
    sources, targets = ([axes_of(i, rank)[0] for i in group] for group in (sources, targets))
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
    refuse("concatenate", out=out)
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
    return concatenate([expand_dims(a, axis) for a in arrays], axis, out, dtype)


def hstack(tup, *, dtype=None, casting="same_kind"):
    arrays = [atleast_1d(asarray(a)) for a in tup]
    return concatenate(arrays, 0 if len(arrays[0].shape) == 1 else 1, dtype=dtype)


def vstack(tup, *, dtype=None, casting="same_kind"):
    return concatenate([atleast_2d(asarray(a)) for a in tup], 0, dtype=dtype)


def atleast_1d(*arys):
    made = [reshape(a, (1,)) if not shape_of(a) else a for a in arys]
    return made[0] if len(made) == 1 else tuple(made)


def atleast_2d(*arys):
    made = [reshape(a, (1, -1)) if len(shape_of(a)) < 2 else a for a in arys]
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
        raise UnsupportedPrimitive("numpy.roll: one shift and one axis at a time on a Tensor; roll several times")
    axis = axes_of(axis, len(a.shape))[0]
    cut = (-shift) % a.shape[axis] if a.shape[axis] else 0
    lead = (slice(None),) * axis
    return concatenate([a[(*lead, slice(cut, None))], a[(*lead, slice(0, cut))]], axis)


def tile(A, reps):
    reps = (reps,) if isinstance(reps, (int, np.integer)) else tuple(reps)
    rank = builtin_max(len(reps), len(A.shape))
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
    return index(a, (slice(None),) * axis + (np.repeat(np.arange(a.shape[axis]), repeats),))


def pad(array, pad_width, mode="constant", constant_values=0):
    if mode != "constant" or np.any(np.asarray(constant_values) != 0):
        raise UnsupportedPrimitive("numpy.pad: only zeros (mode='constant') are supported on a Tensor")
    widths = np.broadcast_to(np.asarray(pad_width), (len(array.shape), 2))
    return apply(shaping.pad, (array,), {"widths": tuple([(int(a), int(b)) for a, b in widths])})


# ---- selection ----
def where(condition, x=None, y=None, /):
    if x is None or y is None:
        raise UnsupportedPrimitive("numpy.where: give all three of condition, x and y; positions have no derivative")
    return apply(ew.where, [v if isinstance(v, (bool, int, float)) else asarray(v) for v in (condition, x, y)])


def clip(a, a_min=None, a_max=None, out=None, *, min=None, max=None):  # noqa: A002
    refuse("clip", out=out)
    low, high = (min if a_min is None else a_min), (max if a_max is None else a_max)
    if low is not None:
        a = np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


def take(a, indices, axis=None, out=None, mode="raise"):
    refuse("take", out=out)
    if mode != "raise":
        raise UnsupportedPrimitive("numpy.take: only mode='raise' is supported on a Tensor; clip or wrap the indices")
    if axis is None:
        a, axis = ravel(a), 0
    axis = axes_of(axis, len(a.shape))[0]
    indices = indices if isinstance(indices, (int, np.integer)) else asarray(indices)
    return index(a, (slice(None),) * axis + (indices,))


def take_along_axis(arr, indices, axis=-1):
    if axis is None:
        arr, axis = ravel(arr), 0
    axis, rank = axes_of(axis, len(arr.shape))[0], len(arr.shape)
    grid: list[Any] = [
        np.arange(n).reshape((1,) * i + (n,) + (1,) * (rank - 1 - i)) for i, n in enumerate(arr.shape)
    ]
    grid[axis] = asarray(indices)
    return index(arr, tuple(grid))


def tril(m, k=0):
    return where(np.tril(np.ones(m.shape[-2:], bool), k), m, 0)


def triu(m, k=0):
    return where(np.triu(np.ones(m.shape[-2:], bool), k), m, 0)


def diagonal(a, offset=0, axis1=0, axis2=1):
    a = moveaxis(a, (axis1, axis2), (-2, -1))
    n = np.diagonal(np.zeros(a.shape[-2:], bool), offset).shape[0]
    at = np.arange(n)
    return index(a, (Ellipsis, at + builtin_max(-offset, 0), at + builtin_max(offset, 0)))


def trace(a, offset=0, axis1=0, axis2=1):
    return sum(diagonal(a, offset, axis1, axis2), -1)


def astype(x, dtype, /, copy=True):
    dtype = np.dtype(dtype)
    return x if x.dtype == dtype else apply(ew.cast, (x,), {"dtype": dtype})


# ---- products ----
def dot(a, b, out=None):
    refuse("dot", out=out)
    return products.dot(asarray(a), asarray(b))


def inner(a, b, /):
    return products.inner(asarray(a), asarray(b))


def outer(a, b, out=None):
    refuse("outer", out=out)
    return products.outer(asarray(a), asarray(b))


def tensordot(a, b, axes=2):
    return products.tensordot(asarray(a), asarray(b), axes)


def einsum(subscripts: str, *operands: Any, out=None, optimize=None) -> Any:
    """numpy.einsum on any number of operands, contracted from left to right."""
    refuse("einsum", out=out)
    if not isinstance(subscripts, str):
        raise UnsupportedPrimitive("numpy.einsum: give the subscripts as a string, as in 'ij,jk->ik'")
    operands = tuple([asarray(x) for x in operands])
    terms, result = _parse(subscripts.replace(" ", ""), [len(x.shape) for x in operands])
    pairs = [_diagonals(x, term, subscripts) for x, term in zip(operands, terms, strict=True)]
    x, left = pairs[0]
    for position, (y, right) in enumerate(pairs[1:], 2):
        later = result + "".join(term for _, term in pairs[position:])
        keep = "".join(dict.fromkeys(c for c in left + right if c in later))
        x, left = products.labelled(x, y, left, right, keep), keep
    x = sum(x, tuple([i for i, c in enumerate(left) if c not in result])) if set(left) - set(result) else x
    left = "".join(c for c in left if c in result)
    return transpose(x, [left.index(c) for c in result])


def _parse(subscripts: str, ranks: list[int]) -> tuple[list[str], str]:
    given, arrow, result = subscripts.partition("->")
    terms = given.split(",")
    if len(terms) != len(ranks):
        raise StructureError(f"einsum {subscripts!r}: {len(terms)} terms for {len(ranks)} operands")
    free = [c for c in ascii_letters if c not in subscripts]
    widest = 0
    for i, (term, rank) in enumerate(zip(terms, ranks, strict=True)):
        if "..." in term:
            wide = rank - len(term) + 3
            widest = builtin_max(widest, wide)
            terms[i] = term.replace("...", "".join(free[:wide][::-1]))
        if len(terms[i]) != rank:
            raise ShapeError(f"einsum {subscripts!r}: the term {term!r} does not fit an operand with {rank} axes")
    every = "".join(terms)
    dots = "".join(free[:widest][::-1])
    if not arrow:
        result = dots + "".join(sorted(c for c in set(every) if every.count(c) == 1 and c not in dots))
    result = result.replace("...", dots)
    if unknown := set(result) - set(every):
        raise StructureError(f"einsum {subscripts!r}: the result names {sorted(unknown)}, which no operand has")
    return terms, result


def _diagonals(x: Any, labels: str, subscripts: str) -> tuple[Any, str]:
    """Take the diagonal over each label that stands twice in a term."""
    for c in dict.fromkeys(labels):
        while labels.count(c) > 1:
            i = labels.index(c)
            j = labels.index(c, i + 1)
            if x.shape[i] != x.shape[j]:
                raise ShapeError(f"einsum {subscripts!r}: axes labelled {c!r} have lengths {x.shape[i]}, {x.shape[j]}")
            x = diagonal(x, 0, i, j)
            labels = labels[:i] + labels[i + 1 : j] + labels[j + 1 :] + c
    return x, labels


def norm(x, ord=None, axis=None, keepdims=False):  # noqa: A002
    """The 2-norm of a vector or the Frobenius norm of a matrix."""
    if ord not in (None, 2, "fro") or (ord == 2 and len(x.shape) > 1 and not isinstance(axis, int)):
        raise UnsupportedPrimitive(f"numpy.linalg.norm: ord={ord!r} is not supported on a Tensor; only the 2-norm is")
    return np.sqrt(sum(x * x, axis, keepdims=keepdims))


def builtin_max(a: int, b: int) -> int:
    return a if a > b else b


# ---- arrays made of Tensors, for what NumPy cannot dispatch ----
def full(shape: int | Sequence[int], fill_value: Any, dtype: Any = None) -> Any:
    """An array of a shape filled with a value that may be a Tensor, as ``np.full`` cannot be.

    >>> full((2,), 3.0)
    array([3., 3.])
    """
    value = asarray(fill_value)
    value = value if dtype is None else astype(value, dtype)
    return broadcast_to(value, shape) if isinstance(value, Tensor) else np.full(shape, value)


def array(items: Any, dtype: Any = None) -> Any:
    """An array of nested lists that may hold Tensors, as ``np.array`` cannot make.

    >>> array([[1.0, 2.0], [3.0, 4.0]]).shape
    (2, 2)
    """
    value = asarray(items)
    return value if dtype is None else astype(value, dtype)


def index_add(x: Any, key: Any, value: Any) -> Any:
    """``x`` with ``value`` added at ``x[key]``; repeated indices add up. ``x`` itself is not changed.

    >>> index_add(np.zeros(3), np.array([0, 0, 2]), 1.0)
    array([2., 0., 1.])
    """
    return x + _scattered(x, key, value)


def index_update(x: Any, key: Any, value: Any) -> Any:
    """``x`` with ``x[key]`` replaced by ``value``, as ``x[key] = value`` would. ``x`` itself is not changed.

    >>> index_update(np.zeros(3), 1, 5.0)
    array([0., 5., 0.])
    """
    mask = _scattered(np.zeros(x.shape), key, 1.0) > 0
    return where(mask, _scattered(x, key, value), x)


def _scattered(x: Any, key: Any, value: Any) -> Any:
    """Zeros of the shape of ``x`` with ``value`` at an index: the cotangent of reading there."""
    from .transforms import vjp

    read, pullback = vjp(lambda held: index(held, key), np.zeros(x.shape, x.dtype))
    return pullback(broadcast_to(astype(asarray(value), read.dtype), read.shape))[0]
