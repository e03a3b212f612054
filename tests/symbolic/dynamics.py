"""Recurrent cells of the literature that are dynamical systems, clocks and rotations."""

from typing import NamedTuple

import numpy as np

from tapegrad.cells import Cell, Input, Parameter, State
from tapegrad.functions import sigmoid, softmax, softplus

from .gated import Pair, Vector, gates


class Clockwork(Vector):
    """Koutnik et al. 2014: two modules, of which the slow one moves on even steps; the time comes with x."""

    def inputs(self):
        return {"t": Input(()), "x": Input((self.input_size,))}

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {"W": Parameter((m, n)), "U": Parameter((n, n)), "b": Parameter((n,))}

    def step(self, params, h, x):
        period = np.where(np.arange(self.hidden_size) < self.hidden_size // 2, 1.0, 2.0)
        moves = np.mod(np.floor(x["t"] * 10.0), 2.0)[:, None] < period - 0.5
        new = np.tanh(x["x"] @ params["W"] + h @ params["U"] + params["b"])
        h = np.where(moves, new, h)
        return h, h


class Unitary(Cell):
    """Arjovsky et al. 2016, in real and imaginary parts: a phase for each unit, a reflection, modReLU."""

    input_size: int
    hidden_size: int

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {
            "theta": Parameter((n,)), "v_re": Parameter((n,)), "v_im": Parameter((n,)), "W_re": Parameter((m, n)),
            "W_im": Parameter((m, n)), "b": Parameter((n,)),
        }  # fmt: skip

    def state(self):
        return {"re": State((self.hidden_size,)), "im": State((self.hidden_size,))}

    def step(self, params, state, x):
        cos, sin = np.cos(params["theta"]), np.sin(params["theta"])
        re = state["re"] * cos - state["im"] * sin
        im = state["re"] * sin + state["im"] * cos
        vr, vi = params["v_re"], params["v_im"]
        norm = np.sum(vr**2 + vi**2)
        p = (re @ vr + im @ vi) / norm
        q = (im @ vr - re @ vi) / norm
        re = re - 2 * (p[:, None] * vr - q[:, None] * vi) + x @ params["W_re"]
        im = im - 2 * (p[:, None] * vi + q[:, None] * vr) + x @ params["W_im"]
        size = np.sqrt(re**2 + im**2 + 1e-4)
        factor = np.maximum(size + params["b"], 0) / size
        return {"re": re * factor, "im": im * factor}, np.concatenate([re, im], axis=-1)


class Phased(Pair):
    """Neil et al. 2016, equations 6 to 10: a time gate that opens for a part of each period; the time comes with x."""

    def inputs(self):
        return (Input((self.input_size,)), Input(()))

    def parameters(self):
        n = self.hidden_size
        return {**gates("ifgo", self.input_size, n), "tau": Parameter((n,)), "s": Parameter((n,))}

    def step(self, params, state, inputs):
        h, c = state
        x, time = inputs
        phi = np.mod(time[:, None] - params["s"], 1.0)
        k = np.where(phi < 0.05, 2 * phi / 0.1, np.where(phi < 0.1, 2 - 2 * phi / 0.1, 1e-3 * phi))
        i, f, o = (sigmoid(x @ params[f"W_{a}"] + h @ params[f"U_{a}"] + params[f"b_{a}"]) for a in "ifo")
        new = f * c + i * np.tanh(x @ params["W_g"] + h @ params["U_g"] + params["b_g"])
        c = k * new + (1 - k) * c
        h = k * (o * np.tanh(new)) + (1 - k) * h
        return (h, c), h


class Mamba(Cell):
    """Gu & Dao 2023, algorithm 2, for one layer: a diagonal system whose step, input and output depend on x."""

    input_size: int
    states_size: int

    def parameters(self):
        d, n = self.input_size, self.states_size
        return {
            "A_log": Parameter((d, n)), "B": Parameter((d, n)), "C": Parameter((d, n)), "D": Parameter((d,)),
            "W_delta": Parameter((d, d)), "b_delta": Parameter((d,)),
        }  # fmt: skip

    def state(self):
        return State((self.input_size, self.states_size))

    def step(self, params, h, x):
        delta = softplus(x @ params["W_delta"] + params["b_delta"])
        B, C = x @ params["B"], x @ params["C"]
        A = -np.exp(params["A_log"])
        h = np.exp(delta[:, :, None] * A) * h + (delta * x)[:, :, None] * B[:, None, :]
        y = np.einsum("bdn,bn->bd", h, C) + params["D"] * x
        return h, y


RESERVOIR = np.random.default_rng(7).standard_normal((4, 4)) / 3.0


class EchoState(Cell):
    """Jaeger 2001: a fixed reservoir, a trained input and readout, and leaky integration."""

    input_size: int

    def parameters(self):
        return {"W_in": Parameter((self.input_size, 4)), "W_out": Parameter((4, 2))}

    def state(self):
        return State((4,))

    def step(self, params, h, x):
        alpha = 0.3
        h = (1 - alpha) * h + alpha * np.tanh(h @ RESERVOIR + x @ params["W_in"])
        return h, h @ params["W_out"]


class Neuron(NamedTuple):
    """The state of :class:`FitzHughNagumo`."""

    v: object
    w: object


class FitzHughNagumo(Cell):
    """FitzHugh 1961, one Euler step for each unit."""

    hidden_size: int

    def inputs(self):
        return Input((self.hidden_size,))

    def parameters(self):
        return {"a": Parameter(()), "b": Parameter(()), "eps": Parameter(())}

    def state(self):
        return Neuron(State((self.hidden_size,)), State((self.hidden_size,)))

    def step(self, params, state, x):
        dt = 0.01
        v, w = state.v, state.w
        dv = v - v**3 / 3 - w + x
        dw = params["eps"] * (v + params["a"] - params["b"] * w)
        new = Neuron(v + dt * dv, w + dt * dw)
        return new, new.v


class Hopfield(Cell):
    """Ramsauer et al. 2021, equation 3: a softmax over stored patterns."""

    hidden_size: int
    patterns_size: int

    def inputs(self):
        return Input((self.hidden_size,))

    def parameters(self):
        return {"X": Parameter((self.patterns_size, self.hidden_size)), "beta": Parameter(())}

    def state(self):
        return State((self.hidden_size,))

    def step(self, params, xi, x):
        xi = softmax(params["beta"] * (xi + x) @ params["X"].T, axis=-1) @ params["X"]
        return xi, xi


class Leaky(Vector):
    """A leaky integrator with a scalar state beside it, and literals of Python."""

    def state(self):
        return {"v": State((self.hidden_size,)), "count": State(())}

    def parameters(self):
        return {"W": Parameter((self.input_size, self.hidden_size)), "tau": Parameter(())}

    def step(self, params, state, x):
        rate = 1 / (1 + np.exp(-params["tau"]))
        v = state["v"] + rate * (-state["v"] + 2 * (x @ params["W"]) ** 2 - 3)
        count = 0.5 * state["count"] + np.sum(v, axis=-1) / 7
        return {"v": v, "count": count}, v * count[:, None]


class Antisymmetric(Vector):
    """Chang et al. 2019, equation 9: a weight used both ways."""

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {"W": Parameter((n, n)), "V": Parameter((m, n)), "b": Parameter((n,))}

    def step(self, params, h, x):
        skew = params["W"] - params["W"].T - 0.1 * np.eye(self.hidden_size)
        h = h + 0.25 * np.tanh(h @ skew.T + x @ params["V"] + params["b"])
        return h, h
