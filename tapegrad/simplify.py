"""Tapes made smaller: what is computed twice is computed once, what nobody reads not at all, and a few forms that
people write are recognised as the primitive that they are.

A rewrite changes no value, apart from rounding and from what overflows on the way to a value that does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from .dependence import subtape
from .parting import parted
from .primitives import elementwise as ew
from .primitives.registry import Primitive
from .structure import literal_key, option_key
from .tape import AbstractTape, Node


def simplified(tape: AbstractTape) -> AbstractTape:
    """A tape with the same inputs, outputs and names that does no more than it must; the given one is used up."""
    nodes, moved = _shared(tape)
    part = subtape(tape, nodes, tape.inputs, [(moved.get(slot, slot), value) for slot, value in tape.outputs])
    forms = Forms(part)
    for slot in range(len(part.nodes)):
        for form in FORMS:
            form(forms, slot)
    return parted(subtape(part, part.nodes, part.inputs, part.outputs) if forms.changed else part)


def _shared(tape: AbstractTape) -> tuple[list[Node | None], dict[int, int]]:
    """The nodes with what is computed again left out, and where it is computed first."""
    nodes: list[Node | None] = [None] * len(tape.nodes)
    moved: dict[int, int] = {}
    first: dict[Any, int] = {}
    for slot, node in enumerate(tape.nodes):
        if node is None:
            continue
        slots = [moved.get(s, s) for s in node.slots]
        literals = tuple([literal_key(v) for s, v in zip(slots, node.args, strict=True) if s < 0])
        options = tuple([(name, option_key(value)) for name, value in sorted(node.options.items())])
        at = first.setdefault((id(node.primitive), tuple(slots), literals, options), slot)
        if at == slot:
            nodes[slot] = node._replace(slots=slots)
            continue
        for i in range(len(node.ans) if node.primitive.multiple else 1):
            moved[slot + i] = at + i
            if slot + i in tape.names:  # the first name that the code gave it
                tape.names.setdefault(at + i, tape.names.pop(slot + i))
    return nodes, moved


class Forms:
    """A tape in which forms are looked for.

    Attributes
    ----------
    uses : Counter
        How often each slot is read, as an argument or an output.
    changed : bool
        Whether a form was found.
    """

    def __init__(self, tape: AbstractTape):
        self.tape, self.changed = tape, False
        self.uses = Counter(slot for slot, _ in tape.outputs)
        self.uses.update([slot for node in tape.nodes if node is not None for slot in node.slots])

    def made_by(self, primitive: Primitive, slot: int) -> Node | None:
        """The node that makes a slot, if it is of this primitive."""
        node = self.tape.nodes[slot] if slot >= 0 else None
        return node if node is not None and node.primitive is primitive else None

    def only(self, primitive: Primitive, slot: int) -> Node | None:
        """The same, if the slot is read once: what is written instead then makes it superfluous."""
        return self.made_by(primitive, slot) if self.uses[slot] == 1 else None

    def write(self, slot: int, primitive: Primitive, of: int) -> None:
        """Make a slot by a function of one argument, which has the shape and dtype of the result."""
        self.changed = True
        aval = self.tape.aval(of)
        self.tape.nodes[slot] = Node(primitive, [aval], [of], {}, aval)


def _is_one(node: Node, i: int) -> bool:
    return node.slots[i] < 0 and getattr(node.args[i], "shape", ()) == () and bool(node.args[i] == 1)


def logistic_form(forms: Forms, slot: int) -> None:
    """1 / (1 + exp(u)) is logistic(-u), whose derivative is finite where exp(u) overflows."""
    quotient = forms.made_by(ew.divide, slot)
    total = forms.only(ew.add, quotient.slots[1]) if quotient is not None and _is_one(quotient, 0) else None
    if quotient is None or total is None or not (_is_one(total, 0) or _is_one(total, 1)):
        return
    power = forms.only(ew.exp, total.slots[1 if _is_one(total, 0) else 0])
    u = power.slots[0] if power is not None else -1
    if u < 0 or forms.tape.aval(u) != quotient.ans:
        return
    minus = forms.made_by(ew.negative, u)
    if minus is None:  # the slot of the sum is free
        forms.write(quotient.slots[1], ew.negative, u)
    forms.write(slot, ew.logistic, quotient.slots[1] if minus is None else minus.slots[0])


FORMS: tuple[Callable[[Forms, int], None], ...] = (logistic_form,)
