"""One primitive for all products: a sum over labelled axes, closed under differentiation and batching.

``contract(x, y, spec)`` is the two-operand Einstein sum in which every label of an operand stands in
the other operand or in the result. Its derivative by an operand is again such a contraction, with the result in
the place of the operand; a batch axis is one label more.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from string import ascii_letters
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..tensor import Aval, apply
from .registry import Primitive, example, like, shape_of


class Spec:
    """The labels of the operands and of the result, and how to compute the sum with few calls of BLAS."""

    def __init__(self, left: str, right: str, out: str):
        self.left, self.right, self.out = left, right, out
        self.text = f"{left},{right}->{out}"
        for labels, others in ((left, right + out), (right, left + out), (out, left + right)):
            if len(set(labels)) < len(labels) or not set(labels) <= set(others):
                raise ShapeError(f"contract: {self.text} has a label that stands alone or twice in an operand")
        self.batch = [c for c in left if c in right and c in out]
        self.summed = [c for c in left if c in right and c not in out]
        self.rows = [c for c in left if c not in right]
        self.columns = [c for c in right if c not in left]
        product = "".join(self.batch + self.rows + self.columns)
        self.order = None if product == out else tuple(product.index(c) for c in out)
        self.plain = self._plain()

    def _plain(self) -> tuple[bool, bool] | None:
        """Whether to transpose each operand before one call of np.dot, if that is all there is to do."""
        if self.batch or len(self.summed) != 1 or len(self.rows) > 1 or len(self.columns) > 1:
            return None
        rows, summed, columns = "".join(self.rows), self.summed[0], "".join(self.columns)
        return self.left != rows + summed, self.right != summed + columns

    def __repr__(self) -> str:
        return f'"{self.text}"'

    def compute(self, x: Any, y: Any) -> Any:
        if self.plain is not None:
            transpose_x, transpose_y = self.plain
            product = np.dot(x.T if transpose_x else x, y.T if transpose_y else y)
        elif not self.summed:
            return self._spread(x, self.left) * self._spread(y, self.right)
        else:
            product = self._general(np.asarray(x), np.asarray(y))
        return product if self.order is None else product.transpose(self.order)

    def _spread(self, x: Any, labels: str) -> Any:
        """``x`` with its axes in the order of the result and an axis of length 1 for each label it lacks."""
        x = np.asarray(x).transpose([labels.index(c) for c in self.out if c in labels])
        return x[tuple([slice(None) if c in labels else None for c in self.out])]

    def _general(self, x: Any, y: Any) -> Any:
        sizes = dict(zip(self.left + self.right, x.shape + y.shape, strict=True))
        left = _matrix(x, self.left, self.batch, self.rows, self.summed)
        right = _matrix(y, self.right, self.batch, self.summed, self.columns)
        return np.matmul(left, right).reshape([sizes[c] for c in self.batch + self.rows + self.columns])


def _matrix(x: Any, labels: str, batch: list[str], rows: list[str], columns: list[str]) -> Any:
    """``x`` as a stack of matrices; without copying where its axes already lie so, transposed or not."""
    sizes = dict(zip(labels, x.shape, strict=True))

    def shape(*groups: list[str]) -> list[int]:
        return [sizes[c] for c in batch] + [int(np.prod([sizes[c] for c in group], dtype=np.int64)) for group in groups]

    if labels == "".join(batch + columns + rows):
        return np.swapaxes(x.reshape(shape(columns, rows)), -1, -2)
    x = x.transpose([labels.index(c) for c in batch + rows + columns])
    return x.reshape(shape(rows, columns))


@lru_cache(maxsize=4096)
def make_spec(left: str, right: str, out: str) -> Spec:
    """The one Spec for these labels."""
    return Spec(left, right, out)


class Contract(Primitive):
    family = "contract"

    def run(self, x: Any, y: Any, spec: Spec) -> Any:
        return spec.compute(x, y)

    def abstract(self, x: Any, y: Any, spec: Spec) -> Aval:
        sizes: dict[str, int] = {}
        for labels, arg in ((spec.left, x), (spec.right, y)):
            for label, size in zip(labels, shape_of(arg), strict=True):
                if sizes.setdefault(label, size) != size:
                    raise ShapeError(
                        f"contract {spec.text}: the operands have shapes {shape_of(x)} and {shape_of(y)}, "
                        f"which give the axis {label!r} the lengths {sizes[label]} and {size}"
                    )
        return Aval(tuple([sizes[c] for c in spec.out]), np.multiply(example(x), example(y)).dtype)

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        (x, y), spec = args, options["spec"]
        return [
            like(product(g, y, spec.out, spec.right, spec.left), x) if slots[0] >= 0 else None,
            like(product(x, g, spec.left, spec.out, spec.right), y) if slots[1] >= 0 else None,
        ]

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        (x, y), (dx, dy) = args, tangents
        if dx is None:
            return apply(self, (x, dy), options)
        first = apply(self, (dx, y), options)
        return first if dy is None else first + apply(self, (x, dy), options)

    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        spec = options["spec"]
        new = next(c for c in ascii_letters if c not in spec.text)
        left, right = (new * flag + labels for flag, labels in zip(flags, (spec.left, spec.right), strict=True))
        return product(args[0], args[1], left, right, new + spec.out)


contract = Contract("contract")


def product(x: Any, y: Any, left: str, right: str, out: str) -> Any:
    """Contract ``x`` and ``y`` by labels."""
    return apply(contract, (x, y), {"spec": make_spec(left, right, out)})


# ---- NumPy's products ----
_MATMUL = {(1, 1): ("a", "a", ""), (2, 1): ("ab", "b", "a"), (1, 2): ("a", "ab", "b"), (2, 2): ("ab", "bc", "ac")}


def matmul(x: Any, y: Any) -> Any:
    """``x @ y``, with leading axes broadcast as NumPy does."""
    ranks = len(x.shape), len(y.shape)
    if 0 in ranks:
        raise ShapeError(f"matmul: operands of shapes {x.shape} and {y.shape}; both need an axis, use * for scalars")
    if x.shape[-1] != y.shape[0 if ranks[1] == 1 else -2]:
        raise ShapeError(
            f"matmul: operands of shapes {x.shape} and {y.shape} do not fit; the last axis of the left one must be as "
            f"long as the {'only' if ranks[1] == 1 else 'second to last'} axis of the right one"
        )
    if ranks in _MATMUL:
        return product(x, y, *_MATMUL[ranks])
    lead = ascii_letters[3 : 3 + max(ranks) - 2]
    left = lead[len(lead) - ranks[0] + 2 :] + "ab" if ranks[0] > 1 else "b"
    right = lead[len(lead) - ranks[1] + 2 :] + "bc" if ranks[1] > 1 else "b"
    return labelled(x, y, left, right, lead + "a" * (ranks[0] > 1) + "c" * (ranks[1] > 1))


def labelled(x: Any, y: Any, left: str, right: str, out: str) -> Any:
    """An Einstein sum of two operands: axes of length 1 broadcast, labels that stand alone are summed first."""
    (x, left), (y, right) = _stretch(x, left, y, right), _stretch(y, right, x, left)
    x, left = _lone(x, left, right + out)
    y, right = _lone(y, right, left + out)
    return product(x, y, left, right, out)


def _stretch(x: Any, labels: str, other: Any, others: str) -> tuple[Any, str]:
    """Drop the axes of length 1 that the other operand has longer."""
    keep = [
        i
        for i, (label, n) in enumerate(zip(labels, x.shape, strict=True))
        if n != 1 or label not in others or other.shape[others.index(label)] == 1
    ]
    if len(keep) == len(labels):
        return x, labels
    return np.reshape(x, tuple([x.shape[i] for i in keep])), "".join(labels[i] for i in keep)


def _lone(x: Any, labels: str, others: str) -> tuple[Any, str]:
    alone = tuple([i for i, c in enumerate(labels) if c not in others])
    return (np.sum(x, axis=alone), "".join(c for c in labels if c in others)) if alone else (x, labels)


def dot(x: Any, y: Any) -> Any:
    """numpy.dot: the last axis of ``x`` with the second to last of ``y``; scalars multiply."""
    n, m = len(shape_of(x)), len(shape_of(y))
    if n == 0 or m == 0:
        return x * y
    return tensordot(x, y, ((n - 1,), (max(m - 2, 0),)))


def inner(x: Any, y: Any) -> Any:
    """numpy.inner: a sum over the last axes."""
    n, m = len(shape_of(x)), len(shape_of(y))
    return x * y if n == 0 or m == 0 else tensordot(x, y, ((n - 1,), (m - 1,)))


def outer(x: Any, y: Any) -> Any:
    """numpy.outer: all products of the elements of two flattened operands."""
    return product(np.reshape(x, (-1,)), np.reshape(y, (-1,)), "a", "b", "ab")


def tensordot(x: Any, y: Any, axes: Any = 2) -> Any:
    """numpy.tensordot: a sum over the given pairs of axes."""
    n, m = len(shape_of(x)), len(shape_of(y))
    first, second = (range(n - axes, n), range(axes)) if isinstance(axes, int) else axes
    first, second = ([i] if isinstance(i, int) else list(i) for i in (first, second))
    left, right = list(ascii_letters[:n]), list(ascii_letters[n : n + m])
    for i, j in zip(first, second, strict=True):
        if x.shape[i] != y.shape[j]:
            raise ShapeError(
                f"tensordot: axis {i} of the shape {x.shape} and axis {j} of the shape {y.shape} differ in length"
            )
        right[j] = left[i]
    out = [c for c in left if c not in right] + [c for c in right if c not in left]
    return product(x, y, "".join(left), "".join(right), "".join(out))
