"""Parameters of a cell or layer in a safetensors file that says what they are the parameters of."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from tapegrad.cells import Layer

from ..errors import FileError, StructureError, TapegradError
from ..files import PathLike, one_line, read_metadata, read_safetensors, storable, write_safetensors
from .named import checked_params, named, option_names, unnamed

__all__ = ["describe", "load", "load_torch", "save", "save_torch"]

FORMAT = "tapegrad layer 1"
WHAT = "a safetensors file"


def save(path: PathLike, layer: Layer, params: Any) -> None:
    """Write the parameters of a cell or layer, atomically.

    Parameters
    ----------
    path : str or path
        An existing file is replaced only when the new one is complete and on the disk.
    layer : Cell or Layer
        Its class and options are written into the file's metadata, in JSON.
    params : pytree as ``layer.parameters()``
        An array is called by the keys on the way to it, joined by dots: ``layer0.W_xh``.

    Raises
    ------
    StructureError, ShapeError, DtypeError
        The parameters are not those of the layer.
    FileError
        The file cannot be written; what was there before is untouched.

    Examples
    --------
    >>> import tempfile
    >>> from tapegrad.cells import GRU
    >>> cell = GRU(2, 3)
    >>> params = cell.init(np.random.default_rng(0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/gru.safetensors", cell, params)
    ...     again, back = load(f"{folder}/gru.safetensors")
    >>> again == cell, np.array_equal(back["W_hz"], params["W_hz"])
    (True, True)
    """
    checked_params(layer, params, "save")
    arrays = {name: storable(name, leaf, "save") for name, leaf in named(params, "save").items()}
    write_safetensors(path, arrays, {"format": FORMAT, "layer": json.dumps(describe(layer))})


def load(path: PathLike, layer: Layer | None = None, *, strict: bool = True) -> tuple[Any, Any]:
    """Read a layer and its parameters.

    Parameters
    ----------
    path : str or path
        What :func:`save` wrote, or with ``layer`` any safetensors file whose arrays are called as its parameters are.
    layer : Cell or Layer, optional
        What the parameters are for; by default what the file says. A file names a class, and that is looked for among
        those that are loaded; no code is taken from the file, nor imported.
    strict : bool
        False takes arrays that fit a ``layer`` though the file says that they are those of another.

    Returns
    -------
    layer : Cell or Layer
    params : pytree as ``layer.parameters()``

    Raises
    ------
    FileError
        The file is missing or damaged, is of another kind, or names a class or an option that cannot be made.
    StructureError
        An array is missing, or one came that the layer does not have; or the file is that of another layer.
    ShapeError, DtypeError
        An array has another shape, or another dtype than the others.
    """
    name = os.fspath(path)
    metadata = read_metadata(path, WHAT)
    stored = _description(name, metadata)
    if layer is None:
        if stored is None:
            kind = f" is of the kind {metadata['format']!r} and" if "format" in metadata else ""
            raise FileError(f"load: {name!r}{kind} does not say what layer it is of; give it, load(path, layer)")
        layer = _made(name, stored)
    arrays = read_safetensors(path, WHAT)[1]
    params = unnamed(layer, arrays, f"load: {name!r}")
    if strict and stored is not None and not _agree(_completed(stored), describe(layer)):
        raise StructureError(
            f"load: {name!r} is of {_text(stored)}, not of {_text(describe(layer))}; the arrays would fit: write "
            "strict=False, or take the layer that load(path) gives"
        )
    return layer, params


# ---- torch's names


def load_torch(path: PathLike, kind: Any = None, *, prefix: str = "") -> tuple[Layer, Any]:
    """Read a recurrent layer of PyTorch from a file of its state dict; torch itself is not needed.

    Parameters
    ----------
    path : str or path
        As ``safetensors.torch.save_file(module.state_dict(), path)`` writes it.
    kind, prefix
        As for :func:`tapegrad.interop.torch.load`. Arrays that do not begin with the prefix are not read.

    Returns
    -------
    layer : Layer
    params : pytree as ``layer.parameters()``

    Raises
    ------
    FileError
        The file is missing or damaged, or holds an array of a dtype that NumPy does not have.
    StructureError, ShapeError, DtypeError, OptionError
        As for ``tapegrad.interop.torch.load``.
    """
    from . import torch

    return torch.load(read_safetensors(path, WHAT, prefix and prefix.rstrip(".") + ".")[1], kind, prefix=prefix)


def save_torch(path: PathLike, layer: Layer, params: Any, *, bias: bool = True, prefix: str = "") -> None:
    """Write a network of cells as the state dict of the recurrent layer of PyTorch that it is, atomically.

    Parameters
    ----------
    path : str or path
        ``module.load_state_dict(safetensors.torch.load_file(path))`` reads it.
    layer, params, bias, prefix
        As for :func:`tapegrad.interop.torch.state_dict`.

    Raises
    ------
    FileError
        The file cannot be written; what was there before is untouched.
    OptionError, StructureError, ShapeError, DtypeError
        As for ``tapegrad.interop.torch.state_dict``.
    """
    from . import torch

    found = torch.state_dict(layer, params, bias=bias, prefix=prefix)
    arrays = {name: storable(name, array, "save_torch") for name, array in found.items()}
    write_safetensors(path, arrays, {"format": "pt"})


# ---- layers as JSON


def describe(value: Any) -> Any:
    """A layer, or an option of one, as JSON can hold it.

    >>> from tapegrad.cells import Elman
    >>> describe(Elman(2, 3))["options"]
    {'input_size': 2, 'hidden_size': 3, 'activation': 'tanh'}
    """
    if isinstance(value, Layer):
        kind = type(value)
        options = {name: describe(getattr(value, name)) for name in option_names(value)}
        return {"class": kind.__qualname__, "module": kind.__module__, "options": options}
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    if isinstance(value, np.generic):
        return describe(value.item())
    if isinstance(value, tuple):
        return [describe(part) for part in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [describe(getattr(value, name)) for name in option_names(value)]
    return {"text": repr(value)}


def _description(name: str, metadata: dict[str, str]) -> Any:
    """What the file says that it is of; None when it was not written by :func:`save`."""
    if metadata.get("format") != FORMAT:
        return None
    try:
        stored = json.loads(metadata["layer"])
        _check(stored)
        return stored
    except (KeyError, ValueError, RecursionError) as error:
        raise FileError(f"load: {name!r} is damaged: {one_line(error)}") from error


def _check(stored: Any) -> None:
    """Raise a ValueError unless this is what :func:`describe` gives of something."""
    if isinstance(stored, dict) and "text" not in stored:
        kinds = {"class": str, "module": str, "options": dict}
        wrong = [key for key, kind in kinds.items() if not isinstance(stored.get(key), kind)]
        if wrong:
            raise ValueError(f"a layer in its metadata has no {wrong[0]}")
        inside = list(stored["options"].values())
    else:
        inside = stored if isinstance(stored, list) else []
    for part in inside:
        _check(part)


def _made(name: str, stored: Any) -> Any:
    """The layer of a description."""
    try:
        layer = _value(stored)
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError, TapegradError) as error:
        raise FileError(f"load: the layer that {name!r} names cannot be made: {one_line(error)}") from error
    if not isinstance(layer, Layer) or not _agree(stored, describe(layer)):
        raise FileError(
            f"load: {name!r} is of {_text(stored)}, whose options a file cannot hold; give the layer, load(path, layer)"
        )
    return layer


def _agree(stored: Any, described: Any) -> bool:
    """Whether all that the file says is so; a class may have moved, or have got another option."""
    if isinstance(stored, dict) and isinstance(described, dict) and "class" in stored:
        have, now = stored["options"], described.get("options", {})
        same = stored["class"] == described.get("class")
        return same and all(name in now and _agree(value, now[name]) for name, value in have.items())
    if isinstance(stored, list) and isinstance(described, list):
        return len(stored) == len(described) and all(_agree(*pair) for pair in zip(stored, described, strict=True))
    return stored == described


def _completed(stored: Any) -> Any:
    """What the file says, with the options that its class has got since."""
    try:
        return describe(_value(stored))
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError, TapegradError):
        return stored


def _value(stored: Any) -> Any:
    if isinstance(stored, list):
        return tuple([_value(part) for part in stored])
    if not isinstance(stored, dict):
        return stored
    if "text" in stored:
        raise FileError(f"an option was {stored['text']}, which a file cannot hold; give the layer, load(path, layer)")
    options = {key: _value(value) for key, value in stored["options"].items()}
    return _class(stored["class"], stored["module"])(**options)


def _class(name: str, module: str) -> type[Layer]:
    """The class of layers of this name: that of this module, or else the only one."""
    found = [kind for kind in _subclasses(Layer) if kind.__qualname__ == name]
    here = [kind for kind in found if kind.__module__ == module] or found
    if not here or len({kind.__module__ for kind in here}) > 1:
        raise FileError(f"there is no class {module}.{name}; import the module that has it, or give the layer")
    return here[-1]  # a notebook defines a class again


def _subclasses(kind: type[Layer]) -> Iterator[type[Layer]]:
    below: type[Layer]
    for below in kind.__subclasses__():
        yield below
        yield from _subclasses(below)


def _text(stored: Any) -> str:
    """A description as one would write it."""
    if isinstance(stored, list):
        return f"({', '.join(map(_text, stored))}{',' * (len(stored) == 1)})"
    if isinstance(stored, dict):
        if "text" in stored:
            return str(stored["text"])
        inside = ", ".join(f"{key}={_text(value)}" for key, value in stored.get("options", {}).items())
        return f"{stored.get('class')}({inside})"
    return repr(stored)
