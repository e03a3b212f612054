"""What is measured: a cell or step with real parameters and data, and how its state is laid out as a vector."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import pytree
from ..cells import Cell
from ..cells.checks import check_call
from ..cells.layer import refuse_network
from ..errors import DtypeError, OptionError, ShapeError, StructureError
from ..primitives.registry import shape_of
from ..tracing import joined, trace
from ..transforms import jvp


@dataclass(frozen=True)
class Leaf:
    """A floating leaf of the state, and where it stands in the state vector of a row.

    Attributes
    ----------
    position : int
        Among all leaves of the state.
    name : str
    shape : tuple of int
        Of one row.
    part : slice
        Of the state vector.
    """

    position: int
    name: str
    shape: tuple[int, ...]
    part: slice


class Problem:
    """The arguments of a measurement, checked and in one form.

    Attributes
    ----------
    step : callable
        ``step(params, state, x) -> (state, y)``.
    params, xs, state : pytrees of arrays
    steps : int
        T.
    rows : int
        B; 1 when the whole state counts as one row.
    by_rows : bool
    leaves : list of Leaf
        The floating leaves, in order.
    size : int
        S, the length of the state vector of a row.
    dtype : numpy.dtype
        Of the state vector.
    carries : bool
        Whether a floating state is needed: only if something is to be differentiated by it.
    """

    def __init__(self, name: str, cell: Any, params: Any, xs: Any, state: Any, length: Any, rows: Any,
                 carries: bool = True):  # fmt: skip
        if not isinstance(rows, (bool, np.bool_)):
            raise OptionError(f"{name}: rows={rows!r}; give True or False")
        self.name, self.by_rows, self.carries = name, bool(rows), carries
        refuse_network(name, cell)
        self.step: Callable = cell.step if isinstance(cell, Cell) else cell
        if isinstance(cell, Cell):
            batch, dtype = check_call(cell, params, xs, state)
            state = cell.initial_state(batch, dtype) if state is None else state
        elif not callable(cell):
            raise OptionError(
                f"{name}: the first argument is a {type(cell).__name__}; give a Cell, or a function "
                "step(params, state, x) -> (state, y)"
            )
        elif state is None and carries:
            raise StructureError(f"{name}: a step function declares no state to start from; give state=")
        self.params = params
        self.xs = pytree.map(np.asarray, xs)
        self.state = pytree.map(np.asarray, state)
        self.steps = _steps(name, self.xs, length)
        self._lay_out()
        if self.by_rows and self.rows > 1 and self.steps:
            self._check_rows()

    def _lay_out(self) -> None:
        """Find the floating leaves, and their places in the vector."""
        state = pytree.leaves(self.state)
        floating = [k for k, leaf in enumerate(state) if leaf.dtype.kind == "f"]
        if not floating and self.carries:
            raise StructureError(
                f"{self.name}: the state holds no floating array, so there is nothing to differentiate by; give a "
                "cell that carries a state"
            )
        if self.by_rows and floating and len({state[k].shape[:1] for k in floating} | {()}) != 2:
            shapes = ", ".join(str(state[k].shape) for k in floating)
            raise ShapeError(
                f"{self.name}: the arrays of the state have the shapes {shapes}, expected (B, ...) with one B; for a "
                "step without a batch axis give rows=False: the whole state is then one row"
            )
        self.rows = state[floating[0]].shape[0] if self.by_rows and floating else 1
        self.dtype: np.dtype[Any] = np.result_type(*[state[k].dtype for k in floating]) if floating else np.dtype(float)
        names, self.leaves, start = state_names(self.step, self.params, self.state, self.x(0)), [], 0
        for k in floating:
            shape = state[k].shape[1:] if self.by_rows else state[k].shape
            stop = start + int(np.prod(shape, dtype=np.int64))
            self.leaves.append(Leaf(k, names[k], shape, slice(start, stop)))
            start = stop
        self.size = start

    def x(self, t: int) -> Any:
        """The input of a step; of no step at all, zeros like one."""
        return pytree.map(lambda a: a[t] if a.shape[0] else np.zeros(a.shape[1:], a.dtype), self.xs)

    def floating(self, state: Any) -> list[Any]:
        """The floating leaves of a state."""
        leaves = pytree.leaves(state)
        return [leaves[leaf.position] for leaf in self.leaves]

    def part(self, wrt: Any) -> slice:
        """Where the named leaf stands in the state vector; None is all of it."""
        if wrt is None:
            return slice(0, self.size)
        for leaf in self.leaves:
            if leaf.name == wrt:
                return leaf.part
        known = ", ".join(repr(leaf.name) for leaf in self.leaves)
        raise OptionError(f"{self.name}: the state has no part {wrt!r}; it has {known}; None is all of it")

    def _check_rows(self) -> None:
        """Raise when a step takes something from one row to another: there are then no Jacobians of single rows.

        Any two rows differ in a digit of their numbers. For each digit, the rows in which it is 1 are moved, and those
        in which it is 0 must stay.
        """
        rng = np.random.default_rng(0)
        leaves, structure = pytree.flatten(self.state)
        moving = self.floating(self.state)

        def new_state(*moved: Any) -> Any:
            full = list(leaves)
            for leaf, value in zip(self.leaves, moved, strict=True):
                full[leaf.position] = value
            return self.floating(self.step(self.params, structure.unflatten(full), self.x(0))[0])

        for digit in range((self.rows - 1).bit_length()):
            moved = (np.arange(self.rows) >> digit) % 2 == 1
            for these in (moved, ~moved):
                tangents = [rng.standard_normal(v.shape).astype(v.dtype) for v in moving]
                tangents = [np.where(these.reshape(-1, *[1] * (v.ndim - 1)), v, 0).astype(v.dtype) for v in tangents]
                for tangent in jvp(new_state, moving, tangents)[1]:
                    still = np.asarray(tangent)[~these]
                    if np.any((still != 0) & np.isfinite(still)):
                        raise OptionError(
                            f"{self.name}: the step mixes the rows of the batch, so that a row has no Jacobian of its "
                            "own; give rows=False, which takes the states of all rows as one vector"
                        )


def _steps(name: str, xs: Any, length: Any) -> int:
    """T, from the arrays or from ``length``."""
    found = {shape_of(leaf)[0] if shape_of(leaf) else None for leaf in pytree.leaves(xs)}
    if length is not None:
        found.add(operator.index(length))
    if len(found) != 1 or None in found:
        raise ShapeError(
            f"{name}: the number of steps is {sorted(map(str, found)) or 'not known'}; the leading axis of each array "
            "of xs is time, and length= says how many steps there are when xs is None"
        )
    return found.pop()  # type: ignore[return-value]


def state_names(step: Callable, params: Any, state: Any, x: Any) -> list[str]:
    """What the leaves of the state are called.

    By the keys of their containers where these have keys, else by the local variables of ``step`` that hold them when
    it returns, else by their places.
    """
    tape = trace(step)(params, state, x)
    paths = pytree.paths(state)
    # `x` may have become the output; the argument that holds the state may well have become the new one.
    first = len(pytree.leaves(params))
    others = [*tape.inputs[:first], *tape.inputs[first + len(paths) :]]
    given = {re.split(r"[.\[]", tape.names[slot])[0] for slot in others}
    found = [slot not in tape.inputs and tape.names.get(slot) for slot, _ in tape.outputs[: len(paths)]]
    inner = [None if name in given else name for name in found]
    chosen = [
        path if path[0] != "[" and path != "value" else name or joined("state", path)
        for path, name in zip(paths, inner, strict=True)
    ]
    return [
        name if chosen.count(name) == 1 else joined("state", path) for name, path in zip(chosen, paths, strict=True)
    ]


def floating_array(name: str, argument: str, value: Any) -> np.ndarray:
    """``value`` as a floating array."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise DtypeError(f"{name}: {argument} has dtype {array.dtype}, expected real numbers")
    return array if array.dtype.kind == "f" else array.astype(float)
