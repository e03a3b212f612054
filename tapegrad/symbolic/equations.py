"""Equations: a symbol and what it equals, with sums over time and products of Jacobians."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sympy import Basic, Eq, Integer, MatAdd, sympify

from tapegrad.errors import OptionError

from .breaking import broken
from .expressions import TIME, Node, Value, replaced, values_in

if TYPE_CHECKING:
    from .notation import Notation


class _OverTime(Node):
    """An expression at all times from ``first`` to ``last``."""

    def __new__(cls, term: Any, index: Any, first: Any, last: Any) -> Any:
        return Basic.__new__(cls, term, index, sympify(first), sympify(last))

    @property
    def term(self) -> Any:
        return self.args[0]

    @property
    def limits(self) -> tuple[Any, Any, Any]:
        return self.args[1], self.args[2], self.args[3]

    @property
    def shape(self) -> Any:
        return self.term.shape

    def at(self, time: int) -> Any:
        """The term at one time."""
        return at_time(self.term, self.limits[0], time)


class TimeSum(_OverTime):
    """A sum over time."""


class OrderedProduct(_OverTime):
    """A product of matrices over time, the latest on the left."""


def at_time(expression: Any, index: Any, time: Any) -> Any:
    """An expression with a number, or another index, for the index of time."""
    return replaced(expression, {index: sympify(time)})


class Equation:
    """``left = right``, where both are SymPy objects.

    Attributes
    ----------
    left : Value or other symbol
    right : SymPy matrix expression
    notation : Notation
        What ``latex()`` and ``text()`` follow.
    """

    def __init__(self, left: Any, right: Any, notation: Notation):
        self.left, self.right, self.notation = left, right, notation

    @property
    def sympy(self) -> Any:
        """The equation as a SymPy ``Eq``."""
        return Eq(self.left, self.right, evaluate=False)

    def latex(self) -> str:
        return " = ".join(self._sides())

    def _sides(self) -> tuple[str, str]:
        from .latex import LatexPrinter

        printer = LatexPrinter(self.notation)
        return printer(self.left), printer(self.right)

    def latex_lines(self) -> list[str]:
        """The lines of an ``aligned`` environment: more than one for a long sum."""
        left, right = self._sides()
        return broken(left, right) if isinstance(self.right, MatAdd) else [f"{left} &= {right}"]

    def text(self) -> str:
        from .text import TextPrinter

        printer = TextPrinter(self.notation)
        return f"{printer(self.left)} = {printer(self.right)}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex() if len(self.latex_lines()) == 1 else aligned([self])}$"

    def __repr__(self) -> str:
        return self.text()

    def values(self) -> list[Any]:
        """The values that the right-hand side is made of: what :meth:`evaluate` has to be given."""
        return [value for value in values_in(self.right) if value.role != "hole"]

    def evaluate(self, values: Mapping[Any, Any], **limits: int) -> np.ndarray:
        """The right-hand side on explicit matrices.

        Parameters
        ----------
        values : dict, or Run
            A matrix for each of :meth:`values`, or for its name as ``str`` gives it: ``"W_hh"``, ``"h[t - 1]"``,
            ``"dL/dh[t]"``. Matrices are those of the printed equation: vectors (n, 1) or (n,), and a weight that is
            applied as ``W x`` is the transpose of the array in the code. In sums and products over time values carry
            numbers for times: ``"h[3]"``.
        **limits : int
            Numbers for ``T``, ``t`` and ``k`` where the equation has them.

        Returns
        -------
        array, shape of the right-hand side
        """
        from .evaluation import by_name, evaluate

        if not isinstance(values, Mapping):
            raise OptionError(f"evaluate: got a {type(values).__name__}, expected a dict from names to matrices")
        wrong = {
            n: v for n, v in limits.items() if n not in ("T", "t", "k") or not isinstance(v, (int, np.integer)) or v < 0
        }
        if wrong:
            raise OptionError(
                f"evaluate: {', '.join(f'{n}={v!r}' for n, v in wrong.items())}; T, t and k are numbers of steps"
            )
        return evaluate(with_limits(self.right, limits), by_name(values))


def with_limits(expression: Any, limits: Mapping[str, int]) -> Any:
    """An expression with sums and products over time written out, between numbers."""
    from . import algebra as al
    from .constants import identity, zeros

    changes = {}
    for part in expression.atoms(_OverTime) if hasattr(expression, "atoms") else ():
        index, first, last = part.limits
        numbers = [bound.subs({s: limits[s.name] for s in bound.free_symbols if s.name in limits})
                   for bound in (first, last)]  # fmt: skip
        if not all(isinstance(n, Integer) for n in numbers):
            missing = ", ".join(sorted(s.name for n in numbers for s in n.free_symbols))
            raise OptionError(f"evaluate: the equation runs over time; give {missing} as a number, evaluate(..., T=3)")
        terms = [part.at(time) for time in range(int(numbers[0]), int(numbers[1]) + 1)]
        if isinstance(part, TimeSum):
            changes[part] = al.add(*terms) if terms else zeros(part.shape)
        else:
            changes[part] = al.product(identity(int(part.shape[0])), *reversed(terms))
    return replaced(expression, changes)


def aligned(equations: Iterable[Equation]) -> str:
    """Equations one below the other, aligned at their signs."""
    lines = [line for equation in equations for line in equation.latex_lines()]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


class Equations:
    """Equations in an order in which they can be evaluated; they are found by position or by name.

    ``equations["h"]`` is the one whose left-hand side is called h in the code.
    """

    def __init__(self, equations: list[Equation]):
        self._equations = equations

    def __iter__(self) -> Iterator[Equation]:
        return iter(self._equations)

    def __len__(self) -> int:
        return len(self._equations)

    def __getitem__(self, key: Any) -> Equation:
        if not isinstance(key, str):
            return self._equations[key]
        for equation in self._equations:
            if isinstance(equation.left, Value) and equation.left.name == key:
                return equation
        raise KeyError(f"no equation for {key!r}; there are {', '.join(self.names())}")

    def names(self) -> list[str]:
        return [e.left.name if isinstance(e.left, Value) else str(e.left) for e in self._equations]

    def latex(self) -> str:
        return aligned(self._equations)

    def text(self) -> str:
        return "\n".join(e.text() for e in self._equations)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __repr__(self) -> str:
        return self.text()


class EquationTable(dict):
    """Equations by keys; in a notebook they are shown one below the other."""

    def latex(self) -> str:
        return aligned(self.values())

    def text(self) -> str:
        return Equations(list(self.values())).text()

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"


def over_time(term: Any, last: Any) -> TimeSum:
    """The sum of a term at t over all times up to ``last``."""
    return TimeSum(term, TIME, 1, last)
