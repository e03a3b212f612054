"""Names that a loop and its backward loop share, so that what one keeps is found in the other.

They are for readers only: no value depends on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, count
from typing import TYPE_CHECKING

from .dependence import sources
from .printing import letters
from .tensor import Tensor

if TYPE_CHECKING:
    from .residuals import Joint


def shared_names(joint: Joint, residuals: Sequence[int]) -> dict[int, str]:
    """Names of all that both loops know: inputs, ys, residuals, and what the backward loop computes again.

    Parameters
    ----------
    joint : Joint
    residuals : sequence of int
        The slots that are kept.

    Returns
    -------
    dict of int to str
        For slots before the mark, the name that the code of the step gave, else the letter of the forward loop.
    """
    step, tape = joint.step, joint.tape
    outs = [value.slot for value in joint.primal if isinstance(value, Tensor)]
    done = sources(tape, [*outs, *residuals], set()) | set(tape.inputs[: len(joint.inputs)])
    names, unused = dict(tape.names), letters(tape.names.values())
    for slot in sorted(done):
        if slot not in names:
            names[slot] = next(unused)
    ys = [value.slot for value in joint.primal[step.state : step.state + step.ys] if isinstance(value, Tensor)]
    read = sources(tape, [slot for slot, _ in joint.pulled.values()], set(residuals))
    shared = {*tape.inputs[: len(joint.inputs)], *ys, *read}  # the residuals among them
    return {slot: names[slot] for slot in sorted(shared & done)}


def name_cotangents(joint: Joint) -> None:
    """The cotangent of h is called dh.

    A state's is what comes from the steps that follow; where h is an output as well, what comes from the output of
    this step is "dh here", and from what was kept of it for a backward loop "dh kept".
    """
    step, found = joint.step, joint.tape.names
    slots, cut = [slot for slot, _ in step.tape.outputs], step.state + step.ys
    called = {slot: name for slot, name in step.tape.names.items() if slot in slots}
    for k in range(step.state):  # a new state without a name is called after the old one
        old = step.tape.names.get(step.tape.inputs[step.params + k])
        if slots[k] >= 0 and old is not None:
            called.setdefault(slots[k], old)
    taken = set(found.values())
    for k, (value, seed) in enumerate(zip(joint.primal, joint.seeds, strict=True)):
        name = called.get(slots[k]) or (found.get(value.slot) if isinstance(value, Tensor) else None)
        if seed is not None and name is not None:
            origin = "kept" if cut - step.residuals <= k < cut else "here"
            found[seed.slot] = _free(f"d{name}", origin, taken)
            taken.add(found[seed.slot])


def _free(name: str, origin: str, taken: set[str]) -> str:
    tries = chain([name, f"{name} {origin}"], (f"{name} {origin} {i}" for i in count(2)))
    return next(each for each in tries if each not in taken)


def name_results(joint: Joint, inputs: Sequence[int]) -> None:
    """The cotangent of a parameter or input W is called dW.

    Where something else is already called so (the cotangent in a lower order of derivatives), it is "dW here", or
    "dW kept" if W was kept for this loop by another one.
    """
    found, kept = joint.tape.names, joint.step.kept
    taken = set(found.values())
    for i in inputs:
        slot = joint.pulled[i][0]
        if slot not in found:
            name = f"d{found[joint.inputs[i].slot]}"
            found[slot] = _free(name, "kept" if i in kept else "here", taken)
            taken.add(found[slot])
