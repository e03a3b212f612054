"""Where the user's code stands that made an operation, read from the frames on the stack.

Operations are done by the library's functions, at times long after the user's line ran: a step is traced once and its
tape is run and differentiated later. So some of the library's frames are signposts. One that runs a tape knows the
slot that it is at, and one that walks a tape backwards knows it too; where the tape was watched as it was recorded, the
place of that slot is the place of what is being done.
"""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from types import FrameType
from typing import Any, NamedTuple

from .. import parting, tape, tracing
from ..primitives.registry import Primitive

RUN, WALK, PARTED = tape.run.__code__, tape.backward.__code__, parting.parted.__code__
# This begins something new: what is outside of it says nothing about what is done inside.
TRACED = tracing.trace_flat.__code__
MACHINERY = ("base", "calls", "checks", "composition", "layer")  # parts of tapegrad.cells that hold no equations


class Place(NamedTuple):
    """A line of the user's, and how an operation came from it.

    Attributes
    ----------
    file, function : str
    line : int
    through : str
        The function of NumPy or of this library that was called there and did the operation, "" for the operation
        itself.
    rules : tuple of (str, str)
        The derivative rules of which the operation is a part, the innermost first: their mode, "backward" or
        "forward mode", and the operation that was differentiated.
    of_cell : bool
        Whether the line is one of the library's cells.
    """

    file: str
    line: int
    function: str
    through: str = ""
    rules: tuple[tuple[str, str], ...] = ()
    of_cell: bool = False

    @property
    def text(self) -> str:
        """The line of code, as far as it can be read."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        code = f": {self.text}" if self.text else ""
        return f"{self.file}:{self.line}, in {self.function}{code}"


def frames(frame: FrameType | None) -> Iterator[FrameType]:
    """The frame and those that called it."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def users(frame: FrameType, cells: bool = True) -> bool:
    """Whether a frame is the user's: neither the library's nor NumPy's.

    The equations of the library's cells count as a user's with ``cells``.
    """
    top, _, rest = frame.f_globals.get("__name__", "").partition(".")
    if top == "tapegrad":
        inside = rest.split(".")
        return cells and len(inside) > 1 and inside[0] == "cells" and inside[1] not in MACHINERY
    return top != "numpy"


def place_of(frame: FrameType) -> Place | None:
    """The place of what is done in a frame, None where no line of the user's is found."""
    found: Place | None = None
    rules: list[tuple[str, str]] = []
    through = ""
    for at in frames(frame):
        code = at.f_code
        if found is None and users(at):
            found = Place(code.co_filename, at.f_lineno, code.co_name, through, of_cell=not users(at, cells=False))
        elif code in (RUN, WALK, PARTED):
            held = at.f_locals
            known = held["tape"].places.get(held.get("slot"))
            if code is WALK and "primitive" in held:
                rules.append(("backward", name_of(held["primitive"], held.get("options"))))
            if known is not None:
                return (found or known)._replace(rules=(*rules, *known.rules))
        elif code.co_name == "push":
            made = at.f_locals.get("self")
            if isinstance(made, Primitive):
                rules.append(("forward mode", made.name))
        elif code is TRACED and found is not None:
            break
        through = _called(at) or through
    return None if found is None else found._replace(rules=tuple(rules))


def _called(frame: FrameType) -> str:
    """The public function that one of the library's frames carries out."""
    name, held = frame.f_globals.get("__name__", ""), frame.f_code.co_name
    if held == "_array_function":
        func = frame.f_locals["func"]
        return f"{func.__module__}.{func.__name__}"
    if held == "_array_ufunc":
        return f"numpy.{frame.f_locals['ufunc'].__name__}"
    return f"tapegrad.{held}" if name == "tapegrad.functions" and not held.startswith("_") else ""


def name_of(primitive: Primitive, options: dict[str, Any] | None = None) -> str:
    """What an operation is called in a message: custom rules by the function that they belong to."""
    rule = (options or {}).get("rule")
    owner = getattr(getattr(rule, "rule", rule), "owner", None)  # that of a batched rule
    return primitive.name if owner is None else f"the custom rule of {owner.__name__}"
