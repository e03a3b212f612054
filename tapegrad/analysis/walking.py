"""Going through time in chunks of bounded memory, with the Jacobian of each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import pytree
from ..batching import vmap
from ..errors import ShapeError
from ..scan import scan
from ..transforms import jvp
from .problem import Problem, floating_array

CHUNK_BYTES = 1 << 25  # of Jacobians that are held at once


class Progress:
    """A tqdm bar over the steps of time; without ``progress`` it shows only in a terminal."""

    def __init__(self, name: str, steps: int, progress: bool | None):
        from tqdm import tqdm

        # tqdm's disable=None means: silent unless standard error is a terminal.
        disable = None if progress is None else not progress
        self.bar = tqdm(total=steps, desc=name, unit="step", disable=disable, leave=False)

    def __enter__(self) -> Callable[[int], Any]:
        return self.bar.update

    def __exit__(self, *error: object) -> None:
        self.bar.close()


def moved_state(step: Callable, params: Any, state: Any, x: Any, floating: tuple[int, ...]) -> tuple[Callable, list]:
    """The step as a function from the floating leaves of the state to those of the new state and the output.

    Returns
    -------
    function : callable
        From the leaves to ``(leaves of the new state, y)``.
    leaves : list
        Where the state stands now.
    """
    leaves, structure = pytree.flatten(state)

    def function(*moving: Any) -> tuple[list[Any], Any]:
        full = list(leaves)
        for position, value in zip(floating, moving, strict=True):
            full[position] = value
        new, y = step(params, structure.unflatten(full), x)
        new_leaves = pytree.leaves(new)
        return [new_leaves[position] for position in floating], y

    return function, [leaves[position] for position in floating]


def measuring(step: Callable, floating: tuple[int, ...]) -> Callable:
    """A step whose outputs are the columns of its own Jacobian: for each unit vector, the moves of the leaves.

    Its params are those of ``step`` together with the unit vectors.
    """

    def measured(both: Any, state: Any, x: Any) -> tuple[Any, Any]:
        params, units = both
        return step(params, state, x)[0], columns(step, params, state, x, floating, units)

    return measured


def columns(step: Callable, params: Any, state: Any, x: Any, floating: tuple[int, ...], units: Any) -> list[Any]:
    """The derivatives of the new state along unit vectors, each of which moves all rows alike."""
    function, leaves = moved_state(step, params, state, x, floating)

    def column(*unit: Any) -> list[Any]:
        tangents = [np.broadcast_to(part, leaf.shape) for part, leaf in zip(unit, leaves, strict=True)]
        return jvp(lambda *moving: function(*moving)[0], leaves, tangents)[1]

    return vmap(column)(*units)


def unit_vectors(problem: Problem) -> list[np.ndarray]:
    """The unit vectors of the state vector of a row, leaf by leaf: arrays (S, ...)."""
    full = pytree.leaves(problem.state)
    return [
        np.eye(problem.size, dtype=full[leaf.position].dtype)[:, leaf.part].reshape(problem.size, *leaf.shape)
        for leaf in problem.leaves
    ]


def as_matrices(problem: Problem, found: list[Any]) -> np.ndarray:
    """The columns of K steps, leaf by leaf (K, S, B, ...), as matrices (K, B, S, S)."""
    steps = found[0].shape[0]
    sizes = [leaf.part.stop - leaf.part.start for leaf in problem.leaves]
    parts = [part.reshape(steps, problem.size, problem.rows, n) for part, n in zip(found, sizes, strict=True)]
    joint = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
    return np.moveaxis(joint, 1, 3).astype(problem.dtype, copy=False)


def as_vectors(problem: Problem, found: list[Any]) -> np.ndarray:
    """Arrays like the floating leaves, K steps of them, as vectors (K, B, S)."""
    steps = found[0].shape[0]
    sizes = [leaf.part.stop - leaf.part.start for leaf in problem.leaves]
    parts = [part.reshape(steps, problem.rows, n) for part, n in zip(found, sizes, strict=True)]
    return np.concatenate(parts, axis=-1)


def chunk_length(problem: Problem) -> int:
    """How many steps are measured at once."""
    each = problem.rows * problem.size**2 * problem.dtype.itemsize
    return max(1, CHUNK_BYTES // max(1, each))


def jacobian_chunks(problem: Problem, backend: str) -> Iterator[np.ndarray]:
    """The Jacobians of all steps, chunk by chunk: arrays (K, B, S, S)."""
    floating = tuple([leaf.position for leaf in problem.leaves])
    step = measuring(problem.step, floating)
    both = problem.params, unit_vectors(problem)
    state, every = problem.state, chunk_length(problem)
    for start in range(0, problem.steps, every):
        stop = min(start + every, problem.steps)
        xs = pytree.map(lambda a, start=start, stop=stop: a[start:stop], problem.xs)
        state, found = scan(step, both, state, xs, length=stop - start, backend=backend)
        yield as_matrices(problem, found)


class Walk:
    """The step Jacobians of a problem, or given ones, chunk by chunk in the order of time.

    Attributes
    ----------
    steps, rows, size : int
        T, B and S.
    dtype : numpy.dtype
    problem : Problem or None
        None when Jacobians were given.
    """

    def __init__(self, name: str, cell: Any, params: Any, xs: Any, state: Any, *, length: Any = None, rows: bool = True,
                 backend: str = "auto", progress: bool | None = None):  # fmt: skip
        self.name, self.backend, self.progress = name, backend, progress
        self.problem: Problem | None = None
        if isinstance(cell, np.ndarray):
            self.given = floating_array(name, "the array of Jacobians", cell)
            if cell.ndim != 4 or cell.shape[2] != cell.shape[3]:
                raise ShapeError(
                    f"{name}: an array of Jacobians came with the shape {cell.shape}, expected (T, B, S, S), as "
                    "step_jacobians returns"
                )
            self.steps, self.rows, self.size = cell.shape[:3]
            self.dtype = self.given.dtype
        else:
            self.problem = Problem(name, cell, params, xs, state, length, rows)
            self.steps, self.rows, self.size = self.problem.steps, self.problem.rows, self.problem.size
            self.dtype = self.problem.dtype

    def __iter__(self) -> Iterator[np.ndarray]:
        """Arrays (K, B, S, S); a bar shows how far it went."""
        given = self.problem is None
        chunks = [self.given] if given else jacobian_chunks(self.problem, self.backend)  # type: ignore[arg-type]
        with Progress(self.name, self.steps, self.progress) as update:
            for chunk in chunks:
                yield chunk
                update(len(chunk))
