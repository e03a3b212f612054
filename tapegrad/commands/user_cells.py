"""Cells on the command line: registered ones by name, the user's own as ``module:Class`` or ``path.py:Class``."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tapegrad.cells import Cell
from tapegrad.cells.registry import find

from ..errors import OptionError, TapegradError

SIZES = (3, 4, 5, 6, 7)  # what sizes are when nothing is said; they only have to differ


def add_cell_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that name a cell and set it up."""
    add = parser.add_argument
    add("cell", metavar="CELL", help="lstm, gru, elman, another registered cell, or module:Class or path.py:Class")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="an option of the cell, reset_after=True say")


def cell_class(name: str) -> type[Cell]:
    """The class of a registered name, or of ``module:Class`` or ``path.py:Class``."""
    return user_cell("cell", name) if ":" in name else find(name)


def made(args: argparse.Namespace, kind: type[Cell]) -> Cell:
    """A cell with the options that were set; sizes that were not are small, and all different.

    Raises
    ------
    OptionError
        When it has no such option, or cannot be made.
    """
    options: dict[str, Any] = {name: _value(text) for name, text in (pair("--set", given) for given in args.set)}
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    unknown = set(options) - {field.name for field in fields}
    if unknown:
        raise OptionError(
            f"--set {sorted(unknown)[0]}: {kind.__name__} has no such option; it has "
            f"{', '.join(field.name for field in fields)}"
        )
    sizes = iter(SIZES)
    for field in fields:
        if field.name.endswith("_size") and field.name not in options and field.default is dataclasses.MISSING:
            options[field.name] = next(sizes)
    try:
        return kind(**options)
    except TapegradError:
        raise
    except Exception as error:  # a user's cell can raise anything
        raise OptionError(f"cell {args.cell}: cannot be made: {type(error).__name__}: {error}") from error


def pair(option: str, text: str) -> tuple[str, str]:
    """The two sides of NAME=VALUE."""
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise OptionError(f"{option} {text}: expected NAME=VALUE")
    return name, value


def _value(text: str) -> Any:
    """A Python literal; anything else is a string."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


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
