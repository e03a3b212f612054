"""Long short-term memory as it was published first."""

from typing import Any

import numpy as np

from tapegrad.functions import sigmoid
from tapegrad.rules import stop_gradient

from ..base import Cell
from ..registry import register
from ..specs import Parameter, State
from .blocks import check_biased, per_block, spread
from .squashing import SQUASHINGS, check_squashings


def _one_cell(rng: np.random.Generator) -> "LSTM1997":
    m, count = rng.permutation(np.arange(2, 6))[:2].tolist()
    return LSTM1997(m, count)


def _blocks(rng: np.random.Generator) -> "LSTM1997":
    m, count = rng.permutation([1, 3, 4])[:2].tolist()
    return LSTM1997(m, count, 2, biased="io", truncated=False)


@register(variants={"truncated": _one_cell, "blocks, full gradient": _blocks})
class LSTM1997(Cell):
    """Long short-term memory of 1997: memory cell blocks, no forget gate, a hidden layer of cells and gates.

    ::

        i_t = sigmoid(x_t W_xi + y_{t-1} W_yi + i_{t-1} W_ii + o_{t-1} W_oi + b_i)    input gates, one for each block
        o_t = sigmoid(x_t W_xo + y_{t-1} W_yo + i_{t-1} W_io + o_{t-1} W_oo + b_o)    output gates
        z_t = x_t W_xc + y_{t-1} W_yc + i_{t-1} W_ic + o_{t-1} W_oc + b_c             net inputs of the cells
        s_t = s_{t-1} + i_t * g(z_t)                                                  internal states
        y_t = o_t * h(s_t)                                                            cell outputs

    The gate of a block is that of all its cells: i_t and o_t have, in the last two lines, ``block_size`` copies of each
    element side by side.

    Parameters
    ----------
    input_size : int
    block_count : int
        How many memory cell blocks there are.
    block_size : int
        How many cells are in each. The cells of a block stand side by side.
    biased : str
        Which units have a bias, of the letters i and o for the gates and c for the cells. In the paper "io" in
        experiment 1, "" in 2c and "ioc" in the others.
    input_bias, output_bias : float or tuple of float
        What the biases of the gates start from; a tuple has a number for each block. The paper takes negative ones for
        input gates against internal drift, for output gates against cells that are abused.
    truncated : bool
        Whether the gradient is the truncated one of the paper: nothing flows into y_{t-1}, i_{t-1} and o_{t-1}, the
        inputs of the gates and cells from the step before. False for that of the equations above.
    g, h : str
        Squashing functions: "4 sigmoid - 2" and "2 sigmoid - 1" as in the appendix of the paper; "sigmoid", "tanh" or
        "identity".

    Raises
    ------
    OptionError
        When an option makes no sense.

    Notes
    -----
    State: (y, i, o, s), of sizes block_count * block_size, block_count, block_count and block_count * block_size, 0 at
    first; output: y. The output units of the paper see the cells and no gates: they are a readout of the output.
    Weights and the biases of the cells are drawn from U[-0.1, 0.1).

    References
    ----------
    Hochreiter & Schmidhuber 1997, "Long short-term memory", appendix A.1, equations 5 to 11; the truncated gradient is
    that of equations 19 to 28.
    """

    source = "Hochreiter & Schmidhuber 1997, appendix A.1"

    input_size: int
    block_count: int
    block_size: int = 1
    biased: str = "ioc"
    input_bias: float | tuple[float, ...] = 0.0
    output_bias: float | tuple[float, ...] = 0.0
    truncated: bool = True
    g: str = "4 sigmoid - 2"
    h: str = "2 sigmoid - 1"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_squashings("LSTM1997", g=self.g, h=self.h)
        check_biased(self, "io")
        per_block(self, "input_bias")
        per_block(self, "output_bias")

    @property
    def output_size(self) -> int:
        return self.block_count * self.block_size

    def parameters(self) -> dict[str, Parameter]:
        m, n, k = self.input_size, self.output_size, self.block_count
        starts = {"i": per_block(self, "input_bias"), "o": per_block(self, "output_bias"), "c": "uniform"}
        declared = {}
        for unit, size in {"i": k, "o": k, "c": n}.items():
            for seen, width in {"x": m, "y": n, "i": k, "o": k}.items():
                declared[f"W_{seen}{unit}"] = Parameter((width, size), init="uniform")
            if unit in self.biased:
                declared[f"b_{unit}"] = Parameter((size,), init=starts[unit])
        return declared

    def state(self) -> tuple[State, State, State, State]:
        n, k = State((self.output_size,)), State((self.block_count,))
        return n, k, k, n

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        y, i, o, s = state
        seen = {"x": x, "y": y, "i": i, "o": o}
        if self.truncated:
            seen |= stop_gradient({"y": y, "i": i, "o": o})

        def net(unit: str) -> Any:
            total = sum(seen[u] @ params[f"W_{u}{unit}"] for u in "xyio")
            return total + params[f"b_{unit}"] if unit in self.biased else total

        i, o, z = sigmoid(net("i")), sigmoid(net("o")), net("c")
        s = s + spread(i, self.block_size) * SQUASHINGS[self.g](z)
        y = spread(o, self.block_size) * SQUASHINGS[self.h](s)
        return (y, i, o, s), y
