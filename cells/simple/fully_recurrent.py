"""The network in which every unit sees every unit."""

from typing import Any

import numpy as np

from tapegrad.errors import OptionError
from tapegrad.functions import sigmoid
from tapegrad.rules import stop_gradient

from ..base import Cell
from ..initializers import Uniform
from ..registry import register
from ..specs import Input, Parameter, State

Mask = tuple[tuple[bool, ...], ...]


@register()
class FullyRecurrent(Cell):
    """The fully recurrent network of real-time recurrent learning: each unit sees every unit and every input.

    ::

        s_t = x_t (C_x * W_x) + y_{t-1} (C_y * W_y) + b
        y_t = sigmoid(s_t)

    Parameters
    ----------
    input_size, hidden_size : int
        Numbers of inputs m and of units n.
    connections : sequence of m + n sequences of n bool, optional
        C_x above C_y: a row for each input and then for each unit, and a column for the unit that a connection goes to.
        Connections that are False do not exist: their weights count as 0 and are not learned. By default all exist.
    outputs : int, optional
        How many units are outputs: the first so many, the others are hidden. By default all are outputs.
    trained : sequence of m + n sequences of n bool, optional
        As ``connections``: those that are False here keep the weight that they start from. They are read like the
        others, and their gradient is 0. By default all are trained.
    teacher_forcing : bool
        Whether xs says, for each step, which outputs are to be taken at a given value before it::

            y_{t-1} = d_t where forced_t

        What such a unit has computed is not read by this step, and so no gradient goes back through it here. At step t
        stands what the outputs were to be after step t - 1.

    Raises
    ------
    OptionError
        When ``connections``, ``trained`` or ``outputs`` do not fit the sizes.

    Notes
    -----
    State: y of all units, an array (B, hidden_size), 0 at first. Output: y of the outputs. Inputs: x, or with
    ``teacher_forcing`` the dict of x (T, B, input_size), d (T, B, outputs) and the boolean forced (T, B, outputs). The
    bias is the paper's weight from an input that is always 1, and W_x above W_y is its matrix w, transposed. All are
    drawn from U[-0.1, 0.1). An optimiser that changes weights without a gradient (weight decay) is to be told of those
    that are not trained, with :class:`tapegrad.training.Frozen`.

    References
    ----------
    Williams & Zipser 1989, "A learning algorithm for continually running fully recurrent neural networks".
    """

    source = "Williams & Zipser 1989"

    input_size: int
    hidden_size: int
    connections: Mask | None = None
    outputs: int | None = None
    teacher_forcing: bool = False
    trained: Mask | None = None

    def __post_init__(self) -> None:
        m, n = self.input_size, self.hidden_size
        for option in ("connections", "trained"):
            if getattr(self, option) is not None:
                object.__setattr__(self, option, _checked_mask(option, getattr(self, option), m, n))
        super().__post_init__()
        if self.outputs is not None and not 1 <= self.outputs <= n:
            raise OptionError(f"FullyRecurrent: outputs={self.outputs!r}, expected how many of {n} units are outputs")

    @property
    def output_size(self) -> int:
        return self.hidden_size if self.outputs is None else self.outputs

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        small = Uniform(-0.1, 0.1)
        return {
            "W_x": Parameter((m, n), init=small),
            "W_y": Parameter((n, n), init=small),
            "b": Parameter((n,), init=small),
        }

    def state(self) -> State:
        return State((self.hidden_size,))

    def inputs(self) -> Any:
        x, units = Input((self.input_size,)), (self.output_size,)
        return {"x": x, "d": Input(units), "forced": Input(units, dtype=bool)} if self.teacher_forcing else x

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        y, k, n = state, self.output_size, self.hidden_size
        W_x, W_y = params["W_x"], params["W_y"]
        if self.teacher_forcing:
            x, known = x["x"], np.where(x["forced"], x["d"], y[:, :k])
            y = known if k == n else np.concatenate([known, y[:, k:]], axis=-1)
        if self.trained is not None:
            T = np.asarray(self.trained)
            W_x = np.where(T[: self.input_size], W_x, stop_gradient(W_x))
            W_y = np.where(T[self.input_size :], W_y, stop_gradient(W_y))
        if self.connections is not None:
            C = np.asarray(self.connections, W_y.dtype)
            W_x, W_y = C[: self.input_size] * W_x, C[self.input_size :] * W_y
        s = x @ W_x + y @ W_y + params["b"]
        y = sigmoid(s)
        return y, y if k == n else y[:, :k]


def _checked_mask(option: str, given: Any, m: int, n: int) -> Mask:
    """The mask as tuples of bool."""
    try:
        mask = np.asarray(given)
    except ValueError:  # rows of different lengths
        mask = np.empty(0)
    if mask.shape != (m + n, n) or not np.isin(mask, (0, 1)).all():
        raise OptionError(
            f"FullyRecurrent: {option} has shape {mask.shape} and dtype {mask.dtype}, expected {m + n} rows "
            f"(inputs, then units) of {n} values True or False; write np.ones(({m + n}, {n}), bool) and set some False"
        )
    return tuple(tuple(map(bool, row)) for row in mask.tolist())
