"""Cells of the less usual kinds: tokens, counters, matrices, several inputs, nothing carried, rows that mix."""

import numpy as np

from tapegrad import take
from tapegrad.cells import Cell, Input, Parameter, State
from tapegrad.functions import sigmoid, softmax


class Tokens(Cell):
    """Embedded tokens beside vectors and a mask; a counter, a flag and a matrix in the state."""

    vocabulary_size: int = 7
    input_size: int = 2
    hidden_size: int = 4

    def parameters(self):
        n = self.hidden_size
        return {
            "E": Parameter((self.vocabulary_size, n)), "layers": [Parameter((self.input_size, n)), Parameter((n, n))],
            "tau": Parameter((), init=2.0),
        }  # fmt: skip

    def inputs(self):
        return {"token": Input((), np.int64), "v": Input((self.input_size,)), "keep": Input((), np.bool_)}

    def state(self):
        n = self.hidden_size
        return {"A": State((n, n)), "count": State((), np.int64), "any": State((), np.bool_), "h": State((n,))}

    def step(self, params, state, x):
        count, seen = state["count"] + 1, state["any"] | x["keep"]
        e = params["E"][x["token"]] + x["v"] @ params["layers"][0]
        read = np.einsum("bi,bij->bj", state["h"], state["A"])
        h = np.tanh((e + read @ params["layers"][1]) / np.sqrt(params["tau"]))
        h = np.where(x["keep"][:, None], h, state["h"]) / (1.0 + 0.1 * count[:, None])
        A = 0.9 * state["A"] + h[:, :, None] * e[:, None, :]
        return {"A": A, "count": count, "any": seen, "h": h}, {"h": h, "count": count}


class OneHot(Cell):
    """A table of one-hot vectors: the number of tokens stands in the option alone."""

    vocabulary_size: int = 5
    hidden_size: int = 3

    def parameters(self):
        return {"W": Parameter((3, self.hidden_size))}

    def inputs(self):
        return Input((), np.int32)

    def state(self):
        return State((self.hidden_size,))

    def step(self, params, h, x):
        codes = take(np.eye(self.vocabulary_size), x, axis=0)
        h = sigmoid(0.5 * h + codes[:, :3] @ params["W"])
        return h, None


class Mixing(Cell):
    """Each row sees the mean over all."""

    input_size: int = 2

    def parameters(self):
        return {"w": Parameter((self.input_size,), init=1.0)}

    def state(self):
        return State((self.input_size,))

    def step(self, params, h, x):
        h = np.tanh(params["w"] * h + x - np.mean(x, axis=0))
        return h, h


class Positive(Cell):
    """It has numbers near its initial values only: a logarithm of a parameter, a root of a state."""

    input_size: int = 3

    def parameters(self):
        return {"rate": Parameter((self.input_size,), init=0.6)}

    def state(self):
        return State((self.input_size,), init=0.5)

    def step(self, params, s, x):
        s = np.sqrt(s) * np.exp(np.log(params["rate"]) * softmax(x))
        return s, s


class Anything(Cell):
    """It does not say what it takes."""

    def parameters(self):
        return {"a": Parameter((), init=0.5)}

    def state(self):
        return State(())

    def step(self, params, s, x):
        s = params["a"] * s + np.sum(x, axis=-1)
        return s, s


class Stateless(Cell):
    """Nothing is carried."""

    input_size: int = 2
    hidden_size: int = 3

    def parameters(self):
        return {"W": Parameter((self.input_size, self.hidden_size))}

    def step(self, params, state, x):
        return state, np.sin(x @ params["W"])


class InPlace(Cell):
    """Written with ``+=``, which gives a Tensor's name a new value."""

    input_size: int = 2

    def parameters(self):
        return {"w": Parameter((self.input_size,), init=0.5)}

    def state(self):
        return State((self.input_size,))

    def step(self, params, s, x):
        before = self.kept(s)
        x *= params["w"]
        s += np.tanh(x)
        return s, before * s

    def kept(self, s):
        return s + 0.0


ODD = (Tokens(), OneHot(), Mixing(), Positive(), Stateless(), InPlace())
