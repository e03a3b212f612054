"""The largest slope of a function of elements, sup |f'|, from the derivative that its rule gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import MatMul, S

from tapegrad.primitives.registry import primitives
from tapegrad.tensor import apply
from tapegrad.tracing import trace
from tapegrad.transforms import jvp

from .constants import is_ones, is_zero, ones
from .expressions import Applied, Value, replaced, values_in
from .ranges import Ranges
from .reading import ROWS, Constants, Reader

LENGTH = 2


def slope(function: Applied) -> tuple[Applied, Any]:
    """A function with a letter for what it is applied to, and the supremum of the absolute value of its slope.

    Of a function of several arguments, that of its steepest partial derivative.

    Parameters
    ----------
    function : Applied
        Applications within its arguments belong to the function; all else is an argument.

    Returns
    -------
    Applied, SymPy number
        Infinity for a function whose slope has no bound, or one that cannot be traced.
    """
    arguments: list[Any] = []
    _collect(function, arguments)
    letters = [Value("u" if len(arguments) == 1 else f"u_{i}", (LENGTH, 1)) for i in range(1, len(arguments) + 1)]
    general = _generalised(function, dict(zip(arguments, letters, strict=True)))
    if not letters:
        return general, S.Zero
    if not all(f.function in named() for f in general.atoms(Applied)):
        return general, S.Infinity
    return general, max(_supremum(general, letters, i) for i in range(len(letters)))


def named() -> dict[str, Any]:
    """The primitives by name."""
    return {p.name: p for p in primitives()}


def _collect(x: Any, found: list[Any]) -> None:
    if isinstance(x, Applied):
        for operand in x.operands:
            _collect(operand, found)
    elif number_of(x) is None and x not in found:
        found.append(x)


def _generalised(x: Any, letters: dict[Any, Value]) -> Any:
    if x in letters:
        return letters[x]
    if isinstance(x, Applied):
        return Applied(x.function, *[_generalised(operand, letters) for operand in x.operands])
    number = number_of(x)
    return number if number == 0 else MatMul(number, ones((LENGTH, 1))) if number != 1 else ones((LENGTH, 1))


def number_of(x: Any) -> Any:
    """The number that all elements are, if they are."""
    if is_zero(x):
        return S.Zero
    if is_ones(x):
        return S.One
    if isinstance(x, MatMul) and len(x.args) == 2 and is_ones(x.args[1]):
        return x.args[0]
    return None


def _supremum(general: Any, letters: list[Value], which: int) -> Any:
    """By the tape of the function's JVP, read with a tangent of 1."""

    def run(*given: Any) -> Any:
        return _carried_out(general, dict(zip(letters, given, strict=True)))

    def derivative(given: list[Any], move: Any) -> Any:
        def one(u: Any) -> Any:
            return run(*given[:which], u, *given[which + 1 :])

        return jvp(one, [given[which]], [move])

    example = np.broadcast_to(0.5, (ROWS, LENGTH))
    tape = trace(derivative)([example] * len(letters), example)
    answer, tangent = (slot for slot, _ in tape.outputs)
    if tangent < 0:
        return S.Zero
    result = Value("result", (LENGTH, 1))
    leaves = {**dict(zip(tape.inputs, letters, strict=False)), tape.inputs[-1]: ones((LENGTH, 1)), answer: result}
    made = Reader(tape, ROWS, leaves, Constants(str)).read(tangent)
    return Ranges({result: general}).of(replaced(made, {general: result})).magnitude


def _carried_out(x: Any, given: dict[Value, Any]) -> Any:
    if x in given:
        return given[x]
    if isinstance(x, Applied):
        return apply(named()[x.function], [_carried_out(operand, given) for operand in x.operands])
    return 0.0 if x == 0 else float(number_of(x))


# ---- those of a step ----


def slopes_between(old: list[Value], steps: dict[Value, Any], equations: dict[Value, Any]) -> dict[Applied, Any]:
    """The slopes of the functions that something of the old state goes through on its way to the new one.

    Parameters
    ----------
    old : list of Value
        The states at t - 1.
    steps : dict of Value to expression
        The new state for each.
    equations : dict of Value to expression
        The named values, in an order in which they can be computed.
    """
    reached, needed = set(old), set()
    for value, right in equations.items():
        if reached & set(values_in(right)):
            reached.add(value)
    for new in steps.values():
        needed.update(values_in(new))
    for value, right in reversed(equations.items()):
        if value in needed:
            needed.update(values_in(right))
    found: dict[Applied, Any] = {}
    for right in [*[right for value, right in equations.items() if value in needed], *steps.values()]:
        for function in outermost(right, reached):
            general, supremum = slope(function)
            if supremum != 0:  # else no gradient comes through
                found.setdefault(general, supremum)
    return found


def outermost(x: Any, reached: set[Value]) -> list[Applied]:
    """The functions of elements that something of ``reached`` goes into, without those that stand inside of others."""
    if not set(values_in(x)) & reached:
        return []
    if isinstance(x, Applied):
        inside = [f for a in x.operands for f in outermost(a, reached) if not isinstance(a, Applied)]
        return [x, *inside]
    return list(dict.fromkeys(f for a in x.args if hasattr(a, "args") for f in outermost(a, reached)))
