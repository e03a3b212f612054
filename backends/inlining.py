"""A step's tape without calls and inner scans: what they do is written where they stand.

An inner scan's body is written once, between *borders*: operations that say how values come into the inner loop and go
out of it. What does not change in the inner loop is thereby written outside of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapegrad.primitives.elementwise import add, multiply
from tapegrad.primitives.indexing import getitem
from tapegrad.primitives.shaping import broadcast_to, concatenate
from tapegrad.rules import Call
from tapegrad.scan_primitive import Scan, Step
from tapegrad.tape import AbstractTape, Node
from tapegrad.tensor import Aval, aval_of

# An inner scan over parameters (each round has weights of its own) is written out round by round, so that each round's
# weights are packed and their gradients are sums; up to so many operations, since the time to compile grows with them.
UNROLLED = 200

Pair = tuple[int, Any]  # a slot, or -1 and a literal


@dataclass(frozen=True)
class InnerLoop:
    """A loop within the step, or within another one; loops count from 1, and 0 is the step itself."""

    number: int
    parent: int
    length: int
    reverse: bool


class Border:
    """An operation on the border of an inner loop; it is no primitive, as nobody records or differentiates it."""

    name = "border"
    multiple = False

    def __init__(self, loop: InnerLoop):
        self.loop = loop


class Begin(Border):
    """An initial state -> the state that a round reads."""

    name = "begin"


class At(Border):
    """All xs -> those of a round."""

    name = "at"


class End(Border):
    """The new state of a round, the state that it read -> the final state."""

    name = "end"


class Stack(Border):
    """The output of a round -> those of all rounds."""

    name = "stack"


class Total(Border):
    """A summand of a round -> the sum over all rounds."""

    name = "total"

    @staticmethod
    def run(total: Any) -> Any:
        """What adds up over time has added up over the rounds too."""
        return total


class FlatTape(AbstractTape):
    """A tape without calls and scans.

    Attributes
    ----------
    loops : list of InnerLoop
        By number; the first entry stands for the step.
    inside : dict of int to int
        The number of the loop in which a slot changes, where it is not the step's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loops = [InnerLoop(0, 0, 1, False)]
        self.inside: dict[int, int] = {}


def inlined(tape: AbstractTape, params: int = 0) -> AbstractTape:
    """The tape with every call and inner scan replaced by what it does, and arrays among its results as constants.

    Results keep their order, not the numbers of their slots. Scans that follow from the first ``params`` inputs stay,
    as they are carried out once; so do those that are to be compiled on their own.
    """
    held = any(node is not None and isinstance(node.primitive, (Call, Scan)) for node in tape.nodes)
    if not held and not any(s < 0 and aval_of(v).shape for s, v in tape.outputs):
        return tape
    flat = FlatTape()
    moved: dict[int, Pair] = {slot: (flat.input(tape.aval(slot)).slot, None) for slot in tape.inputs}
    writer = _Writer(flat, [moved[slot][0] for slot in tape.inputs[:params]])
    moved |= {slot: writer.constant(const) for slot, const in tape.consts.items()}
    pairs = [writer.constant(v) if s < 0 and aval_of(v).shape else (s, v) for s, v in writer.copy(tape, moved)]
    flat.outputs = [(slot, value if slot < 0 else flat.aval(slot)) for slot, value in pairs]
    names = {moved[s][0]: name for s, name in tape.names.items() if s in moved and moved[s][0] >= 0}
    taken = set(names.values())
    flat.names = {slot: name for slot, name in flat.names.items() if name not in taken} | names
    flat.close()
    return flat


