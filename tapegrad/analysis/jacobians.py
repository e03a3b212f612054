"""The Jacobian of every step, on real parameters and data."""

from __future__ import annotations

from typing import Any

import numpy as np

from .problem import Problem
from .walking import Walk


def step_jacobians(
    cell: Any,
    params: Any,
    xs: Any,
    state: Any = None,
    *,
    blocks: bool = False,
    length: int | None = None,
    rows: bool = True,
    backend: str = "auto",
    progress: bool | None = None,
) -> Any:
    """The derivative of every state by the state before it, along the trajectory that the data give.

    The state vector of a row is its floating leaves, flattened and one behind the other in the order of
    ``tg.tree_leaves(state)``; for an LSTM h and then c. Integer and boolean leaves are held fixed.

    Parameters
    ----------
    cell : Cell, or callable
        A cell; or a step as :func:`tapegrad.scan` takes it.
    params : pytree of arrays
    xs : pytree of arrays (T, B, ...), or None
    state : pytree of arrays (B, ...), optional
        Before the first step. A cell has one of its own; a step function needs it.
    blocks : bool
        Return the blocks between the leaves of the state by name instead of one matrix.
    length : int, optional
        T, when ``xs`` is None.
    rows : bool
        Whether the leading axis of the state is a batch of independent rows. False takes the whole state as a single
        row, B = 1: for a step without a batch axis, or one that mixes its rows.
    backend : str
        As for :func:`tapegrad.scan`; states and Jacobians come from one compiled loop.
    progress : bool, optional
        Whether a bar shows how far it went; by default in a terminal only.

    Returns
    -------
    array (T, B, S, S), of the state's dtype
        ``J[t, b, i, j]`` is the derivative of element i of the state after step t by element j of the state before
        it, so that a column vector of changes moves as ``ds_t = J[t, b] @ ds_{t-1}``. The Jacobian of the states of
        two times is the product with the latest step on the left. With ``blocks`` a dict from ``("h", "c")``, which
        is d h_t / d c_{t-1}, to arrays (T, B, S_h, S_c); :func:`state_slices` tells the names.

    Raises
    ------
    OptionError
        When the step mixes rows and ``rows`` is True.
    StructureError, ShapeError, DtypeError
        When the arguments do not fit, or the state has no floating leaf.

    References
    ----------
    Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural networks", equation 5: the factors
    of its product. They are written there for column vectors, as here.

    Examples
    --------
    >>> step_jacobians(lambda p, s, x: (p * s + x, s), 0.5, np.ones((3, 1, 1)), np.zeros((1, 1))).ravel()
    array([0.5, 0.5, 0.5])
    """
    walk = Walk("step_jacobians", cell, params, xs, state, length=length, rows=rows, backend=backend, progress=progress)
    found = np.empty((walk.steps, walk.rows, walk.size, walk.size), walk.dtype)
    start = 0
    for chunk in walk:
        found[start : start + len(chunk)] = chunk
        start += len(chunk)
    if not blocks or walk.problem is None:
        return found
    leaves = walk.problem.leaves
    return {(a.name, b.name): found[:, :, a.part, b.part] for a in leaves for b in leaves}


def state_slices(
    cell: Any, params: Any, xs: Any, state: Any = None, *, length: int | None = None, rows: bool = True
) -> dict[str, slice]:
    """Where the leaves of the state stand in the state vector of :func:`step_jacobians`.

    A leaf is called by its key where the state is a dict, a namedtuple or a dataclass, else by the variable of ``step``
    that holds its new value, else by its place.

    Parameters
    ----------
    cell, params, xs, state, length, rows
        As for :func:`step_jacobians`.

    Returns
    -------
    dict of str to slice
        In the order of the vector.

    Examples
    --------
    >>> from tapegrad.cells import LSTM
    >>> cell = LSTM(2, 3)
    >>> state_slices(cell, cell.init(np.random.default_rng(0)), np.zeros((1, 1, 2), np.float32))
    {'h': slice(0, 3, None), 'c': slice(3, 6, None)}
    """
    problem = Problem("state_slices", cell, params, xs, state, length, rows)
    return {leaf.name: leaf.part for leaf in problem.leaves}
