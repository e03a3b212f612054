"""What tapes hold in memory for the backward pass, by line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..tape import Node, ReverseTape
from ..tensor import Tensor
from .places import Place, name_of


class Held(NamedTuple):
    """What one operation of one line holds.

    Attributes
    ----------
    place : Place or None
        The line, None where no line of the user's was found.
    operation : str
        What holds it: an operation; the arguments of the function that is differentiated; arrays that an operation
        captured.
    name : str
        For what a loop keeps, the name of the variable of its step, as the printed plan has it.
    shape : tuple of int
        Of the largest array.
    bytes, arrays : int
    """

    place: Place | None
    operation: str
    name: str
    shape: tuple[int, ...]
    bytes: int
    arrays: int


class Loop(NamedTuple):
    """What a loop keeps for its backward pass, and would keep with ``checkpoint="sqrt"``."""

    place: Place | None
    steps: int
    kept: int
    checkpointed: int


class TapeMemory:
    """The report of :func:`tapegrad.tape_memory`; ``print`` shows it as a table.

    Attributes
    ----------
    total : int
        The bytes that were held when the tape was fullest, which is where the forward pass ended. An array that several
        operations hold, or of which they hold views, counts once.
    rows : list of Held
        The largest first.
    loops : list of Loop
    """

    def __init__(self) -> None:
        self.total = 0
        self.rows: list[Held] = []
        self.loops: list[Loop] = []

    def look(self, tapes: Sequence[ReverseTape]) -> None:
        """Take note of what the open tapes hold, if it is more than before."""
        seen: set[int] = set()
        rows: dict[tuple, list[Any]] = {}
        loops: list[Loop] = []
        total = 0
        for tape in tapes:
            for slot, node in enumerate(tape.nodes):
                if node is None:
                    continue
                place = tape.places.get(slot)
                if "saved" in node.options:
                    loops.append(_loop(place, node))
                for operation, name, value in _arrays(node):
                    array = _owner(value)
                    if array is None or id(array) in seen:
                        continue
                    seen.add(id(array))
                    size = _bytes(array)
                    total += size
                    line = place and (place.file, place.line)
                    row = rows.setdefault((line, operation, name), [place, array.shape, 0, 0])
                    row[1] = max(row[1], array.shape, key=math.prod)
                    row[2] += size
                    row[3] += 1
        if total > self.total:
            found = [Held(row[0], key[1], key[2], *row[1:]) for key, row in rows.items()]
            self.total, self.loops = total, loops
            self.rows = sorted(found, key=lambda row: -row.bytes)

    def __str__(self) -> str:
        if not self.rows:
            return "no tape was recorded: take a gradient inside the `with` block"
        arrays = sum(row.arrays for row in self.rows)
        lines = [f"{_size(self.total):>9}       held for the backward pass, in {arrays} arrays"]
        for row in self.rows:
            count = f"{row.arrays} x " if row.arrays > 1 else ""
            name = f" {row.name}" if row.name else ""
            where = str(row.place) if row.place is not None else "an unknown line"
            shape = f"{count}{list(row.shape)}".replace(" ]", "]")
            lines.append(f"{_size(row.bytes):>9} {row.bytes / self.total:4.0%}  {row.operation}{name} {shape}  {where}")
        lines += [
            f'checkpoint="sqrt" on the loop of {loop.steps} steps would keep about {_size(loop.checkpointed)} instead '
            f"of {_size(loop.kept)}, for one more forward pass  {loop.place or ''}"
            for loop in self.loops
            if loop.checkpointed < loop.kept
        ]
        return "\n".join(lines)

    __repr__ = __str__


def _arrays(node: Node) -> Iterator[tuple[str, str, Any]]:
    """All that an operation holds: what holds it, the name in a loop, and the value."""
    operation = name_of(node.primitive, node.options)
    for value, slot in zip(node.args, node.slots, strict=True):
        # What was made by an operation before has been counted there.
        yield ("arguments" if slot >= 0 else f"captured by {operation}"), "", value
    if "saved" in node.options:
        for name, value in zip(residual_names(node), node.options["saved"], strict=True):
            yield operation, f"keeps {name}", value
    for value in node.ans if node.primitive.multiple else (node.ans,):
        yield operation, "", value


def residual_names(node: Node) -> list[str]:
    """What the arrays are called in the step that a loop keeps for its backward pass."""
    forward, step = node.options["linear"].forward, node.options["step"]
    cut = step.state + step.ys
    outputs = forward.tape.outputs[cut : cut + forward.residuals]
    return [forward.tape.names.get(slot, "an unnamed value") for slot, _ in outputs]


def _loop(place: Place | None, node: Node) -> Loop:
    """What a loop keeps now, and what it would keep in chunks of about the square root of its length."""
    step, steps = node.options["step"], node.options["length"]
    kept = sum(_bytes(array) for value in node.options["saved"] if (array := _owner(value)) is not None)
    if any(inner is not None and inner.primitive.family == "control" for inner in step.tape.nodes):
        return Loop(place, steps, kept, kept)  # a loop over chunks, or one that computes again already
    every = max(1, math.isqrt(steps))
    states = [_owner(value) for value in node.ans[: step.state]]
    state = sum(value.nbytes for value in states if value is not None)
    return Loop(place, steps, kept, math.ceil(kept * every / max(steps, 1)) + state * math.ceil(steps / every))


def _owner(value: Any) -> np.ndarray | None:
    """The array that the memory of a value belongs to; None for numbers and for what has no value."""
    while isinstance(value, Tensor):
        value = value.value
    if not isinstance(value, np.ndarray):
        return None
    while True:
        base = value.base
        if not isinstance(base, np.ndarray):
            base = getattr(base, "base", None)  # of what NumPy puts between an array and its windows
        if not isinstance(base, np.ndarray):
            return value
        value = base


def _bytes(array: np.ndarray) -> int:
    """The memory of an array: less than its elements where one stands for many."""
    low, high = np.lib.array_utils.byte_bounds(array)
    return min(array.nbytes, high - low)


def _size(count: int) -> str:
    """Bytes, in the unit that fits."""
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024 or unit == "MiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
