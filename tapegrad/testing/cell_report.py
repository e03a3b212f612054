"""What check_cell found, in words, and how to find it again."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from typing import Any

import numpy as np

from tapegrad.cells import Cell

from .. import pytree
from .flat import PRINTED, source

SECOND = "second derivative"
SHOWN = 3  # elements that a failure prints in full


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two oracles, held against each other.

    Attributes
    ----------
    first, second : str
    count : int
        How many numbers were compared.
    rough : int
        How many could not be judged, since one of the two knows them too roughly.
    worst : float
        The largest difference, beside the largest number of its array.
    wrong : int
        In how many arrays the two disagree.
    """

    first: str
    second: str
    count: int
    rough: int
    worst: float
    wrong: int


@dataclasses.dataclass(frozen=True)
class Mismatch:
    """An array about which oracles disagree.

    Attributes
    ----------
    what : str
        "value", "gradient", "tangent" or "second derivative"; "masked ..." and "reversed masked ..." are those of
        sequences under lengths and reset, and in reverse.
    name : str
        Of the argument, or of the result: "params.W_xi", "state[0]", "xs", "ys".
    element : tuple of int
        Where they disagree most; empty as well when shapes or dtypes differ.
    numbers : dict of str to float
        What each oracle has there; for shapes and dtypes, what it is.
    groups : list of list of str
        The oracles that agree with each other about this array, the largest group first.
    relative : float
        The difference beside the larger of the two numbers.
    allowed : float
        The difference that rounding can explain.
    count, size : int
        How many elements of the array differ by more, and how many were compared.
    """

    what: str
    name: str
    element: tuple[int, ...]
    numbers: dict[str, Any]
    groups: list[list[str]]
    relative: float
    allowed: float
    count: int
    size: int

    def __str__(self) -> str:
        where = f" at element {self.element}" if self.element else ""
        width = max(map(len, self.numbers)) + 2
        lines = [f"the {self.what} of {self.name}{where}"]
        lines += [f"    {oracle:<{width}}{shown(number)}" for oracle, number in self.numbers.items()]
        if self.size:
            lines.append(
                f"    relative error {self.relative:.2e}; allowed is a difference of {self.allowed:.1e}; "
                f"{self.count} of {self.size} elements differ by more"
            )
        return "\n".join(lines)


def shown(number: Any) -> str:
    return f"{number!r}" if isinstance(number, float) else str(number)


