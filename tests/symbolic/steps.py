"""Cells that no library has, for what a derivation has to read."""

import numpy as np

from tapegrad.cells import Cell, Input, Parameter, State
from tapegrad.functions import softmax


class SoftmaxRNN(Cell):
    """Goodfellow, Bengio & Courville 2016, equations 10.8 to 10.11, in their letters."""

    input_size: int
    hidden_size: int
    classes_size: int
    named: bool = False

    def parameters(self):
        m, n, k = self.input_size, self.hidden_size, self.classes_size
        return {
            "U": Parameter((m, n)), "W": Parameter((n, n)), "V": Parameter((n, k)), "b": Parameter((n,), init="zeros"),
            "c": Parameter((k,), init="zeros"),
        }  # fmt: skip

    def state(self):
        return State((self.hidden_size,))

    def step(self, params, h, x):
        a = params["b"] + h @ params["W"] + x @ params["U"]
        h = np.tanh(a)
        o = params["c"] + h @ params["V"]
        if self.named:
            yhat = softmax(o, axis=-1)  # noqa: F841 - a name for what the loss will compute
        return h, o


class Memory(Cell):
    """A memory of a matrix for each row, read by attention; tokens, slices, a cumulative sum, a weight used twice."""

    vocabulary_size: int
    hidden_size: int

    def parameters(self):
        n = self.hidden_size
        return {
            "E": Parameter((self.vocabulary_size, n)), "W": Parameter((n, n)), "A": Parameter((n, n)),
            "s": Parameter((), init=0.5),
        }  # fmt: skip

    def inputs(self):
        return Input((), np.int64)

    def state(self):
        return {"h": State((self.hidden_size,)), "M": State((3, self.hidden_size))}

    def step(self, params, state, x):
        h, M = state["h"], state["M"]
        e = params["E"][x]
        w = softmax(np.einsum("bnm,bm->bn", M, h), axis=-1)
        read = np.einsum("bn,bnm->bm", w, M)
        h = np.tanh(e + params["s"] * read @ params["W"] + h @ params["W"].T)
        k = np.concatenate([h[:, :2], np.cumsum(e, axis=-1)[:, 2:]], axis=-1)
        M = 0.9 * M + w[:, :, None] * (h @ params["A"])[:, None, :]
        return {"h": h, "M": M}, np.sum(h * k, axis=-1)


class Deep(Cell):
    """One variable that is given a new value many times."""

    input_size: int
    hidden_size: int
    depth: int = 8

    def parameters(self):
        n = self.hidden_size
        return {"U": Parameter((self.input_size, n)), **{f"W{i}": Parameter((n, n)) for i in range(self.depth)}}

    def state(self):
        return State((self.hidden_size,))

    def step(self, params, state, x):
        s = state
        for i in range(self.depth):
            s = 0.1 * s * (1.0 - s) + np.tanh(s @ params[f"W{i}"] + (x @ params["U"] if i == 0 else 0.0)) * s
        return s, s
