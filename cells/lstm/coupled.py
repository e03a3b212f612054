"""Long short-term memory whose input gate and forget gate are one."""

from typing import Any

import numpy as np

from tapegrad.functions import sigmoid

from ..base import Cell
from ..registry import register
from ..specs import Parameter, State


@register()
class CoupledLSTM(Cell):
    """Long short-term memory with coupled input and forget gates: it forgets where it writes, and only there.

    ::

        i_t = sigmoid(x_t W_xi + h_{t-1} W_hi + b_i)      input gate
        g_t = tanh(x_t W_xg + h_{t-1} W_hg + b_g)         candidate
        o_t = sigmoid(x_t W_xo + h_{t-1} W_ho + b_o)      output gate
        c_t = (1 - i_t) * c_{t-1} + i_t * g_t
        h_t = o_t * tanh(c_t)

    Parameters
    ----------
    input_size, hidden_size : int
    forget_bias : float
        b_i starts from its negative, so that 1 - i starts where the forget gate of an :class:`LSTM` does.

    Notes
    -----
    State: (h, c), two arrays (B, hidden_size), 0 at first; output: h. The memory stays between -1 and 1. Weights are
    Glorot's, the recurrent ones orthogonal, the other biases 0.

    References
    ----------
    Greff, Srivastava, Koutnik, Steunebrink & Schmidhuber 2017, "LSTM: A search space odyssey", CIFG, here without
    peepholes; the coupling is the GRU's of Cho et al. 2014.
    """

    source = "Greff et al. 2017, CIFG, without peepholes"

    input_size: int
    hidden_size: int
    forget_bias: float = 1.0

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        declared = {}
        for gate in "igo":
            declared[f"W_x{gate}"] = Parameter((m, n))
            declared[f"W_h{gate}"] = Parameter((n, n), init="orthogonal")
            declared[f"b_{gate}"] = Parameter((n,), init=-self.forget_bias if gate == "i" else "zeros")
        return declared

    def state(self) -> tuple[State, State]:
        return State((self.hidden_size,)), State((self.hidden_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h, c = state
        i = sigmoid(x @ params["W_xi"] + h @ params["W_hi"] + params["b_i"])
        g = np.tanh(x @ params["W_xg"] + h @ params["W_hg"] + params["b_g"])
        o = sigmoid(x @ params["W_xo"] + h @ params["W_ho"] + params["b_o"])
        c = (1 - i) * c + i * g
        h = o * np.tanh(c)
        return (h, c), h
