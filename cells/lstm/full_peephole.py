"""Long short-term memory whose gates see all memory cells, as many lectures print it."""

from typing import Any

import numpy as np

from tapegrad.functions import sigmoid

from ..base import Cell
from ..registry import register
from ..specs import Parameter, State


@register()
class FullPeepholeLSTM(Cell):
    """Long short-term memory whose gates are functions of [c, h, x]: peepholes with full matrices.

    ::

        i_t = sigmoid(c_{t-1} W_ci + h_{t-1} W_hi + x_t W_xi + b_i)      input gate
        f_t = sigmoid(c_{t-1} W_cf + h_{t-1} W_hf + x_t W_xf + b_f)      forget gate
        g_t = tanh(h_{t-1} W_hg + x_t W_xg + b_g)                        candidate
        c_t = f_t * c_{t-1} + i_t * g_t
        o_t = sigmoid(c_t W_co + h_{t-1} W_ho + x_t W_xo + b_o)          output gate
        h_t = o_t * tanh(c_t)

    Parameters
    ----------
    input_size, hidden_size : int
    forget_bias : float
        What b_f starts from.

    Notes
    -----
    State: (h, c), two arrays (B, hidden_size), 0 at first; output: h. Lectures write i = sigmoid(W_i [c, h, x] + b_i),
    with one matrix for the three: here it is cut into its parts. With diagonal W_ci, W_cf and W_co it is
    :class:`PeepholeLSTM`. Weights are Glorot's, those of h orthogonal, the other biases 0.

    References
    ----------
    Graves, Mohamed & Hinton 2013, "Speech recognition with deep recurrent neural networks", equations 3 to 7, where the
    matrices from the cells are diagonal; printed as full ones in many lecture notes.
    """

    source = "Graves, Mohamed & Hinton 2013, equations 3 to 7, with full matrices W_ci, W_cf, W_co"

    input_size: int
    hidden_size: int
    forget_bias: float = 1.0

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        declared = {}
        for gate in "ifgo":
            if gate != "g":
                declared[f"W_c{gate}"] = Parameter((n, n))
            declared[f"W_h{gate}"] = Parameter((n, n), init="orthogonal")
            declared[f"W_x{gate}"] = Parameter((m, n))
            declared[f"b_{gate}"] = Parameter((n,), init=self.forget_bias if gate == "f" else "zeros")
        return declared

    def state(self) -> tuple[State, State]:
        return State((self.hidden_size,)), State((self.hidden_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h, c = state
        i = sigmoid(c @ params["W_ci"] + h @ params["W_hi"] + x @ params["W_xi"] + params["b_i"])
        f = sigmoid(c @ params["W_cf"] + h @ params["W_hf"] + x @ params["W_xf"] + params["b_f"])
        g = np.tanh(h @ params["W_hg"] + x @ params["W_xg"] + params["b_g"])
        c = f * c + i * g
        o = sigmoid(c @ params["W_co"] + h @ params["W_ho"] + x @ params["W_xo"] + params["b_o"])
        h = o * np.tanh(c)
        return (h, c), h
