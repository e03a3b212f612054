"""What is read off a cell, by ways that share as little as possible: on a tape, through scans, by evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import BackendError, MissingLibrary, TapegradError, UnsupportedPrimitive
from ..scan import scan
from ..transforms import jvp, vjp
from .cell_problem import CellProblem
from .cell_report import SECOND
from .differences import SETTLED, directional

VALUES = ("value", "value under reverse mode", "value under forward mode")
GRADIENT, TANGENT = "gradient", "tangent"
MODES = ("plain", "rev", "fwd")
FEW = 24  # elements of a masked problem that forward mode takes one by one

#: What a reading is of: its kind, and the number of the leaf or result.
Key = tuple[str, int]


class Reading(NamedTuple):
    """What an oracle says of one array.

    Attributes
    ----------
    value : array
    doubt : array or None
        How far each element may be off, where the oracle does not know it to rounding.
    places : array of int or None
        The elements that ``value`` holds, in order; None for all.
    """

    value: Any
    doubt: np.ndarray | None = None
    places: np.ndarray | None = None


Readings = dict[Key, Reading]


class Inapplicable(TapegradError):
    """An oracle does not apply to a cell; the message is the reason."""


# ---- the tape, and every backend
def tape(problem: CellProblem, point: list[Any] | None = None) -> Readings:
    """Reverse and forward mode of the loop written in Python, with no scan and no tracing."""
    return by_modes(problem, problem.loop, problem.point if point is None else point)


def on_backend(problem: CellProblem, name: str, modes: Sequence[str] = MODES) -> Readings:
    """Both modes of the scan, run by a backend."""
    try:
        return by_modes(problem, scanned(problem, name), problem.point, modes)
    except (UnsupportedPrimitive, BackendError, MissingLibrary) as error:
        raise Inapplicable(str(error)) from error


def scanned(problem: CellProblem, name: str) -> Callable:
    options = {} if problem.masks is None else problem.masks.options()

    def run(params: Any, state: Any, xs: Any) -> tuple[Any, Any]:
        return scan(problem.cell.step, params, state, xs, backend=name, **options)

    return run


def by_modes(problem: CellProblem, run: Callable, point: list[Any], modes: Sequence[str] = MODES) -> Readings:
    """The results, the cotangents of the floating leaves, and the tangents of the results."""
    function, found = problem.function(run), {}

    def results(kind: str, ys: Sequence[Any]) -> None:
        found.update({(problem.kind(kind), k): Reading(y) for k, y in enumerate(ys)})

    if "plain" in modes:
        results(VALUES[0], function(*point))
    if "rev" in modes:
        values, pull = vjp(function, *point)
        cotangents = pull(list(problem.weights))
        results(VALUES[1], values)
        gradient = problem.kind(GRADIENT)
        found.update({(gradient, i): Reading(g) for i, g in zip(problem.floating, cotangents, strict=True)})
    if "fwd" in modes:
        values, tangents = jvp(function, point, problem.directions)
        results(VALUES[2], values)
        found.update({(problem.kind(TANGENT), k): Reading(t) for k, t in enumerate(tangents) if problem.moves(k)})
    return found


# ---- second derivatives: that of the weighted sum of the results, times the directions
def second_on_tape(problem: CellProblem, point: list[Any] | None = None) -> Readings:
    """Forward over reverse mode of the loop written in Python."""
    return _second(
        problem, jvp(_gradient(problem, problem.loop), problem.point if point is None else point, problem.directions)[1]
    )


def second_by_scan(problem: CellProblem) -> Readings:
    """Reverse over reverse mode of the scan."""
    gradient = _gradient(problem, scanned(problem, "reference"))
    return _second(problem, vjp(gradient, *problem.point)[1](problem.directions))


def second_differences(problem: CellProblem) -> Readings:
    """How the gradient on the tape changes along the directions, by extrapolated central differences."""
    directions = [np.asarray(v, np.float64) for v in problem.directions]
    along = directional(_gradient(problem, problem.loop), problem.exact(), directions)
    # They end when they are known to SETTLED: what the rounding of a gradient does to them is not seen below it.
    doubts = [
        np.maximum(error, SETTLED * np.max(np.abs(value), initial=0.0))
        for value, error in zip(along.value, along.error, strict=True)
    ]
    return _second(problem, along.value, doubts)


def _gradient(problem: CellProblem, run: Callable) -> Callable:
    function = problem.function(run)

    def gradient(*given: Any) -> list[Any]:
        values, pull = vjp(function, *given)
        return list(pull([np.asarray(w, v.dtype) for w, v in zip(problem.weights, values, strict=True)]))

    return gradient


def _second(problem: CellProblem, found: Sequence[Any], doubts: Sequence[Any] | None = None) -> Readings:
    doubts = [None] * len(found) if doubts is None else doubts
    rows = zip(problem.floating, found, doubts, strict=True)
    return {(SECOND, i): Reading(value, doubt) for i, value, doubt in rows}


# ---- real-time recurrent learning
def rtrl(problem: CellProblem) -> Readings:
    """Forward mode through the scan, one parameter after the other: no pass backwards in time."""
    function, point = problem.function(scanned(problem, "reference")), problem.point
    few = slice(None) if problem.masks is None else slice(max(1, FEW // len(point)))
    found: Readings = {}
    for position, (i, every) in enumerate(zip(problem.floating, problem.places, strict=True)):
        places = every[few]
        made = np.zeros(len(places), point[position].dtype)
        for k, place in enumerate(places):
            tangents = jvp(function, point, _unit(point, position, place))[1]
            made[k] = sum(np.sum(problem.weights[n] * t) for n, t in enumerate(tangents) if problem.moves(n))
        found[problem.kind(GRADIENT), i] = Reading(made, None, places)
    return found


def _unit(point: Sequence[np.ndarray], position: int, place: int) -> list[np.ndarray]:
    made = [np.zeros_like(leaf) for leaf in point]
    made[position].reshape(-1)[place] = 1.0
    return made


# ---- evaluation alone
def differences(problem: CellProblem) -> Readings:
    """The loop evaluated on plain arrays: by complex step, or by extrapolated central differences."""
    results, moving = _moving(problem)
    point, found = problem.exact(), evaluated(problem)
    for position, (i, places) in enumerate(zip(problem.floating, problem.places, strict=True)):
        value, doubt = np.zeros(len(places)), np.zeros(len(places))
        for n, place in enumerate(places):
            truth = directional(results, point, _unit(point, position, place))
            for k, t, e in zip(moving, truth.value, truth.error, strict=True):
                value[n] += np.sum(problem.weights[k] * t)
                doubt[n] += np.sum(np.abs(problem.weights[k]) * e)
        found[GRADIENT, i] = Reading(value, doubt, places)
    return found


def evaluated(problem: CellProblem) -> Readings:
    """The results and the tangents along the directions, of the loop evaluated on plain arrays."""
    (results, moving), point = _moving(problem), problem.exact()
    plain = problem.function(problem.loop)(*point)
    found = {(problem.kind(kind), k): Reading(y) for kind in VALUES for k, y in enumerate(plain)}
    along = directional(results, point, [np.asarray(v, np.float64) for v in problem.directions])
    for k, value, doubt in zip(moving, along.value, along.error, strict=True):
        found[problem.kind(TANGENT), k] = Reading(value, doubt)
    return found


def _moving(problem: CellProblem) -> tuple[Callable, list[int]]:
    """The loop as a function with those results alone that have derivatives, and which they are."""
    function = problem.function(problem.loop)
    moving = [k for k in range(len(problem.weights)) if problem.moves(k)]

    def results(*given: Any) -> list[Any]:
        every = function(*given)
        return [every[k] for k in moving]

    return results, moving
