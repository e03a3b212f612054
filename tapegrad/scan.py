"""scan: the one loop. This file is its public face: arguments, masks, and the tracing of the step."""

from __future__ import annotations

import operator
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from . import pytree
from .capture import Unkeyed, capture_key
from .errors import DtypeError, OptionError, ShapeError, StructureError
from .masks import Masks
from .numpy_functions.common import asarray
from .numpy_functions.shapes import astype
from .primitives.registry import shape_of
from .rules import checkpoint as checkpointed
from .scan_primitive import Step, scan_primitive
from .structure import interned
from .tensor import Aval, Tensor, apply, aval_of
from .tracing import joined, trace_flat, traceable

_backend: ContextVar[str | None] = ContextVar("tapegrad_backend", default=None)


@contextmanager
def backend(name: str) -> Iterator[None]:
    """Use a backend for every scan inside the ``with`` block that does not name one.

    Examples
    --------
    >>> with backend("reference"):
    ...     pass
    """
    token = _backend.set(name)
    try:
        yield
    finally:
        _backend.reset(token)


def chosen_backend(name: str) -> str:
    """The argument, else the ``with`` block, else TAPEGRAD_BACKEND, else "auto"."""
    return name if name != "auto" else _backend.get() or os.environ.get("TAPEGRAD_BACKEND") or "auto"


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
        not depend on the values of arrays. Arrays and Tensors that it closes over are further parameters.
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
        "auto", or a name from ``tapegrad.backends.available()``.

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
        When the step's path depends on the value of an array.

    Examples
    --------
    >>> scan(lambda p, s, x: (s + p * x, s), 2.0, 0.0, np.array([1.0, 2.0, 3.0]))
    (np.float64(12.0), array([0., 2., 6.]))
    """
    params, state, xs = (_arrays(tree, name) for tree, name in ((params, "params"), (state, "state"), (xs, "xs")))
    steps = _steps(xs, length)
    if not isinstance(reverse, (bool, np.bool_)):
        raise OptionError(f"scan: reverse={reverse!r}; give True or False")
    record = _record(record)
    masks = Masks(xs, state, lengths, reset)
    name = chosen_backend(backend)
    if checkpoint is not None:
        if record is not None:
            raise OptionError("scan: record= and checkpoint= together are not supported; record without checkpoint=")
        run = lambda f, p, s, x, n: _in_chunks(f, p, s, x, n, _every(checkpoint, n), reverse, name)  # noqa: E731
    else:
        run = lambda f, p, s, x, n: _scan(f, p, s, x, n, reverse, name, record, step)  # noqa: E731
    if masks.needed:
        final, ys, recorded = run(masks.wrap(step), (params, state), state, masks.inputs(steps), steps)
        recorded = {key: masks.cleared(value) for key, value in recorded.items()}
    else:
        final, ys, recorded = run(step, params, state, xs, steps)
    return (final, ys) if record is None else (final, ys, recorded)


def _arrays(tree: Any, name: str) -> Any:
    leaves, structure = pytree.flatten(tree)
    made = []
    for leaf, path in zip(leaves, pytree.paths(tree), strict=True):
        traceable(leaf, joined(name, path), "scan")
        made.append(leaf if isinstance(leaf, (Tensor, np.ndarray, bool, int, float)) else np.asarray(leaf))
    return structure.unflatten(made)


def _record(record: Any) -> Any:
    """True, None or a tuple of names."""
    if record is None or record is True:
        return record
    names = (record,) if isinstance(record, str) else record
    if not isinstance(names, (tuple, list, set, frozenset)) or not all(isinstance(name, str) for name in names):
        raise OptionError(f"scan: record={record!r}; give names of local variables of the step, or True for all")
    return tuple(names)


def _steps(xs: Any, length: int | None) -> int:
    found: dict[int, str] = {}
    for leaf, path in zip(pytree.leaves(xs), pytree.paths(xs), strict=True):
        if not shape_of(leaf):
            raise ShapeError(
                f"scan: xs ({path}) is a scalar; each array of xs needs a leading time axis (lists are "
                "containers: give "
                "np.array(xs) for a list of numbers)"
            )
        found.setdefault(shape_of(leaf)[0], path)
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


# ---- tracing the step ----
_tapes: OrderedDict[Any, Any] = OrderedDict()


def _scan(step: Callable, params: Any, state: Any, xs: Any, steps: int, reverse: bool, backend: str, record: Any,
          watched: Any) -> tuple:  # fmt: skip
    p_leaves, p_tree = pytree.flatten(params)
    s_leaves, s_tree = pytree.flatten(state)
    x_leaves, x_tree = pytree.flatten(xs)
    avals = [
        [aval_of(leaf) for leaf in p_leaves],
        [aval_of(leaf) for leaf in s_leaves],
        [Aval(shape_of(leaf)[1:], leaf.dtype) for leaf in x_leaves],
    ]
    trees = (p_tree, s_tree, x_tree)
    try:
        key = capture_key(step), trees, tuple([tuple(group) for group in avals]), record
    except Unkeyed:
        key = None
    found = _tapes.get(key) if key is not None else None
    if found is None:
        found = _trace_step(step, trees, avals, state, record, watched)
        if key is not None and not found[0].captured:
            _tapes[key] = found
            if len(_tapes) > 512:
                _tapes.popitem(last=False)
    traced, y_tree, names = found
    captured, traced.captured = traced.captured, []  # the values are this call's; a tape does not keep them
    traced = interned(traced) if key is None or captured else traced
    init = [
        astype(asarray(leaf), dtype) if aval.weak else leaf
        for leaf, aval, dtype in zip(s_leaves, avals[1], traced.state_dtypes, strict=True)
    ]
    results = apply(
        scan_primitive,
        [*p_leaves, *captured, *init, *x_leaves],
        {"step": traced, "length": steps, "reverse": bool(reverse), "backend": backend},
    )
    finals, outs = results[: len(s_leaves)], results[len(s_leaves) :]
    recorded = dict(zip(names, outs[y_tree.size :], strict=True))
    return s_tree.unflatten(finals), y_tree.unflatten(outs[: y_tree.size]), recorded


def _trace_step(step: Callable, trees: Sequence[Any], avals: Sequence[list[Aval]], state: Any, wanted: Any,
                watched: Any) -> tuple[Step, Any, list[str]]:  # fmt: skip
    p_tree, s_tree, x_tree = trees
    p, s, x = avals
    y_tree: list[Any] = [None]

    def flat(inputs: list[Tensor]) -> list[Any]:
        parts = inputs[: len(p)], inputs[len(p) : len(p) + len(s)], inputs[len(p) + len(s) :]
        result = step(*[tree.unflatten(part) for tree, part in zip(trees, parts, strict=True)])
        if not isinstance(result, tuple) or len(result) != 2:
            raise StructureError(
                f"scan: the step returned a {type(result).__name__}; it must return a pair (new state, output), "
                "with None for a missing output"
            )
        new, found = pytree.flatten(result[0])
        if found != s_tree:
            raise StructureError(f"scan: the state has the structure {s_tree!r}, and the step returned {found!r}")
        ys, y_tree[0] = pytree.flatten(result[1])
        for y, path in zip(ys, pytree.paths(result[1]), strict=True):
            traceable(y, f"output {path} of the step", "scan")
        return [*new, *ys]

    tape = trace_flat(flat, [*p, *s, *x], watched)
    dtypes = [aval_of(value).dtype for _, value in tape.outputs[: len(s)]]
    if any(aval.weak and aval.dtype != dtype for aval, dtype in zip(s, dtypes, strict=True)):
        strong = [Aval(a.shape, d) if a.weak else a for a, d in zip(s, dtypes, strict=True)]
        return _trace_step(step, trees, (p, strong, x), state, wanted, watched)
    _settle(tape, s, pytree.paths(state))
    _name_inputs(tape, trees)
    names = _named_outputs(tape, wanted, step)
    return Step.of_trace(tape, len(p), len(s), len(x), y_tree[0].size + len(names)), y_tree[0], names


def _name_inputs(tape: Any, trees: Sequence[Any]) -> None:
    """Call params by their keys and states and inputs by their places, where the step's variables did not name them."""
    taken = set(tape.names.values())
    slots = iter(tape.inputs)
    for base, tree in zip(("params", "state", "x"), trees, strict=True):
        for path, slot in zip(pytree.paths(tree.unflatten(range(tree.size))), slots, strict=False):
            plain = path if base == "params" and path != "value" else joined(base, path)
            if slot not in tape.names and plain not in taken:
                tape.names[slot] = plain


