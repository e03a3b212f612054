"""Drawing from a categorical distribution given by logits: greedy, temperature, top-k, nucleus."""

from __future__ import annotations

import math

import numpy as np

from ..errors import NonFiniteError, OptionError, ShapeError

__all__ = ["probabilities", "sample"]


def probabilities(
    logits: np.ndarray, *, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> np.ndarray:
    r"""The distribution that :func:`sample` draws from.

    The three filters act in this order: temperature, :math:`\mathrm{softmax}(z / T)`; top-k, which keeps the k
    most probable; nucleus (top-p), which keeps the smallest prefix of the sorted probabilities whose sum
    reaches p, the element that crosses p included. What is left is normalised after each. Among equals the lower
    index comes first, as in ``argmax``.

    Parameters
    ----------
    logits : array, (..., V)
        Minus infinity marks what must never be drawn.
    temperature : float
        At least 0; 0 is greedy decoding, infinity makes all allowed elements equally probable.
    top_k : int, optional
        At least 1. More than V means V.
    top_p : float, optional
        In (0, 1].

    Returns
    -------
    array, (..., V), float64
        Each row sums to one.

    Raises
    ------
    OptionError
        An option is outside its range.
    NonFiniteError
        A logit is NaN or plus infinity, or a row allows nothing.
    ShapeError
        There is no last axis, or it is empty.

    References
    ----------
    Top-k: Fan, Lewis and Dauphin, "Hierarchical neural story generation", ACL 2018. Nucleus: Holtzman, Buys, Du,
    Forbes and Choi, "The curious case of neural text degeneration", ICLR 2020, section 3.1.
    """
    check_options(temperature=temperature, top_k=top_k, top_p=top_p)
    scores = np.asarray(logits, np.float64)
    if scores.ndim == 0 or scores.shape[-1] == 0:
        raise ShapeError(f"probabilities: logits have shape {scores.shape}; expected (..., V) with V at least 1")
    best = scores.max(axis=-1, keepdims=True)
    if not np.isfinite(best).all():
        raise NonFiniteError("probabilities: the logits of a row hold NaN or infinity, or are all minus infinity")
    if temperature == 0:
        greedy = np.zeros_like(scores)
        np.put_along_axis(greedy, scores.argmax(axis=-1, keepdims=True), 1.0, axis=-1)
        return greedy
    allowed = scores > -np.inf
    # Exponents are at most zero; for a tiny temperature they go to minus infinity, which exp takes to 0.
    with np.errstate(over="ignore"):
        weights = np.exp(np.where(allowed, scores - best, 0.0) / temperature) * allowed
    probs = weights / weights.sum(axis=-1, keepdims=True)
    order = np.argsort(-probs, axis=-1, kind="stable")
    ranked = np.take_along_axis(probs, order, axis=-1)
    if top_k is not None:
        ranked[..., top_k:] = 0.0
        ranked /= ranked.sum(axis=-1, keepdims=True)
    if top_p is not None and top_p < 1:
        reached = np.cumsum(ranked, axis=-1)[..., :-1] >= top_p
        ranked[..., 1:][reached] = 0.0
        ranked /= ranked.sum(axis=-1, keepdims=True)
    np.put_along_axis(probs, order, ranked, axis=-1)
    return probs


def sample(
    logits: np.ndarray,
    rng: np.random.Generator,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> np.ndarray:
    """Draw one index for each row of logits.

    Parameters
    ----------
    logits : array, (..., V)
    rng : numpy.random.Generator
        One uniform number is taken for each row, with temperature 0 too, so that the stream of random numbers
        does not depend on the options.
    temperature, top_k, top_p
        See :func:`probabilities`, which also says what is raised.

    Returns
    -------
    array, (...), int64
    """
    probs = probabilities(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    cumulative = np.cumsum(probs, axis=-1)
    threshold = rng.random(probs.shape[:-1])[..., None] * cumulative[..., -1:]
    drawn = (cumulative <= threshold).sum(axis=-1)
    # Rounding can bring the threshold up to the last cumulative value: then it is the last possible index.
    last = probs.shape[-1] - 1 - (probs[..., ::-1] > 0).argmax(axis=-1)
    return np.minimum(drawn, last)


def check_options(*, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None) -> None:
    """Raise :class:`~tapegrad.errors.OptionError` where an option of :func:`sample` is outside its range."""
    if math.isnan(temperature) or temperature < 0:
        raise OptionError(f"temperature={temperature!r} is outside [0, inf]; 0 is greedy, 1 leaves the model as it is")
    if top_k is not None and top_k < 1:
        raise OptionError(f"top_k={top_k!r} is below 1; 1 is greedy, leave it out to keep every element")
    if top_p is not None and not 0 < top_p <= 1:
        raise OptionError(f"top_p={top_p!r} is outside (0, 1]; 1 keeps every element")
