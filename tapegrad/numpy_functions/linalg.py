"""numpy.linalg: functions of matrices, along the last two axes of an array.

Of symmetric matrices (``cholesky``, ``eigh``, ``eigvalsh``) NumPy reads one triangle. So does the derivative: the
gradient stands in that triangle and counts an element for the two that it stands for; the other triangle gets zeros.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import LinAlgError, OptionError, UnsupportedPrimitive
from ..primitives import decompositions as dec
from ..primitives import linalg as prim
from ..primitives.linalg import Stacked
from ..primitives.reductions import axes_of
from ..tensor import apply
from . import norms
from .common import asarray, refuse
from .shapes import astype, moveaxis, ravel, reshape, transpose

FIRST, SECOND = -2, -1  # the axes of the matrices of a stack


def _matrices(primitive: Stacked, a: Any) -> Any:
    """A checked argument of a primitive; integers become float64, as in NumPy."""
    a = asarray(a)
    if a.dtype.kind in "iub":
        a = astype(a, np.float64)
    primitive.check(a)
    return a


@lru_cache
def _named(name: str) -> Any:
    """NumPy's class for the results of a function."""
    return type(getattr(np.linalg, name)(np.eye(1)))


# ---- linear equations ----
def solve(a, b):
    """A right side with one axis is a vector, any other a stack of matrices, as in NumPy 2."""
    a, b = _matrices(prim.solve, a), asarray(b)
    if b.dtype.kind in "iub":
        b = astype(b, np.float64)
    vector = len(b.shape) == 1
    b = reshape(b, (-1, 1) if b.size else (b.shape[0], 1)) if vector else b
    if not b.shape:
        raise LinAlgError("solve: the right side is a number; give a vector or a stack of matrices")
    prim.solve.fitted(a, b)
    x = apply(prim.solve, (a, b))
    return x[..., 0] if vector else x


def inv(a):
    return prim.inverse(_matrices(prim.solve, a))


def pinv(a, rcond=None, hermitian=False, *, rtol=np._NoValue):
    """At matrices of one rank, which need not be full: where the rank changes there is no derivative."""
    if hermitian:
        refuse("linalg.pinv", hermitian=hermitian)
    a = _matrices(prim.pinv, a)
    if rcond is None:
        rcond = 1e-15 if rtol is np._NoValue else _rounding(a) if rtol is None else rtol
    elif rtol is not np._NoValue:
        raise OptionError("pinv: rcond and rtol are two names of one thing; give one of them")
    if not isinstance(rcond, (int, float, np.number)):
        raise UnsupportedPrimitive("numpy.linalg.pinv: on a Tensor rcond and rtol must be one number")
    return apply(prim.pinv, (a,), {"rcond": float(rcond)})


def _rounding(a: Any) -> float:
    return max(a.shape[-2:]) * float(np.finfo(a.dtype).eps)


def lstsq(a, b, rcond=None):
    """The shortest solution; the residuals are those of a matrix of full rank."""
    a, b = _matrices(prim.pinv, a), asarray(b)
    if len(a.shape) != 2 or len(b.shape) not in (1, 2) or b.shape[0] != a.shape[0]:
        raise LinAlgError(
            f"lstsq: a matrix of shape {a.shape} and right sides of shape {b.shape}; give one matrix, and a vector or "
            "a matrix with as many rows (tapegrad.vmap takes stacks)"
        )
    m, n = a.shape
    limit = _rounding(a) if rcond is None else max(float(rcond), float(np.finfo(a.dtype).eps))
    x = apply(prim.pinv, (a,), {"rcond": limit}) @ b
    rest = a @ x - b
    squares = np.sum(rest * rest, axis=0) if m > n else np.zeros(0, x.dtype)
    values = svdvals(a)
    return x, reshape(squares, (-1,)) if m > n else squares, matrix_rank(a, rtol=limit), values


def tensorsolve(a, b, axes=None):
    a, b = asarray(a), asarray(b)
    order = list(range(len(a.shape)))
    for axis in () if axes is None else axes:
        order.remove(axis)
        order.append(axis)
    a = transpose(a, order)
    shape = a.shape[len(b.shape) :]
    count = int(np.prod(shape, dtype=np.int64))
    if a.size != count * count or b.size != count:
        raise LinAlgError(
            f"tensorsolve: arrays of shapes {a.shape} and {b.shape}; the first axes of a must be as large together as "
            "its others and as b"
        )
    return reshape(solve(reshape(a, (count, count)), ravel(b)), shape)


def tensorinv(a, ind=2):
    if ind <= 0:
        raise OptionError(f"tensorinv: ind={ind}; give the number of first axes, 1 or more")
    a = asarray(a)
    rows, columns = (int(np.prod(part, dtype=np.int64)) for part in (a.shape[:ind], a.shape[ind:]))
    return reshape(inv(reshape(a, (rows, columns))), a.shape[ind:] + a.shape[:ind])


# ---- determinants and decompositions ----
def det(a):
    """Its gradient is the matrix of cofactors, also where the matrix is singular.

    >>> from tapegrad import grad
    >>> print(grad(np.linalg.det)(np.array([[1.0, 2.0], [2.0, 4.0]])))
    [[ 4. -2.]
     [-2.  1.]]
    """
    return apply(prim.det, (_matrices(prim.det, a),))


def slogdet(a):
    return _named("slogdet")(*apply(prim.slogdet, (_matrices(prim.slogdet, a),)))


