"""Random inputs for any cell, from what it declares."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.cells import Cell, Input, State
from tapegrad.cells.checks import specification

from .. import pytree
from ..errors import OptionError


def random_inputs(
    cell: Cell, rng: np.random.Generator, *, steps: int, batch: int, dtype: Any, spread: float, params: Any, state: Any
) -> Any:
    """Inputs (T, B, ...) as ``cell.inputs()`` declares them: normal numbers, and integers that a step can look up.

    Raises
    ------
    OptionError
        When the cell does not say what it takes.
    """
    declared = cell.inputs()
    if declared is None:
        raise OptionError(
            f"check_cell: {type(cell).__name__} takes any input; give xs=, an array (T, B, ...), or let its "
            "inputs() say what it takes"
        )
    specs, structure = pytree.flatten(declared)
    below = token_bounds(cell, batch, dtype, params, state)
    return structure.unflatten(
        [drawn_input(spec, rng, (steps, batch), dtype, spread, n) for spec, n in zip(specs, below, strict=True)]
    )


def drawn_input(
    spec: Input, rng: np.random.Generator, leading: tuple[int, int], dtype: Any, spread: float, below: int
) -> np.ndarray:
    """One array of inputs; integers are drawn from 0 up to ``below``."""
    shape, dtype = (*leading, *spec.shape), np.dtype(spec.dtype or dtype)
    if dtype.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.kind in "iu":
        return rng.integers(0, below, shape).astype(dtype)
    return np.asarray(spread * rng.standard_normal(shape), dtype)


def token_bounds(cell: Cell, batch: int, dtype: Any, params: Any, state: Any) -> list[int]:
    """How large integer inputs can be: the largest size of the cell at which a step finds its row.

    A cell does not declare how many tokens there are; a table of embeddings or of one-hot vectors has that size.
    """
    specs: Sequence[Input]
    specs, structure = pytree.flatten(cell.inputs())
    found = [1] * len(specs)
    for i, spec in enumerate(specs):
        if spec.dtype is None or np.dtype(spec.dtype).kind not in "iu":
            continue
        for size in sizes(cell):
            tried = [*found[:i], size, *found[i + 1 :]]
            x = [
                np.full((batch, *s.shape), n - 1 if s.dtype is not None else 0, s.dtype or dtype)
                for s, n in zip(specs, tried, strict=True)
            ]
            try:
                with np.errstate(all="ignore"):
                    cell.step(params, state, structure.unflatten(x))
            except Exception:  # noqa: S112, PERF203 - out of range, in whatever words
                continue
            found = tried
            break
    return found


def sizes(cell: Cell) -> list[int]:
    """All lengths that a cell declares, the largest first."""
    found = {n for parameter in specification(cell).parameters for n in parameter.shape}
    found.update(n for state in pytree.leaves(cell.state()) if isinstance(state, State) for n in state.shape)
    for field in dataclasses.fields(cell):
        value = getattr(cell, field.name)
        if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
            found.add(int(value))
    return sorted((n for n in {*found, 2, 1} if n > 0), reverse=True)
