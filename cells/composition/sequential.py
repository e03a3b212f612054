"""Layers one after the other, over whole sequences."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

from ..base import Cell
from ..calls import checked
from ..layer import Layer
from .joining import check_fits, checked_sequence
from .stacked import Stacked


class Sequential(Layer):
    """Layers one after the other: each takes the whole output sequence of the one before.

    Neighbours that are cells run in one loop, as a :class:`Stacked`; other layers run when the one before has ended.

    Parameters
    ----------
    layers : tuple of Cell and Layer
        From the bottom up. A readout may stand anywhere.

    Raises
    ------
    OptionError
        When ``layers`` is empty or holds something else than layers.
    ShapeError
        When a layer does not take what the layer before gives; the message names both.

    Notes
    -----
    Parameters: ``{"layer0": ..., "layer1": ...}``. State: a tuple of the states of the layers. Output: that of the
    last layer.

    Examples
    --------
    >>> import numpy as np
    >>> from tapegrad.cells import GRU, Bidirectional, Linear
    >>> model = Sequential((Bidirectional(GRU(3, 4), GRU(3, 4)), GRU(8, 5), Linear(5, 2)))
    >>> params = model.init(np.random.default_rng(0))
    >>> state, ys = model(params, np.zeros((7, 2, 3), np.float32))
    >>> ys.shape
    (7, 2, 2)
    """

    source = "Graves 2013, section 2, without skip connections; Schuster & Paliwal 1997 for the directions"

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", checked_sequence("Sequential", "layers", self.layers, Layer, "layer"))
        super().__post_init__()
        for number, (before, layer) in enumerate(pairwise(self.layers), 1):
            size = getattr(before, "output_size", None)
            if size is not None:
                check_fits("Sequential", number, layer, (size,), f"layer {number - 1}, {before!r}, gives")

    @property
    def output_size(self) -> int | None:
        return getattr(self.layers[-1], "output_size", None)

    def parameters(self) -> dict[str, Any]:
        return {f"layer{number}": layer.parameters() for number, layer in enumerate(self.layers)}

    def state(self) -> tuple[Any, ...]:
        return tuple(layer.state() for layer in self.layers)

    def inputs(self) -> Any:
        return self.layers[0].inputs()

    def __call__(
        self,
        params: Any,
        xs: Any,
        state: Any = None,
        *,
        lengths: Any = None,
        reset: Any = None,
        reverse: bool = False,
        checkpoint: Any = None,
        backend: str = "auto",
    ) -> Any:
        """Run over sequences.

        Parameters
        ----------
        params : dict as ``parameters()``
        xs : array (T, B, input_size), or pytree as ``inputs()`` of arrays (T, B, ...)
        state : tuple as ``state()`` of arrays (B, ...), optional
            ``initial_state(B)`` by default.
        lengths, reset, reverse, checkpoint, backend
            As for a call of a :class:`Cell`, for all layers.

        Returns
        -------
        state : tuple as it came in
        ys : pytree of arrays (T, B, ...)

        Raises
        ------
        StructureError, ShapeError, DtypeError
            When params, state and xs do not fit the layers or each other.
        """
        state = checked(self, params, xs, state)
        options = {"lengths": lengths, "reset": reset, "reverse": reverse, "checkpoint": checkpoint, "backend": backend}
        states: list[Any] = []
        for first, layer, joined in _loops(self.layers):
            if joined:
                numbers = range(len(layer.cells))
                own = {f"layer{n}": params[f"layer{first + n}"] for n in numbers}
                new, xs = layer(own, xs, tuple(state[first + n] for n in numbers), **options)
                states += new
            else:
                new, xs = layer(params[f"layer{first}"], xs, state[first], **options)
                states.append(new)
        return tuple(states), xs


@lru_cache(maxsize=256)
def _loops(layers: tuple[Layer, ...]) -> tuple[tuple[int, Any, bool], ...]:
    """What is run one after the other: the number of its first layer, a layer, and whether that joins several."""
    loops: list[tuple[int, Any, bool]] = []
    number = 0
    while number < len(layers):
        end = number
        while end < len(layers) and isinstance(layers[end], Cell):
            end += 1
        if end > number:
            loops.append((number, Stacked(layers[number:end]), True))
        else:
            loops.append((number, layers[number], False))
        number = max(end, number + 1)
    return tuple(loops)