def cholesky(a, /, *, upper=False):
    return apply(dec.cholesky, (_matrices(dec.cholesky, a),), {"upper": bool(upper)})


def eigh(a, UPLO="L"):
    side = UPLO.upper()
    if side not in ("L", "U"):
        raise OptionError(f"eigh: UPLO={UPLO!r}; give 'L' for the lower triangle or 'U' for the upper one")
    return _named("eigh")(*apply(dec.eigh, (_matrices(dec.eigh, a),), {"upper": side == "U"}))


def eigvalsh(a, UPLO="L"):
    return eigh(a, UPLO)[0]


def _complex(name: str) -> UnsupportedPrimitive:
    return UnsupportedPrimitive(
        f"numpy.linalg.{name}: the eigenvalues of a general matrix are complex numbers, which Tensors are not; for a "
        "symmetric matrix use np.linalg.eigh or eigvalsh, for the size of a general one np.linalg.svd or norm"
    )


def eig(a):
    raise _complex("eig")


def eigvals(a):
    raise _complex("eigvals")


def svd(a, full_matrices=True, compute_uv=True, hermitian=False):
    if hermitian:
        raise UnsupportedPrimitive("numpy.linalg.svd: hermitian=True is not supported on a Tensor; use np.linalg.eigh")
    a = _matrices(dec.svd, a)
    if compute_uv and full_matrices and a.shape[-2] != a.shape[-1]:
        raise UnsupportedPrimitive(
            f"numpy.linalg.svd: of a matrix of shape {a.shape[-2:]} full_matrices=True gives singular vectors for "
            "which there are no singular values; these are arbitrary, and have no derivative: give full_matrices=False"
        )
    u, s, vh = apply(dec.svd, (a,))
    return _named("svd")(u, s, vh) if compute_uv else s


def svdvals(x, /):
    return svd(x, compute_uv=False)


def qr(a, mode="reduced"):
    a = _matrices(dec.qr, a)
    if mode not in ("reduced", "complete", "r"):
        raise UnsupportedPrimitive(
            f"numpy.linalg.qr: mode={mode!r} is not supported on a Tensor; there are 'reduced', 'r' and 'complete'"
        )
    if mode == "complete" and a.shape[-2] > a.shape[-1]:
        raise UnsupportedPrimitive(
            f"numpy.linalg.qr: of a matrix of shape {a.shape[-2:]} mode='complete' gives more columns than the matrix "
            "has; these are arbitrary, and have no derivative: use mode='reduced'"
        )
    q, r = apply(dec.qr, (a,))
    return r if mode == "r" else _named("qr")(q, r)


# ---- norms and what is made of singular values ----
def norm(x, ord=None, axis=None, keepdims=False):  # noqa: A002
    """Matrix norms of singular values (2, -2, "nuc"); the others are in ``norms``."""
    x = asarray(x)
    matrix = len(x.shape) == 2 if axis is None else isinstance(axis, (tuple, list)) and len(axis) == 2
    if not (matrix and isinstance(ord, (int, float, str)) and ord in (2, -2, "nuc")):
        return norms.norm(x, ord, axis, keepdims)
    rows, columns = (0, 1) if axis is None else (axes_of(i, len(x.shape))[0] for i in axis)
    s = svdvals(moveaxis(x, (rows, columns), (FIRST, SECOND)))
    made = np.sum(s, axis=-1) if ord == "nuc" else np.max(s, axis=-1) if ord == 2 else np.min(s, axis=-1)
    if not keepdims:
        return made
    return reshape(made, tuple([1 if i in (rows, columns) else n for i, n in enumerate(x.shape)]))


def matrix_norm(x, /, *, keepdims=False, ord="fro"):  # noqa: A002
    return norm(x, ord, (FIRST, SECOND), keepdims)


def vector_norm(x, /, *, axis=None, keepdims=False, ord=2):  # noqa: A002
    x = asarray(x)
    axes = axes_of(axis, len(x.shape))
    flat = moveaxis(x, axes, tuple(range(-len(axes), 0))) if axes else x
    rest = flat.shape[: len(flat.shape) - len(axes)]
    count = int(np.prod(flat.shape[len(rest) :], dtype=np.int64))
    made = norm(reshape(flat, (*rest, count)), ord, -1)
    return reshape(made, tuple([1 if i in axes else n for i, n in enumerate(x.shape)])) if keepdims else made


def cond(x, p=None):
    x = _matrices(dec.svd, x)
    if 0 in x.shape[-2:]:
        raise LinAlgError(f"cond: matrices of shape {x.shape[-2:]} have no elements, and so no condition")
    if p is None or p in (2, -2):
        s = svdvals(x)
        with np.errstate(all="ignore"):
            return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return norm(x, p, (FIRST, SECOND)) * norm(inv(x), p, (FIRST, SECOND))


def matrix_rank(A, tol=None, hermitian=False, *, rtol=None):
    """How many singular values count; without a derivative."""
    if hermitian:
        refuse("linalg.matrix_rank", hermitian=hermitian)
    A = asarray(A)
    s = svdvals(A)
    if 0 in A.shape[-2:]:
        return np.zeros(A.shape[:-2], int)
    if tol is None:
        limit = np.max(s, axis=-1, keepdims=True) * (_rounding(A) if rtol is None else np.asarray(rtol)[..., None])
    else:
        limit = np.asarray(tol)[..., None]
    return np.sum(s > limit, axis=-1)
