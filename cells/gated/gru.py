"""The gated recurrent unit."""

from typing import Any

import numpy as np

from tapegrad.functions import sigmoid

from ..base import Cell
from ..registry import register
from ..specs import Parameter, State


@register(variants={"reset_before": {}, "reset_after": {"reset_after": True}, "update_writes": {"update_writes": True}})
class GRU(Cell):
    """The gated recurrent unit, with the reset gate before or after the recurrent product.

    ::

        r_t = sigmoid(x_t W_xr + h_{t-1} W_hr + b_r)               reset gate
        z_t = sigmoid(x_t W_xz + h_{t-1} W_hz + b_z)               update gate
        n_t = tanh(x_t W_xn + (r_t * h_{t-1}) W_hn + b_n)          candidate, reset before
        n_t = tanh(x_t W_xn + b_n + r_t * (h_{t-1} W_hn + b_hn))   candidate, reset after
        h_t = (1 - z_t) * n_t + z_t * h_{t-1}                      the update gate keeps
        h_t = z_t * n_t + (1 - z_t) * h_{t-1}                      the update gate writes

    Parameters
    ----------
    input_size, hidden_size : int
    reset_after : bool
        False is the published form; True that of cuDNN, PyTorch and Keras, with one more bias. The two
        are different functions unless W_hn is diagonal and b_hn is 0.
    update_writes : bool
        What an open update gate does. False: it keeps the old state (Cho et al. 2014, PyTorch, Keras). True: it writes
        the candidate (Chung et al. 2014). With the signs of W_xz, W_hz and b_z changed, one is the other.

    Notes
    -----
    State and output: arrays (B, hidden_size), 0 at first. Weights are Glorot's, the recurrent ones orthogonal,
    biases 0.

    References
    ----------
    Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder", equations 5 to 8; the reset after the
    product is in the first version of that paper (arXiv 1406.1078v1). Chung, Gulcehre, Cho & Bengio 2014, "Empirical
    evaluation of gated recurrent neural networks on sequence modeling", section 3.2.
    """

    source = (
        "Cho et al. 2014, equations 5 to 8; reset_after: its first version, arXiv 1406.1078v1; "
        "update_writes: Chung et al. 2014, section 3.2"
    )

    input_size: int
    hidden_size: int
    reset_after: bool = False
    update_writes: bool = False

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        declared = {}
        for gate in "rzn":
            declared[f"W_x{gate}"] = Parameter((m, n))
            declared[f"W_h{gate}"] = Parameter((n, n), init="orthogonal")
            declared[f"b_{gate}"] = Parameter((n,), init="zeros")
        if self.reset_after:
            declared["b_hn"] = Parameter((n,), init="zeros")
        return declared

    def state(self) -> State:
        return State((self.hidden_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h = state
        r = sigmoid(x @ params["W_xr"] + h @ params["W_hr"] + params["b_r"])
        z = sigmoid(x @ params["W_xz"] + h @ params["W_hz"] + params["b_z"])
        if self.reset_after:
            n = np.tanh(x @ params["W_xn"] + params["b_n"] + r * (h @ params["W_hn"] + params["b_hn"]))
        else:
            n = np.tanh(x @ params["W_xn"] + (r * h) @ params["W_hn"] + params["b_n"])
        h = z * n + (1 - z) * h if self.update_writes else (1 - z) * n + z * h
        return h, h
