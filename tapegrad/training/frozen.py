"""Training in which some parameters, or some of their elements, stay as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import pytree
from ..freezing import mask_of
from .optimizers import Optimizer

__all__ = ["Frozen"]


@dataclass(frozen=True)
class Frozen:
    """An optimiser that leaves frozen elements as they are, to the bit, whatever the one inside does.

    The gradient of a frozen element is taken as zero, so it adds nothing to momentum and moments; and what the
    optimiser would make of the element (by weight decay, or by momentum from before) is not taken.
    ``fit(..., frozen=mask)`` uses this, and freezes the parameters in the loss as well, so that clipping by the global
    norm counts the free ones alone.

    Parameters
    ----------
    optimizer : Optimizer
    mask : pytree of bool and boolean arrays
        As for :func:`tapegrad.freeze`: True where a parameter is frozen.

    Examples
    --------
    >>> from tapegrad.training import SGD
    >>> params = {"W": np.array([1.0, 2.0]), "b": np.array([3.0])}
    >>> optimizer = Frozen(SGD(lr=1.0), {"W": np.array([True, False]), "b": True})
    >>> optimizer.update(params, optimizer.init(params), params)[0]
    {'W': array([1., 0.]), 'b': array([3.])}
    """

    optimizer: Optimizer
    mask: Any

    def init(self, params: Any) -> Any:
        """The state of the optimiser inside."""
        mask_of(params, self.mask, "Frozen")
        return self.optimizer.init(params)

    def update(self, grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """One step of the free elements; see :meth:`Adam.update`."""
        mask = mask_of(params, self.mask, "Frozen")
        free = pytree.map(lambda g, m: np.where(m, np.zeros_like(g), g) if np.any(m) else g, grads, mask)
        new, state = self.optimizer.update(free, state, params)
        return pytree.map(_kept, new, params, mask), state


def _kept(new: Any, old: Any, mask: Any) -> Any:
    """The old elements where the mask is True."""
    kept: Any = np.where(mask, old, new) if np.any(mask) else new
    return kept[()] if np.ndim(kept) == 0 else kept
