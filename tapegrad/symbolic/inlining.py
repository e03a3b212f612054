"""Which of many derivatives get an equation of their own, and which are written out where they are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from sympy import Basic

from .expressions import Value

LONGEST = 40  # parts of an expression that is written out


def occurrences(expression: Any, role: str) -> Counter[Value]:
    """How often each value of a role stands in an expression."""
    if isinstance(expression, Value):
        return Counter([expression]) if expression.role == role else Counter()
    found: Counter[Value] = Counter()
    for part in expression.args:
        found.update(occurrences(part, role))
    return found


def size(expression: Any) -> int:
    """The number of parts of an expression."""
    if isinstance(expression, Value) or not expression.args:
        return 1
    return 1 + sum(size(part) for part in expression.args if isinstance(part, Basic))


def written_out(
    equations: Mapping[Value, Any], others: Iterable[Any], keep: set[Value], role: str, repeats: bool = True
) -> set[Value]:
    """The values of a role that need no equation.

    They are read once at most, and are short with all that is written out in them: otherwise a chain of many
    operations would become one expression, as long as the chain, in every place that reads its end.

    Parameters
    ----------
    equations : dict
        In an order in which they can be evaluated.
    others : iterable
        Further expressions that read the values.
    keep : set
        Values that have an equation in any case.
    repeats : bool
        Whether a value that an expression reads twice is read twice; not if what it is multiplied with is collected.
    """
    uses: Counter[Value] = Counter()
    for expression in [*equations.values(), *others]:
        read = occurrences(expression, role)
        uses.update(read if repeats else set(read))
    found: set[Value] = set()
    length: dict[Value, int] = {}
    for value, made in equations.items():
        inside = occurrences(made, role)
        length[value] = size(made) + sum(length[v] * n for v, n in inside.items() if v in found)
        again = isinstance(made, Value)  # no more than another name
        if value not in keep and (again or (uses[value] <= 1 and length[value] <= LONGEST)):
            found.add(value)
    return found
