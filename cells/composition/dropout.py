"""Dropout between layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.errors import OptionError

from ..base import Cell
from ..registry import register
from ..specs import Input


@register(kind="layer", variants={"": {}, "one mask": {"rate": 0.25, "per_sequence": True}})
class Dropout(Cell):
    """Elements of the input are set to zero at random, and the others scaled so that the mean stays.

    ::

        y_t = m_t * x_t,    m_t = b_t / (1 - rate),    b_t = 1 with probability 1 - rate, else 0

    The masks are noise, and come in with xs: nothing is drawn in a step.

    Parameters
    ----------
    input_size : int
    rate : float
        The probability with which an element is dropped, from 0 to below 1.
    per_sequence : bool
        Whether one mask serves all steps of a sequence, as in Gal & Ghahramani 2016.

    Raises
    ------
    OptionError
        When ``rate`` is no probability below 1.

    Notes
    -----
    It has no parameters and no state. Between layers it leaves the recurrent connections alone, as in Zaremba,
    Sutskever & Vinyals 2014; it stands in a :class:`Stacked` or a :class:`Sequential`, whose ``noise`` draws for all
    layers.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014, "Dropout"; between recurrent layers: Zaremba,
    Sutskever & Vinyals 2014, "Recurrent neural network regularization", section 3.2.

    Examples
    --------
    >>> from tapegrad.cells import LSTM, Sequential
    >>> model = Sequential((LSTM(3, 4), Dropout(4, rate=0.2), LSTM(4, 4)))
    >>> rng = np.random.default_rng(0)
    >>> params, xs = model.init(rng), np.ones((7, 2, 3), np.float32)
    >>> state, ys = model(params, (xs, model.noise(rng, 7, 2)))
    >>> state, ys = model(params, (xs, model.noise(rng, 7, 2, training=False)))
    """

    source = "Zaremba, Sutskever & Vinyals 2014, section 3.2; Srivastava et al. 2014"

    input_size: int
    rate: float = 0.5
    per_sequence: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.rate, bool) or not isinstance(self.rate, (int, float)) or not 0 <= self.rate < 1:
            raise OptionError(f"Dropout: rate={self.rate!r}, expected the probability of a zero, from 0 to below 1")

    @property
    def output_size(self) -> int:
        return self.input_size

    def inputs(self) -> tuple[Input, Input]:
        return Input((self.input_size,)), Input((self.input_size,))

    def noise(
        self, rng: np.random.Generator, steps: int, batch: int, dtype: Any = np.float32, training: bool = True
    ) -> np.ndarray:
        """The masks of a call, (steps, batch, input_size); without ``training`` their mean, 1."""
        shape = steps, batch, self.input_size
        if not training:
            return np.broadcast_to(np.ones((), dtype), shape)
        drawn = rng.random((1, *shape[1:]) if self.per_sequence else shape)
        return np.broadcast_to(((drawn >= self.rate) / (1 - self.rate)).astype(dtype), shape)

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        x, mask = x
        return state, x * mask
