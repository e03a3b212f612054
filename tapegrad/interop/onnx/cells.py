"""The recurrent operators of the standard as cells: their equations, with every option that changes them."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from tapegrad.cells import Cell, Parameter, State

from ...errors import OptionError
from ..named import option_names
from .activations import Activation

__all__ = ["OnnxCell", "OnnxGRU", "OnnxLSTM", "OnnxRNN"]

SIGMOID, TANH = Activation("Sigmoid"), Activation("Tanh")


class OnnxCell(Cell):
    """Base of the three operators: their gates, biases, activations and the clipping of what these are given.

    Parameters
    ----------
    input_size, hidden_size : int
    clip : float, optional
        The arguments of all activations are kept in [-clip, clip]. Rounded to single precision, as in the standard.
    bias : bool
        Whether there are biases, two for each gate: Wb on the side of the input, Rb on that of the state.
    initial_h : float
        What h starts from, 0 in the standard.

    Notes
    -----
    Weights are (in, out), so the transposes of the standard's, one array for each gate.
    """

    source = "ONNX, https://github.com/onnx/onnx/blob/main/docs/Operators.md"
    operator: ClassVar[str] = ""
    gates: ClassVar[str] = ""
    activations: ClassVar[tuple[str, ...]] = ()

    input_size: int
    hidden_size: int
    clip: float | None = None
    bias: bool = True
    initial_h: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in self.activations:
            value = getattr(self, option)
            if not isinstance(value, Activation):
                object.__setattr__(self, option, Activation(*value) if isinstance(value, tuple) else Activation(value))
        if self.clip is not None:
            if not isinstance(self.clip, (int, float, np.floating)) or not 0 < self.clip < math.inf:
                raise OptionError(f"{type(self).__name__}: clip={self.clip!r}, expected a positive number, or None")
            object.__setattr__(self, "clip", float(np.float32(self.clip)))

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        declared = {}
        for gate in self.gates:
            declared[f"W_{gate}"] = Parameter((m, n))
            declared[f"R_{gate}"] = Parameter((n, n), init="orthogonal")
            if self.bias:
                declared[f"Wb_{gate}"] = Parameter((n,), init="zeros")
                declared[f"Rb_{gate}"] = Parameter((n,), init="zeros")
        return declared

    def state(self) -> Any:
        return State((self.hidden_size,), init=self.initial_h)

    def clipped(self, a: Any) -> Any:
        """What an activation is given in the place of ``a``."""
        return a if self.clip is None else np.minimum(np.maximum(a, -self.clip), self.clip)

    def linear(self, params: Any, gate: str, x: Any, h: Any) -> Any:
        """Xt*(W^T) + Ht-1*(R^T) + Wb + Rb of a gate."""
        a = x @ params[f"W_{gate}"] + h @ params[f"R_{gate}"]
        return a + params[f"Wb_{gate}"] + params[f"Rb_{gate}"] if self.bias else a


class OnnxRNN(OnnxCell):
    """The operator RNN.

    ::

        H_t = f(X_t W_i^T + H_{t-1} R_i^T + Wb_i + Rb_i)

    Parameters
    ----------
    input_size, hidden_size, clip, bias, initial_h
        As for :class:`OnnxCell`.
    f : Activation or str

    Notes
    -----
    State and output: H, arrays (B, hidden_size).
    """

    operator = "RNN"
    gates = "i"
    activations = ("f",)

    f: Activation = TANH

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h = self.f(self.clipped(self.linear(params, "i", x, state)))
        return h, h


class OnnxLSTM(OnnxCell):
    """The operator LSTM.

    ::

        i_t = f(X_t W_i^T + H_{t-1} R_i^T + P_i * C_{t-1} + Wb_i + Rb_i)
        f_t = f(X_t W_f^T + H_{t-1} R_f^T + P_f * C_{t-1} + Wb_f + Rb_f)      input_forget: f_t = 1 - i_t
        c_t = g(X_t W_c^T + H_{t-1} R_c^T + Wb_c + Rb_c)
        C_t = f_t * C_{t-1} + i_t * c_t
        o_t = f(X_t W_o^T + H_{t-1} R_o^T + P_o * C_t + Wb_o + Rb_o)
        H_t = o_t * h(C_t)

    Parameters
    ----------
    input_size, hidden_size, clip, bias, initial_h
        As for :class:`OnnxCell`.
    f, g, h : Activation or str
    peepholes : bool
        Whether there are P_i, P_o and P_f.
    input_forget : bool
        Whether the forget gate is one minus the input gate. The standard has its weights all the same; they are kept,
        and have no effect.
    initial_c : float
        What C starts from, 0 in the standard.

    Notes
    -----
    State: (H, C), arrays (B, hidden_size); output: H.
    """

    operator = "LSTM"
    gates = "iofc"
    activations = ("f", "g", "h")

    f: Activation = SIGMOID
    g: Activation = TANH
    h: Activation = TANH
    peepholes: bool = False
    input_forget: bool = False
    initial_c: float = 0.0

    def parameters(self) -> dict[str, Parameter]:
        declared = super().parameters()
        if self.peepholes:
            declared.update({f"P_{gate}": Parameter((self.hidden_size,), init="zeros") for gate in "iof"})
        return declared

    def state(self) -> tuple[State, State]:
        n = self.hidden_size
        return State((n,), init=self.initial_h), State((n,), init=self.initial_c)

    def gate(self, params: Any, gate: str, x: Any, h: Any, c: Any) -> Any:
        """A gate, with its peephole to ``c``."""
        a = self.linear(params, gate, x, h)
        return self.f(self.clipped(a + params[f"P_{gate}"] * c if self.peepholes else a))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h, c = state
        i = self.gate(params, "i", x, h, c)
        f = 1 - i if self.input_forget else self.gate(params, "f", x, h, c)
        candidate = self.g(self.clipped(self.linear(params, "c", x, h)))
        c = f * c + i * candidate
        o = self.gate(params, "o", x, h, c)
        h = o * self.h(self.clipped(c))
        return (h, c), h


class OnnxGRU(OnnxCell):
    """The operator GRU.

    ::

        z_t = f(X_t W_z^T + H_{t-1} R_z^T + Wb_z + Rb_z)
        r_t = f(X_t W_r^T + H_{t-1} R_r^T + Wb_r + Rb_r)
        h_t = g(X_t W_h^T + (r_t * H_{t-1}) R_h^T + Rb_h + Wb_h)
        h_t = g(X_t W_h^T + r_t * (H_{t-1} R_h^T + Rb_h) + Wb_h)      linear_before_reset
        H_t = (1 - z_t) * h_t + z_t * H_{t-1}

    Parameters
    ----------
    input_size, hidden_size, clip, bias, initial_h
        As for :class:`OnnxCell`.
    f, g : Activation or str
    linear_before_reset : bool
        Whether the reset gate comes after the product with R_h.

    Notes
    -----
    State and output: H, arrays (B, hidden_size).
    """

    operator = "GRU"
    gates = "zrh"
    activations = ("f", "g")

    f: Activation = SIGMOID
    g: Activation = TANH
    linear_before_reset: bool = False

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h = state
        z = self.f(self.clipped(self.linear(params, "z", x, h)))
        r = self.f(self.clipped(self.linear(params, "r", x, h)))
        if not self.linear_before_reset:
            a = self.linear(params, "h", x, r * h)
        elif self.bias:
            a = x @ params["W_h"] + r * (h @ params["R_h"] + params["Rb_h"]) + params["Wb_h"]
        else:
            a = x @ params["W_h"] + r * (h @ params["R_h"])
        candidate = self.g(self.clipped(a))
        h = (1 - z) * candidate + z * h
        return h, h


OPERATORS: dict[str, type[OnnxCell]] = {cell.operator: cell for cell in (OnnxRNN, OnnxLSTM, OnnxGRU)}


def options_of(cell: OnnxCell) -> dict[str, Any]:
    """The options of a cell, by name."""
    return {name: getattr(cell, name) for name in option_names(cell)}
