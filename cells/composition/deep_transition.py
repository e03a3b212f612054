"""Depth within a step: a state that goes through several cells before the next step reads it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from tapegrad import pytree
from tapegrad.errors import OptionError, ShapeError

from ..base import Cell
from ..checks import data_inputs
from ..readout import Dense
from ..registry import register
from ..simple import Elman
from ..specs import State
from .joining import checked_sequence, drawn, given, input_size_of, noise_inputs, size_of, taken_apart


def _plain(rng: np.random.Generator) -> DeepTransition:
    m, n, k = rng.permutation(np.arange(1, 5))[:3].tolist()
    return DeepTransition((Elman(m, n), Dense(n, k), Dense(k, n)))


def _shortcut(rng: np.random.Generator) -> DeepTransition:
    m, n = rng.permutation(np.arange(1, 5))[:2].tolist()
    return DeepTransition((Elman(m, n), Dense(n + m + n, n)), shortcut=True)


@register(variants={"": _plain, "shortcut": _shortcut})
class DeepTransition(Cell):
    """Cells through which the state goes one after the other within a step.

    ::

        s^1 = cell_1(s_{t-1}, x_t)
        s^l = cell_l(s^{l-1}, x_t)                             l = 2, ..., L: a cell with a state
        s^l = cell_l(s^{l-1})                                  a layer without one, such as Dense
        s^L = cell_L(s^{L-1}, [x_t, s_{t-1}])                  with shortcut: a cell with a state
        s^L = cell_L([s^{L-1}, x_t, s_{t-1}])                  with shortcut: a layer without one
        s_t = s^L, and the output is that of cell L

    So the deep transition of the paper, h_t = phi_L(... phi_2(phi_1(x_t W + h_{t-1} U_1) U_2) ... U_L), is an
    :class:`Elman` and L - 1 :class:`Dense` layers, and any two cells with states of the same shapes make a cell that is
    twice as deep in time.

    Parameters
    ----------
    cells : tuple of Cell
        The first one has the state of the whole, and is given x_t.
    shortcut : bool
        Whether the last one is given x_t and s_{t-1} too: a way from state to state through one layer only, for the
        gradient. For states that are one vector.

    Raises
    ------
    OptionError
        When ``cells`` holds no cell or something else, the first one has no state, or a layer without a state stands
        where the state is no single vector.
    ShapeError
        When the state or the input does not fit; the message names the cell.

    Notes
    -----
    Parameters: ``{"layer0": ..., "layer1": ...}``. State: that of the first cell. ``record`` knows the variables of
    cell 0 as "0.h" and so on. Between two states that are n steps apart lie n L nonlinear layers, between those of a
    :class:`Stacked` n + L - 1; with the shortcut n at least.

    With a noisy cell among them xs is ``(xs, noise)``, where ``noise`` is what :meth:`noise` draws.

    References
    ----------
    Pascanu, Gulcehre, Cho & Bengio 2014, "How to construct deep recurrent neural networks", section 3.3: DT-RNN, and
    DT(S)-RNN with the shortcut, of which the published numbers of parameters say that x_t takes it too. Gated cells:
    Miceli Barone, Helcl, Sennrich, Haddow & Birch 2017, section 2.3, whose upper cells take no x_t.

    Examples
    --------
    >>> DeepTransition((Elman(8, 32), Dense(32, 32))).parameter_count
    2368
    >>> DeepTransition((Elman(8, 32), Dense(72, 32)), shortcut=True).parameter_count
    3648

    With a deep output on top it is the DOT(S)-RNN of the paper:

    >>> from tapegrad.cells import SoftmaxReadout, Stacked
    >>> deep = DeepTransition((Elman(8, 32), Dense(72, 32)), shortcut=True)
    >>> Stacked((deep, Dense(32, 16), SoftmaxReadout(16, 5))).output_size
    5
    """

    source = "Pascanu, Gulcehre, Cho & Bengio 2014, section 3.3 (DT-RNN, DT(S)-RNN)"

    cells: tuple[Cell, ...]
    shortcut: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", checked_sequence("DeepTransition", "cells", self.cells, Cell, "cell"))
        super().__post_init__()
        if not pytree.leaves(self.cells[0].state()):
            raise OptionError(
                f"DeepTransition: layer 0, {self.cells[0]!r}, has no state; begin with a recurrent cell, such as "
                "Elman(8, 32)"
            )
        if self._width() is None and (self.shortcut or not all(map(_has_state, self.cells))):
            raise OptionError(
                f"DeepTransition: the state of layer 0, {self.cells[0]!r}, is {self.state()!r}, and shortcuts and "
                "layers without a state need a single vector; stack cells with the same state instead"
            )
        if self.shortcut and len(self.cells) < 2:
            raise OptionError("DeepTransition: shortcut=True of a single cell leads past nothing; give two cells")
        self._check_states()
        self._check_inputs()

    def _width(self) -> int | None:
        """The length of a state that is one vector."""
        state = self.cells[0].state()
        return state.shape[0] if isinstance(state, State) and len(state.shape) == 1 else None

    def _check_states(self) -> None:
        for number, cell in enumerate(self.cells):
            if _has_state(cell) and _shapes(cell) != _shapes(self.cells[0]):
                raise ShapeError(
                    f"DeepTransition: layer {number}, {cell!r}, has the state {cell.state()!r}, and layer 0, "
                    f"{self.cells[0]!r}, has {self.cells[0].state()!r}; a state goes through all: give them one "
                    "hidden_size"
                )
        last = self.cells[-1]
        if not _has_state(last) and size_of(last) not in (None, self._width()):
            raise ShapeError(
                f"DeepTransition: the last layer, {last!r}, gives vectors of size {size_of(last)}, which are the new "
                f"state, of size {self._width()}; make it with output_size={self._width()}"
            )

    def _check_inputs(self) -> None:
        m, n = input_size_of(self.cells[0]), self._width()
        for number, (below, cell) in enumerate(pairwise(self.cells), 1):
            passed = n if _has_state(below) else size_of(below)
            sizes, words = ([m], "the input") if _has_state(cell) else ([passed], f"what layer {number - 1} gives")
            if self.shortcut and number == len(self.cells) - 1:
                sizes, words = [*sizes, n] if _has_state(cell) else [*sizes, m, n], f"{words} with the shortcuts"
            wanted = input_size_of(cell)
            if wanted is not None and None not in sizes and wanted != sum(sizes):  # type: ignore[arg-type]
                raise ShapeError(
                    f"DeepTransition: layer {number}, {cell!r}, takes vectors of size {wanted}, and {words} has "
                    f"{' + '.join(map(str, sizes))} = {sum(sizes)}; make it with "  # type: ignore[arg-type]
                    f"input_size={sum(sizes)}"  # type: ignore[arg-type]
                )

    @property
    def output_size(self) -> int | None:
        return size_of(self.cells[-1])

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

    def state(self) -> Any:
        return self.cells[0].state()

    def inputs(self) -> Any:
        wanted = data_inputs(self.cells[0])
        return (wanted, tuple(noise_inputs(cell) for cell in self.cells)) if self.noisy else wanted

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        # What the cells call their values stays their name: no variable of this function holds one, but the new state.
        made: list[tuple[Any, Any]] = [(state, None)]
        for number in range(len(self.cells)):
            made.append(self._layer(number, params[f"layer{number}"], state, made[-1][0], x))
        h = made[-1][0]
        return h, made[-1][1]

    def _layer(self, number: int, params: Any, before: Any, h: Any, x: Any) -> tuple[Any, Any]:
        """The state as a cell makes it of that of the cell before it, h, and the output."""
        cell, (x, noise) = self.cells[number], taken_apart(self, x)
        enters = [x] if _has_state(cell) else [h]
        if self.shortcut and number == len(self.cells) - 1:
            enters += [before] if _has_state(cell) else [x, before]
        joined = enters[0] if len(enters) == 1 else np.concatenate(enters, axis=-1)
        own = given(cell, joined, None if noise is None else noise[number])
        new, y = cell.step(params, h if _has_state(cell) else None, own)
        return (new if _has_state(cell) else y), y


def _has_state(cell: Cell) -> bool:
    return bool(pytree.leaves(cell.state()))


def _shapes(cell: Cell) -> Any:
    """What has to be the same of two states."""
    specs, structure = pytree.flatten(cell.state())
    return structure, [(spec.shape, spec.dtype) for spec in specs]
