"""Layers one after the other, over whole sequences."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from tapegrad import pytree

from ..base import Cell
from ..calls import checked
from ..checks import data_inputs
from ..layer import Layer
from ..readout import Linear
from ..registry import register
from ..simple import Elman
from .bidirectional import Bidirectional
from .dropout import Dropout
from .joining import check_fits, checked_sequence, drawn, given, noise_inputs, size_of, taken_apart, valid_lengths
from .recording import asked, called
from .resampling import Subsampling
from .stacked import Stacked


def _cells(rng: np.random.Generator) -> Sequential:
    a, b, c, d = rng.permutation(np.arange(1, 6))[:4].tolist()
    return Sequential((Elman(a, b), Elman(b, c), Linear(c, d)))


def _network(rng: np.random.Generator) -> Sequential:
    a, b, c, d = rng.permutation(np.arange(1, 5)).tolist()
    both = Bidirectional(Elman(a, b), Elman(a, c))
    return Sequential((both, Dropout(b + c, 0.3), Subsampling(b + c, 2), Elman(b + c, d), Linear(d, 2)))


@register(kind="layer", variants={"cells": _cells, "network": _network})
class Sequential(Layer):
    """Layers one after the other: each takes the whole output sequence of the one before.

    ::

        y^1 = layer_1(x)
        y^l = layer_l(y^{l-1})                l = 2, ..., L
        y = y^L

    Neighbours that are cells run in one loop, as a :class:`Stacked`, as far as their weights fit into a cache; other
    layers run when the one before has ended.

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
    last layer. A layer may give another number of steps than it takes (:class:`Pooling`, :class:`Subsampling`,
    :class:`Feedback`); ``lengths`` follow, and ``output_lengths(lengths)`` tells what comes out.

    Parts that are not to learn are named by a mask of the keys of the parameters, which ends where all below is alike,
    for :func:`tapegrad.freeze` in a loss or for ``frozen=`` of :func:`tapegrad.training.fit`.

    With a noisy layer among them (:class:`Dropout`) xs is ``(xs, noise)``, where ``noise`` is what :meth:`noise` draws.

    Examples
    --------
    >>> import numpy as np
    >>> from tapegrad.cells import GRU, Bidirectional, Linear
    >>> model = Sequential((Bidirectional(GRU(3, 4), GRU(3, 4)), GRU(8, 5), Linear(5, 2)))
    >>> params = model.init(np.random.default_rng(0))
    >>> state, ys = model(params, np.zeros((7, 2, 3), np.float32))
    >>> ys.shape
    (7, 2, 2)

    The forward reader and the top learn, all else is held:

    >>> import tapegrad as tg
    >>> mask = {"layer0": {"forward": False, "backward": True}, "layer1": True, "layer2": False}
    >>> xs = np.ones((7, 2, 3), np.float32)
    >>> grads = tg.grad(lambda p: np.sum(model(tg.freeze(p, mask), xs)[1]))(params)
    >>> {name: bool(np.any(grads["layer0"][name]["W_xn"])) for name in ("forward", "backward")}
    {'forward': True, 'backward': False}
    >>> bool(np.any(grads["layer1"]["W_xn"])), bool(np.any(grads["layer2"]["W_hy"]))
    (False, True)
    """

    records = True
    source = "Graves 2013, section 2, without skip connections; Schuster & Paliwal 1997 for the directions"

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", checked_sequence("Sequential", "layers", self.layers, Layer, "layer"))
        super().__post_init__()
        for number, (before, layer) in enumerate(pairwise(self.layers), 1):
            size = size_of(before)
            if size is not None:
                check_fits("Sequential", number, layer, (size,), f"layer {number - 1}, {before!r}, gives")

    @property
    def output_size(self) -> int | None:
        return size_of(self.layers[-1])

    def output_lengths(self, lengths: Any) -> Any:
        for layer in self.layers:
            lengths = layer.output_lengths(lengths)
        return lengths

    @property
    def noisy(self) -> bool:
        return any(layer.noisy for layer in self.layers)

    def noise(
        self, rng: np.random.Generator | None, steps: int, batch: int, dtype: Any = np.float32, training: bool = True
    ) -> tuple[Any, ...]:
        """The noise of a call: that of each layer, for as many steps as reach it, None where it takes none."""
        found: list[Any] = []
        for layer in self.layers:
            found += drawn((layer,), rng, steps, batch, dtype, training)
            steps = int(layer.output_lengths(steps))
        return tuple(found)

    def parameters(self) -> dict[str, Any]:
        return {f"layer{number}": layer.parameters() for number, layer in enumerate(self.layers)}

    def state(self) -> tuple[Any, ...]:
        return tuple(layer.state() for layer in self.layers)

    def inputs(self) -> Any:
        wanted = data_inputs(self.layers[0])
        return (wanted, tuple(noise_inputs(layer) for layer in self.layers)) if self.noisy else wanted

    def __call__(
        self,
        params: Any,
        xs: Any,
        state: Any = None,
        *,
        lengths: Any = None,
        reset: Any = None,
        reverse: bool = False,
        record: Any = None,
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
        record : True, str or sequence of str, optional
            Variables of the steps to return too: of a cell that is layer 0 "0.i" and so on, of the cells of a
            :class:`Bidirectional` that is layer 1 "1.forward.i"; True for all.

        Returns
        -------
        state : tuple as it came in
        ys : pytree of arrays (T, B, ...)
        recorded : dict of arrays (T, B, ...)
            Only with ``record``; with as many steps as reach the layer.

        Raises
        ------
        StructureError, ShapeError, DtypeError
            When params, state and xs do not fit the layers or each other.
        """
        xs, noise = taken_apart(self, xs, len(self.layers))
        noise = (None,) * len(self.layers) if noise is None else noise
        state = checked(self, params, xs, state)
        lengths = None if lengths is None else valid_lengths(xs, lengths)
        options = {"reset": reset, "reverse": reverse, "checkpoint": checkpoint, "backend": backend}
        wanted = asked(self, record, {str(number): layer for number, layer in enumerate(self.layers)})
        states: list[Any] = []
        recorded: dict[str, Any] = {}
        for first, layer, joined in _loops(self.layers):
            options["lengths"] = lengths
            if joined:
                numbers = range(first, first + len(layer.cells))
                own = {f"layer{n - first}": params[f"layer{n}"] for n in numbers}
                xs = given(layer, xs, noise[numbers.start : numbers.stop])
                args = own, xs, tuple(state[n] for n in numbers)
                new, xs, found = called(
                    layer, f"the loop of the cells from layer {first} on", args, options, _of_loop(wanted, numbers)
                )
                states += new
                found = {_moved(name, first): value for name, value in found.items()}
            else:
                args = params[f"layer{first}"], given(layer, xs, noise[first]), state[first]
                new, xs, found = called(layer, f"layer {first}", args, options, wanted.get(str(first)))
                states.append(new)
                found = {f"{first}.{name}": value for name, value in found.items()}
            recorded.update(found)
            lengths = lengths if lengths is None else layer.output_lengths(lengths)
        return (tuple(states), xs) if record is None else (tuple(states), xs, recorded)


