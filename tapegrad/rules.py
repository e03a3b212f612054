"""Functions with rules of their own: recomputation, custom derivatives, and primitives that users add."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from . import pytree
from .batching import vmap
from .errors import ShapeError, StructureError, UnsupportedPrimitive
from .holding import aside
from .primitives.elementwise import stop_gradient as stop_gradient_primitive
from .primitives.registry import Primitive, is_inexact, like, shape_of
from .tape import AbstractTape, run
from .tensor import Aval, Tensor, apply, aval_of, complex_refused, is_complex
from .tracing import trace_flat
from .transforms import jvp, vjp


class Call(Primitive):
    """A tape carried out as one operation; ``rule`` may replace its derivative."""

    family = "control"
    multiple = True

    def run(self, *args: Any, tape: AbstractTape, rule: Any = None) -> Any:
        return tuple(run(tape, args))

    def abstract(self, *args: Any, tape: AbstractTape, rule: Any = None) -> tuple[Aval, ...]:
        return tuple([aval_of(value) for _, value in tape.outputs])

    def count(self, options: dict) -> int:
        return len(options["tape"].outputs)

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        rule, tape = options.get("rule"), options["tape"]
        if rule is not None and rule.pull is not None:
            filled = [zeros(a) if part is None else part for part, a in zip(g, ans, strict=True)]
            return [
                None if slot < 0 else fitted("custom rule", part, arg)
                for part, arg, slot in zip(aside(rule.pull, filled, ans, args), args, slots, strict=True)
            ]
        if rule is not None:
            return transpose_push(lambda moves: aside(rule.push, moves, ans, args), g, args, slots)
        wanted = [i for i, slot in enumerate(slots) if slot >= 0]

        def again(*active: Any) -> list[Any]:
            results = run(tape, _replaced(args, wanted, active))
            return [r for r, part in zip(results, g, strict=True) if part is not None]

        _, pullback = vjp(again, *[args[i] for i in wanted])
        return _replaced([None] * len(args), wanted, pullback([part for part in g if part is not None]))

    def push_with(self, values: Sequence[Any], tangents: Sequence[Any], options: dict) -> tuple[Any, Any]:
        rule, tape = options.get("rule"), options["tape"]
        if rule is not None:
            ans = apply(self, values, options)
            if rule.push is not None:
                filled = [zeros(v) if t is None and is_inexact(v) else t for v, t in zip(values, tangents, strict=True)]
                return ans, aside(rule.push, filled, ans, values)
            return ans, transpose_pull(lambda g: aside(rule.pull, g, ans, values), tangents, ans)
        wanted = tuple([i for i, tangent in enumerate(tangents) if tangent is not None])
        moving = derived(tape, ("push", wanted), lambda: _pushed(tape, wanted, [aval_of(v) for v in values]))
        both = apply(self, [*values, *[tangents[i] for i in wanted]], {"tape": moving})
        return both[: len(both) // 2], both[len(both) // 2 :]

    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        axes = tuple([0 if flag else None for flag in flags])
        rule = options.get("rule")
        rest = {} if rule is None else {"rule": BatchedRule(rule, axes)}
        avals = [aval_of(arg) for arg in args]
        tape = derived(
            options["tape"],
            ("batch", size, tuple(flags), tuple(avals)),
            lambda: trace_flat(lambda inputs: vmap(lambda *a: run(options["tape"], a), axes)(*inputs), avals),
        )
        return [(value, True) for value in apply(self, args, {"tape": tape} | rest)]


def _pushed(tape: AbstractTape, wanted: tuple[int, ...], avals: list[Aval]) -> AbstractTape:
    def flat(inputs: list[Any]) -> list[Any]:
        values, moves = inputs[: len(avals)], inputs[len(avals) :]
        ans, tangents = jvp(
            lambda *active: run(tape, _replaced(values, wanted, active)), [values[i] for i in wanted], moves
        )
        return [*ans, *tangents]

    return trace_flat(flat, avals + [avals[i] for i in wanted])


def fitted(name: str, part: Any, x: Any) -> Any:
    """A cotangent from a user's rule, with the shape and dtype of the argument; None for none."""
    if part is None:
        return None
    part = real(name, part if hasattr(part, "dtype") else np.asarray(part))
    shape = shape_of(x)
    tail = part.shape[len(part.shape) - len(shape) :] if len(part.shape) >= len(shape) else None
    if tail is None or any(n != m and m != 1 for n, m in zip(tail, shape, strict=True)):
        raise ShapeError(
            f"{name}: a backward rule returned a cotangent of shape {part.shape} for an argument of shape "
            f"{shape}; it must "
            "have the argument's shape (axes along which the argument was broadcast may still be there)"
        )
    return like(part, x)


