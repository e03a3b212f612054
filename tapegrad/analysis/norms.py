"""Norms: of gradients between any two times, and of the Jacobian of each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import pytree
from ..errors import OptionError, ShapeError
from ..primitives.registry import is_inexact
from ..scan import scan
from ..transforms import grad
from .cuts import output_of_new_state
from .problem import Problem
from .walking import (
    Progress,
    Walk,
    as_matrices,
    as_vectors,
    chunk_length,
    columns,
    moved_state,
    unit_vectors,
)


def gamma_measured(
    cell: Any,
    params: Any = None,
    xs: Any = None,
    state: Any = None,
    *,
    block: str | tuple[str, str] | None = None,
    length: int | None = None,
    rows: bool = True,
    backend: str = "auto",
    progress: bool | None = None,
) -> np.ndarray:
    """gamma_step: the largest singular value of the Jacobian of each step.

    That it stays below one is sufficient for gradients to vanish; that it exceeds one is necessary for them to explode,
    and not sufficient. For a state ``h_t = f(W h_{t-1} + ...)`` it is at most ``sup|f'| * sigma_max(W)``.

    Parameters
    ----------
    cell, params, xs, state, length, rows, backend, progress
        As for :func:`step_jacobians`; or ``cell`` is an array of Jacobians (T, B, S, S) that it returned, and the
        rest is left out.
    block : str or (str, str), optional
        A part of the state: ``"c"`` for d c_t / d c_{t-1}, ``("h", "c")`` for d h_t / d c_{t-1}; by default all of it.

    Returns
    -------
    array (T, B), float64
        NaN where a Jacobian is not finite.

    Raises
    ------
    OptionError
        When ``block`` names no part of the state; and as :func:`step_jacobians`.

    References
    ----------
    Pascanu, Mikolov & Bengio 2013, equation 6 and the paragraphs around it.

    Examples
    --------
    >>> gamma_measured(lambda p, s, x: (p * s + x, s), 0.5, np.ones((3, 1, 1)), np.zeros((1, 1))).ravel()
    array([0.5, 0.5, 0.5])
    """
    walk = Walk("gamma_measured", cell, params, xs, state, length=length, rows=rows, backend=backend, progress=progress)
    if block is not None and walk.problem is None:
        raise OptionError(
            "gamma_measured: block= needs the names of the state; give the cell with params and xs, or cut the block "
            "out of the Jacobians: J[:, :, part, part]"
        )
    new, old = (block, block) if isinstance(block, str) or block is None else block
    cut = (walk.problem.part(new), walk.problem.part(old)) if walk.problem is not None else (slice(None), slice(None))
    found = [_largest(chunk[:, :, cut[0], cut[1]].astype(float)) for chunk in walk]
    return np.concatenate(found) if found else np.empty((0, walk.rows))


def _largest(matrices: np.ndarray) -> np.ndarray:
    """The largest singular value of each matrix of a stack; NaN where it is not finite, which LAPACK would refuse."""
    finite = np.all(np.isfinite(matrices), axis=(2, 3))
    values = np.linalg.norm(np.where(finite[:, :, None, None], matrices, 0.0), 2, axis=(2, 3))
    return np.where(finite, values, np.nan)


def gradient_norms(
    cell: Any,
    params: Any,
    xs: Any,
    state: Any = None,
    *,
    loss: Callable | None = None,
    targets: Any = None,
    at: int | Sequence[int] | None = None,
    wrt: str | None = None,
    log: bool = False,
    length: int | None = None,
    rows: bool = True,
    backend: str = "auto",
    progress: bool | None = None,
) -> np.ndarray:
    """||dL_t / ds_k||, how much the loss at each step feels the state after each earlier step.

    Parameters
    ----------
    cell, params, xs, state, length, rows, backend, progress
        As for :func:`step_jacobians`.
    loss : callable, optional
        L_t, from the output y of one step, of all rows, to numbers, which are added up; ``loss(y, target)`` with
        ``targets``. In NumPy, and linear or not. By default the sum of the output.
    targets : pytree of arrays (T, ...), optional
        One for each step.
    at : int or sequence of int, optional
        The steps t to take a loss of, from 0; negative ones count from the end. By default all: for long sequences
        name the few that matter.
    wrt : str, optional
        The part of the state to take the norm of, "c" say; by default all of it. Names: :func:`state_slices`.
    log : bool
        Return natural logarithms, which do not underflow, however long the sequence is.

    Returns
    -------
    array (len(at), T, B), float64
        Element [n, k, b] is the Euclidean norm of the derivative of L_t, t = at[n], by the state of row b after step k;
        NaN where k > t. With ``at`` an int the first axis is missing.

    Notes
    -----
    For k < t this is the total derivative along all paths: the product of step Jacobians, transposed, applied to what
    arrives at the state before step t. For k = t the output counts as a function of the new state, as far as the
    step computes it from that: y = V h_t gives V^T dL/dy. An output that is computed from the old state alone gives 0.

    Raises
    ------
    ShapeError
        When there is not one target for each step.
    OptionError
        When ``at`` or ``wrt`` names what is not there; and as :func:`step_jacobians`.

    References
    ----------
    Pascanu, Mikolov & Bengio 2013, equations 3 to 5; Goodfellow, Bengio & Courville 2016, equations 10.19 to 10.21.

    Examples
    --------
    >>> step = lambda p, s, x: (p * s + x, p * s + x)  # the same value is computed twice, and counts once
    >>> gradient_norms(step, 0.5, np.ones((3, 1, 1)), np.zeros((1, 1)))[:, :, 0]
    array([[1.  ,  nan,  nan],
           [0.5 , 1.  ,  nan],
           [0.25, 0.5 , 1.  ]])
    """
    problem = Problem("gradient_norms", cell, params, xs, state, length, rows)
    part, times = problem.part(wrt), _times(at, problem.steps)
    for path, leaf in zip(pytree.paths(targets), pytree.leaves(targets), strict=True):
        if np.shape(leaf)[:1] != (problem.steps,):
            raise ShapeError(
                f"gradient_norms: targets= ({path}) has the shape {np.shape(leaf)}, expected ({problem.steps}, ...): "
                "one for each step of xs"
            )
    logs: np.ndarray = np.full((problem.rows, len(times), problem.steps), np.nan)
    vectors = np.zeros((problem.rows, len(times), problem.size))  # of length 1, with the logarithm of the length beside
    scale = np.zeros((problem.rows, len(times), 1))
    with Progress("gradient_norms", problem.steps, progress) as update, np.errstate(divide="ignore"):
        for first, jacobians, before, after in _backwards(problem, loss, targets, backend):
            for k in range(len(jacobians) - 1, -1, -1):
                _inject(vectors, scale, times == first + k, after[k])
                met = times >= first + k
                norm = np.linalg.norm(vectors[:, met, part], axis=-1)
                logs[:, met, first + k] = np.log(norm) + scale[:, met, 0]
                met = times > first + k
                vectors[:, met] = vectors[:, met] @ jacobians[k]
                _inject(vectors, scale, times == first + k, before[k])
                length_now = np.linalg.norm(vectors, axis=-1, keepdims=True)
                length_now[length_now == 0] = 1.0
                vectors /= length_now
                scale += np.log(length_now)
            update(len(jacobians))
    found = np.moveaxis(logs if log else np.exp(logs), 0, -1)
    return found[0] if hasattr(at, "__index__") else found


def _inject(vectors: np.ndarray, scale: np.ndarray, here: np.ndarray, given: np.ndarray) -> None:
    vectors[:, here], scale[:, here] = given[:, None], 0.0


def _times(at: Any, steps: int) -> np.ndarray:
    """The steps that ``at`` names, from 0."""
    if at is None:
        return np.arange(steps)
    times = np.atleast_1d(np.asarray(at, None if np.size(at) else int))
    if times.ndim != 1 or times.dtype.kind not in "iu" or np.any((times < -steps) | (times >= steps)):
        raise OptionError(f"gradient_norms: at={at!r}; give numbers of steps from 0 to {steps - 1}")
    return times % max(steps, 1)


def _backwards(problem: Problem, loss: Callable | None, targets: Any, backend: str) -> Iterator[tuple]:
    """From the last chunk of time to the first: its first step, its Jacobians (K, B, S, S), the derivatives of each
    step's loss by the state before it and by the state after it (K, B, S).

    Only the states between chunks are kept; a chunk is computed when it is its turn.
    """
    every, states, state = chunk_length(problem), [], problem.state
    cuts = list(range(0, problem.steps, every))
    xs_of = [pytree.map(lambda a, c=c: a[c : c + every], (problem.xs, targets)) for c in cuts]
    for c, (xs, _) in zip(cuts, xs_of, strict=True):
        states.append(state)
        if c != cuts[-1]:
            state = scan(problem.step, problem.params, state, xs, length=every, backend=backend)[0]
    floating = tuple([leaf.position for leaf in problem.leaves])
    step = _losing(problem.step, floating, loss, targets is not None)
    both = problem.params, unit_vectors(problem)
    for c, start, xs in zip(reversed(cuts), reversed(states), reversed(xs_of), strict=True):
        length = min(every, problem.steps - c)
        found = scan(step, both, start, xs, length=length, backend=backend)[1]
        jacobians = as_matrices(problem, found[0]).astype(float, copy=False)
        before, after = (as_vectors(problem, part).astype(float, copy=False) for part in found[1:])
        yield c, jacobians, before, after


def _losing(step: Callable, floating: tuple[int, ...], loss: Callable | None, aimed: bool) -> Callable:
    """A step whose outputs are the columns of its Jacobian and the derivatives of its loss by both its states."""

    def total(y: Any, target: Any) -> Any:
        if loss is None:
            parts = [leaf for leaf in pytree.leaves(y) if is_inexact(leaf)]
        else:
            parts = pytree.leaves(loss(y, target) if aimed else loss(y))
        return sum([np.sum(part) for part in parts], 0.0)

    def measured(both: Any, state: Any, given: Any) -> tuple[Any, Any]:
        (params, units), (x, target) = both, given
        function, leaves = moved_state(step, params, state, x, floating)
        before = grad(lambda moving: total(function(*moving)[1], target))(leaves)
        output, new = output_of_new_state(step, params, state, x, floating)
        after = grad(lambda moving: total(output(moving), target))(new)
        found = columns(step, params, state, x, floating, units), before, after
        return step(params, state, x)[0], found

    return measured
