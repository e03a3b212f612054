"""Expressions as text: one walk over them, which LaTeX and plain text fill with their signs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from sympy import (
    Basic,
    DiagMatrix,
    Float,
    HadamardPower,
    HadamardProduct,
    Identity,
    MatAdd,
    MatMul,
    OneMatrix,
    Rational,
    Transpose,
    ZeroMatrix,
)  # fmt: skip
from sympy.core.symbol import Str

from . import algebra as al
from .calls import called, is_slice, places, setting
from .constants import MINUS_ONE, ONE, is_linear, is_ones, is_scalar, is_zero
from .equations import OrderedProduct, TimeSum
from .expressions import Applied, Named, Node, Scaled, Value, values_in
from .jacobians import Partial
from .linear import Columns
from .notation import Notation

SUM, PRODUCT, POWER, ATOM = range(4)  # how strongly an expression holds together


def decimal(x: Any) -> str | None:
    """A number as a decimal fraction, if it is a short one, or no fraction at all."""
    if not isinstance(x, (Rational, Float)) or x.is_Integer:
        return None
    text = repr(float(x))
    return text if isinstance(x, Float) or (len(text) <= 8 and Rational(text) == x) else None


class Printer(ABC):
    """Prints an expression; ``notation`` says how."""

    def __init__(self, notation: Notation):
        self.notation = notation

    def __call__(self, x: Any, least: int = SUM) -> str:
        """An expression, in brackets if it holds together less than ``least``."""
        text, strength = self.parts(x)
        return text if strength >= least else self.brackets(text)

    def parts(self, x: Any) -> tuple[str, int]:
        """The text of an expression and how strongly it holds together."""
        for kind, rule in _RULES:
            if isinstance(x, kind):
                return rule(self, x)
        return self.number(x), ATOM

    # ---- what each language says in its own way ----
    @abstractmethod
    def value(self, x: Value) -> str: ...
    @abstractmethod
    def derivative(self, x: Value) -> str: ...
    @abstractmethod
    def number(self, x: Any) -> str: ...
    @abstractmethod
    def brackets(self, text: str) -> str: ...
    @abstractmethod
    def call(self, function: str, args: list[str], note: str = "") -> str: ...
    @abstractmethod
    def squared(self, function: str, arg: str, exponent: str) -> str | None: ...
    @abstractmethod
    def power(self, base: str, exponent: str) -> str: ...
    @abstractmethod
    def ratio(self, above: str, below: str) -> str: ...
    @abstractmethod
    def transpose(self, base: str) -> str: ...
    @abstractmethod
    def total(self, term: str, index: str, first: str, last: str) -> str: ...
    @abstractmethod
    def chain(self, term: str, index: str, first: str, last: str) -> str: ...
    @abstractmethod
    def partial(self, above: str, below: str) -> str: ...
    @abstractmethod
    def indicator(self, condition: str) -> str: ...
    @abstractmethod
    def cases(self, condition: str, one: str, other: str) -> str: ...
    @abstractmethod
    def part(self, base: str, places: str) -> str: ...
    @abstractmethod
    def blocks(self, rows: list[list[str]]) -> str: ...

    signs: dict[str, str] = {}  # of comparisons
    circle = dot = ones = identity = zero = ""
    fraction = PRODUCT  # how strongly a ratio, and dL/dx, hold together
    inside = POWER  # how strongly what stands in a ratio has to


def _value(p: Printer, x: Value) -> tuple[str, int]:
    if x.role in ("value", "parameter", "input", "output", "constant"):
        return p.value(x), ATOM
    if p.notation.adjoints == "nabla":
        return p.derivative(x), PRODUCT
    delta = x.role in ("adjoint", "tangent") and p.notation.adjoints in ("delta", "bar")
    return p.derivative(x), ATOM if delta else p.fraction


def _sum(p: Printer, x: MatAdd) -> tuple[str, int]:
    terms = sorted(x.args, key=lambda term: bool(coefficient(term) < 0))  # nothing starts with a minus that need not
    made = p(terms[0], SUM)
    for term in terms[1:]:
        n = coefficient(term)
        made += f" - {p(al.scaled(MINUS_ONE, term), PRODUCT)}" if n < 0 else f" + {p(term, PRODUCT)}"
    return made, SUM


def coefficient(x: Any) -> Any:
    """The number in front of a product."""
    return x.args[0] if isinstance(x, MatMul) and not x.args[0].is_Matrix else ONE


def _product(p: Printer, x: MatMul) -> tuple[str, int]:
    factors = list(x.args)
    front = ""
    if not factors[0].is_Matrix:
        n = factors.pop(0)
        if len(factors) == 1 and is_ones(factors[0]):
            return p.number(n), ATOM if n >= 0 else SUM
        front = ("-" if n < 0 else "") + (p.number(abs(n)) + p.dot if abs(n) != 1 else "")
    strength = SUM if front.startswith("-") else PRODUCT
    if len(factors) == 1:
        return front + p(factors[0], PRODUCT), strength
    parts = []
    for f in factors:
        # Neither "V nabla_o L" nor "W diag(u) v" needs brackets.
        bare = (f is factors[-1] and isinstance(f, Value)) or is_diagonal(p, f)
        parts.append(all_ones(p, f) if is_ones(f) else p(f, PRODUCT if bare else POWER))
    return front + p.dot.join(parts), strength


def all_ones(p: Printer, x: Any) -> str:
    """A vector or matrix of ones in a matrix product; in sums and products of elements it is the number."""
    column, row = p.ones, p.transpose(p.ones)
    return column if x.shape[1:] == (1,) else row if x.shape[0] == 1 else f"{column}{p.dot}{row}"


def _hadamard(p: Printer, x: HadamardProduct) -> tuple[str, int]:
    above = [f for f in x.args if not is_inverse(f)]
    below = [inverse(f) for f in x.args if is_inverse(f)]
    if is_diagonal(p, x):
        inner = next(f for f in above if is_linear(f))
        rest = al.times(*[f for f in x.args if f is not inner])
        return f"{p.call('diag', [p(rest)])}{p.dot}{p(inner, POWER)}", PRODUCT
    if below:
        return ratio(p, above, below)
    return (p.dot if is_scalar(x) else p.circle).join(p(f, POWER) for f in above), PRODUCT


def ratio(p: Printer, above: list[Any], below: list[Any]) -> tuple[str, int]:
    """A ratio of products of elements."""

    def side(factors: list[Any]) -> str:
        if len(factors) < 2:
            return p(factors[0], p.inside) if factors else p.number(ONE)
        text = (p.dot if is_scalar(factors[0]) else p.circle).join(p(f, POWER) for f in factors)
        return text if p.inside <= PRODUCT else p.brackets(text)

    return p.ratio(side(above), side(below)), p.fraction


def is_inverse(x: Any) -> bool:
    return isinstance(x, HadamardPower) and bool(x.args[1] < 0)


def inverse(x: Any) -> Any:
    """What a factor divides by."""
    base, exponent = x.args
    return base if exponent == -1 else HadamardPower(base, -exponent)


def is_diagonal(p: Printer, x: Any) -> bool:
    """Whether a product of elements is printed as diag(u) v."""
    if p.notation.products != "diag" or not isinstance(x, HadamardProduct):
        return False
    return x.shape[1:] == (1,) and x.shape[0] != 1 and sum(is_linear(f) for f in x.args if not is_inverse(f)) == 1


def _power(p: Printer, x: HadamardPower) -> tuple[str, int]:
    base, exponent = x.args
    if is_inverse(x):
        return ratio(p, [], [inverse(x)])
    if isinstance(base, Applied) and len(base.operands) == 1 and 1 in x.shape:
        text = p.squared(base.function, p(base.operands[0]), p.number(exponent))
        if text is not None:
            return text, ATOM
    by_element = 1 not in x.shape  # a matrix, whose power is something else
    return p.power(p(base, ATOM), (p.circle.strip() if by_element else "") + p.number(exponent)), POWER


def _scaled(p: Printer, x: Scaled) -> tuple[str, int]:
    scalar, matrix = x.args
    if is_ones(matrix):
        return f"{p(scalar, POWER)}{p.dot}{all_ones(p, matrix)}", PRODUCT
    if is_inverse(scalar):
        return ratio(p, [matrix], [inverse(scalar)])
    return f"{p(scalar, POWER)}{p.dot}{p(matrix, POWER)}", PRODUCT


def _applied(p: Printer, x: Applied) -> tuple[str, int]:
    if x.function in RELATIONS or x.function == "logical_not":
        return p.indicator(relation(p, x)), ATOM
    if x.function == "where":
        condition, one, other = x.operands
        if is_ones(one) and is_zero(other):
            return p.indicator(relation(p, condition)), ATOM
        if is_zero(one) and is_ones(other):
            return p.indicator(relation(p, condition, negated=True)), ATOM
        if is_zero(one) and condition == Applied("less_equal", other, one):
            return p.call("relu", [p(other)]), ATOM
        return p.cases(relation(p, condition), p(one), p(other)), ATOM
    if x.function == "logaddexp" and is_zero(x.operands[1]):
        return p.call("softplus", [p(x.operands[0])]), ATOM
    return p.call(x.function, [p(a) for a in x.operands]), ATOM


RELATIONS = {"less": ("<", ">="), "less_equal": ("<=", ">"), "equal": ("==", "!=")}
TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def relation(p: Printer, x: Any, negated: bool = False) -> str:
    """A comparison, with the number on its right if there is one."""
    if isinstance(x, Applied) and x.function == "logical_not":
        return relation(p, x.operands[0], not negated)
    if isinstance(x, Scaled) and is_ones(x.args[1]):  # one condition for all elements
        return relation(p, x.args[0], negated)
    if not (isinstance(x, Applied) and x.function in RELATIONS):
        return p.call("not", [p(x)]) if negated else p(x)
    sign = RELATIONS[x.function][negated]
    left, right = x.operands
    if not values_in(left):
        left, right, sign = right, left, TURNED[sign]
    return f"{p(left)} {p.signs[sign]} {p(right)}"


def _named(p: Printer, x: Named) -> tuple[str, int]:
    if x.function in ("zeros", "ones"):
        return (p.zero if x.function == "zeros" else p.ones), ATOM
    if x.function in ("concatenate", "stacked") and x.shape[1:] == (1,):
        return p.blocks([[p(a)] for a in x.operands]), ATOM
    if is_slice(x):
        return p.part(p(x.operands[0], ATOM), places(x)), ATOM
    return p.call(called(x), [p(a) for a in x.operands], setting(x)), ATOM


class Bare(Node):
    """Text in the place of a matrix."""

    def __new__(cls, text: str, shape: Any) -> Bare:
        return Basic.__new__(cls, Str(text), *shape)

    @property
    def shape(self) -> Any:
        return self.args[1:]


def _columns(p: Printer, x: Columns) -> tuple[str, int]:
    function, hole, matrix = x.args
    return p(function.xreplace({hole: Bare(p(matrix), hole.shape)})), ATOM


def limits(x: Any) -> list[str]:
    return [str(limit).replace(" ", "") for limit in x.limits]


_RULES: list[tuple[Any, Any]] = [
    (Value, _value),
    (Bare, lambda p, x: (x.args[0].name, ATOM)),
    (MatAdd, _sum),
    (MatMul, _product),
    (HadamardProduct, _hadamard),
    (HadamardPower, _power),
    (Transpose, lambda p, x: (p.transpose(p(x.args[0], ATOM)), POWER)),
    (DiagMatrix, lambda p, x: (p.call("diag", [p(x.args[0])]), ATOM)),
    (Identity, lambda p, x: (p.identity, ATOM)),
    (OneMatrix, lambda p, x: (p.number(ONE), ATOM)),
    (ZeroMatrix, lambda p, x: (p.zero, ATOM)),
    (Scaled, _scaled),
    (Applied, _applied),
    (Named, _named),
    (Columns, _columns),
    (Partial, lambda p, x: (p.partial(p.value(x.value), p.value(x.by)), ATOM)),
    (TimeSum, lambda p, x: (p.total(p(x.term, PRODUCT), *limits(x)), PRODUCT)),
    (OrderedProduct, lambda p, x: (p.chain(p(x.term, ATOM), *limits(x)), PRODUCT)),
]
