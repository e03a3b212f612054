"""Depth: cells one above the other."""

from __future__ import annotations

import operator
from itertools import pairwise
from typing import Any

import numpy as np

from tapegrad.errors import OptionError, ShapeError, StructureError

from ..base import Cell
from ..checks import data_inputs
from ..gated import GRU
from ..lstm import LSTM
from ..readout import SoftmaxReadout
from ..registry import register
from ..simple import Elman
from .joining import (
    check_fits,
    checked_sequence,
    drawn,
    given,
    input_size_of,
    noise_inputs,
    size_of,
    taken_apart,
)


def _two_elman(rng: np.random.Generator) -> Stacked:
    a, b, c = rng.permutation(np.arange(1, 6))[:3].tolist()
    return Stacked((Elman(a, b), Elman(b, c)))


def _mixed(rng: np.random.Generator) -> Stacked:
    a, b, c, d = rng.permutation(np.arange(2, 6)).tolist()  # the softmax over a single class is constant
    return Stacked((LSTM(a, b), GRU(b, c), SoftmaxReadout(c, d)))


def _skipping(rng: np.random.Generator) -> Stacked:
    a, b, c = rng.permutation(np.arange(1, 5))[:3].tolist()
    return Stacked((Elman(a, b), Elman(a + b, c)), skip_input=True, skip_output=True)


def _residual(rng: np.random.Generator) -> Stacked:
    a, b = rng.permutation(np.arange(1, 5))[:2].tolist()
    return Stacked((Elman(a, b), Elman(b, b)), residual=(1,))


