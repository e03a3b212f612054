"""Ranges of scalar expressions, by calculus: what values they take when each symbol runs over an interval.

Ends are exact rational numbers wherever the mathematics gives them; others are rounded outwards, so that a range is
never too small. Only scalar calculus in one symbol at a time is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from sympy import (
    Add,
    Float,
    Integer,
    Mul,
    Poly,
    PolynomialError,
    Rational,
    S,
    cancel,
    ceiling,
    diff,
    factor,
    floor,
    limit,
    oo,
)

DIGITS = 10**12  # to which ends that are no rational numbers are rounded
HUGE = 10**60  # a numerator or denominator beyond which an end is rounded
FACTORED = 60  # operations in an expression that is factored at most
WRITTEN = 60  # operations in an expression that is looked at as a quotient of polynomials, at most
DEGREE = 10  # of these polynomials, at most
CORNERS = 7  # symbols whose ends are combined at most


class Interval(NamedTuple):
    """All numbers between two ends; whether the ends are taken is not said."""

    low: Any
    high: Any

    @property
    def bounded(self) -> bool:
        return bool(self.low != -oo and self.high != oo)

    @property
    def magnitude(self) -> Any:
        """The largest absolute value."""
        return max(abs(self.low), abs(self.high))

    def within(self, other: Interval) -> Interval:
        """What two ranges of the same number have in common."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Interval(low, high) if low <= high else self


EVERYTHING = Interval(-oo, oo)
UNIT = Interval(S.Zero, S.One)
SYMMETRIC = Interval(S.NegativeOne, S.One)


def hull(intervals: Iterable[Interval]) -> Interval:
    """The smallest interval that holds all of these."""
    found = list(intervals)
    return Interval(min(i.low for i in found), max(i.high for i in found))


def around(values: Iterable[Any]) -> Interval:
    """The smallest interval with these numbers in it."""
    found = list(values)
    return Interval(rounded(min(found), up=False), rounded(max(found), up=True))


def rounded(x: Any, up: bool) -> Any:
    """A number, or one just beyond it that is rational."""
    if x in (oo, -oo) or isinstance(x, Rational):
        return x
    if isinstance(x, Float):
        return Rational(float(x))
    scaled = (x * DIGITS).evalf(40)
    return Rational(int(ceiling(scaled) if up else floor(scaled)), DIGITS)


def tidy(x: Interval) -> Interval:
    """A range whose ends are numbers of a length that one can compute with, a little larger if need be."""
    ends = []
    for end, up in zip(x, (False, True), strict=True):
        if isinstance(end, Rational) and max(abs(end.p), end.q) > HUGE:
            end = (oo if up else -oo) if abs(end) > HUGE else Rational((floor, ceiling)[up](end * DIGITS), DIGITS)
        ends.append(end)
    return Interval(*ends)


def exact(x: Any) -> Any:
    """An expression with its floating numbers as the rational numbers that they are."""
    return x.xreplace({f: Rational(float(f)) for f in x.atoms(Float)})


# ---- arithmetic ----


def sum_of(a: Interval, b: Interval) -> Interval:
    return Interval(a.low + b.low, a.high + b.high)


def product_of(a: Interval, b: Interval) -> Interval:
    # zero times something without bound is zero: the end of a range is approached, not infinity reached
    ends = [S.Zero if x == 0 or y == 0 else x * y for x in a for y in b]
    return Interval(min(ends), max(ends))


def power_of(a: Interval, exponent: Any) -> Interval:
    """Powers with a number as exponent."""
    if exponent < 0:
        if a.low < 0 < a.high or (a.low < 0 and not exponent.is_Integer):
            return EVERYTHING
        inverse = Interval(*[S.Zero if x in (oo, -oo) else oo if x == 0 else 1 / x for x in (a.high, a.low)])
        if a.high <= 0:
            inverse = Interval(-oo if a.high == 0 else inverse.low, inverse.high)
        return power_of(inverse, -exponent)
    if exponent.is_Integer:
        ends = [a.low**exponent, a.high**exponent]
        if exponent % 2 == 0 and a.low < 0 < a.high:
            ends.append(S.Zero)
        return Interval(min(ends), max(ends))
    if a.low < 0:
        return EVERYTHING
    return around([a.low**exponent, a.high**exponent])


# ---- the range of an expression ----


def image(expression: Any, given: Mapping[Any, Interval]) -> Interval:
    """A range that the values of an expression do not leave.

    Parameters
    ----------
    expression : SymPy expression
        Sums, products and powers with numbers as exponents.
    given : dict
        The range of each symbol; the symbols are taken to be independent of each other.

    Returns
    -------
    Interval
        The smallest one for an expression in one symbol, for one that is linear in all bounded symbols but one, and for
        sums and products of such in different symbols.

    Examples
    --------
    >>> from sympy.abc import z, n
    >>> image(z * (1 - z), {z: UNIT})
    Interval(low=0, high=1/4)
    >>> image((1 - z) * n + z / 2, {z: UNIT, n: SYMMETRIC})
    Interval(low=-1, high=1)
    """
    expression = exact(expression)
    several = len(expression.free_symbols) > 1 and expression.count_ops() < FACTORED
    factored = factor(expression) if several else expression
    expression = factored if isinstance(factored, Mul) else expression
    symbols = sorted(expression.free_symbols, key=str)
    return tidy(_image(expression, tuple([(s, given[s]) for s in symbols])))


