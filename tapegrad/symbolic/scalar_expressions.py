"""SymPy's scalars as numbers for a tape: symbols, what is made of them, and exact fractions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sympy
from sympy import Function, Piecewise, Rational, S, Symbol, sympify

from .scalars import Scalars, literal


class StopGradient(Function):
    """A value whose derivative counts as zero."""

    @classmethod
    def eval(cls, x: Any) -> Any:
        return x if x.is_number else None

    def fdiff(self, argindex: int = 1) -> Any:
        return S.Zero


def choose(condition: Any, x: Any, y: Any) -> Any:
    """x where the condition holds, else y."""
    condition = sympify(condition)
    if condition in (S.true, S.false):
        return x if condition == S.true else y
    return Piecewise((sympify(x), condition), (sympify(y), True), evaluate=False)


def compared(relation: Callable) -> Callable:
    """A comparison that is decided where both sides are numbers, and is not looked into elsewhere."""

    def compare(x: Any, y: Any) -> Any:
        x, y = sympify(x), sympify(y)
        return relation(x, y) if x.is_number and y.is_number else relation(x, y, evaluate=False)

    return compare


less, equal = compared(sympy.StrictLessThan), compared(sympy.Equality)


def largest(values: Sequence[Any]) -> Any:
    """The maximum, as a sum in which values that tie have equal shares, so that its derivative shares as well."""
    if len(values) == 2:
        x, y = values
        return choose(less(y, x), x, choose(less(x, y), y, (x + y) / S(2)))
    others = [[w for j, w in enumerate(values) if j != i] for i in range(len(values))]
    best = [
        choose(sympy.Not(sympy.Or(*[less(v, w) for w in rest])), S.One, S.Zero)
        for v, rest in zip(values, others, strict=True)
    ]
    return sum([b * v for b, v in zip(best, values, strict=True)]) / sum(best)


def frozen(function: Callable) -> Callable:
    """A function of which derivatives are zero."""
    return lambda *args: StopGradient(function(*map(sympify, args)))


def _sign(x: Any) -> Any:
    return choose(less(0, x), S.One, choose(less(x, 0), S.NegativeOne, S.Zero))


def _rounded(x: Any) -> Any:
    below = sympy.floor(x)
    return choose(
        equal(x - below, Rational(1, 2)), 2 * sympy.floor((below + 1) / S(2)), sympy.floor(x + Rational(1, 2))
    )


class Expressions(Scalars):
    """SymPy's scalars: symbols, what is made of them, and exact numbers."""

    def number(self, value: Any) -> Any:
        return value if isinstance(value, sympy.Basic) and not value.is_Float else literal(value)

    def from_boolean(self, x: Any) -> Any:
        return choose(x, S.One, S.Zero) if isinstance(x, bool) or getattr(x, "is_Boolean", False) else x

    def largest(self, values: Sequence[Any]) -> Any:
        return values[0] if len(values) == 1 else largest(values)

    functions = {
        "add": lambda x, y: x + y,
        "subtract": lambda x, y: x - y,
        "multiply": lambda x, y: x * y,
        "negative": lambda x: -x,
        "divide": lambda x, y: sympify(x) / sympify(y),
        "power": lambda x, y: sympify(x) ** sympify(y),
        "remainder": lambda x, y: x - y * StopGradient(sympy.floor(sympify(x) / y)),
        "absolute": lambda x: choose(less(0, x), x, choose(less(x, 0), -x, S.Zero)),
        "maximum": lambda x, y: largest([x, y]),
        "minimum": lambda x, y: -largest([-x, -y]),
        "erf": sympy.erf,
        "erfc": sympy.erfc,
        "exp": sympy.exp,
        "expm1": lambda x: sympy.exp(x) - 1,
        "log": sympy.log,
        "log1p": lambda x: sympy.log(1 + x),
        "sqrt": sympy.sqrt,
        "logistic": lambda x: 1 / (1 + sympy.exp(-x)),
        "logaddexp": lambda x, y: sympy.log(sympy.exp(x) + sympy.exp(y)),
        **{name: getattr(sympy, name) for name in "sin cos tan sinh cosh tanh".split()},
        **{f"arc{name}": getattr(sympy, "a" + name) for name in "sin cos tan sinh cosh tanh".split()},
        "arctan2": sympy.atan2,
        "where": choose,
        "stop_gradient": frozen(lambda x: x),
        "sign": _sign,
        "floor": frozen(sympy.floor),
        "rint": frozen(_rounded),
        "floor_divide": frozen(lambda x, y: sympy.floor(x / y)),
        "equal": equal,
        "less": less,
        "less_equal": compared(sympy.LessThan),
        "isfinite": lambda x: True,
        "logical_and": sympy.And,
        "logical_or": sympy.Or,
        "logical_not": sympy.Not,
    }


def symbols(name: str, shape: Sequence[int], unique: Callable[[str], str]) -> np.ndarray:
    """An array of real symbols, ``name`` with the indices behind it."""
    made = np.empty(tuple(shape), object)
    for index in np.ndindex(*shape):
        made[index] = Symbol(unique("_".join([name, *map(str, index)])), real=True)
    return made
