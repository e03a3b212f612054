"""Gated recurrent units whose gates see less."""

from typing import Any

from tapegrad.functions import sigmoid

from ..activations import ACTIVATIONS, check_activation
from ..base import Cell
from ..registry import register
from ..specs import Parameter, State


class _ReducedGRU(Cell):
    """What GRU1, GRU2 and GRU3 share: the candidate, and all parameters but those of the gates."""

    source = "Dey & Salem 2017"

    input_size: int
    hidden_size: int
    activation: str = "relu"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activation(type(self).__name__, "activation", self.activation)

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def gate_parameters(self, gate: str) -> dict[str, Parameter]:
        raise NotImplementedError

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        return {
            **self.gate_parameters("z"),
            **self.gate_parameters("r"),
            "W_xn": Parameter((m, n)),
            "W_hn": Parameter((n, n), init="orthogonal"),
            "b_n": Parameter((n,), init="zeros"),
        }

    def state(self) -> State:
        return State((self.hidden_size,))

    def candidate(self, params: Any, h: Any, x: Any, r: Any) -> Any:
        g = ACTIVATIONS[self.activation]
        return g(x @ params["W_xn"] + (r * h) @ params["W_hn"] + params["b_n"])


@register(variants={"relu": {}})
class GRU1(_ReducedGRU):
    """A gated recurrent unit whose gates see the state, and not the input.

    ::

        z_t = sigmoid(h_{t-1} W_hz + b_z)                    update gate
        r_t = sigmoid(h_{t-1} W_hr + b_r)                    reset gate
        n_t = g(x_t W_xn + (r_t * h_{t-1}) W_hn + b_n)       candidate
        h_t = (1 - z_t) * h_{t-1} + z_t * n_t

    Parameters
    ----------
    input_size, hidden_size : int
    activation : {"relu", "tanh", "sigmoid", "identity"}
        g; relu in the paper's experiments, tanh in the GRU.

    Notes
    -----
    State and output: an array (B, hidden_size), 0 at first. Weights are Glorot's, the recurrent ones orthogonal,
    biases 0. The gates have 2 (n^2 + n) parameters, where those of a GRU have 2 (n^2 + n m + n).

    References
    ----------
    Dey & Salem 2017, "Gate-variants of gated recurrent unit (GRU) neural networks", variant GRU1.
    """

    source = "Dey & Salem 2017, GRU1"

    def gate_parameters(self, gate: str) -> dict[str, Parameter]:
        n = self.hidden_size
        return {f"W_h{gate}": Parameter((n, n), init="orthogonal"), f"b_{gate}": Parameter((n,), init="zeros")}

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h = state
        z = sigmoid(h @ params["W_hz"] + params["b_z"])
        r = sigmoid(h @ params["W_hr"] + params["b_r"])
        n = self.candidate(params, h, x, r)
        h = (1 - z) * h + z * n
        return h, h


@register(variants={"relu": {}})
class GRU2(_ReducedGRU):
    """A gated recurrent unit whose gates see the state alone, without a bias.

    ::

        z_t = sigmoid(h_{t-1} W_hz)                          update gate
        r_t = sigmoid(h_{t-1} W_hr)                          reset gate
        n_t = g(x_t W_xn + (r_t * h_{t-1}) W_hn + b_n)       candidate
        h_t = (1 - z_t) * h_{t-1} + z_t * n_t

    Parameters
    ----------
    input_size, hidden_size : int
    activation : {"relu", "tanh", "sigmoid", "identity"}
        g; relu in the paper's experiments, tanh in the GRU.

    Notes
    -----
    State and output: an array (B, hidden_size), 0 at first. Weights are Glorot's, the recurrent ones orthogonal, the
    bias is 0. The gates have 2 n^2 parameters.

    References
    ----------
    Dey & Salem 2017, "Gate-variants of gated recurrent unit (GRU) neural networks", variant GRU2.
    """

    source = "Dey & Salem 2017, GRU2"

    def gate_parameters(self, gate: str) -> dict[str, Parameter]:
        n = self.hidden_size
        return {f"W_h{gate}": Parameter((n, n), init="orthogonal")}

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h = state
        z = sigmoid(h @ params["W_hz"])
        r = sigmoid(h @ params["W_hr"])
        n = self.candidate(params, h, x, r)
        h = (1 - z) * h + z * n
        return h, h


@register(variants={"relu": {}})
class GRU3(_ReducedGRU):
    """A gated recurrent unit whose gates are learned numbers, the same at every step.

    ::

        z = sigmoid(b_z)                                     update gate
        r = sigmoid(b_r)                                     reset gate
        n_t = g(x_t W_xn + (r * h_{t-1}) W_hn + b_n)         candidate
        h_t = (1 - z) * h_{t-1} + z * n_t

    Parameters
    ----------
    input_size, hidden_size : int
    activation : {"relu", "tanh", "sigmoid", "identity"}
        g; relu in the paper's experiments, tanh in the GRU.

    Notes
    -----
    State and output: an array (B, hidden_size), 0 at first. Weights are Glorot's, the recurrent ones orthogonal, biases
    0. The gates have 2 n parameters.

    References
    ----------
    Dey & Salem 2017, "Gate-variants of gated recurrent unit (GRU) neural networks", variant GRU3.
    """

    source = "Dey & Salem 2017, GRU3"

    def gate_parameters(self, gate: str) -> dict[str, Parameter]:
        return {f"b_{gate}": Parameter((self.hidden_size,), init="zeros")}

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h = state
        z, r = sigmoid(params["b_z"]), sigmoid(params["b_r"])
        n = self.candidate(params, h, x, r)
        h = (1 - z) * h + z * n
        return h, h
