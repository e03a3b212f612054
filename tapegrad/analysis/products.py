"""Singular values of long products of Jacobians, kept as logarithms.

The product is held as ``Q R D V'``: Q and V orthogonal, V forgotten; R upper triangular and well conditioned; D
diagonal, positive and falling, as logarithms. So large and small directions never meet in one floating-point sum, and a
relative error of R is a relative error of every singular value.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..errors import OptionError
from .walking import Walk

SWEEPS = 30  # of the rotations that finish; they converge quadratically, and a few are enough
CLOSE = 1e-14  # cosine of the angle between two columns that count as orthogonal


def singular_values(
    cell: Any,
    params: Any = None,
    xs: Any = None,
    state: Any = None,
    *,
    every: int = 1,
    length: int | None = None,
    rows: bool = True,
    backend: str = "auto",
    progress: bool | None = None,
) -> np.ndarray:
    """Logarithms of the singular values of the running product J_t ... J_2 J_1: d s_t / d s_0.

    They neither overflow nor underflow, and small ones are as exact as large ones, however far apart they are.

    Parameters
    ----------
    cell, params, xs, state, length, rows, backend, progress
        As for :func:`step_jacobians`; or ``cell`` is an array of Jacobians (T, B, S, S) that it returned, and the
        rest is left out.
    every : int
        Give them after every so many steps, and after the last.

    Returns
    -------
    array (N, B, S), float64
        Natural logarithms, from the largest. N is T for ``every=1``, else ceil(T / every); entry n belongs to the
        product of ``min((n + 1) * every, T)`` steps. Minus infinity stands for singular values of zero.

    Raises
    ------
    OptionError
        When ``every`` is no whole number from 1; and as :func:`step_jacobians`.

    Notes
    -----
    Divided by t they tend to the Lyapunov exponents. A single Jacobian is as exact as its dtype: a singular value that
    is less than 1e-7 (float32) or 1e-16 (float64) of its largest is rounding.

    References
    ----------
    QR with columns sorted beforehand for products of graded matrices: Tomas, Chang, Scalettar & Bai 2012, "Advancing
    large scale many-body QMC simulations on GPU accelerated multicore systems"; Stewart 1997, "On graded QR
    decompositions of products of matrices". One-sided Jacobi and its relative accuracy: Demmel & Veselic 1992,
    "Jacobi's method is more accurate than QR".

    Examples
    --------
    >>> singular_values(np.full((2000, 1, 1, 1), 0.1))[-1].round(2)
    array([[-4605.17]])
    """
    options: dict[str, Any] = {"length": length, "rows": rows, "backend": backend, "progress": progress}
    walk = Walk("singular_values", cell, params, xs, state, **options)
    if not hasattr(every, "__index__") or operator.index(every) < 1:
        raise OptionError(f"singular_values: every={every!r}; give a whole number of steps, from 1")
    product = LogProduct(walk.rows, walk.size)
    found, done = [np.empty((0, walk.rows, walk.size))], 0
    with np.errstate(divide="ignore"):
        for chunk in walk:
            held = []
            for jacobian in chunk.astype(float, copy=False):
                product.multiply(jacobian)
                done += 1
                if done % every == 0 or done == walk.steps:
                    held.append((product.upper, product.logs))
            if held:
                found.append(_finished(*[np.stack(part) for part in zip(*held, strict=True)]))
    return np.concatenate(found)


class LogProduct:
    """The product of the matrices that were multiplied from the left so far, for each row of a batch.

    Attributes
    ----------
    frame : array (B, S, S)
        Q, orthogonal.
    upper : array (B, S, S)
        R, upper triangular.
    logs : array (B, S)
        log D, from the largest.
    """

    def __init__(self, rows: int, size: int):
        self.frame = np.broadcast_to(np.eye(size), (rows, size, size))
        self.upper, self.logs = self.frame, np.zeros((rows, size))

    def multiply(self, matrix: np.ndarray) -> None:
        """Multiply by ``matrix`` (B, S, S) from the left."""
        columns, self.logs = _sorted(matrix @ self.frame @ self.upper, self.logs)
        first, upper = np.linalg.qr(columns)
        second, self.upper, self.logs = _swept(upper, self.logs)
        self.frame = first @ second


def _sorted(columns: np.ndarray, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``columns @ D`` with columns of length 1, those with the larger factor first; V takes the permutation."""
    norms = np.linalg.norm(columns, axis=-2)
    logs = logs + np.log(norms)
    order = np.argsort(-logs, axis=-1, kind="stable")
    columns = columns / np.where(norms > 0, norms, 1.0)[..., None, :]
    return np.take_along_axis(columns, order[..., None, :], axis=-1), np.take_along_axis(logs, order, axis=-1)


