"""Long short-term memory."""

from typing import Any

import numpy as np

from tapegrad.functions import sigmoid

from ..base import Cell
from ..registry import register
from ..specs import Parameter, State


@register(variants={"": {}, "forget_bias=0": {"forget_bias": 0.0}})
class LSTM(Cell):
    """Long short-term memory with a forget gate.

    ::

        i_t = sigmoid(x_t W_xi + h_{t-1} W_hi + b_i)      input gate
        f_t = sigmoid(x_t W_xf + h_{t-1} W_hf + b_f)      forget gate
        g_t = tanh(x_t W_xg + h_{t-1} W_hg + b_g)         candidate
        o_t = sigmoid(x_t W_xo + h_{t-1} W_ho + b_o)      output gate
        c_t = f_t * c_{t-1} + i_t * g_t
        h_t = o_t * tanh(c_t)

    Parameters
    ----------
    input_size, hidden_size : int
    forget_bias : float
        What b_f starts from. A positive value lets gradients through before anything is learned.

    Notes
    -----
    State: (h, c), two arrays (B, hidden_size), 0 at first; output: h. Weights are Glorot's, the recurrent ones
    orthogonal, the other biases 0.

    References
    ----------
    Hochreiter & Schmidhuber 1997, "Long short-term memory"; the forget gate: Gers, Schmidhuber & Cummins 2000; its bias
    of 1: Jozefowicz, Zaremba & Sutskever 2015; the letters: Zaremba, Sutskever & Vinyals 2014, section 3.1.
    """

    source = "Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000"

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
            declared[f"W_x{gate}"] = Parameter((m, n))
            declared[f"W_h{gate}"] = Parameter((n, n), init="orthogonal")
            declared[f"b_{gate}"] = Parameter((n,), init=self.forget_bias if gate == "f" else "zeros")
        return declared

    def state(self) -> tuple[State, State]:
        return State((self.hidden_size,)), State((self.hidden_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h, c = state
        i = sigmoid(x @ params["W_xi"] + h @ params["W_hi"] + params["b_i"])
        f = sigmoid(x @ params["W_xf"] + h @ params["W_hf"] + params["b_f"])
        g = np.tanh(x @ params["W_xg"] + h @ params["W_hg"] + params["b_g"])
        o = sigmoid(x @ params["W_xo"] + h @ params["W_ho"] + params["b_o"])
        c = f * c + i * g
        h = o * np.tanh(c)
        return (h, c), h
