"""Long short-term memory whose gates see the memory cell itself."""

from typing import Any

import numpy as np

from tapegrad.errors import OptionError
from tapegrad.functions import sigmoid

from ..base import Cell
from ..registry import register
from ..specs import Parameter, State


@register(variants={"": {}, "o": {"peepholes": "o"}})
class PeepholeLSTM(Cell):
    """Long short-term memory with peepholes: each gate of a cell sees the memory of that cell.

    ::

        i_t = sigmoid(x_t W_xi + h_{t-1} W_hi + p_i * c_{t-1} + b_i)      input gate
        f_t = sigmoid(x_t W_xf + h_{t-1} W_hf + p_f * c_{t-1} + b_f)      forget gate
        g_t = tanh(x_t W_xg + h_{t-1} W_hg + b_g)                         candidate
        c_t = f_t * c_{t-1} + i_t * g_t
        o_t = sigmoid(x_t W_xo + h_{t-1} W_ho + p_o * c_t + b_o)          output gate
        h_t = o_t * tanh(c_t)

    Parameters
    ----------
    input_size, hidden_size : int
    peepholes : str
        The gates that have one, of the letters i, f and o.
    forget_bias : float
        What b_f starts from.

    Notes
    -----
    State: (h, c), two arrays (B, hidden_size), 0 at first; output: h. Peepholes are vectors (hidden_size,), drawn from
    U[-0.1, 0.1); weights are Glorot's, the recurrent ones orthogonal, the other biases 0.

    References
    ----------
    Gers & Schmidhuber 2000, "Recurrent nets that time and count"; Gers, Schraudolph & Schmidhuber 2002, "Learning
    precise timing with LSTM recurrent networks", where the squashing functions are centred sigmoids or the identity.
    """

    source = "Gers & Schmidhuber 2000; Gers, Schraudolph & Schmidhuber 2002"

    input_size: int
    hidden_size: int
    peepholes: str = "ifo"
    forget_bias: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.peepholes, str) or not set(self.peepholes) <= set("ifo"):
            raise OptionError(
                f"PeepholeLSTM: peepholes={self.peepholes!r}, expected letters of the gates i, f and o, such as 'if'"
            )
        object.__setattr__(self, "peepholes", "".join(gate for gate in "ifo" if gate in self.peepholes))

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        declared = {}
        for gate in "ifgo":
            declared[f"W_x{gate}"] = Parameter((m, n))
            declared[f"W_h{gate}"] = Parameter((n, n), init="orthogonal")
            if gate in self.peepholes:
                declared[f"p_{gate}"] = Parameter((n,), init="uniform")
            declared[f"b_{gate}"] = Parameter((n,), init=self.forget_bias if gate == "f" else "zeros")
        return declared

    def state(self) -> tuple[State, State]:
        return State((self.hidden_size,)), State((self.hidden_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h, c = state

        def net(gate: str, seen: Any) -> Any:
            through = params[f"p_{gate}"] * seen if gate in self.peepholes else 0.0
            return x @ params[f"W_x{gate}"] + h @ params[f"W_h{gate}"] + through + params[f"b_{gate}"]

        i = sigmoid(net("i", c))
        f = sigmoid(net("f", c))
        g = np.tanh(x @ params["W_xg"] + h @ params["W_hg"] + params["b_g"])
        c = f * c + i * g
        o = sigmoid(net("o", c))
        h = o * np.tanh(c)
        return (h, c), h
