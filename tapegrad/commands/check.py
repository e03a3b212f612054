"""Hold every way to find the derivatives of a cell against every other, on random data.

    tapegrad check lstm
    tapegrad check my_cells.py:MyCell --set hidden_size=8 --seed 3
    tapegrad check my_package.cells:MyCell --oracles tape,sympy,differences

The exit status is 0 when all agree, 1 when some differ, 2 when the cell cannot be checked.
"""

from __future__ import annotations

import argparse
import shlex
import sys

from tapegrad.cells import Stacked

from ..errors import OptionError, TapegradError
from .arguments import integer
from .user_cells import add_cell_arguments, cell_class, made

DTYPES = ("float64", "float32")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tapegrad check``."""
    add = parser.add_argument
    add_cell_arguments(parser)
    add(
        "--oracles", metavar="A,B,...",
        help="two or more of tape, sympy, reference, numba, rtrl, differences, jax, torch [all but the last two]",
    )  # fmt: skip
    add("--seed", type=integer(0), default=0, metavar="N", help="of the data [0]")
    add("--rounds", type=integer(1), default=1, metavar="N", help="with so many seeds, one after the other [1]")
    add("--steps", type=integer(1), metavar="T", help="how many steps of time [3 to 5, by the seed]")
    add("--batch", type=integer(1), metavar="B", help="how many rows [2 or 3, by the seed]")
    add("--dtype", choices=DTYPES, default=DTYPES[0], help="of the tape and the backends [float64]")


def run(args: argparse.Namespace) -> int:
    """Check the cell and print what was compared."""
    from ..testing import CellMismatch, check_cell

    kind = cell_class(args.cell)
    if kind is Stacked:
        raise OptionError("cell stacked: check each of its cells, or a class of your own that stacks them")
    cell = made(args, kind)
    oracles = None if args.oracles is None else [name.strip() for name in args.oracles.split(",") if name.strip()]
    for seed in range(args.seed, args.seed + args.rounds):
        try:
            report = check_cell(cell, oracles=oracles, seed=seed, steps=args.steps, batch=args.batch, dtype=args.dtype)
        except CellMismatch as mismatch:
            print(mismatch.report.text(_again(args, seed)))
            print(f"tapegrad check: {args.cell} fails: {mismatch.report.summary()}", file=sys.stderr)
            return 1
        except TapegradError:
            raise
        except Exception as error:  # a user's step can raise anything
            raise OptionError(f"cell {args.cell}: its step fails: {type(error).__name__}: {error}") from error
        print(report)
        if seed + 1 < args.seed + args.rounds:
            print()
    return 0


def _again(args: argparse.Namespace, seed: int) -> str:
    """The command that shows a failure again."""
    words = ["tapegrad", "check", args.cell, "--seed", str(seed)]
    for name in ("oracles", "steps", "batch"):
        value = getattr(args, name)
        words += [] if value is None else [f"--{name}", str(value)]
    words += [] if args.dtype == DTYPES[0] else ["--dtype", args.dtype]
    return shlex.join([*words, *[word for given in args.set for word in ("--set", given)]])
