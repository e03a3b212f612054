"""Products, einsum among them."""

from __future__ import annotations

from string import ascii_letters
from typing import Any

import numpy as np

from ..errors import ShapeError, StructureError, UnsupportedPrimitive
from ..primitives import contract as products
from ..primitives.indexing import ARRAY, concrete, scatter
from ..tensor import apply
from .common import asarray, refuse
from .selection import diagonal
from .shapes import astype, moveaxis, ravel, reshape, transpose


def dot(a, b, out=None):
    refuse("dot", out=out)
    return products.dot(asarray(a), asarray(b))


def inner(a, b, /):
    return products.inner(asarray(a), asarray(b))


def outer(a, b, out=None):
    refuse("outer", out=out)
    return products.outer(asarray(a), asarray(b))


def tensordot(a, b, axes=2):
    return products.tensordot(asarray(a), asarray(b), axes)


def einsum(subscripts: str, *operands: Any, out: Any = None, optimize: Any = None) -> Any:
    """numpy.einsum on any number of operands, contracted from left to right."""
    refuse("einsum", out=out)
    if not isinstance(subscripts, str):
        raise UnsupportedPrimitive("numpy.einsum: give the subscripts as a string, as in 'ij,jk->ik'")
    operands = tuple([asarray(x) for x in operands])
    terms, result = _parse(subscripts.replace(" ", ""), [len(x.shape) for x in operands])
    pairs = [_diagonals(x, term, subscripts) for x, term in zip(operands, terms, strict=True)]
    x, left = pairs[0]
    for position, (y, right) in enumerate(pairs[1:], 2):
        later = result + "".join(term for _, term in pairs[position:])
        keep = "".join(dict.fromkeys(c for c in left + right if c in later))
        x, left = products.labelled(x, y, left, right, keep), keep
    x = np.sum(x, tuple([i for i, c in enumerate(left) if c not in result])) if set(left) - set(result) else x
    left = "".join(c for c in left if c in result)
    return transpose(x, [left.index(c) for c in result])


def _parse(subscripts: str, ranks: list[int]) -> tuple[list[str], str]:
    given, arrow, result = subscripts.partition("->")
    terms = given.split(",")
    if len(terms) != len(ranks):
        raise StructureError(f"einsum {subscripts!r}: {len(terms)} terms for {len(ranks)} operands")
    free = [c for c in ascii_letters if c not in subscripts]
    widest = 0
    for i, (term, rank) in enumerate(zip(terms, ranks, strict=True)):
        if "..." in term:
            wide = rank - len(term) + 3
            widest = max(widest, wide)
            terms[i] = term.replace("...", "".join(free[:wide][::-1]))
        if len(terms[i]) != rank:
            raise ShapeError(f"einsum {subscripts!r}: the term {term!r} does not fit an operand with {rank} axes")
    every = "".join(terms)
    dots = "".join(free[:widest][::-1])
    if not arrow:
        result = dots + "".join(sorted(c for c in set(every) if every.count(c) == 1 and c not in dots))
    elif dots and "..." not in result:
        raise StructureError(f"einsum {subscripts!r}: an operand has '...', and the result must have it too")
    result = result.replace("...", dots)
    if unknown := set(result) - set(every):
        raise StructureError(f"einsum {subscripts!r}: the result names {sorted(unknown)}, which no operand has")
    return terms, result


def _diagonals(x: Any, labels: str, subscripts: str) -> tuple[Any, str]:
    """Take the diagonal over each label that stands twice in a term."""
    for c in dict.fromkeys(labels):
        while labels.count(c) > 1:
            i = labels.index(c)
            j = labels.index(c, i + 1)
            if x.shape[i] != x.shape[j]:
                raise ShapeError(f"einsum {subscripts!r}: axes labelled {c!r} have lengths {x.shape[i]}, {x.shape[j]}")
            x = diagonal(x, 0, i, j)
            labels = labels[:i] + labels[i + 1 : j] + labels[j + 1 :] + c
    return x, labels


def vdot(a, b, /):
    return products.dot(ravel(asarray(a)), ravel(asarray(b)))


def matvec(x1, x2):
    return _core(x1, x2, "ij", "j", "i")


def vecmat(x1, x2):
    return _core(x1, x2, "i", "ij", "j")


def _core(x: Any, y: Any, left: str, right: str, result: str) -> Any:
    """Products over the last axes, broadcast over the others."""
    return einsum(f"...{left},...{right}->...{result}", x, y)


def kron(a, b):
    a, b = asarray(a), asarray(b)
    rank = max(len(a.shape), len(b.shape))
    shapes = [(1,) * (rank - len(x.shape)) + x.shape for x in (a, b)]
    a = reshape(a, tuple([part for n in shapes[0] for part in (n, 1)]))
    b = reshape(b, tuple([part for n in shapes[1] for part in (1, n)]))
    return reshape(a * b, tuple([n * m for n, m in zip(*shapes, strict=True)]))


def cross(a, b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    a, b = moveaxis(asarray(a), axisa, -1), moveaxis(asarray(b), axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ShapeError(
            f"cross: vectors of {a.shape[-1]} and {b.shape[-1]} elements; give 3 (for two elements: "
            "a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])"
        )
    parts = [a[..., i] * b[..., j] - a[..., j] * b[..., i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return moveaxis(np.stack(parts, -1), -1, axisc)


def bincount(x, /, weights=None, minlength=0):
    """Counts, or sums of weights, for each number."""
    x = concrete(x, "the numbers of bincount")
    if weights is None:
        return np.bincount(x, minlength=minlength)
    size = int(max(x.max(initial=-1) + 1, minlength))
    weights = astype(asarray(weights), np.float64)
    return apply(scatter, (weights, x), {"template": (ARRAY,), "shape": (size,)})
