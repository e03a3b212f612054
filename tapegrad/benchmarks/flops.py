"""How many floating-point operations the products of a program take, read off its tape."""

from __future__ import annotations

import math
from typing import Any

from ..primitives.contract import contract
from ..primitives.registry import shape_of
from ..scan_primitive import scan_primitive
from ..tape import Tape
from ..tracing import trace
from .work import Work


def count(tape: Tape) -> int:
    """The operations of all products that the results of a tape depend on, those inside its scans included.

    A product of (M, K) and (K, N) counts 2 M N K; any other contraction twice the product of the lengths of all its
    axes. Elementwise operations and reductions are not counted, nor products that nothing depends on.
    """
    needed = _needed(tape)
    total = 0
    for slot, node in enumerate(tape.nodes):
        if node is None or slot not in needed:
            continue
        if node.primitive is contract:
            total += _of_product(node)
        elif node.primitive is scan_primitive:
            total += node.options["length"] * count(node.options["step"].tape)
        else:
            total += sum(count(inner) for inner in node.options.values() if isinstance(inner, Tape))
    return total


def of_work(work: Work) -> tuple[int, int]:
    """The operations of the forward pass, and of forward and backward pass together."""
    forward = trace(lambda params, xs: work.cell(params, xs)[1])(work.params, work.xs)
    both = trace(work.derivative("auto"))(work.params, work.xs, work.cotangent)
    return count(forward), count(both)


def _of_product(node: Any) -> int:
    spec = node.options["spec"]
    sizes: dict[str, int] = {}
    for labels, arg in zip((spec.left, spec.right), node.args, strict=True):
        sizes.update(zip(labels, shape_of(arg), strict=True))
    return 2 * math.prod(sizes.values())


def _needed(tape: Tape) -> set[int]:
    """The slots of the operations that the outputs depend on."""
    owner: dict[int, int] = {}  # an operation with several results stands at the first of their slots
    for slot, node in enumerate(tape.nodes):
        if node is not None:
            for i in range(node.primitive.count(node.options) if node.primitive.multiple else 1):
                owner[slot + i] = slot
    pending = [slot for slot, _ in tape.outputs if slot >= 0]
    needed: set[int] = set()
    while pending:
        slot = owner.get(pending.pop(), -1)
        if slot >= 0 and slot not in needed:
            needed.add(slot)
            node = tape.nodes[slot]
            assert node is not None
            pending += [s for s in node.slots if s >= 0]
    return needed
