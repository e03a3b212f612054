"""Print the equations of a cell and of its backpropagation through time, as a book would.

    tapegrad derive lstm
    tapegrad derive gru --set reset_after=True --format latex
    tapegrad derive elman --notation goodfellow
    tapegrad derive my_cells.py:MyCell --rename W_hh=W --rename W_xh=U
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
from typing import Any

from tapegrad.cells import Cell, Stacked
from tapegrad.cells.registry import find

from ..errors import OptionError, TapegradError
from .user_cells import user_cell

FORMATS = ("text", "latex", "markdown")
SIZES = (3, 4, 5, 6, 7)  # lengths say nothing about the equations; they only have to differ


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tapegrad derive``."""
    add = parser.add_argument
    add("cell", metavar="CELL", help="lstm, gru, elman, another registered cell, or module:Class or path.py:Class")
    add("--format", choices=FORMATS, default="text", help="what to print [text]")
    add("--notation", metavar="NAME", help="whose letters: default, goodfellow, pascanu, greff, cho [default]")
    add("--rename", action="append", default=[], metavar="NAME=NEW", help="another letter for a name of the code")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="an option of the cell, reset_after=True say")


def run(args: argparse.Namespace) -> int:
    """Derive the cell and print its equations."""
    from tapegrad.symbolic import derive
    from tapegrad.symbolic.notation import notation

    chosen = notation(args.notation).with_names(**dict(_pair("--rename", text) for text in args.rename))
    derivation = derive(_cell(args), notation=chosen)
    print(getattr(derivation, args.format)())
    return 0


def _cell(args: argparse.Namespace) -> Cell:
    kind = user_cell("cell", args.cell) if ":" in args.cell else find(args.cell)
    if kind is Stacked:
        raise OptionError("cell stacked: derive each of its cells, or a class of your own that stacks them")
    options: dict[str, Any] = {name: _value(text) for name, text in (_pair("--set", given) for given in args.set)}
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


def _pair(option: str, text: str) -> tuple[str, str]:
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
