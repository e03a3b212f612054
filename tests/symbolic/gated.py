"""Recurrent cells of the literature, written as their papers write them: gates and what they let through."""

import numpy as np

import tapegrad as tg
from tapegrad.cells import Cell, Parameter, State
from tapegrad.functions import sigmoid


def gates(names, m, n, recurrent=True, bias=True):
    """Parameters W_a, U_a and b_a for each gate a."""
    found = {f"W_{a}": Parameter((m, n)) for a in names}
    found.update({f"U_{a}": Parameter((n, n)) for a in names if recurrent})
    found.update({f"b_{a}": Parameter((n,)) for a in names if bias})
    return found


class Vector(Cell):
    """A cell whose state is one vector."""

    input_size: int
    hidden_size: int

    def state(self):
        return State((self.hidden_size,))


class Pair(Cell):
    """A cell whose state is h and c."""

    input_size: int
    hidden_size: int

    def state(self):
        return State((self.hidden_size,)), State((self.hidden_size,))


class IndRNN(Vector):
    """Li et al. 2018, equation 2."""

    def parameters(self):
        n = self.hidden_size
        return {"W": Parameter((self.input_size, n)), "u": Parameter((n,)), "b": Parameter((n,))}

    def step(self, params, h, x):
        h = np.maximum(0, x @ params["W"] + params["u"] * h + params["b"])
        return h, h


class SRU(Cell):
    """Lei et al. 2018, equations 1 to 4; the input is as long as the state."""

    hidden_size: int

    def inputs(self):
        return tg.cells.Input((self.hidden_size,))

    def parameters(self):
        n = self.hidden_size
        return {
            **gates("fr", n, n, recurrent=False), "W": Parameter((n, n)), "v_f": Parameter((n,)),
            "v_r": Parameter((n,)), "alpha": Parameter(()),
        }  # fmt: skip

    def state(self):
        return State((self.hidden_size,))

    def step(self, params, c, x):
        f = sigmoid(x @ params["W_f"] + params["v_f"] * c + params["b_f"])
        r = sigmoid(x @ params["W_r"] + params["v_r"] * c + params["b_r"])
        c = f * c + (1 - f) * (x @ params["W"])
        h = r * c + (1 - r) * x * params["alpha"]
        return c, h


class QRNN(Cell):
    """Bradbury et al. 2017, section 2: a convolution of width two, which keeps the last input; fo-pooling."""

    input_size: int
    hidden_size: int

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {f"W_{a}{k}": Parameter((m, n)) for a in "zfo" for k in (1, 2)}

    def state(self):
        return {"c": State((self.hidden_size,)), "last": State((self.input_size,))}

    def step(self, params, state, x):
        last = state["last"]
        z = np.tanh(last @ params["W_z1"] + x @ params["W_z2"])
        f = sigmoid(last @ params["W_f1"] + x @ params["W_f2"])
        o = sigmoid(last @ params["W_o1"] + x @ params["W_o2"])
        c = f * state["c"] + (1.0 - f) * z
        return {"c": c, "last": x}, o * c


class MinimalGRU(Vector):
    """Ravanelli et al. 2018, the light GRU, without its normalisation."""

    def parameters(self):
        return gates("zh", self.input_size, self.hidden_size)

    def step(self, params, h, x):
        z = sigmoid(x @ params["W_z"] + h @ params["U_z"] + params["b_z"])
        htilde = np.maximum(x @ params["W_h"] + h @ params["U_h"] + params["b_h"], 0.0)
        h = z * h + (1 - z) * htilde
        return h, h


class MGU(Vector):
    """Zhou et al. 2016, equation 8: one gate, used twice."""

    def parameters(self):
        return gates("fh", self.input_size, self.hidden_size)

    def step(self, params, h, x):
        f = sigmoid(h @ params["U_f"] + x @ params["W_f"] + params["b_f"])
        htilde = np.tanh((f * h) @ params["U_h"] + x @ params["W_h"] + params["b_h"])
        h = (1 - f) * h + f * htilde
        return h, h


class DiagonalPeepholes(Pair):
    """Gers et al. 2002; weights in one matrix, gates by slices, as most code has them."""

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {
            "W": Parameter((m, 4 * n)), "U": Parameter((n, 4 * n)), "b": Parameter((4 * n,)), "p_i": Parameter((n,)),
            "p_f": Parameter((n,)), "p_o": Parameter((n,)),
        }  # fmt: skip

    def step(self, params, state, x):
        h, c = state
        n = self.hidden_size
        z = x @ params["W"] + h @ params["U"] + params["b"]
        i = sigmoid(z[:, :n] + params["p_i"] * c)
        f = sigmoid(z[:, n : 2 * n] + params["p_f"] * c)
        c = f * c + i * np.tanh(z[:, 2 * n : 3 * n])
        o = sigmoid(z[:, 3 * n :] + params["p_o"] * c)
        h = o * np.tanh(c)
        return (h, c), h


