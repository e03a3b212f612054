"""The interpolated Witten-Bell model of order k over characters: a baseline to beat."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..errors import OptionError, ShapeError

__all__ = ["WittenBell"]


class WittenBell:
    r"""Interpolated Witten-Bell n-gram model.

    With c(h, w) the number of times that symbol w followed the context h in the training text, c(h) their sum over w
    and T(h) the number of different symbols that followed h,

    .. math:: p(w \mid h) = \frac{c(h, w) + T(h)\, p(w \mid h')}{c(h) + T(h)}

    where h' is h without its oldest symbol. The recursion ends below the empty context in the uniform
    distribution 1 / V. A context that was never seen leaves it all to the shorter one.

    Parameters
    ----------
    tokens : array, (N,), integers in [0, V)
        The training text.
    vocabulary_size : int
        V.
    order : int
        The length k of the longest context, at least 0.

    References
    ----------
    Witten and Bell, "The zero-frequency problem", IEEE Transactions on Information Theory 37, 1991 (method C);
    in this form Chen and Goodman, "An empirical study of smoothing techniques for language modeling", 1998,
    section 2.6.

    Examples
    --------
    After "a" came "b" twice, T = 1; the empty context saw a, b, a, b: p(b) = (2 + 2 / 2) / (4 + 2) = 1/2.

    >>> model = WittenBell(np.array([0, 1, 0, 1]), vocabulary_size=2, order=1)
    >>> float(model.probabilities(np.array([0]))[1])  # (2 + 1 * 1/2) / (2 + 1)
    0.8333333333333334
    """

    def __init__(self, tokens: np.ndarray, vocabulary_size: int, order: int):
        if order < 0:
            raise OptionError(f"WittenBell: order={order} is below 0; it is the number of characters of context")
        tokens = _checked(tokens, vocabulary_size)
        self.vocabulary_size, self.order = vocabulary_size, order
        self._levels: list[_Level] = []
        context = np.zeros(len(tokens), np.int64)
        keys = np.zeros(1, np.int64)
        for length in range(order + 1):
            if length:
                extended = _extend(context, tokens, length, vocabulary_size)
                keys = np.unique(extended[length:])
                context = _find(keys, extended)
            self._levels.append(_Level(keys, context[length:], tokens[length:], vocabulary_size))

    def bits(self, tokens: np.ndarray, history: np.ndarray | None = None) -> np.ndarray:
        """-log2 of the probability of each symbol, given what precedes it.

        Parameters
        ----------
        tokens : array, (N,), integers in [0, V)
        history : array, (M,), integers in [0, V), optional
            What stands before the first symbol, the end of the training text for instance.

        Returns
        -------
        array, (N,), float64
            Its mean is the model's loss in bits per character.
        """
        tokens = _checked(tokens, self.vocabulary_size)
        history = np.zeros(0, np.int64) if history is None else _checked(history, self.vocabulary_size)
        skip = min(len(history), self.order)
        stream = np.concatenate([history[len(history) - skip :], tokens])
        probability = np.full(len(stream), 1 / self.vocabulary_size)
        for level, context in zip(self._levels, self._contexts(stream), strict=True):
            probability = level.interpolate(context, stream, probability)
        return -np.log2(probability[skip:])

    def probabilities(self, context: np.ndarray) -> np.ndarray:
        """The distribution of the next symbol after ``context``, of which the last k symbols count; (V,) float64."""
        context = _checked(context, self.vocabulary_size)
        context = context[max(len(context) - self.order, 0) :]
        symbols = np.arange(self.vocabulary_size)
        probability = np.full(self.vocabulary_size, 1 / self.vocabulary_size)
        stream = np.append(context, 0)
        for level, numbers in zip(self._levels, self._contexts(stream), strict=True):
            probability = level.interpolate(np.full(self.vocabulary_size, numbers[-1]), symbols, probability)
        return probability

    def _contexts(self, stream: np.ndarray) -> Iterator[np.ndarray]:
        """For each context length, the number of the context before each position; -1 where it was never seen."""
        context = np.zeros(len(stream), np.int64)
        for length, level in enumerate(self._levels):
            if length:
                context = _find(level.keys, _extend(context, stream, length, self.vocabulary_size))
            yield context


class _Level:
    """The counts of all contexts of one length."""

    def __init__(self, keys: np.ndarray, context: np.ndarray, following: np.ndarray, vocabulary_size: int):
        self.keys, self._vocabulary_size = keys, vocabulary_size
        self._grams, self._counts = np.unique(context * vocabulary_size + following, return_counts=True)
        of_gram = self._grams // vocabulary_size
        self._total = np.bincount(of_gram, self._counts, len(keys))
        self._types = np.bincount(of_gram, minlength=len(keys))

    def interpolate(self, context: np.ndarray, symbols: np.ndarray, shorter: np.ndarray) -> np.ndarray:
        """p(symbol | context), given that of the shorter contexts."""
        if not len(self._grams):
            return shorter
        gram = _find(self._grams, np.where(context < 0, -1, context * self._vocabulary_size + symbols))
        count = np.where(gram < 0, 0, self._counts[gram])
        total, types = self._total[context], self._types[context]
        return np.where(context < 0, shorter, (count + types * shorter) / (total + types))


def _extend(context: np.ndarray, stream: np.ndarray, length: int, vocabulary_size: int) -> np.ndarray:
    """Codes of the contexts one symbol longer; -1 where the shorter one is unseen or the stream has not begun."""
    codes = np.full(len(stream), -1, np.int64)
    shorter = context[length:]
    codes[length:] = np.where(shorter < 0, -1, shorter * vocabulary_size + stream[: len(shorter)])
    return codes


def _find(keys: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The place of each code among the sorted keys; -1 where it is not among them."""
    if not len(keys):
        return np.full(len(codes), -1, np.int64)
    place = np.minimum(np.searchsorted(keys, codes), len(keys) - 1)
    return np.where(keys[place] == codes, place, -1)


def _checked(tokens: np.ndarray, vocabulary_size: int) -> np.ndarray:
    tokens = np.asarray(tokens)
    if tokens.ndim != 1 or not (np.issubdtype(tokens.dtype, np.integer) or tokens.size == 0):
        raise ShapeError(
            f"WittenBell: tokens of shape {tokens.shape} and dtype {tokens.dtype} came; expected one axis of integers"
        )
    if tokens.size and not (0 <= tokens.min() and tokens.max() < vocabulary_size):
        raise OptionError(f"WittenBell: tokens lie in [{tokens.min()}, {tokens.max()}], outside [0, {vocabulary_size})")
    return tokens.astype(np.int64)