class _Writer:
    """Writes operations onto a flat tape."""

    def __init__(self, flat: FlatTape, params: Sequence[int]):
        self.flat, self.fixed = flat, set(params)

    def constant(self, value: Any) -> Pair:
        slot = self.flat.capture(np.asarray(value)).slot
        self.fixed.add(slot)
        return slot, None

    def arrays(self, pairs: Sequence[Pair], like: Sequence[Aval]) -> list[Pair]:
        """Literals as constants."""
        both = zip(pairs, like, strict=True)
        return [pair if pair[0] >= 0 else self.constant(np.asarray(pair[1], aval.dtype)) for pair, aval in both]

    def record(
        self, primitive: Any, given: Sequence[Pair], options: dict, ans: Any, loop: int | None = None
    ) -> list[Pair]:
        """Write an operation, into the innermost loop in which one of its arguments changes."""
        flat, slots = self.flat, [s for s, _ in given]
        made = flat.record(primitive, [flat.aval(s) if s >= 0 else v for s, v in given], slots, options, ans)
        found = [t.slot for t in (made if primitive.multiple else [made])]
        if loop is None:
            loop = max([flat.inside.get(s, 0) for s in slots], default=0)
        if loop:
            flat.inside.update(dict.fromkeys(found, loop))
        if not isinstance(primitive, Border) and all(s < 0 or s in self.fixed for s in slots):
            self.fixed.update(found)
        return [(slot, None) for slot in found]

    def copy(self, tape: AbstractTape, moved: dict[int, Pair]) -> list[Pair]:
        """Write the operations of a tape; gives the slot, or the literal, of each result."""
        for slot, node in enumerate(tape.nodes):
            if node is None:
                continue
            given = [moved[s] if s >= 0 else (-1, v) for s, v in zip(node.slots, node.args, strict=True)]
            for i, pair in enumerate(self.node(node, given)):
                moved[slot + i] = pair
        return [moved[s] if s >= 0 else (-1, v) for s, v in tape.outputs]

    def node(self, node: Node, given: list[Pair]) -> list[Pair]:
        if isinstance(node.primitive, Call):
            tape = node.options["tape"]
            avals = [tape.aval(slot) for slot in tape.inputs]
            return self.copy(tape, self.arguments(tape, self.arrays(given, avals)))
        if isinstance(node.primitive, Scan) and not node.options.get("apart"):
            if not all(s < 0 or s in self.fixed for s, _ in given):
                return self.scan(node, given)
        return self.record(node.primitive, given, node.options, node.ans)

    def arguments(self, tape: AbstractTape, given: Sequence[Pair]) -> dict[int, Pair]:
        moved = dict(zip(tape.inputs, given, strict=True))
        return moved | {slot: self.constant(value) for slot, value in tape.consts.items()}

    # ---- inner scans ----
    def scan(self, node: Node, given: list[Pair]) -> list[Pair]:
        step, length = node.options["step"], node.options["length"]
        first = step.params + step.state
        given = self.arrays(given, step.avals())
        if length == 0:
            empty = [self.constant(np.zeros(aval.shape, aval.dtype)) for aval in node.ans[step.state :]]
            return [*given[step.params : first], *empty]
        own = any(s in self.fixed for s, _ in given[first:]) and length * _size(step.tape) <= UNROLLED
        return (self.unrolled if own or length == 1 else self.looped)(node, step, given)

    def looped(self, node: Node, step: Step, given: list[Pair]) -> list[Pair]:
        """The body once, between borders."""
        flat, length = self.flat, node.options["length"]
        parent = max([flat.inside.get(s, 0) for s, _ in given])
        loop = InnerLoop(len(flat.loops), parent, length, node.options["reverse"])
        flat.loops.append(loop)
        avals = step.avals()
        borders = [Begin(loop)] * step.state + [At(loop)] * step.xs
        entered = [
            self.record(border, [pair], {}, aval, loop.number)[0]
            for border, pair, aval in zip(borders, given[step.params :], avals[step.params :], strict=True)
        ]
        moved = self.arguments(step.tape, [*given[: step.params], *entered])
        outs = self.copy(step.tape, moved)
        self.name(step.tape, moved)
        outs = self.arrays(outs, [aval_of(v) for _, v in step.tape.outputs])
        made: list[Pair] = []
        for k, (pair, ans) in enumerate(zip(outs, node.ans, strict=True)):
            within = flat.inside.get(pair[0]) == loop.number
            if k < step.state:
                made += self.record(End(loop), [pair, entered[k]], {}, ans, parent)
            elif k < step.state + step.ys:
                made += (
                    self.record(Stack(loop), [pair], {}, ans, parent)
                    if within
                    else self.record(broadcast_to, [pair], {"shape": ans.shape}, ans)
                )
            elif within:
                made += self.record(Total(loop), [pair], {}, ans, parent)
            else:
                made += self.record(multiply, [pair, (-1, length)], {}, ans)
        return made

    def unrolled(self, node: Node, step: Step, given: list[Pair]) -> list[Pair]:
        """The body again and again, for each round."""
        first, length = step.params + step.state, node.options["length"]
        state, sums = given[step.params : first], list[Pair]()
        ys: dict[int, list[Pair]] = {}
        results = [aval_of(v) for _, v in step.tape.outputs]
        cut = step.state + step.ys
        for k in reversed(range(length)) if node.options["reverse"] else range(length):
            xs = [self.view(pair, (k,), aval) for pair, aval in zip(given[first:], step.avals()[first:], strict=True)]
            moved = self.arguments(step.tape, [*given[: step.params], *state, *xs])
            outs = self.arrays(self.copy(step.tape, moved), results)
            state = outs[: step.state]
            ys[k] = [
                self.view(pair, (None,), Aval((1, *aval.shape), aval.dtype))
                for pair, aval in zip(outs[step.state : cut], results[step.state : cut], strict=True)
            ]
            sums = [
                self.record(add, [total, pair], {}, aval)[0] if sums else pair
                for total, pair, aval in zip(sums or outs[cut:], outs[cut:], results[cut:], strict=True)
            ]
        stacks = [[ys[k][i] for k in range(length)] for i in range(step.ys)]
        avals = node.ans[step.state : cut]
        joined = [
            self.record(concatenate, parts, {"axis": 0}, aval)[0] if length > 1 else parts[0]
            for parts, aval in zip(stacks, avals, strict=True)
        ]
        return [*state, *joined, *sums]

    def view(self, pair: Pair, lead: tuple, ans: Aval) -> Pair:
        """A part of an array, or the array with another axis; all behind the first axis stays."""
        rest = len(self.flat.aval(pair[0]).shape) - sum(entry is not None for entry in lead)
        return self.record(getitem, [pair], {"template": (*lead, *[slice(None)] * rest)}, ans)[0]

    def name(self, tape: AbstractTape, moved: dict[int, Pair]) -> None:
        """What a round calls its variables."""
        taken = set(self.flat.names.values())
        for slot, name in tape.names.items():
            if slot in moved and moved[slot][0] >= 0 and name not in taken:
                self.flat.names.setdefault(moved[slot][0], name)


def inner_steps(tape: AbstractTape) -> list[Step]:
    """The steps of the scans within a tape."""
    found: list[Step] = []
    for node in tape.nodes:
        if node is not None and isinstance(node.primitive, Scan):
            found.append(node.options["step"])
        elif node is not None and isinstance(node.primitive, Call):
            found += inner_steps(node.options["tape"])
    return found


def holds_apart(tape: AbstractTape) -> bool:
    """Whether a tape holds a scan that is to be compiled on its own."""
    for node in tape.nodes:
        if node is not None and isinstance(node.primitive, (Call, Scan)):
            inner = node.options["tape"] if isinstance(node.primitive, Call) else node.options["step"].tape
            if node.options.get("apart") or holds_apart(inner):
                return True
    return False


def _size(tape: AbstractTape) -> int:
    """How many operations a tape is when it is written out."""
    total = 0
    for node in tape.nodes:
        if node is not None and isinstance(node.primitive, Scan):
            total += node.options["length"] * _size(node.options["step"].tape)
        elif node is not None:
            total += _size(node.options["tape"]) if isinstance(node.primitive, Call) else 1
    return total
