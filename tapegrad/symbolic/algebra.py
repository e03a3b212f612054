"""Sums and products of matrix expressions, brought to the form in which a book would print them.

SymPy's own constructors are called without evaluation; what is simplified is written here: numbers and scalars stand in
front, equal terms and factors are collected, a cotangent that all terms share is taken out, and the softmax and its
logarithm are recognised in the exponentials that compute them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sympy import (
    DiagMatrix,
    HadamardPower,
    HadamardProduct,
    Identity,
    MatAdd,
    MatMul,
    Mul,
    OneMatrix,
    S,
    Transpose,
    ZeroMatrix,
)

from .conditions import stricter
from .constants import is_ones, is_scalar, is_zero, number, ones, zeros
from .expressions import LINEAR, Scaled, Value

Shape = tuple[int, ...]


# ---- products of elements ----


class Product:
    """A number, scalars and matrices of one shape, each with an exponent, multiplied element by element."""

    def __init__(self, shape: Shape, coefficient: Any = S.One):
        self.shape, self.coefficient = shape, coefficient
        self.scalars: dict[Any, Any] = {}
        self.factors: dict[Any, Any] = {}

    @classmethod
    def of(cls, x: Any) -> Product:
        made = cls(tuple(x.shape))
        made.take(x, S.One)
        return made

    def take(self, x: Any, exponent: Any) -> None:
        from .softmax import uniform

        if isinstance(x, MatMul) and not x.args[0].is_Matrix:
            self.coefficient *= x.args[0] ** exponent
            rest = x.args[1:]
            self.take(rest[0] if len(rest) == 1 else MatMul(*rest), exponent)
        elif isinstance(x, Scaled):
            self.take(x.args[0], exponent)
            self.take(x.args[1], exponent)
        elif isinstance(x, HadamardProduct):
            for factor in x.args:
                self.take(factor, exponent)
        elif isinstance(x, HadamardPower):
            self.take(x.args[0], exponent * x.args[1])
        elif (number := uniform(x)) is not None:
            self.take(number, exponent)
        elif not is_ones(x):
            x = stricter(self, x) if exponent == 1 else x
            part = self.scalars if is_scalar(x) else self.factors
            part[x] = part.get(x, S.Zero) + exponent
            if part[x] == 0:
                del part[x]

    def build(self) -> Any:
        from .softmax import recognise

        recognise(self)
        if self.coefficient == 0:
            return zeros(self.shape)
        body = (_outer(self.factors) or hadamard(self.factors)) if self.factors else ones(self.shape)
        if self.scalars:
            scalar = hadamard(self.scalars)
            body = scalar if is_scalar(body) and is_ones(body) else Scaled(scalar, body)
        return body if self.coefficient == 1 else MatMul(self.coefficient, body)


def _outer(factors: dict[Any, Any]) -> Any:
    """A product of elements with (u 1^T) or (1 v^T) among its factors, as u v^T or diag(u) M diag(v)."""
    rows, columns, others = [], [], {}
    for x, exponent in factors.items():
        parts: Any = x.args if isinstance(x, MatMul) and 1 not in x.shape and exponent == 1 else (None,)
        if is_ones(parts[-1]) and parts[-1].shape[0] == 1:
            rows.append(product(*parts[:-1]))
        elif is_ones(parts[0]) and parts[0].shape[1] == 1:
            columns.append(transposed(product(*parts[1:])))
        else:
            others[x] = exponent
    if others and (rows or columns):
        left = [diagonal(times(*rows))] if rows else []
        right = [diagonal(times(*columns))] if columns else []
        return product(*left, hadamard(others), *right)
    return product(times(*rows), transposed(times(*columns))) if rows and columns else None


def hadamard(factors: dict[Any, Any]) -> Any:
    """The product, element by element, of factors with their exponents."""
    parts = [x if e == 1 else HadamardPower(x, e) for x, e in factors.items()]
    return parts[0] if len(parts) == 1 else HadamardProduct(*parts)


def constant(value: Any, shape: Sequence[int]) -> Any:
    """A matrix whose elements are all the same number."""
    return scaled(number(value), ones(shape))


def times(*args: Any) -> Any:
    """The product, element by element, of matrices of one shape, and of scalars."""
    shape = next((tuple(x.shape) for x in args if not is_scalar(x)), tuple(args[0].shape))
    if any(is_zero(x) for x in args):
        return zeros(shape)
    made = Product(shape)
    for x in args:
        made.take(x, S.One)
    return made.build()


def divided(x: Any, y: Any) -> Any:
    """x / y, element by element."""
    shape = tuple(y.shape) if is_scalar(x) else tuple(x.shape)
    if is_zero(x):
        return zeros(shape)
    made = Product(shape)
    made.take(x, S.One)
    made.take(y, -S.One)
    return made.build()


def raised(x: Any, exponent: Any) -> Any:
    """x to the power of a number, element by element."""
    made = Product(tuple(x.shape))
    made.take(x, exponent)
    return made.build()


def scaled(factor: Any, x: Any) -> Any:
    """A matrix times a number."""
    if is_zero(x) or factor == 1:
        return x
    if isinstance(x, MatAdd):
        return add(*[scaled(factor, term) for term in x.args])
    made = Product.of(x)
    made.coefficient *= factor
    return made.build()


# ---- sums ----


def add(*terms: Any) -> Any:
    """The sum of matrices of one shape."""
    shape = tuple(terms[0].shape)
    collected: dict[Any, Any] = {}
    todo = list(reversed(terms))
    while todo:
        term = todo.pop()
        if isinstance(term, MatAdd):
            todo.extend(reversed(term.args))
        elif isinstance(term, MatMul) and not term.args[0].is_Matrix:
            rest = term.args[1] if len(term.args) == 2 else MatMul(*term.args[1:])
            if isinstance(rest, MatAdd):
                todo.extend([scaled(term.args[0], part) for part in reversed(rest.args)])
            else:
                collected[rest] = collected.get(rest, S.Zero) + term.args[0]
        elif not is_zero(term):
            collected[term] = collected.get(term, S.Zero) + 1
    parts = [x if n == 1 else MatMul(n, x) for x, n in collected.items() if n != 0]
    if not parts:
        return zeros(shape)
    if len(parts) == 1:
        return parts[0]
    from .softmax import log_softmax

    return log_softmax(parts) or _factored(parts) or MatAdd(*parts)


def terms(x: Any) -> list[Any]:
    """The terms of a sum, or the one that it is."""
    return list(x.args) if isinstance(x, MatAdd) else [x]


def _factored(terms: list[Any]) -> Any:
    """The sum with what all terms share taken out, if it holds a cotangent, or a scalar that all are divided by."""
    products = [Product.of(term) for term in terms]
    first = products[0]
    factors = {x: e for x, e in first.factors.items() if all(p.factors.get(x) == e for p in products)}
    scalars = {x: e for x, e in first.scalars.items() if all(p.scalars.get(x) == e for p in products)}
    if not any(isinstance(x, Value) and x.role in LINEAR for x in factors) and -1 not in scalars.values():
        return None
    made = Product(first.shape)
    for x, exponent in [*factors.items(), *scalars.items()]:
        made.take(x, exponent)
    for p in products:
        p.factors = {x: e for x, e in p.factors.items() if x not in factors}
        p.scalars = {x: e for x, e in p.scalars.items() if x not in scalars}
    made.take(add(*[p.build() for p in products]), S.One)
    return made.build()


# ---- matrix products ----


def product(*factors: Any) -> Any:
    """The matrix product."""
    shape = (factors[0].shape[0], factors[-1].shape[1])
    if any(is_zero(x) for x in factors):
        return zeros(shape)
    outside = Product((1, 1))
    inside: list[Any] = []
    for x in factors:
        _flatten(x, outside, inside)
    body = _multiplied(inside, shape)
    made = Product(shape, outside.coefficient)
    made.scalars = outside.scalars
    made.take(body, S.One)
    return made.build()


def _flatten(x: Any, outside: Product, inside: list[Any]) -> None:
    if isinstance(x, MatMul):
        for factor in x.args:
            if factor.is_Matrix:
                _flatten(factor, outside, inside)
            else:
                outside.coefficient *= factor
    elif isinstance(x, Scaled):
        outside.take(x.args[0], S.One)
        _flatten(x.args[1], outside, inside)
    else:
        inside.append(x)


def _multiplied(factors: list[Any], shape: Shape) -> Any:
    kept: list[Any] = []
    for x in factors:
        if isinstance(x, Identity):
            continue
        if kept and isinstance(x, DiagMatrix) and isinstance(kept[-1], DiagMatrix):
            kept[-1] = diagonal(times(kept[-1].args[0], x.args[0]))
        elif kept and isinstance(x, DiagMatrix) and is_ones(kept[-1]) and kept[-1].shape[0] == 1:
            kept[-1] = transposed(x.args[0])
        elif kept and isinstance(kept[-1], DiagMatrix) and x.shape[1] == 1 and x.shape[0] != 1:
            kept[-1] = times(kept[-1].args[0], x)
        else:
            kept.append(x)
    if not kept:
        return Identity(shape[0])
    return kept[0] if len(kept) == 1 else MatMul(*kept)


def diagonal(x: Any) -> Any:
    """diag(x) for a vector x; a number for one of length 1."""
    if is_scalar(x):
        return x
    made = Product.of(x)
    coefficient, made.coefficient = made.coefficient, S.One
    scalars, made.scalars = made.scalars, {}
    body = made.build()
    matrix = Identity(x.shape[0]) if is_ones(body) else DiagMatrix(body)
    outer = Product(tuple(matrix.shape), coefficient)
    outer.scalars = scalars
    outer.factors = {matrix: S.One}
    return outer.build()


def collected(terms: Sequence[Any]) -> Any:
    """The sum of matrices, with diag(a) W + diag(b) W as diag(a + b) W."""
    groups: dict[Any, list[Any]] = {}
    todo = list(reversed(terms))
    while todo:
        term = todo.pop()
        if isinstance(term, MatAdd):
            todo.extend(reversed(term.args))
            continue
        outside = Product((1, 1))
        matrices: list[Any] = []
        _flatten(term, outside, matrices)
        sign = outside.coefficient
        if outside.scalars or not matrices:
            groups.setdefault(term, []).append(None)
            continue
        if isinstance(matrices[0], DiagMatrix):
            groups.setdefault(tuple(matrices[1:]), []).append(scaled(sign, matrices[0].args[0]))
        else:
            groups.setdefault(term, []).append(None)
    parts = []
    for tail, scales in groups.items():
        if scales[0] is None:
            parts.extend([tail] * len(scales))
        else:
            parts.append(product(diagonal(common(scales)), *tail))
    return add(*parts)


def common(terms: Sequence[Any]) -> Any:
    """The sum of vectors with the factors taken out that stand in all of them."""
    if len(terms) < 2:
        return add(*terms)
    products = [Product.of(term) for term in terms]
    shared = {x: e for x, e in products[0].factors.items() if all(p.factors.get(x) == e for p in products)}
    for product_ in products:
        for x in shared:
            del product_.factors[x]
    made = Product(products[0].shape)
    made.take(add(*[p.build() for p in products]), S.One)
    for x, exponent in shared.items():
        made.take(x, exponent)
    return made.build()


def transposed(x: Any) -> Any:
    """The transpose, with that of a product or a sum taken apart."""
    if is_scalar(x) or isinstance(x, (DiagMatrix, Identity)):
        return x
    if isinstance(x, Transpose):
        return x.args[0]
    if isinstance(x, (ZeroMatrix, OneMatrix)):
        return type(x)(x.shape[1], x.shape[0])
    if isinstance(x, MatMul):
        numbers = [factor for factor in x.args if not factor.is_Matrix]
        matrices = [transposed(factor) for factor in x.args if factor.is_Matrix]
        body = product(*reversed(matrices))
        return scaled(Mul(*numbers), body) if numbers else body
    if isinstance(x, MatAdd) and 1 not in x.shape:
        return add(*[transposed(term) for term in x.args])
    if isinstance(x, Scaled):
        return times(x.args[0], transposed(x.args[1]))
    if isinstance(x, HadamardProduct) and 1 not in x.shape:
        return times(*[transposed(factor) for factor in x.args])
    return Transpose(x)
