"""What goes from an output back into a cell: the largest element, or a sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad import pytree
from tapegrad.errors import OptionError, ShapeError, StructureError
from tapegrad.primitives.registry import shape_of

from ..layer import Layer, checked_size


def one_hot(numbers: Any, size: int, dtype: Any) -> Any:
    """Vectors of zeros with a one at the place that each number says: (...,) to (..., size)."""
    return np.where(np.arange(size) == np.expand_dims(numbers, -1), np.ones((), dtype), np.zeros((), dtype))


def greedy(y: Any) -> Any:
    """The largest element of each output as a one-hot vector: (B, n) to (B, n); no gradient goes through it."""
    return one_hot(np.argmax(y, axis=-1), y.shape[-1], y.dtype)


def check_fed(layer: Layer, new: Any, old: Any, what: str, leading: tuple[int, ...]) -> None:
    """Raises when something else comes back than the cell takes."""
    shapes = [leading + tuple(shape_of(leaf))[len(leading) :] for leaf in pytree.leaves(old)]
    if pytree.structure(new) != pytree.structure(old):
        raise StructureError(f"{layer!r}: {what} has another structure than the input; let feed= return one like it")
    for leaf, shape in zip(pytree.leaves(new), shapes, strict=True):
        if shape_of(leaf) != shape:
            raise ShapeError(
                f"{layer!r}: {what} has shape {shape_of(leaf)}, expected {shape}, which the cell takes; let feed= "
                "make such arrays of outputs"
            )


def lengths_until(fed: Any, stop: Callable[[Any], Any]) -> np.ndarray:
    """How many steps each row has, up to the first at which it stops and that one too.

    Parameters
    ----------
    fed : pytree of arrays (T, B, ...)
        What is fed back, a teacher's tokens, say.
    stop : callable
        As for :class:`Feedback`: from what is fed back after one step (B, ...) to (B,) of bool.

    Returns
    -------
    array (B,) of int
        T where a row does not stop.

    Raises
    ------
    ShapeError
        When ``stop`` gives something else.

    Examples
    --------
    >>> tokens = np.array([[3, 0], [2, 1], [0, 2], [0, 3]])
    >>> lengths_until(tokens, lambda token: token == 0)
    array([3, 1])
    """
    steps, rows = shape_of(pytree.leaves(fed)[0])[:2]
    running, lengths = np.ones(rows, bool), np.zeros(rows, int)
    for t in range(steps):
        lengths += running
        running &= ~ends(stop, pytree.map(lambda leaf, t=t: np.asarray(leaf[t]), fed))
    return lengths


def ends(stop: Callable[[Any], Any], fed: Any) -> Any:
    """Which rows end with this step, once it fits."""
    found, rows = stop(fed), shape_of(pytree.leaves(fed)[0])[:1]
    if getattr(found, "shape", None) != rows or found.dtype != bool:
        kind = getattr(found, "dtype", type(found).__name__)
        came = f"{kind} of shape {getattr(found, 'shape', ())}"
        raise ShapeError(f"stop= gave {came}, expected booleans {rows}, one for each row; compare with ==, say")
    return found


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
