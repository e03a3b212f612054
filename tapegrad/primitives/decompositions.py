"""Decompositions of stacks of matrices: Cholesky, QR, eigenvalues of symmetric matrices, singular values.

Eigenvectors and singular vectors have infinite derivatives within a group of equal (singular) values: the least change
of the matrix chooses others. Functions of them that do not depend on the choice have finite derivatives all the same.
In the rules each derivative is a quotient by the distance of two values, and where that is no more than rounding

* a numerator that is no more than rounding gives zero: what is differentiated does not see how the group is turned;
* another numerator gives NaN: there is no derivative;
* so does any numerator where a cotangent arrives for the values too. The quotient then is that of a function's
  values at two equal points, ``(f(x) - f(y)) / (x - y)``, and what it should be is not known any more.

Values alone have finite derivatives. A function that treats equal ones differently, such as the largest, has a kink.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import LinAlgError
from .linalg import Stacked, diagonals, solve, swap
from .registry import shape_of


def triangle(x: Any, upper: bool = False, inner: float = 1.0, diagonal: float = 1.0) -> Any:
    """One triangle of each square matrix, multiplied, with a multiple of the diagonal; zeros elsewhere."""
    n = shape_of(x)[-1]
    strict = np.tri(n, k=-1)
    return x * ((strict.T if upper else strict) * inner + np.eye(n) * diagonal).astype(x.dtype)


def symmetric(x: Any, upper: bool) -> Any:
    """The symmetric matrix of which ``x`` holds one triangle; the other may hold anything, NaN too."""
    n = shape_of(x)[-1]
    read = np.tri(n, dtype=bool)
    half = triangle(np.where(read.T if upper else read, x, 0.0), upper, 1.0, 0.5)
    return half + swap(half)


def folded(g: Any, upper: bool) -> Any:
    """The cotangent of one triangle, from the symmetric cotangent of a symmetric matrix."""
    return triangle(g, upper, 2.0, 1.0)


class Cholesky(Stacked):
    """The triangular factor of a symmetric positive definite matrix, of which only one triangle is read."""

    def run(self, a: Any, upper: bool) -> Any:
        if not upper:
            return np.linalg.cholesky(a)
        return np.linalg.cholesky(a, upper=True)

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        upper = options["upper"]
        factor = swap(ans) if upper else ans
        inner = solve(factor, swap(solve(factor, symmetric(tangents[0], upper))))
        moved = factor @ triangle(inner, diagonal=0.5)
        return swap(moved) if upper else moved

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        upper = options["upper"]
        factor, g = (swap(ans), swap(g)) if upper else (ans, g)
        inner = triangle(swap(factor) @ g, diagonal=0.5)
        inner = inner + swap(inner)
        return [folded(0.5 * solve(swap(factor), swap(solve(swap(factor), inner))), upper)]

    def explained(self, error: ValueError, args: Sequence[Any]) -> Exception:
        if not isinstance(error, np.linalg.LinAlgError):
            return error
        (a,) = args
        return LinAlgError(
            f"{self.name}: {self.place(a, np.linalg.cholesky)} is not positive definite (argument of shape {a.shape}); "
            "make it symmetric, as x @ x.T is, and add a small multiple of np.eye(n), or use np.linalg.eigh, which "
            "takes eigenvalues of either sign"
        )


class Eigh(Stacked):
    """Eigenvalues, ascending, and eigenvectors of a symmetric matrix, of which only one triangle is read."""

    multiple = True
    parts = ("eigenvalues", "eigenvectors")

    def run(self, a: Any, upper: bool) -> Any:
        return tuple(np.linalg.eigh(a, "U" if upper else "L"))

    def shapes(self, lead: tuple[int, ...], m: int, n: int, **options: Any) -> list[tuple[int, ...]]:
        return [(*lead, n), (*lead, n, n)]

    def count(self, options: dict) -> int:
        return 2

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        w, v = ans
        moved = swap(v) @ symmetric(tangents[0], options["upper"]) @ v
        return diagonals(moved), v @ over(moved, differences(w), largest(w[..., None, :]), largest(moved))

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        (w, v), (gw, gv) = ans, g
        total: Any = 0.0
        if gw is not None:
            total = (v * gw[..., None, :]) @ swap(v)
        if gv is not None:
            turned = swap(v) @ gv
            parts = over(turned - swap(turned), differences(w), largest(w[..., None, :]), largest(turned), gw is None)
            total = total + 0.5 * (v @ parts @ swap(v))
        return [folded(total, options["upper"])]


class Svd(Stacked):
    """Singular values, descending, with as many singular vectors on both sides."""

    multiple = True
    parts = ("U", "S", "Vh")
    square = False

    def run(self, a: Any) -> Any:
        return tuple(np.linalg.svd(a, full_matrices=False))

    def shapes(self, lead: tuple[int, ...], m: int, n: int, **options: Any) -> list[tuple[int, ...]]:
        k = min(m, n)
        return [(*lead, m, k), (*lead, k), (*lead, k, n)]

    def count(self, options: dict) -> int:
        return 3

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        (da,), (u, s, vh) = tangents, ans
        v = swap(vh)
        left, right = swap(u) @ da, da @ v  # (k, n) and (m, k)
        moved = left @ v
        size, scale = largest(s[..., None, :]), largest(moved)
        even = over(moved + swap(moved), differences(s), size, scale)
        odd = over(moved - swap(moved), sums(s), size, scale)
        du, dv = 0.5 * (u @ (even + odd)), 0.5 * (v @ (even - odd))
        if shape_of(u)[-2] > shape_of(u)[-1]:
            du = du + over(right - u @ moved, s[..., None, :], size, largest(right))
        if shape_of(v)[-2] > shape_of(v)[-1]:
            dv = dv + over(swap(left) - v @ swap(moved), s[..., None, :], size, largest(left))
        return du, diagonals(moved), swap(dv)

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        (u, s, vh), (gu, gs, gvh) = ans, g
        v, size, alone = swap(vh), largest(s[..., None, :]), gs is None
        inner: Any = 0.0
        total: Any = 0.0
        if gs is not None:
            inner = gs[..., None, :] * np.eye(shape_of(s)[-1], dtype=s.dtype)
        turns = [None if part is None else side @ part for side, part in ((swap(u), gu), (vh, _swapped(gvh)))]
        if gu is not None or gvh is not None:
            odd = [0.0 if turn is None else 0.5 * (turn - swap(turn)) for turn in turns]
            scale = sum(largest(turn) for turn in turns if turn is not None)
            inner = inner + over(odd[0] + odd[1], differences(s), size, scale, alone)
            inner = inner + over(odd[0] - odd[1], sums(s), size, scale, alone)
        if gu is not None and shape_of(u)[-2] > shape_of(u)[-1]:
            total = over(gu - u @ turns[0], s[..., None, :], size, largest(gu), alone) @ vh
        if gvh is not None and shape_of(v)[-2] > shape_of(v)[-1]:
            rest = over(swap(gvh) - v @ turns[1], s[..., None, :], size, largest(gvh), alone)
            total = total + u @ swap(rest)
        return [total + u @ inner @ vh]


class Qr(Stacked):
    """An orthonormal basis Q of the columns, and R, upper triangular, with a = Q R."""

    multiple = True
    parts = ("Q", "R")
    square = False

    def run(self, a: Any) -> Any:
        return tuple(np.linalg.qr(a))

    def shapes(self, lead: tuple[int, ...], m: int, n: int, **options: Any) -> list[tuple[int, ...]]:
        k = min(m, n)
        return [(*lead, m, k), (*lead, k, n)]

    def count(self, options: dict) -> int:
        return 2

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        """Of the first columns, as many as there are rows; the others are carried along in R."""
        (a,), (da,), (q, r) = args, tangents, ans
        k = shape_of(r)[-2]
        first = r[..., :k]
        change = self._divided(da[..., :k], first)
        moved = swap(q) @ change
        below = triangle(moved)
        turn = below - swap(below)  # whose diagonal is 0
        dq = q @ (turn - moved) + change
        dr = triangle((moved - turn) @ first, upper=True)
        if shape_of(a)[-1] == k:
            return dq, dr
        return dq, np.concatenate([dr, swap(dq) @ a[..., k:] + swap(q) @ da[..., k:]], axis=-1)

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        (a,), (q, r), (gq, gr) = args, ans, g
        k = shape_of(r)[-2]
        first, behind = r[..., :k], a[..., k:]
        rest: Any = np.zeros(shape_of(behind), a.dtype)
        if gr is not None and shape_of(a)[-1] > k:
            gr, others = gr[..., :k], gr[..., k:]
            further = behind @ swap(others)
            gq, rest = further if gq is None else gq + further, q @ others
        moved: Any = 0.0
        if gr is not None:
            moved = first @ swap(gr)
        if gq is not None:
            moved = moved - swap(gq) @ q
        below = triangle(moved, diagonal=0.0)
        cotangent = q @ (below + swap(below) + triangle(moved, inner=0.0))
        cotangent = self._divided(cotangent if gq is None else gq + cotangent, swap(first))
        return [np.concatenate([cotangent, rest], axis=-1) if shape_of(a)[-1] > k else cotangent]

    def _divided(self, x: Any, triangular: Any) -> Any:
        """``x @ inv(triangular)``."""
        try:
            return swap(solve(swap(triangular), swap(x)))
        except np.linalg.LinAlgError:
            raise LinAlgError(
                f"qr: its derivative exists only where the first columns of the matrix are linearly independent, and "
                f"R of shape {shape_of(triangular)} is singular; np.linalg.pinv and np.linalg.svd take matrices of any "
                "rank"
            ) from None


# ---- quotients by differences of values ----
def _swapped(x: Any) -> Any:
    return None if x is None else swap(x)


def largest(x: Any) -> Any:
    """The largest absolute value of each matrix of a stack."""
    return np.max(np.abs(x), axis=(-2, -1), keepdims=True) if 0 not in shape_of(x)[-2:] else 0.0


def differences(w: Any) -> Any:
    """w[j] - w[i] for each pair, and infinity on the diagonal."""
    return w[..., None, :] - w[..., :, None] + _infinite_diagonal(w)


def sums(w: Any) -> Any:
    """w[j] + w[i] for each pair, and infinity on the diagonal."""
    return w[..., None, :] + w[..., :, None] + _infinite_diagonal(w)


def _infinite_diagonal(w: Any) -> np.ndarray:
    return np.diag(np.full(shape_of(w)[-1], np.inf, w.dtype))


def over(x: Any, gap: Any, size: Any, scale: Any, alone: bool = True) -> Any:
    """``x / gap``, with 0 or NaN where the gap is rounding, as the head of this module says.

    Parameters
    ----------
    x, gap : array (..., n, k)
    size, scale : array (..., 1, 1)
        The largest of the values of which ``gap`` is a difference, and of the terms that ``x`` is a difference of.
    alone : bool
        False where the quotient is not known at equal values.
    """
    rounding = 10.0 * max(shape_of(x)[-2:]) * float(np.finfo(x.dtype).eps)
    tied = np.abs(gap) <= rounding * size
    reciprocal = 1.0 / np.where(tied, 1.0, gap)
    unknown = np.full((1, 1), np.nan, x.dtype)  # an array, and no number of which symbolic readers would make sense
    blocked = np.where(tied, unknown, reciprocal)
    if alone:
        blocked = np.where(tied & (np.abs(x) <= rounding * scale), 0.0, blocked)
    return x * blocked


cholesky = Cholesky("cholesky")
eigh = Eigh("eigh")
svd = Svd("svd")
qr = Qr("qr")
