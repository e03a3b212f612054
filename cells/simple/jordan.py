"""The sequential network: what comes out is fed back."""

from typing import Any

from tapegrad.errors import OptionError

from ..activations import ACTIVATIONS, check_activation
from ..base import Cell
from ..registry import register
from ..specs import Parameter, State


@register(variants={"": {}, "mu=0.6": {"mu": 0.6}})
class Jordan(Cell):
    """Jordan's sequential network: the context is made of outputs, not of hidden states.

    ::

        h_t = phi(x_t W_xh + s_{t-1} W_sh + b_h)
        y_t = psi(h_t W_hy + b_y)
        s_t = mu s_{t-1} + y_t                        context

    Parameters
    ----------
    input_size, hidden_size, output_size : int
    mu : float
        How much of the context remains, at least 0 and below 1. With 0 the context is the last output; otherwise
        it is the sum of mu^k y_{t-k} over k = 0, 1, ...
    activation, output_activation : {"tanh", "sigmoid", "relu", "identity"}
        phi and psi; logistic units in the paper.

    Raises
    ------
    OptionError
        When mu is not in [0, 1).

    Notes
    -----
    State: the context s, an array (B, output_size), 0 at first. Output: y, which is computed inside of the cell.
    Weights are Glorot's, biases 0. Jordan's plan, which tells the network what sequence to make, is the input x.

    References
    ----------
    Jordan 1986, "Attractor dynamics and parallelism in a connectionist sequential machine", Proceedings of the Eighth
    Annual Conference of the Cognitive Science Society; "Serial order: a parallel distributed processing approach",
    ICS report 8604.
    """

    source = "Jordan 1986, ICS report 8604"

    input_size: int
    hidden_size: int
    output_size: int
    mu: float = 0.0
    activation: str = "sigmoid"
    output_activation: str = "sigmoid"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activation("Jordan", "activation", self.activation)
        check_activation("Jordan", "output_activation", self.output_activation)
        if not 0 <= self.mu < 1:
            raise OptionError(f"Jordan: mu={self.mu!r}, expected at least 0 and below 1, so that the past fades")

    def parameters(self) -> dict[str, Parameter]:
        m, n, k = self.input_size, self.hidden_size, self.output_size
        return {
            "W_xh": Parameter((m, n)),
            "W_sh": Parameter((k, n)),
            "b_h": Parameter((n,), init="zeros"),
            "W_hy": Parameter((n, k)),
            "b_y": Parameter((k,), init="zeros"),
        }

    def state(self) -> State:
        return State((self.output_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        phi, psi, s = ACTIVATIONS[self.activation], ACTIVATIONS[self.output_activation], state
        h = phi(x @ params["W_xh"] + s @ params["W_sh"] + params["b_h"])
        y = psi(h @ params["W_hy"] + params["b_y"])
        s = self.mu * s + y if self.mu else y
        return s, y
