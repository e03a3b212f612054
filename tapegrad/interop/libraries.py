"""Optional libraries, loaded when something needs them."""

from __future__ import annotations

import importlib
from types import ModuleType

from ..errors import MissingLibrary

__all__ = ["library"]


def library(name: str, function: str) -> ModuleType:
    """The module ``name``, loaded now.

    Parameters
    ----------
    name : str
        A module of a library that tapegrad does without otherwise.
    function : str
        What needs it, for the message.

    Raises
    ------
    MissingLibrary
        It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        top = name.partition(".")[0]
        raise MissingLibrary(f"{function} needs {top}, which cannot be loaded ({error}); pip install {top}") from error
