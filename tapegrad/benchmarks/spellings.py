"""The LSTM, written in other ways: whoever knows only one way of writing it is slow on the others."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.cells import LSTM

from ..functions import sigmoid


class OtherOrder(LSTM):
    """Gates in another order, products before biases, and the bias in front or behind."""

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        p, (h, c) = params, state
        o = sigmoid(p["b_o"] + h @ p["W_ho"] + x @ p["W_xo"])
        g = np.tanh(h @ p["W_hg"] + (x @ p["W_xg"] + p["b_g"]))
        f = sigmoid((h @ p["W_hf"] + p["b_f"]) + x @ p["W_xf"])
        i = sigmoid(x @ p["W_xi"] + p["b_i"] + h @ p["W_hi"])
        c = g * i + c * f
        h = np.tanh(c) * o
        return (h, c), h


class Einsum(LSTM):
    """Products as Einstein sums, the logistic function by its formula."""

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        p, (h, c) = params, state

        def gate(k: str) -> Any:
            return np.einsum("bi,ij->bj", x, p[f"W_x{k}"]) + np.einsum("bi,ij->bj", h, p[f"W_h{k}"]) + p[f"b_{k}"]

        i, f, o = (1 / (1 + np.exp(-gate(k))) for k in "ifo")
        c = f * c + i * np.tanh(gate("g"))
        h = o * np.tanh(c)
        return (h, c), h


class Swapped(LSTM):
    """Column vectors: operands the other way round, everything turned twice."""

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        p, (h, c) = params, state

        def gate(k: str) -> Any:
            return (p[f"W_h{k}"].T @ h.T).T + (p[f"W_x{k}"].T @ x.T).T + p[f"b_{k}"]

        i, f, o = (sigmoid(gate(k)) for k in "ifo")
        c = f * c + i * np.tanh(gate("g"))
        h = o * np.tanh(c)
        return (h, c), h


class OneProduct(LSTM):
    """All gates cut out of one product of [x, h] with stacked weights."""

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        p, (h, c) = params, state
        n = self.hidden_size
        W = np.concatenate([np.concatenate([p[f"W_{of}{k}"] for k in "ifgo"], axis=1) for of in "xh"])
        z = np.concatenate([x, h], axis=1) @ W + np.concatenate([p[f"b_{k}"] for k in "ifgo"])
        i, f, g, o = sigmoid(z[:, :n]), sigmoid(z[:, n : 2 * n]), np.tanh(z[:, 2 * n : 3 * n]), sigmoid(z[:, 3 * n :])
        c = f * c + i * g
        h = o * np.tanh(c)
        return (h, c), h


SPELLINGS = {"other order": OtherOrder, "einsum": Einsum, "swapped": Swapped, "one product": OneProduct}
