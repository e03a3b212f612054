"""Ranges of the values of a step, over all inputs and parameters: what the equations alone say of them.

A gate is between 0 and 1 whatever the weights are; a state may stay within what it started from. Where there is no such
range, the largest absolute value is bounded by an expression in norms of states, inputs and parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from sympy import (
    Abs,
    DiagMatrix,
    Dummy,
    HadamardPower,
    HadamardProduct,
    Identity,
    Integer,
    MatAdd,
    MatMul,
    Max,
    Mul,
    Poly,
    Rational,
    S,
    Symbol,
    Transpose,
    log,
    oo,
)  # fmt: skip

from .constants import is_ones, is_scalar, is_zero
from .expressions import Applied, Named, Scaled, Value
from .function_ranges import MAGNITUDES, range_of
from .intervals import EVERYTHING, HUGE, UNIT, Interval, hull, image, multiplied, power_of, scaled_interval, short
from .normalised import elements, is_square

MOVES = frozenset("getitem concatenate reshape transpose broadcast broadcast_to flip max min element".split())
SIGNS = {"sigma": "sigma({})", "elements": "max|{}|", "rows": "rows|{}|", "columns": "columns|{}|", "of": "|{}|"}
SHORT = 12  # operations in a bound up to which it is written out wherever it stands
PROBABILITIES = ("softmax", "one_hot")


class Norm(NamedTuple):
    """What a symbol in a bound stands for.

    Attributes
    ----------
    kind : {"sigma", "elements", "rows", "columns", "of"}
        The largest singular value of a matrix, which for a vector is its Euclidean length; the largest absolute value
        of an element; the largest sum of absolute values in a row, or in a column; the bound of a Jacobian.
    of : Value or Partial
    """

    kind: str
    of: Any


class Ranges:
    """Ranges and bounds of matrix expressions, element by element.

    Parameters
    ----------
    equations : dict of Value to expression
        What the values at t are.
    given : dict of Value to Interval
        Ranges that are known.
    constants : dict of Value to array

    Attributes
    ----------
    norms : dict of SymPy symbol to Norm
        The symbols that stand in bounds.
    definitions : dict of SymPy symbol to expression
        The bounds of those of the symbols that stand for longer expressions.
    unbounded : list of expression
        What there is no bound for, in the order in which it was met.
    """

    def __init__(
        self, equations: Mapping[Value, Any], given: Mapping[Value, Interval] | None = None,
        constants: Mapping[Value, Any] | None = None,
    ):  # fmt: skip
        self.equations, self.constants = dict(equations), dict(constants or {})
        self.given = dict(given or {})
        self.norms: dict[Any, Norm] = {}
        self.definitions: dict[Any, Any] = {}
        self.unbounded: list[Any] = []
        self._symbols: dict[Any, Any] = {}
        self._known: dict[Any, Interval] = {}
        self._bounds: dict[Any, Any] = {}

    # ---- ranges ----
    # ---- ranges ----
    def of(self, x: Any) -> Interval:
        """The range of the elements of an expression."""
        if x not in self._known:
            made = self.scalar(x)
            atoms = self._atoms(made)
            found = image(made, {symbol: self._of_atom(atom) for symbol, atom in atoms.items()})
            self._known[x] = found.within(elements(x, self))
        return self._known[x]

    def scalar(self, x: Any) -> Any:
        """An element of a matrix as a scalar expression, in symbols for the elements of what it is made of."""
        if is_ones(x) or (isinstance(x, Identity) and is_scalar(x)):
            return S.One
        if is_zero(x):
            return S.Zero
        if isinstance(x, MatAdd):
            return sum([self.scalar(term) for term in x.args], S.Zero)
        if isinstance(x, (HadamardProduct, Scaled)):
            return Mul(*[self.scalar(factor) for factor in x.args])
        if isinstance(x, HadamardPower):
            return self.scalar(x.args[0]) ** x.args[1]
        if isinstance(x, Transpose):
            return self._turned(self.scalar(x.args[0]))
        if isinstance(x, MatMul):
            numbers = [factor for factor in x.args if not factor.is_Matrix]
            factors = [factor for factor in x.args if factor.is_Matrix]
            if all(factor.shape[1] == 1 for factor in factors[:-1]):  # no sums
                return Mul(*numbers, *[self.scalar(factor) for factor in factors])
            return Mul(*numbers, self._symbol(MatMul(*factors)))
        return self._symbol(x)

    def _turned(self, made: Any) -> Any:
        """An element of a transpose: that of another row, so not the same number as the element in its place."""
        turned = {s: x.args[0] if isinstance(x, Transpose) else Transpose(x) for s, x in self._atoms(made).items()}
        return made.xreplace({s: self._symbol(x) for s, x in turned.items() if not is_scalar(x)})

    def _symbol(self, x: Any) -> Any:
        if x not in self._symbols:
            self._symbols[x] = Dummy(f"e{len(self._symbols)}", real=True)
        return self._symbols[x]

    def _atoms(self, made: Any) -> dict[Any, Any]:
        """The symbols of a scalar expression, with what they stand for."""
        return {symbol: x for x, symbol in self._symbols.items() if symbol in made.free_symbols}

    def _of_atom(self, x: Any) -> Interval:
        if isinstance(x, Value):
            return self._of_value(x)
        if isinstance(x, Applied):
            return self._of_function(x)
        if isinstance(x, Named):
            return self._of_named(x)
        if isinstance(x, Transpose):
            return self._of_atom(x.args[0])
        if isinstance(x, MatMul) and len(x.args) == 2:
            left, right = (self.of(factor) for factor in x.args)
            if is_square(x):
                return scaled_interval(int(x.args[1].shape[0]), power_of(right, Integer(2)))
            if left.bounded and right.bounded:
                a, b = Dummy(), Dummy()
                return scaled_interval(int(x.args[0].shape[1]), image(a * b, {a: left, b: right}))
        return EVERYTHING

    def _of_value(self, x: Value) -> Interval:
        if x in self.given:
            return self.given[x]
        if x in self.constants and np.size(self.constants[x]):
            array = np.asarray(self.constants[x], np.float64)
            return Interval(Rational(float(array.min())), Rational(float(array.max())))
        return self.of(self.equations[x]) if x in self.equations else EVERYTHING

    def _of_function(self, x: Applied) -> Interval:
        arguments = [self.of(argument) for argument in x.operands]
        if x.function == "where":
            arguments[1:] = [
                range_.within(limits) for range_, limits in zip(arguments[1:], self._conditions(x), strict=True)
            ]
        return range_of(x.function, arguments)

    def _conditions(self, x: Applied) -> list[Interval]:
        """What the condition of a choice says of its branches, when they are what it compares with a number."""
        condition, *branches = x.operands
        if not (isinstance(condition, Applied) and condition.function in ("less", "less_equal")):
            return [EVERYTHING, EVERYTHING]
        small, large = condition.operands
        below, above = self.of(large).high, self.of(small).low
        # true: small < large; false: small >= large
        true = {small: Interval(-oo, below), large: Interval(above, oo)}
        false = {small: Interval(self.of(large).low, oo), large: Interval(-oo, self.of(small).high)}
        return [side.get(branch, EVERYTHING) for side, branch in zip((true, false), branches, strict=True)]

    def _of_named(self, x: Named) -> Interval:
        if x.function in PROBABILITIES:
            return UNIT
        if x.function in MOVES:
            return hull([self.of(operand) for operand in self._moved(x)])
        if x.function == "scatter" and len(x.operands) == 1:  # into zeros
            return hull([self.of(x.operands[0]), Interval(S.Zero, S.Zero)])
        return EVERYTHING

    def _moved(self, x: Named) -> list[Any]:
        return list(x.operands[:1] if x.function == "element" else x.operands)

    # ---- bounds ----
    def magnitude(self, x: Any) -> Any:
        """A bound of the absolute values of all elements: a number, or an expression in norms, or infinity."""
        if x not in self._bounds:
            self._bounds[x] = self._magnitude(x)
        return self._bounds[x]

    def _magnitude(self, x: Any) -> Any:
        found = self.of(x)
        if found.bounded:
            return found.magnitude
        made = self.scalar(x)
        atoms = self._atoms(made)
        ranges = {symbol: self._of_atom(atom) for symbol, atom in atoms.items()}
        size = self._size(made, atoms, ranges)
        return self.infinite(x) if size.is_number and size > HUGE else size

    def _size(self, made: Any, atoms: dict[Any, Any], ranges: dict[Any, Interval]) -> Any:
        """A bound of a scalar expression; of a polynomial in what has no range, by the ranges of its coefficients."""
        whole = image(made, ranges)
        if whole.bounded:
            return whole.magnitude
        if made.is_Symbol:
            return self._of_unbounded(atoms[made])
        wild = [symbol for symbol in atoms if symbol in made.free_symbols and not ranges[symbol].bounded]
        if wild and made.is_polynomial(*wild):
            total = S.Zero
            for exponents, coefficient in Poly(made, *wild).terms():
                sizes = [self._size(s, atoms, ranges) ** n for s, n in zip(wild, exponents, strict=True) if n]
                total += multiplied([self._size(coefficient, atoms, ranges), *sizes])
            return total
        if made.is_Mul or made.is_Add:
            parts = [self._size(part, atoms, ranges) for part in made.args]
            return multiplied(parts) if made.is_Mul else sum(parts, S.Zero)
        return oo

    def _of_unbounded(self, x: Any) -> Any:
        if isinstance(x, Value):
            return self._value_magnitude(x)
        if isinstance(x, Applied):
            return self._function_magnitude(x)
        if isinstance(x, Named) and (x.function in MOVES or (x.function == "scatter" and len(x.operands) == 1)):
            return Max(*[self.magnitude(operand) for operand in self._moved(x)])
        if isinstance(x, MatMul):
            return multiplied([*[self.rows(factor) for factor in x.args[:-1]], self.magnitude(x.args[-1])])
        return self.infinite(x)

    def _value_magnitude(self, x: Value) -> Any:
        """From its equation: written out if it is short, else a symbol with a definition."""
        if x not in self.equations:
            return self.norm("elements", x)
        made = self.magnitude(self.equations[x])
        if made == oo or short(made, SHORT):
            return made
        symbol = self.norm("elements", x)
        self.definitions[symbol] = made
        return symbol

    def _function_magnitude(self, x: Applied) -> Any:
        if x.function in MAGNITUDES:
            return MAGNITUDES[x.function](self.magnitude(x.operands[0]))
        if x.function in ("maximum", "minimum", "where", "logaddexp"):
            largest = Max(*[self.magnitude(a) for a in x.operands[x.function == "where" :]])
            return largest + log(2) if x.function == "logaddexp" else largest
        return self.infinite(x)

    def rows(self, x: Any) -> Any:
        """A bound of the sum of absolute values in a row."""
        if isinstance(x, Value) and x.role == "parameter" and not is_scalar(x):
            return self.norm("rows", x)
        if isinstance(x, Transpose) and isinstance(x.args[0], Value) and x.args[0].role == "parameter":
            return self.norm("columns", x.args[0])
        if isinstance(x, MatAdd):
            return sum([self.rows(term) for term in x.args], S.Zero)
        if isinstance(x, MatMul):
            return multiplied([self.rows(factor) if factor.is_Matrix else Abs(factor) for factor in x.args])
        if isinstance(x, Identity):
            return S.One
        if isinstance(x, DiagMatrix):
            return self.magnitude(x.args[0])
        return multiplied([Integer(int(x.shape[1])), self.magnitude(x)])

    def norm(self, kind: str, of: Any) -> Any:
        """The symbol of a norm."""
        symbol = Symbol(SIGNS[kind].format(str(of).replace(" ", "")), nonnegative=True)
        self.norms[symbol] = Norm(kind, of)
        return symbol

    def infinite(self, x: Any) -> Any:
        """No bound: x is the reason."""
        if x not in self.unbounded:
            self.unbounded.append(x)
        return oo
