"""Random numbers in a step: drawn when it is traced, they would be the same at every step of every call."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .errors import TracingError


def _generators(function: Any) -> list[Any]:
    """The generators that a function can reach by name: those in its closure and its globals."""
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or () if _is_filled(cell)]
    names = code.co_names if code is not None else ()
    held = [*cells, *[function.__globals__[name] for name in names if name in function.__globals__]]
    owners = [getattr(value, "__self__", value) for value in held]  # a method of a generator is one as well
    return [owner for owner in owners if isinstance(owner, np.random.Generator)]


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # a variable that has no value yet
        return False


def _states(generators: list[Any]) -> tuple:
    """Where Python's, NumPy's and these generators are."""
    common = np.random.get_state(legacy=False)  # noqa: NPY002 - what others may have drawn from
    return random.getstate(), _plain(common), [_plain(generator.bit_generator.state) for generator in generators]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(held) for key, held in value.items()}
    return value.tobytes() if isinstance(value, np.ndarray) else value


@contextmanager
def no_draws(step: Callable) -> Iterator[None]:
    """Refuse random numbers that are drawn within.

    Raises
    ------
    TracingError
        When one of the generators that the step can reach has moved on.
    """
    watched = _generators(step)
    before = _states(watched)
    yield
    if before != _states(watched):
        raise TracingError(
            "scan: the step draws random numbers. A step is traced once, so that the same numbers would be used at "
            "every step of every call; draw them before the scan, and pass them in with xs, one draw for each step"
        )
