"""A cell with a fast state and a slow memory."""

import numpy as np

import tapegrad as tg
from tapegrad.cells import Cell, Parameter, State


class FastSlow(Cell):
    """A slow memory s that a gate z writes the candidate v to, and a fast state h that reads it."""

    input_size: int
    hidden_size: int
    gate_bias: float = -2.0

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        declared = {}
        for unit in "zvh":
            declared[f"W_x{unit}"] = Parameter((m, n))
            declared[f"b_{unit}"] = Parameter((n,), init=self.gate_bias if unit == "z" else "zeros")
        for unit in "zv":
            declared[f"W_h{unit}"] = Parameter((n, n), init="orthogonal")
        return declared | {"W_sh": Parameter((n, n), init="orthogonal")}

    def state(self):
        return State((self.hidden_size,)), State((self.hidden_size,))

    def step(self, params, state, x):
        h, s = state
        z = tg.sigmoid(x @ params["W_xz"] + h @ params["W_hz"] + params["b_z"])
        v = np.tanh(x @ params["W_xv"] + h @ params["W_hv"] + params["b_v"])
        s = s + z * (v - s)
        h = np.tanh(x @ params["W_xh"] + s @ params["W_sh"] + params["b_h"])
        return (h, s), h
