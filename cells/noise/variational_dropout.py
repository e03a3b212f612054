"""Variational dropout: the same units are dropped at every step of a sequence."""

from typing import Any

import numpy as np

from tapegrad import pytree
from tapegrad.errors import OptionError

from ..checks import data_inputs
from ..gated import GRU
from ..registry import register
from ..specs import Input
from .drawing import Noisy, checked_rate, dropped


def _gru(rng: np.random.Generator) -> "VariationalDropout":
    m, n = rng.permutation(np.arange(1, 6))[:2].tolist()
    return VariationalDropout(GRU(m, n), 0.2, 0.4)


@register(variants={"GRU": _gru})
class VariationalDropout(Noisy):
    """Dropout around any cell whose masks are drawn once for each sequence.

    ::

        s_t, y_t = step(d_s * s_{t-1}, d_x * x_t)         d is 0 with probability rate, else 1 / (1 - rate)

    Parameters
    ----------
    cell : Cell
    input_rate, state_rate : float
        The probabilities to drop an element of the input and of the state.
    leaves : tuple of int
        Which arrays of the state are dropped from, where they go into the step: the first by default, which is the
        output h of the cells here and not the memory c of an LSTM.

    Raises
    ------
    OptionError
        When ``cell`` is no cell, declares no inputs, or has no such floating array in its state.

    Notes
    -----
    Input: ``(x, noise)``, where ``noise = dropout.noise(rng, steps, batch)`` holds one mask for each floating input and
    one for each of ``leaves``, the same at all steps. Parameters and state are those of the cell. The masks are scaled
    when they are drawn (inverted dropout), so to evaluate, ``noise(..., training=False)`` is 1.

    The mask is on the state as the whole step sees it. Of an Elman network or an LSTM that is h before its weights, as
    in the paper. Of a GRU it is also h on its direct path, z_t * h_{t-1}: a unit that is dropped forgets at each step,
    and one that is not grows by 1 / (1 - rate) where z is near 1. The paper does not treat this path; for a GRU whose
    direct path is left alone take :class:`RecurrentDropoutGRU`.

    References
    ----------
    Gal & Ghahramani 2016, "A theoretically grounded application of dropout in recurrent neural networks", equation 7.
    """

    source = "Gal & Ghahramani 2016, equation 7"

    input_rate: float = 0.25
    state_rate: float = 0.25
    leaves: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in ("input_rate", "state_rate"):
            object.__setattr__(self, option, checked_rate("VariationalDropout", option, getattr(self, option)))
        if self.cell.inputs() is None:
            raise OptionError(
                f"VariationalDropout: {self.cell!r} declares no inputs; let its inputs() return Input(...)"
            )
        specs = pytree.leaves(self.state())
        for leaf in self.leaves if isinstance(self.leaves, tuple) else [self.leaves]:
            whole = isinstance(leaf, int) and not isinstance(leaf, bool) and 0 <= leaf < len(specs)
            if not isinstance(self.leaves, tuple) or not whole or not _floating(specs[leaf]):
                raise OptionError(
                    f"VariationalDropout: leaves={self.leaves!r}, expected a tuple of numbers of floating arrays "
                    f"in the state of {self.cell!r}, which has {len(specs)}"
                )

    def _places(self) -> list[int]:
        """The numbers of the floating inputs of the wrapped cell, noise aside."""
        return [k for k, spec in enumerate(pytree.leaves(self._declared())) if _floating(spec)]

    def _declared(self) -> Any:
        return data_inputs(self.cell)

    def own_noise(self) -> tuple[Input, ...]:
        xs, states = pytree.leaves(self._declared()), pytree.leaves(self.state())
        specs = [*[xs[k] for k in self._places()], *[states[k] for k in self.leaves]]
        return tuple(Input(spec.shape, spec.dtype) for spec in specs)

    def draw(self, rng: Any, axes: tuple[int, int], dtype: np.dtype, training: bool) -> tuple[np.ndarray, ...]:
        rates = [self.input_rate] * len(self._places()) + [self.state_rate] * len(self.leaves)
        return tuple(
            dropped(rng, rate, (*axes, *spec.shape), spec.dtype or dtype, training, shared=True)
            for spec, rate in zip(self.own_noise(), rates, strict=True)
        )

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        x, masks, whole = self.parted(x)
        places = self._places()
        x = _masked(x, places, masks[: len(places)])
        return self.cell.step(params, _masked(state, self.leaves, masks[len(places) :]), whole(x))


def _floating(spec: Any) -> bool:
    return spec.dtype is None or spec.dtype.kind == "f"


def _masked(tree: Any, places: Any, masks: Any) -> Any:
    """A pytree of which some leaves are multiplied by masks."""
    leaves, structure = pytree.flatten(tree)
    for k, d in zip(places, masks, strict=True):
        leaves[k] = d * leaves[k]
    return structure.unflatten(leaves)
