"""Where a cell comes to rest under a constant input."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import pytree
from ..errors import NonFiniteError
from .problem import Problem
from .walking import as_matrices, as_vectors, columns, unit_vectors


def fixed_point(
    cell: Any, params: Any, x: Any, state: Any = None, *, rows: bool = True, tolerance: float = 1e-10,
    iterations: int = 100,
) -> Any:  # fmt: skip
    """A state that a step with this input maps to itself, found by Newton's method from ``state``.

    Stable ones and unstable ones are found alike; which one, depends on where the search begins. The Jacobian there,
    ``step_jacobians(cell, params, x[None], found)[0]``, and its :func:`spectral_radius` tell whether it is stable.

    Parameters
    ----------
    cell : Cell, or callable
    params : pytree of arrays
    x : pytree of arrays (B, ...), or None
        The input of one step.
    state : pytree of arrays (B, ...), optional
        Where to begin. A cell has a state of its own; a step function needs it.
    rows : bool
        As for :func:`step_jacobians`.
    tolerance : float
        The largest change over a step that counts as rest, relative to the largest element of the state or 1. It is
        not taken below what the state's dtype can tell apart.
    iterations : int

    Returns
    -------
    pytree as ``state``
        Integer and boolean leaves are those of ``state``.

    Raises
    ------
    NonFiniteError
        When none is found within ``iterations``, or a value becomes infinite or NaN; begin elsewhere.
    OptionError, StructureError, ShapeError
        As :func:`step_jacobians`.

    References
    ----------
    Sussillo & Barak 2013, "Opening the black box: low-dimensional dynamics in high-dimensional recurrent neural
    networks", section 2.

    Examples
    --------
    >>> float(fixed_point(lambda p, s, x: (np.cos(s), s), None, None, np.array(1.0), rows=False).round(6))
    0.739085
    """
    xs = pytree.map(lambda a: np.asarray(a)[None], x)
    problem = Problem("fixed_point", cell, params, xs, state, 1, rows)
    x, units = problem.x(0), unit_vectors(problem)
    floating = tuple([leaf.position for leaf in problem.leaves])
    leaves, structure = pytree.flatten(problem.state)
    tolerance = max(tolerance, 16 * float(np.finfo(problem.dtype).eps))
    change = np.inf
    with np.errstate(all="ignore"):
        for _ in range(iterations):
            now = structure.unflatten(leaves)
            here, there = (
                as_vectors(problem, [np.asarray(leaf)[None] for leaf in problem.floating(s)])[0].astype(float)
                for s in (now, problem.step(problem.params, now, x)[0])
            )
            changes = np.abs(there - here)
            change = float(np.max(changes, initial=0.0))
            # Each number by itself: beside a state that grows without end all others would seem to stay.
            if (changes <= tolerance * np.maximum(1.0, np.abs(here))).all():
                return now
            if not np.isfinite(change):
                break
            found = columns(problem.step, problem.params, now, x, floating, units)
            jacobian = as_matrices(problem, [np.asarray(part)[None] for part in found])[0].astype(float)
            moved = here + _newton(np.eye(problem.size) - jacobian, there - here)
            for leaf in problem.leaves:
                old = leaves[leaf.position]
                leaves[leaf.position] = moved[:, leaf.part].reshape(old.shape).astype(old.dtype)
    raise NonFiniteError(
        f"fixed_point: no state that stays was found in {iterations} iterations of Newton's method; the last step "
        f"changed it by {change:.3g}. Begin elsewhere with state=, after some steps of the cell, say; a cell whose "
        "states only cycle or grow has no such state"
    )


def _newton(matrix: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The step to take; the change itself where the matrix is singular."""
    try:
        return np.linalg.solve(matrix, change[..., None])[..., 0]
    except np.linalg.LinAlgError:
        return change
