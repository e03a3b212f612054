"""The update gate RNN."""

from typing import Any

from tapegrad.functions import sigmoid

from ..activations import ACTIVATIONS, check_activation
from ..base import Cell
from ..registry import register
from ..specs import Parameter, State


@register()
class UGRNN(Cell):
    """The update gate RNN: a recurrent network with one gate, which keeps or writes.

    ::

        c_t = s(x_t W_xc + h_{t-1} W_hc + b_c)               candidate
        g_t = sigmoid(x_t W_xg + h_{t-1} W_hg + b_g)         update gate
        h_t = g_t * h_{t-1} + (1 - g_t) * c_t

    Parameters
    ----------
    input_size, hidden_size : int
    activation : {"tanh", "relu", "sigmoid", "identity"}
        s; the paper tries tanh and relu.
    gate_bias : float
        What b_g starts from. A positive value keeps the state before anything is learned.

    Notes
    -----
    State and output: an array (B, hidden_size), 0 at first. Weights are Glorot's, the recurrent ones orthogonal, b_c is
    0.

    References
    ----------
    Collins, Sohl-Dickstein & Sussillo 2017, "Capacity and trainability in recurrent neural networks".
    """

    source = "Collins, Sohl-Dickstein & Sussillo 2017"

    input_size: int
    hidden_size: int
    activation: str = "tanh"
    gate_bias: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activation("UGRNN", "activation", self.activation)

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        declared = {}
        for part in "cg":
            declared[f"W_x{part}"] = Parameter((m, n))
            declared[f"W_h{part}"] = Parameter((n, n), init="orthogonal")
            declared[f"b_{part}"] = Parameter((n,), init=self.gate_bias if part == "g" else "zeros")
        return declared

    def state(self) -> State:
        return State((self.hidden_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        s, h = ACTIVATIONS[self.activation], state
        c = s(x @ params["W_xc"] + h @ params["W_hc"] + params["b_c"])
        g = sigmoid(x @ params["W_xg"] + h @ params["W_hg"] + params["b_g"])
        h = g * h + (1 - g) * c
        return h, h
