"""Cells on the command line: registered ones by name, the user's own as ``module:Class`` or ``path.py:Class``."""

from __future__ import annotations

import argparse
import ast
import dataclasses
from typing import Any

from tapegrad.cells import Cell
from tapegrad.cells.registry import find

from ..errors import OptionError, TapegradError
from ..testing.cell_modules import imported, sized


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
    fields = dataclasses.fields(kind)
    unknown = set(options) - {field.name for field in fields}
    if unknown:
        raise OptionError(
            f"--set {sorted(unknown)[0]}: {kind.__name__} has no such option; it has "
            f"{', '.join(field.name for field in fields)}"
        )
    try:
        return sized(kind, options)
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
        found = getattr(imported(module), attribute)
    except Exception as error:  # a user's module can raise anything
        raise OptionError(f"{option} {name}: cannot import it: {type(error).__name__}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Cell)):
        raise OptionError(f"{option} {name}: {attribute} is not a subclass of tapegrad.cells.Cell")
    return found
