"""A traced step with some of its values replaced by others: what is downstream of them, apart from their making."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import pytree
from ..simplify import simplified
from ..tape import AbstractTape
from ..tensor import apply
from ..tracing import trace


def outcomes(tape: AbstractTape, args: Sequence[Any], replaced: Mapping[int, Any], wanted: Sequence[int]) -> list[Any]:
    """The values of slots of a tape, where some slots hold what is given instead of what the tape computes.

    Parameters
    ----------
    tape : AbstractTape
    args : sequence
        One value for each input of the tape.
    replaced : dict of int to array or Tensor
        By slot. Whatever reads the slot reads this.
    wanted : sequence of int
        Slots; those that are replaced themselves are given as the tape computes them.
    """
    env: dict[int, Any] = dict(tape.consts)
    env.update(zip(tape.inputs, args, strict=True))
    made: dict[int, Any] = {slot: env[slot] for slot in wanted if slot in env}
    env.update(replaced)
    needed = _needed(tape, replaced, wanted)
    for slot, node in enumerate(tape.nodes):
        if node is None or slot not in needed:
            continue
        values = [value if s < 0 else env[s] for s, value in zip(node.slots, node.args, strict=True)]
        answer = apply(node.primitive, values, node.options)
        for place, value in enumerate(answer if node.primitive.multiple else [answer], slot):
            made[place] = value
            env[place] = replaced.get(place, value)
    return [made[slot] for slot in wanted]


def _needed(tape: AbstractTape, replaced: Mapping[int, Any], wanted: Sequence[int]) -> set[int]:
    """The nodes that have to be computed for the wanted slots."""
    needed: set[int] = set()
    stack = list(wanted)
    while stack:
        slot = stack.pop()
        if slot in tape.input_avals or slot in tape.consts:
            continue
        while tape.nodes[slot] is None:
            slot -= 1
        if slot not in needed:
            needed.add(slot)
            read = tape.nodes[slot].slots  # type: ignore[union-attr]
            stack.extend(s for s in read if s >= 0 and s not in replaced)
    return needed


def output_of_new_state(
    step: Callable, params: Any, state: Any, x: Any, floating: Sequence[int]
) -> tuple[Callable, list[Any]]:
    """The output of a step as a function of the floating leaves of its new state, as far as it is computed from them.

    Returns
    -------
    function : callable
        From a list of the leaves to y.
    leaves : list
        The new state.
    """
    tape = trace(step)(params, state, x)
    new, y_structure = tape.structures[1].children  # of the pair that a step returns
    tape = simplified(tape)  # an output that is computed again is the state all the same
    args = pytree.leaves((params, state, x))
    slots = [slot for slot, _ in tape.outputs]
    held = [slots[position] for position in floating]
    computed = [slot for slot in held if slot >= 0]
    values = dict(zip(computed, outcomes(tape, args, {}, computed), strict=True))
    leaves = [values[s] if s >= 0 else tape.outputs[p][1] for s, p in zip(held, floating, strict=True)]

    def output(moving: Sequence[Any]) -> Any:
        # Where two leaves are one value, its readers read the first.
        replaced = {slot: value for slot, value in reversed(list(zip(held, moving, strict=True))) if slot >= 0}
        found = []
        for slot, value in tape.outputs[new.size :]:
            if slot in replaced:
                found.append(replaced[slot])
            else:
                found.append(outcomes(tape, args, replaced, [slot])[0] if slot >= 0 else value)
        return y_structure.unflatten(found)

    return output, leaves
