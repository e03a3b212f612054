"""Zoneout: parts of the state keep their old values."""

from typing import Any

import numpy as np

from tapegrad import pytree
from tapegrad.errors import OptionError

from ..lstm import LSTM
from ..registry import register
from ..specs import Input
from .drawing import Noisy, checked_rate


def _lstm(rng: np.random.Generator) -> "Zoneout":
    m, n = rng.permutation(np.arange(1, 6))[:2].tolist()
    return Zoneout(LSTM(m, n), (0.1, 0.5))


@register(variants={"LSTM": _lstm})
class Zoneout(Noisy):
    """Zoneout around any cell: each element of the state keeps its old value where a mask says so.

    ::

        s'_t, y_t = step(s_{t-1}, x_t)                    the cell, with outputs y that are a part of s' or made of it
        s_t = d_t * s_{t-1} + (1 - d_t) * s'_t            d is 1 with probability rate, else 0

    Parameters
    ----------
    cell : Cell
    rates : float or tuple of float
        The probability to keep the old value: one for all arrays of the state, or one for each, in their order.

    Raises
    ------
    OptionError
        When ``cell`` is no cell, or there are not as many rates as arrays in its state.

    Notes
    -----
    Input: ``(x, noise)``, where ``noise = zoneout.noise(rng, steps, batch)`` holds an array for each floating array of
    the state; integer and boolean ones are left alone. Parameters and state are those of the cell. What the cell
    gives out of its state (h, of an LSTM) is given out as it is after zoneout; outputs that are computed from it are
    left as the step makes them. To evaluate, ``noise(..., training=False)`` is the rate itself, so that the step
    gives its expected value.

    References
    ----------
    Krueger et al. 2017, "Zoneout: Regularizing RNNs by randomly preserving hidden activations", section 3.2; there
    the rates of an LSTM's c and h are 0.5 and 0.05 for characters.
    """

    source = "Krueger et al. 2017, section 3.2"

    rates: float | tuple[float, ...] = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        count = len(pytree.leaves(self.cell.state()))
        if isinstance(self.rates, tuple):
            if len(self.rates) != count:
                raise OptionError(
                    f"Zoneout: rates={self.rates!r}, but the state of {self.cell!r} has {count} arrays; give one "
                    "number for all, or one for each"
                )
            rates: Any = tuple(checked_rate("Zoneout", "rates", rate) for rate in self.rates)
        else:
            rates = checked_rate("Zoneout", "rates", self.rates)
        object.__setattr__(self, "rates", rates)

    def _zoned(self) -> list[tuple[int, Any, float]]:
        """The floating arrays of the state: their numbers, declarations and rates."""
        specs = pytree.leaves(self.state())
        rates = self.rates if isinstance(self.rates, tuple) else (self.rates,) * len(specs)
        rows = enumerate(zip(specs, rates, strict=True))
        return [(k, spec, rate) for k, (spec, rate) in rows if spec.dtype is None or spec.dtype.kind == "f"]

    def own_noise(self) -> tuple[Input, ...]:
        return tuple(Input(spec.shape, spec.dtype) for _, spec, _ in self._zoned())

    def draw(self, rng: Any, axes: tuple[int, int], dtype: np.dtype, training: bool) -> tuple[np.ndarray, ...]:
        made = []
        for _, spec, rate in self._zoned():
            shape, kind = (*axes, *spec.shape), spec.dtype or dtype
            made.append((rng.random(shape) < rate).astype(kind) if training else np.full(shape, rate, kind))
        return tuple(made)

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        x, masks, whole = self.parted(x)
        new, y = self.cell.step(params, state, whole(x))
        before, (after, structure) = pytree.leaves(state), pytree.flatten(new)
        zoned = list(after)
        for (k, _, _), d in zip(self._zoned(), masks, strict=True):
            zoned[k] = d * before[k] + (1 - d) * after[k]
        shown = {id(leaf): kept for leaf, kept in zip(after, zoned, strict=True)}
        return structure.unflatten(zoned), pytree.map(lambda leaf: shown.get(id(leaf), leaf), y)
