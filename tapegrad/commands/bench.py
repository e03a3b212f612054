"""Time this project against others on the same work.

    tape    the eager tape against HIPS autograd (needs the package autograd)

Contenders take turns in one process; the figures are medians, and the ratio is the peer's time over ours.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import FileError
from .arguments import integer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tapegrad bench``."""
    parser.add_argument("suite", metavar="SUITE", choices=["tape"], help="what to time: tape")
    parser.add_argument("--rounds", type=integer(1, 10_000), default=15, metavar="N", help="times each is run [15]")
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")


def run(args: argparse.Namespace) -> int:
    """Measure and print; the exit status."""
    from ..bench import as_json, environment, run_suite, table

    timings, packages = run_suite(args.suite, args.rounds)
    print(", ".join(f"{key} {value}" for key, value in environment(packages).items()))
    print(table(timings))
    if args.json:
        try:
            Path(args.json).write_text(as_json(timings, packages) + "\n")
        except OSError as error:
            raise FileError(f"--json {args.json}: {error.strerror}") from None
    return 0
