"""Factors that are 1 where a comparison holds and 0 elsewhere."""

from __future__ import annotations

from typing import Any

from sympy import default_sort_key

from .constants import is_ones, is_zero
from .expressions import Applied

RELATIONS = {"less": {"<"}, "less_equal": {"<", "="}, "equal": {"="}}


def condition(x: Any) -> tuple[Any, Any, set[str]] | None:
    """For a factor that is 1 where a comparison holds and 0 elsewhere: what is compared, and the signs that hold."""
    if not (isinstance(x, Applied) and x.function == "where"):
        return None
    compared, one, other = x.operands
    negated = is_zero(one) and is_ones(other)
    if not (negated or (is_ones(one) and is_zero(other))):
        return None
    while isinstance(compared, Applied) and compared.function == "logical_not":
        compared, negated = compared.operands[0], not negated
    if not (isinstance(compared, Applied) and compared.function in RELATIONS):
        return None
    signs, (left, right) = RELATIONS[compared.function], compared.operands
    signs = {"<", "=", ">"} - signs if negated else signs
    if default_sort_key(left) > default_sort_key(right):
        left, right, signs = right, left, {{"<": ">", ">": "<", "=": "="}[s] for s in signs}
    return left, right, signs


def stricter(made: Any, x: Any) -> Any:
    """[u = v] times [u >= v] is [u = v]: of two conditions on the same the one that implies the other."""
    if (mine := condition(x)) is None:
        return x
    for part in (made.factors, made.scalars):
        for other in list(part):
            if part[other] == 1 and (held := condition(other)) is not None and held[:2] == mine[:2]:
                if held[2] <= mine[2]:
                    del part[other]
                    return other
                if mine[2] <= held[2]:
                    del part[other]
    return x
