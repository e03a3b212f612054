"""Gradient clipping, by value and by global norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import pytree
from ..errors import NonFiniteError, OptionError

__all__ = ["clip_by_global_norm", "clip_by_value", "global_norm", "non_finite"]


def clip_by_value(grads: Any, limit: float) -> Any:
    """Bring every element of every gradient into [-limit, limit].

    Parameters
    ----------
    grads : pytree of arrays
    limit : float
        Positive.

    Returns
    -------
    pytree
        New arrays of the same shapes and dtypes. An infinite element becomes ``limit`` with its sign.

    Raises
    ------
    NonFiniteError
        An element is NaN, which no clipping repairs; the message names the gradient.
    OptionError
        ``limit`` is not positive.

    References
    ----------
    Graves, "Generating sequences with recurrent neural networks", 2013, arXiv:1308.0850, section 2.1
    (there the derivatives with respect to the inputs of the cells are clipped; here those of the parameters).
    """
    _check_limit("clip_by_value", limit)
    clipped = pytree.map(lambda g: np.clip(g, -limit, limit), grads)
    _raise_non_finite("clip_by_value", clipped)
    return clipped


def clip_by_global_norm(grads: Any, limit: float) -> tuple[Any, float]:
    r"""Scale all gradients together so that their joint Euclidean norm is at most ``limit``.

    .. math:: g_i \leftarrow g_i \min\left(1, \frac{\text{limit}}{\lVert g \rVert}\right),
              \qquad \lVert g \rVert^2 = \sum_i \lVert g_i \rVert^2

    Parameters
    ----------
    grads : pytree of arrays
    limit : float
        Positive.

    Returns
    -------
    grads : pytree
        In the dtypes that came; the arrays that came, where nothing had to be scaled.
    norm : float
        The norm before clipping.

    Raises
    ------
    NonFiniteError
        A gradient has a NaN or an infinite element: scaling would spread it over all parameters.
        The message names the gradient.
    OptionError
        ``limit`` is not positive.

    Notes
    -----
    Squares are summed in float64 and relative to the largest element, so that neither float32 squares nor those
    of enormous float64 gradients overflow.

    References
    ----------
    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", ICML 2013,
    algorithm 1.
    """
    _check_limit("clip_by_global_norm", limit)
    peak = _peak(grads)
    if not np.isfinite(peak):
        _raise_non_finite("clip_by_global_norm", grads)
    relative = _relative_norm(grads, peak)
    norm = peak * relative
    if norm <= limit:
        return grads, norm
    # In float64 and in two factors: limit / norm alone can underflow.
    factor = limit / relative
    return pytree.map(lambda g: (np.asarray(g, np.float64) / peak * factor).astype(np.result_type(g)), grads), norm


def global_norm(grads: Any) -> float:
    """The joint Euclidean norm of the leaves; NaN or infinite where an element is.

    >>> global_norm({"a": np.array([3.0]), "b": np.array([[4.0]])})
    5.0
    """
    peak = _peak(grads)
    return peak * _relative_norm(grads, peak) if np.isfinite(peak) else peak


def non_finite(tree: Any) -> list[str]:
    """Name the leaves that hold NaN or infinite elements, and say how many.

    >>> non_finite({"W": np.array([1.0, np.nan]), "b": np.zeros(3)})
    ['W (1 of 2 elements)']
    """
    found = []
    for path, leaf in zip(pytree.paths(tree), pytree.leaves(tree), strict=True):
        leaf = np.asarray(leaf)
        if np.issubdtype(leaf.dtype, np.inexact) and not np.isfinite(leaf).all():
            found.append(f"{path} ({np.count_nonzero(~np.isfinite(leaf))} of {leaf.size} elements)")
    return found


def _peak(grads: Any) -> float:
    """The largest absolute element; NaN if there is one."""
    peaks = [float(np.max(np.abs(g))) for g in pytree.leaves(grads) if np.size(g)]
    return float(np.max(peaks)) if peaks else 0.0


def _relative_norm(grads: Any, peak: float) -> float:
    if peak == 0.0:
        return 0.0
    squares = [np.sum(np.square(np.asarray(g, np.float64) / peak)) for g in pytree.leaves(grads)]
    return float(np.sqrt(np.sum(squares)))


def _check_limit(name: str, limit: float) -> None:
    if not limit > 0:
        raise OptionError(f"{name}: limit={limit!r} must be positive")


def _raise_non_finite(name: str, grads: Any) -> None:
    found = non_finite(grads)
    if found:
        raise NonFiniteError(
            f"{name}: NaN or infinite elements in the gradient of {', '.join(found)}; "
            "lower the learning rate, or look for a division by zero or the logarithm of zero in the loss"
        )
