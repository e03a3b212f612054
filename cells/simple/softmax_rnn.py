"""The recurrent network of the textbooks, which gives the probabilities of classes at each step."""

from typing import Any

import numpy as np

from tapegrad.functions import softmax

from ..base import Cell
from ..registry import register
from ..specs import Parameter, State


def _several_classes(rng: np.random.Generator) -> "SoftmaxRNN":
    m, n, k = rng.permutation(np.arange(2, 6))[:3].tolist()  # the softmax over a single class is constant
    return SoftmaxRNN(m, n, k)


@register(variants={"": _several_classes, "logits": {"logits": True}})
class SoftmaxRNN(Cell):
    """The textbook's recurrent network, with its output inside of the cell.

    ::

        a_t = b + h_{t-1} W + x_t U
        h_t = tanh(a_t)
        o_t = c + h_t V
        y_t = softmax(o_t)

    Parameters
    ----------
    input_size, hidden_size, output_size : int
    logits : bool
        Whether the output is o_t, as :func:`tapegrad.softmax_cross_entropy` takes it, in the place of y_t. A
        loss is exact for every o_t then, where the logarithm of a probability that has become 0 is not finite. The
        parameters are the same: ``dataclasses.replace(cell, logits=False)`` gives the probabilities of a trained cell.

    Notes
    -----
    State: h, an array (B, hidden_size), 0 at first. Output: y (or o), an array (B, output_size). Weights are Glorot's,
    the recurrent ones orthogonal, biases 0. ``record="o"`` returns the logits of every step beside the probabilities.

    References
    ----------
    Goodfellow, Bengio & Courville 2016, equations 10.8 to 10.11, in their letters; the matrices are transposed.
    """

    source = "Goodfellow, Bengio & Courville 2016, equations 10.8 to 10.11"

    input_size: int
    hidden_size: int
    output_size: int
    logits: bool = False

    def parameters(self) -> dict[str, Parameter]:
        m, n, k = self.input_size, self.hidden_size, self.output_size
        return {
            "U": Parameter((m, n)),
            "W": Parameter((n, n), init="orthogonal"),
            "b": Parameter((n,), init="zeros"),
            "V": Parameter((n, k)),
            "c": Parameter((k,), init="zeros"),
        }

    def state(self) -> State:
        return State((self.hidden_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h = state
        a = params["b"] + h @ params["W"] + x @ params["U"]
        h = np.tanh(a)
        o = params["c"] + h @ params["V"]
        if self.logits:
            return h, o
        y = softmax(o)
        return h, y
