"""A step's tape without calls: what a call repeats or postpones is done where it stands."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.rules import Call
from tapegrad.tape import AbstractTape
from tapegrad.tensor import aval_of


def inlined(tape: AbstractTape) -> AbstractTape:
    """The tape with every call replaced by what it does, and arrays among its results as constants.

    Results keep their order, not the numbers of their slots.
    """
    calls = any(node is not None and isinstance(node.primitive, Call) for node in tape.nodes)
    if not calls and not any(s < 0 and aval_of(v).shape for s, v in tape.outputs):
        return tape
    flat = AbstractTape()
    moved = {slot: (flat.input(tape.aval(slot)).slot, None) for slot in tape.inputs}
    for slot, const in tape.consts.items():
        moved[slot] = _constant(flat, const)
    flat.outputs = [
        (slot, value if slot < 0 else flat.aval(slot))
        for slot, value in [
            _constant(flat, v) if s < 0 and aval_of(v).shape else (s, v) for s, v in _copied(tape, flat, moved)
        ]
    ]
    flat.names = {moved[s][0]: name for s, name in tape.names.items() if s in moved and moved[s][0] >= 0}
    flat.close()
    return flat


def _constant(flat: AbstractTape, value: Any) -> tuple[int, None]:
    return flat.capture(np.asarray(value)).slot, None


def _copied(tape: AbstractTape, flat: AbstractTape, moved: dict[int, tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Write the operations of a tape onto another; gives the slot, or the literal, of each result."""
    for slot, node in enumerate(tape.nodes):
        if node is None:
            continue
        given = [moved[s] if s >= 0 else (-1, v) for s, v in zip(node.slots, node.args, strict=True)]
        if isinstance(node.primitive, Call):
            inner = node.options["tape"]
            arguments = [(s, v) if s >= 0 else _constant(flat, v) for s, v in given]
            within: dict[int, tuple[int, Any]] = dict(zip(inner.inputs, arguments, strict=True))
            within.update({s: _constant(flat, value) for s, value in inner.consts.items()})
            made = _copied(inner, flat, within)
        else:
            args = [flat.aval(s) if s >= 0 else v for s, v in given]
            kept = flat.record(node.primitive, args, [s for s, _ in given], node.options, node.ans)
            made = [(t.slot, None) for t in (kept if node.primitive.multiple else [kept])]
        for i, pair in enumerate(made):
            moved[slot + i] = pair
    return [moved[s] if s >= 0 else (-1, v) for s, v in tape.outputs]
