"""The vanilla LSTM and its eight ablations."""

from typing import Any

import numpy as np

from tapegrad.errors import OptionError
from tapegrad.functions import sigmoid

from ..base import Cell
from ..registry import register
from ..specs import Parameter, State

VARIANTS = ("V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR")


def _full_recurrence(rng: np.random.Generator) -> "VanillaLSTM":
    m, n = rng.permutation(np.arange(1, 5))[:2].tolist()  # it has thirteen square matrices
    return VanillaLSTM(m, n, "FGR")


@register(variants={"V": {}, "FGR": _full_recurrence})
class VanillaLSTM(Cell):
    """The LSTM with peepholes and full gradient, and what is left of it without one of its parts.

    ::

        z_t = tanh(x_t W_xz + y_{t-1} W_yz + b_z)                         block input
        i_t = sigmoid(x_t W_xi + y_{t-1} W_yi + p_i * c_{t-1} + b_i)      input gate
        f_t = sigmoid(x_t W_xf + y_{t-1} W_yf + p_f * c_{t-1} + b_f)      forget gate
        c_t = z_t * i_t + c_{t-1} * f_t
        o_t = sigmoid(x_t W_xo + y_{t-1} W_yo + p_o * c_t + b_o)          output gate
        y_t = tanh(c_t) * o_t

    Parameters
    ----------
    input_size, hidden_size : int
    variant : str
        ========  ==================================================================================================
        V         all of the above
        NIG       no input gate: i_t = 1
        NFG       no forget gate: f_t = 1
        NOG       no output gate: o_t = 1
        NIAF      no input activation function: z_t is its net input
        NOAF      no output activation function: y_t = c_t * o_t
        CIFG      coupled input and forget gate: f_t = 1 - i_t
        NP        no peepholes
        FGR       full gate recurrence: the net input of gate k has i_{t-1} W_ik + f_{t-1} W_fk + o_{t-1} W_ok more
        ========  ==================================================================================================
    forget_bias : float
        What b_f starts from.

    Notes
    -----
    State: (y, c), and with FGR (y, c, i, f, o), arrays (B, hidden_size), 0 at first; output: y. Peepholes are drawn
    from U[-0.1, 0.1); weights are Glorot's, the recurrent ones orthogonal, the other biases 0. In the paper all start
    from N(0, 0.1^2).

    References
    ----------
    Greff, Srivastava, Koutnik, Steunebrink & Schmidhuber 2017, "LSTM: A search space odyssey", sections II.A and III.C.
    """

    source = "Greff, Srivastava, Koutnik, Steunebrink & Schmidhuber 2017, sections II.A and III.C"

    input_size: int
    hidden_size: int
    variant: str = "V"
    forget_bias: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant not in VARIANTS:
            raise OptionError(f"VanillaLSTM: variant={self.variant!r}, expected one of {', '.join(VARIANTS)}")

    @property
    def output_size(self) -> int:
        return self.hidden_size

    @property
    def gates(self) -> str:
        """The letters of the gates that are computed from a net input."""
        return {"NIG": "fo", "NFG": "io", "NOG": "if", "CIFG": "io"}.get(self.variant, "ifo")

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        declared = {}
        for unit in "z" + self.gates:
            declared[f"W_x{unit}"] = Parameter((m, n))
            declared[f"W_y{unit}"] = Parameter((n, n), init="orthogonal")
            if unit != "z" and self.variant == "FGR":
                declared.update({f"W_{gate}{unit}": Parameter((n, n), init="orthogonal") for gate in "ifo"})
            if unit != "z" and self.variant != "NP":
                declared[f"p_{unit}"] = Parameter((n,), init="uniform")
            declared[f"b_{unit}"] = Parameter((n,), init=self.forget_bias if unit == "f" else "zeros")
        return declared

    def state(self) -> tuple[State, ...]:
        return (State((self.hidden_size,)),) * (5 if self.variant == "FGR" else 2)

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        y, c, *last = state

        def gate(k: str, seen: Any) -> Any:
            if k not in self.gates:
                return 1.0
            net = x @ params[f"W_x{k}"] + y @ params[f"W_y{k}"] + params[f"b_{k}"]
            if self.variant == "FGR":
                i, f, o = last
                net = net + i @ params[f"W_i{k}"] + f @ params[f"W_f{k}"] + o @ params[f"W_o{k}"]
            return sigmoid(net if self.variant == "NP" else net + params[f"p_{k}"] * seen)

        z = x @ params["W_xz"] + y @ params["W_yz"] + params["b_z"]
        z = z if self.variant == "NIAF" else np.tanh(z)
        i = gate("i", c)
        f = 1.0 - i if self.variant == "CIFG" else gate("f", c)
        c = z * i + c * f
        o = gate("o", c)
        y = (c if self.variant == "NOAF" else np.tanh(c)) * o
        return ((y, c, i, f, o) if self.variant == "FGR" else (y, c)), y
