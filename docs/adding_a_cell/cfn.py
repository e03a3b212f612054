"""The chaos-free network of Laurent and von Brecht."""

import numpy as np

from tapegrad import sigmoid
from tapegrad.cells import Cell, Parameter, State, register


@register(variants={"": {}, "forget_bias=1": {"forget_bias": 1.0}})
class CFN(Cell):
    """The chaos-free network: outside of its two gates the state meets no matrix.

    ::

        f_t = sigmoid(x_t W_xf + h_{t-1} W_hf + b_f)         forget gate
        i_t = sigmoid(x_t W_xi + h_{t-1} W_hi + b_i)         input gate
        v_t = tanh(x_t W_xv)                                 candidate
        h_t = f_t * tanh(h_{t-1}) + i_t * v_t

    Parameters
    ----------
    input_size, hidden_size : int
    forget_bias : float
        What b_f starts from.

    Notes
    -----
    State and output: h, an array (B, hidden_size), 0 at first.

    References
    ----------
    Laurent & von Brecht 2017, "A recurrent neural network without chaos", equations 1 to 3.
    """

    source = "Laurent & von Brecht 2017, equations 1 to 3"

    input_size: int
    hidden_size: int
    forget_bias: float = 0.0

    @property
    def output_size(self):
        return self.hidden_size

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {
            "W_xf": Parameter((m, n)),
            "W_hf": Parameter((n, n), init="orthogonal"),
            "b_f": Parameter((n,), init=self.forget_bias),
            "W_xi": Parameter((m, n)),
            "W_hi": Parameter((n, n), init="orthogonal"),
            "b_i": Parameter((n,), init="zeros"),
            "W_xv": Parameter((m, n)),
        }

    def state(self):
        return State((self.hidden_size,))

    def step(self, params, state, x):
        h = state
        f = sigmoid(x @ params["W_xf"] + h @ params["W_hf"] + params["b_f"])
        i = sigmoid(x @ params["W_xi"] + h @ params["W_hi"] + params["b_i"])
        v = np.tanh(x @ params["W_xv"])
        h = f * np.tanh(h) + i * v
        return h, h