def _settle(tape: Any, state: Sequence[Aval], paths: Sequence[str]) -> None:
    """Check that the new state is like the old one; a Python number becomes an array of the state's dtype."""
    for i, (aval, path) in enumerate(zip(state, paths, strict=True)):
        slot, value = tape.outputs[i]
        new = aval_of(value)
        if slot < 0 and new.weak and new.shape == aval.shape and np.can_cast(new.dtype, aval.dtype, "same_kind"):
            tape.outputs[i] = (-1, np.asarray(value, aval.dtype)[()])
        elif new.shape != aval.shape:
            raise ShapeError(
                f"scan: the state ({path}) has the shape {aval.shape}, and the step returned {new.shape}; a "
                "state keeps its "
                "shape over a step: give an initial state of the shape that the step returns"
            )
        elif new.dtype != aval.dtype:
            raise DtypeError(
                f"scan: the state ({path}) came in as {aval.dtype}, and the step returned {new.dtype}; a state "
                "keeps its "
                f"dtype over a step. An np.{new.dtype} scalar or array in the step promotes everything that it "
                "meets (a Python "
                f"number does not): convert it to {aval.dtype}, or give params and state in {new.dtype}"
            )


def _named_outputs(tape: Any, wanted: Any, step: Any) -> list[str]:
    """Append the recorded variables to the outputs of the tape."""
    if wanted is None:
        return []
    slots = {name: slot for slot, name in tape.names.items()}
    names = [name for name, slot in slots.items() if slot not in tape.input_avals] if wanted is True else list(wanted)
    for name in names:
        if name not in slots:
            raise OptionError(
                f"scan: record={name!r} is no local variable of the step; there are {', '.join(slots) or 'none'}"
            )
        tape.outputs.append((slots[name], tape.aval(slots[name])))
    return names