def real(name: str, part: Any) -> Any:
    """What a user's function or rule gave, if it is not complex."""
    if is_complex(part):
        raise complex_refused(name, "a function or rule given for it returned a complex result")
    return part


def derived(tape: AbstractTape, key: Any, make: Callable) -> Any:
    """What was derived from a tape before, or ``make()``."""
    if key not in tape.derived:
        tape.derived[key] = make()
    return tape.derived[key]


def _replaced(values: Sequence[Any], positions: Sequence[int], new: Sequence[Any]) -> list[Any]:
    values = list(values)
    for position, value in zip(positions, new, strict=True):
        values[position] = value
    return values


def zeros(value: Any) -> Any:
    """Zeros of the shape and dtype of a value."""
    return np.zeros(shape_of(value), getattr(value, "dtype", float))


def transpose_pull(pull: Callable, tangents: Sequence[Any], ans: Any) -> Any:
    """The JVP, from a VJP: a pullback is linear, and its transpose is the derivative itself."""
    wanted = [i for i, tangent in enumerate(tangents) if tangent is not None]
    pulled, again = vjp(lambda g: [p for i, p in enumerate(pull(g)) if i in wanted], [zeros(a) for a in ans])
    moves = [np.zeros(shape_of(p)) if p is None else tangents[i] for i, p in zip(wanted, pulled, strict=True)]
    return again(moves)[0]


def transpose_push(push: Callable, g: Sequence[Any], args: Sequence[Any], slots: Sequence[int]) -> list[Any]:
    """The VJP, from a JVP, in the same way."""
    wanted = [i for i, slot in enumerate(slots) if slot >= 0]
    rest = [zeros(a) if is_inexact(a) else None for a in args]
    results, again = vjp(lambda *moves: push(_replaced(rest, wanted, moves)), *[zeros(args[i]) for i in wanted])
    filled = [zeros(r) if part is None else part for part, r in zip(g, results, strict=True)]
    return _replaced([None] * len(args), wanted, again(filled))


call = Call("call")


def _staged(f: Callable, args: Sequence[Any], rule: Any = None) -> Any:
    """Carry ``f`` out as one ``call``; numbers and arrays are its arguments, all else is part of the function."""
    leaves, structure = pytree.flatten(tuple(args))
    moving = [i for i, leaf in enumerate(leaves) if isinstance(leaf, (Tensor, np.ndarray, np.generic, float))]
    out: list[Any] = [None]

    def flat(inputs: list[Any]) -> list[Any]:
        results, out[0] = pytree.flatten(f(*structure.unflatten(_replaced(leaves, moving, inputs))))
        return results

    tape = trace_flat(flat, [aval_of(leaves[i]) for i in moving], f)
    captured = list(tape.consts.items())
    tape.input_avals.update({slot: aval_of(value) for slot, value in captured})
    tape.inputs, tape.consts = tape.inputs + [slot for slot, _ in captured], {}
    options: dict[str, Any] = {"tape": tape}
    if rule is not None:
        options["rule"] = rule(structure, leaves, moving, out[0], len(captured))
    return out[0].unflatten(apply(call, [*[leaves[i] for i in moving], *[value for _, value in captured]], options))


def checkpoint(f: Callable) -> Callable:
    """``f``, keeping only its arguments for the backward pass and computing it again there.

    Memory is traded for time. ``f`` is traced: its path must not depend on the values of arrays.

    Examples
    --------
    >>> from tapegrad import grad
    >>> float(grad(checkpoint(lambda x: np.sin(np.sin(x))))(0.0))
    1.0
    """

    @wraps(f)
    def checkpointed(*args: Any) -> Any:
        return _staged(f, args)

    return checkpointed


