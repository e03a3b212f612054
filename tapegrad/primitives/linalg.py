"""Linear algebra on stacks of matrices: solutions of linear equations, determinants, pseudoinverses.

Every function acts on the last two axes, and the axes before them are a stack. A batch axis is one more axis in front,
so batching is the operation itself. Decompositions are in :mod:`tapegrad.primitives.decompositions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DtypeError, LinAlgError
from ..tensor import Aval, apply, complex_refused
from .registry import Primitive, aligned, like, shape_of


def swap(x: Any) -> Any:
    """The transposes of a stack of matrices."""
    return np.swapaxes(x, -1, -2)


class Stacked(Primitive):
    """A function of one stack of matrices, with one result or several.

    Subclasses say what ``shapes`` the results have.
    """

    family = "linalg"
    square = True

    def shapes(self, lead: tuple[int, ...], m: int, n: int, **options: Any) -> list[tuple[int, ...]]:
        """The shapes of the results for matrices of m rows and n columns."""
        return [(*lead, m, n)]

    def abstract(self, *args: Any, **options: Any) -> Any:
        (a,) = args
        self.check(a)
        made = tuple([Aval(shape, a.dtype) for shape in self.shapes(a.shape[:-2], *a.shape[-2:], **options)])
        return made if self.multiple else made[0]

    def check(self, a: Any) -> None:
        """Refuse what is no stack of matrices of float32 or float64."""
        shape, dtype = shape_of(a), getattr(a, "dtype", np.dtype(float))
        if len(shape) < 2:
            raise LinAlgError(
                f"{self.name}: an argument of shape {shape}; it must be a matrix, or a stack of matrices along its "
                "last two axes (x[:, None] makes a column of a vector)"
            )
        if self.square and shape[-1] != shape[-2]:
            raise LinAlgError(
                f"{self.name}: an argument of shape {shape}; the last two axes must be of equal length, for a "
                "matrix that is not square there are np.linalg.lstsq, pinv, qr and svd"
            )
        if dtype.kind == "c":
            raise complex_refused(self.name)
        if dtype not in (np.float32, np.float64):
            raise DtypeError(
                f"{self.name}: an argument of dtype {dtype}; linear algebra is done in float32 and float64: convert "
                "it with .astype"
            )

    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        made = apply(self, args, options)
        return [(part, True) for part in made] if self.multiple else made

    def explained(self, error: ValueError, args: Sequence[Any]) -> Exception:
        if not isinstance(error, np.linalg.LinAlgError):
            return error
        return LinAlgError(f"{self.name}: {error} (argument of shape {shape_of(args[0])}); {self.remedy()}")

    def remedy(self) -> str:
        """What to do where the computation failed."""
        return "look for NaN and infinities in the argument with np.isfinite"

    def place(self, a: Any, attempt: Any) -> str:
        """Which matrix of a stack it was, as words."""
        for index in np.ndindex(shape_of(a)[:-2]):
            try:
                attempt(a[index])
            except np.linalg.LinAlgError:
                return f"the matrix at index {index} of the stack" if index else "the matrix"
        return "a matrix of the stack"


class Solve(Stacked):
    """``x`` with ``a @ x = b``, for stacks of matrices a and b that are broadcast against each other."""

    def run(self, a: Any, b: Any) -> Any:
        return np.linalg.solve(a, b)

    def abstract(self, a: Any, b: Any) -> Aval:
        self.check(a)
        return Aval(self.fitted(a, b), np.result_type(a.dtype, b.dtype))

    def fitted(self, a: Any, b: Any) -> tuple[int, ...]:
        """The shape of the result."""
        try:
            lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            lead = None
        if lead is None or a.shape[-1] != b.shape[-2]:
            raise LinAlgError(
                f"{self.name}: matrices of shape {a.shape} and right sides of shape {b.shape} do not fit; the "
                f"right sides need {a.shape[-1]} rows, and the axes before the last two must be equal or 1 (NumPy "
                "takes a right side for a vector only if it has a single axis)"
            )
        return (*lead, *b.shape[-2:])

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        a, b = args
        gb = solve(swap(a), g)
        return [
            like(-gb @ swap(ans), a) if slots[0] >= 0 else None,
            like(gb, b) if slots[1] >= 0 else None,
        ]

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        da, db = tangents
        moved = db if da is None else -da @ ans if db is None else db - da @ ans
        return solve(args[0], moved)

    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        return apply(self, aligned(size, args, flags), options)

    def explained(self, error: ValueError, args: Sequence[Any]) -> Exception:
        if not isinstance(error, np.linalg.LinAlgError):
            return error
        (a, _) = args
        where = self.place(a, lambda matrix: np.linalg.solve(matrix, np.eye(len(matrix))))
        return LinAlgError(
            f"solve or inv: {where} is singular (argument of shape {a.shape}), so a @ x = b has no solution or many; "
            "use np.linalg.lstsq or np.linalg.pinv for the shortest one, or add a small multiple of np.eye(n)"
        )


class Slogdet(Stacked):
    """Sign and logarithm of the absolute value of the determinant."""

    multiple = True
    parts = ("sign", "logabsdet")

    def run(self, a: Any) -> Any:
        return tuple(np.linalg.slogdet(a))

    def shapes(self, lead: tuple[int, ...], m: int, n: int, **options: Any) -> list[tuple[int, ...]]:
        return [lead, lead]

    def count(self, options: dict) -> int:
        return 2

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        (a,) = args
        if g[1] is None:
            return [None]
        return [g[1][..., None, None] * swap(self._solved(a, np.eye(shape_of(a)[-1], dtype=a.dtype)))]

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        return None, traces(self._solved(args[0], tangents[0]))

    def _solved(self, a: Any, b: Any) -> Any:
        try:
            return solve(a, b)
        except np.linalg.LinAlgError:
            raise LinAlgError(
                f"slogdet: its derivative is infinite where a matrix is singular (argument of shape {shape_of(a)}); "
                "np.linalg.det has a finite one"
            ) from None


class Det(Stacked):
    """The determinant; its gradient is the matrix of cofactors, which is finite where the matrix is singular."""

    def run(self, a: Any) -> Any:
        return np.linalg.det(a)

    def shapes(self, lead: tuple[int, ...], m: int, n: int, **options: Any) -> list[tuple[int, ...]]:
        return [lead]

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        return [g[..., None, None] * cofactors(args[0])]

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        return np.sum(cofactors(args[0]) * tangents[0], axis=(-2, -1))


class Cofactors(Stacked):
    """The gradient of the determinant, and its Hessian, by singular values: without a division.

    With a = U diag(s) V' both are those of a diagonal matrix, turned back: cofactor i is the product of the other
    singular values, and of a change h of the diagonal matrix the cofactors move by ``diag(P diag h) - P * h'``, where
    P[i, j] is the product of all singular values but i and j. So they are right for matrices of any rank.
    """

    def run(self, a: Any) -> Any:
        u, s, vh = np.linalg.svd(a)
        return _orientation(u, vh) * ((u * _products_of_others(s)[..., None, :]) @ vh)

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        (a,), (da,) = args, tangents
        u, s, vh = np.linalg.svd(a)
        pairs = _products_of_other_pairs(s)
        moved = swap(u) @ da @ swap(vh)
        diagonal = (pairs @ diagonals(moved)[..., None]) * np.eye(shape_of(a)[-1], dtype=a.dtype)
        return _orientation(u, vh) * (u @ (diagonal - pairs * swap(moved)) @ vh)

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        return [self.push((g,), ans, args, options)]  # second derivatives of one function: a symmetric map


def _orientation(u: Any, vh: Any) -> Any:
    """det(u) det(vh), which is 1 or -1."""
    return np.sign(np.linalg.det(u) * np.linalg.det(vh))[..., None, None]


def _products_of_others(s: Any) -> Any:
    others = np.eye(s.shape[-1], dtype=bool)
    return np.prod(np.where(others, 1.0, s[..., None, :]), axis=-1)


def _products_of_other_pairs(s: Any) -> Any:
    """P[i, j]: the product of all elements but i and j; 0 on the diagonal."""
    one = np.eye(s.shape[-1], dtype=bool)
    left_out = one[:, None, :] | one[None, :, :]
    return np.where(one, 0.0, np.prod(np.where(left_out, 1.0, s[..., None, None, :]), axis=-1))


class Pinv(Stacked):
    """The pseudoinverse, where the rank does not change; singular values below ``rcond`` times the largest are zero."""

    square = False

    def run(self, a: Any, rcond: float) -> Any:
        return np.linalg.pinv(a, rcond)

    def shapes(self, lead: tuple[int, ...], m: int, n: int, **options: Any) -> list[tuple[int, ...]]:
        return [(*lead, n, m)]

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        (a,), (da,), p = args, tangents, ans
        turned = p @ swap(p) @ swap(da)
        back = swap(da) @ swap(p) @ p
        return -p @ da @ p + (turned - turned @ a @ p) + (back - p @ a @ back)

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        (a,), p = args, ans
        turned = swap(g) @ p @ swap(p)
        back = swap(p) @ p @ swap(g)
        return [-swap(p) @ g @ swap(p) + (turned - a @ p @ turned) + (back - back @ p @ a)]


def diagonals(x: Any) -> Any:
    """The diagonal of each square matrix of a stack."""
    return np.einsum("...ii->...i", x)


def traces(x: Any) -> Any:
    """The trace of each square matrix of a stack."""
    return np.sum(diagonals(x), axis=-1)


def inverse(a: Any) -> Any:
    """The inverse of each matrix: the solution for the identity, to which NumPy's is equal to the last bit."""
    return solve(a, np.eye(shape_of(a)[-1], dtype=a.dtype))


solve = Solve("solve")
slogdet = Slogdet("slogdet")
det = Det("det")
cofactors = Cofactors("cofactors")
pinv = Pinv("pinv")
