"""What is said of the first value that is not finite."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, NoReturn

import numpy as np

from ..errors import NonFiniteError
from ..primitives.registry import Primitive
from ..tensor import Aval, Tensor
from .hints import hint
from .places import Place, frames, name_of, place_of, users

WHAT = {
    "": "its result",
    "sum": "the sum of the cotangents of its result",
    "backward": "the cotangent of an argument",
    "forward mode": "the tangent of its result",
}


def alarm(primitive: Primitive | None, options: dict, rule: str, value: Any, bad: np.ndarray, operands: Sequence[Any],
          batched: bool = False, cotangents: Sequence[Any] = ()) -> NoReturn:  # fmt: skip
    """Say what became NaN or infinite, where, and what the usual cause is.

    ``rule`` is "" for the operation itself, the mode of the rule that was followed, or "sum" for a sum of cotangents.
    """
    frame = sys._getframe(1)
    place, array = place_of(frame), np.asarray(value)
    name = "an argument" if primitive is None else name_of(primitive, options)
    rules = () if place is None else place.rules
    if rule in ("backward", "sum"):  # the first is the rule that was followed
        rules = rules[1:]
    index = tuple([int(i) for i in np.argwhere(bad)[0]])
    count = int(np.count_nonzero(bad))
    where = f"first at index {list(index)}" if array.ndim else "a single number"
    if batched:
        where += " (its first axis is that of vmap)"
    shapes = ", ".join(_described(x) for x in operands)
    lines = [
        f"{name}: finite numbers gave {array[index]} in {_pass(rule, rules)}: {WHAT[rule]}, "
        f"{_described(array)}, has {count} bad element{'s' if count > 1 else ''} of {array.size}, {where}"
    ]
    if shapes:
        lines.append(f"the arguments of {name}: {shapes}{_values_there(operands, array, index)}")
    if rules:
        parts = [f"the {mode} rule of {op}" for mode, op in rules]
        lines.append(f"it is a part of {', in '.join(parts)}")
    lines += _steps(frame, array, index)
    if place is None:
        lines.append("the line is not known: detect_anomaly() was not on when the operation was recorded")
    else:
        lines.append(f"{place}" + (f" (in {place.through})" if place.through else ""))
        called = next((at for at in frames(frame) if users(at, cells=False)), None)
        if place.of_cell and called is not None:
            lines.append(f"called at {Place(called.f_code.co_filename, called.f_lineno, called.f_code.co_name)}")
    zeros = cotangents if rule == "backward" else operands if rules and np.isnan(array[index]) else ()
    dead = any(_zero_there(g, array, index) for g in zeros)
    through = place.through if place is not None else ""
    lines.append(f"usual cause: {hint(name, rule, rules, through, operands, dead)}")
    raise NonFiniteError("\n  ".join(lines))


def _pass(rule: str, rules: Sequence[tuple[str, str]]) -> str:
    modes = {rule, *[mode for mode, _ in rules]}
    if modes & {"backward", "sum"}:
        return "the backward pass"
    return "forward mode" if "forward mode" in modes else "the forward pass"


def _described(x: Any) -> str:
    array = np.asarray(x) if not isinstance(x, Tensor) else x
    return f"{array.dtype}{list(array.shape)}" if array.ndim else f"{x!s}"


def _there(operand: Any, array: np.ndarray, index: tuple[int, ...]) -> Any:
    """The element of an operand that meets an element of the result, None where that is not known."""
    found = np.asarray(operand) if isinstance(operand, (np.ndarray, np.generic, bool, int, float)) else None
    try:
        return None if found is None else np.broadcast_to(found, array.shape)[index]
    except ValueError:
        return None


def _values_there(operands: Sequence[Any], array: np.ndarray, index: tuple[int, ...]) -> str:
    values = [_there(operand, array, index) for operand in operands]
    if not array.ndim or any(value is None for value in values):
        return ""
    return f"; there {', '.join(map(str, values))}"


def _zero_there(g: Any, array: np.ndarray, index: tuple[int, ...]) -> bool:
    value = _there(g, array, index)
    return value is not None and value == 0


def _steps(frame: FrameType, array: np.ndarray, index: tuple[int, ...]) -> Iterator[str]:
    """At which steps the loops are that a frame is in, from the inside out."""
    loops = [at for at in frames(frame) if at.f_code.co_name == "run_loop" and "length" in at.f_locals]
    chunks = False  # whether the loop before was over a chunk of the steps of this one, and has told both
    for i, at in enumerate(loops):
        held = at.f_locals
        if not chunks:
            t = held["t"]
            if held["inner"] and i + 1 < len(loops):
                t += loops[i + 1].f_locals["t"] * held["length"]
            last = ", which runs from the last step to the first" if held["reverse"] else ""
            yield f"at step t = {t}{_row(held['step'], array, index)} of a loop{last}"
        chunks = held["inner"]


def _row(step: Any, array: np.ndarray, index: tuple[int, ...]) -> str:
    """The row, where the leading axis of an array is most likely that of the rows: the states have it too."""
    states: list[Aval] = step.avals()[step.params : step.params + step.state]
    rows = {aval.shape[0] for aval in states if aval.ndim}
    ranks = {aval.ndim for aval in states}
    if array.ndim and rows == {array.shape[0]} and array.ndim in ranks:
        return f", row b = {index[0]}"
    return ""
