"""The pages of the cells, written when the documentation is built: from the registry, the docstrings and ``derive``.

A cell that is registered has a page, and nothing else has to be done for it. What is written here is not checked in.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from sphinx.util import logging

from tapegrad import cells
from tapegrad.analysis import draw
from tapegrad.commands.family import Member, family
from tapegrad.errors import TapegradError
from tapegrad.symbolic import derive
from tapegrad.symbolic.equations import Equations

FOLDER = Path(__file__).parent / "cells"
TABLE = "_table.md"  # included by the index, and no page of its own
ROOMS = {
    "simple": "Without gates",
    "gated": "Gated",
    "lstm": "Long short-term memory",
    "noise": "With noise",
    "composition": "Composed of other cells",
    "readout": "Readouts",
}
logger = logging.getLogger(__name__)


def write_pages(app: Any = None) -> None:
    """Write the table and a page for each cell; what has not changed is left alone, so that it is not read again."""
    matplotlib.use("Agg")
    members = family()
    written = {TABLE: table(members)}
    for member in members:
        written[f"{member.name}.md"] = page(member)
    for name, text in written.items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    kept = {*written, "index.md", *(f"{member.name}.svg" for member in members)}
    for path in FOLDER.iterdir():
        if path.name not in kept:
            path.unlink()


# ---- the table ----
def table(members: list[Member]) -> str:
    """A table for each room."""
    parts = []
    for room in dict.fromkeys(member.room for member in members):
        rows = [member for member in members if member.room == room]
        lines = ["| cell | defined by | numbers learned | year |", "|---|---|---|---|"]
        for m in rows:
            link, line = f"[{m.name}]({m.name}.md)", m.line(60)
            lines.append(f"| {link} | {code(line) if line else ''} | {formula(m.formula())} | {m.year or ''} |")
        parts.append(f"## {ROOMS.get(room, room)}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


def formula(text: str) -> str:
    """A formula as mathematics, words as they are."""
    return f"${text}$" if set(text) <= set("0123456789+-^() /abcdefghijklmnopqrstuvwxyz") and "of" not in text else text


# ---- a page ----
def page(member: Member) -> str:
    """The page of a cell."""
    first = next(iter(member.ways))
    module = "tapegrad.cells" if getattr(cells, member.name, None) is member.cls else member.cls.__module__
    parts = [
        f"# {member.name}\n",
        f"```{{eval-rst}}\n.. autoclass:: {module}.{member.name}\n   :no-index:\n```\n",
    ]
    if picture(member):
        parts += ["## Folded\n", f"![{member.name}: a black square is a delay of one step]({member.name}.svg)\n"]
    parts += [parameters(member, first), derivation(member.ways[first])]
    parts += [variant(member, label, first) for label in list(member.ways)[1:]]
    return "\n".join(parts)


def parameters(member: Member, label: str) -> str:
    """What is learned and what is carried."""
    found = member.counts(label)
    lines = ["## Parameters and state\n"]
    if found is not None:
        letters = ", ".join(f"${letter}$ = `{name}`" for name, letter in found.letters.items())
        lines.append(f"In all ${found.total}$ numbers are learned, with {letters}.\n")
    rows = member.parameters(label)
    if rows:
        lines += ["| parameter | shape | initialiser |", "|---|---|---|"]
        lines += [f"| `{name}` | {formula(shape)} | {code(init)} |" for name, shape, init in rows]
        lines.append("")
    states = "; ".join(member.states(label))
    return "\n".join([*lines, f"State, without the rows of a batch: {states}.\n" if states else "It has no state.\n"])


def derivation(cell: Any) -> str:
    """The equations of a cell, forwards and backwards, and the bound on its gradients."""
    try:
        found = derive(cell)
        parts = [f"## {title}\n\n$$\n{Equations(made).latex()}\n$$\n" for title, made in found.sections()]
        parts += [f"- {note}" for note in found.notes]
        return "\n".join([*parts, "", re.sub("^#+", "##", found.bound.markdown()), ""])
    except TapegradError as error:
        return f"Its gradients are taken as any other's, but not printed: `{' '.join(str(error).split())}`.\n"


def variant(member: Member, label: str, first: str) -> str:
    """What is different in another variant."""
    lines = [f"## The variant {label}\n", code(repr(member.ways[label])) + "\n"]
    if member.formula(label) != member.formula(first):
        lines.append(f"In all {formula(member.formula(label))} numbers are learned.\n")
    try:
        lines.append(f"$$\n{derive(member.ways[label]).forward.latex()}\n$$\n")
    except TapegradError:
        lines.append("Its equations are not printed.\n")
    return "\n".join(lines)


def picture(member: Member) -> bool:
    """Draw a cell, folded; whether that is possible."""
    from matplotlib import pyplot

    path = FOLDER / f"{member.name}.svg"
    cell = next(iter(member.ways.values()))
    try:
        axes = draw(cell, rng=np.random.default_rng(0))
    except TapegradError as error:
        logger.info("%s is not drawn: %s", member.name, error)
        return False
    axes.figure.savefig(path, format="svg", metadata={"Date": None}, bbox_inches="tight")
    pyplot.close(axes.figure)
    return True


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