@register(variants={"Elman*2": _two_elman, "LSTM,GRU,softmax": _mixed, "skip": _skipping, "residual": _residual})
class Stacked(Cell):
    """Cells one above the other: the input of each is the output of the one below, at the same step.

    ::

        y^1_t = cell_1(x_t)
        y^l_t = cell_l(y^{l-1}_t)                          l = 2, ..., L
        y^l_t = cell_l([x_t, y^{l-1}_t])                   with skip_input
        y^l_t = y^{l-1}_t + cell_l(...)                    with residual, y^0_t = x_t
        y_t = y^L_t
        y_t = [y^1_t, ..., y^L_t]                          with skip_output

    Parameters
    ----------
    cells : tuple of Cell
        From the bottom up. A readout may stand anywhere.
    skip_input : bool
        Whether the input goes to every cell, in front of the output of the one below.
    skip_output : bool
        Whether the outputs of all cells are the output, from the bottom up. A readout in a stack of its own reads all
        of them: ``Stacked((Stacked(cells, skip_input=True, skip_output=True), Linear(n, k)))``.
    residual : bool or tuple of int
        The numbers of the cells, from 0, to whose output the output of the one below is added (to that of cell 0 the
        input); True for all.

    Raises
    ------
    OptionError
        When ``cells`` is empty or holds something else than cells, or ``residual`` a number that no cell has.
    ShapeError
        When a layer does not take what the layer below gives, or a residual is of another size than the output that
        it is added to; the message names both.

    Notes
    -----
    Parameters: ``{"layer0": ..., "layer1": ...}``. State: a tuple of the states of the layers. ``record`` knows the
    gates of layer 0 as "0.i" and so on. Sizes are compared when the stack is made, as far as the layers tell their
    ``output_size``; else when it first runs.

    A part that is not to learn is named by a mask of the same keys, which ends where all below is alike:
    ``tapegrad.freeze(params, {"layer0": True, "layer1": False})`` in a loss, or ``fit(..., frozen=mask)``.

    With a noisy cell among them xs is ``(xs, noise)``, where ``noise`` is what :meth:`noise` draws.

    References
    ----------
    Pascanu, Gulcehre, Cho & Bengio 2014, "How to construct deep recurrent neural networks", stacked RNN; Graves 2013,
    "Generating sequences with recurrent neural networks", section 2, for the skip connections: his sum of one product
    for each layer is the product of the layers side by side. Residuals: He, Zhang, Ren & Sun 2016; between recurrent
    layers Wu et al. 2016, section 3.1.

    Examples
    --------
    >>> Stacked((LSTM(8, 32), LSTM(32, 32))).parameter_count
    13568
    >>> Stacked((LSTM(8, 32), LSTM(40, 32)), skip_input=True, skip_output=True).output_size
    64
    """

    source = "Pascanu, Gulcehre, Cho & Bengio 2014, stacked RNN (sRNN); skip connections: Graves 2013, section 2"

    cells: tuple[Cell, ...]
    skip_input: bool = False
    skip_output: bool = False
    residual: bool | tuple[int, ...] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", checked_sequence("Stacked", "cells", self.cells, Cell, "cell"))
        if not isinstance(self.residual, (bool, np.bool_)):
            object.__setattr__(self, "residual", _checked_numbers(self.residual, len(self.cells)))
        super().__post_init__()
        if self.skip_input and input_size_of(self.cells[0]) is None:
            raise OptionError(
                f"Stacked: skip_input=True, and layer 0, {self.cells[0]!r}, takes {data_inputs(self.cells[0])}; "
                "expected a cell that says it takes vectors, Input((n,))"
            )
        if 0 in self._added:
            self._check_sum(0, input_size_of(self.cells[0]), size_of(self.cells[0]))
        for number, (below, cell) in enumerate(pairwise(self.cells), 1):
            size = size_of(below)
            if size is not None:
                beside = input_size_of(self.cells[0]) if self.skip_input else 0
                self._check_layer(number, cell, (size + (beside or 0),))
                if number in self._added:
                    self._check_sum(number, size, size_of(cell))

    @property
    def _added(self) -> tuple[int, ...]:
        if isinstance(self.residual, tuple):
            return self.residual
        return tuple(range(len(self.cells))) if self.residual else ()

    def _check_layer(self, number: int, cell: Cell, shape: tuple[int, ...]) -> None:
        """Raises when a cell does not take inputs of ``shape``, what comes from below."""
        below = f"layer {number - 1}, {self.cells[number - 1]!r}, gives" if number else "the input has"
        if number and self.skip_input:
            below = f"the input and what layer {number - 1}, {self.cells[number - 1]!r}, gives are together"
        check_fits("Stacked", number, cell, shape, below)

    def _check_sum(self, number: int, below: int | None, size: int | None) -> None:
        if below is not None and size is not None and below != size:
            what = f"the output of layer {number - 1}" if number else "the input"
            others = tuple(n for n in range(len(self.cells)) if n != number and n in self._added)
            raise ShapeError(
                f"Stacked: residual={self.residual} adds {what}, of size {below}, to that of layer {number}, "
                f"{self.cells[number]!r}, of size {size}; give both one size, or leave it out with residual={others}"
            )

    @property
    def output_size(self) -> int | None:
        sizes = [size_of(cell) for cell in self.cells]
        if not self.skip_output:
            return sizes[-1]
        return None if None in sizes else sum(sizes)  # type: ignore[arg-type]

    @property
    def noisy(self) -> bool:
        return any(cell.noisy for cell in self.cells)

    def noise(
        self, rng: np.random.Generator | None, steps: int, batch: int, dtype: Any = np.float32, training: bool = True
    ) -> tuple[Any, ...]:
        """The noise of a call: that of each cell, None where it takes none."""
        return drawn(self.cells, rng, steps, batch, dtype, training)

    def parameters(self) -> dict[str, Any]:
        return {f"layer{number}": cell.parameters() for number, cell in enumerate(self.cells)}

    def state(self) -> tuple[Any, ...]:
        return tuple(cell.state() for cell in self.cells)

    def inputs(self) -> Any:
        wanted = data_inputs(self.cells[0])
        return (wanted, tuple(noise_inputs(cell) for cell in self.cells)) if self.noisy else wanted

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        # What the cells call their values stays their name: no variable of this function holds one.
        made = [(None, taken_apart(self, x)[0])]
        for number in range(len(self.cells)):
            made.append(self._layer(number, params[f"layer{number}"], state[number], x, made[-1][1]))
        outputs = [layer[1] for layer in made[1:]]
        return tuple([layer[0] for layer in made[1:]]), _joined(*outputs) if self.skip_output else outputs[-1]

    def _layer(self, number: int, params: Any, state: Any, x: Any, below: Any) -> tuple[Any, Any]:
        """The new state and the output of a cell, which is given what comes from below."""
        cell, (first, noise) = self.cells[number], taken_apart(self, x)
        enters = _joined(first, below) if number and self.skip_input else below
        if number:
            self._check_layer(number, cell, _shape(number, enters))
        new, y = cell.step(params, state, given(cell, enters, None if noise is None else noise[number]))
        if number in self._added:
            self._check_sum(number, below.shape[-1], y.shape[-1])
            y = below + y
        return new, y


def _joined(*vectors: Any) -> Any:
    return np.concatenate(vectors, axis=-1)


def _shape(number: int, enters: Any) -> tuple[int, ...]:
    if not hasattr(enters, "shape"):
        raise StructureError(
            f"Stacked: layer {number - 1} gives a {type(enters).__name__}, expected one array for the layer above"
        )
    return tuple(enters.shape[1:])


def _checked_numbers(residual: Any, count: int) -> tuple[int, ...]:
    try:
        numbers = tuple(sorted({operator.index(number) for number in residual}))
    except TypeError:
        numbers = (-1,)
    if any(not 0 <= number < count for number in numbers):
        raise OptionError(
            f"Stacked: residual={residual!r}, expected True, False, or a tuple of numbers from 0 to {count - 1}"
        )
    return numbers
