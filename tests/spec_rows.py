"""What a row of ``tests/specs.py`` is, and rows of the commonest kinds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tapegrad.primitives import Primitive, primitives
from tests.strategies import calls

PRIMITIVES: dict[str, Primitive] = {p.name: p for p in primitives()}


@dataclass(frozen=True)
class Point:
    """A place where the derivative is a convention or a limit: arguments, and the partial derivatives there.

    A partial derivative of None is not looked at.
    """

    args: tuple
    partials: tuple
    options: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Spec:
    """A row.

    Attributes
    ----------
    name : str
    calls : strategy of Call
        Arguments in general position, in float64 where they can be differentiated.
    reference : callable
        The same in NumPy alone.
    order : int
        How often it can be differentiated; 0 where the derivative is zero or there is none.
    single : float
        Allowed relative error of a float32 gradient.
    points : tuple of Point
    run : callable or None
        Makes the function of a call, where that is not the primitive itself.
    mixed : bool
        Whether its arguments may have different floating dtypes.
    """

    name: str
    calls: st.SearchStrategy[calls.Call]
    reference: Callable
    order: int = 2
    single: float = 1e-4
    points: tuple[Point, ...] = ()
    run: Callable | None = None
    mixed: bool = True

    def function(self, call: calls.Call) -> Callable:
        """The function of the arguments alone."""
        if self.run is not None:
            return self.run(call)
        return lambda *args: PRIMITIVES[self.name](*args, **call.options)

    def __str__(self) -> str:
        return self.name


def unary(name: str, low: float = -2.0, high: float = 2.0, away_from: tuple = (), **rest: Any) -> Spec:
    reference = rest.pop("reference", None) or getattr(np, name)
    return Spec(name, calls.elementwise((low, high, away_from)), reference, **rest)


def binary(name: str, x: tuple = (-2.0, 2.0, ()), y: tuple = (-2.0, 2.0, ()), **rest: Any) -> Spec:
    far = rest.pop("far", None)
    drawn = calls.elementwise(x, y)
    return Spec(name, drawn if far is None else drawn.filter(lambda c: far(*c.args)), getattr(np, name), **rest)


def logical(name: str, count: int) -> Spec:
    return Spec(name, calls.elementwise(*[None] * count), getattr(np, name), order=0)


def apart(x: np.ndarray, y: np.ndarray) -> bool:
    """No two elements that meet are close."""
    return bool(np.all(np.abs(x - y) > 0.02))


def far_from_wrapping(x: np.ndarray, y: np.ndarray) -> bool:
    return bool(np.all(np.abs(x / y - np.rint(x / y)) > 0.03))
