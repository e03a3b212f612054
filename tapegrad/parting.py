"""Products of joined operands, taken apart: ``[x, h] @ W`` is ``x @ W[:m] + h @ W[m:]``.

What is joined only to be multiplied need not be joined. The products of the inputs can then be done for many steps
together, and nothing is copied at each step.
"""

from __future__ import annotations

from typing import Any

from .dependence import subtape
from .primitives.contract import contract, product
from .primitives.shaping import concatenate
from .tape import AbstractTape, Node
from .tensor import apply, opened

MOST = 4  # operands in one: many small products are slower than one of what was joined


def parted(tape: AbstractTape) -> AbstractTape:
    """A tape with the same inputs, outputs and names, in which no product reads joined operands along a summed axis."""
    found = {slot: i for slot, node in enumerate(tape.nodes) if node and (i := _joined(tape, node)) is not None}
    if not found:
        return tape
    with opened(AbstractTape()) as made:
        env: list[Any] = [None] * len(tape.nodes)
        for slot in tape.inputs:
            env[slot] = made.input(tape.aval(slot))
        for slot, value in tape.consts.items():
            env[slot] = made.capture(value)
        for slot, node in enumerate(tape.nodes):
            if node is None:
                continue
            if slot in found:
                env[slot] = _sum_of_products(tape, env, node, found[slot])
                continue
            values = [value if s < 0 else env[s] for s, value in zip(node.slots, node.args, strict=True)]
            ans = apply(node.primitive, values, node.options)
            env[slot : slot + (len(ans) if node.primitive.multiple else 1)] = ans if node.primitive.multiple else [ans]
    made.outputs = [(slot, value) if slot < 0 else (env[slot].slot, env[slot].value) for slot, value in tape.outputs]
    made.names = {env[slot].slot: name for slot, name in tape.names.items()}
    return subtape(made, made.nodes, made.inputs, made.outputs)


def _parts(tape: AbstractTape, slot: int) -> Node | None:
    node = tape.nodes[slot] if slot >= 0 else None
    return node if node is not None and node.primitive is concatenate else None


def _joined(tape: AbstractTape, node: Node) -> int | None:
    """Which operand of a product is joined along an axis that is summed."""
    if node.primitive is not contract:
        return None
    spec = node.options["spec"]
    for i, labels in enumerate((spec.left, spec.right)):
        made = _parts(tape, node.slots[i])
        if made is not None and labels[made.options["axis"]] in spec.summed and len(made.args) <= MOST:
            # Arrays of several dtypes are converted when they are joined.
            return i if all(part.dtype == made.ans.dtype for part in made.args) else None
    return None


def _sum_of_products(tape: AbstractTape, env: list[Any], node: Node, i: int) -> Any:
    spec, made = node.options["spec"], tape.nodes[node.slots[i]]
    assert made is not None
    joined, other = (spec.left, spec.right) if i == 0 else (spec.right, spec.left)
    axis, start, total = other.index(joined[made.options["axis"]]), 0, None
    for slot, part in zip(made.slots, made.args, strict=True):
        stop = start + part.shape[made.options["axis"]]
        pair = [env[slot], _cut(tape, env, node.slots[1 - i], axis, start, stop)]
        term = product(pair[i], pair[1 - i], spec.left, spec.right, spec.out)
        total = term if total is None else total + term
        start = stop
    return total


def _cut(tape: AbstractTape, env: list[Any], slot: int, axis: int, start: int, stop: int) -> Any:
    """A part of an operand; what was joined there, if that is the part."""
    made, begun = _parts(tape, slot), 0
    if made is not None and made.options["axis"] == axis:
        for of, part in zip(made.slots, made.args, strict=True):
            if (begun, begun + part.shape[axis]) == (start, stop) and part.dtype == made.ans.dtype:
                return env[of]
            begun += part.shape[axis]
    return env[slot][(slice(None),) * axis + (slice(start, stop),)]
