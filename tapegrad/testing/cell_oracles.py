"""The oracles of check_cell: ways to find the results and derivatives of a cell that share as little as possible."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from .. import pytree
from ..errors import MissingLibrary, OptionError, StructureError, TracingError, UnsupportedPrimitive
from .cell_problem import CellProblem
from .cell_readings import (
    GRADIENT,
    VALUES,
    Inapplicable,
    Reading,
    Readings,
    differences,
    evaluated,
    on_backend,
    rtrl,
    second_by_scan,
    second_differences,
    second_on_tape,
    tape,
)


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
    masked : callable, optional
        From a masked CellProblem to Readings.
    second : callable, optional
        From a CellProblem to Readings of second derivatives.
    """

    name: str
    read: Callable[[CellProblem], Readings]
    exact: bool = False
    typed: bool = True
    masked: Callable[[CellProblem], Readings] | None = None
    second: Callable[[CellProblem], Readings] | None = None


def oracles(names: Sequence[str] | None, others: Mapping[str, Callable] | None = None) -> list[Oracle]:
    """The oracles of these names, all when nothing is said, and those of the caller's own.

    Raises
    ------
    OptionError
        When a name is unknown, or there are fewer than two.
    """
    backends = import_module("tapegrad.backends").available()
    known = {
        "tape": Oracle("tape", tape, masked=tape, second=second_on_tape),
        "sympy": Oracle("sympy", sympy, exact=True, typed=False, masked=sympy),
        **{name: _of_backend(name) for name in backends},
        "rtrl": Oracle("rtrl", rtrl, masked=rtrl),
        "differences": Oracle(
            "differences", differences, exact=True, typed=False, masked=evaluated, second=second_differences
        ),
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


def _of_backend(name: str) -> Oracle:
    read = partial(on_backend, name=name)
    if name == "reference":
        return Oracle(name, read, masked=read, second=second_by_scan)
    # One that compiles needs seconds for each loop. Under masks it runs those of reverse mode, which are two.
    return Oracle(name, read, masked=partial(on_backend, name=name, modes=("rev",)))


# ---- the printed equations
def sympy(problem: CellProblem) -> Readings:
    """The equations that ``tapegrad.symbolic.derive`` prints, evaluated one after the other."""
    if problem.masks is not None and not problem.masks.reverse:
        return {}  # evaluating equations takes long: one direction has to do
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
