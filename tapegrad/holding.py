"""Values that go through stop_gradient, recorded in one run of a function and put in their place in others.

Derivatives take what goes through ``stop_gradient`` for a constant. So they are not derivatives of the function as it
is evaluated, but of the one in which these values stay what they are at the point: what a judge that only evaluates
has to be given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from .errors import TapegradError


class OtherPath(TapegradError):
    """A run met other calls of stop_gradient than the one that was recorded."""


class _Recorder:
    """Keeps what comes by."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def passed(self, value: Any) -> Any:
        self.values.append(np.array(value))
        return value


class _Replayer:
    """Gives out what was kept, in order."""

    def __init__(self, values: list[Any]):
        self.values, self.count = values, 0

    def passed(self, value: Any) -> Any:
        if self.count >= len(self.values) or np.shape(value) != self.values[self.count].shape:
            raise OtherPath(_OTHER)
        held = self.values[self.count]
        self.count += 1
        if isinstance(value, np.ndarray):
            return held.copy()  # which the function may write to
        return held[()] if isinstance(value, np.generic) else held.item()


_OTHER = (
    "stop_gradient is called another number of times, or on other shapes, than at the point: which operations the "
    "function does depends on the values of its arguments"
)

_HOLDER: ContextVar[_Recorder | _Replayer | None] = ContextVar("tapegrad_holder", default=None)


def passed(value: Any) -> Any:
    """What stop_gradient gives for an array: the array, or what is held in its place."""
    holder = _HOLDER.get()
    return value if holder is None else holder.passed(value)


def is_holding() -> bool:
    """Whether values are recorded or replaced now; code that does without ``passed`` is not to be run then."""
    return _HOLDER.get() is not None


def stops(tape: Any) -> bool:
    """Whether stop_gradient is on a tape, or on one inside of it."""
    if "stops" not in tape.derived:
        nodes = [node for node in tape.nodes if node is not None]
        inner = [part for node in nodes for part in map(node.options.get, ("tape", "step")) if part is not None]
        tape.derived["stops"] = any(node.primitive.name == "stop_gradient" for node in nodes) or any(
            stops(getattr(part, "tape", part)) for part in inner
        )
    return tape.derived["stops"]


def aside(rule: Callable, *given: Any) -> Any:
    """What a derivative rule gives: what it stops itself is no part of the function, and is not held."""
    if _HOLDER.get() is None:
        return rule(*given)
    with _by(None):
        return rule(*given)


def ruled(primitive: Any, rule: Callable, *given: Any) -> Any:
    """The same for the rule of a primitive; that of a loop, or of a function that is computed again, does the
    function's own operations."""
    return rule(*given) if primitive.family == "control" else aside(rule, *given)


@contextmanager
def _by(holder: _Recorder | _Replayer | None) -> Iterator[None]:
    token = _HOLDER.set(holder)
    try:
        yield
    finally:
        _HOLDER.reset(token)


def held_at(f: Callable, args: Any) -> tuple[Callable, Any]:
    """``f`` with what goes through stop_gradient held at its values at ``args``, and ``f(*args)``.

    The order of the calls tells the values apart.

    Raises
    ------
    OtherPath
        When the function that is returned meets other calls than ``f`` did at ``args``.
    """
    recorder = _Recorder()
    with _by(recorder):
        results = f(*args)
    if not recorder.values:
        return f, results
    again = _Recorder()  # a first run may have met calls while it traced a loop, which later ones do not
    with _by(again):
        results = f(*args)

    def held(*given: Any) -> Any:
        replayer = _Replayer(again.values)
        with _by(replayer):
            made = f(*given)
        if replayer.count != len(again.values):
            raise OtherPath(_OTHER)
        return made

    return held, results
