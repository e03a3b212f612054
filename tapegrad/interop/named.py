"""Arrays by name, held against what a cell or layer declares: all of them fit, or none is taken."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tapegrad.cells import Layer

from .. import pytree
from ..errors import DtypeError, OptionError, ShapeError, StructureError

__all__ = ["checked_params", "named", "names", "option_names", "unnamed"]

_INDEX = re.compile(r"\[(\d+)\]")


def names(tree: Any) -> list[str]:
    """A name for each leaf of a pytree: the keys on the way to it, joined by dots.

    >>> names({"layer0": {"W": 1.0}, "more": [2.0]})
    ['layer0.W', 'more.0']
    """
    return [_INDEX.sub(r".\1", path).lstrip(".") for path in pytree.paths(tree)]


def named(params: Any, function: str) -> dict[str, Any]:
    """The leaves of a pytree by name.

    Raises
    ------
    StructureError
        Two leaves have the same name.
    """
    found: dict[str, Any] = {}
    for name, leaf in zip(names(params), pytree.leaves(params), strict=True):
        if name in found:
            raise StructureError(f"{function}: two parameters are called {name!r}; rename a key")
        found[name] = leaf
    return found


def unnamed(layer: Layer, arrays: Mapping[str, Any], function: str, keys: Mapping[str, str] | None = None) -> Any:
    """The parameters of a layer from arrays by name.

    Parameters
    ----------
    layer : Cell or Layer
    arrays : mapping
    function : str
        What is called, for messages.
    keys : mapping, optional
        What the arrays are called in messages, where that is not their name.

    Returns
    -------
    pytree as ``layer.parameters()``

    Raises
    ------
    OptionError
        ``layer`` is none.
    StructureError
        An array is missing, or one came that the layer does not have.
    ShapeError, DtypeError
        An array has another shape, or is not of the floating dtype that the others have.
    """
    if not isinstance(layer, Layer):
        kind = type(layer).__name__
        raise OptionError(f"{function}: layer is a {kind}, expected a cell or layer such as LSTM(8, 32)")
    declared = named(layer.parameters(), function)
    missing, extra = [name for name in declared if name not in arrays], sorted(set(arrays) - set(declared))
    if missing:
        shape = declared[missing[0]].shape
        hint = f"; {', '.join(map(repr, extra))} came, which it does not have" if extra else ""
        raise StructureError(f"{function}: {missing[0]!r} is missing, expected an array {shape} for {layer!r}{hint}")
    if extra:
        raise StructureError(
            f"{function}: {extra[0]!r}, {np.shape(arrays[extra[0]])}, is no parameter of {layer!r}; these are "
            f"{', '.join(declared)}"
        )
    first: tuple[str, Any] | None = None
    for name, parameter in declared.items():
        array, key = arrays[name], (keys or {}).get(name, name)
        if not hasattr(array, "shape") or not hasattr(array, "dtype"):
            raise DtypeError(f"{function}: {key!r} is a {type(array).__name__}, expected an array {parameter.shape}")
        if tuple(array.shape) != parameter.shape:
            swapped = len(array.shape) == 2 and tuple(array.shape[::-1]) == parameter.shape
            hint = "; it is transposed: weights are (in, out) here, give array.T" if swapped else ""
            raise ShapeError(f"{function}: {key!r} is of shape {tuple(array.shape)}, expected {parameter.shape}{hint}")
        if array.dtype.kind != "f":
            raise DtypeError(
                f"{function}: {key!r} has dtype {array.dtype}, expected float32 or float64; write .astype(np.float32)"
            )
        if first is None:
            first = key, array.dtype
        elif array.dtype != first[1]:
            raise DtypeError(
                f"{function}: {key!r} has dtype {array.dtype} and {first[0]!r} has {first[1]}; expected one dtype"
            )
    return pytree.structure(layer.parameters()).unflatten([arrays[name] for name in declared])


def option_names(value: Any) -> list[str]:
    """The names of the options of a layer, or of the fields of another dataclass."""
    return [field.name for field in dataclasses.fields(value)]


def checked_params(layer: Layer, params: Any, function: str) -> Any:
    """The parameters, when they are those of the layer.

    Raises
    ------
    StructureError, ShapeError, DtypeError
        They are not; the message names the first that is wrong.
    """
    return unnamed(layer, named(params, function), function)
