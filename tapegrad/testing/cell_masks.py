"""Sequences that end early, start anew or run backwards: what is meant by it, row by row on unpadded data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import pytree


class Masks(NamedTuple):
    """How a call of a cell is masked: what ``lengths``, ``reset`` and ``reverse`` are.

    Attributes
    ----------
    lengths : array (B,) of int, or None
    reset : array (T, B) of bool, or None
    reverse : bool
    """

    lengths: Any
    reset: Any
    reverse: bool

    def runs(self, row: int, steps: int) -> list[list[int]]:
        """The times that a row goes through, in its order, cut where it starts anew; empty for a row without any."""
        count = steps if self.lengths is None else int(self.lengths[row])
        found: list[list[int]] = []
        for t in reversed(range(count)) if self.reverse else range(count):
            if not found or (self.reset is not None and self.reset[t, row]):
                found.append([])
            found[-1].append(t)
        return found

    def options(self) -> dict[str, Any]:
        """Keyword arguments of ``scan`` and of a cell."""
        return {"lengths": self.lengths, "reset": self.reset, "reverse": self.reverse}

    def __str__(self) -> str:
        lengths = "whole" if self.lengths is None else np.asarray(self.lengths).tolist()
        restarts = [] if self.reset is None else [(int(t), int(b)) for t, b in np.argwhere(self.reset)]
        return f"lengths {lengths}, reset at (t, b) = {', '.join(map(str, restarts)) or 'none'}"


def drawn_masks(seed: int, steps: int, batch: int) -> Masks:
    """Lengths and resets of which at least one row shows what they do, if there are steps enough."""
    rng = np.random.default_rng((seed, 1))
    lengths = rng.integers(0, steps + 1, batch)
    row, count = int(rng.integers(batch)), max(1, steps - 1)
    lengths[row] = count  # it ends early, and is not empty
    reset = np.asarray(rng.random((steps, batch)) < 0.3)
    # Between its first step and its last, so that it counts in both directions.
    reset[int(rng.integers(1, count - 1)) if count > 2 else slice(count), row] = True
    return Masks(lengths, reset, False)


def row_by_row(step: Callable, masks: Masks, batch: int, like: Any) -> Callable:
    """``run(params, state, xs) -> (state, ys)`` of each row alone, over its own steps, in a loop written in Python.

    Parameters
    ----------
    step : callable
    masks : Masks
    batch : int
    like : pytree of arrays (T, B, ...)
        What ys look like: a row without steps has none to show it.
    """
    empty = pytree.map(lambda y: np.zeros((1, *y.shape[2:]), y.dtype), like)

    def run(params: Any, state: Any, xs: Any) -> tuple[Any, Any]:
        steps = len(pytree.leaves(xs)[0])
        ends, rows = [], []
        for b in range(batch):
            start = s = pytree.map(lambda leaf, b=b: leaf[b : b + 1], state)
            ys = [empty] * steps
            for times in masks.runs(b, steps):
                s = start
                for t in times:
                    # A step may say `h += x`: with Tensors that changes no array, and here it must not either.
                    x = pytree.map(lambda leaf, t=t, b=b: leaf[t, b : b + 1], xs)
                    s, ys[t] = step(*[pytree.map(own, tree) for tree in (params, s, x)])
            ends.append(s)
            rows.append(ys)
        at_times = [_joined(at) for at in zip(*rows, strict=True)]
        return _joined(ends), pytree.map(lambda *parts: np.stack(parts), *at_times) if at_times else like

    return run


def _joined(rows: Sequence[Any]) -> Any:
    return pytree.map(lambda *parts: np.concatenate(parts), *rows)


def own(leaf: Any) -> Any:
    """A copy of an array; all else as it is."""
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf


def padded(xs: Any, lengths: Any, filling: float = np.nan) -> Any:
    """Inputs whose padding holds ``filling``, and indices that are out of range."""

    def spoil(leaf: np.ndarray) -> np.ndarray:
        beyond = np.arange(leaf.shape[0])[:, None] >= lengths
        kind = leaf.dtype.kind
        filth = filling if kind in "fc" else True if kind == "b" else np.iinfo(leaf.dtype).max
        return np.where(beyond.reshape(beyond.shape + (1,) * (leaf.ndim - 2)), np.asarray(filth, leaf.dtype), leaf)

    return pytree.map(spoil, xs)


def rows_are_apart(run: Callable, params: Any, state: Any, xs: Any, batch: int) -> bool:
    """Whether no row of the results depends on another row.

    Any two rows differ in a binary digit of their numbers: where it is 1 the data change, and the other rows must stay
    the same to the last bit; and the reverse.
    """

    def moved(leaf: Any, chosen: np.ndarray, axis: int) -> Any:
        if leaf.dtype.kind != "f":
            other = np.flip(leaf, 0) if axis else leaf
        else:
            other = leaf * leaf.dtype.type(1.001)
        return np.where(chosen.reshape((1,) * axis + (-1,) + (1,) * (leaf.ndim - axis - 1)), other, leaf)

    final, ys = run(params, state, xs)
    for digit in range(max(0, batch - 1).bit_length()):
        for chosen in ((np.arange(batch) >> digit & 1).astype(bool), (~np.arange(batch) >> digit & 1).astype(bool)):
            end, outputs = run(
                params,
                pytree.map(lambda leaf, c=chosen: moved(leaf, c, 0), state),
                pytree.map(lambda leaf, c=chosen: moved(leaf, c, 1), xs),
            )
            pairs = [(a, b, 0) for a, b in zip(pytree.leaves(final), pytree.leaves(end), strict=True)]
            pairs += [(a, b, 1) for a, b in zip(pytree.leaves(ys), pytree.leaves(outputs), strict=True)]
            for a, b, axis in pairs:
                if not np.array_equal(np.compress(~chosen, a, axis), np.compress(~chosen, b, axis), equal_nan=True):
                    return False
    return True
