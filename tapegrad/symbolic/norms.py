"""Bounds of the largest singular value of matrix expressions, term by term."""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import (
    Abs,
    Add,
    DiagMatrix,
    HadamardProduct,
    Identity,
    Integer,
    MatAdd,
    MatMul,
    OneMatrix,
    Rational,
    S,
    Transpose,
    ZeroMatrix,
    oo,
    sqrt,
)  # fmt: skip

from . import algebra as al
from .constants import is_scalar, ones, zeros
from .evaluation import evaluate
from .expressions import Named, Scaled, Value, replaced, values_in
from .intervals import multiplied
from .jacobians import Partial
from .linear import Columns
from .normalised import Divisor, divisor
from .ranges import PROBABILITIES, Ranges


class Norms:
    """Bounds of spectral norms: ``|diag(u) W| <= max|u| sigma(W)``, sums by the triangle inequality.

    No factor is left out: one that has no bound makes the bound infinite and is listed in ``ranges.unbounded``.

    Attributes
    ----------
    partials : dict of SymPy symbol to expression
        The bound of each Jacobian that stands in another one.
    """

    def __init__(self, ranges: Ranges, parts: dict[Partial, Any]):
        self.ranges, self.parts = ranges, parts
        self.partials: dict[Any, Any] = {}
        self._known: dict[Partial, Any] = {}

    def terms(self, x: Any) -> list[tuple[Any, Any]]:
        """The terms of a matrix, each with its bound; what is diagonal counts as one."""
        found = list(x.args) if isinstance(x, MatAdd) else [x]
        diagonal = [term for term in found if is_diagonal(term)]
        if len(diagonal) > 1:
            where = found.index(diagonal[0])
            found = [term for term in found if term not in diagonal]
            found.insert(where, al.add(*diagonal))
        return [(term, self.of(term)) for term in found]

    def of(self, x: Any) -> Any:
        """A bound of the largest singular value; of a vector, of its Euclidean length."""
        if isinstance(x, Partial):
            return self._partial(x)
        if is_diagonal(x):
            return self.ranges.magnitude(vector_of(x))
        if isinstance(x, ZeroMatrix):
            return S.Zero
        if isinstance(x, OneMatrix):
            return sqrt(Integer(int(x.shape[0]) * int(x.shape[1])))
        if isinstance(x, MatAdd):
            return Add(*[bound for _, bound in self.terms(x)])
        if isinstance(x, MatMul):
            return multiplied([self.of(f) if f.is_Matrix else Abs(f) for f in x.args])
        if isinstance(x, Transpose):
            return self.of(x.args[0])
        if isinstance(x, Columns):
            return multiplied([self._columns(x), self.of(x.args[2])])
        return self._elements(x)

    def _elements(self, x: Any) -> Any:
        """Of what is known by its elements alone."""
        if isinstance(x, Value) and x.role in ("parameter", "input"):
            return self.ranges.norm("sigma", x)
        if isinstance(x, Named) and x.function in PROBABILITIES and x.shape[1] == 1:
            return S.One  # numbers from 0 to 1 that add up to 1
        if isinstance(x, Scaled) and (made := divisor(x.args[0], self.ranges)) is not None:
            return self._divided(x, made)
        known = self.ranges.of(x)
        if known.bounded and not isinstance(self.ranges.equations.get(x), Scaled):
            return sqrt(Integer(int(x.shape[0]) * int(x.shape[1]))) * known.magnitude
        if isinstance(x, Value):
            equation = self.ranges.equations.get(x)
            return self.of(equation) if equation is not None else self.ranges.norm("sigma", x)
        if isinstance(x, Scaled):
            return multiplied([self.ranges.magnitude(x.args[0]), self.of(x.args[1])])
        if isinstance(x, HadamardProduct) and 1 in x.shape:
            return self._vector_product(x)
        if isinstance(x, HadamardProduct):  # of which a Kronecker product is the larger matrix
            return multiplied([self.of(factor) for factor in x.args])
        return sqrt(Integer(int(x.shape[0]) * int(x.shape[1]))) * self.ranges.magnitude(x)

    def _divided(self, x: Scaled, root: Divisor) -> Any:
        """Vectors over a root of their own squares are bounded together with it, the other factors by themselves."""
        bounds = []
        for factor in x.args[1].args if isinstance(x.args[1], MatMul) else [x.args[1]]:
            taken = root.take(factor) if 1 in factor.shape else None
            if taken is None:
                bounds.append(self.of(factor) if factor.is_Matrix else Abs(factor))
            else:
                bounds += [taken[0], *([self.ranges.magnitude(al.times(*taken[1]))] if taken[1] else [])]
        left = root.rest()
        return multiplied([*bounds, *([] if left is None else [self.ranges.magnitude(left)])])

    def _vector_product(self, x: HadamardProduct) -> Any:
        """The length of a vector, by the largest elements of all its factors but one."""
        wild = [factor for factor in x.args if not self.ranges.of(factor).bounded]
        if not wild:
            return sqrt(Integer(int(x.shape[0]) * int(x.shape[1]))) * self.ranges.magnitude(x)
        others = [factor for factor in x.args if factor is not wild[-1]]
        return multiplied([self.ranges.magnitude(al.times(*others)), self.of(wild[-1])])

    def _partial(self, x: Partial) -> Any:
        """The bound of another Jacobian: a number, or a symbol with its bound in ``partials``."""
        if x not in self.parts:
            return self.ranges.infinite(x)
        if x not in self._known:
            self._known[x] = self.of(self.parts[x])
        made = self._known[x]
        if made.is_number:
            return made
        symbol = self.ranges.norm("of", x)
        self.partials[symbol] = self.ranges.definitions[symbol] = made
        return symbol

    def _columns(self, x: Columns) -> Any:
        """A linear function without matrix notation: the matrix is found if nothing else stands in it."""
        function, hole, _ = x.args
        # the other tangents count as zero
        others = {v: zeros(tuple(v.shape)) for v in values_in(function) if v.role == "tangent" and v != hole}
        function = replaced(function, others)
        if values_in(function) != [hole]:
            return self.ranges.infinite(function)
        table = np.eye(int(hole.shape[0]))
        made = [evaluate(function, {hole: column[:, None]}.__getitem__)[:, 0] for column in table]
        return root_above(float(np.linalg.norm(np.stack(made, axis=1), 2)))


