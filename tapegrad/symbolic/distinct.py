"""No two things are printed alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tapegrad.errors import OptionError

from .letters import Letters
from .notation import Notation
from .subject import Subject


def fitted(subject: Subject, preset: Notation) -> Notation:
    """A book's letters for this cell: those that the cell uses for something else already are not used again.

    A book that calls the state ``y`` says nothing of a cell in which the output beside it is ``y``. What would be
    renamed into a letter that is taken keeps its name, and then gives up no letter to others.
    """
    rename = dict(preset.rename)
    while twice := _printed_alike(subject, replace(preset, rename=rename)):
        held = [name for name in twice if rename.pop(name, None) is not None]
        if not held:  # the code's own names are alike, which check_names says
            break
    return replace(preset, rename=rename)


def check_names(subject: Subject, notation: Notation) -> None:
    """Raises an OptionError when two things would be printed alike."""
    alike = _printed_alike(subject, notation)
    if alike:
        first, second = alike[:2]
        raise OptionError(
            f"derive: {first} and {second} would both be printed as {notation.name(second)}; rename one of them, "
            f"notation=Notation(rename={{{second!r}: ...}})"
        )


def _printed_alike(subject: Subject, notation: Notation) -> list[str]:
    """The names of the code that are printed as the first letter that more than one of them has."""
    alike: dict[Any, list[str]] = {}
    symbols = [leaf.symbol for leaf in (*subject.params, *subject.state, *subject.xs)]
    for name in dict.fromkeys(v.name for v in (*symbols, *subject.values.values(), *subject.output_symbols)):
        alike.setdefault(Letters(notation.name(name)).key, []).append(name)
    return next((names for names in alike.values() if len(names) > 1), [])
