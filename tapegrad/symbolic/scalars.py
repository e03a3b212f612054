"""Tapes carried out on numbers of other libraries.

Arrays are of objects then. What only moves, adds and multiplies is NumPy's own; functions of elements are found by the
names of their primitives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from sympy import Rational, sympify

from tapegrad.errors import UnsupportedPrimitive
from tapegrad.primitives.elementwise import Cast, Elementwise
from tapegrad.primitives.reductions import Extremum, Position
from tapegrad.rules import Call
from tapegrad.scan_primitive import Scan
from tapegrad.tape import Tape

from .constants import number
from .evaluation import Arithmetic


def literal(value: Any) -> Any:
    """A number written in a step, as an exact one: 0.9 is 9/10, and 1/3 a third."""
    made = number(value)
    return Rational(Fraction(repr(float(made)))) if made.is_Float else made


class Scalars(Arithmetic):
    """Numbers that are objects.

    Attributes
    ----------
    functions : dict of str to callable
        The functions of elements, by the names of their primitives.
    """

    dtype = object
    functions: dict[str, Callable]

    def largest(self, values: Sequence[Any]) -> Any:
        raise NotImplementedError

    def apply(self, function: str, args: list[Any]) -> Any:
        if function not in self.functions:
            raise UnsupportedPrimitive(
                f"{function} has no meaning for numbers of {type(self).__name__}; write the step with functions such "
                f"as {', '.join(sorted(self.functions)[:6])}"
            )
        made = np.frompyfunc(self.functions[function], len(args), 1)(*args)
        return np.asarray(made, object)

    def exact(self, value: Any) -> Any:
        """A literal, or an array of a tape, in these numbers; integers and booleans stay what they are."""
        if isinstance(value, (bool, int, np.bool_, np.integer)):
            return value
        if not isinstance(value, np.ndarray):
            return np.asarray(self.number(value), object)
        if value.dtype.kind != "f":
            return value
        return np.array([self.number(v) for v in value.ravel()], object).reshape(value.shape)

    def run(self, primitive: Any, args: Sequence[Any], options: dict) -> Any:
        if isinstance(primitive, Cast):
            return self._cast(args[0], np.dtype(options["dtype"]))
        args = [self.exact(a) for a in args]
        if isinstance(primitive, Scan):
            return self._scan(args, **options)
        if isinstance(primitive, Call):
            return run_tape(options["tape"], args, self)
        objects = any([is_objects(a) for a in args])
        if objects and isinstance(primitive, Elementwise):
            return self.apply(primitive.name, args)
        if objects and isinstance(primitive, Extremum):
            return self._extremum(args[0], primitive.name == "min", **options)
        if objects and isinstance(primitive, Position) and any(v.free_symbols for v in map(sympify, args[0].flat)):
            raise UnsupportedPrimitive(
                f"{primitive.name}: the index depends on symbols; use softmax, or a maximum, which have expressions"
            )
        made = primitive.run(*args, **options)
        if primitive.multiple:
            return tuple([self.exact(np.asarray(m)) for m in made])
        return self.exact(np.asarray(made))

    def _cast(self, x: Any, dtype: np.dtype) -> Any:
        x = self.exact(x)
        if not is_objects(x):
            return self.exact(np.asarray(x).astype(dtype))
        if dtype.kind == "f":
            return np.asarray(np.frompyfunc(self.from_boolean, 1, 1)(x), object)
        return x.astype(dtype)

    def from_boolean(self, x: Any) -> Any:
        """1 for true, 0 for false, other numbers as they are."""
        return self.number(int(x)) if isinstance(x, (bool, np.bool_)) else x

    def _extremum(self, x: np.ndarray, least: bool, axis: tuple[int, ...], keepdims: bool) -> Any:
        kept = [a for a in range(x.ndim) if a not in axis]
        shape = tuple([1 if a in axis else n for a, n in enumerate(x.shape)])
        rows = x.transpose([*kept, *axis]).reshape(int(np.prod([x.shape[a] for a in kept])), -1)
        sign = -1 if least else 1
        made = np.array([sign * self.largest([sign * v for v in row]) for row in rows], object)
        return made.reshape(shape if keepdims else [x.shape[a] for a in kept])

    def _scan(self, args: list[Any], step: Any, length: int, reverse: bool, **rest: Any) -> Any:
        """An inner loop, step by step."""
        params, states = args[: step.params], args[step.params : step.params + step.state]
        xs = args[step.params + step.state :]
        ys: list[Any] = [None] * length
        sums: list[Any] = [self.exact(np.zeros(a.shape)) for a in step.results(length)[step.state + step.ys :]]
        for t in reversed(range(length)) if reverse else range(length):
            made = run_tape(step.tape, [*params, *states, *[x[t] for x in xs]], self)
            states, ys[t] = made[: step.state], made[step.state : step.state + step.ys]
            sums = [total + part for total, part in zip(sums, made[step.state + step.ys :], strict=True)]
        empty = [np.zeros((0, *a.shape[1:]), object) for a in step.results(length)[step.state : step.state + step.ys]]
        stacked = [np.stack(column) for column in zip(*ys, strict=True)] if length else empty
        return (*states, *stacked, *sums)


def run_tape(
    tape: Tape, args: Sequence[Any], numbers: Scalars, seen: Callable[[int, Any], Any] = lambda slot, value: value
) -> list[Any]:
    """Carry out a tape on arrays of other numbers.

    Parameters
    ----------
    tape : Tape
    args : sequence of arrays
        One for each input; floating ones become ``numbers``.
    numbers : Scalars
    seen : callable, optional
        ``(slot, array) -> array``: what goes on in the place of what an operation made.
    """
    env: dict[int, Any] = {slot: numbers.exact(np.asarray(value)) for slot, value in tape.consts.items()}
    env.update({slot: numbers.exact(value) for slot, value in zip(tape.inputs, args, strict=True)})
    for slot, node in enumerate(tape.nodes):
        if node is None:
            continue
        values = [value if s < 0 else env[s] for s, value in zip(node.slots, node.args, strict=True)]
        made = numbers.run(node.primitive, values, node.options)
        for i, array in enumerate(made if node.primitive.multiple else [made]):
            env[slot + i] = seen(slot + i, array)
    return [numbers.exact(value) if slot < 0 else env[slot] for slot, value in tape.outputs]


def is_objects(array: Any) -> bool:
    """Whether something is an array of objects."""
    return isinstance(array, np.ndarray) and array.dtype.kind == "O"
