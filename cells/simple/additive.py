"""Memory that is only added to."""

from typing import Any

import numpy as np

from ..activations import ACTIVATIONS, check_activation
from ..base import Cell
from ..registry import register
from ..specs import Parameter, State


@register(variants={"": {}, "squashed": {"squashed": True}})
class Additive(Cell):
    """A memory that each input is added to, so that the gradient through it neither vanishes nor explodes.

    ::

        h_t = h_{t-1} + g(x_t) W

    or, squashed,

    ::

        c_t = c_{t-1} + g(x_t) W
        h_t = tanh(c_t)

    Parameters
    ----------
    input_size, hidden_size : int
    activation : {"tanh", "sigmoid", "relu", "identity"}
        g.
    squashed : bool
        Whether the output is tanh of the memory. The gradient from one step's memory to the next is the identity either
        way; the squashed output is bounded, and shuts its own gradient where the memory is large.

    Notes
    -----
    State: the memory, an array (B, hidden_size), 0 at first. Output: h. Weights are Glorot's.

    References
    ----------
    The constant error carrousel of Hochreiter & Schmidhuber 1997, section 3.2, without gates.
    """

    source = "Hochreiter & Schmidhuber 1997, section 3.2, without gates"

    input_size: int
    hidden_size: int
    activation: str = "tanh"
    squashed: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activation("Additive", "activation", self.activation)

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def parameters(self) -> dict[str, Parameter]:
        return {"W": Parameter((self.input_size, self.hidden_size))}

    def state(self) -> State:
        return State((self.hidden_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        g = ACTIVATIONS[self.activation]
        if self.squashed:
            c = state + g(x) @ params["W"]
            h = np.tanh(c)
            return c, h
        h = state + g(x) @ params["W"]
        return h, h
