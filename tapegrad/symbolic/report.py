"""What is said of a backward pass that was checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tapegrad.errors import TapegradError


class WrongBackward(TapegradError, AssertionError):
    """A backward pass is not what the derivation says."""


@dataclass
class Fault:
    """One thing that is wrong.

    Attributes
    ----------
    quantity : str
        As it is printed: ``δh_t``, ``∂L/∂W_hh``.
    time : int or None
        The first time step, going backwards from T, at which it shows; None where it shows in a sum over time only.
    explanation : str or None
        What was done instead, if one change of one equation gives exactly the numbers that were found.
    equation : str
        The derived equation.
    difference : float
        The largest, in absolute value.
    expected, got : array or None
    mended : list of str
        What else is right once this is.
    left : Value or None
        The symbol of the quantity.
    """

    quantity: str
    time: int | None
    explanation: str | None
    equation: str
    difference: float = 0.0
    expected: Any = None
    got: Any = None
    mended: list[str] = field(default_factory=list)
    left: Any = None

    def text(self) -> str:
        what = self.explanation or "differs, and no single change of its equation gives these numbers"
        if self.time is not None and f"t = {self.time}" not in what:
            what += f", first at t = {self.time} (row {self.time - 1})"
        lines = [f"{self.quantity} {what}"]
        if self.got is not None:
            scale = np.max(np.abs(self.expected), initial=0.0)
            lines.append(f"    off by {self.difference:.3g}, where the largest element is {scale:.3g}")
        lines.append(f"    derived: {self.equation}")
        if self.mended:
            lines.append(f"    also explains: {', '.join(self.mended)}")
        return "\n".join(lines)


@dataclass
class Report:
    """What :func:`check_backward` found; true when nothing is wrong, so that ``assert check_backward(...)`` tests it.

    Attributes
    ----------
    name : str
        Of the cell.
    faults : list of Fault
        In the order in which they show, going backwards in time, and then by gradient.
    compared : list of str
        What was compared.
    hint : str
        What would help to tell more.
    """

    name: str
    faults: list[Fault]
    compared: list[str]
    hint: str = ""

    def __bool__(self) -> bool:
        return not self.faults

    def text(self) -> str:
        """The report in words, with the derived equations beside."""
        if not self.faults:
            return f"The backward pass of {self.name} is right: {', '.join(self.compared)}."
        lines = [f"The backward pass of {self.name} is wrong.", *[fault.text() for fault in self.faults]]
        if self.hint:
            lines.append(self.hint)
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.text()

    def raise_if_wrong(self) -> None:
        """Raise :class:`WrongBackward`, an AssertionError, with the text of the report, if there are faults."""
        if self.faults:
            raise WrongBackward(self.text())
