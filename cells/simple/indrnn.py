"""Units that each remember only themselves."""

from typing import Any

from tapegrad.errors import OptionError

from ..activations import ACTIVATIONS, check_activation
from ..base import Cell
from ..initializers import Uniform
from ..registry import register
from ..specs import Parameter, State


@register(variants={"relu": {}})
class IndRNN(Cell):
    """The independently recurrent network: each unit is fed back to itself alone.

    ::

        h_t = phi(x_t W_xh + u * h_{t-1} + b_h)

    Parameters
    ----------
    input_size, hidden_size : int
    activation : {"relu", "tanh", "sigmoid", "identity"}
        phi.
    steps : int, optional
        For how many steps T a unit is to remember: u is then drawn from U[0, 2^(1/T)), so that nothing grows more than
        twofold over T steps. By default U[0, 1), what that comes to for long sequences.

    Notes
    -----
    State and output: an array (B, hidden_size), 0 at first. Input weights are Glorot's, the bias is 0. The paper also
    keeps ``|u|`` within its bound while training, which is up to the optimiser. Units mix in the layers above: stack
    two cells at least.

    References
    ----------
    Li, Li, Cook, Zhu & Gao 2018, "Independently recurrent neural network (IndRNN): building a longer and deeper RNN",
    equation 2.
    """

    source = "Li, Li, Cook, Zhu & Gao 2018, equation 2"

    input_size: int
    hidden_size: int
    activation: str = "relu"
    steps: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activation("IndRNN", "activation", self.activation)
        if self.steps is not None and not self.steps >= 1:
            raise OptionError(f"IndRNN: steps={self.steps!r}, expected at least 1, or None for long sequences")

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        return {
            "W_xh": Parameter((m, n)),
            "u": Parameter((n,), init=Uniform(0.0, 2 ** (1 / self.steps) if self.steps else 1.0)),
            "b_h": Parameter((n,), init="zeros"),
        }

    def state(self) -> State:
        return State((self.hidden_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        phi = ACTIVATIONS[self.activation]
        h = phi(x @ params["W_xh"] + params["u"] * state + params["b_h"])
        return h, h
