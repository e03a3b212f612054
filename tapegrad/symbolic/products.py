"""Contractions of two arrays of at most two axes, as matrix products."""

from __future__ import annotations

from typing import Any

from . import algebra as al
from .constants import ones
from .softmax import total_of


def contraction(x: Any, y: Any, left: str, right: str, out: str) -> Any:
    """The contraction of two arrays by labels, without the label of the rows; None where no matrix product says it.

    Arrays of one axis are columns, so ``left`` of one label and ``right`` of two with the label in common is a matrix
    times a column.
    """
    if max(len(left), len(right), len(out)) > 2:
        return None
    if not left or not right:
        return _turned(al.times(x, y), left or right, out)
    common = [c for c in left if c in right]
    if any(c in out for c in common):
        return _kept(x, y, left, right, out)
    if not common:
        return _turned(al.product(x, al.transposed(y)), left + right, out) if len(left + right) == 2 else None
    if len(common) == 2:
        same = y if left == right else al.transposed(y)
        return total_of(al.product(al.times(x, same), ones((x.shape[1], 1))))
    (label,) = common
    rows = x if left[-1] == label and len(left) == 2 else al.transposed(x)
    columns = y if right[0] == label else al.transposed(y)
    made = al.product(rows, columns)
    outside = left.replace(label, "") + right.replace(label, "")
    # The product of a row with a matrix is a row, and vectors are printed as columns.
    return al.transposed(made) if len(left) == 1 and len(right) == 2 else _turned(made, outside, out)


def _turned(x: Any, labels: str, out: str) -> Any:
    return x if labels == out or len(out) < 2 else al.transposed(x)


def _kept(x: Any, y: Any, left: str, right: str, out: str) -> Any:
    """Contractions in which a label of both operands stays: products of elements, of rows or of columns."""
    if sorted(left) == sorted(right):
        made = al.times(x, y if left == right else al.transposed(y))
        if len(out) == len(left):
            return _turned(made, left, out)
        if out == left[0]:
            return al.product(made, ones((x.shape[1], 1)))
        return al.product(al.transposed(made), ones((x.shape[0], 1)))
    if len(left) > len(right):
        x, y, left, right = y, x, right, left
    if len(left) == 1 and sorted(out) == sorted(right):
        scale = al.diagonal(x)
        return _turned(al.product(scale, y) if right[0] == left else al.product(y, scale), right, out)
    return None
