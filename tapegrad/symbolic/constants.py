"""Numbers, and matrices whose elements are all the same number."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from sympy import Float, Identity, Integer, OneMatrix, Rational, S, ZeroMatrix

from .expressions import LINEAR, Named, values_in

ONE = S.One
MINUS_ONE = S.NegativeOne


def number(value: Any) -> Any:
    """A literal of the step as an exact number, where it is one."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, (bool, int)):
        return Integer(int(value))
    if value != value or value in (float("inf"), float("-inf")):
        return {True: S.NaN, False: S.Infinity if value > 0 else S.NegativeInfinity}[value != value]
    text = repr(float(value))
    simple = Fraction(text) if len(text) <= 8 else Fraction(value).limit_denominator(1000)
    if float(simple) == value:
        return Rational(simple.numerator, simple.denominator)
    return Float(value, 17)


def is_scalar(x: Any) -> bool:
    return all(n == 1 for n in x.shape)


def zeros(shape: Sequence[int]) -> Any:
    return ZeroMatrix(*shape) if len(shape) == 2 else Named("zeros", (), shape)


def ones(shape: Sequence[int]) -> Any:
    return OneMatrix(*shape) if len(shape) == 2 else Named("ones", (), shape)


def is_zero(x: Any) -> bool:
    return isinstance(x, ZeroMatrix) or (isinstance(x, Named) and x.function == "zeros")


def is_ones(x: Any) -> bool:
    return isinstance(x, OneMatrix) or (isinstance(x, Named) and x.function == "ones")


def identity(n: int) -> Any:
    return Identity(n) if n != 1 else ones((1, 1))


def is_linear(x: Any) -> bool:
    """Whether an expression holds something in which derivatives are linear, such as an adjoint."""
    return any(v.role in LINEAR for v in values_in(x))
