"""The oracles of check_cell: ways to find the results and derivatives of a cell that share as little as possible."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from .. import pytree
from ..errors import (
    BackendError,
    MissingLibrary,
    OptionError,
    StructureError,
    TapegradError,
    TracingError,
    UnsupportedPrimitive,
)
from ..scan import scan
from ..transforms import jvp, vjp
from .cell_problem import CellProblem
from .differences import directional

VALUES = ("value", "value under reverse mode", "value under forward mode")
GRADIENT, TANGENT = "gradient", "tangent"

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


class Oracle(NamedTuple):
    """A way to find derivatives.

    Attributes
    ----------
    name : str
    read : callable
        From a CellProblem to Readings.
    exact : bool
        Whether it computes in double precision whatever the dtype of the check.
    typed : bool
        Whether its derivatives must have the dtype of what they are derivatives of.
    """

    name: str
    read: Callable[[CellProblem], Readings]
    exact: bool = False
    typed: bool = True


def oracles(names: Sequence[str] | None, others: Mapping[str, Callable] | None = None) -> list[Oracle]:
    """The oracles of these names, all when nothing is said, and those of the caller's own.

    Raises
    ------
    OptionError
        When a name is unknown, or there are fewer than two.
    """
    backends = import_module("tapegrad.backends").available()
    known = {
        "tape": Oracle("tape", tape),
        "sympy": Oracle("sympy", sympy, exact=True, typed=False),
        **{name: Oracle(name, partial(on_backend, name=name)) for name in backends},
        "rtrl": Oracle("rtrl", rtrl),
        "differences": Oracle("differences", differences, exact=True, typed=False),
    }
    usual = list(known)
    known.update({name: Oracle(name, partial(in_library, name=name)) for name in ("jax", "torch")})
    chosen = usual if names is None else list(dict.fromkeys([names] if isinstance(names, str) else names))
    for name in chosen:
        if name not in known:
            raise OptionError(
                f"check_cell: oracles={tuple(chosen)!r}: there is no {name!r}; choose from {', '.join(known)}"
            )
    own = []
    for name, run in (others or {}).items():
        if name in known:
            raise OptionError(f"check_cell: others has an oracle {name!r}, which is the name of one here; rename it")
        own.append(Oracle(name, partial(outside, name=name, run=run), typed=False))
    if len(chosen) + len(own) < 2:
        raise OptionError(f"check_cell: oracles={tuple(chosen)!r}; give at least two, to be held against each other")
    return [*[known[name] for name in chosen], *own]


# ---- the tape, and every backend
def tape(problem: CellProblem) -> Readings:
    """Reverse and forward mode of the loop written in Python, with no scan and no tracing."""
    return by_modes(problem, problem.loop, problem.point)


def on_backend(problem: CellProblem, name: str) -> Readings:
    """Both modes of the scan, run by a backend."""

    def run(params: Any, state: Any, xs: Any) -> tuple[Any, Any]:
        return scan(problem.cell.step, params, state, xs, backend=name)

    try:
        return by_modes(problem, run, problem.point)
    except (UnsupportedPrimitive, BackendError, MissingLibrary) as error:
        raise Inapplicable(str(error)) from error


def by_modes(problem: CellProblem, run: Callable, point: list[Any]) -> Readings:
    """The results, the cotangents of the floating leaves, and the tangents of the results."""
    function = problem.function(run)
    plain = function(*point)
    values, pull = vjp(function, *point)
    cotangents = pull(list(problem.weights))
    pushed, tangents = jvp(function, point, problem.directions)
    found = {
        (kind, k): Reading(y)
        for kind, ys in zip(VALUES, (plain, values, pushed), strict=True) for k, y in enumerate(ys)
    }  # fmt: skip
    found.update({(GRADIENT, i): Reading(g) for i, g in zip(problem.floating, cotangents, strict=True)})
    found.update({(TANGENT, k): Reading(t) for k, t in enumerate(tangents) if problem.moves(k)})
    return found


# ---- real-time recurrent learning
def rtrl(problem: CellProblem) -> Readings:
    """Forward mode through the scan, one parameter after the other: no pass backwards in time."""

    def run(params: Any, state: Any, xs: Any) -> tuple[Any, Any]:
        return scan(problem.cell.step, params, state, xs, backend="reference")

    function, point = problem.function(run), problem.point
    found: Readings = {}
    for position, (i, places) in enumerate(zip(problem.floating, problem.places, strict=True)):
        made = np.zeros(len(places), point[position].dtype)
        for k, place in enumerate(places):
            tangents = jvp(function, point, _unit(point, position, place))[1]
            made[k] = sum(np.sum(problem.weights[n] * t) for n, t in enumerate(tangents) if problem.moves(n))
        found[GRADIENT, i] = Reading(made, None, places)
    return found


def _unit(point: Sequence[np.ndarray], position: int, place: int) -> list[np.ndarray]:
    made = [np.zeros_like(leaf) for leaf in point]
    made[position].reshape(-1)[place] = 1.0
    return made


# ---- evaluation alone
def differences(problem: CellProblem) -> Readings:
    """The loop evaluated on plain arrays: by complex step, or by extrapolated central differences."""
    function, point = problem.function(problem.loop), problem.exact()
    moving = [k for k in range(len(problem.weights)) if problem.moves(k)]

    def results(*given: Any) -> list[Any]:
        every = function(*given)
        return [every[k] for k in moving]

    plain = function(*point)
    found = {(kind, k): Reading(y) for kind in VALUES for k, y in enumerate(plain)}
    along = directional(results, point, [np.asarray(v, np.float64) for v in problem.directions])
    for k, value, doubt in zip(moving, along.value, along.error, strict=True):
        found[TANGENT, k] = Reading(value, doubt)
    for position, (i, places) in enumerate(zip(problem.floating, problem.places, strict=True)):
        value, doubt = np.zeros(len(places)), np.zeros(len(places))
        for n, place in enumerate(places):
            truth = directional(results, point, _unit(point, position, place))
            for k, t, e in zip(moving, truth.value, truth.error, strict=True):
                value[n] += np.sum(problem.weights[k] * t)
                doubt[n] += np.sum(np.abs(problem.weights[k]) * e)
        found[GRADIENT, i] = Reading(value, doubt, places)
    return found


# ---- the printed equations
def sympy(problem: CellProblem) -> Readings:
    """The equations that ``tapegrad.symbolic.derive`` prints, evaluated one after the other."""
    try:
        from .cell_equations import by_equations
    except ModuleNotFoundError as error:
        raise Inapplicable(f"{error}; pip install sympy") from error
    try:
        return by_equations(problem)
    except (UnsupportedPrimitive, TracingError, OptionError, MissingLibrary) as error:
        raise Inapplicable(str(error)) from error


# ---- other libraries
def in_library(problem: CellProblem, name: str) -> Readings:
    """The traced step in the functions of another library, differentiated by its rules."""
    try:
        read = getattr(import_module(f"{__package__}.by_{name}"), f"by_{name}")
    except ImportError as error:
        raise Inapplicable(f"{error}; pip install {name}") from error
    return read(problem)


# ---- whatever the caller has
def outside(problem: CellProblem, name: str, run: Callable) -> Readings:
    """What a function of the caller's says: another library, or a backward pass written by hand."""
    tree, count = problem.structure.unflatten([leaf.copy() for leaf in problem.leaves]), problem.counts[0]
    final, ys = problem.endings
    weights = [w.copy() for w in problem.weights]
    results, gradients = run(*tree, (final.unflatten(weights[:count]), ys.unflatten(weights[count:])))
    found: Readings = {}
    for k, y in enumerate(_parts(name, results, problem.endings)):
        if y is not None:
            found.update({(kind, k): Reading(np.asarray(y)) for kind in VALUES})
    for i, g in enumerate(_parts(name, gradients, [pytree.structure(part) for part in tree])):
        if g is not None and i in problem.floating:
            found[GRADIENT, i] = Reading(np.asarray(g))
    return found


def _parts(name: str, trees: Sequence[Any], structures: Sequence[pytree.Structure]) -> list[Any]:
    """The leaves of several pytrees; None for each leaf of a tree that is None."""
    found: list[Any] = []
    for tree, structure in zip(trees, structures, strict=True):
        if tree is not None and pytree.structure(tree) != structure:
            raise StructureError(
                f"check_cell: the oracle {name!r} returned {pytree.structure(tree)!r}, expected {structure!r}, or None "
                "for what it does not compute"
            )
        found += [None] * structure.size if tree is None else pytree.leaves(tree)
    return found