@lru_cache(maxsize=4096)
def _image(expression: Any, ranges: tuple) -> Interval:
    given = dict(ranges)
    symbols = [s for s, _ in ranges]
    if not symbols:
        return around([expression])
    if expression.is_Symbol:
        return given[expression]
    if len(symbols) == 1 and (found := _extremes(expression, symbols[0], given[symbols[0]])):
        return found
    if isinstance(expression, (Add, Mul)):
        parts = _independent(expression)
        if len(parts) > 1:
            return _combined(expression, [image(part, given) for part in parts])
        corners = _corners(expression, given)
        if corners is not None:
            return corners
        return _combined(expression, [image(part, given) for part in expression.args])
    if expression.is_Pow and expression.exp.is_number:
        return power_of(image(expression.base, given), expression.exp)
    return EVERYTHING


def _combined(expression: Any, parts: list[Interval]) -> Interval:
    made = parts[0]
    for part in parts[1:]:
        made = sum_of(made, part) if isinstance(expression, Add) else product_of(made, part)
    return made


def _independent(expression: Any) -> list[Any]:
    """The terms or factors, those that share symbols taken together."""
    groups: list[tuple[set, list]] = []
    for part in expression.args:
        symbols, members = set(part.free_symbols), [part]
        for group in [g for g in groups if g[0] & symbols]:
            symbols |= group[0]
            members = group[1] + members
            groups.remove(group)
        groups.append((symbols, members))
    return [expression.func(*members) for _, members in groups]


def _corners(expression: Any, given: Mapping[Any, Interval]) -> Interval | None:
    """By the ends of a symbol in which the expression is linear: there it is largest and smallest."""
    if len(given) > CORNERS:
        return None
    for symbol in sorted(expression.free_symbols, key=str):
        if given[symbol].bounded and _is_linear(expression, symbol):
            return hull([image(expression.subs(symbol, end), given) for end in given[symbol]])
    return None


def _is_linear(expression: Any, symbol: Any) -> bool:
    if _is_long(expression) or not expression.is_polynomial(symbol):
        return False
    return bool(Poly(expression, symbol).degree() == 1)


def _is_long(expression: Any) -> bool:
    """Whether to multiply an expression out, and to look for roots, would take long."""
    return bool(expression.count_ops() > WRITTEN or _degree(expression) > DEGREE)


def _degree(x: Any) -> Any:
    """A bound of the degree of a polynomial; of a quotient, of numerator and denominator together."""
    if x.is_Pow and x.exp.is_number:
        return abs(x.exp) * _degree(x.base)
    if not x.is_Add and not x.is_Mul:
        return int(x.is_Symbol)
    parts = [_degree(part) for part in x.args]
    return max(parts) if x.is_Add else sum(parts)


def _extremes(expression: Any, x: Any, over: Interval) -> Interval | None:
    """The range of a rational function of one symbol: its values at the ends and where its derivative is zero."""
    if _is_long(expression) or not expression.is_rational_function(x):
        return None
    try:
        above, below = cancel(expression).as_numer_denom()
        if any(_inside(root, over) for root in _roots(below, x)):
            return None  # a pole
        slope = cancel(diff(above / below, x)).as_numer_denom()[0]
        stationary = [root for root in _roots(slope, x) if _inside(root, over)]
    except (PolynomialError, NotImplementedError):
        return None
    function = above / below
    ends = [limit(function, x, end) if end in (oo, -oo) else function.subs(x, end) for end in over]
    return around([*ends, *[function.subs(x, root) for root in stationary]])


def _roots(expression: Any, x: Any) -> list[Any]:
    polynomial = Poly(expression, x)
    return [] if polynomial.degree() < 1 else list(dict.fromkeys(polynomial.real_roots()))


def _inside(root: Any, over: Interval) -> bool:
    return bool(over.low <= root) and bool(root <= over.high)


def scaled_interval(factor: int, interval: Interval) -> Interval:
    """The range of a sum of that many numbers of a range."""
    return product_of(Interval(Integer(factor), Integer(factor)), interval)


# ---- bounds ----


def multiplied(factors: list[Any]) -> Any:
    """The product of bounds; nothing, where one of them is zero."""
    return S.Zero if S.Zero in factors else Mul(*factors)


def short(bound: Any, limit: int) -> bool:
    """Whether a bound has at most so many operations."""
    todo, seen = [bound], 0
    while todo and seen <= limit:
        node = todo.pop()
        seen += bool(node.args)
        todo.extend(node.args)
    return seen <= limit
