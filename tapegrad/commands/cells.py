"""List the cells: what each computes, how many numbers it learns, where it comes from; or show one of them.

tapegrad cells
tapegrad cells lstm
tapegrad cells my_package.cells
tapegrad cells my_cells.py:MyCell
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import textwrap
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from tapegrad.cells.registry import KINDS, cells, find

from ..errors import OptionError
from ..testing.cell_modules import cell_classes, imported
from .user_cells import user_cell

if TYPE_CHECKING:
    from .family import Member

WIDTH = 100
FORMULA = 36  # the longest formula
COLUMN = 20  # the widest column of formulas; a longer one takes of the source behind it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tapegrad cells``."""
    add = parser.add_argument
    add("cell", nargs="?", metavar="NAME", help="a registered cell, module:Class or path.py:Class; or your own module")
    add("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the table, or one cell."""
    from .family import family, in_order, members

    if args.cell is None:
        listed = family()
    elif ":" in args.cell:
        return _one(members([user_cell("cell", args.cell)])[0], args.json)
    elif _is_module(args.cell):
        listed = in_order(members(_of_module(args.cell)))
    else:
        named = [member for member in family() if member.name.lower() == args.cell.lower()]
        return _one(named[0] if named else members([find(args.cell)])[0], args.json)
    print(json.dumps([as_json(member) for member in listed], indent=2) if args.json else table(listed))
    return 0


def _is_module(name: str) -> bool:
    """Whether a name is that of a user's module, and of no registered cell."""
    if "." in name or "/" in name:
        return True
    if any(name.lower() == cls.__name__.lower() for kind in KINDS for cls in cells(kind)):
        return False
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    return importlib.util.find_spec(name) is not None


def _of_module(name: str) -> list[type]:
    try:
        found = cell_classes(imported(name))
    except Exception as error:  # a user's module can raise anything
        raise OptionError(f"cells {name}: cannot import it: {type(error).__name__}: {error}") from error
    if not found:
        raise OptionError(f"cells {name}: it has no cells; expected subclasses of tapegrad.cells.Cell with a step")
    return list(found.values())


# ---- the table ----
def table(listed: Sequence[Member]) -> str:
    """Two lines for each cell: name, parameters, year and source; and its last equations."""
    formulas = {member.cls: cut(member.formula(), FORMULA) for member in listed}
    name = max(len(member.name) for member in listed)
    formula = max([len(text) for text in formulas.values() if len(text) <= COLUMN], default=0)
    lines = []
    for room, group in groupby(listed, key=lambda member: member.room):
        lines.append(room)
        for member in group:
            head = f"  {member.name:{name}}  {formulas[member.cls]:{formula}}  {member.year or '':4}  "
            lines.append((head + cut(member.source, WIDTH - len(head))).rstrip())
            if line := member.line(WIDTH - 6):
                lines.append(f"      {line}")
        lines.append("")
    lines += textwrap.wrap(f"Behind each name how many numbers are learned, by its sizes: {_legend(listed)}.", WIDTH)
    lines.append("`tapegrad cells NAME` shows one, `tapegrad derive NAME` its gradients.")
    return "\n".join(lines)


def cut(text: str, width: int) -> str:
    """A text that fits: as many of its words as there is room for."""
    if len(text) <= width:
        return text
    kept = text[: width - 3]
    return (kept[: kept.rfind(" ")] if " " in kept and text[width - 3] != " " else kept).rstrip(" ,;:&+") + "..."


def _legend(listed: Sequence[Member]) -> str:
    letters: dict[str, str] = {}
    for member in listed:
        found = member.counts(next(iter(member.ways)))
        for name, letter in found.letters.items() if found else ():
            letters.setdefault(letter, name)
    return ", ".join(f"{letter} = {name}" for letter, name in letters.items()) or "they have none"


# ---- one cell ----
def _one(member: Member, in_json: bool) -> int:
    print(json.dumps(as_json(member), indent=2) if in_json else details(member))
    return 0


def details(member: Member) -> str:
    """All that is known of one cell."""
    first = next(iter(member.ways))
    found, lines = member.counts(first), [f"{member.name}: {member.summary}", ""]
    lines += [f"    {line}".rstrip() for line in member.equations]
    lines += ["", f"source      {member.source}"] if member.source else [""]
    for name, default in member.options():
        letter = f" ({found.letters[name]})" if found and name in found.letters else ""
        lines.append(f"{'option':11} {name}{letter}" + (f" = {default}" if default else ""))
    lines += [f"{'state':11} {line}" for line in member.states(first)]
    for label in member.ways:
        lines += ["", f"parameters{f' of {label}' if label else ''}: {member.formula(label)}"]
        rows = member.parameters(label)
        seen = {} if label == first else {row[0]: row for row in member.parameters(first)}
        lines += [f"    {row[0]:15} {row[1]:15} {row[2]}" for row in rows if seen.get(row[0]) != row]
        if seen and all(seen.get(row[0]) == row for row in rows):
            lines.append(f"    as those of {first}" if first else "    as above")
    return "\n".join(lines)


def as_json(member: Member) -> dict[str, Any]:
    """What the table and the details say, for a program."""
    first = next(iter(member.ways))
    found = member.counts(first)
    return {
        "name": member.name, "room": member.room, "summary": member.summary, "equations": member.equations,
        "year": member.year, "source": member.source,
        "options": dict(member.options()), "letters": found.letters if found else {},
        "states": member.states(first),
        "variants": {
            label: {
                "parameters": member.formula(label),
                "arrays": [{"name": n, "shape": s, "init": i} for n, s, i in member.parameters(label)],
            }
            for label in member.ways
        },
    }  # fmt: skip
