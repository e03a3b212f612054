"""Tapes as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count, product
from keyword import iskeyword
from string import ascii_lowercase
from typing import Any

import numpy as np

from .tape import Node, Tape
from .tensor import aval_of

HIDDEN = ("linear", "saved", "rule")  # what a recorded operation holds for its own backward pass


def letters(taken: Iterable[str]) -> Iterator[str]:
    """a, b, ..., z, aa, ab, ... without the names that are taken, and Python's own words (as, if, in, is, or)."""
    taken = set(taken)
    for length in count(1):
        for found in product(ascii_lowercase, repeat=length):
            name = "".join(found)
            if name not in taken and not iskeyword(name):
                yield name


def slot_names(tape: Tape, taken: Iterable[str] = ()) -> dict[int, str]:
    """A name for each slot: the one that the traced code used, else a letter that is none of these, nor ``taken``."""
    names = dict(tape.names)
    unused = letters({*names.values(), *taken})
    used = {slot for node in tape.nodes if node for slot in node.slots} | {slot for slot, _ in tape.outputs}
    for slot in range(len(tape.nodes)):
        node = tape.nodes[slot]
        if slot not in names and (node is not None or slot in used or slot in tape.inputs):
            names[slot] = next(unused)
    return names


def format_tape(tape: Tape, title: str = "tape", indent: str = "") -> str:
    """The tape as one line for each operation, in order."""
    names = slot_names(tape)
    avals = slot_avals(tape)
    declared = ", ".join(f"{names[s]}: {avals[s]!r}" if s in avals else names[s] for s in tape.inputs)
    held = ", ".join(f"{names[s]}: {aval_of(value)!r}" for s, value in tape.consts.items())
    lines = [f"{indent}{title}({declared}{'; captured ' + held if held else ''}):"]
    for slot, node in enumerate(tape.nodes):
        if node is not None:
            lines.extend(_format_node(slot, node, names, indent + "    "))
    results = [names[slot] if slot >= 0 else _literal(value) for slot, value in tape.outputs]
    if tape.outputs:
        lines.append(f"{indent}    return {', '.join(results)}")
    return "\n".join(lines)


def slot_avals(tape: Tape) -> dict[int, Any]:
    """What is known of each slot, from where it was made or used."""
    avals = {}
    for slot, node in enumerate(tape.nodes):
        if node is None:
            continue
        for s, value in zip(node.slots, node.args, strict=True):
            if s >= 0:
                avals[s] = aval_of(value)
        for i, value in enumerate(node.ans if node.primitive.multiple else [node.ans]):
            avals[slot + i] = aval_of(value)
    avals.update({slot: aval_of(value) for slot, value in tape.outputs if slot >= 0})
    avals.update(getattr(tape, "input_avals", {}))
    return avals


def _format_node(slot: int, node: Node, names: dict[int, str], indent: str) -> list[str]:
    answers = node.ans if node.primitive.multiple else [node.ans]
    made = ", ".join(f"{names.get(slot + i, '_')}: {aval_of(value)!r}" for i, value in enumerate(answers))
    given = ", ".join(names[s] if s >= 0 else _literal(v) for s, v in zip(node.slots, node.args, strict=True))
    inner = {k: getattr(v, "tape", v) for k, v in node.options.items() if isinstance(getattr(v, "tape", v), Tape)}
    plain = {k: v for k, v in node.options.items() if k not in inner and k not in HIDDEN}
    settings = " ".join(f"{key}={value!r}" for key, value in plain.items())
    lines = [f"{indent}{made} = {node.primitive.name}({given}){' ' + settings if settings else ''}"]
    lines.extend(format_tape(part, key, indent + "    ") for key, part in inner.items())
    return lines


def _literal(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.ndim:
        return repr(aval_of(value))
    return repr(value.item()) if isinstance(value, (np.ndarray, np.generic)) else repr(value)
