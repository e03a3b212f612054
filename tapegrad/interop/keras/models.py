"""The recurrent layers of whole Keras models."""

from __future__ import annotations

import os
from typing import Any

from ...errors import FileError, TapegradError
from ...files import one_line
from ..libraries import library
from .layers import KerasLayer, from_keras

__all__ = ["load"]

RECURRENT = ("SimpleRNN", "LSTM", "GRU", "Bidirectional", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")


def load(model: Any) -> dict[str, KerasLayer]:
    """The recurrent layers of a Keras 3 model, each with its weights.

    Parameters
    ----------
    model : str, path or keras.Model
        A file ``.keras`` is read by Keras, which runs no code of the file's.

    Returns
    -------
    dict
        From the name of each recurrent layer, in the order of ``model.layers``, to a :class:`KerasLayer`; the other
        layers are left out. All recurrent ones are read, or none.

    Raises
    ------
    MissingLibrary
        Keras is not installed.
    FileError
        The file cannot be read, or the model has no recurrent layer.
    OptionError
        A recurrent layer has an option that no cell has; the message names both.
    """
    keras = library("keras", "tapegrad.interop.keras.load")
    if isinstance(model, (str, os.PathLike)):
        path = os.fspath(model)
        try:
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # of the many libraries that may stand behind a file
            raise FileError(f"load: {path!r} is no model that Keras can read: {one_line(error)}") from error
    found = {}
    for layer in model.layers:
        if type(layer).__name__ in RECURRENT:
            try:
                found[layer.name] = from_keras(layer)
            except TapegradError as error:
                raise type(error)(f"layer {layer.name!r}: {error}") from None
    if not found:
        kinds = ", ".join(sorted({type(layer).__name__ for layer in model.layers})) or "nothing"
        raise FileError(f"load: the model has no recurrent layer; it has {kinds}")
    return found
