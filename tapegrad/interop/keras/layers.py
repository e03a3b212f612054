"""Keras' recurrent layers, read as cells with parameters, and made from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapegrad.cells import GRU, LSTM, Bidirectional, Elman

from ... import pytree
from ...errors import OptionError, ShapeError
from ..libraries import library
from .weights import SIDES, from_weights, to_weights

__all__ = ["KerasLayer", "from_keras", "to_keras"]

MERGES = {"concat": "concatenate", "sum": "sum", "ave": "mean", "mul": "product"}
# What changes training, or what a call does, and has no counterpart here.
REFUSED: dict[str, Any] = {"dropout": 0.0, "recurrent_dropout": 0.0, "stateful": False}


@dataclass(frozen=True)
class KerasLayer:
    """A recurrent layer of Keras: the cell that it is, its parameters, and what it returns.

    Attributes
    ----------
    layer : Elman, LSTM, GRU or Bidirectional
    params : pytree as ``layer.parameters()``
    go_backwards : bool
        Whether a cell reads sequences from their end; its outputs then come in the order in which it reads.
    return_sequences, return_state : bool
        Whether the outputs of all steps are returned, and whether the final states are returned as well.

    Notes
    -----
    Keras' masks are not taken: a masked step there repeats the output before it. Call ``layer`` with ``lengths`` where
    sequences end early.
    """

    __pytree_leaf__ = True

    layer: Any
    params: Any
    go_backwards: bool = False
    return_sequences: bool = False
    return_state: bool = False

    def __call__(self, x: Any, initial_state: Any = None, *, params: Any = None, backend: str = "auto") -> Any:
        """What the Keras layer returns.

        Parameters
        ----------
        x : array (B, T, input_size)
        initial_state : array (B, hidden_size), or list of them, optional
            h, or h and c; of Bidirectional those of both directions. 0 by default.
        params : pytree as ``layer.parameters()``, optional
            In the place of the layer's own, to differentiate by them.
        backend : str

        Returns
        -------
        outputs : array (B, output_size), or (B, T, output_size) with ``return_sequences``
        *states : arrays (B, hidden_size)
            With ``return_state`` a tuple comes back, of the outputs and these.

        Raises
        ------
        ShapeError
            The number of initial states is not that of the layer.
        """
        xs = np.swapaxes(x, 0, 1)
        start = pytree.map(np.zeros_like, self.layer.initial_state(xs.shape[1], xs.dtype))
        if initial_state is not None:
            leaves, structure = pytree.flatten(start)
            given = list(initial_state) if isinstance(initial_state, (list, tuple)) else [initial_state]
            if len(given) != len(leaves):
                raise ShapeError(f"KerasLayer: {len(given)} initial states came, {self.layer!r} has {len(leaves)}")
            start = structure.unflatten(given)
        params = self.params if params is None else params
        both = isinstance(self.layer, Bidirectional)
        final, ys = self.layer(params, xs, start, reverse=self.go_backwards and not both, backend=backend)
        if self.return_sequences:
            outputs = np.swapaxes(np.flip(ys, 0) if self.go_backwards else ys, 0, 1)
        elif both:
            # Each direction's last output, which stand at different steps; the output of these cells is their h.
            outputs = _merged(self.layer.merge, *[pytree.leaves(side)[0] for side in final])
        else:
            outputs = pytree.leaves(final)[0]
        return (outputs, *pytree.leaves(final)) if self.return_state else outputs


def _merged(merge: str, forward: Any, backward: Any) -> Any:
    from tapegrad.cells.composition.bidirectional import MERGES as HOW

    return HOW[merge](forward, backward)


def from_keras(layer: Any) -> KerasLayer:
    """A recurrent layer of Keras 3 as a cell with its weights.

    Parameters
    ----------
    layer : keras.layers.SimpleRNN, LSTM, GRU, or Bidirectional of these
        Built, so that it has weights.

    Returns
    -------
    KerasLayer

    Raises
    ------
    OptionError
        The layer is none of these, is not built, or has an option that no cell has; the message names it.

    Examples
    --------
    ``cell, params = found.layer, found.params`` of ``found = from_keras(model.layers[1])``.
    """
    config: dict[str, Any] = getattr(layer, "get_config", dict)()
    kind = type(layer).__name__
    if kind == "Bidirectional":
        made = _bidirectional(layer, config)
    else:
        made = _cell(kind, config, _input_size(layer))
    params = from_weights(made, _weights(layer))
    backwards = bool(config.get("go_backwards", False))
    return KerasLayer(made, params, backwards, bool(layer.return_sequences), bool(layer.return_state))


def _weights(layer: Any) -> list[np.ndarray]:
    """As ``layer.get_weights()``, which under NumPy 2 warns about Keras' own ``__array__``."""
    convert = library("keras", "from_keras").ops.convert_to_numpy
    return [np.array(convert(weight.value)) for weight in layer.weights]


