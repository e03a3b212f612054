"""How products of step Jacobians stretch: singular values, Lyapunov exponents, spectral radius, fixed points."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..errors import OptionError, ShapeError
from .problem import floating_array
from .walking import Walk


def spectral_radius(matrix: Any) -> Any:
    """The largest modulus of the eigenvalues of a matrix, or of each of a stack of them.

    For the linear network ``h_t = W h_{t-1} + ...`` gradients vanish if it is below 1, and can explode only if it
    exceeds 1. For another cell give the Jacobian at a fixed point; see :func:`fixed_point`.

    Parameters
    ----------
    matrix : array (..., S, S)
        ``params["W_hh"]``, say, or what :func:`step_jacobians` returns.

    Returns
    -------
    float, or array (...)

    Raises
    ------
    ShapeError
        When the last two axes differ in length.

    References
    ----------
    Pascanu, Mikolov & Bengio 2013, section 2.1.

    Examples
    --------
    >>> round(spectral_radius(np.array([[0.0, -2.0], [2.0, 0.0]])), 6)
    np.float64(2.0)
    """
    array = floating_array("spectral_radius", "the matrix", matrix)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2]:
        raise ShapeError(f"spectral_radius: the matrix has the shape {array.shape}, expected (..., S, S)")
    return np.max(np.abs(np.linalg.eigvals(array.astype(float))), axis=-1, initial=0.0)


def lyapunov_spectrum(
    cell: Any,
    params: Any = None,
    xs: Any = None,
    state: Any = None,
    *,
    count: int | None = None,
    warmup: int = 0,
    running: bool = False,
    length: int | None = None,
    rows: bool = True,
    backend: str = "auto",
    progress: bool | None = None,
) -> np.ndarray:
    """The Lyapunov exponents along a trajectory: the mean rates, in nats a step, at which directions grow.

    An orthonormal frame is moved by the Jacobian of every step and made orthonormal again by QR; the exponents are the
    means of log|r_ii|. Their sum is the mean of log|det J|, and for a linear cell they are log|eig W|.

    Parameters
    ----------
    cell, params, xs, state, length, rows, backend, progress
        As for :func:`step_jacobians`; or ``cell`` is an array of Jacobians (T, B, S, S) that it returned, and the
        rest is left out.
    count : int, optional
        How many exponents, from the largest; all S by default.
    warmup : int
        How many first steps do not count: until the state is on its attractor and the frame has turned.
    running : bool
        Return the means up to each step.

    Returns
    -------
    array (B, count), float64
        From the largest, for each row; ``.mean(axis=0)`` joins the rows. With ``running`` (T - warmup, B, count), in
        the order of the frame; the last of them are the exponents.

    Raises
    ------
    OptionError
        When ``count`` or ``warmup`` is out of range; and as :func:`step_jacobians`.

    Notes
    -----
    Minus infinity stands where a Jacobian is singular. The frame starts as the unit vectors for all exponents, and at
    random, always the same, for a part of them. Its error falls as 1/T; ``warmup`` takes most of it away.

    References
    ----------
    Benettin, Galgani, Giorgilli & Strelcyn 1980, "Lyapunov characteristic exponents for smooth dynamical systems"; for
    recurrent networks: Engelken, Wolf & Abbott 2023, "Lyapunov spectra of chaotic recurrent neural networks".

    Examples
    --------
    >>> W = np.diag([2.0, 0.5])
    >>> lyapunov_spectrum(lambda p, s, x: (s @ p, s), W, None, np.ones((1, 2)), length=10).round(6)
    array([[ 0.693147, -0.693147]])
    """
    walk = Walk(
        "lyapunov_spectrum", cell, params, xs, state, length=length, rows=rows, backend=backend, progress=progress
    )
    count = walk.size if count is None else _whole("count", count, 1, walk.size)
    warmup = _whole("warmup", warmup, 0, max(walk.steps - 1, 0))
    frame: np.ndarray = np.eye(walk.size)
    if count < walk.size:
        frame = np.linalg.qr(np.random.default_rng(0).standard_normal((walk.size, count)))[0]
    frame = np.broadcast_to(frame, (walk.rows, walk.size, count))
    logs = np.empty((walk.steps, walk.rows, count))
    done = 0
    with np.errstate(divide="ignore"):
        for chunk in walk:
            for jacobian in chunk.astype(float, copy=False):
                frame, upper = np.linalg.qr(jacobian @ frame)
                logs[done] = np.log(np.abs(np.diagonal(upper, axis1=-2, axis2=-1)))
                done += 1
    counted = logs[warmup:]
    if running:
        return np.cumsum(counted, axis=0) / np.arange(1, len(counted) + 1)[:, None, None]
    if not len(counted):
        raise ShapeError("lyapunov_spectrum: there is no step to take a mean over; give sequences of at least one step")
    return -np.sort(-counted.mean(axis=0), axis=-1)


def _whole(option: str, value: Any, least: int, most: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if not least <= number <= most:
        raise OptionError(f"lyapunov_spectrum: {option}={value!r}; give a whole number from {least} to {most}")
    return number