def _swept(upper: np.ndarray, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``R D`` as ``Q R' D'`` up to an orthogonal factor on the right, with R' nearer to a diagonal.

    ``(R D)' = D R' = (D R' / D) D``, and what stands in brackets is lower triangular with quotients of D below the
    diagonal, none of them large, so its QR decomposition is harmless; the orthogonal factor goes to V. Done twice.
    """
    quotients = _quotients(logs)
    middle = np.linalg.qr(quotients * np.swapaxes(upper, -1, -2), mode="r")
    frame, upper = np.linalg.qr(quotients * np.swapaxes(middle, -1, -2))
    diagonal = np.abs(np.diagonal(upper, axis1=-2, axis2=-1))
    return frame, upper / np.where(diagonal > 0, diagonal, 1.0)[..., None, :], logs + np.log(diagonal)


def _quotients(logs: np.ndarray) -> np.ndarray:
    """D_i / D_j for i >= j, and 0 above the diagonal and in rows where D_i is 0."""
    dead = np.isneginf(logs)
    finite = np.where(dead, 0.0, logs)
    below = np.tril(np.ones((logs.shape[-1],) * 2, bool)) & ~dead[..., :, None]
    differences = np.where(below, finite[..., :, None] - finite[..., None, :], -np.inf)
    return np.exp(np.minimum(differences, 700.0))


def _finished(upper: np.ndarray, logs: np.ndarray) -> np.ndarray:
    """The logarithms of the singular values of ``R D``, for a stack of them: one-sided Jacobi on its columns.

    Columns have length 1 and a logarithm of their own, and a rotation of two of them needs only the quotient of their
    lengths.
    """
    columns = np.swapaxes(upper, -1, -2).copy()  # columns[..., j, :] is column j
    norms = np.linalg.norm(columns, axis=-1)
    columns, logs = columns / np.where(norms > 0, norms, 1.0)[..., None], logs + np.log(norms)
    for _ in range(SWEEPS):
        worst = 0.0
        for pairs in _rounds(logs.shape[-1]):
            worst = max(worst, _rotate(columns, logs, pairs))
        if worst < CLOSE:
            break
    return -np.sort(-logs, axis=-1)


def _rounds(size: int) -> list[np.ndarray]:
    """All pairs of columns, in rounds in which each column is in one pair at most: arrays (2, pairs)."""
    places = list(range(size + size % 2))
    rounds = []
    for _ in range(len(places) - 1):
        half = len(places) // 2
        pairs = [pair for pair in zip(places[:half], reversed(places[half:]), strict=True) if max(pair) < size]
        if pairs:
            rounds.append(np.array(pairs).T)
        places = [places[0], places[-1], *places[1:-1]]
    return rounds


def _rotate(columns: np.ndarray, logs: np.ndarray, pairs: np.ndarray) -> float:
    """Make the columns of each pair orthogonal, in place; returns the largest cosine that there was."""
    swap = logs[..., pairs[0]] < logs[..., pairs[1]]
    long, short = np.where(swap, pairs[1], pairs[0]), np.where(swap, pairs[0], pairs[1])
    p, q = (np.take_along_axis(columns, index[..., None], axis=-2) for index in (long, short))
    log_p, log_q = (np.take_along_axis(logs, index, axis=-1) for index in (long, short))
    quotient = np.exp(np.where(np.isneginf(log_q), -np.inf, log_q - np.where(np.isneginf(log_p), 0.0, log_p)))
    cosine = np.sum(p * q, axis=-1)
    gap = 1.0 - quotient**2
    below = gap + np.sqrt(gap**2 + (2 * quotient * cosine) ** 2)
    slope = 2 * cosine / np.where(below > 0, below, 1.0)  # the tangent of the angle, over the quotient
    across = 1.0 / np.sqrt(1.0 + (quotient * slope) ** 2)
    for index, log, made in (
        (long, log_p, across[..., None] * (p + (slope * quotient**2)[..., None] * q)),
        (short, log_q, across[..., None] * (q - slope[..., None] * p)),
    ):
        norms = np.linalg.norm(made, axis=-1)
        np.put_along_axis(columns, index[..., None], made / np.where(norms > 0, norms, 1.0)[..., None], axis=-2)
        np.put_along_axis(logs, index, log + np.log(norms), axis=-1)
    return float(np.max(np.abs(cosine), initial=0.0))
