"""Sequences for any cell, with lengths and resets, as a Hypothesis strategy."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tapegrad.cells import Cell, Input

from .. import pytree
from ..errors import OptionError
from .cell_data import drawn_input, token_bounds
from .cell_masks import padded


@dataclasses.dataclass(frozen=True)
class Sequence:
    """What a cell is run over: ``cell(params, s.xs, **s.options)``.

    Attributes
    ----------
    xs : pytree of arrays (T, B, ...)
    lengths : array (B,) of int, or None
    reset : array (T, B) of bool, or None
    reverse : bool
    """

    xs: Any
    lengths: np.ndarray | None = None
    reset: np.ndarray | None = None
    reverse: bool = False

    __pytree_leaf__ = True

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of a cell and of ``scan``."""
        return {"lengths": self.lengths, "reset": self.reset, "reverse": self.reverse}

    @property
    def steps(self) -> int:
        """T."""
        return len(pytree.leaves(self.xs)[0])

    @property
    def batch(self) -> int:
        """B."""
        return pytree.leaves(self.xs)[0].shape[1]


@st.composite
def sequences(
    draw: Any,
    cell: Any,
    *,
    max_steps: int = 5,
    max_batch: int = 3,
    dtype: Any = np.float64,
    lengths: bool = True,
    reset: bool = True,
    reverse: bool = True,
    padding: float = np.nan,
    tokens: int | None = None,
) -> Sequence:
    """Inputs of a cell in time-major order, of rows that end early, start anew, run backwards, or do none of it.

    They shrink to one step of one row without masks. Drawn are also no steps at all, rows of length 0, rows that are
    all whole, and a reset before the first step.

    Parameters
    ----------
    cell : Cell, int, or pytree of Input
        Whose inputs to draw, as its ``inputs()`` declares them; a number stands for vectors of that size.
    max_steps, max_batch : int
    dtype : dtype
        Of the inputs that declare none.
    lengths, reset, reverse : bool
        Whether to draw them; without, they are None, None and False.
    padding : float
        What floating inputs hold behind the end of a row; integers are then out of range.
    tokens : int, optional
        Integers are drawn below it; by default below the largest number that the cell can look up.

    Raises
    ------
    OptionError
        When the cell does not say what it takes.

    Examples
    --------
    >>> from hypothesis import given
    >>> from tapegrad.cells import GRU
    >>> cell = GRU(2, 3)
    >>> params = cell.init(np.random.default_rng(0), dtype=np.float64)
    >>> @given(sequences(cell))
    ... def test_padded_outputs_are_zero(s):
    ...     state, ys = cell(params, s.xs, **s.options)
    ...     if s.lengths is not None:
    ...         assert not ys[np.arange(s.steps)[:, None] >= s.lengths].any()
    >>> test_padded_outputs_are_zero()
    """
    declared = cell.inputs() if isinstance(cell, Cell) else Input((cell,)) if isinstance(cell, int) else cell
    if not pytree.leaves(declared):
        raise OptionError(
            f"sequences: {type(cell).__name__} does not say what it takes; let its inputs() say it, or give a pytree "
            "of Input in its place"
        )
    steps = draw(st.sampled_from([*range(1, max_steps + 1), 0]))
    batch = draw(st.integers(1, max_batch))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    specs, structure = pytree.flatten(declared)
    below = [tokens or 2] * len(specs) if tokens or not isinstance(cell, Cell) else _bounds(cell, batch, dtype)
    xs = structure.unflatten(
        [drawn_input(spec, rng, (steps, batch), dtype, 1.0, n) for spec, n in zip(specs, below, strict=True)]
    )
    ends = draw(_lengths(steps, batch)) if lengths else None
    starts = draw(_resets(steps, batch)) if reset else None
    xs = xs if ends is None else padded(xs, ends, padding)
    return Sequence(xs, ends, starts, draw(st.booleans()) if reverse else False)


def _bounds(cell: Cell, batch: int, dtype: Any) -> list[int]:
    params, state = cell.init(np.random.default_rng(0), dtype), cell.initial_state(batch, dtype)
    return token_bounds(cell, batch, dtype, params, state)


def _lengths(steps: int, batch: int) -> st.SearchStrategy[np.ndarray | None]:
    """None, all whole, or anything; what is anything shrinks to whole rows."""
    missing = st.lists(st.integers(0, steps), min_size=batch, max_size=batch)
    whole = np.full(batch, steps)
    return st.one_of(st.none(), st.just(whole), missing.map(lambda gone: whole - np.array(gone, int)))


def _resets(steps: int, batch: int) -> st.SearchStrategy[np.ndarray | None]:
    """None, or a few places."""
    if not steps:
        return st.sampled_from([None, np.zeros((0, batch), bool)])
    places = st.lists(st.tuples(st.integers(0, steps - 1), st.integers(0, batch - 1)), max_size=batch + 2)

    def made(found: list[tuple[int, int]]) -> np.ndarray:
        reset = np.zeros((steps, batch), bool)
        for t, b in found:
            reset[t, b] = True
        return reset

    return st.none() | places.map(made)
