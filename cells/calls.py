"""The arguments of a call of a cell: taken apart, and checked once for all calls that look the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.caches import Bounded
from tapegrad.capture import capture_token
from tapegrad.errors import DtypeError
from tapegrad.signatures import Flat, flat

from .checks import check_call

if TYPE_CHECKING:
    from .base import Cell
    from .layer import Layer

# By what the cell's step captures and the signatures of the arguments: what makes the state to start from.
_starts: Bounded[Any, Callable[[], Flat]] = Bounded()


def arguments(cell: Cell, token: Any, params: Any, xs: Any, state: Any) -> tuple[Flat, Flat, Flat]:
    """The params, the state before the first step and the xs of a call, taken apart.

    Parameters
    ----------
    cell : Cell
    token : Token or None
        What stands for all that the cell's class and options say; None when that may change unseen. Nothing is
        remembered then.
    params, xs : pytrees
    state : pytree or None
        None starts from ``cell.initial_state``.

    Raises
    ------
    StructureError, ShapeError, DtypeError
        When they do not fit the cell or each other.
    """
    try:
        p, x = flat(params, "params"), flat(xs, "xs")
        s = None if state is None else flat(state, "state")
    except DtypeError:
        check_call(cell, params, xs, state)  # in the words of the cell, where it has some
        raise
    key = token, p.signature, x.signature, None if s is None else s.signature
    start = _starts.get(key) if token is not None else None
    if start is None:
        batch, dtype = check_call(cell, params, xs, state)
        start = _start(cell, batch, dtype) if s is None else _given
        if token is not None and not any(part.signature.weak for part in (p, x, s) if part is not None):
            # A number and the Tensor of one have the same signature, and only the Tensor is an array.
            _starts.keep(key, start)
    return p, start() if s is None else s, x


# By what a layer's declarations capture and the signatures of the arguments: batch and dtype of calls that fit.
_fitting: Bounded[Any, tuple[int, np.dtype]] = Bounded()


def checked(layer: Layer, params: Any, xs: Any, state: Any) -> Any:
    """The state that a call of a layer starts from, when the arguments fit: the given one, or its initial state.

    Parameters
    ----------
    layer : Layer
    params, state : pytrees
    xs : pytree
        Without the noise of a noisy layer, which may be for another number of steps.

    Raises
    ------
    StructureError, ShapeError, DtypeError
        When they do not fit the layer or each other.
    """
    token = capture_token(layer.parameters)
    key = None
    if token is not None:
        try:
            key = token, *[flat(tree, "").signature for tree in (params, xs, state)]
        except DtypeError:
            pass  # said below in the words of the layer
    found = _fitting.get(key)
    if found is None:
        found = check_call(layer, params, xs, state, noise=False)
        if key is not None and not any(part.weak for part in key[1:]):
            _fitting.keep(key, found)
    return layer.initial_state(*found) if state is None else state


def _start(cell: Cell, batch: int, dtype: np.dtype) -> Callable[[], Flat]:
    """What makes the initial state at each call; the declared one is only filled in."""
    from .layer import Layer

    if type(cell).initial_state is not Layer.initial_state:
        return lambda: flat(cell.initial_state(batch, dtype), "state")
    first = flat(cell.initial_state(batch, dtype), "state")
    leaves, signature = [_repeated(leaf) for leaf in first.leaves], first.signature
    return lambda: Flat(leaves, signature)


def _repeated(leaf: np.ndarray) -> np.ndarray:
    """An array of one value as one number, seen everywhere; nobody can write to it, so that one serves all calls."""
    number = leaf.ravel()[:1].copy()
    number.flags.writeable = False
    return np.broadcast_to(number.reshape(()), leaf.shape) if leaf.size else leaf


def _given() -> Flat:
    raise AssertionError("a call that was given a state asks for none")
