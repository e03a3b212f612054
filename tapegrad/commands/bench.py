"""Time this project against others on the same work.

    tape     the eager tape against HIPS autograd (needs the package autograd)
    cells    cells over sequences, forward and backward, against torch, JAX and mygrad (needs what it is timed against)
    derive   the equations of cells with more and more gates
    family   every registered cell, compiled, against its own roofline and the LSTM's
    loop     what a compiled loop costs beside its arithmetic: calls, first calls, length, memory, spelling, threads

Contenders take turns in one process, and their results are compared before they are timed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import FileError, OptionError
from .arguments import integer, number

if TYPE_CHECKING:
    from ..benchmarks.suite import Measured

SHAPES = "100,1,32,32;100,32,64,128;784,64,1,128;200,64,256,512"

PARTS = "calls,first,length,memory,spelling,threads"

TABLE = (
    "For each cell and shape: what the forward pass takes, and forward and backward pass together, in milliseconds, as "
    "the median and the least over the rounds. A star marks the best peer, x peer is how many times longer it takes, "
    "and peak the fraction of the processor's multiply-add peak that the products reach in the whole time. Whoever "
    "computes something else gets an error in the place of a time. A line of its own says "
    "how many times longer the cell in eager torch takes than the module of torch: of the medians, the least, and the "
    "rounds that both took part in."
)


FAMILY_SHAPES = "100,32,64,128;200,64,1,128"

FAMILY = (
    "Outputs and the gradients of all parameters, in float32. For each cell: the median time, what its products, its "
    "functions of elements, its simple arithmetic and its passage through memory take at the rates that the machine "
    "reaches, all measured here and in milliseconds; the roof, which is their sum; the fraction of it that is reached; "
    "the fraction that the LSTM reached in the same rounds; and how many times nearer the LSTM came. All sizes beside "
    "the input's are H, or less where a state would be wider. Times of one thread are the processor's."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tapegrad bench``."""
    suites = parser.add_subparsers(dest="suite", metavar="SUITE", required=True)
    tape = suites.add_parser("tape", help="the eager tape against HIPS autograd")
    tape.add_argument("--rounds", type=integer(1, 10_000), default=15, metavar="N", help="times each is run [15]")
    cells = suites.add_parser("cells", help="cells over sequences against torch, JAX and mygrad", description=TABLE)
    _add_cells(cells)
    loop = suites.add_parser("loop", help="what a compiled loop costs beside its arithmetic")
    loop.add_argument("--parts", default=PARTS, metavar="NAMES", help=f"of {PARTS.replace(',', ', ')} [all]")
    loop.add_argument("--rounds", type=integer(1, 10_000), default=9, metavar="N", help="times each is measured [9]")
    family = suites.add_parser("family", help="every registered cell against its own roofline", description=FAMILY)
    _add_family(family)
    derive = suites.add_parser("derive", help="the equations of cells with more and more gates")
    derive.add_argument("--rounds", type=integer(1, 10_000), default=5, metavar="N", help="times each is derived [5]")
    for suite in (cells, loop, family):
        suite.add_argument(
            "--patience",
            type=number(0, 1e6),
            default=0.0,
            metavar="S",
            help="seconds for each comparison to wait while other programs run, and to measure again what they "
            "disturbed [0]",
        )
    for suite in (tape, cells, loop, family, derive):
        suite.add_argument("--json", metavar="FILE", help="write the figures here too")


def _add_cells(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--cells",
        metavar="NAMES",
        help="of lstm, gru, gru_after, elman, peephole, fastweights, drawn1, drawn2, drawn3 [all]",
    )
    add("--cell", action="append", default=[], metavar="NAME", help="a cell of yours, module:Class or path.py:Class")
    add("--shapes", default=SHAPES, metavar="T,B,I,H;...", help=f"steps, rows, inputs, units [{SHAPES}]")
    add("--backends", default="numba,reference", metavar="NAMES", help="of this project [numba,reference]")
    add(
        "--peers",
        default="all",
        metavar="NAMES",
        help="of torch (its layers), torch_custom, torch_module (this project, as a module of torch), jax, mygrad; all "
        "that are installed, or none [all]",
    )
    add("--threads", type=integer(1, 1024), metavar="N", help="of everybody [as many as there are processors]")
    add("--rounds", type=integer(1, 10_000), default=7, metavar="N", help="times each is measured [7]")
    add(
        "--budget",
        type=number(0, 1e6),
        default=2.0,
        metavar="S",
        help="seconds for each contender, forward and backward apart; who is slower takes fewer rounds, 2 at least [2]",
    )
    add(
        "--clock",
        choices=["wall", "processor"],
        default="wall",
        metavar="NAME",
        help="wall, or processor: the time of all threads together, to which other programs add little [wall]",
    )
    add(
        "--dtype",
        choices=["float32", "float64"],
        default="float32",
        metavar="NAME",
        help="float32 or float64 [float32]",
    )
    add(
        "--gradients",
        choices=["params", "params+xs"],
        default="params",
        metavar="OF",
        help="what gradients are asked for: params or params+xs [params]",
    )


