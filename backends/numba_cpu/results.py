"""From what the loop wrote to the results of a scan; what can be known before a call is decided once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .binding import Block, Program, Result


@dataclass(slots=True)
class Call:
    """What one call holds when its loop has ended.

    Attributes
    ----------
    args : sequence of array
    fixed : dict
        The values of slots that follow from the parameters.
    final, kept : list of array
        Final states and outputs, as the loop wrote them.
    totals : dict of str to array
        Sums over rows and time.
    length, count : int
        The numbers of steps and rows.
    """

    args: Sequence[Any]
    fixed: dict[int, Any]
    final: list[np.ndarray]
    kept: list[np.ndarray]
    totals: dict[str, np.ndarray]
    length: int
    count: int


Maker = Callable[[Call], Any]


def maker(program: Program, result: Result) -> Maker:
    """The function that makes a result."""
    what, dtype = result.what, result.dtype
    if result.kind == "next":
        return lambda call: _tape_form(_with_rows(call.final[what], result, call.count), result, 0)
    if result.kind == "y":
        if not result.axis and program.outputs[what][2] == dtype:
            return lambda call: call.kept[what]
        return lambda call: _tape_form(call.kept[what], result, 1)
    if result.kind == "x":
        return lambda call: np.array(call.args[what])
    if result.kind == "sum":
        return _sum_maker(program, result)
    constant: Maker = (lambda call: what) if result.kind == "literal" else (lambda call: call.fixed[what])
    shape = result.aval.shape
    if result.late:
        return lambda call: np.array(np.broadcast_to(constant(call), (call.length, *shape)), dtype)
    return lambda call: np.array(call.length * np.asarray(constant(call)), dtype)


def _with_rows(flat: np.ndarray, result: Result, count: int) -> np.ndarray:
    return flat.reshape((count, *result.shape) if result.rowed else result.shape)


def _tape_form(made: np.ndarray, result: Result, lead: int) -> Any:
    """Rows where the tape has them, and the tape's dtype."""
    if result.axis:
        made = np.moveaxis(made, lead, lead + result.axis)
    if made.dtype != result.dtype:
        made = made != 0 if result.dtype.kind == "b" else made.astype(result.dtype)
    return made if made.ndim else made[()]


# ---- sums over time ----
def _sum_maker(program: Program, result: Result) -> Maker:
    slot, shape, dtype = result.what, result.aval.shape, result.dtype
    block = program.blocks.get(slot)
    if block is not None and not block.rowed and block.turned is None and not result.again and shape:
        name, start, rows, columns, first, number = block.place
        stop = start + rows * columns
        if number == columns:
            return lambda call: call.totals[name][start:stop].reshape(shape)
        last = first + number
        return lambda call: call.totals[name][start:stop].reshape(rows, columns)[:, first:last].copy().reshape(shape)
    return lambda call: np.array(np.reshape(_total(program, slot, call), shape), dtype)


def _total(program: Program, slot: int, call: Call) -> Any:
    """A sum over time, or what follows linearly from sums."""
    block = program.blocks.get(slot)
    if block is not None:
        return _block(block, call)
    if slot in call.fixed:
        return call.fixed[slot]
    node: Any = program.tape.nodes[slot]
    values = [v if s < 0 else _total(program, s, call) for s, v in zip(node.slots, node.args, strict=True)]
    return node.primitive.run(*values, **node.options)


def _block(block: Block, call: Call) -> np.ndarray:
    """A sum out of the array that it lies in, with the axes that the tape gives it."""
    name, start, rows, columns, first, number = block.place
    if block.rowed:
        start, columns, number = start * call.count, columns * call.count, number * call.count
    found = call.totals[name][start : start + rows * columns]
    if number != columns:
        found = found.reshape(rows, columns)[:, first : first + number]
    found = found.reshape((call.count, *block.shape) if block.rowed else block.shape)
    if block.turned is not None:
        return found.transpose(block.turned)
    return np.moveaxis(found, 0, block.axis) if block.axis else found