class _BoundRule:
    """A user's rule on flat lists, for one structure of arguments."""

    def __init__(self, owner: Any, structure: Any, leaves: list, moving: list[int], out: Any, captured: int):
        self.owner, self.structure, self.leaves, self.moving = owner, structure, leaves, moving
        self.out, self.captured = out, captured
        self.pull = self._pull if owner.vjp_rule is not None else None
        self.push = self._push if owner.jvp_rule is not None else None

    def _args(self, flat: Sequence[Any]) -> Any:
        return self.structure.unflatten(_replaced(self.leaves, self.moving, flat[: len(self.moving)]))

    def _pull(self, g: Sequence[Any], ans: Sequence[Any], args: Sequence[Any]) -> list[Any]:
        given = self.owner.vjp_rule(self.out.unflatten(g), self.out.unflatten(ans), *self._args(args))
        given = given if isinstance(given, tuple) else (given,)
        if len(given) != len(self.structure.children):
            raise StructureError(
                f"custom_vjp of {self.owner.__name__}: the rule returned {len(given)} cotangents for "
                f"{len(self.structure.children)} arguments; return a tuple with one for each, None where there is none"
            )
        flat: list[Any] = []
        for part, child in zip(given, self.structure.children, strict=True):
            flat.extend([None] * child.size if part is None else pytree.leaves(part))
        return [flat[i] for i in self.moving] + [None] * self.captured

    def _push(self, tangents: Sequence[Any], ans: Sequence[Any], args: Sequence[Any]) -> list[Any]:
        moves = _replaced([None] * len(self.leaves), self.moving, tangents[: len(self.moving)])
        moved = self.owner.jvp_rule(self.structure.unflatten(moves), self.out.unflatten(ans), *self._args(args))
        return [real("custom rule", part) for part in pytree.leaves(moved)]


class BatchedRule:
    """A rule carried out for each index of a batch axis, which the arguments with axis 0 have."""

    def __init__(self, rule: Any, axes: Sequence[int | None]):
        self.rule, self.axes = rule, axes
        self.pull = self._pull if rule.pull is not None else None
        self.push = self._push if rule.push is not None else None

    def _pull(self, g: Sequence[Any], ans: Sequence[Any], args: Sequence[Any]) -> list[Any]:
        axes = [0] * len(g), [0] * len(ans), list(self.axes)
        parts = vmap(self.rule.pull, axes)(list(g), list(ans), list(args))
        return [
            np.sum(part, axis=0) if part is not None and axis is None else part
            for part, axis in zip(parts, self.axes, strict=True)
        ]

    def _push(self, tangents: Sequence[Any], ans: Sequence[Any], args: Sequence[Any]) -> Any:
        moving = [axis for axis, tangent in zip(self.axes, tangents, strict=True) if tangent is not None]
        return vmap(self.rule.push, (moving, [0] * len(ans), list(self.axes)))(list(tangents), list(ans), list(args))


class CustomRule:
    """A function with a derivative of the user's own; see :func:`custom_vjp` and :func:`custom_jvp`."""

    def __init__(self, f: Callable):
        wraps(f)(self)
        self.f = f
        self.vjp_rule: Callable | None = None
        self.jvp_rule: Callable | None = None

    def defvjp(self, rule: Callable) -> Callable:
        """Set ``rule(g, ans, *args)``, which returns the cotangent of each argument, or of the only one."""
        self.vjp_rule = rule
        return rule

    def defjvp(self, rule: Callable) -> Callable:
        """Set ``rule(tangents, ans, *args)``, which returns the tangent of the result."""
        self.jvp_rule = rule
        return rule

    def __call__(self, *args: Any) -> Any:
        if self.vjp_rule is None and self.jvp_rule is None:
            raise UnsupportedPrimitive(
                f"{self.__name__} has no rule yet; set one with {self.__name__}.defvjp(lambda g, ans, x: ...)"  # type: ignore[attr-defined]
            )
        return _staged(self.f, args, lambda *bound: _BoundRule(self, *bound))


def custom_vjp(f: Callable) -> CustomRule:
    """``f`` with a backward rule of your own, given by ``.defvjp``; forward mode follows from it by transposition.

    Nothing flows to what ``f`` closes over. ``f`` and the rule are written in NumPy, and are traced.

    Examples
    --------
    >>> from tapegrad import grad
    >>> clipped = custom_vjp(lambda x: x * x)
    >>> _ = clipped.defvjp(lambda g, ans, x: g * np.clip(2 * x, -1, 1))
    >>> float(grad(clipped)(3.0))
    1.0
    """
    return CustomRule(f)


def custom_jvp(f: Callable) -> CustomRule:
    """``f`` with a forward rule of your own, given by ``.defjvp``; reverse mode follows from it by transposition.

    Examples
    --------
    >>> from tapegrad import grad
    >>> double = custom_jvp(lambda x: x + x)
    >>> _ = double.defjvp(lambda tangents, ans, x: 2 * tangents[0])
    >>> float(grad(double)(3.0))
    2.0
    """
    return CustomRule(f)


def stop_gradient(tree: Any) -> Any:
    """The same values, held constant by every derivative.

    Examples
    --------
    >>> from tapegrad import grad
    >>> float(grad(lambda x: x * stop_gradient(x))(3.0))
    3.0
    """
    return pytree.map(_stopped, tree)


def _stopped(leaf: Any) -> Any:
    return apply(stop_gradient_primitive, (leaf,)) if isinstance(leaf, (Tensor, np.ndarray, np.generic)) else leaf
