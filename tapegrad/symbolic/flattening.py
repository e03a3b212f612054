"""Steps that call: checkpoints and loops within a step are written out, operation by operation.

What they compute is mathematics as any other, and a name for the whole of it would say nothing. A custom rule stays one
operation, since the derivative belongs to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.rules import Call
from tapegrad.scan_primitive import Scan
from tapegrad.tape import AbstractTape, Node
from tapegrad.tensor import apply
from tapegrad.tracing import trace_flat

LONGEST = 2000  # operations of an inner loop that are written out


def flattened(tape: AbstractTape) -> AbstractTape:
    """The same tape, with the names of its slots, without checkpoints and without loops of fixed length."""
    if not any(node is not None and is_written_out(node) for node in tape.nodes):
        return tape
    places: dict[int, Any] = {}

    def again(inputs: list[Any]) -> list[Any]:
        env = dict(zip(tape.inputs, inputs, strict=True))
        results = carried_out(tape, env)
        places.update({slot: value.slot for slot, value in env.items() if getattr(value, "owner", None) is not None})
        return results

    made = trace_flat(again, [tape.aval(slot) for slot in tape.inputs])
    made.structures = tape.structures
    made.names = {places[slot]: name for slot, name in tape.names.items() if slot in places}
    made.aliases = {places[slot]: names for slot, names in tape.aliases.items() if slot in places}
    return made


def is_written_out(node: Node) -> bool:
    """Whether an operation is replaced by those that it consists of."""
    options = node.options
    if isinstance(node.primitive, Scan):
        return 0 < options["length"] and options["length"] * len(options["step"].tape.nodes) <= LONGEST
    return isinstance(node.primitive, Call) and options.get("rule") is None


def carried_out(tape: AbstractTape, env: dict[int, Any]) -> list[Any]:
    """The results of a tape, from its inputs in ``env``, to which the values of all slots are added."""
    env.update(tape.consts)
    read = {s for node in tape.nodes if node is not None for s in node.slots} | {slot for slot, _ in tape.outputs}
    for slot, node in enumerate(tape.nodes):
        if node is None:
            continue
        values = [v if s < 0 else env[s] for s, v in zip(node.slots, node.args, strict=True)]
        if not is_written_out(node):
            ans = apply(node.primitive, values, node.options)
        elif isinstance(node.primitive, Scan):
            ans = rounds(values, node.options, [slot + i in read for i in range(len(node.ans))])
        else:
            ans = carried_out(node.options["tape"], dict(zip(node.options["tape"].inputs, values, strict=True)))
        for i, value in enumerate(ans if node.primitive.multiple else [ans]):
            env[slot + i] = value
    return [value if slot < 0 else env[slot] for slot, value in tape.outputs]


def rounds(values: Sequence[Any], options: dict, read: list[bool]) -> list[Any]:
    """The results of a loop, one round after the other; None for ys that nobody reads."""
    step, length = options["step"], options["length"]
    cut = step.params + step.state
    params, state, xs = list(values[: step.params]), list(values[step.params : cut]), values[cut:]
    ys: list[list[Any]] = [[] for _ in range(step.ys)]
    sums: list[Any] = [None] * step.sums
    for t in reversed(range(length)) if options["reverse"] else range(length):
        inputs = [*params, *state, *[x[t] for x in xs]]
        made = carried_out(step.tape, dict(zip(step.tape.inputs, inputs, strict=True)))
        state = made[: step.state]
        for kept, y in zip(ys, made[step.state :], strict=False):
            kept.insert(0, y) if options["reverse"] else kept.append(y)
        new = made[step.state + step.ys :]
        sums = [b if a is None else a + b for a, b in zip(sums, new, strict=True)]
    stacked = [np.stack(kept) if wanted else None for kept, wanted in zip(ys, read[step.state :], strict=False)]
    return [*state, *stacked, *sums]
