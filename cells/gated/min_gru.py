"""A gated unit whose gate and candidate see the input alone."""

from typing import Any

from tapegrad.functions import sigmoid

from ..base import Cell
from ..registry import register
from ..specs import Parameter, State


@register()
class MinGRU(Cell):
    """The minimal GRU that can be computed for all steps at once: nothing but the sum reads the old state.

    ::

        z_t = sigmoid(x_t W_xz + b_z)                        update gate
        n_t = x_t W_xn + b_n                                 candidate
        h_t = (1 - z_t) * h_{t-1} + z_t * n_t

    Parameters
    ----------
    input_size, hidden_size : int

    Notes
    -----
    State and output: an array (B, hidden_size), 0 at first. Weights are Glorot's, biases 0. Units do not see each other
    within a layer, so stack two cells at least. All products are with inputs: a compiled loop does those of many steps
    as one.

    References
    ----------
    Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, "Were RNNs all we needed?", minGRU.
    """

    source = "Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, minGRU"

    input_size: int
    hidden_size: int

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        return {
            "W_xz": Parameter((m, n)),
            "b_z": Parameter((n,), init="zeros"),
            "W_xn": Parameter((m, n)),
            "b_n": Parameter((n,), init="zeros"),
        }

    def state(self) -> State:
        return State((self.hidden_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h = state
        z = sigmoid(x @ params["W_xz"] + params["b_z"])
        n = x @ params["W_xn"] + params["b_n"]
        h = (1 - z) * h + z * n
        return h, h
