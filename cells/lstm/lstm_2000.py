"""Long short-term memory with forget gates, as they were published first."""

from typing import Any

import numpy as np

from tapegrad.functions import sigmoid
from tapegrad.rules import stop_gradient

from ..base import Cell
from ..registry import register
from ..specs import Parameter, State
from .blocks import check_biased, per_block, spread
from .squashing import SQUASHINGS, check_squashings


def _blocks(rng: np.random.Generator) -> "LSTM2000":
    m, count = rng.permutation([1, 3, 4])[:2].tolist()
    return LSTM2000(m, count, 2)


@register(variants={"blocks, truncated": _blocks})
class LSTM2000(Cell):
    """Long short-term memory with forget gates: memory cell blocks whose gates see the cells' outputs.

    ::

        i_t = sigmoid(x_t W_xi + y_{t-1} W_yi + b_i)     input gates, one for each block
        f_t = sigmoid(x_t W_xf + y_{t-1} W_yf + b_f)     forget gates
        o_t = sigmoid(x_t W_xo + y_{t-1} W_yo + b_o)     output gates
        z_t = x_t W_xc + y_{t-1} W_yc + b_c              net inputs of the cells
        s_t = f_t * s_{t-1} + i_t * g(z_t)               internal states
        y_t = o_t * h(s_t)                               cell outputs

    The gate of a block is that of all its cells: in the last two lines the gates have ``block_size`` copies of each
    element side by side.

    Parameters
    ----------
    input_size : int
    block_count : int
        How many memory cell blocks there are.
    block_size : int
        How many cells are in each. The cells of a block stand side by side.
    biased : str
        Which units have a bias, of the letters i, f and o for the gates and c for the cells.
    input_bias, forget_bias, output_bias : float or tuple of float
        What the biases of the gates start from; a tuple has a number for each block. The paper has -0.5, -1, -1.5 and
        -2 for input and output gates, and 0.5, 1, 1.5 and 2 for forget gates.
    truncated : bool
        Whether the gradient is the truncated one of the paper: nothing flows into y_{t-1}. False for that of the
        equations above.
    g, h : str
        Squashing functions: "4 sigmoid - 2", "2 sigmoid - 1", "sigmoid", "tanh" or "identity".

    Raises
    ------
    OptionError
        When an option makes no sense.

    Notes
    -----
    State: (y, s), two arrays (B, block_count * block_size), 0 at first; output: y. Weights and the biases of the cells
    are drawn from U[-0.1, 0.1). With blocks of one cell, tanh for g and h, all units biased and the full gradient it is
    :class:`LSTM`.

    References
    ----------
    Gers, Schmidhuber & Cummins 2000, "Learning to forget: Continual prediction with LSTM", equations 1 to 8. Their
    network for the continual embedded Reber grammar has 4 blocks of 2 cells.
    """

    source = "Gers, Schmidhuber & Cummins 2000"

    input_size: int
    block_count: int
    block_size: int = 1
    biased: str = "ifo"
    input_bias: float | tuple[float, ...] = 0.0
    forget_bias: float | tuple[float, ...] = 1.0
    output_bias: float | tuple[float, ...] = 0.0
    truncated: bool = True
    g: str = "4 sigmoid - 2"
    h: str = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_squashings("LSTM2000", g=self.g, h=self.h)
        check_biased(self, "ifo")
        for option in ("input_bias", "forget_bias", "output_bias"):
            per_block(self, option)

    @property
    def output_size(self) -> int:
        return self.block_count * self.block_size

    def parameters(self) -> dict[str, Parameter]:
        m, n, k = self.input_size, self.output_size, self.block_count
        starts = {unit: per_block(self, f"{name}_bias") for unit, name in zip("ifo", _GATES, strict=True)}
        declared = {}
        for unit, size in {"i": k, "f": k, "o": k, "c": n}.items():
            declared[f"W_x{unit}"] = Parameter((m, size), init="uniform")
            declared[f"W_y{unit}"] = Parameter((n, size), init="uniform")
            if unit in self.biased:
                declared[f"b_{unit}"] = Parameter((size,), init=starts.get(unit, "uniform"))
        return declared

    def state(self) -> tuple[State, State]:
        return State((self.output_size,)), State((self.output_size,))

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        y, s = state
        seen = stop_gradient(y) if self.truncated else y

        def net(unit: str) -> Any:
            total = x @ params[f"W_x{unit}"] + seen @ params[f"W_y{unit}"]
            return total + params[f"b_{unit}"] if unit in self.biased else total

        i, f, o, z = sigmoid(net("i")), sigmoid(net("f")), sigmoid(net("o")), net("c")
        s = spread(f, self.block_size) * s + spread(i, self.block_size) * SQUASHINGS[self.g](z)
        y = spread(o, self.block_size) * SQUASHINGS[self.h](s)
        return (y, s), y


_GATES = ("input", "forget", "output")
