"""What compositions ask of their parts."""

from __future__ import annotations

from typing import Any

from tapegrad.errors import OptionError, ShapeError

from ..layer import Layer
from ..specs import Input


def checked_layer(name: str, part: str, layer: Any) -> None:
    """Raises when a part of a composition is no layer."""
    if not isinstance(layer, Layer):
        raise OptionError(f"{name}: {part} is {layer!r}, expected a cell or layer such as LSTM(8, 32)")


def checked_sequence(name: str, option: str, layers: Any, kind: type[Layer], word: str) -> tuple[Any, ...]:
    """``layers`` as a tuple of at least one of ``kind``."""
    if not isinstance(layers, (tuple, list)) or not layers:
        raise OptionError(f"{name}: {option}={layers!r}, expected a tuple of at least one {word}")
    for number, layer in enumerate(layers):
        if not isinstance(layer, kind):
            raise OptionError(f"{name}: layer {number} is {layer!r}, expected a {word} such as LSTM(8, 32)")
    return tuple(layers)


def check_fits(name: str, number: int, layer: Layer, shape: tuple[int, ...], below: str) -> None:
    """Raises when a layer does not take inputs of ``shape``; ``below`` says where they come from."""
    wanted = layer.inputs()
    if isinstance(wanted, Input) and wanted.shape != shape:
        raise ShapeError(
            f"{name}: layer {number}, {layer!r}, takes inputs of shape {wanted.shape}, but {below} {shape}; make "
            f"layer {number} with input_size={shape[-1] if shape else 1}"
        )
