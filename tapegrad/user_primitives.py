"""Primitives that a user adds: NumPy code that the engine cannot look into, with rules given for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .errors import ShapeError
from .primitives.registry import Primitive, is_inexact, shape_of
from .rules import fitted, real, transpose_pull, transpose_push, zeros
from .tensor import Aval, apply, aval_of


class UserPrimitive(Primitive):
    """See :func:`primitive`."""

    def __init__(self, function: Callable, shape: Callable | None = None, name: str | None = None):
        # Not in the registry of built-in primitives: a notebook may define the same name twice.
        self.name = str(name or getattr(function, "__name__", "user_primitive"))
        self.__doc__ = function.__doc__
        self.function, self.shape_rule = function, shape
        self.vjp_rules: tuple[Callable | None, ...] = ()
        self.jvp_rules: tuple[Callable | None, ...] = ()

    def defvjp(self, *rules: Callable | None) -> UserPrimitive:
        """One ``rule(g, ans, *args)`` for each argument, None for an argument without a derivative."""
        self.vjp_rules = rules
        return self

    def defjvp(self, *rules: Callable | None) -> UserPrimitive:
        """One ``rule(tangent, ans, *args)`` for each argument; the results are added."""
        self.jvp_rules = rules
        return self

    def run(self, *args: Any, **options: Any) -> Any:
        ans = real(self.name, self.function(*args, **options))
        if self.shape_rule is not None:
            promised = self.abstract(*args, **options)
            if shape_of(ans) != promised.shape:
                raise ShapeError(
                    f"{self.name}: the function returned the shape {shape_of(ans)}, and its shape= rule promised "
                    f"{promised.shape}; mend the rule"
                )
        return ans

    def abstract(self, *args: Any, **options: Any) -> Aval:
        if self.shape_rule is None:
            raise self.unsupported(
                "be traced without values: give primitive(..., shape=rule), from the arguments' shapes"
            )
        made = self.shape_rule(*[aval_of(arg) for arg in args], **options)
        if isinstance(made, Aval):
            return made
        inexact = [arg.dtype for arg in args if getattr(arg, "dtype", None) is not None]
        return Aval(made, np.result_type(*inexact) if inexact else np.float64)

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        if self.vjp_rules:
            self._check(self.vjp_rules, args)
            return [
                fitted(self.name, rule(g, ans, *args, **options), x) if slot >= 0 and rule is not None else None
                for rule, x, slot in zip(self.vjp_rules, args, slots, strict=True)
            ]
        if self.jvp_rules:
            return transpose_push(lambda moves: [self.push(moves, ans, args, options)], [g], args, slots)
        raise self.unsupported("be differentiated: it has no rule; set one with .defvjp(lambda g, ans, x: ...)")

    def push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        if self.jvp_rules:
            self._check(self.jvp_rules, args)
            total: Any = None
            for rule, tangent in zip(self.jvp_rules, tangents, strict=True):
                if rule is not None and tangent is not None:
                    part = real(self.name, rule(tangent, ans, *args, **options))
                    total = part if total is None else total + part
            return total
        if self.vjp_rules:
            slots = [0 if is_inexact(arg) else -1 for arg in args]
            return transpose_pull(lambda g: self.pull(g[0], ans, args, options, slots), tangents, [ans])[0]
        raise self.unsupported("be differentiated: it has no rule; set one with .defjvp(lambda tangent, ans, x: ...)")

    def _check(self, rules: Sequence[Any], args: Sequence[Any]) -> None:
        if len(rules) != len(args):
            raise self.unsupported(
                f"be differentiated: it has {len(rules)} rules and was called with {len(args)} arguments"
            )

    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        """Call for each index in turn: the function is not known to take a further axis."""
        if not size:
            made = self.abstract(*[aval_of(a[0:1]) if f else a for a, f in zip(args, flags, strict=True)], **options)
            return zeros(Aval((0, *shape_of(made)[1:]), made.dtype))
        return np.stack(
            [apply(self, [a[i] if f else a for a, f in zip(args, flags, strict=True)], options) for i in range(size)]
        )


def primitive(function: Callable, *, shape: Callable | None = None, name: str | None = None) -> UserPrimitive:
    """Make NumPy (or any other) code one operation that the engine does not look into.

    Parameters
    ----------
    function : callable
        From arrays to one array. It gets plain arrays and may do whatever it likes with them, but must not change them.
    shape : callable, optional
        From the abstract arguments (``.shape``, ``.dtype``) to the shape of the result; needed inside
        ``scan``, ``checkpoint`` and ``trace``, which run on shapes alone. The dtype is NumPy's for the
        arguments; return ``tapegrad.tensor.Aval(shape, dtype)`` to say otherwise.
    name : str, optional

    Returns
    -------
    UserPrimitive
        Give it derivatives with ``.defvjp`` or ``.defjvp``; each follows from the other by transposition.

    Examples
    --------
    >>> from tapegrad import grad
    >>> cube = primitive(lambda x: x**3, shape=lambda x: x.shape, name="cube").defvjp(lambda g, ans, x: g * 3 * x * x)
    >>> float(grad(cube)(2.0))
    12.0
    """
    return UserPrimitive(function, shape, name)
