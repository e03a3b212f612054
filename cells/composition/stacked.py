"""Depth: cells one above the other."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ..base import Cell
from ..gated import GRU
from ..lstm import LSTM
from ..readout import SoftmaxReadout
from ..registry import register
from ..simple import Elman
from .joining import check_fits, checked_sequence


def _two_elman(rng: np.random.Generator) -> Stacked:
    a, b, c = rng.permutation(np.arange(1, 6))[:3].tolist()
    return Stacked((Elman(a, b), Elman(b, c)))


def _mixed(rng: np.random.Generator) -> Stacked:
    a, b, c, d = rng.permutation(np.arange(2, 6)).tolist()  # the softmax over a single class is constant
    return Stacked((LSTM(a, b), GRU(b, c), SoftmaxReadout(c, d)))


@register(variants={"Elman*2": _two_elman, "LSTM,GRU,softmax": _mixed})
class Stacked(Cell):
    """Cells one above the other: the input of each is the output of the one below, at the same step.

    Parameters
    ----------
    cells : tuple of Cell
        From the bottom up. A readout may stand anywhere.

    Raises
    ------
    OptionError
        When ``cells`` is empty or holds something else than cells.
    ShapeError
        When a layer does not take what the layer below gives; the message names both.

    Notes
    -----
    Parameters: ``{"layer0": ..., "layer1": ...}``. State: a tuple of the states of the layers. Output: that of the
    top layer. ``record`` knows the gates of layer 0 as "0.i" and so on. Sizes are compared when the stack is made, as
    far as the layers tell their ``output_size``; else when it first runs.

    References
    ----------
    Pascanu, Gulcehre, Cho & Bengio 2014, "How to construct deep recurrent neural networks", stacked RNN.

    Examples
    --------
    >>> Stacked((LSTM(8, 32), LSTM(32, 32))).parameter_count
    13568
    """

    source = "Pascanu, Gulcehre, Cho & Bengio 2014, stacked RNN (sRNN)"

    cells: tuple[Cell, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", checked_sequence("Stacked", "cells", self.cells, Cell, "cell"))
        super().__post_init__()
        for number, (below, cell) in enumerate(pairwise(self.cells), 1):
            size = getattr(below, "output_size", None)
            if size is not None:
                self._check_layer(number, cell, (size,))

    def _check_layer(self, number: int, cell: Cell, shape: tuple[int, ...]) -> None:
        below = f"layer {number - 1}, {self.cells[number - 1]!r}, gives" if number else "the input has"
        check_fits("Stacked", number, cell, shape, below)

    @property
    def output_size(self) -> int | None:
        return getattr(self.cells[-1], "output_size", None)

    def parameters(self) -> dict[str, Any]:
        return {f"layer{number}": cell.parameters() for number, cell in enumerate(self.cells)}

    def state(self) -> tuple[Any, ...]:
        return tuple(cell.state() for cell in self.cells)

    def inputs(self) -> Any:
        return self.cells[0].inputs()

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        states = []
        for number, cell in enumerate(self.cells):
            if number:
                self._check_layer(number, cell, x.shape[1:])
            new, x = cell.step(params[f"layer{number}"], state[number], x)
            states.append(new)
        return tuple(states), x