class SplitLSTM(Pair):
    """The same gates without names of their own, from ``np.split``."""

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {"W": Parameter((m + n, 4 * n)), "b": Parameter((4 * n,))}

    def step(self, params, state, x):
        h, c = state
        i, f, g, o = np.split(np.concatenate([x, h], axis=-1) @ params["W"] + params["b"], 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return (h, c), h


class FullPeepholes(Pair):
    """Graves 2013, equations 7 to 11, with matrices from the cell to the gates."""

    def parameters(self):
        n = self.hidden_size
        return {**gates("ifco", self.input_size, n), **{f"P_{a}": Parameter((n, n)) for a in "ifo"}}

    def step(self, params, state, x):
        h, c = state

        def into(a):
            return x @ params[f"W_{a}"] + h @ params[f"U_{a}"] + params[f"b_{a}"]

        i = sigmoid(into("i") + c @ params["P_i"])
        f = sigmoid(into("f") + c @ params["P_f"])
        c = f * c + i * np.tanh(into("c"))
        o = sigmoid(into("o") + c @ params["P_o"])
        h = o * np.tanh(c)
        return (h, c), h


class CIFG(Pair):
    """Greff et al. 2017: input and forget gate coupled, i = 1 - f."""

    def parameters(self):
        return gates("fgo", self.input_size, self.hidden_size)

    def step(self, params, state, x):
        h, c = state
        f = sigmoid(x @ params["W_f"] + h @ params["U_f"] + params["b_f"])
        g = np.tanh(x @ params["W_g"] + h @ params["U_g"] + params["b_g"])
        o = sigmoid(x @ params["W_o"] + h @ params["U_o"] + params["b_o"])
        c = f * c + (1 - f) * g
        h = o * np.tanh(c)
        return (h, c), h


class LSTMP(Cell):
    """Sak et al. 2014: a projection between the cell and what is fed back."""

    input_size: int
    hidden_size: int
    projection_size: int

    def parameters(self):
        m, n, k = self.input_size, self.hidden_size, self.projection_size
        found = {f"W_{a}": Parameter((m, n)) for a in "ifgo"}
        found.update({f"U_{a}": Parameter((k, n)) for a in "ifgo"})
        return {**found, "P": Parameter((n, k))}

    def state(self):
        return State((self.projection_size,)), State((self.hidden_size,))

    def step(self, params, state, x):
        r, c = state
        i, f, o = (sigmoid(x @ params[f"W_{a}"] + r @ params[f"U_{a}"]) for a in "ifo")
        g = np.tanh(x @ params["W_g"] + r @ params["U_g"])
        c = f * c + i * g
        r = (o * np.tanh(c)) @ params["P"]
        return (r, c), r


def normalised(z, gain, bias):
    """Ba, Kiros & Hinton 2016, equation 4."""
    mu = np.mean(z, axis=-1, keepdims=True)
    var = np.mean((z - mu) ** 2, axis=-1, keepdims=True)
    return gain * (z - mu) / np.sqrt(var + 1e-3) + bias


class NormalisedRNN(Vector):
    """Ba, Kiros & Hinton 2016, section 3.1."""

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {
            "W": Parameter((m, n)), "U": Parameter((n, n)), "gain": Parameter((n,)), "b": Parameter((n,)),
        }  # fmt: skip

    def step(self, params, h, x):
        a = h @ params["U"] + x @ params["W"]
        h = np.tanh(normalised(a, params["gain"], params["b"]))
        return h, h


class NormalisedLSTM(Pair):
    """Ba, Kiros & Hinton 2016, equations 20 to 22."""

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {
            "W": Parameter((m, 4 * n)), "U": Parameter((n, 4 * n)),
            **{f"gain{k}": Parameter((4 * n if k < 3 else n,)) for k in (1, 2, 3)},
            **{f"b{k}": Parameter((4 * n if k < 3 else n,)) for k in (1, 2, 3)},
        }  # fmt: skip

    def step(self, params, state, x):
        h, c = state
        a = normalised(h @ params["U"], params["gain1"], params["b1"])
        a = a + normalised(x @ params["W"], params["gain2"], params["b2"])
        f, i, o, g = np.split(a, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(normalised(c, params["gain3"], params["b3"]))
        return (h, c), h


class MultiplicativeLSTM(Pair):
    """Krause et al. 2017, equations 14 to 18."""

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {**gates("hifo", m, n, bias=False), "W_m": Parameter((m, n)), "U_m": Parameter((n, n))}

    def step(self, params, state, x):
        h, c = state
        m = (x @ params["W_m"]) * (h @ params["U_m"])
        g = np.tanh(x @ params["W_h"] + m @ params["U_h"])
        i = sigmoid(x @ params["W_i"] + m @ params["U_i"])
        f = sigmoid(x @ params["W_f"] + m @ params["U_f"])
        o = sigmoid(x @ params["W_o"] + m @ params["U_o"])
        c = f * c + i * g
        h = np.tanh(c * o)
        return (h, c), h


class Highway(Vector):
    """Zilly et al. 2017, equations 6 to 9: three layers within a step."""

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        layers = [{"R_h": Parameter((n, n)), "R_t": Parameter((n, n)), "b_h": Parameter((n,))} for _ in range(3)]
        return {"W_h": Parameter((m, n)), "W_t": Parameter((m, n)), "layers": layers}

    def step(self, params, s, x):
        for k, layer in enumerate(params["layers"]):
            first = 1.0 if k == 0 else 0.0
            h = np.tanh(first * (x @ params["W_h"]) + s @ layer["R_h"] + layer["b_h"])
            t = sigmoid(first * (x @ params["W_t"]) + s @ layer["R_t"] - 1.0)
            s = h * t + s * (1 - t)
        return s, s
