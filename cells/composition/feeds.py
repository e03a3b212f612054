"""What goes from an output back into a cell: the largest element, or a sample."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tapegrad.errors import OptionError, ShapeError

from ..layer import checked_size


def one_hot(numbers: Any, size: int, dtype: Any) -> Any:
    """Vectors of zeros with a one at the place that each number says: (...,) to (..., size)."""
    return np.where(np.arange(size) == np.expand_dims(numbers, -1), np.ones((), dtype), np.zeros((), dtype))


def greedy(y: Any) -> Any:
    """The largest element of each output as a one-hot vector: (B, n) to (B, n); no gradient goes through it."""
    return one_hot(np.argmax(y, axis=-1), y.shape[-1], y.dtype)


@dataclasses.dataclass(frozen=True)
class Sampled:
    """A class drawn from logits, for :class:`Feedback`: the largest of y / temperature + g, with Gumbel noise g.

    Parameters
    ----------
    size : int
        The number of classes.
    temperature : float
        Above 0; below 1 likely classes come more often.
    tokens : bool
        Whether the number of the class is fed back, for a cell that takes tokens, and not a one-hot vector.

    Raises
    ------
    OptionError
        When ``size`` or ``temperature`` is none.

    References
    ----------
    Gumbel 1954; Maddison, Tarlow & Minka 2014, "A* sampling", section 2, for the trick.
    """

    size: int
    temperature: float = 1.0
    tokens: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", checked_size("Sampled", "size", self.size))
        if isinstance(self.temperature, bool) or not isinstance(self.temperature, (int, float)):
            raise OptionError(f"Sampled: temperature={self.temperature!r}, expected a number above 0")
        if not 0 < self.temperature < float("inf"):
            raise OptionError(f"Sampled: temperature={self.temperature!r}, expected a number above 0")

    def noise(
        self, rng: np.random.Generator | None, steps: int, batch: int, dtype: Any = np.float32, training: bool = True
    ) -> np.ndarray:
        """Gumbel noise (steps, batch, size); without ``training`` zeros, so that the likeliest class is taken."""
        shape = steps, batch, self.size
        if not training:
            return np.zeros(shape, dtype)
        if not isinstance(rng, np.random.Generator):
            raise OptionError(f"Sampled.noise: rng={rng!r}, expected a Generator; write np.random.default_rng(seed)")
        return rng.gumbel(size=shape).astype(dtype)

    def __call__(self, y: Any, noise: Any) -> Any:
        if y.shape[-1] != self.size:
            raise ShapeError(
                f"{self!r}: the logits have shape {y.shape}, expected (B, {self.size}); write size={y.shape[-1]}"
            )
        chosen = np.argmax(y / self.temperature + noise, axis=-1)
        return chosen if self.tokens else one_hot(chosen, self.size, y.dtype)
