"""Masks, drawn for whole sequences.

A cell with noise takes ``xs = (x, noise)``, and ``cell.noise(rng, steps, batch)`` draws the noise: a pytree of arrays
(steps, batch, ...). ``training=False`` gives in its place what makes the step its expected value, to evaluate with.
"""

from typing import Any

import numpy as np

from tapegrad.errors import OptionError

from ..base import Cell
from ..layer import checked_size, floating_dtype
from ..specs import Input


def checked_rate(name: str, option: str, value: Any, certain: bool = False) -> float:
    """A probability as a Python number; it may be 1 where ``certain``."""
    number = isinstance(value, (int, float, np.floating)) and not isinstance(value, bool)
    if not number or not (0 <= value < 1 or (certain and value == 1)):
        most = "at most 1" if certain else "below 1"
        raise OptionError(f"{name}: {option}={value!r}, expected a probability of at least 0 and {most}")
    return float(value)


def checked_call(cell: Cell, rng: Any, steps: Any, batch: Any, dtype: Any, training: bool) -> tuple[int, int, np.dtype]:
    """The numbers of steps and rows, and the dtype, of a call of ``noise``.

    Raises
    ------
    OptionError, DtypeError
        When they are none, or ``rng`` is no Generator where numbers are drawn.
    """
    name = f"{type(cell).__name__}.noise"
    if training and not isinstance(rng, np.random.Generator):
        raise OptionError(f"{name}: rng={rng!r}, expected a Generator; write np.random.default_rng(seed)")
    steps, batch = checked_size(name, "steps", steps, least=0), checked_size(name, "batch", batch, least=0)
    return steps, batch, floating_dtype(name, dtype)


def dropped(rng: Any, rate: float, shape: tuple[int, ...], dtype: np.dtype, training: bool, shared: bool) -> np.ndarray:
    """Masks (T, B, ...) of 0, with probability ``rate``, and 1 / (1 - rate): inverted dropout; else of 1.

    ``shared`` masks are the same at all steps: a view of one, which cannot be written to.
    """
    drawn = shape[1:] if shared else shape
    if not training or not rate:
        made = np.ones(drawn, dtype)
    else:
        made = (rng.random(drawn) >= rate).astype(dtype) / dtype.type(1.0 - rate)
    return np.broadcast_to(made, shape)


class Noisy(Cell):
    """Base of the wrappers: a cell whose step is that of ``cell`` with something done to its input or state.

    Parameters and state are those of ``cell``. A wrapped cell may have noise itself: the noise is then a pair, the
    wrapper's own first.
    """

    cell: Cell

    def __post_init__(self) -> None:
        if not isinstance(self.cell, Cell):
            raise OptionError(
                f"{type(self).__name__}: cell={self.cell!r}, expected a cell such as LSTM(8, 32), made with its sizes"
            )
        super().__post_init__()

    @property
    def output_size(self) -> int | None:
        return getattr(self.cell, "output_size", None)

    def parameters(self) -> Any:
        return self.cell.parameters()

    def state(self) -> Any:
        return self.cell.state()

    def own_noise(self) -> tuple[Input, ...]:
        """What the wrapper itself is given at each step."""
        raise NotImplementedError

    def inputs(self) -> Any:
        declared, own = self.cell.inputs(), self.own_noise()
        if not self.cell.noisy:
            return declared, own
        x, inner = declared
        return x, (own, inner)

    def noise(
        self, rng: np.random.Generator | None, steps: int, batch: int, dtype: Any = np.float32, training: bool = True
    ) -> Any:
        """The noise for sequences: ``cell(params, (xs, cell.noise(rng, T, B)))``.

        Parameters
        ----------
        rng : numpy.random.Generator
            May be None where nothing is drawn.
        steps, batch : int
        dtype : dtype
            That of the parameters.
        training : bool
            False for what to evaluate with.

        Returns
        -------
        pytree of arrays (steps, batch, ...)

        Raises
        ------
        OptionError, DtypeError
            When an argument is none of these.
        """
        steps, batch, dtype = checked_call(self, rng, steps, batch, dtype, training)
        own = self.draw(rng, (steps, batch), dtype, training)
        if not self.cell.noisy:
            return own
        return own, self.cell.noise(rng, steps, batch, dtype, training)  # type: ignore[attr-defined]

    def draw(self, rng: Any, axes: tuple[int, int], dtype: np.dtype, training: bool) -> tuple[np.ndarray, ...]:
        """The wrapper's own noise, as ``own_noise()`` declares it."""
        raise NotImplementedError

    def parted(self, x: Any) -> tuple[Any, Any, Any]:
        """The input of the wrapped cell without noise, the wrapper's own noise, and a function that joins the rest."""
        x, noise = x
        if not self.cell.noisy:
            return x, noise, lambda given: given
        own, inner = noise
        return x, own, lambda given: (given, inner)