def is_diagonal(x: Any) -> bool:
    """Whether a matrix is seen to be diagonal."""
    if is_scalar(x):
        return not x.atoms(Partial, Columns)
    if isinstance(x, MatMul):
        return len(x.args) == 2 and not x.args[0].is_Matrix and is_diagonal(x.args[1])
    if isinstance(x, MatAdd):
        return all(is_diagonal(term) for term in x.args)
    if isinstance(x, Scaled):
        return is_diagonal(x.args[1])
    return isinstance(x, (DiagMatrix, Identity))


def vector_of(x: Any) -> Any:
    """The diagonal of a diagonal matrix."""
    if is_scalar(x):
        return x
    if isinstance(x, MatAdd):
        return al.add(*[vector_of(term) for term in x.args])
    if isinstance(x, MatMul):
        return al.scaled(x.args[0], vector_of(x.args[1]))
    if isinstance(x, Scaled):
        return al.times(x.args[0], vector_of(x.args[1]))
    return x.args[0] if isinstance(x, DiagMatrix) else ones((int(x.shape[0]), 1))


def root_above(found: float) -> Any:
    """A norm that was computed in floating point: as the root of a simple number, or rounded up."""
    nearest = Rational(found**2).limit_denominator(1000)
    return sqrt(nearest) if abs(found**2 - nearest) < 1e-12 else Rational(found * (1 + 1e-12))


def finite(bound: Any) -> bool:
    """Whether a bound is a number or an expression, and not infinite."""
    return not bound.has(oo)
