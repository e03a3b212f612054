"""The loss of one step, and its derivative by the outputs, read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad import pytree
from tapegrad.errors import OptionError, ShapeError
from tapegrad.tape import AbstractTape
from tapegrad.tracing import trace
from tapegrad.transforms import grad

from .constants import zeros
from .expressions import TIME, Value, replaced
from .naming import plain
from .reading import Reader, matrix_shape
from .subject import Subject, float64


def loss_gradients(subject: Subject, loss: Callable | None, target: Any) -> tuple[dict[Value, Any], list[Value]]:
    """The derivative of the loss at t by each output, in place of its symbol, and the symbols of the target.

    Nothing without a loss.
    """
    if loss is None:
        if target is not None:
            raise OptionError("derive: target= is what a loss compares with; give loss= too, or leave target out")
        return {}, []
    if not callable(loss):
        raise OptionError(f"derive: loss={loss!r}, expected a function (y, target) -> array (B,)")
    if target is None:
        raise OptionError("derive: a loss needs an example of its target; give target=np.zeros((1, ...))")
    rows, target = subject.rows, float64(target)
    if any(np.ndim(leaf) == 0 for leaf in pytree.leaves(target)):
        raise ShapeError("derive: target= holds a number without axes; give rows of one step: np.zeros((1, ...))")
    target = pytree.map(lambda a: np.broadcast_to(a[:1], (rows, *a.shape[1:])), target)
    outputs = [np.broadcast_to(0.0, subject.tape.aval(slot).shape) for slot in subject.outputs]
    structure = subject.structures[3]

    def total(flat: list, target: Any) -> Any:
        return np.sum(loss(structure.unflatten(flat), target))

    try:
        tape = trace(grad(total))(outputs, target)
    except ShapeError as error:
        raise ShapeError(_without_rows(error, [*outputs, *pytree.leaves(target)], len(outputs), rows)) from None
    names = trace(loss)(structure.unflatten(outputs), target)
    check_rows(names, rows)
    called = [names.names[slot] for slot in names.inputs][len(outputs) :]
    reader = Reader(tape, rows, {}, subject.constants, backward=True)
    leaves: dict[int, Any] = dict(zip(tape.inputs, subject.output_symbols, strict=False))
    known = len(leaves)
    for slot, name in zip(tape.inputs[known:], called, strict=True):
        shape = matrix_shape(reader.layout(tape.aval(slot)).features)
        leaves[slot] = Value(subject.unique(plain(name, "target")), shape, TIME, "input")
    targets = [leaves[slot] for slot in tape.inputs[known:]]
    reader = Reader(tape, rows, leaves, subject.constants, backward=True)
    folds = subject.folds()
    found = {}
    for symbol, (slot, _) in zip(subject.output_symbols, tape.outputs, strict=True):
        shape = tuple(symbol.shape)
        found[symbol.as_role("direct")] = replaced(reader.read(slot), folds) if slot >= 0 else zeros(shape)
    return found, targets


def check_rows(tape: AbstractTape, rows: int) -> None:
    """A loss of one step is one number for each row, or their sum; a mean would depend on how many there are."""
    shape = np.shape(tape.outputs[0][1]) if len(tape.outputs) == 1 else None
    literals = [
        v for node in tape.nodes if node is not None for s, v in zip(node.slots, node.args, strict=True) if s < 0
    ]
    averaged = [v for v in literals if np.ndim(v) == 0 and v != 0 and v % rows == 0]
    if shape not in ((), (rows,)) or averaged:
        came = "averages over the rows of a batch" if averaged else "returned something else"
        raise OptionError(
            f"derive: the loss {came}; expected one number for each row, (B,), or their sum: of the features take "
            "np.mean(..., axis=-1), say"
        )


def _without_rows(error: ShapeError, arrays: list, outputs: int, rows: int) -> str:
    """What does not fit, in shapes with B rows: the number of rows of the tape is nobody's but ours."""
    shapes = [str(array.shape).replace(str(rows), "B", 1) for array in arrays]
    return (
        f"derive: the loss does not take an output of shape {', '.join(shapes[:outputs])} with a target of shape "
        f"{', '.join(shapes[outputs:])}: {str(error).replace(str(rows), 'B')}; give an example of one step's target, "
        "target=np.zeros((1, ...))"
    )