def _input_size(layer: Any) -> int:
    weights = getattr(layer, "weights", ())
    if not weights:
        raise OptionError(f"from_keras: {layer!r} has no weights; call it once, or write layer.build(shape)")
    return int(weights[0].shape[0])


def _bidirectional(layer: Any, config: Mapping[str, Any]) -> Bidirectional:
    if layer.merge_mode not in MERGES:
        raise OptionError(f"from_keras: merge_mode is {layer.merge_mode!r}, expected one of {', '.join(MERGES)}")
    sides = []
    for side, backwards in zip(SIDES, (False, True), strict=True):
        inner = getattr(layer, f"{side}_layer")
        own = inner.get_config()
        if own.get("go_backwards") is not backwards:
            raise OptionError(
                f"from_keras: {side}_layer has go_backwards={own.get('go_backwards')}, expected {backwards}"
            )
        sides.append(_cell(type(inner).__name__, own, _input_size(inner)))
    return Bidirectional(sides[0], sides[1], MERGES[layer.merge_mode])


def _cell(kind: str, config: Mapping[str, Any], input_size: int) -> Any:
    """The cell of a layer with this configuration."""
    for option, usual in REFUSED.items():
        if config.get(option, usual) != usual:
            raise OptionError(
                f"from_keras: {option} is {config[option]!r}, which no cell has; take the weights alone, "
                "from_weights(cell, layer.get_weights())"
            )
    units = config.get("units", 0)
    if kind == "SimpleRNN":
        return Elman(input_size, units, _activation(config, "activation", ("tanh", "sigmoid", "relu")))
    if kind not in ("LSTM", "GRU"):
        raise OptionError(f"from_keras: the layer is a {kind}, expected SimpleRNN, LSTM, GRU or Bidirectional")
    _activation(config, "activation", ("tanh",))
    _activation(config, "recurrent_activation", ("sigmoid",))
    if kind == "LSTM":
        return LSTM(input_size, units, 1.0 if config.get("unit_forget_bias", True) else 0.0)
    return GRU(input_size, units, reset_after=bool(config.get("reset_after", True)))


def _activation(config: Mapping[str, Any], option: str, known: tuple[str, ...]) -> str:
    found = config.get(option)
    if found not in known:
        raise OptionError(f"from_keras: {option} is {found!r}, expected {' or '.join(map(repr, known))}")
    return str(found)


def to_keras(layer: Any, params: Any, **options: Any) -> Any:
    """The layer of Keras 3 that a cell is, built, with its weights.

    Parameters
    ----------
    layer : Elman, LSTM, GRU, or Bidirectional of two of these
    params : pytree as ``layer.parameters()``
    **options
        Of the Keras layer, such as ``return_sequences=True``; by default its own.

    Returns
    -------
    keras.layers.Layer

    Raises
    ------
    MissingLibrary
        Keras is not installed.
    OptionError
        Keras has no such layer; the message names what it lacks.
    StructureError, ShapeError, DtypeError
        The parameters are not those of the layer.
    """
    keras = library("keras", "to_keras")
    weights = to_weights(layer, params, use_bias=options.get("use_bias", True))
    if isinstance(layer, Bidirectional):
        sides = [getattr(layer, side) for side in SIDES]
        forward, backward = (_keras(keras, side, {**options, "go_backwards": k == 1}) for k, side in enumerate(sides))
        mode = {ours: theirs for theirs, ours in MERGES.items()}[layer.merge]
        made = keras.layers.Bidirectional(forward, merge_mode=mode, backward_layer=backward)
    else:
        sides = [layer]
        made = _keras(keras, layer, options)
    made.build((None, None, sides[0].input_size))
    made.set_weights(weights)
    return made


def _keras(keras: Any, cell: Any, options: Mapping[str, Any]) -> Any:
    if any(np.any(leaf) for leaf in pytree.leaves(cell.initial_state(1))):
        raise OptionError(
            f"to_keras: {cell!r} does not start from 0, as layers of Keras do; take the weights alone, "
            "to_weights(cell, params), and give the layer its initial_state"
        )
    if isinstance(cell, Elman):
        return keras.layers.SimpleRNN(cell.hidden_size, activation=cell.activation, **options)
    if isinstance(cell, LSTM):
        return keras.layers.LSTM(cell.hidden_size, unit_forget_bias=cell.forget_bias == 1, **options)
    return keras.layers.GRU(cell.hidden_size, reset_after=cell.reset_after, **options)
