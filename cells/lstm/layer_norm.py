"""Long short-term memory with layer normalisation."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.errors import OptionError
from tapegrad.functions import sigmoid

from ..base import Cell
from ..registry import register
from ..specs import Parameter, State


@register()
class LayerNormLSTM(Cell):
    """Long short-term memory with layer normalisation of what the gates are given and of the memory that is shown.

    ::

        LN(v; a, d) = a * (v - mean(v)) / sqrt(mean((v - mean(v))^2) + epsilon) + d
        net_t = LN(h_{t-1} W_h; a_h, d_h) + LN(x_t W_x; a_x, d_x) + b      of the gates i, f, o and the candidate g
        c_t = sigmoid(net_f) * c_{t-1} + sigmoid(net_i) * tanh(net_g)
        h_t = sigmoid(net_o) * tanh(LN(c_t; a_c, d_c))

    Parameters
    ----------
    input_size, hidden_size : int
    epsilon : float
        Above 0.
    forget_bias : float
        What b_f starts from.

    Notes
    -----
    As in the paper, the means of h W_h and of x W_x go over all four parts together, 4 hidden_size numbers. State:
    (h, c), two arrays (B, hidden_size), 0 at first; output: h. Gains a start from 1, shifts d and the other biases
    from 0; weights are Glorot's, the recurrent ones orthogonal.

    References
    ----------
    Ba, Kiros & Hinton 2016, "Layer normalization", equations 20 to 22 of the supplement, and equation 15 for LN.
    """

    source = "Ba, Kiros & Hinton 2016, equations 20 to 22"

    input_size: int
    hidden_size: int
    epsilon: float = 1e-5
    forget_bias: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.epsilon > 0:
            raise OptionError(f"LayerNormLSTM: epsilon={self.epsilon!r}, expected a number above 0")

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        declared = {}
        for gate in "ifgo":
            declared[f"W_x{gate}"] = Parameter((m, n))
            declared[f"W_h{gate}"] = Parameter((n, n), init="orthogonal")
            for seen in "xh":
                declared[f"a_{seen}{gate}"] = Parameter((n,), init="ones")
                declared[f"d_{seen}{gate}"] = Parameter((n,), init="zeros")
            declared[f"b_{gate}"] = Parameter((n,), init=self.forget_bias if gate == "f" else "zeros")
        declared |= {"a_c": Parameter((n,), init="ones"), "d_c": Parameter((n,), init="zeros")}
        return declared

    def state(self) -> tuple[State, State]:
        return State((self.hidden_size,)), State((self.hidden_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h, c = state
        from_h = self._normalised([h @ params[f"W_h{gate}"] for gate in "ifgo"])
        from_x = self._normalised([x @ params[f"W_x{gate}"] for gate in "ifgo"])
        net_i, net_f, net_g, net_o = (
            params[f"a_h{gate}"] * u + params[f"d_h{gate}"]
            + params[f"a_x{gate}"] * v + params[f"d_x{gate}"] + params[f"b_{gate}"]
            for gate, u, v in zip("ifgo", from_h, from_x, strict=True)
        )  # fmt: skip
        i, f, g, o = sigmoid(net_i), sigmoid(net_f), np.tanh(net_g), sigmoid(net_o)
        c = f * c + i * g
        (shown,) = self._normalised([c])
        h = o * np.tanh(params["a_c"] * shown + params["d_c"])
        return (h, c), h

    def _normalised(self, parts: Sequence[Any]) -> list[Any]:
        """Vectors (B, n) that are parts of one, with the mean of all its elements taken off and their variance 1."""
        mean = sum(np.mean(part, axis=-1, keepdims=True) for part in parts) / len(parts)
        moved = [part - mean for part in parts]
        variance = sum(np.mean(part**2, axis=-1, keepdims=True) for part in moved) / len(parts)
        return [part / np.sqrt(variance + self.epsilon) for part in moved]
