"""The minimal gated unit."""

from typing import Any

import numpy as np

from tapegrad.functions import sigmoid

from ..base import Cell
from ..registry import register
from ..specs import Parameter, State


@register()
class MGU(Cell):
    """The minimal gated unit: one gate resets and updates.

    ::

        f_t = sigmoid(x_t W_xf + h_{t-1} W_hf + b_f)         forget gate
        n_t = tanh(x_t W_xn + (f_t * h_{t-1}) W_hn + b_n)    candidate
        h_t = (1 - f_t) * h_{t-1} + f_t * n_t

    Parameters
    ----------
    input_size, hidden_size : int

    Notes
    -----
    State and output: an array (B, hidden_size), 0 at first. Weights are Glorot's, the recurrent ones orthogonal,
    biases 0. A GRU whose update gate writes, and has the weights of its reset gate, is this cell.

    References
    ----------
    Zhou, Wu, Zhang & Zhou 2016, "Minimal gated unit for recurrent neural networks".
    """

    source = "Zhou, Wu, Zhang & Zhou 2016"

    input_size: int
    hidden_size: int

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        declared = {}
        for gate in "fn":
            declared[f"W_x{gate}"] = Parameter((m, n))
            declared[f"W_h{gate}"] = Parameter((n, n), init="orthogonal")
            declared[f"b_{gate}"] = Parameter((n,), init="zeros")
        return declared

    def state(self) -> State:
        return State((self.hidden_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h = state
        f = sigmoid(x @ params["W_xf"] + h @ params["W_hf"] + params["b_f"])
        n = np.tanh(x @ params["W_xn"] + (f * h) @ params["W_hn"] + params["b_n"])
        h = (1 - f) * h + f * n
        return h, h
