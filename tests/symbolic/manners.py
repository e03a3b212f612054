"""Cells that are written in other manners: functions of the library within the step, containers, indices, masks."""

import numpy as np

import tapegrad as tg
from tapegrad.cells import Cell, Input, Parameter, State
from tapegrad.functions import sigmoid, softmax

from .gated import Vector


class Stopped(Vector):
    """A gradient that is stopped, a step that is computed again, and masks."""

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {"W": Parameter((m, n)), "U": Parameter((n, n))}

    def step(self, params, h, x):
        a = x @ params["W"] + tg.stop_gradient(h) @ params["U"]
        s = tg.checkpoint(lambda a, h: np.tanh(a) * h + 0.5 * np.sin(a))(a, h)
        h = np.where(s > 0.2, s, 0.1 * s)
        return h, h


@tg.custom_vjp
def rounded(x):
    """Rounding; the derivative is taken to be that of 3 tanh(x / 3)."""
    return np.floor(x + 0.5)


rounded.defvjp(lambda g, ans, x: g * (1 - np.tanh(x / 3) ** 2))


class Inner(Vector):
    """A loop within the step, with a rule of the user's own."""

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {"W": Parameter((m, n)), "U": Parameter((n, n))}

    def step(self, params, h, x):
        z = rounded(x @ params["W"])
        h, _ = tg.scan(lambda p, s, _: ((r := np.tanh(s @ p + z)), r), params["U"], h, np.zeros((3, 1)))
        return h, h


class Order(Vector):
    """Running sums, turned and rolled vectors, the largest element, and one-hot indexing."""

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {"W": Parameter((m, n)), "E": Parameter((n, n))}

    def step(self, params, h, x):
        a = x @ params["W"]
        best = np.argmax(a, axis=-1)
        h = np.tanh(np.cumsum(a, axis=-1) - 0.5 * np.flip(h, axis=-1) + np.roll(h, 1, axis=-1)) + params["E"][best]
        return h, np.max(h, axis=-1) - np.sum(h[:, ::2], axis=-1)


class Nested(Cell):
    """Parameters in lists and dictionaries, states in tuples and dictionaries; einsum with rows in front."""

    input_size: int
    hidden_size: int

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {
            "layers": [{"W": Parameter((k, n)), "U": Parameter((n, n))} for k in (m, n)],
            "head": (Parameter((n, 2)), Parameter((2,))),
        }  # fmt: skip

    def state(self):
        return {"h": (State((self.hidden_size,)), State((self.hidden_size,)))}

    def step(self, params, state, x):
        made = []
        for layer, h in zip(params["layers"], state["h"], strict=True):
            x = np.tanh(np.einsum("bi,ij->bj", x, layer["W"]) + np.einsum("ij,bi->bj", layer["U"], h))
            made.append(x)
        weight, bias = params["head"]
        return {"h": tuple(made)}, (x @ weight + bias, x)


class Dropped(Cell):
    """Dropout and zoneout whose masks come with the input, and a reset."""

    input_size: int
    hidden_size: int

    def inputs(self):
        return {"x": Input((self.input_size,)), "drop": Input((self.hidden_size,)), "reset": Input(())}

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {"W": Parameter((m, n)), "U": Parameter((n, n)), "h_0": Parameter((n,))}

    def state(self):
        return State((self.hidden_size,))

    def step(self, params, h, x):
        h = np.where(x["reset"][:, None] > 0, params["h_0"], h)
        new = np.tanh(x["x"] @ params["W"] + (h * x["drop"]) @ params["U"])
        h = x["drop"] * new + (1 - x["drop"]) * h
        return h, h


class Arithmetic(Vector):
    """Quotients, powers, roots, signs and differences, one in another, for the brackets of the print."""

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {"W": Parameter((m, n)), "U": Parameter((n, n)), "p": Parameter((n,)), "q": Parameter(())}

    def step(self, params, h, x):
        a = x @ params["W"]
        u = -(h - a) * (params["p"] + 2) / (1 + (a * h) ** 2)
        v = (-(u**2) / (3 + h**2) - 1 / (2 + params["q"] ** 2)) ** 3
        w = (u - (v - a)) / ((1 + u**2) / (2 + v**2)) + np.sqrt(1 + (u + v) ** 2) ** 3
        s = (h - np.tanh(w)) @ (params["U"] - 0.5 * params["U"].T) - (u * v) @ params["U"]
        h = np.tanh(s) * np.exp(-np.abs(w)) - 2.5 * sigmoid(-s) ** 2 * (1 - sigmoid(s))
        return h, h / (2 + np.cos(params["q"] * h)) ** 0.5


class Attention(Cell):
    """A buffer of past inputs, read by attention with two heads: tensors of three axes and more."""

    input_size: int
    slots_size: int

    def parameters(self):
        m = self.input_size
        return {"Q": Parameter((2, m, m)), "K": Parameter((2, m, m))}

    def state(self):
        return State((self.slots_size, self.input_size))

    def step(self, params, M, x):
        M = np.concatenate([M[:, 1:], x[:, None, :]], axis=1)
        q = np.einsum("bi,hij->bhj", x, params["Q"])
        k = np.einsum("bni,hij->bhnj", M, params["K"])
        w = softmax(np.einsum("bhnj,bhj->bhn", k, q) / np.sqrt(self.input_size), axis=-1)
        return M, np.einsum("bhn,bni->bhi", w, M).reshape(-1, 2 * self.input_size)
