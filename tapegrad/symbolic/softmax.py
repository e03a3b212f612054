"""Sums over the elements of a vector, and what is made of exponentials: the softmax and the logarithm of its sum."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sympy import DiagMatrix, Integer, MatAdd, MatMul, S, Transpose

from .algebra import Product, add, hadamard, product, scaled, transposed
from .constants import is_ones, is_scalar, is_zero, ones, zeros
from .expressions import Applied, Named


def total_of(x: Any) -> Any:
    """The sum of all elements of a vector, a 1 x 1 matrix."""
    if is_scalar(x) or is_zero(x):
        return x if is_scalar(x) else zeros((1, 1))
    if isinstance(x, MatAdd):
        return add(*[total_of(term) for term in x.args])
    made = Product.of(x)
    outside = Product((1, 1), made.coefficient)
    outside.scalars = made.scalars
    factors = [base for base, e in made.factors.items() for _ in range(int(e) if e.is_Integer and 0 < e <= 2 else 0)]
    if len(factors) == 2 and len(factors) == sum(made.factors.values()):
        inside = product(transposed(factors[0]), factors[1])
    elif made.factors:
        body = hadamard(made.factors)
        inside = MatMul(ones((1, x.shape[0])), body)
        if isinstance(body, Named) and body.function == "softmax":
            inside = ones((1, 1))
    else:
        inside = scaled(Integer(int(x.shape[0])), ones((1, 1)))
    outside.take(inside, S.One)
    return outside.build()


def shifted(u: Any) -> tuple[Any, list[Any]]:
    """A vector without the terms that are the same for all elements, and these, as scalars."""
    terms = list(u.args) if isinstance(u, MatAdd) else [u]
    kept, scalars = [], []
    for term in terms:
        made = Product.of(term)
        if made.factors or is_scalar(u):
            kept.append(term)
        else:
            alone = Product((1, 1), made.coefficient)
            alone.scalars = made.scalars
            scalars.append(alone.build())
    return (add(*kept) if kept else zeros(tuple(u.shape))), scalars


@lru_cache(maxsize=10_000)  # a sum within a sum is asked at every level that it stands in, more than once at each
def uniform(x: Any) -> Any:
    """The scalar that all elements of a sum are, such as of 1 - z 1, where z is a number; None if they differ."""
    if is_scalar(x) or not isinstance(x, MatAdd):
        return None
    vector, scalars = shifted(x)
    return add(*scalars) if is_zero(vector) else None


def softmax(u: Any) -> Any:
    """softmax(u), which is not changed by what is added to all elements of u."""
    return Named("softmax", (shifted(u)[0],), u.shape)


def recognise(made: Product) -> None:
    """In a product of elements, exp(u) / sum(exp(u)) is softmax(u)."""
    if -1 not in made.scalars.values():
        return
    for factor, exponent in list(made.factors.items()):
        for part in factor.args if isinstance(factor, MatMul) else [factor]:
            e = part.args[0] if isinstance(part, (Transpose, DiagMatrix)) else part
            if exponent != 1 or not isinstance(e, Applied) or e.function != "exp" or e.shape[1:] != (1,):
                continue
            total = total_of(e)
            if made.scalars.get(total) == -1:
                del made.scalars[total]
                del made.factors[factor]
                known = part.xreplace({e: softmax(e.operands[0])})
                parts = [known if p is part else p for p in factor.args] if isinstance(factor, MatMul) else [known]
                made.take(parts[0] if len(parts) == 1 else MatMul(*parts), S.One)
                break


def logarithm(x: Any) -> Any:
    """log x; where x sums exponentials of u + c, c + logsumexp(u)."""
    if isinstance(x, MatMul) and len(x.args) == 2 and is_ones(x.args[0]):
        body = x.args[1]
        if isinstance(body, Applied) and body.function == "exp":
            inner, scalars = shifted(body.operands[0])
            return add(Named("logsumexp", (inner,), (1, 1)), *scalars)
    return Applied("log", x)


def log_softmax(terms: list[Any]) -> Any:
    """u - logsumexp(u) is log softmax(u)."""
    for i, term in enumerate(terms):
        made = Product.of(term)
        (total,) = made.scalars if len(made.scalars) == 1 and not made.factors else (None,)
        if not (isinstance(total, Named) and total.function == "logsumexp" and made.coefficient == -1):
            continue
        rest = terms[:i] + terms[i + 1 :]
        u, scalars = shifted(total.operands[0])
        if not is_scalar(u) and not scalars and add(*rest) == u and tuple(term.shape) == tuple(u.shape):
            return Applied("log", Named("softmax", (u,), u.shape))
    return None