def _add_family(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--cells", metavar="NAMES", help="registered variants, or classes with all of theirs [all]")
    add("--cell", action="append", default=[], metavar="NAME", help="a cell of yours, module:Class or path.py:Class")
    add("--shapes", default=FAMILY_SHAPES, metavar="T,B,I,H;...", help=f"steps, rows, inputs, units [{FAMILY_SHAPES}]")
    add("--threads", type=integer(1, 1024), default=1, metavar="N", help="how many [1]")
    add("--rounds", type=integer(1, 10_000), default=5, metavar="N", help="times each is measured [5]")
    add("--quick", action="store_true", help="two rounds at the shape 8,4,6,16: to see that all can be measured")


def run(args: argparse.Namespace) -> int:
    """Measure and print; the exit status."""
    return {"tape": _tape, "cells": _cells, "loop": _loop, "family": _family, "derive": _derive}[args.suite](args)


def _tape(args: argparse.Namespace) -> int:
    from ..bench import as_json, environment, run_suite, table

    timings, packages = run_suite(args.suite, args.rounds)
    print(", ".join(f"{key} {value}" for key, value in environment(packages).items()))
    print(table(timings))
    _write(args.json, lambda: as_json(timings, packages))
    return 0


def _cells(args: argparse.Namespace) -> int:
    """Status 1 when a backend of this project computes something else than the reference."""
    from ..benchmarks.catalogue import entries
    from ..benchmarks.contenders import chosen_peers
    from ..benchmarks.record import as_json, heading, table
    from ..benchmarks.suite import Settings, check_backends, measure
    from ..benchmarks.threads import limited, processors
    from ..benchmarks.work import parse_shapes

    chosen = entries(args.cells, args.cell)
    settings = Settings(
        parse_shapes(args.shapes),
        check_backends([name.strip() for name in args.backends.split(",")]),
        chosen_peers(args.peers),
        args.threads or len(processors()),
        args.rounds,
        args.budget,
        args.dtype,
        args.gradients == "params+xs",
        args.patience,
        args.clock,
    )
    results: list[Measured] = []
    with limited(settings.threads):
        print(heading(settings))
        _write(args.json, lambda: as_json(results, settings))
        for entry in chosen:
            for shape in settings.shapes:
                results.append(measure(entry, shape, settings, _progress))
                _progress("")
                print(table(results[-1]), flush=True)
                # Written as it grows: a long run that is interrupted has not been in vain.
                _write(args.json, lambda: as_json(results, settings))
    return int(any(row.wrong and row.ours for measured in results for row in measured.rows))


def _loop(args: argparse.Namespace) -> int:
    from ..benchmarks.loop import PARTS, as_json, heading, table
    from ..benchmarks.threads import limited, processors

    names = [name.strip() for name in args.parts.split(",")]
    if unknown := [name for name in names if name not in PARTS]:
        raise OptionError(f"--parts: there is no part {unknown[0]!r}; choose from {', '.join(PARTS)}")
    found: dict[str, list] = {}
    threads = min(2, len(processors()))
    with limited(threads):
        print(heading(threads))
        for name in names:
            _progress(name)
            found[name] = PARTS[name](args.rounds, args.patience)
            _progress("")
            print(f"{name}: {(PARTS[name].__doc__ or '').strip()}\n{table(found[name])}", flush=True)
            _write(args.json, lambda: as_json(found))
    return 0


def _family(args: argparse.Namespace) -> int:
    """Status 1 when a compiled cell computes something else than the reference."""
    from ..benchmarks.family import NUMBERS, measure, members
    from ..benchmarks.loop import as_json, heading, table
    from ..benchmarks.threads import limited
    from ..benchmarks.work import parse_shapes

    shapes = parse_shapes("8,4,6,16" if args.quick else args.shapes)
    chosen, rows = members(args.cells, args.cell), []
    widths = {"cell": max(map(len, chosen)), "T, B, I, H": max(len(str(shape)) - 2 for shape in shapes)}
    widths |= dict.fromkeys(NUMBERS, 8)
    with limited(args.threads):
        print(heading(args.threads))
        for shape in shapes:
            for name, make in chosen.items():
                _progress(f"{name} {shape}")
                rows.append(measure(name, make, shape, 2 if args.quick else args.rounds, args.threads, args.patience))
                _progress("")
                print(table(rows[-1:], widths, titled=len(rows) == 1), flush=True)
                _write(args.json, lambda: as_json({"family": rows}))
    return int(any("WRONG" in row["notes"] for row in rows))


def _derive(args: argparse.Namespace) -> int:
    from ..benchmarks.derivations import measure
    from ..benchmarks.loop import as_json, heading, table
    from ..benchmarks.threads import limited

    with limited(1):
        print(heading(1))
        rows = measure(args.rounds, _progress)
        _progress("")
        print(table(rows))
        _write(args.json, lambda: as_json({"derive": rows}))
    return 0


def _progress(text: str) -> None:
    """What is being done, where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _write(path: str | None, text: Callable[[], str]) -> None:
    if path is None:
        return
    try:
        Path(path).write_text(text() + "\n", encoding="utf-8")
    except OSError as error:
        raise FileError(f"--json {path}: {error.strerror}") from None
