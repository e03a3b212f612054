"""Cells that no library has: an LSTM with full-matrix peepholes, and a memory of fast weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.cells import Cell, Parameter, State
from tapegrad.cells.initializers import VarianceScaling

from ..functions import sigmoid, softmax

#: Weights with which hundreds of steps stay far from chaos, where results in float32 could not be compared.
SMALL = VarianceScaling(0.1, "mean", "uniform")


class PeepholeLSTM(Cell):
    """Long short-term memory whose gates see the cell's memory through full matrices.

    ::

        i_t = sigmoid(x_t W_xi + h_{t-1} W_hi + c_{t-1} V_i + b_i)
        f_t = sigmoid(x_t W_xf + h_{t-1} W_hf + c_{t-1} V_f + b_f)
        g_t = tanh(x_t W_xg + h_{t-1} W_hg + b_g)
        c_t = f_t * c_{t-1} + i_t * g_t
        o_t = sigmoid(x_t W_xo + h_{t-1} W_ho + c_t V_o + b_o)
        h_t = o_t * tanh(c_t)

    Parameters
    ----------
    input_size, hidden_size : int

    Notes
    -----
    State: (h, c), two arrays (B, hidden_size); output: h.

    References
    ----------
    Gers & Schmidhuber 2000, "Recurrent nets that time and count", where the peepholes are diagonal. With matrices
    three of the products cannot be taken together: the output gate waits for the new memory.
    """

    input_size: int
    hidden_size: int

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        declared = {}
        for gate in "ifgo":
            declared[f"W_x{gate}"] = Parameter((m, n))
            declared[f"W_h{gate}"] = Parameter((n, n), init="orthogonal")
            declared[f"b_{gate}"] = Parameter((n,), init=1.0 if gate == "f" else "zeros")
        for gate in "ifo":
            declared[f"V_{gate}"] = Parameter((n, n), init=SMALL)
        return declared

    def state(self) -> tuple[State, State]:
        return State((self.hidden_size,)), State((self.hidden_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h, c = state
        i = sigmoid(x @ params["W_xi"] + h @ params["W_hi"] + c @ params["V_i"] + params["b_i"])
        f = sigmoid(x @ params["W_xf"] + h @ params["W_hf"] + c @ params["V_f"] + params["b_f"])
        g = np.tanh(x @ params["W_xg"] + h @ params["W_hg"] + params["b_g"])
        c = f * c + i * g
        o = sigmoid(x @ params["W_xo"] + h @ params["W_ho"] + c @ params["V_o"] + params["b_o"])
        h = o * np.tanh(c)
        return (h, c), h


class FastWeights(Cell):
    """A recurrent network with a matrix per row that it writes by outer products and reads by attention.

    ::

        a_t = softmax(x_t W_xa + h_{t-1} W_ha + b_a)                where to write, over N slots
        v_t = tanh(x_t W_xv + h_{t-1} W_hv + b_v)                   what to write
        q_t = x_t W_xq + h_{t-1} W_hq + b_q                         what to look for
        A_t = decay * A_{t-1} + a_t (outer) v_t                     fast weights, N x M
        p_t = softmax(A_t q_t / sqrt(M))                            where to read
        r_t = p_t A_t                                               what is read
        h_t = tanh(x_t W_xh + h_{t-1} W_hh + r_t W_rh + b_h)

    Parameters
    ----------
    input_size, hidden_size : int
    slots, width : int
        N and M.
    decay : float

    Notes
    -----
    State: h of (B, hidden_size) and A of (B, slots, width); output: h.

    References
    ----------
    The decaying sum of outer products: Ba, Hinton, Mnih, Leibo & Ionescu 2016, "Using fast weights to attend to the
    recent past", equation 1. The read by content: Graves, Wayne & Danihelka 2014, "Neural Turing machines",
    equations 2 and 5, with the scaled dot product of Vaswani et al. 2017 in the place of the cosine.
    """

    input_size: int
    hidden_size: int
    slots: int = 16
    width: int = 32
    decay: float = 0.95

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        declared = {}
        for unit, size in {"a": self.slots, "v": self.width, "q": self.width, "h": n}.items():
            declared[f"W_x{unit}"] = Parameter((m, size))
            declared[f"W_h{unit}"] = Parameter((n, size), init="orthogonal")
            declared[f"b_{unit}"] = Parameter((size,), init="zeros")
        declared["W_rh"] = Parameter((self.width, n))
        return declared

    def state(self) -> tuple[State, State]:
        return State((self.hidden_size,)), State((self.slots, self.width))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h, A = state
        a = softmax(x @ params["W_xa"] + h @ params["W_ha"] + params["b_a"])
        v = np.tanh(x @ params["W_xv"] + h @ params["W_hv"] + params["b_v"])
        q = x @ params["W_xq"] + h @ params["W_hq"] + params["b_q"]
        A = self.decay * A + a[:, :, None] * v[:, None, :]
        p = softmax(np.einsum("bnm,bm->bn", A, q) / self.width**0.5)
        r = np.einsum("bn,bnm->bm", p, A)
        h = np.tanh(x @ params["W_xh"] + h @ params["W_hh"] + r @ params["W_rh"] + params["b_h"])
        return (h, A), h