@dataclasses.dataclass
class CellReport:
    """What :func:`check_cell` compared and found; ``str`` of it is for people.

    Attributes
    ----------
    cell : Cell
    seed, steps, batch : int
    dtype : dtype
    pairs : list of Pair
        What was compared, over how many numbers, and the worst difference.
    skipped : dict of str to str
        The oracles that do not apply to the cell, with the reason.
    mismatches : list of Mismatch
        The worst first, results before derivatives.
    given : tuple
        The params, state and xs that the caller gave; None for those that were drawn.
    others : tuple of str
        The oracles of the caller's own.
    masked : str
        What lengths and reset were; empty where nothing was masked.
    masks, order
        As they were asked for.
    """

    cell: Cell
    seed: int
    steps: int
    batch: int
    dtype: np.dtype
    pairs: list[Pair]
    skipped: dict[str, str]
    mismatches: list[Mismatch]
    given: tuple[Any, Any, Any] = (None, None, None)
    others: tuple[str, ...] = ()
    masked: str = ""
    masks: bool = True
    order: int = 2

    @property
    def ok(self) -> bool:
        """Whether all oracles agree."""
        return not self.mismatches

    def __str__(self) -> str:
        return self.text()

    def text(self, snippet: str | None = None) -> str:
        """The report; ``snippet`` is what repeats a failure, by default :meth:`snippet`."""
        parts = [
            f"check_cell: {self.cell!r}, {self.steps} steps of {self.batch} rows, {self.dtype}, seed {self.seed}:\n"
            f"{self._verdict()}"
        ]
        if not self.ok:
            parts += [str(mismatch) for mismatch in self.mismatches[:SHOWN]]
            parts.append("\n".join(self._listed()))
        parts.append("\n".join(self._compared()))
        if self.masked:
            parts.append(f"masked: {self.masked}; forwards and in reverse")
        if self.skipped:
            parts.append("\n".join(["not used", *[f"    {name}: {reason}" for name, reason in self.skipped.items()]]))
        if not self.ok:
            lines = (snippet or self.snippet()).split("\n")
            parts.append("\n".join(["Repeat it with", *[f"  {line}" for line in lines]]))
        return "\n\n".join(parts)

    def summary(self) -> str:
        """One line: where the first disagreement is."""
        if self.ok:
            return self._verdict()
        first = self.mismatches[0]
        return f"the {first.what} of {first.name}: {' against '.join(', '.join(group) for group in first.groups)}"

    # ---- its parts ----
    def suspects(self) -> list[str]:
        """The oracles that stand apart wherever there is a disagreement; none when no majority says so."""
        apart: set[str] = set()
        for mismatch in self.mismatches:
            sizes = [len(group) for group in mismatch.groups]
            if len(sizes) < 2 or sizes[0] == sizes[1]:
                return []
            apart.update(name for group in mismatch.groups[1:] for name in group)
        return sorted(apart)

    def _verdict(self) -> str:
        if self.ok:
            return "all oracles that apply agree" if self.skipped else "all oracles agree"
        suspects = self.suspects()
        bad = sum(pair.wrong > 0 for pair in self.pairs)
        text = f"{bad} of {len(self.pairs)} pairs of oracles disagree{self._place()}"
        if suspects == ["differences"]:
            return (
                f"{text}.\nEvaluation alone says otherwise: the others read the same derivative rules. A rule is "
                "wrong, such as that of a custom_vjp in the step, or there is a kink at these data."
            )
        if suspects:
            return f"{text}.\nThe majority is against {', '.join(suspects)}."
        return f"{text}."

    def _place(self) -> str:
        """Where the fault must be, when whole sequences or first derivatives are right."""
        kinds = [mismatch.what for mismatch in self.mismatches]
        if all("masked" in kind for kind in kinds):
            return " under lengths, reset or reverse alone"
        return " about second derivatives alone" if all(kind.endswith(SECOND) for kind in kinds) else ""

    def _listed(self) -> list[str]:
        lines = ["they disagree about"]
        for what in dict.fromkeys(mismatch.what for mismatch in self.mismatches):
            names = sorted(mismatch.name for mismatch in self.mismatches if mismatch.what == what)
            lines.append(f"    the {what} of {', '.join(names)}")
        return lines

    def _compared(self) -> list[str]:
        first, second = (max(len(getattr(pair, side)) for pair in self.pairs) for side in ("first", "second"))
        lines = ["compared"]
        for pair in self.pairs:
            rough = f", {pair.rough} too rough to judge" if pair.rough else ""
            wrong = f", DISAGREE about {pair.wrong} arrays" if pair.wrong else ""
            lines.append(
                f"    {pair.first:<{first}} - {pair.second:<{second}}  {pair.count:5d} numbers, largest difference "
                f"{pair.worst:.1e}{rough}{wrong}"
            )
        return lines

    def snippet(self) -> str:
        """Python that repeats the first disagreement, with the two oracles alone."""
        named = cell_source(self.cell)
        imports, expression = ([], "cell") if named is None else named
        lines = [] if named else [f"# {line}" for line in f"cell is {self.cell!r}".split("\n")]
        options = [f"seed={self.seed}", f"steps={self.steps}", f"batch={self.batch}"]
        if self.dtype != np.float64:
            options.append(f"dtype={str(self.dtype)!r}")
        options += [] if self.masks else ["masks=False"]
        options += [] if self.order > 1 else ["order=1"]
        for name, tree in zip(("params", "state", "xs"), self.given, strict=True):
            if tree is None:
                continue
            if sum(np.size(leaf) for leaf in pytree.leaves(tree)) <= PRINTED:
                imports, lines = ["import numpy as np", *imports], [*lines, f"{name} = {source(tree)}"]
            else:
                lines.append(f"# {name} are those that were given")
            options.append(f"{name}={name}")
        if self.mismatches:
            groups = self.mismatches[0].groups
            pair = [group[0] for group in groups[:2]] if len(groups) > 1 else groups[0][:2]
            options.insert(0, f"oracles={tuple(name for name in pair if name not in self.others)!r}")
            if set(pair) & set(self.others):
                lines.append("# others are the oracles of your own")
                options.insert(1, "others=others")
        call = f"check_cell({', '.join([expression, *options])})"
        return "\n".join([*dict.fromkeys(imports), "from tapegrad.testing import check_cell", *lines, call])


def cell_source(cell: Cell) -> tuple[list[str], str] | None:
    """Imports and an expression that make a cell again; None when its class cannot be imported."""
    cls = type(cell)
    module = _home(cls)
    if module is None:
        return None
    imports, options = [f"from {module} import {cls.__name__}"], []
    for field in dataclasses.fields(cell):
        made = _value_source(getattr(cell, field.name))
        if made is None:
            return None
        imports += made[0]
        options.append(f"{field.name}={made[1]}")
    return imports, f"{cls.__name__}({', '.join(options)})"


def _value_source(value: Any) -> tuple[list[str], str] | None:
    if isinstance(value, Cell):
        return cell_source(value)
    if type(value) is tuple:
        parts = [_value_source(part) for part in value]
        if any(part is None for part in parts):
            return None
        inside = ", ".join(part[1] for part in parts if part)
        return [line for part in parts if part for line in part[0]], f"({inside}{',' if len(value) == 1 else ''})"
    return ([], repr(value)) if value is None or isinstance(value, (bool, int, float, str)) else None


def _home(cls: type) -> str | None:
    """The module that a class is imported from: the shortest package that offers it."""
    parts = cls.__module__.split(".")
    for n in range(1, len(parts) + 1):
        name = ".".join(parts[:n])
        if getattr(sys.modules.get(name), cls.__qualname__, None) is cls and name != "__main__" and _findable(name):
            return name
    return None


def _findable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
