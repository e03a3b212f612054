"""The program ``tapegrad``: its commands, and how it ends.

Exit status 0 is success; 1 a run that failed on the way, such as a loss that became infinite, or a cell that fails its
check; 2 an impossible request: a bad option, file or text. 130 follows Ctrl-C. Every failure is one line on standard
error.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from .errors import NonFiniteError, TapegradError

#: Each command is a module of this package with ``add_arguments(parser)`` and ``run(args)``.
COMMANDS = {
    "train": ("commands.train", "train a model of text, character by character"),
    "sample": ("commands.sample", "let a trained model write"),
    "cells": ("commands.cells", "list the cells, or show one: equations, parameters, source"),
    "derive": ("commands.derive", "print the equations of a cell and of its backpropagation"),
    "check": ("commands.check", "hold every way to differentiate a cell against every other"),
    "bench": ("commands.bench", "time the engine against others"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        The exit status. As with any argparse program, ``--help`` and bad options raise SystemExit.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that cannot show a character of the text gets "?" for it, not a traceback; and a log shows
            # each line when it is written.
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace", line_buffering=True)
    args = parser().parse_args(argv)
    try:
        return args.run(args)
    except NonFiniteError as error:
        return _fail(args.command, error, 1)
    except TapegradError as error:
        return _fail(args.command, error, 2)
    except MemoryError as error:
        return _fail(args.command, f"not enough memory: {error or 'an allocation failed'}; make the model smaller", 2)
    except KeyboardInterrupt:
        return _fail(args.command, "interrupted", 130)
    except BrokenPipeError:
        # The reader of a pipe went away (`tapegrad sample ... | head`); Python must not fail again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    from . import __version__

    top = Parser(prog="tapegrad", description="Recurrent cells written as equations in NumPy, differentiated.")
    top.add_argument("--version", action="version", version=f"tapegrad {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        command = importlib.import_module(f".{module}", __package__)
        child = commands.add_parser(name, help=summary, description=command.__doc__, formatter_class=_Formatter)
        command.add_arguments(child)
        child.set_defaults(run=command.run)
    return top


class Parser(argparse.ArgumentParser):
    """Takes no abbreviated options, and says in one line what is wrong."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **{**options, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())} (see {self.prog} --help)\n")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=32)


def _fail(command: str, message: object, status: int) -> int:
    print(f"tapegrad {command}: {' '.join(str(message).split())}", file=sys.stderr)
    return status
