"""Recurrent dropout without memory loss: only what is written anew is dropped."""

from typing import Any

import numpy as np

from tapegrad.functions import sigmoid

from ..gated import GRU
from ..lstm import LSTM
from ..registry import register
from ..specs import Input
from .drawing import checked_call, checked_rate, dropped


class _Dropping:
    """What the two cells share: the rate, and a mask for the candidate."""

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[misc]
        object.__setattr__(self, "rate", checked_rate(type(self).__name__, "rate", self.rate))  # type: ignore[has-type]

    def inputs(self) -> tuple[Input, Input]:
        return Input((self.input_size,)), Input((self.hidden_size,))  # type: ignore[attr-defined]

    def noise(
        self, rng: np.random.Generator | None, steps: int, batch: int, dtype: Any = np.float32, training: bool = True
    ) -> np.ndarray:
        """The masks for sequences: ``cell(params, (xs, cell.noise(rng, T, B)))``.

        Parameters
        ----------
        rng : numpy.random.Generator
            May be None where nothing is drawn.
        steps, batch : int
        dtype : dtype
            That of the parameters.
        training : bool
            False for what to evaluate with: 1.

        Returns
        -------
        array (steps, batch, hidden_size)
            0 with probability ``rate``, else 1 / (1 - rate).

        Raises
        ------
        OptionError, DtypeError
            When an argument is none of these.
        """
        steps, batch, dtype = checked_call(self, rng, steps, batch, dtype, training)  # type: ignore[arg-type]
        shape = steps, batch, self.hidden_size  # type: ignore[attr-defined]
        return dropped(rng, self.rate, shape, dtype, training, self.per_sequence)  # type: ignore[arg-type, attr-defined]


@register()
class RecurrentDropoutLSTM(_Dropping, LSTM):
    """Long short-term memory with dropout on the candidate alone, so that the memory is never lost to it.

    ::

        i_t = sigmoid(x_t W_xi + h_{t-1} W_hi + b_i)      input gate
        f_t = sigmoid(x_t W_xf + h_{t-1} W_hf + b_f)      forget gate
        g_t = tanh(x_t W_xg + h_{t-1} W_hg + b_g)         candidate
        o_t = sigmoid(x_t W_xo + h_{t-1} W_ho + b_o)      output gate
        c_t = f_t * c_{t-1} + i_t * (d_t * g_t)           d is 0 with probability rate, else 1 / (1 - rate)
        h_t = o_t * tanh(c_t)

    Parameters
    ----------
    input_size, hidden_size : int
    forget_bias : float
        What b_f starts from.
    rate : float
        The probability to drop an element of the candidate.
    per_sequence : bool
        Whether a sequence has one mask for all its steps; the paper has both.

    Notes
    -----
    Input: ``(x, noise)``, where ``noise = cell.noise(rng, steps, batch)``; the masks are scaled when they are drawn
    (inverted dropout), and 1 to evaluate with. Parameters, state and output are those of :class:`LSTM`.

    References
    ----------
    Semeniuta, Severyn & Barth 2016, "Recurrent dropout without memory loss", equations 11 and 12.
    """

    source = "Semeniuta, Severyn & Barth 2016"

    rate: float = 0.25
    per_sequence: bool = False

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        (h, c), (x, d) = state, x
        i = sigmoid(x @ params["W_xi"] + h @ params["W_hi"] + params["b_i"])
        f = sigmoid(x @ params["W_xf"] + h @ params["W_hf"] + params["b_f"])
        g = np.tanh(x @ params["W_xg"] + h @ params["W_hg"] + params["b_g"])
        o = sigmoid(x @ params["W_xo"] + h @ params["W_ho"] + params["b_o"])
        c = f * c + i * (d * g)
        h = o * np.tanh(c)
        return (h, c), h


@register()
class RecurrentDropoutGRU(_Dropping, GRU):
    """The gated recurrent unit with dropout on the candidate alone.

    ::

        r_t = sigmoid(x_t W_xr + h_{t-1} W_hr + b_r)               reset gate
        z_t = sigmoid(x_t W_xz + h_{t-1} W_hz + b_z)               update gate
        n_t = tanh(x_t W_xn + (r_t * h_{t-1}) W_hn + b_n)          candidate, reset before
        n_t = tanh(x_t W_xn + b_n + r_t * (h_{t-1} W_hn + b_hn))   candidate, reset after
        h_t = (1 - z_t) * (d_t * n_t) + z_t * h_{t-1}              d is 0 with probability rate, else 1 / (1 - rate)

    Parameters
    ----------
    input_size, hidden_size : int
    reset_after : bool
        As for :class:`GRU`.
    rate : float
        The probability to drop an element of the candidate.
    per_sequence : bool
        Whether a sequence has one mask for all its steps; the paper has both.

    Notes
    -----
    Input: ``(x, noise)``, where ``noise = cell.noise(rng, steps, batch)``; the masks are scaled when they are drawn
    (inverted dropout), and 1 to evaluate with. Parameters, state and output are those of :class:`GRU`.

    References
    ----------
    Semeniuta, Severyn & Barth 2016, "Recurrent dropout without memory loss", equation 15.
    """

    source = "Semeniuta, Severyn & Barth 2016"

    rate: float = 0.25
    per_sequence: bool = False

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h, (x, d) = state, x
        r = sigmoid(x @ params["W_xr"] + h @ params["W_hr"] + params["b_r"])
        z = sigmoid(x @ params["W_xz"] + h @ params["W_hz"] + params["b_z"])
        if self.reset_after:
            n = np.tanh(x @ params["W_xn"] + params["b_n"] + r * (h @ params["W_hn"] + params["b_hn"]))
        else:
            n = np.tanh(x @ params["W_xn"] + (r * h) @ params["W_hn"] + params["b_n"])
        h = (1 - z) * (d * n) + z * h
        return h, h
