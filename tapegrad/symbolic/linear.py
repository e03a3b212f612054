"""The matrix of a linear map, from an expression that is linear in a vector."""

from __future__ import annotations

from typing import Any

from sympy import Basic, DiagMatrix, HadamardProduct, Identity, MatAdd, MatMul, Transpose

from . import algebra as al
from .constants import is_scalar, zeros
from .expressions import Named, Node, Scaled, Value, replaced, values_in


class Columns(Node):
    """A linear function without matrix notation, applied to each column of a matrix.

    ``function`` is the expression of its result for the vector ``hole``.
    """

    def __new__(cls, function: Any, hole: Value, matrix: Any) -> Columns:
        return Basic.__new__(cls, function, hole, matrix)

    @property
    def shape(self) -> Any:
        return (self.args[0].shape[0], self.args[2].shape[1])


class NotAMatrix(Exception):
    """The map is between arrays of more than one axis."""


def coefficients(expression: Any) -> dict[Value, Any]:
    """The matrix in front of each tangent in an expression that is linear in them.

    Raises
    ------
    NotAMatrix
        Where the expression or a tangent is no vector or number.
    """
    found: dict[Value, Any] = {}
    for tangent in values_in(expression):
        if tangent.role == "tangent":
            if expression.shape[1:] != (1,) or tangent.shape[1:] != (1,):
                raise NotAMatrix
            found[tangent] = matrix_of(expression, tangent)
    return found


def depends(x: Any, tangent: Value) -> bool:
    return tangent in values_in(x)


def matrix_of(x: Any, tangent: Value) -> Any:
    """The matrix A with x = A tangent, for one term of x in ``tangent``; other tangents count as zero."""
    if x == tangent:
        return Identity(tangent.shape[0])
    if isinstance(x, MatAdd):
        return al.collected([matrix_of(t, tangent) for t in x.args if depends(t, tangent)])
    if isinstance(x, MatMul):
        return _of_product(x, tangent)
    if isinstance(x, HadamardProduct):
        (inner,) = [f for f in x.args if depends(f, tangent)]
        others = [f for f in x.args if f is not inner]
        return _left(al.diagonal(al.times(*others)), matrix_of(inner, tangent))
    if isinstance(x, Scaled):
        scalar, matrix = x.args
        if depends(scalar, tangent):
            return al.product(matrix, matrix_of(scalar, tangent))
        return al.times(scalar, matrix_of(matrix, tangent))
    if isinstance(x, Transpose) and x.args[0].shape[0] == 1:
        raise NotAMatrix
    if isinstance(x, Named) and x.shape[1:] == (1,):
        return _of_function(x, tangent)
    raise NotAMatrix


def _of_function(x: Named, tangent: Value) -> Any:
    """A function that is linear in its arguments: the sum over them, all others that have a tangent being zero."""
    moving = list(dict.fromkeys(a for a in x.operands if any(v.role == "tangent" for v in values_in(a))))
    inner = [a for a in moving if depends(a, tangent) and a.shape[0] != 0]
    if any(a.shape[1:] != (1,) for a in inner):
        hole = Value("hole", tangent.shape, None, "hole")
        changes = {v: hole if v == tangent else zeros(v.shape) for v in values_in(x) if v.role == "tangent"}
        return Columns(replaced(x, changes), hole, Identity(tangent.shape[0]))
    terms = [zeros((x.shape[0], tangent.shape[0]))]
    for argument in inner:
        hole = Value("hole", argument.shape, None, "hole")
        function = x.xreplace({a: hole if a is argument else zeros(tuple(a.shape)) for a in moving})
        terms.append(Columns(function, hole, matrix_of(argument, tangent)))
    return al.add(*terms)


def _left(scale: Any, x: Any) -> Any:
    """diag(a) times a matrix; a sum keeps the factor in each of its terms."""
    if isinstance(x, MatAdd):
        return al.add(*[_left(scale, term) for term in x.args])
    return al.times(scale, x) if is_scalar(scale) and not is_scalar(x) else al.product(scale, x)


def _applied_to(inner: Any, vector: Any, tangent: Value) -> Any:
    """The matrix of what a row or a diagonal matrix, in which the tangent stands, gives for a vector."""
    if vector.shape[1] == 1 and inner.shape[0] == 1:  # a row times a column: the same number as the other way round
        return al.product(al.transposed(vector), matrix_of(al.transposed(inner), tangent))
    if vector.shape[1] == 1 and isinstance(inner, DiagMatrix):
        return al.product(al.diagonal(vector), matrix_of(inner.args[0], tangent))
    raise NotAMatrix


def _of_product(x: MatMul, tangent: Value) -> Any:
    numbers = [f for f in x.args if not f.is_Matrix]
    factors = [f for f in x.args if f.is_Matrix]
    (at,) = [i for i, f in enumerate(factors) if depends(f, tangent)]
    before, inner, after = factors[:at], factors[at], factors[at + 1 :]
    if not after:
        made = matrix_of(inner, tangent)
        for factor in reversed(before):
            made = _left(factor, made)
    elif is_scalar(inner):
        made = al.product(*before, *after, matrix_of(inner, tangent))
    else:
        made = _applied_to(inner, al.product(*after), tangent)
        for factor in reversed(before):
            made = _left(factor, made)
    for number in numbers:
        made = al.scaled(number, made)
    return made
