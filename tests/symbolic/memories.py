"""Recurrent cells of the literature with matrices for a state."""

import numpy as np

from tapegrad.cells import Cell, Parameter, State
from tapegrad.functions import sigmoid, softmax


class MatrixState(Cell):
    """A cell whose state is a matrix of keys by values."""

    input_size: int
    keys_size: int
    values_size: int

    def parameters(self):
        m, k, v = self.input_size, self.keys_size, self.values_size
        return {"W_k": Parameter((m, k)), "W_v": Parameter((m, v)), "W_q": Parameter((m, k)), "w_beta": Parameter((m,))}

    def state(self):
        return State((self.values_size, self.keys_size))


class LinearAttention(Cell):
    """Katharopoulos et al. 2020, equations 16 to 20, with the exponential for a feature map."""

    input_size: int
    keys_size: int
    values_size: int

    def parameters(self):
        m, k, v = self.input_size, self.keys_size, self.values_size
        return {"W_k": Parameter((m, k)), "W_v": Parameter((m, v)), "W_q": Parameter((m, k))}

    def state(self):
        return State((self.keys_size, self.values_size)), State((self.keys_size,))

    def step(self, params, state, x):
        S, z = state
        k, q = np.exp(x @ params["W_k"]), np.exp(x @ params["W_q"])
        v = x @ params["W_v"]
        S = S + k[:, :, None] * v[:, None, :]
        z = z + k
        y = np.einsum("bk,bkv->bv", q, S) / (np.sum(q * z, axis=-1, keepdims=True) + 100.0)
        return (S, z), y


class DeltaRule(MatrixState):
    """Schlag et al. 2021, equation 24: what a key holds is moved towards the new value."""

    def step(self, params, S, x):
        k = softmax(x @ params["W_k"], axis=-1)
        q = softmax(x @ params["W_q"], axis=-1)
        v = x @ params["W_v"]
        beta = sigmoid(x @ params["w_beta"])
        held = np.einsum("bvk,bk->bv", S, k)
        S = S + beta[:, None, None] * np.einsum("bv,bk->bvk", v - held, k)
        return S, np.einsum("bvk,bk->bv", S, q)


class FastWeights(Cell):
    """Ba et al. 2016, equations 1 and 2, with two steps of the inner loop and layer normalisation."""

    input_size: int
    hidden_size: int

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {"C": Parameter((m, n)), "W": Parameter((n, n)), "g": Parameter((n,)), "b": Parameter((n,))}

    def state(self):
        return {"h": State((self.hidden_size,)), "A": State((self.hidden_size, self.hidden_size))}

    def step(self, params, state, x):
        h = state["h"]
        A = 0.95 * state["A"] + 0.5 * np.einsum("bi,bj->bij", h, h)
        z = h @ params["W"] + x @ params["C"]
        s = np.tanh(z)
        for _ in range(2):
            u = z + np.einsum("bij,bj->bi", A, s)
            u = (u - u.mean(axis=-1, keepdims=True)) / (u.std(axis=-1, keepdims=True) + 0.5)
            s = np.tanh(params["g"] * u + params["b"])
        return {"h": s, "A": A}, s


class TuringMachine(Cell):
    """Graves et al. 2014, section 3, with one head: content, interpolation, shift, sharpening; erase and add."""

    input_size: int
    hidden_size: int
    slots_size: int
    width_size: int

    def parameters(self):
        m, h, w = self.input_size, self.hidden_size, self.width_size
        return {
            "U": Parameter((m, h)), "R": Parameter((w, h)), "W": Parameter((h, h)), "b": Parameter((h,)),
            "K": Parameter((h, w)), "E": Parameter((h, w)), "A": Parameter((h, w)), "S": Parameter((h, 3)),
            "beta": Parameter((h,)), "g": Parameter((h,)),
        }  # fmt: skip

    def state(self):
        n, w = self.slots_size, self.width_size
        return {"h": State((self.hidden_size,)), "M": State((n, w)), "w": State((n,)), "r": State((w,))}

    def step(self, params, state, x):
        M = state["M"]
        h = np.tanh(x @ params["U"] + state["r"] @ params["R"] + state["h"] @ params["W"] + params["b"])
        k = np.tanh(h @ params["K"])
        norms = np.sqrt(np.sum(M * M, axis=-1) + 0.1) * np.sqrt(np.sum(k * k, axis=-1, keepdims=True) + 0.1)
        similarity = np.einsum("bnw,bw->bn", M, k) / norms
        content = softmax(np.exp(h @ params["beta"])[:, None] * similarity, axis=-1)
        g = sigmoid(h @ params["g"])[:, None]
        w = g * content + (1 - g) * state["w"]
        s = softmax(h @ params["S"], axis=-1)
        w = s[:, 0:1] * np.roll(w, -1, axis=-1) + s[:, 1:2] * w + s[:, 2:3] * np.roll(w, 1, axis=-1)
        r = np.einsum("bn,bnw->bw", w, M)
        e, a = sigmoid(h @ params["E"]), np.tanh(h @ params["A"])
        M = M * (1 - w[:, :, None] * e[:, None, :]) + w[:, :, None] * a[:, None, :]
        return {"h": h, "M": M, "w": w, "r": r}, r


class Differentiable(Cell):
    """Graves et al. 2016, methods, in part: usage, a link matrix in time, and writing by content."""

    input_size: int
    slots_size: int
    width_size: int

    def parameters(self):
        m, w = self.input_size, self.width_size
        return {"K": Parameter((m, w)), "V": Parameter((m, w)), "f": Parameter((m,)), "g": Parameter((m,))}

    def state(self):
        n, w = self.slots_size, self.width_size
        return {
            "M": State((n, w)), "u": State((n,)), "p": State((n,)), "L": State((n, n)), "w": State((n,)),
        }  # fmt: skip

    def step(self, params, state, x):
        M, u, p, L, w = (state[name] for name in ("M", "u", "p", "L", "w"))
        free = sigmoid(x @ params["f"])[:, None]
        u = (u + w - u * w) * free
        similarity = np.einsum("bnw,bw->bn", M, x @ params["K"])
        w = softmax(similarity - u, axis=-1) * sigmoid(x @ params["g"])[:, None]
        M = M * (1 - w[:, :, None]) + np.einsum("bn,bw->bnw", w, x @ params["V"])
        L = (1 - w[:, :, None] - w[:, None, :]) * L + w[:, :, None] * p[:, None, :]
        p = (1 - np.sum(w, axis=-1, keepdims=True)) * p + w
        forward = np.einsum("bij,bj->bi", L, w)
        return {"M": M, "u": u, "p": p, "L": L, "w": w}, np.einsum("bi,biw->bw", forward, M)
