"""The tables of docs/numpy.md, from the rows. ``python -m tests.surface.page`` writes them into the page."""

import re
import sys
from pathlib import Path

from tests.oracles.test_points import POINTS
from tests.surface.tables import EVERY, FAMILIES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "numpy.md"
LACKS = "has no rule for it"
TITLES = {"autograd": "autograd", "jax": "JAX"}


def _names(rows):
    return " ".join(f"`{name}`" for name in sorted({row.name for row in rows}, key=str.lower))


def families():
    """Which functions there are."""
    lines = ["| family | with a derivative | without one, or zero |", "|---|---|---|"]
    for family in FAMILIES:
        smooth = [row for row in family.ROWS if row.order]
        rest = [row for row in family.ROWS if row.name not in {smooth_row.name for smooth_row in smooth}]
        title = family.__doc__.splitlines()[0].rstrip(".")
        lines.append(f"| {title} | {_names(smooth)} | {_names(rest)} |")
    return lines


def differences(library):
    """Why rows are not compared with a library, and what it has no rule for at all."""
    lines = [f"| function | {TITLES[library]} |", "|---|---|"]
    for row in EVERY:
        reason = row.unlike.get(library)
        if reason and reason != LACKS:
            lines.append(f"| `{row.name}`{' ' + row.variant if row.variant else ''} | {reason} |")
    return lines


def lacking(library):
    """Functions of which no row is compared."""
    compared = {row.name for row in EVERY if row.order and library not in row.unlike}
    return [_names([row for row in EVERY if row.order and row.name not in compared and row.unlike[library] == LACKS])]


def choices():
    """Derivatives at kinks, ties, zeros and infinities."""
    words = {("autograd", "jax"): "autograd, JAX", ("autograd",): "autograd", ("jax",): "JAX", (): "neither"}
    lines = ["| where | derivative | the same in |", "|---|---|---|"]
    for row in POINTS:
        _, _, partials, same, reason = row.values
        shown = ", ".join(str(p.tolist() if hasattr(p, "tolist") else p) for p in partials)
        lines.append(f"| {row.id} | {shown} | {words[same]}{': ' + reason if reason else ''} |")
    return lines


TABLES = {
    "families": families,
    "choices": choices,
    "autograd": lambda: differences("autograd"),
    "lacking": lambda: lacking("autograd"),
    "jax": lambda: differences("jax"),
}


def filled(text):
    """The page with its tables made anew."""
    for name, table in TABLES.items():
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        block = start + "\n".join(table()) + "\n" + end
        text = re.sub(re.escape(start) + ".*?" + re.escape(end), lambda _, block=block: block, text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{PAGE} written\n")
