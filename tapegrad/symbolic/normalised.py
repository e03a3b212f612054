"""Vectors divided by a root of their own squares, as normalisation does: their length is bounded whatever they are.

``|v| / sqrt(c v'v + rest) <= 1 / sqrt(c)`` where the rest is not negative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sympy import HadamardPower, HadamardProduct, Integer, MatAdd, MatMul, S, Transpose, sqrt

from .expressions import Applied, Scaled, Value
from .intervals import EVERYTHING, Interval, around

if TYPE_CHECKING:
    from .ranges import Ranges


def is_square(x: Any) -> bool:
    """Whether an expression is v'v, which is never negative."""
    return isinstance(x, MatMul) and len(x.args) == 2 and x.args[0] == Transpose(x.args[1]) and x.shape == (1, 1)


def squares(x: Any, ranges: Ranges, factor: Any = S.One) -> dict[Any, Any] | None:
    """The vectors whose squares stand in a sum without negative terms, each with the number before it.

    Returns
    -------
    dict of vector to SymPy number, or None
        None when a term may be negative.
    """
    if isinstance(x, MatAdd):
        found: dict[Any, Any] = {}
        for term in x.args:
            part = squares(term, ranges, factor)
            if part is None:
                return None
            for vector, number in part.items():
                found[vector] = found.get(vector, S.Zero) + number
        return found
    if is_square(x):
        return {x.args[1]: factor}
    if isinstance(x, MatMul) and len(x.args) == 2 and not x.args[0].is_Matrix and x.args[0].is_positive:
        return squares(x.args[1], ranges, factor * x.args[0])
    if isinstance(x, Value) and x in ranges.equations:
        return squares(ranges.equations[x], ranges, factor)
    return {} if ranges.of(x).low >= 0 else None


class Divisor:
    """A root of a sum with squares in it, of which a power divides: it takes vectors out of a product.

    Attributes
    ----------
    power : SymPy integer
        How many times the root still divides.
    """

    def __init__(self, root: Any, power: Any, found: dict[Any, Any]):
        self.root, self.power, self._squares = root, power, found

    def take(self, x: Any) -> tuple[Any, list[Any]] | None:
        """The bound of one vector of ``x`` over the root, and the other factors of ``x``; None without such a vector.

        ``x`` is a vector, a transpose of one or an elementwise product, and loses one power of the root.
        """
        if self.power < 1:
            return None
        x = x.args[0] if isinstance(x, Transpose) else x
        factors = list(x.args) if isinstance(x, HadamardProduct) else [x]
        for factor in factors:
            if factor in self._squares:
                self.power -= 1
                return 1 / sqrt(self._squares[factor]), [other for other in factors if other is not factor]
        return None

    def rest(self) -> Any:
        """What divides still, as an expression of one element; None where nothing does."""
        return HadamardPower(self.root, -self.power) if self.power else None


def divisor(x: Any, ranges: Ranges) -> Divisor | None:
    """The root that a scalar is a negative power of, when squares of vectors stand in it."""
    if not (isinstance(x, HadamardPower) and isinstance(x.args[1], Integer) and x.args[1] < 0):
        return None
    root, power = x.args[0], -x.args[1]
    if not (isinstance(root, Applied) and root.function == "sqrt"):
        return None
    found = squares(root.operands[0], ranges)
    return Divisor(root, power, found) if found else None


def elements(x: Any, ranges: Ranges) -> Interval:
    """The range of the elements of a normalised vector; everything, for anything else."""
    made = divisor(x.args[0], ranges) if isinstance(x, Scaled) else None
    taken = made.take(x.args[1]) if made is not None else None
    if made is None or taken is None or taken[1] or made.power:
        return EVERYTHING
    return around([-taken[0], taken[0]])
