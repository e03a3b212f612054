"""The cells as a careful user of torch or JAX writes them: weights of one operand side by side, inputs hoisted.

A :class:`Recipe` is written in the few functions that torch and JAX both have under some name (``xp`` below; see
:mod:`.torch_peers` and :mod:`.jax_peers`), with one call where torch has one for what XLA fuses by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from tapegrad.cells import Cell

Weights = dict[str, Any]
Arrays = Sequence[Any]


class Recipe:
    """How a cell is computed over a sequence by another library.

    Attributes
    ----------
    layout : dict of str to tuple of str
        The arrays that the peer holds: each is some of the cell's parameters side by side, along the last axis.
    """

    layout: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init__(self, cell: Cell):
        self.cell = cell

    def pack(self, params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The peer's arrays, from the cell's parameters."""
        return {
            name: np.ascontiguousarray(np.concatenate([params[part] for part in parts], axis=-1))
            for name, parts in self.layout.items()
        }

    def unpack(self, packed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Gradients under the cell's names, from those of the peer's arrays."""
        sizes = {name: declared.shape[-1] for name, declared in self.cell.parameters().items()}
        found: dict[str, np.ndarray] = {}
        for name, parts in self.layout.items():
            ends = np.cumsum([sizes[part] for part in parts])[:-1]
            found.update(zip(parts, np.split(np.asarray(packed[name]), ends, axis=-1), strict=True))
        return found

    def state_shapes(self) -> list[tuple[int, ...]]:
        """Of each array of the state, without the batch axis."""
        state = self.cell.state()
        return [part.shape for part in (state if isinstance(state, tuple) else (state,))]

    def derived(self, xp: Any, w: Weights) -> Weights:
        """What is made of the weights alone, once."""
        return {}

    def inputs(self, xp: Any, w: Weights, x: Any) -> list[Any]:
        """What is made of the inputs alone: for all steps, x (T, B, I), or for one, x (B, I)."""
        return [xp.affine(w["b"], x, w["Wx"])]

    def step(self, xp: Any, w: Weights, state: Arrays, parts: Arrays) -> tuple[Arrays, Any]:
        """One step from the state and from what :meth:`inputs` made."""
        raise NotImplementedError

    def finish(self, xp: Any, ys: Any) -> Any:
        """What is made of the outputs of all steps."""
        return ys


class Elman(Recipe):
    """One product and one function."""

    layout = {"Wx": ("W_xh",), "Wh": ("W_hh",), "b": ("b_h",)}

    def step(self, xp: Any, w: Weights, state: Arrays, parts: Arrays) -> tuple[Arrays, Any]:
        h = xp.tanh(xp.affine(parts[0], state[0], w["Wh"]))
        return (h,), h


class LSTM(Recipe):
    """The sigmoid gates lie together, so that one call serves the three."""

    layout = {
        "Wx": ("W_xi", "W_xf", "W_xo", "W_xg"),
        "Wh": ("W_hi", "W_hf", "W_ho", "W_hg"),
        "b": ("b_i", "b_f", "b_o", "b_g"),
    }

    def step(self, xp: Any, w: Weights, state: Arrays, parts: Arrays) -> tuple[Arrays, Any]:
        h, c = state
        n = c.shape[-1]
        z = xp.affine(parts[0], h, w["Wh"])
        i, f, o = xp.split(xp.sigmoid(z[:, : 3 * n]), 3)
        c = xp.addcmul(f * c, i, xp.tanh(z[:, 3 * n :]))
        h = o * xp.tanh(c)
        return (h, c), h


class GRU(Recipe):
    """Reset before the product: the candidate's waits for the gate."""

    layout = {
        "Wx": ("W_xr", "W_xz", "W_xn"),
        "Wh": ("W_hr", "W_hz"),
        "Wn": ("W_hn",),
        "b": ("b_r", "b_z", "b_n"),
    }

    def inputs(self, xp: Any, w: Weights, x: Any) -> list[Any]:
        a, n = xp.affine(w["b"], x, w["Wx"]), w["Wn"].shape[0]
        return [a[..., : 2 * n], a[..., 2 * n :]]

    def step(self, xp: Any, w: Weights, state: Arrays, parts: Arrays) -> tuple[Arrays, Any]:
        (h,) = state
        r, z = xp.split(xp.sigmoid(xp.affine(parts[0], h, w["Wh"])), 2)
        n = xp.tanh(xp.affine(parts[1], r * h, w["Wn"]))
        h = xp.lerp(n, h, z)
        return (h,), h


class GRUAfter(Recipe):
    """Reset after the product: one product for all three."""

    layout = {
        "Wx": ("W_xr", "W_xz", "W_xn"),
        "Wh": ("W_hr", "W_hz", "W_hn"),
        "b": ("b_r", "b_z", "b_n"),
        "bn": ("b_hn",),
    }

    def step(self, xp: Any, w: Weights, state: Arrays, parts: Arrays) -> tuple[Arrays, Any]:
        (h,) = state
        n = h.shape[-1]
        u, a = h @ w["Wh"], parts[0]
        r, z = xp.split(xp.sigmoid(a[:, : 2 * n] + u[:, : 2 * n]), 2)
        c = xp.tanh(xp.addcmul(a[:, 2 * n :], r, u[:, 2 * n :] + w["bn"]))
        h = xp.lerp(c, h, z)
        return (h,), h