# ---- states kept every few steps ----
def _every(checkpoint: int | str, steps: int) -> int:
    if checkpoint == "sqrt":
        return max(1, int(np.sqrt(steps)))
    if isinstance(checkpoint, int) and not isinstance(checkpoint, bool) and checkpoint >= 1:
        return checkpoint
    raise OptionError(f"scan: checkpoint={checkpoint!r}; give 'sqrt' or the number of steps between kept states")


def _in_chunks(step: Callable, params: Any, state: Any, xs: Any, steps: int, every: int, reverse: bool,
               backend: str) -> tuple:  # fmt: skip
    whole = steps // every
    cut = whole * every

    def chunk(p: Any, s: Any, x: Any) -> tuple:
        return _scan(step, p, s, x, every, reverse, backend, None, step)[:2]

    def main(s: Any) -> tuple:
        parts = pytree.map(lambda a: np.reshape(a[:cut], (whole, every, *a.shape[1:])), xs)
        s, ys, _ = _scan(checkpointed(chunk), params, s, parts, whole, reverse, backend, None, step)
        return s, pytree.map(lambda a: np.reshape(a, (cut, *a.shape[2:])), ys)

    def tail(s: Any) -> tuple:
        return _scan(step, params, s, pytree.map(lambda a: a[cut:], xs), steps - cut, reverse, backend, None, step)[:2]

    first, second = (tail, main) if reverse else (main, tail)
    state, one = first(state)
    state, two = second(state)
    early, late = (two, one) if reverse else (one, two)
    return state, pytree.map(lambda a, b: np.concatenate([a, b]), early, late), {}
