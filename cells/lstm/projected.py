"""Long short-term memory whose output is a projection of the memory cells' outputs."""

from typing import Any

import numpy as np

from tapegrad.functions import sigmoid

from ..base import Cell
from ..registry import register
from ..specs import Parameter, State


@register()
class ProjectedLSTM(Cell):
    """Long short-term memory with a recurrent projection: the gates see fewer numbers than there are memory cells.

    ::

        i_t = sigmoid(x_t W_xi + r_{t-1} W_ri + b_i)      input gate
        f_t = sigmoid(x_t W_xf + r_{t-1} W_rf + b_f)      forget gate
        g_t = tanh(x_t W_xg + r_{t-1} W_rg + b_g)         candidate
        o_t = sigmoid(x_t W_xo + r_{t-1} W_ro + b_o)      output gate
        c_t = f_t * c_{t-1} + i_t * g_t
        h_t = o_t * tanh(c_t)
        r_t = h_t W_hr                                    projection

    Parameters
    ----------
    input_size, hidden_size : int
    projection_size : int
        The size of r. PyTorch, whose ``proj_size`` this is, wants it below ``hidden_size``; here it may be any.
    forget_bias : float
        What b_f starts from.

    Notes
    -----
    State: (r, c), arrays (B, projection_size) and (B, hidden_size), 0 at first; output: r. The paper has peepholes and
    a second projection that is not fed back too; these are left out, as in PyTorch. Weights are Glorot's, the recurrent
    ones have orthonormal rows or columns, the other biases are 0.

    References
    ----------
    Sak, Senior & Beaufays 2014, "Long short-term memory recurrent neural network architectures for large scale
    acoustic modeling", equations 8 to 14, without peepholes and p.
    """

    source = "Sak, Senior & Beaufays 2014, equations 8 to 14, without peepholes and non-recurrent projection"

    input_size: int
    hidden_size: int
    projection_size: int
    forget_bias: float = 1.0

    @property
    def output_size(self) -> int:
        return self.projection_size

    def parameters(self) -> dict[str, Parameter]:
        m, n, k = self.input_size, self.hidden_size, self.projection_size
        declared = {}
        for gate in "ifgo":
            declared[f"W_x{gate}"] = Parameter((m, n))
            declared[f"W_r{gate}"] = Parameter((k, n), init="orthogonal")
            declared[f"b_{gate}"] = Parameter((n,), init=self.forget_bias if gate == "f" else "zeros")
        declared["W_hr"] = Parameter((n, k))
        return declared

    def state(self) -> tuple[State, State]:
        return State((self.projection_size,)), State((self.hidden_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        r, c = state
        i = sigmoid(x @ params["W_xi"] + r @ params["W_ri"] + params["b_i"])
        f = sigmoid(x @ params["W_xf"] + r @ params["W_rf"] + params["b_f"])
        g = np.tanh(x @ params["W_xg"] + r @ params["W_rg"] + params["b_g"])
        o = sigmoid(x @ params["W_xo"] + r @ params["W_ro"] + params["b_o"])
        c = f * c + i * g
        h = o * np.tanh(c)
        r = h @ params["W_hr"]
        return (r, c), r