def _of_loop(wanted: dict[str, Any], numbers: range) -> Any:
    """What is to be recorded of cells that share a loop, in which they are counted from 0."""
    asked = {n - numbers.start: wanted[str(n)] for n in numbers if str(n) in wanted}
    if not asked or True in asked.values():
        return True if asked else None
    return [f"{n}.{name}" for n, names in asked.items() for name in names]


def _moved(name: str, first: int) -> str:
    """The name of a variable of a cell, counted from the first layer on."""
    number, dot, own = name.partition(".")
    return f"{int(number) + first}{dot}{own}"


# A loop goes over the weights of all its cells at every step. While these stay in a core's second cache, of 1 MiB say,
# one loop for all is as fast as one for each, or faster by what a call costs; beyond, each had better go by itself.
WEIGHTS = 300_000


@lru_cache(maxsize=256)
def _loops(layers: tuple[Layer, ...]) -> tuple[tuple[int, Any, bool], ...]:
    """What is run one after the other: the number of its first layer, a layer, and whether that joins cells."""
    loops: list[tuple[int, Any, bool]] = []
    number = 0
    while number < len(layers):
        end, weights = number, 0
        while end < len(layers) and isinstance(layers[end], Cell):
            weights += _carried(layers[end])
            if end > number and _carried(layers[end]) and weights > WEIGHTS:
                break
            end += 1
        joined = end > number
        run: Any = layers[number:end]
        loops.append((number, Stacked(run) if joined else layers[number], joined))
        number = max(end, number + 1)
    return tuple(loops)


def _carried(layer: Layer) -> int:
    """The parameters of a cell that has a state. What has none, a readout say, is computed for many steps at once."""
    return layer.parameter_count if pytree.leaves(layer.state()) else 0
