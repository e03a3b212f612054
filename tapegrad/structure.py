"""When two tapes are the same: keys for what is derived from a tape, and for what is compiled from it.

With its numbers, the key says that all that follows from one tape follows from the other: :func:`interned` then keeps
the first. Without them it says that one compiled loop serves both, with the numbers as arguments.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .caches import Bounded
from .tape import AbstractTape

FLOATS = (float, np.floating)


def structure_key(tape: AbstractTape, numbers: list[Any] | None = None) -> tuple:
    """A hashable key of a tape.

    Parameters
    ----------
    tape : AbstractTape
    numbers : list, optional
        Floating literals are appended here, in order, and left out of the key; without it they are part of it.
    """
    nodes = []
    for slot, node in enumerate(tape.nodes):
        if node is not None:
            literals = tuple([literal_key(v, numbers) for s, v in zip(node.slots, node.args, strict=True) if s < 0])
            options = tuple([(name, option_key(value)) for name, value in sorted(node.options.items())])
            nodes.append((slot, id(node.primitive), tuple(node.slots), literals, options))
    outputs = tuple([(s, None if s >= 0 else literal_key(v, numbers)) for s, v in tape.outputs])
    inputs = tuple([(s, tape.aval(s)) for s in tape.inputs])
    consts = tuple([(s, id(value)) for s, value in tape.consts.items()])
    return tuple(nodes), inputs, outputs, consts, tuple(tape.names.items())


def literal_key(value: Any, numbers: list[Any] | None = None) -> Any:
    """A hashable key of an argument that is no slot; see :func:`structure_key` for ``numbers``."""
    if numbers is not None and isinstance(value, FLOATS):
        numbers.append(value)
        return type(value)
    array = np.asarray(value)
    return type(value), array.shape, array.dtype, array.tobytes()


def option_key(value: Any) -> Any:
    """A hashable key of an option of an operation."""
    tape = getattr(value, "tape", value)
    if isinstance(tape, AbstractTape):
        counts = tuple([v for v in vars(value).values() if isinstance(v, int)]) if tape is not value else ()
        return structure_key(tape), counts
    if isinstance(value, (tuple, list)):
        return tuple([option_key(item) for item in value])
    if isinstance(value, slice):
        return "slice", value.start, value.stop, value.step
    try:
        hash(value)
    except TypeError:
        return id(value)
    return type(value), value


_seen: Bounded[tuple, Any] = Bounded()


def interned(step: Any) -> Any:
    """The first step with an equal tape and ports: what was derived from it need not be derived again."""
    if step.tape.consts:
        return step
    key = structure_key(step.tape), step.params, step.state, step.xs, step.ys, step.sums
    return _seen.get(key) or _seen.keep(key, step)
