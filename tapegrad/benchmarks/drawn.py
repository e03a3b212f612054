"""Three cells in the manner of ``tapegrad.testing``'s random ones, drawn once and kept.

Nobody would design them, and no library has a fast version of them. Products that share an operand, products that
wait for each other, elementwise functions of all sorts, slices and sums over features.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.cells import Cell, Parameter, State

from ..functions import sigmoid, softmax, softplus
from .cells import SMALL


class Drawn1(Cell):
    """Two states; two recurrent products of one of them, and a shift by one unit."""

    input_size: int
    hidden_size: int

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        return {
            "W_s1g1": Parameter((n, n), init=SMALL),
            "p_s2g1": Parameter((n,), init=0.5),
            "b_g1": Parameter((n,), init="zeros"),
            "W_xn1": Parameter((m, n)),
            "p_s1n1": Parameter((n,), init=0.5),
            "W_xg2": Parameter((m, n)),
            "W_s1g2": Parameter((n, n), init=SMALL),
            "p_s2g2": Parameter((n,), init=0.5),
            "b_g2": Parameter((n,), init="zeros"),
            "W_xn2": Parameter((m, n)),
            "b_n2": Parameter((n,), init="zeros"),
        }

    def state(self) -> tuple[State, State]:
        return State((self.hidden_size,)), State((self.hidden_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        s1, s2 = state
        g1 = sigmoid(s1 @ params["W_s1g1"] + s2 * params["p_s2g1"] + params["b_g1"])
        n1 = np.arctan(x @ params["W_xn1"] + s1 * params["p_s1n1"])
        t1 = np.concatenate([n1[:, 1:], s1[:, :1] * g1[:, :1]], axis=1)
        g2 = sigmoid(x @ params["W_xg2"] + s1 @ params["W_s1g2"] + s2 * params["p_s2g2"] + params["b_g2"])
        n2 = softplus(x @ params["W_xn2"] + params["b_n2"]) - 1.0
        t2 = g2 * s2 + (1.0 - g2) * n2
        return (t1, t2), g1 * np.tanh(t1)


class Drawn2(Cell):
    """Two states; products of both, added up in different ways, and a mean over features."""

    input_size: int
    hidden_size: int

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        return {
            "W_xg1": Parameter((m, n)),
            "p_s1g1": Parameter((n,), init=0.5),
            "W_s2g1": Parameter((n, n), init=SMALL),
            "b_g1": Parameter((n,), init="zeros"),
            "W_xn1": Parameter((m, n)),
            "W_s1n1": Parameter((n, n), init=SMALL),
            "W_s2n1": Parameter((n, n), init=SMALL),
            "p_s1g2": Parameter((n,), init=0.5),
            "p_s2g2": Parameter((n,), init=-0.5),
            "b_g2": Parameter((n,), init="zeros"),
            "W_s1n2": Parameter((n, n), init=SMALL),
            "b_n2": Parameter((n,), init="zeros"),
        }

    def state(self) -> tuple[State, State]:
        return State((self.hidden_size,)), State((self.hidden_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        s1, s2 = state
        g1 = sigmoid(x @ params["W_xg1"] + s1 * params["p_s1g1"] + s2 @ params["W_s2g1"] + params["b_g1"])
        n1 = softplus(x @ params["W_xn1"] + s1 @ params["W_s1n1"] + s2 @ params["W_s2n1"]) - 1.0
        t1 = np.tanh(s1 + g1 * n1)
        g2 = sigmoid(s1 * params["p_s1g2"] + s2 * params["p_s2g2"] + params["b_g2"])
        n2 = np.cos(s1 @ params["W_s1n2"] + params["b_n2"])
        t2 = 0.9 * s2 + g2 * n2
        return (t1, t2), t2 - np.mean(t2, axis=-1, keepdims=True)


class Drawn3(Cell):
    """One state; a gate, a candidate that is a sine, and a softmax over features."""

    input_size: int
    hidden_size: int

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        return {
            "W_xg1": Parameter((m, n)),
            "W_s1g1": Parameter((n, n), init=SMALL),
            "W_xn1": Parameter((m, n)),
            "W_s1n1": Parameter((n, n), init=SMALL),
            "b_n1": Parameter((n,), init="zeros"),
        }

    def state(self) -> State:
        return State((self.hidden_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        s1 = state
        g1 = sigmoid(x @ params["W_xg1"] + s1 @ params["W_s1g1"])
        n1 = np.sin(x @ params["W_xn1"] + s1 @ params["W_s1n1"] + params["b_n1"])
        t1 = g1 * s1 + (1.0 - g1) * n1
        return t1, softmax(t1)
