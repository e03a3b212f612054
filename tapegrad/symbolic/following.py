"""The backward equations carried out with what somebody else found put in, so that each is judged by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .equations import Equation, over_time
from .evaluation import evaluate
from .expressions import LAST, TIME, Value

if TYPE_CHECKING:
    from .derivation import Derivation
    from .running import Run


class Total(NamedTuple):
    """A gradient: a sum over time of an expression, or an adjoint before the first step, of an expression at t = 1.

    Attributes
    ----------
    weights : tuple of float
        For each time from 1.
    first : expression or None
        What stands in the place of the share at t = 1.
    """

    name: str
    left: Any
    share: Any
    turned: bool
    features: tuple[int, ...]
    weights: tuple[float, ...]
    first: Any = None

    def equation(self, derivation: Derivation) -> Equation:
        right = over_time(self.share, LAST) if self.left.role == "gradient" else self.share
        return Equation(self.left, right, derivation.notation)

    def at(self, t: int) -> Any:
        """The share at a time."""
        return self.share if t > 1 or self.first is None else self.first

    def as_code(self, matrix: Any) -> Any:
        return (matrix.T if self.turned else matrix).reshape(self.features)


class Difference(NamedTuple):
    """A number that differs: an adjoint at a time, or a gradient."""

    left: Any
    time: int | None
    expected: Any
    got: Any


class Backward(NamedTuple):
    """The backward equations of a derivation, of which some may be changed.

    Attributes
    ----------
    recurrences : dict of Value to expression
        In the order in which they are evaluated at a time.
    totals : dict of str to Total
    only : dict of Value to set of int
        The times at which the expression in ``recurrences`` holds; the one in ``otherwise`` holds at others.
    otherwise : dict of Value to expression
    skipped : frozenset of int
        Times at which all adjoints are zero.
    final : bool
        Whether the derivative by the final state counts.
    ended : frozenset of Value
        Adjoints for which it does not.
    """

    recurrences: Mapping[Value, Any]
    totals: Mapping[str, Total]
    only: Mapping[Value, set[int]] = {}
    otherwise: Mapping[Value, Any] = {}
    skipped: frozenset[int] = frozenset()
    final: bool = True
    ended: frozenset[Value] = frozenset()

    def with_recurrence(self, left: Value, right: Any, only: set[int] | None = None) -> Backward:
        """The same with another equation for an adjoint, at all times or at some."""
        made = self._replace(recurrences={**self.recurrences, left: right})
        if only is None:
            return made
        before = self.recurrences[left]
        return made._replace(only={**self.only, left: only}, otherwise={**self.otherwise, left: before})

    def with_total(self, total: Total) -> Backward:
        return self._replace(totals={**self.totals, total.name: total})

    def right(self, left: Value, t: int) -> Any:
        if left in self.only and t not in self.only[left]:
            return self.otherwise[left]
        return self.recurrences[left]


class Follower:
    """Evaluates backward equations on the numbers of a run.

    Parameters
    ----------
    derivation : Derivation
    run : Run
        Of one step more than ``steps``: what is multiplied by the zero adjoints behind the last step is a number.
    steps : int
    near : callable (expected, got) -> bool
    """

    def __init__(self, derivation: Derivation, run: Run, steps: int, final: Mapping[Value, Any], near: Callable):
        self.derivation, self.steps, self.near = derivation, steps, near
        roles = ("parameter", "constant", "input", "value", "output", "direct")
        self.numbers = {key(v, v.time): a for v, a in run.table.items() if isinstance(v, Value) and v.role in roles}
        self.ends = {(v.name, v.role): a for v, a in final.items()}
        later = {symbol.name for symbol in derivation.later}
        self.closing = {
            left: right for left, right in derivation.unsubstituted.items()
            if any(c.name not in later for c in right.atoms(Value) if c.role == "carried")
        }  # fmt: skip
        self.substituted = {v.name for v in final if v.name not in later}

    def at(self, expression: Any, t: int, table: Mapping[Any, Any]) -> Any:
        """An expression in t, at a time; what lies before the first and behind the last step is zero."""

        def look(value: Value) -> Any:
            when = None if value.time is None else moment(value.time, t)
            found = table.get(key(value, when))
            if found is None and value.role not in ("adjoint", "carried"):
                found = self.numbers.get(key(value, when))
            return np.zeros(tuple(map(int, value.shape))) if found is None else found

        with np.errstate(all="ignore"):
            return evaluate(expression, look)

    def _at_the_end(self, left: Value, table: Mapping[Any, Any]) -> Any:
        """What the derivative by the final state adds at the last step."""
        if left.role == "carried":
            return self.ends.get((left.name, "carried"), 0.0)
        if left not in self.closing:
            return 0.0
        closing, T = self.closing[left], self.steps
        ends = {(n, r, T): a for (n, r), a in self.ends.items() if n in self.substituted}
        nothing = {k: 0.0 * a for k, a in ends.items()}
        return self.at(closing, T, {**table, **ends}) - self.at(closing, T, {**table, **nothing})

    def follow(
        self, backward: Backward, given: Mapping[str, Any], gradients: Mapping[str, Any], sole: str | None = None
    ) -> tuple[list[Difference], dict[Any, Any]]:
        """Where what was found differs from the equations, each fed with what was found, and all adjoints.

        Parameters
        ----------
        backward : Backward
        given : dict of str to dict of int to array
            For each adjoint that was found the matrix at each time.
        gradients : dict of str to array
        sole : str, optional
            The only gradient to compare.
        """
        found: list[Difference] = []
        table: dict[Any, Any] = {}
        for t in range(self.steps, 0, -1):
            for left in backward.recurrences:
                made = self.at(backward.right(left, t), t, table)
                if t == self.steps and backward.final and left not in backward.ended:
                    made = made + self._at_the_end(left, table)
                if t in backward.skipped:
                    made = np.zeros_like(made)
                if left.role == "adjoint" and left.name in given:
                    got = given[left.name][t]
                    if not self.near(made, got):
                        found.append(Difference(left, t, made, got))
                    made = got
                table[key(left, t)] = made
        for name, total in backward.totals.items():
            if name in gradients and sole in (None, name):
                expected = self.total(total, table)
                if not self.near(expected, gradients[name]):
                    found.append(Difference(total.left, None, expected, gradients[name]))
        return found, table

    def total(self, total: Total, table: Mapping[Any, Any]) -> Any:
        """A gradient, as it lies in the code."""
        parts = [w * self.at(total.at(t), t, table) for t, w in enumerate(total.weights, 1) if w]
        return total.as_code(sum(parts[1:], parts[0]) if parts else np.zeros(tuple(map(int, total.left.shape))))


def key(value: Value, time: Any) -> tuple[str, str, Any]:
    return value.name, value.role, None if time is None else int(time)


def moment(time: Any, t: int) -> int:
    """The number of a time such as t + 1, or 0."""
    return int(time) if time.is_Integer else t + _steps_from(time)


@cache
def _steps_from(time: Any) -> int:
    """k in t + k."""
    return int(time - TIME)
