"""The simple recurrent network."""

from typing import Any

from ..activations import ACTIVATIONS, check_activation
from ..base import Cell
from ..registry import register
from ..specs import Parameter, State


@register(variants={name: {"activation": name} for name in ("tanh", "sigmoid", "relu")})
class Elman(Cell):
    """The simple recurrent network.

    ::

        h_t = phi(x_t W_xh + h_{t-1} W_hh + b_h)

    Parameters
    ----------
    input_size, hidden_size : int
    activation : {"tanh", "sigmoid", "relu", "identity"}
        phi. The first state is 0; with sigmoid units 0.5, their value at rest, as in the paper.

    Notes
    -----
    State and output: arrays (B, hidden_size). Weights are Glorot's, the recurrent ones orthogonal, biases 0.

    References
    ----------
    Elman 1990, "Finding structure in time"; Goodfellow, Bengio & Courville 2016, equations 10.8 and 10.9, where U is
    W_xh and W is W_hh, transposed.
    """

    source = "Elman 1990; Goodfellow, Bengio & Courville 2016, equations 10.8, 10.9"

    input_size: int
    hidden_size: int
    activation: str = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activation("Elman", "activation", self.activation)

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        return {
            "W_xh": Parameter((m, n)),
            "W_hh": Parameter((n, n), init="orthogonal"),
            "b_h": Parameter((n,), init="zeros"),
        }

    def state(self) -> State:
        return State((self.hidden_size,), init=0.5 if self.activation == "sigmoid" else 0.0)

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        phi = ACTIVATIONS[self.activation]
        h = phi(x @ params["W_xh"] + state @ params["W_hh"] + params["b_h"])
        return h, h
