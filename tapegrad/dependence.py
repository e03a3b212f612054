"""What depends on what on a tape, and the part of a tape that computes something."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .primitives.registry import is_inexact
from .tape import AbstractTape, Node, Tape
from .tensor import aval_of


def dependents(tape: Tape, seeds: Iterable[int], everything: bool = False) -> set[int]:
    """The slots whose values depend on ``seeds``; unless ``everything``, through derivatives only."""
    reached = set(seeds)
    for slot, node in enumerate(tape.nodes):
        if node is None or not (everything or node.primitive.differentiable):
            continue
        if not reached.isdisjoint(node.slots):
            answers = node.ans if node.primitive.multiple else [node.ans]
            reached.update(slot + i for i, a in enumerate(answers) if everything or is_inexact(aval_of(a)))
    return reached


def influences(tape: Tape, seeds: Iterable[int]) -> set[int]:
    """The slots on which ``seeds`` depend through derivatives."""
    reached = set(seeds)
    for slot in range(len(tape.nodes) - 1, -1, -1):
        node = tape.nodes[slot]
        if node is not None and node.primitive.differentiable:
            count = len(node.ans) if node.primitive.multiple else 1
            if any(slot + i in reached for i in range(count)):
                reached.update(s for s in node.slots if s >= 0)
    return reached


def sources(tape: AbstractTape, slots: Sequence[int], stop: set[int]) -> set[int]:
    """All slots that ``slots`` are computed from, not looking behind those in ``stop``."""
    reached: set[int] = set()
    stack = list(slots)
    while stack:
        slot = stack.pop()
        if slot in reached:
            continue
        reached.add(slot)
        if slot in stop or slot in tape.input_avals or slot in tape.consts:
            continue
        while tape.nodes[slot] is None:
            slot -= 1
        stack.extend(s for s in tape.nodes[slot].slots if s >= 0)  # type: ignore[union-attr]
    return reached


def subtape(
    tape: AbstractTape, nodes: Sequence[Node | None], inputs: Sequence[int], outputs: Sequence[tuple[int, Any]]
) -> AbstractTape:
    """The part of a tape that computes ``outputs`` from ``inputs``, renumbered; nothing else is in it.

    ``nodes`` are those of the tape, or others in their places.
    """
    given = set(inputs)
    needed: set[int] = set()
    reached: set[int] = set()
    stack = [slot for slot, _ in outputs if slot >= 0]
    while stack:
        slot = stack.pop()
        reached.add(slot)
        if slot in given or slot in tape.consts:
            continue
        while nodes[slot] is None:
            slot -= 1
        if slot not in needed:
            needed.add(slot)
            stack.extend(s for s in nodes[slot].slots if s >= 0)  # type: ignore[union-attr]
    part = AbstractTape()
    moved = {slot: part.input(tape.aval(slot)).slot for slot in inputs}
    for slot, value in tape.consts.items():
        if slot in reached:
            moved[slot] = len(part.nodes)
            part.nodes.append(None)
            part.consts[moved[slot]] = value
    for slot in sorted(needed):
        node: Any = nodes[slot]
        count = len(node.ans) if node.primitive.multiple else 1
        for i in range(count):
            moved.setdefault(slot + i, len(part.nodes) + i)
        part.nodes.append(node._replace(slots=[moved[s] if s >= 0 else -1 for s in node.slots]))
        part.nodes.extend([None] * (count - 1))
    part.outputs = [(moved[slot] if slot >= 0 else -1, value) for slot, value in outputs]
    part.names = {moved[slot]: name for slot, name in tape.names.items() if slot in moved}
    if tape.places:
        part.places = {moved[slot]: place for slot, place in tape.places.items() if slot in needed}
    part.close()
    return part
