"""The first value that is not finite: what is looked at, when it is an anomaly, and what is said then.

A NaN or infinity is an anomaly where it comes out of finite numbers. A mask of -inf, or padding that holds NaN, is
none, and neither is what follows from it: of an operation on elements each element is judged by those that it is made
of, of products, sums, slices and the like by all that go into an element; of everything else, by all there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..forward import Dual
from ..primitives.elementwise import Elementwise
from ..primitives.registry import Primitive, shape_of
from ..tape import Addition, Node
from ..tensor import Tensor, Trace
from .message import alarm

# Families of which an element of the result is a sum of (products of) elements of the operands, and what an operand is
# replaced by to see where another one goes.
SPREADING = {"contract": 1.0, "shaping": 0.0, "indexing": 0.0, "reductions": 0.0}


def numbers(value: Any) -> np.ndarray | None:
    """A value as an array, None if it holds no floating numbers or is not known here."""
    if isinstance(value, (np.ndarray, np.floating, float)):
        array = np.asarray(value)
        return array if array.dtype.kind in "fc" else None
    return None


def bad_in(value: Any) -> np.ndarray | None:
    """Where a value is not finite; None if it is finite everywhere, or not known here."""
    array = numbers(value)
    if array is None:
        return None
    finite = np.isfinite(array)
    return None if finite.all() else ~finite


# ---- when it is an anomaly ----
def unexplained(bad: np.ndarray, operands: Sequence[Any], primitive: Primitive, options: dict | None) -> np.ndarray:
    """The bad elements that are made of finite numbers; with ``options`` the operation can be run to see how."""
    marks = [bad_in(operand) for operand in operands]
    if all(mark is None for mark in marks):
        return bad
    if isinstance(primitive, Elementwise):
        shape = np.broadcast_shapes(bad.shape, *[shape_of(operand) for operand in operands])
        explained = np.zeros(shape, bool)
        for mark in marks:
            if mark is not None:
                explained |= mark
        lead = len(shape) - bad.ndim  # a cotangent is summed over what was broadcast
        axes = tuple(range(lead)) + tuple([i for i, n in enumerate(bad.shape, lead) if n == 1 != shape[i]])
        return bad & ~np.any(explained, axis=axes, keepdims=True).reshape(bad.shape)
    if options is not None and primitive.family in SPREADING:
        rest = SPREADING[primitive.family]
        for i, mark in enumerate(marks):
            if mark is not None:
                filled = [x if numbers(x) is None else np.full(shape_of(x), rest) for x in operands]
                filled[i] = mark.astype(float)
                bad = bad & ~(np.asarray(primitive.run(*filled, **options)) > 0)
        return bad
    return np.zeros_like(bad)


def check_made(trace: Trace, primitive: Primitive, args: Sequence[Any], options: dict, made: Any) -> None:
    """Look at what a trace made of an operation, where that is a number and no Tensor of another trace."""
    if primitive.family == "control" and options.get("rule") is None:  # looks at itself
        return
    mine = [isinstance(arg, Tensor) and arg.owner is trace for arg in args]
    values = [arg.value if own else arg for arg, own in zip(args, mine, strict=True)]
    for result in made if primitive.multiple else (made,):
        value = result.value if isinstance(result, Tensor) else result  # vmap leaves alone what has no batch axis
        bad = bad_in(value)
        if bad is not None:
            batched = trace.purpose == "vmap"
            known = _aligned(values, mine) if batched and isinstance(primitive, Elementwise) else values
            bad = unexplained(bad, known, primitive, None if batched else options)
            if bad.any():
                alarm(primitive, options, "", value, bad, known, batched)
        if isinstance(result, Dual) and (bad := bad_in(result.tangent)) is not None:
            moves = [arg.tangent if own else None for arg, own in zip(args, mine, strict=True)]
            bad = unexplained(bad, [x for x in (*values, *moves) if x is not None], primitive, None)
            if bad.any():
                alarm(primitive, options, "forward mode", result.tangent, bad, values)


def _aligned(values: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """Operands of which some have a leading batch axis, with axes of length 1 behind it so that they broadcast."""
    rank = max([len(shape_of(x)) - own for x, own in zip(values, batched, strict=True)])
    return [
        np.reshape(x, x.shape[:1] + (1,) * (rank + 1 - x.ndim) + x.shape[1:]) if own else x
        for x, own in zip(values, batched, strict=True)
    ]


def check_results(primitive: Primitive, values: Sequence[Any], options: dict, ans: Any) -> None:
    """Look at what an operation gave on plain numbers."""
    if primitive.family == "control":
        return
    for value in ans if primitive.multiple else (ans,):
        bad = bad_in(value)
        if bad is not None and (bad := unexplained(bad, values, primitive, options)).any():
            alarm(primitive, options, "", value, bad, values)


class Walk:
    """What is known during one backward walk: the slots whose cotangents are not finite with good reason."""

    def __init__(self, seeds: dict[int, Any]):
        self.tainted = {slot for slot, seed in seeds.items() if bad_in(seed) is not None}

    def pulled(self, slot: int, g: Any, node: Node, parts: Sequence[Any]) -> None:
        """A rule gave the cotangents of the arguments of an operation."""
        primitive, args, slots, options, _ = node
        for at, part in enumerate(g, slot) if primitive.multiple else [(slot, g)]:
            self._summed(at, part, node)
        given = [part for part in (g if primitive.multiple else [g]) if part is not None]
        opaque = primitive.family != "control" or options.get("rule") is not None  # what is not, looks at itself
        for parent, part in zip(slots, parts, strict=True):
            value = part.g if isinstance(part, Addition) else part
            bad = bad_in(value) if parent >= 0 else None
            if bad is None:
                continue
            bad = unexplained(bad, [*args, *given], primitive, None)
            if opaque and bad.any():
                alarm(primitive, options, "backward", value, bad, args, cotangents=given)
            self.tainted.add(parent)

    def _summed(self, slot: int, g: Any, node: Node | None) -> None:
        bad = bad_in(g)
        if bad is not None and slot not in self.tainted:
            alarm(node and node.primitive, node.options if node else {}, "sum", g, bad, ())

    def ended(self, inputs: Sequence[int], cotangents: Sequence[Any]) -> None:
        """The cotangents of the inputs are complete."""
        for slot in inputs:
            self._summed(slot, cotangents[slot], None)
