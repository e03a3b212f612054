"""Rows of a scan that end early (``lengths``) or start anew (``reset``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import pytree
from .errors import ShapeError, TracingError
from .primitives.registry import shape_of
from .rules import stop_gradient
from .signatures import Flat, flat, together
from .tensor import Tensor


class Masks:
    """The step and inputs of a scan in which rows end early or start anew."""

    def __init__(self, xs: Flat, state: Flat, lengths: Any, reset: Any):
        avals = xs.signature.avals
        if not avals or any(len(aval.shape) < 2 for aval in avals):
            raise ShapeError("scan: lengths= and reset= need arrays of xs with the axes (time, batch, ...)")
        self.xs, (self.time, self.rows) = xs, avals[0].shape[:2]
        for aval, path in zip(state.signature.avals, state.signature.structure.paths(), strict=True):
            if aval.shape[:1] != (self.rows,):
                raise ShapeError(
                    f"scan: with lengths= or reset= the state ({path}) needs the leading batch axis {self.rows}, and "
                    f"has the shape {aval.shape}"
                )
        self.lengths = None if lengths is None else self._checked(lengths)
        self.reset = None if reset is None else self._checked_reset(reset)

    def _checked(self, lengths: Any) -> np.ndarray:
        lengths = _fixed(lengths, "lengths")
        if lengths.shape != (self.rows,) or lengths.dtype.kind not in "iu":
            raise ShapeError(
                f"scan: lengths= has the shape {lengths.shape} and dtype {lengths.dtype}; give one integer for "
                "each of the "
                f"{self.rows} rows"
            )
        if lengths.size and (lengths.min() < 0 or lengths.max() > self.time):
            raise ShapeError(
                f"scan: lengths= has {int(lengths.min())} to {int(lengths.max())}; with {self.time} steps each must be "
                f"from 0 to {self.time}"
            )
        return lengths

    def _checked_reset(self, reset: Any) -> np.ndarray:
        reset = _fixed(reset, "reset")
        if reset.shape != (self.time, self.rows) or reset.dtype.kind != "b":
            raise ShapeError(
                f"scan: reset= has the shape {reset.shape} and dtype {reset.dtype}; give booleans of the shape "
                f"{(self.time, self.rows)} (time, batch)"
            )
        return reset

    def inputs(self, steps: int) -> Flat:
        """The inputs with padding replaced, and the masks."""
        reset = flat(self.reset, "reset")
        if self.lengths is None:
            return together(self.xs, flat(None, "valid"), reset)
        valid = np.arange(steps)[:, None] < self.lengths
        xs = self.xs.signature.structure.unflatten([self._harmless(leaf, valid) for leaf in self.xs.leaves])
        return together(flat(xs, "xs"), flat(valid, "valid"), reset)

    def _harmless(self, leaf: Any, valid: np.ndarray) -> Any:
        """Padding repeats the row's last valid input, so that no step meets a value that the data do not have."""
        if not self.time or not self.rows:
            return leaf
        lengths = np.asarray(self.lengths)
        row = np.where(lengths > 0, np.arange(self.rows), np.argmax(lengths))  # an empty row borrows
        last = np.maximum(lengths[row] - 1, 0)
        fill = stop_gradient(leaf)[last, row]
        if not np.any(lengths):
            fill = np.zeros_like(fill)
        return np.where(_aligned(valid, leaf, 2), leaf, fill)

    def wrap(self, step: Callable) -> Callable:
        with_lengths, with_reset = self.lengths is not None, self.reset is not None

        def masked(params: Any, state: Any, x: Any) -> tuple:
            (params, initial), (x, valid, restart), before = params, x, state
            if with_reset:
                state = pytree.map(lambda s, i: np.where(_aligned(restart, s, 1), i, s), state, initial)
            new, y = step(params, state, x)
            if with_lengths:
                if pytree.structure(new) == pytree.structure(state):  # else scan itself says what is wrong
                    new = pytree.map(lambda n, s: np.where(_aligned(valid, s, 1), n, s), new, before)
                y = pytree.map(lambda leaf: np.where(_aligned(valid, leaf, 1), leaf, _nought(leaf)), y)
            return new, y

        return masked

    def cleared(self, recorded: Any) -> Any:
        if self.lengths is None:
            return recorded
        valid = np.arange(self.time)[:, None] < self.lengths
        return np.where(_aligned(valid, recorded, 2), recorded, _nought(recorded))


def _nought(leaf: Any) -> Any:
    return False if leaf.dtype.kind == "b" else 0


def _fixed(value: Any, name: str) -> np.ndarray:
    if isinstance(value, Tensor):
        raise TracingError(f"scan: {name}= is a traced value; give a plain array, made outside the traced function")
    return np.asarray(value)


def _aligned(mask: Any, leaf: Any, axes: int) -> Any:
    rank = len(shape_of(leaf))
    if rank < axes or shape_of(leaf)[:axes] != shape_of(mask)[:axes]:
        raise ShapeError(
            f"scan: with lengths= or reset= an array of shape {shape_of(leaf)} meets a mask of shape "
            f"{shape_of(mask)}; states "
            "and outputs need the batch as their leading axis"
        )
    return np.reshape(mask, shape_of(mask) + (1,) * (rank - axes))
