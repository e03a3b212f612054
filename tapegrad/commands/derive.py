"""Print the equations of a cell and of its backpropagation through time, as a book would.

    tapegrad derive lstm
    tapegrad derive gru --set reset_after=True --format latex
    tapegrad derive elman --notation goodfellow
    tapegrad derive my_cells.py:MyCell --rename W_hh=W --rename W_xh=U
"""

from __future__ import annotations

import argparse

from tapegrad.cells import Stacked

from ..errors import OptionError
from .user_cells import add_cell_arguments, cell_class, made, pair

FORMATS = ("text", "latex", "markdown")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tapegrad derive``."""
    add = parser.add_argument
    add_cell_arguments(parser)
    add("--format", choices=FORMATS, default="text", help="what to print [text]")
    add("--notation", metavar="NAME", help="whose letters: default, goodfellow, pascanu, greff, cho [default]")
    add("--rename", action="append", default=[], metavar="NAME=NEW", help="another letter for a name of the code")


def run(args: argparse.Namespace) -> int:
    """Derive the cell and print its equations."""
    from tapegrad.symbolic import derive
    from tapegrad.symbolic.notation import notation

    chosen = notation(args.notation).with_names(**dict(pair("--rename", text) for text in args.rename))
    kind = cell_class(args.cell)
    if kind is Stacked:
        raise OptionError("cell stacked: derive each of its cells, or a class of your own that stacks them")
    derivation = derive(made(args, kind), notation=chosen)
    print(getattr(derivation, args.format)())
    return 0
