"""What compositions ask of their parts, and the noise that these take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad import pytree
from tapegrad.errors import OptionError, ShapeError, StructureError
from tapegrad.masks import Masks
from tapegrad.primitives.registry import shape_of
from tapegrad.signatures import flat

from ..checks import data_inputs
from ..layer import Layer
from ..specs import Input

# ---- parts ----


def checked_layer(name: str, part: str, layer: Any) -> None:
    """Raises when a part of a composition is no layer."""
    if not isinstance(layer, Layer):
        raise OptionError(f"{name}: {part} is {layer!r}, expected a cell or layer such as LSTM(8, 32){_hint(layer)}")


def checked_sequence(name: str, option: str, layers: Any, kind: type[Layer], word: str) -> tuple[Any, ...]:
    """``layers`` as a tuple of at least one of ``kind``."""
    if not isinstance(layers, (tuple, list)) or not layers:
        raise OptionError(
            f"{name}: {option}={layers!r}, expected a tuple of at least one {word}, such as "
            f"{name}((LSTM(8, 32), LSTM(32, 32)))"
        )
    for number, layer in enumerate(layers):
        if not isinstance(layer, kind):
            raise OptionError(
                f"{name}: layer {number} is {layer!r}, expected a {word} such as LSTM(8, 32){_hint(layer)}"
            )
    return tuple(layers)


def _hint(layer: Any) -> str:
    """What to do with something that is no part of a composition, but nearly one."""
    if isinstance(layer, type) and issubclass(layer, Layer):
        return ", made with its sizes"
    return "; layers that are no cells, as this one, go into a Sequential" if isinstance(layer, Layer) else ""


def check_fits(name: str, number: int, layer: Layer, shape: tuple[int, ...], below: str) -> None:
    """Raises when a layer does not take inputs of ``shape``; ``below`` says where they come from."""
    wanted = data_inputs(layer)
    if isinstance(wanted, Input) and wanted.shape != shape:
        raise ShapeError(
            f"{name}: layer {number}, {layer!r}, takes inputs of shape {wanted.shape}, but {below} {shape}; make "
            f"layer {number} with input_size={shape[-1] if shape else 1}"
        )


def size_of(layer: Layer) -> int | None:
    """The length of a layer's output vectors, where it tells."""
    return getattr(layer, "output_size", None)


def input_size_of(layer: Layer) -> int | None:
    """The length of the vectors that a layer takes; None when it takes something else, or does not tell."""
    wanted = data_inputs(layer)
    return wanted.shape[0] if isinstance(wanted, Input) and len(wanted.shape) == 1 else None


# ---- noise ----


def noise_inputs(layer: Layer) -> Any:
    """What a layer declares about its noise; None when it takes none."""
    return layer.inputs()[1] if layer.noisy else None


def given(layer: Layer, x: Any, noise: Any) -> Any:
    """The input of a layer: with its noise, where it takes any."""
    return (x, noise) if layer.noisy else x


def taken_apart(layer: Layer, xs: Any, parts: int | None = None) -> tuple[Any, Any]:
    """Inputs and noise of a network's xs; of one that is not noisy, all is input.

    Raises
    ------
    StructureError
        When a noisy network is not given a pair, or not the noise of as many ``parts``.
    """
    if not layer.noisy:
        return xs, None
    if not isinstance(xs, (tuple, list)) or len(xs) != 2:
        raise StructureError(
            f"{layer!r}: xs is a {type(xs).__name__}, expected a pair, (xs, noise); draw the noise with "
            "layer.noise(rng, steps, batch), and for evaluation with training=False"
        )
    if parts is not None and (not isinstance(xs[1], (tuple, list)) or len(xs[1]) != parts):
        raise StructureError(
            f"{layer!r}: the noise has the structure {pytree.structure(xs[1])!r}, expected a tuple with that of each "
            f"of {parts} parts; draw it with the noise method of this layer, noise(rng, steps, batch)"
        )
    return xs[0], xs[1]


def drawn(
    layers: Sequence[Layer], rng: np.random.Generator | None, steps: int, batch: int, dtype: Any, training: bool
) -> tuple[Any, ...]:
    """The noise of each layer in turn, with None for those that take none; all for the same number of steps."""
    return tuple(layer.noise(rng, steps, batch, dtype, training) if layer.noisy else None for layer in layers)  # type: ignore[attr-defined]


# ---- rows ----


def valid_lengths(xs: Any, lengths: Any) -> np.ndarray:
    """The numbers of steps of each row: those given, once they fit, or all.

    Raises
    ------
    ShapeError, TracingError
        When they are not one plain integer for each row, from 0 to the number of steps.
    """
    steps, rows = shape_of(pytree.leaves(xs)[0])[:2]
    if lengths is None:
        return np.full(rows, steps)
    found = Masks(flat(xs, "xs"), flat(None, "state"), lengths, None).lengths
    assert found is not None
    return found


def valid_reset(xs: Any, reset: Any) -> np.ndarray:
    """Where sequences begin anew, once it fits.

    Raises
    ------
    ShapeError, TracingError
        When it is no plain array of bool, (steps, rows).
    """
    found = Masks(flat(xs, "xs"), flat(None, "state"), None, reset).reset
    assert found is not None
    return found


def aligned(mask: Any, leaf: Any) -> Any:
    """A mask of rows with the axes that it lacks."""
    return np.reshape(mask, (*shape_of(mask), *(1,) * (len(shape_of(leaf)) - len(shape_of(mask)))))
