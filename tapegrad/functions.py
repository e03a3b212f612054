"""Functions of recurrent networks that NumPy lacks: gates, softmax and the losses, in stable forms.

All are compositions of NumPy functions: on arrays they compute, on Tensors they are traced. They keep the dtype of
their first argument, so that float32 stays float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import DtypeError, OptionError, ShapeError
from .primitives.elementwise import logistic, stop_gradient
from .tensor import Tensor

Axis = int | tuple[int, ...] | None

# ---- activations ----


def sigmoid(x: Any) -> Any:
    """The logistic function 1 / (1 + exp(-x)), of any shape; exact at both ends and without overflow.

    >>> float(sigmoid(0.0)), float(sigmoid(-1e4)), float(sigmoid(1e4))
    (0.5, 0.0, 1.0)
    """
    return logistic(x)


def relu(x: Any) -> Any:
    """The positive part max(x, 0), of any shape; at 0 the derivative is 0.

    >>> relu(np.array([-2.0, 3.0]))
    array([0., 3.])
    """
    return np.where(x <= 0, 0, x)  # NaN passes


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), of any shape; its derivative is the sigmoid.

    >>> float(softplus(-1e4)), float(softplus(1e4))
    (0.0, 10000.0)
    """
    return np.logaddexp(x, 0)


def softmax(x: Any, axis: Axis = -1) -> Any:
    """exp(x) / sum(exp(x)) along ``axis``; a logit of -inf gets the probability 0.

    Parameters
    ----------
    x : array, shape (..., K)
        Logits.
    axis : int, tuple of int, or None
        The axes over which the result sums to 1; None means all.

    Examples
    --------
    >>> softmax(np.array([0.0, 0.0, -np.inf]))
    array([0.5, 0.5, 0. ])
    """
    weights = np.exp(x - stop_gradient(np.max(x, axis=axis, keepdims=True)))
    return weights / np.sum(weights, axis=axis, keepdims=True)


