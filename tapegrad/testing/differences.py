"""Directional derivatives without differentiation rules, to hold the rules against.

The function is only evaluated, on plain ndarrays. Two independent methods are used: central differences at
shrinking steps, extrapolated to step zero, which take any function; and the complex step
``imag(f(x + i e v)) / e``, which is exact to rounding but only for functions that are analytic in NumPy's complex
arithmetic. The second is believed only where it confirms the first.

What goes through ``stop_gradient`` keeps the value that it has at the point, since derivatives take it for a constant:
its values are recorded in a run at the point, in order, and put in their place in every other run.

References
----------
Ridders 1982, "Accurate computation of F'(x) and F'(x) F''(x)"; Squire & Trapp 1998, "Using complex variables to
estimate derivatives of real functions".
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..holding import OtherPath, held_at

COMPLEX_STEP = 1e-30
STEPS = 2.0 ** -np.arange(4, 20)  # from 1/16, which is accurate, down to what a narrow domain may need
SETTLED = 1e-11
AGREEMENT = 1e-5
CONFIRMING = 1e-8  # what differences are taken to where they only have to confirm a complex step


class Difference(NamedTuple):
    """A derivative found by evaluation.

    Attributes
    ----------
    value : list of ndarray
        One float64 array for each result of the function.
    error : list of ndarray
        An estimate of how far each element may be off.
    method : str
        "complex step" or "central differences".
    """

    value: list[np.ndarray]
    error: list[np.ndarray]
    method: str


def directional(f: Callable, args: Sequence[np.ndarray], direction: Sequence[np.ndarray]) -> Difference:
    """The derivative of ``f`` at ``args`` along ``direction``.

    Parameters
    ----------
    f : callable
        From float64 (or complex) arrays to a list of arrays.
    args, direction : sequences of float64 arrays of the same shapes
    """
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        held, centre = held_at(f, [x.copy() for x in args])
    exact = complex_step(held, args, direction)
    if exact is not None and _confirmed(exact, *central(held, args, direction, CONFIRMING, centre)):
        return Difference(exact, [np.zeros_like(d) for d in exact], "complex step")
    return Difference(*central(held, args, direction, SETTLED, centre), "central differences")


def _confirmed(exact: list, value: list, error: list) -> bool:
    """Whether a complex step is what differences say, as far as these can tell."""
    for by_step, by_difference, doubt in zip(exact, value, error, strict=True):
        scale = np.max(np.abs(by_difference), initial=0.0)
        margin = AGREEMENT * scale + np.minimum(10 * doubt, 1e-3 * scale) + 1e-12
        if not np.all(np.abs(by_step - by_difference) <= margin):
            return False
    return True


def central(
    f: Callable,
    args: Sequence[np.ndarray],
    direction: Sequence[np.ndarray],
    accuracy: float = SETTLED,
    centre: Sequence[Any] | None = None,
) -> tuple[list, list]:
    """Central differences, extrapolated by Neville's scheme; for each element the entry with the least doubt.

    It ends when every element is known to ``accuracy``, as far as rounding allows it to be; one above SETTLED is
    relative to the largest element. ``centre`` is what ``f`` gives at ``args``, if that is known.
    """

    def moved(by: float) -> list[np.ndarray]:
        given = [x + by * v for x, v in zip(args, direction, strict=True)]
        try:
            return [np.asarray(y, np.float64) for y in f(*given)]
        except OtherPath:  # as far from the point as this it is another function
            return [np.full_like(y, np.nan) for y in values]

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a large step may leave the domain; the result is then not taken
        values = [np.asarray(y, np.float64) for y in (f(*args) if centre is None else centre)]
        tables = [_Table(y.shape) for y in values]
        for h in STEPS:
            ahead, behind = moved(h), moved(-h)
            for table, a, b, c in zip(tables, ahead, behind, values, strict=True):
                # What rounding of the values alone does.
                rounding = np.finfo(float).eps * (np.abs(a) + np.abs(b))
                table.add((a - b) / (2 * h), rounding / h)
                table.look(np.abs(a - 2 * c + b), 8 * (rounding + np.finfo(float).eps * np.abs(c)))
            if all(table.settled(accuracy) for table in tables):
                break
    return [table.best for table in tables], [table.doubt for table in tables]


class _Table:
    """Differences at steps halved each time, and their extrapolations to step zero."""

    def __init__(self, shape: tuple[int, ...]):
        self.best, self.doubt = np.zeros(shape), np.full(shape, np.inf)
        self.last: list[np.ndarray] = []
        self.bend = np.full(shape, np.inf)

    def look(self, bend: np.ndarray, noise: np.ndarray) -> None:
        """Forget what this step and larger ones gave where they go over a kink.

        The second difference of a smooth function falls to a quarter when the step is halved, over a kink to a half
        at best. Where the values at both ends are clipped, say, all first differences are exactly 0.
        """
        self.doubt = np.where(bend > 0.4 * self.bend + noise, np.inf, self.doubt)
        self.bend = bend

    def add(self, difference: np.ndarray, noise: np.ndarray) -> None:
        entries = [difference]
        for order, above in enumerate(self.last, 1):
            factor = 4.0**order
            entries.append((factor * entries[-1] - above) / (factor - 1))
            error = np.maximum(np.abs(entries[-1] - entries[-2]), np.abs(entries[-1] - above)) + noise
            better = error < self.doubt
            self.best, self.doubt = np.where(better, entries[-1], self.best), np.where(better, error, self.doubt)
        self.last = entries

    def settled(self, accuracy: float) -> bool:
        size = np.abs(self.best) if accuracy <= SETTLED else np.max(np.abs(self.best), initial=0.0)
        return bool(np.all(self.doubt <= accuracy * size + 1e-13))


def complex_step(f: Callable, args: Sequence[np.ndarray], direction: Sequence[np.ndarray]) -> list[np.ndarray] | None:
    """The derivative by a complex step, or None where ``f`` does not take complex numbers."""
    given = [x + 1j * COMPLEX_STEP * v for x, v in zip(args, direction, strict=True)]
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            results = [np.imag(y) / COMPLEX_STEP for y in f(*given)]
    except Exception:  # whatever f does with numbers that it was not written for
        return None
    return results if all(np.all(np.isfinite(y)) for y in results) else None
