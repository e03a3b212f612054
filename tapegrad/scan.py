"""scan: the one loop. This file is its public face: arguments, masks, and states kept every few steps."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from contextvars import ContextVar
from typing import Any

import numpy as np

from . import pytree
from .capture import capture_token
from .errors import OptionError, ShapeError
from .loops import Loop
from .masks import Masks
from .rules import checkpoint as checkpointed
from .signatures import Flat, Signature, flat, together

# What the process starts with. To ask the environment at each call would take longer than to find the compiled loop.
_backend: ContextVar[str] = ContextVar("tapegrad_backend", default=os.environ.get("TAPEGRAD_BACKEND") or "auto")


class backend(ContextDecorator):  # noqa: N801 - read as `with backend(name):`
    """Use a backend for every scan inside the ``with`` block that does not name one.

    Parameters
    ----------
    name : str

    Examples
    --------
    >>> with backend("reference"):
    ...     pass
    """

    def __init__(self, name: str):
        self.name = name

    def _recreate_cm(self) -> backend:  # for each call of a function that it decorates
        return backend(self.name)

    def __enter__(self) -> None:
        self.token = _backend.set(self.name)

    def __exit__(self, *error: Any) -> None:
        _backend.reset(self.token)


def chosen_backend(name: str) -> str:
    """The argument, else the ``with`` block, else what TAPEGRAD_BACKEND was at import, else "auto"."""
    return _backend.get() if name == "auto" else name


def scan(
    step: Callable,
    params: Any,
    state: Any,
    xs: Any,
    *,
    length: int | None = None,
    reverse: bool = False,
    lengths: Any = None,
    reset: Any = None,
    record: bool | str | Sequence[str] | None = None,
    checkpoint: int | str | None = None,
    backend: str = "auto",
) -> tuple:
    """Carry a state through time: ``state, y = step(params, state, x)`` for each ``x`` of ``xs``.

    Parameters
    ----------
    step : callable
        A pure function in plain NumPy. It is traced once on shapes and dtypes; the path through it must
        not depend on the values of arrays, and it draws no random numbers (noise comes in with ``xs``). ``h += x``
        gives the name h a new value, as it does for numbers; no array is changed. Arrays and Tensors that the step
        closes over are further parameters; it is then traced at each call, which takes a millisecond.
    params : pytree of arrays
        The same at every step. Their gradients are sums over time.
    state : pytree of arrays
        The initial state. The step must return a state of the same structure, shapes and dtypes.
    xs : pytree of arrays, or None
        The leading axis of each array is time.
    length : int, optional
        The number of steps; needed when ``xs`` holds no array.
    reverse : bool
        Go through time from the last step to the first; ``ys[t]`` still belongs to ``xs[t]``.
    lengths : array of int, shape (B,), optional
        The number of valid steps of each row. Arrays of ``xs`` are then (T, B, ...) and of the state (B, ...).
        What stands behind a row's length has no effect; ``ys`` is zero there, and the final state is that of
        the last valid step. With ``reverse`` each row starts at its own end.
    reset : array of bool, shape (T, B), optional
        Where true, the row's state is the initial one again before that step.
    record : True, str or sequence of str, optional
        Names of local variables of ``step`` (its gates, say) to return for every step; True for all.
    checkpoint : int or "sqrt", optional
        Keep the state every so many steps only, and compute again in between during the backward pass.
    backend : str
        "auto", or a name from ``tapegrad.backends.available()``. A compiled loop takes denormal numbers (float32
        below 1.2e-38, float64 below 2.2e-308) for zero, and notices an interrupt when it has ended.

    Returns
    -------
    state : pytree
        The final state.
    ys : pytree
        The outputs, time leading.
    recorded : dict of str to array
        Only with ``record``.

    Raises
    ------
    ShapeError, DtypeError, StructureError
        When the parts do not fit, or the state changes its shape, dtype or structure over a step.
    TracingError
        When the step's path depends on the value of an array, or it draws random numbers.

    Examples
    --------
    >>> scan(lambda p, s, x: (s + p * x, s), 2.0, 0.0, np.array([1.0, 2.0, 3.0]))
    (np.float64(12.0), array([0., 2., 6.]))
    """
    parts = flat(params, "params"), flat(state, "state"), flat(xs, "xs")
    return scan_flat(loop_of(step, reverse, backend), *parts, length, lengths, reset, record, checkpoint)


def loop_of(step: Callable, reverse: Any, backend: str) -> Loop:
    """The loop that a call of :func:`scan` or of a cell asks for."""
    if not isinstance(reverse, (bool, np.bool_)):
        raise OptionError(f"scan: reverse={reverse!r}; give True or False")
    return Loop(step, capture_token(step), step, bool(reverse), chosen_backend(backend))


def scan_flat(loop: Loop, params: Flat, state: Flat, xs: Flat, length: Any = None, lengths: Any = None,
              reset: Any = None, record: Any = None, checkpoint: Any = None) -> tuple:  # fmt: skip
    """:func:`scan` of arguments that have been taken apart."""
    steps = _steps(xs.signature, length)
    record = _record(record)
    masks = Masks(xs, state, lengths, reset) if lengths is not None or reset is not None else None
    if masks is not None:
        loop = loop.of(masks.wrap(loop.step), "masks", lengths is not None, reset is not None)
        params, xs = together(params, state), masks.inputs(steps)
    if checkpoint is None:
        final, ys, recorded = loop.run(params, state, xs, steps, record)
    elif record is not None:
        raise OptionError("scan: record= and checkpoint= together are not supported; record without checkpoint=")
    else:
        final, ys, recorded = _in_chunks(loop, params, state, xs, steps, _every(checkpoint, steps))
    if masks is not None:
        recorded = {key: masks.cleared(value) for key, value in recorded.items()}
    return (final, ys) if record is None else (final, ys, recorded)


def _record(record: Any) -> Any:
    """True, None or a tuple of names."""
    if record is None or record is True:
        return record
    names = (record,) if isinstance(record, str) else record
    if not isinstance(names, (tuple, list, set, frozenset)) or not all(isinstance(name, str) for name in names):
        raise OptionError(f"scan: record={record!r}; give names of local variables of the step, or True for all")
    return tuple(names)


def _steps(xs: Signature, length: Any) -> int:
    if xs.length is not None and length is None:
        return xs.length
    found: dict[int, str] = {}
    for aval, path in zip(xs.avals, xs.structure.paths(), strict=True):
        if not aval.shape:
            raise ShapeError(
                f"scan: xs ({path}) is a scalar; each array of xs needs a leading time axis (lists are "
                "containers: give "
                "np.array(xs) for a list of numbers)"
            )
        found.setdefault(aval.shape[0], path)
    if length is not None:
        if not hasattr(length, "__index__") or length < 0:
            raise OptionError(f"scan: length={length!r}; give the number of steps, a whole number from 0")
        found.setdefault(operator.index(length), "length=")
    if len(found) > 1:
        raise ShapeError(
            "scan: the number of steps differs: "
            + ", ".join(f"{n} in {path}" for n, path in found.items())
            + "; the leading axis of each array of xs is time"
        )
    if not found:
        raise ShapeError("scan: xs holds no array; give length=, the number of steps")
    return next(iter(found))


# ---- states kept every few steps ----
def _every(checkpoint: int | str, steps: int) -> int:
    """The number of steps in a chunk."""
    if checkpoint == "sqrt":
        return _near_root(steps)
    if isinstance(checkpoint, int) and not isinstance(checkpoint, bool) and checkpoint >= 1:
        return checkpoint
    raise OptionError(f"scan: checkpoint={checkpoint!r}; give 'sqrt' or the number of steps between kept states")


def _near_root(steps: int) -> int:
    """About the square root; if possible a number that divides ``steps``, so that all chunks have one length."""
    root = max(1, math.isqrt(steps))
    for distance in range(3 * root):  # up to four times the root, down to a quarter of it
        for every in (root + distance, root - distance // 4):
            if steps % every == 0:
                return every
    return root


def _in_chunks(loop: Loop, params: Flat, state: Flat, xs: Flat, steps: int, every: int) -> tuple[Any, Any, dict]:
    """A scan over chunks of time whose step is a scan that is computed again in the backward pass.

    Chunks of one length are views of xs, and their outputs a view of ys. A shorter chunk at the end is a scan of its
    own, and the outputs are put together, which copies them.
    """
    whole, rest = divmod(steps, every)
    cut = whole * every

    inner = loop._replace(apart=True)

    def chunk(p: Any, s: Any, x: Any) -> tuple:
        return inner.run(flat(p, "params"), flat(s, "state"), flat(x, "xs"), every)[:2]

    def main(s: Any) -> tuple:
        parts = pytree.map(lambda a: np.reshape(a[:cut] if rest else a, (whole, every, *a.shape[1:])), xs.tree())
        chunks = loop.of(checkpointed(chunk), "chunks", every, loop.reverse, loop.backend)
        s, ys, _ = chunks.run(params, flat(s, "state"), flat(parts, "xs"), whole)
        return s, pytree.map(lambda a: np.reshape(a, (cut, *a.shape[2:])), ys)

    def tail(s: Any) -> tuple:
        last = pytree.map(lambda a: a[cut:], xs.tree())
        return loop.run(params, flat(s, "state"), flat(last, "xs"), rest)[:2]

    if not rest:
        return (*main(state.tree()), {})
    first, second = (tail, main) if loop.reverse else (main, tail)
    s, one = first(state.tree())
    s, two = second(s)
    early, late = (two, one) if loop.reverse else (one, two)
    return s, pytree.map(lambda a, b: np.concatenate([a, b]), early, late), {}
