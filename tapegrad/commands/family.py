"""What is known of each cell of a family: its equations, formula, year and source, for the command and the pages."""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tapegrad.cells import Cell, Layer, registry
from tapegrad.cells.checks import specification
from tapegrad.cells.counting import Counts, counts, sum_of_parts

from .. import pytree
from ..errors import TapegradError
from ..testing.cell_modules import sized

ROOMS = ("simple", "gated", "lstm", "noise", "composition", "readout")  # in the order of a reader
YEAR = re.compile(r"\b(1[89]\d\d|20\d\d)\b")
INLINE = re.compile(r"(\w[\w{}-]* = .+?)(?:[;:]|, where|\.\s|\.?$)")  # an equation in the first sentence


@dataclasses.dataclass(frozen=True)
class Member:
    """A cell of a family.

    Attributes
    ----------
    cls : type
    room : str
        The folder that its module is in, or the module.
    ways : dict of str to Layer or None
        From the label of each variant to a small cell; None where none can be made.
    """

    cls: type[Layer]
    room: str
    ways: dict[str, Any]

    @property
    def name(self) -> str:
        return self.cls.__name__

    @property
    def source(self) -> str:
        return " ".join(self.cls.source.split())

    @property
    def year(self) -> int | None:
        """The first year that the source names."""
        found = YEAR.search(self.cls.source)
        return int(found[1]) if found else None

    @property
    def summary(self) -> str:
        """The first sentence of the docstring."""
        return (inspect.getdoc(self.cls) or "").split("\n\n")[0].replace("\n", " ")

    @property
    def equations(self) -> list[str]:
        """The lines of the docstring's block of equations, each with what is said behind it."""
        for cls in self.cls.__mro__:
            text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
            block = re.search(r"::\n\n((?:    .*\n|\n)+)", text + "\n")
            if block and " = " in block[1]:
                return textwrap.dedent(block[1]).strip("\n").split("\n")
            said = INLINE.search(" ".join(text.split("\n\n")[0].split()))
            if said and cls not in (Layer, Cell):
                return [said[1]]
        return []

    def line(self, width: int) -> str:
        """The last equations, as many as fit into a line; of several for one value the first."""
        stated: dict[str, str] = {}
        for line in self.equations:
            equation = re.split(r"\s{2,}", line.strip())[0].rstrip(",;")
            if " = " in equation:
                stated.setdefault(equation.split(" = ")[0], equation)
        chosen = ""
        for equation in reversed(stated.values()):
            longer = f"{equation}; {chosen}" if chosen else equation
            if len(longer) > width:
                break
            chosen = longer
        return chosen

    def counts(self, label: str) -> Counts | None:
        """The formulas of a variant."""
        cell = self.ways[label]
        return None if cell is None else counts(cell)

    def formula(self, label: str = "") -> str:
        """How many numbers a variant learns; of the first variant by default."""
        label = label if label in self.ways else next(iter(self.ways))
        cell, found = self.ways[label], self.counts(label)
        if found is not None:
            return found.total
        if cell is None:
            return "?"
        return "of its cells" if sum_of_parts(cell) else f"{cell.parameter_count} for {cell!r}"

    def options(self) -> Iterator[tuple[str, str]]:
        """The name of each option, and its default; "" for what has to be given."""
        for field in dataclasses.fields(self.cls):  # type: ignore[arg-type]
            missing = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            yield field.name, "" if missing else repr(field.default)

    def parameters(self, label: str) -> list[tuple[str, str, str]]:
        """Name, shape in letters and initialiser of each parameter of a variant."""
        cell, found = self.ways[label], self.counts(label)
        if cell is None:
            return []
        spec = specification(cell)
        rows = zip(spec.names, spec.parameters, strict=True)
        return [(name, found.shapes[name] if found else str(p.shape), said_init(p.init)) for name, p in rows]

    def states(self, label: str) -> list[str]:
        """The states of a variant: where each is found, its shape in letters, what it starts with."""
        cell, found = self.ways[label], self.counts(label)
        if cell is None:
            return []
        tree = cell.state()
        shapes = found.states if found else [str(state.shape) for state in pytree.leaves(tree)]
        lines = []
        for path, state, shape in zip(pytree.paths(tree), pytree.leaves(tree), shapes, strict=True):
            kind = f" of {state.dtype}" if state.dtype is not None else ""
            lines.append(f"{'' if path == 'value' else f'{path} '}{shape}{kind}, {state.init:g} at first")
        return lines


def said_init(init: Any) -> str:
    """An initialiser as it is written down."""
    if isinstance(init, (str, int, float, np.number)):
        return str(init)
    return getattr(init, "__name__", None) or re.sub(r"<(?:function )?(\S+).*>", r"\1", repr(init))


def family() -> list[Member]:
    """The registered cells, layers and readouts: by room, then by year."""
    by_class: dict[type[Layer], dict[str, Any]] = {}
    for kind in registry.KINDS:
        for variant in registry.variants(kind):
            by_class.setdefault(variant.cell, {})[variant.label] = variant.build(np.random.default_rng(0))
    return in_order([Member(cls, room_of(cls), ways) for cls, ways in by_class.items()])


def members(classes: Iterable[type[Cell]]) -> list[Member]:
    """Classes of a user's, as they are when sizes are small."""
    return [Member(cls, cls.__module__, {"": _small(cls)}) for cls in classes]


def in_order(found: list[Member]) -> list[Member]:
    """By room in the order of ``ROOMS``, then by year and name."""

    def key(member: Member) -> tuple:
        room = ROOMS.index(member.room) if member.room in ROOMS else len(ROOMS)
        return room, member.room, member.year or 9999, member.name

    return sorted(found, key=key)


def room_of(cls: type[Layer]) -> str:
    """The folder of ``cells`` that a class stands in, the module's own name for one that stands in none."""
    parts = cls.__module__.removeprefix("tapegrad.cells.").split(".")
    return parts[0] if cls.__module__.startswith("tapegrad.cells.") else cls.__module__


def _small(cls: type[Cell]) -> Any:
    try:
        return sized(cls, {})
    except (TapegradError, TypeError, ValueError):
        return None
