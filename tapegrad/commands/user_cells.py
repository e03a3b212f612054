"""Cells of the user's own, named on the command line as ``module:Class`` or ``path.py:Class``."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from tapegrad.cells import Cell

from ..errors import OptionError


def user_cell(option: str, name: str) -> type[Cell]:
    """The class of that name.

    Parameters
    ----------
    option : str
        What the name was given as: "--cell", say.
    name : str

    Raises
    ------
    OptionError
        When it cannot be imported or is no cell.
    """
    module, _, attribute = name.rpartition(":")
    if not module or not attribute:
        raise OptionError(f"{option} {name}: expected module:Class or path.py:Class")
    try:
        found = getattr(_loaded(module), attribute)
    except Exception as error:  # a user's module can raise anything
        raise OptionError(f"{option} {name}: cannot import it: {type(error).__name__}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Cell)):
        raise OptionError(f"{option} {name}: {attribute} is not a subclass of tapegrad.cells.Cell")
    return found


def _loaded(module: str) -> ModuleType:
    if not module.endswith(".py"):
        if os.getcwd() not in sys.path:
            # An installed program starts with its own folder on the path; the user's cell is where they work.
            sys.path.insert(0, os.getcwd())
        return importlib.import_module(module)
    path = Path(module)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"there is no file {module}")
    made = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, made)  # where classes look for the module that they say they are from
    spec.loader.exec_module(made)
    return made
