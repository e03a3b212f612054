"""From a traced step to before / loop / after, by dependence alone and for any target.

* **once**: what follows from the parameters; computed a single time.
* **before**: products of the inputs, which do not depend on the state; computed for many steps together.
* **loop**: what the next state is made of; the only part that must go step by step.
* **after**: what the state does not depend on, and the sums over time; computed for many steps together again.

Cheap elementwise work on the inputs alone goes where it is used: storing its result for every step would cost more
than computing it again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tapegrad.primitives.elementwise import Elementwise
from tapegrad.scan_primitive import Step
from tapegrad.tape import AbstractTape, Node


@dataclass
class Plan:
    """Where each operation of a step is done; slots are those of the step's tape.

    Attributes
    ----------
    once, before, loop, after : list of int
        Slots of operations, in the order of the tape.
    streamed : list of int
        Slots that the loop reads anew at each step: inputs, and results of ``before``.
    kept : list of int
        Slots that the loop writes for every step: outputs, and what ``after`` reads.
    """

    step: Step
    once: list[int] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    loop: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    streamed: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        from tapegrad.printing import slot_names

        names = slot_names(self.step.tape)
        lines = []
        for title, slots in (("once", self.once), ("before", self.before), ("loop", self.loop), ("after", self.after)):
            lines.append(f"{title}:")
            for slot in slots:
                node = node_at(self.step.tape, slot)
                reads = ", ".join(names[s] if s >= 0 else repr(v) for s, v in zip(node.slots, node.args, strict=True))
                lines.append(f"    {names[slot]} = {node.primitive.name}({reads})")
        lines.append(f"streamed into the loop: {', '.join(names[s] for s in self.streamed)}")
        lines.append(f"kept from the loop: {', '.join(names[s] for s in self.kept)}")
        return "\n".join(lines)


def node_at(tape: AbstractTape, slot: int) -> Node:
    """The operation that made a slot."""
    while tape.nodes[slot] is None:
        slot -= 1
    node: Any = tape.nodes[slot]
    return node


def make_plan(step: Step) -> Plan:
    """Sort the operations of a step into its four parts."""
    tape, plan = step.tape, Plan(step)
    params = set(tape.inputs[: step.params]) | set(tape.consts)
    states = tape.inputs[step.params : step.params + step.state]
    xs = set(tape.inputs[step.params + step.state :])
    fixed = _closure(tape, params, everything=True)
    moving = _closure(tape, set(states), everything=False)
    cone = _sources(tape, [slot for slot, _ in tape.outputs[: step.state]])
    outside = {slot for slot, _ in tape.outputs[step.state :] if slot >= 0}
    timed: list[int] = []
    for slot, node in enumerate(tape.nodes):
        if node is None:
            continue
        if slot in fixed:
            plan.once.append(slot)
        elif slot not in moving and not isinstance(node.primitive, Elementwise):
            plan.before.append(slot)
        elif slot not in moving:
            timed.append(slot)
        elif slot in cone:
            plan.loop.append(slot)
        else:
            plan.after.append(slot)
    _place_timed(tape, plan, timed, outside)
    _connect(tape, plan, set(states), xs, outside)
    return plan


def _place_timed(tape: AbstractTape, plan: Plan, timed: list[int], outside: set[int]) -> None:
    """Elementwise work on inputs alone: into the loop where the loop reads it, else before or after."""
    for slot in reversed(timed):
        readers = {s for s, node in enumerate(tape.nodes) if node is not None and slot in node.slots}
        if readers & set(plan.before):
            plan.before.append(slot)
        elif readers & set(plan.loop):
            plan.loop.append(slot)
            if slot in outside or readers & set(plan.after):
                plan.after.append(slot)
        else:
            plan.after.append(slot)
    for part in (plan.before, plan.loop, plan.after):
        part.sort()


def _connect(tape: AbstractTape, plan: Plan, states: set[int], xs: set[int], outside: set[int]) -> None:
    in_loop, in_after = set(plan.loop), set(plan.after)
    ready = xs | set(plan.before)
    for slot in plan.loop:
        for s in node_at(tape, slot).slots:
            if s in ready and s not in plan.streamed:
                plan.streamed.append(s)
    wanted = set(outside)
    for slot in plan.after:
        wanted.update(node_at(tape, slot).slots)
    wanted.update(s for s in outside if s in states)
    plan.kept = sorted(s for s in wanted if (s in in_loop and s not in in_after) or s in states)


def _closure(tape: AbstractTape, seeds: set[int], everything: bool) -> set[int]:
    """Slots computed from ``seeds`` alone (``everything``) or from any of them."""
    reached = set(seeds)
    for slot, node in enumerate(tape.nodes):
        if node is None:
            continue
        flags = [s in reached for s in node.slots if s >= 0]
        if all(flags) if everything else any(flags):
            reached.update(range(slot, slot + (len(node.ans) if node.primitive.multiple else 1)))
    return reached


def _sources(tape: AbstractTape, slots: list[int]) -> set[int]:
    """Slots that ``slots`` are computed from, and themselves."""
    reached = {slot for slot in slots if slot >= 0}
    for slot in range(len(tape.nodes) - 1, -1, -1):
        node = tape.nodes[slot]
        if node is not None:
            count = len(node.ans) if node.primitive.multiple else 1
            if any(slot + i in reached for i in range(count)):
                reached.add(slot)
                reached.update(s for s in node.slots if s >= 0)
    return reached
