"""Printed plans, read as a reader reads them: which names each line defines, and which it reads."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

SECTIONS = re.compile(r"(once|before the loop|in the loop|after the loop), .*:")
ROUNDS = re.compile(r"\d+ times(, backwards)?:")
LINE = re.compile(
    r"(?P<kind>next |output |keep |hold )?(?P<out>.+?) (?P<sign>\+?=) (?P<read>.+?)(  \(over rows and time\))?"
)
CALL = re.compile(r"[a-z_0-9]+\((?P<args>.*)\)")
VIEW = re.compile(r"(\.T|\.transpose\([\d, ]*\)|\[[^\[\]]*\])$")


@dataclass
class Printed:
    """What a plan says.

    Attributes
    ----------
    given : set of str
        Names that are read and that no line before defines.
    made : dict of str to str
        What the first line that defines a name says about it.
    kinds : dict of str to list of (str, str)
        For "next", "output", "keep" and "hold": the name, and what it becomes.
    read : set of str
    """

    given: set[str] = field(default_factory=set)
    made: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)


def printed(text: str, inputs: set[str]) -> Printed:
    """Read a plan; ``inputs`` are names that lines may read, which settles where a name ends and a view begins."""
    found = Printed()
    for line in text.splitlines():
        if SECTIONS.fullmatch(line) or ROUNDS.fullmatch(line.strip()):
            continue
        said = LINE.fullmatch(line.strip())
        assert said is not None, line
        for operand in _operands(said["read"]):
            name = _name(operand, inputs | set(found.made))
            found.read.add(name)
            if name not in found.made:
                found.given.add(name)
        kind = (said["kind"] or "").strip()
        if kind:
            found.kinds.setdefault(kind, []).append((_name(said["out"], inputs), said["read"]))
        if kind not in ("next", "output", "keep"):
            for part in _split(said["out"]):
                found.made.setdefault(_name(part, inputs | set(found.made)), said["read"])
    return found


def _operands(text: str) -> list[str]:
    """The values in the right-hand side of a line."""
    call = CALL.fullmatch(text)
    parts = _split(call["args"]) if call else text.split(" @ ")
    return [part for part in parts if part and not re.match(r"\w+=", part) and not _is_literal(part)]


def _is_literal(text: str) -> bool:
    return re.fullmatch(r"[-+]?(\d.*|inf|nan)|['\"].*|True|False|np\..*|array.*", text) is not None


def _split(text: str) -> list[str]:
    """At the commas that are in no brackets and no quotes."""
    parts, depth, quoted = [""], 0, False
    for char in text:
        depth += (char in "([") - (char in ")]")
        quoted ^= char in "'\""
        if char == "," and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


def _name(text: str, known: set[str]) -> str:
    """An operand without the views of it."""
    while text not in known and VIEW.search(text):
        text = VIEW.sub("", text)
    return text