def log_softmax(x: Any, axis: Axis = -1) -> Any:
    """log(softmax(x)) along ``axis``, without ever taking the logarithm of a rounded probability.

    Parameters
    ----------
    x : array, shape (..., K)
        Logits; one of -inf stays -inf.
    axis : int, tuple of int, or None

    Examples
    --------
    >>> log_softmax(np.array([1e4, 0.0]))
    array([     0., -10000.])
    """
    shifted = x - stop_gradient(np.max(x, axis=axis, keepdims=True))
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) over ``axis``, without overflow; all -inf gives -inf, one +inf gives +inf.

    Parameters
    ----------
    x : array, any shape
    axis : int, tuple of int, or None
        None sums over all axes.
    keepdims : bool
        Whether the axes summed over stay, with length 1.

    Examples
    --------
    >>> float(logsumexp(np.array([-np.inf, 1e4, 0.0])))
    10000.0
    """
    top = np.max(x, axis=axis, keepdims=True)
    # Where the maximum is infinite (or NaN) it is the answer, and x - top would be NaN.
    finite = np.isfinite(top)
    shift = stop_gradient(np.where(finite, top, 0))
    shifted = np.where(finite, x - shift, 0)
    total = shift + np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
    result = np.where(finite, total, top)
    return result if keepdims else np.squeeze(result, axis=axis)


# ---- losses ----


def softmax_cross_entropy(logits: Any, labels: Any, reduction: str = "mean", mask: Any = None) -> Any:
    """The negative log likelihood of labels under softmax(logits), in nats.

    Parameters
    ----------
    logits : array, shape (..., K), floating
        What goes into the softmax, not its result.
    labels : array, shape (...) of integers, or (..., K)
        The numbers of the right classes, 0 to K - 1; or, with the shape of ``logits``, one-hot rows or
        other probabilities that sum to 1.
    reduction : {"mean", "sum", "none"}
        What is done over the leading axes. The mean over no labels at all is 0.
    mask : array of bool, shape (...), optional
        Labels to count. Where it is False, logits and labels may hold anything.

    Returns
    -------
    scalar, or array of shape (...) for ``reduction="none"``; the dtype of ``logits``
        Goodfellow, Bengio & Courville 2016, equations 10.12 to 10.14.

    Raises
    ------
    ShapeError, DtypeError
        When labels or mask do not fit the logits.
    OptionError
        When a label is not below K, a row is not a distribution, or ``reduction`` is unknown.

    Examples
    --------
    >>> logits = np.array([[0.0, 0.0], [1e4, -1e4]], np.float32)
    >>> softmax_cross_entropy(logits, [0, 1], reduction="none")
    array([6.931472e-01, 2.000000e+04], dtype=float32)
    """
    name = "softmax_cross_entropy"
    logits, labels = _floating(name, "logits", logits), _array(labels)
    if logits.ndim == 0:
        raise ShapeError(f"{name}: logits is a scalar, expected shape (..., K) with one logit for each of K classes")
    mask = _checked_mask(name, mask, logits.shape[:-1], whole=True)
    if mask is not None:
        logits = np.where(mask[..., None], logits, 0)
    of_labels = _cross_entropy_of_distributions if labels.shape == logits.shape else _cross_entropy_of_classes
    losses = of_labels(name, logits, labels, mask)
    return _reduced(name, losses, reduction, mask)


def _cross_entropy_of_classes(name: str, logits: Any, labels: Any, mask: Any) -> Any:
    classes = logits.shape[-1]
    if labels.shape != logits.shape[:-1]:
        raise ShapeError(
            f"{name}: labels have shape {labels.shape} and logits {logits.shape}; expected integer labels of shape "
            f"{logits.shape[:-1]}, or one-hot labels of shape {logits.shape}"
        )
    if labels.dtype.kind not in "iu":
        raise DtypeError(
            f"{name}: labels of shape {labels.shape} are class numbers and have dtype {labels.dtype}, expected "
            f"integers; write labels.astype(np.int64), or give one-hot labels of shape {logits.shape}"
        )
    if mask is not None:
        labels = np.where(mask, labels, 0)
    if not isinstance(labels, Tensor) and labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise OptionError(
            f"{name}: labels run from {labels.min()} to {labels.max()}, expected 0 to {classes - 1} for logits of "
            f"shape {logits.shape}; give the last layer one output per class, and leave padding out with mask="
        )
    # Not log_softmax and then the one element of each row: that would write the whole array once more.
    shifted = np.reshape(logits - stop_gradient(np.max(logits, axis=-1, keepdims=True)), (labels.size, classes))
    of_label = shifted[np.arange(labels.size), np.reshape(labels, -1)]
    return np.reshape(np.log(np.sum(np.exp(shifted), axis=-1)) - of_label, labels.shape)


def _cross_entropy_of_distributions(name: str, logits: Any, labels: Any, mask: Any) -> Any:
    if labels.dtype.kind not in "biuf":
        raise DtypeError(f"{name}: labels have dtype {labels.dtype}, expected probabilities or booleans")
    if not isinstance(labels, Tensor):
        counted = labels if mask is None or isinstance(mask, Tensor) else labels[mask]
        sums = counted.sum(axis=-1, dtype=np.float64)
        wrong = ~(np.abs(sums - 1.0) <= 1e-3) | (counted < 0).any(axis=-1)
        if wrong.any():
            raise OptionError(
                f"{name}: a row of labels sums to {sums[wrong].flat[0]:.6g}, or is negative somewhere; expected "
                "one-hot rows, or probabilities that sum to 1. Leave padding out with mask=, and give class numbers "
                f"as integers of shape {labels.shape[:-1]}"
            )
    labels, log_p = labels.astype(logits.dtype), log_softmax(logits)
    if mask is not None:
        labels = np.where(mask[..., None], labels, 0)
    # A class that cannot occur (logit -inf) and does not occur costs nothing, where 0 * inf would be NaN.
    impossible = (labels == 0) & (log_p == -np.inf)
    return -np.sum(labels * np.where(impossible, 0, log_p), axis=-1)


def binary_cross_entropy(logits: Any, targets: Any, reduction: str = "mean", mask: Any = None) -> Any:
    """-t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)) for logits x and targets t, in nats.

    Parameters
    ----------
    logits : array, any shape, floating
        What goes into the sigmoid, not its result.
    targets : array, the shape of ``logits``
        Booleans, 0 and 1, or probabilities between them.
    reduction : {"mean", "sum", "none"}
        The mean is over all elements, and over none at all it is 0.
    mask : array of bool, optional
        Elements to count; its shape is that of ``logits`` or of its leading axes. Where it is False,
        logits and targets may hold anything.

    Returns
    -------
    scalar, or array of the shape of ``logits`` for ``reduction="none"``; the dtype of ``logits``

    Raises
    ------
    ShapeError, DtypeError, OptionError
        The last when a target lies outside [0, 1], or ``reduction`` is unknown.

    Examples
    --------
    >>> binary_cross_entropy(np.array([0.0, 1e4, 1e4]), np.array([1, 1, 0]), reduction="none")
    array([6.93147181e-01, 0.00000000e+00, 1.00000000e+04])
    """
    name = "binary_cross_entropy"
    logits, targets, mask = _paired(name, "logits", logits, targets, mask)
    if not isinstance(targets, Tensor) and targets.size and not (targets.min() >= 0 and targets.max() <= 1):
        raise OptionError(
            f"{name}: targets run from {targets.min():.6g} to {targets.max():.6g}, expected 0 to 1; "
            "turn targets of -1 and 1 into (targets + 1) / 2"
        )
    missed, false_alarm = softplus(-logits), softplus(logits)  # -log p and -log(1 - p)
    # Two terms, each exact for large logits of either sign; the usual x - t x + softplus(-x) cancels there.
    return _reduced(name, _weighted(targets, missed) + _weighted(1 - targets, false_alarm), reduction, mask)


def _weighted(weight: Any, cost: Any) -> Any:
    """weight * cost, and 0 for an infinite cost (of an infinite logit) with weight 0."""
    return weight * np.where((weight == 0) & (cost == np.inf), 0, cost)


def mse(predictions: Any, targets: Any, reduction: str = "mean", mask: Any = None) -> Any:
    """The squared error (predictions - targets)^2.

    Parameters
    ----------
    predictions : array, any shape, floating
    targets : array, the shape of ``predictions``
        Not broadcast: (T, B) against (T, B, 1) is a mistake far more often than a wish.
    reduction : {"mean", "sum", "none"}
        The mean is over all elements, and over none at all it is 0.
    mask : array of bool, optional
        Elements to count; its shape is that of ``predictions`` or of its leading axes.

    Returns
    -------
    scalar, or array of the shape of ``predictions`` for ``reduction="none"``; the dtype of ``predictions``

    Raises
    ------
    ShapeError, DtypeError, OptionError
        The last when ``reduction`` is unknown.

    Examples
    --------
    >>> float(mse(np.array([1.0, 2.0]), np.array([0.0, 0.0])))
    2.5
    """
    predictions, targets, mask = _paired("mse", "predictions", predictions, targets, mask)
    return _reduced("mse", (predictions - targets) ** 2, reduction, mask)


# ---- what the losses share ----


def _array(value: Any) -> Any:
    return value if isinstance(value, Tensor) else np.asarray(value)


def _floating(name: str, argument: str, value: Any) -> Any:
    value = _array(value)
    if value.dtype.kind != "f":
        raise DtypeError(
            f"{name}: {argument} have dtype {value.dtype}, expected floating point; write {argument}.astype(np.float32)"
        )
    return value


def _paired(name: str, argument: str, predictions: Any, targets: Any, mask: Any) -> tuple[Any, Any, Any]:
    """Predictions, targets in their dtype, and a mask of their shape; what the mask hides is 0 in both."""
    predictions, targets = _floating(name, argument, predictions), _array(targets)
    if targets.shape != predictions.shape:
        raise ShapeError(
            f"{name}: targets have shape {targets.shape} and {argument} {predictions.shape}, expected the same; "
            f"add or drop an axis (targets[..., None], {argument}[..., 0]) or broadcast with np.broadcast_to"
        )
    if targets.dtype.kind not in "biuf":
        raise DtypeError(f"{name}: targets have dtype {targets.dtype}, expected real numbers or booleans")
    targets = targets.astype(predictions.dtype)
    mask = _checked_mask(name, mask, predictions.shape)
    if mask is not None:
        predictions, targets = np.where(mask, predictions, 0), np.where(mask, targets, 0)
    return predictions, targets, mask


def _checked_mask(name: str, mask: Any, shape: tuple[int, ...], whole: bool = False) -> Any:
    """The mask broadcast over the trailing axes that it lacks; with ``whole`` it may lack none."""
    if mask is None:
        return None
    mask = _array(mask)
    if mask.dtype != bool:
        raise DtypeError(f"{name}: mask has dtype {mask.dtype}, expected bool; write mask.astype(bool)")
    if mask.shape != (shape if whole else shape[: mask.ndim]):
        raise ShapeError(
            f"{name}: mask has shape {mask.shape}, expected {shape}{'' if whole else ' or its leading axes'}; "
            "from lengths it is np.arange(T)[:, None] < lengths"
        )
    return np.broadcast_to(np.reshape(mask, mask.shape + (1,) * (len(shape) - mask.ndim)), shape)


def _reduced(name: str, losses: Any, reduction: str, mask: Any) -> Any:
    if reduction not in ("mean", "sum", "none"):
        raise OptionError(f"{name}: reduction is {reduction!r}, expected 'mean', 'sum' or 'none'")
    if mask is not None:
        losses = np.where(mask, losses, 0)
    if reduction == "none":
        return losses
    total = np.sum(losses)
    if reduction == "sum":
        return total
    count = losses.size if mask is None else np.sum(mask)
    return total / np.maximum(count, 1).astype(total.dtype)
