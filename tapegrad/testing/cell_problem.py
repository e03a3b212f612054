"""Random data for a cell, from what it declares: where its oracles are compared."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.cells import Cell
from tapegrad.cells.checks import check_call
from tapegrad.cells.layer import checked_size, floating_dtype

from .. import pytree
from ..errors import NonFiniteError, OptionError, TracingError
from .cell_data import random_inputs
from .cell_masks import Masks, drawn_masks, own, padded, row_by_row, rows_are_apart
from .flat import general, is_floating
from .products import chosen

MOST = 400  # elements by which derivatives are taken one by one; of larger cells a random choice
SPREADS = (0.5, 0.2, 0.05)  # how far the data go from what the cell starts with


class CellProblem:
    """One call of a cell on random data, and what its derivatives are contracted with.

    Attributes
    ----------
    cell : Cell
    dtype : dtype
    steps, batch : int
    leaves : list of array
        All arrays of params, state and xs.
    names : list of str
        What they are called: "params.W_xi", "state[0]", "xs".
    floating : list of int
        Which of them are differentiated.
    results : list of str
        What the arrays of the final state and of ys are called.
    weights : list of array
        One array for each result: what its cotangent is. Zero for results without a derivative.
    directions : list of array
        One array for each floating leaf.
    places : list of array of int
        Which elements of each floating leaf are looked at one by one.
    masks : Masks or None
        How the call is masked; padding is then in the leaves.
    shared : dict
        What an oracle keeps for the masked forms of the problem.
    """

    masks: Masks | None
    shared: dict[str, Any]

    def __init__(
        self, cell: Cell, seed: int, steps: int | None, batch: int | None, dtype: Any, params: Any, state: Any, xs: Any
    ):
        self.cell, self.given = cell, (params, state, xs)
        self.dtype = floating_dtype("check_cell", dtype)
        self.seed, self.masks, self.shared = seed, None, {}
        rng = np.random.default_rng(seed)
        drawn = int(rng.integers(3, 6)), int(rng.integers(2, 4))
        told = _told(state, xs)
        self.steps, self.batch = (
            _size(name, asked, found, default)
            for name, asked, found, default in zip(("steps", "batch"), (steps, batch), told, drawn, strict=True)
        )
        tree = self._drawn(rng)
        self.leaves, self.structure = pytree.flatten(tree)
        self.names = [*named("params", tree[0]), *named("state", tree[1]), *named("xs", tree[2])]
        self.floating = [i for i, leaf in enumerate(self.leaves) if is_floating(leaf)]
        if not self.floating:
            raise OptionError(f"check_cell: {cell!r} has no floating parameter, state or input to differentiate by")
        final, ys = self._again(*tree)
        self.counts = len(pytree.leaves(final)), len(pytree.leaves(ys))
        self.results = [*named("final state", final), *named("ys", ys)]
        self.endings = pytree.structure(final), pytree.structure(ys)
        self.weights = [
            general(rng, y.shape).astype(y.dtype) if is_floating(y) else np.zeros(y.shape, y.dtype)
            for y in pytree.leaves((final, ys))
        ]
        self.directions = [general(rng, self.leaves[i].shape).astype(self.leaves[i].dtype) for i in self.floating]
        most = max(1, MOST // len(self.floating))
        self.places = [chosen(rng, self.leaves[i].size, most) for i in self.floating]

    # ---- the data ----
    def _drawn(self, rng: np.random.Generator) -> tuple[Any, Any, Any]:
        """Params, state and xs at which the results are finite, as far as possible from anything special."""
        seed = int(rng.integers(2**32))
        for spread in SPREADS:
            params, state, xs = tree = self._attempt(np.random.default_rng(seed), spread)
            check_call(self.cell, params, xs, state)
            with np.errstate(all="ignore"):
                results = pytree.leaves(self.loop(*tree))
            if all(np.all(np.isfinite(y)) for y in results if is_floating(y)):
                self._first = results
                return tree
        raise NonFiniteError(
            f"check_cell: the results of {self.cell!r} are not finite on random data near its initial parameters and "
            "state; give data on which they are, as params=, state= and xs="
        )

    def _again(self, params: Any, state: Any, xs: Any) -> tuple[Any, Any]:
        """The results a second time, which must be those of the first."""
        results = self.loop(params, state, xs)
        if not all(np.array_equal(a, b) for a, b in zip(self._first, pytree.leaves(results), strict=True)):
            raise TracingError(
                f"check_cell: the step of {self.cell!r} gives other results when it is called again with the same "
                "arguments; let noise come in through xs, and what it counts through the state"
            )
        return results

    def _attempt(self, rng: np.random.Generator, spread: float) -> tuple[Any, Any, Any]:
        def shaken(leaf: Any) -> Any:
            leaf = np.asarray(leaf)
            if not is_floating(leaf):
                return leaf
            with np.errstate(all="ignore"):
                return np.asarray(leaf + spread * rng.standard_normal(leaf.shape), leaf.dtype)

        params, state, xs = self.given
        if params is None:
            params = pytree.map(shaken, self.cell.init(rng, self.dtype))
        if state is None:
            state = pytree.map(shaken, self.cell.initial_state(self.batch, self.dtype))
        if xs is None:
            xs = random_inputs(
                self.cell, rng, steps=self.steps, batch=self.batch, dtype=self.dtype, spread=2 * spread, params=params,
                state=state,
            )  # fmt: skip
        return (
            self._cast(params, None), self._cast(state, self.cell.state()), self._cast(xs, self.cell.inputs()),
        )  # fmt: skip

    def _cast(self, tree: Any, declared: Any) -> Any:
        """Floating data in the dtype of the check, or in the one that the cell declares."""
        leaves, structure = pytree.flatten(tree)
        specs = pytree.leaves(declared) if declared is not None else [None] * len(leaves)
        if len(specs) != len(leaves):
            return tree  # which is refused afterwards
        kinds = [getattr(spec, "dtype", None) or self.dtype for spec in specs]
        arrays = [np.asarray(leaf) for leaf in leaves]
        return structure.unflatten(
            [a.astype(kind) if is_floating(a) else a for a, kind in zip(arrays, kinds, strict=True)]
        )

    # ---- as functions ----
    def loop(self, params: Any, state: Any, xs: Any) -> tuple[Any, Any]:
        """The cell step by step: the loop that every scan is held against. Under masks it is one for each row."""
        if self.masks is not None:
            like = self.endings[1].unflatten(self.weights[self.counts[0] :])
            return row_by_row(self.cell.step, self.masks, self.batch, like)(params, state, xs)
        ys = []
        for t in range(self.steps):
            # A step may say `h += x`: with Tensors that changes no array, and here it must not either.
            x = pytree.map(lambda a, t=t: a[t], xs)
            state, y = self.cell.step(*[pytree.map(own, tree) for tree in (params, state, x)])
            ys.append(y)
        return state, pytree.map(lambda *parts: np.stack(parts), *ys)

    def function(self, run: Callable) -> Callable:
        """``run(params, state, xs) -> (state, ys)`` as a function of the floating leaves, with a list of results."""

        def of_floating(*given: Any) -> list[Any]:
            leaves = list(self.leaves)
            for i, value in zip(self.floating, given, strict=True):
                leaves[i] = value
            return pytree.leaves(run(*self.structure.unflatten(leaves)))

        return of_floating

    def masked(self) -> tuple[list[CellProblem], str]:
        """The same data under lengths and resets, forwards and in reverse; or none, with the reason."""
        params, state, xs = self.structure.unflatten(self.leaves)
        if any(np.shape(y)[:2] != (self.steps, self.batch) for y in self.weights[self.counts[0] :]):
            return [], "an output has no axis of rows"
        if not rows_are_apart(self.loop, params, state, xs, self.batch):
            return [], "what a row of this cell gives depends on the other rows"
        drawn, made = drawn_masks(self.seed, self.steps, self.batch), []
        for masks in (drawn, drawn._replace(reverse=True)):
            problem = copy.copy(self)
            problem.masks, problem.leaves = masks, pytree.leaves((params, state, padded(xs, masks.lengths)))
            results = pytree.leaves(problem.loop(*self.structure.unflatten(problem.leaves)))
            if not all(np.all(np.isfinite(y)) for y in results if is_floating(y)):
                return [], "its results are not finite when a row starts anew or runs in reverse"
            made.append(problem)
        return made, ""

    def cast(self, dtype: Any) -> CellProblem:
        """The same with all floating numbers in another precision."""

        def changed(arrays: list[Any]) -> list[Any]:
            return [a.astype(dtype) if is_floating(a) else a for a in arrays]

        problem = copy.copy(self)
        problem.leaves, problem.weights = changed(self.leaves), changed(self.weights)
        problem.directions = changed(self.directions)
        return problem

    def kind(self, name: str) -> str:
        """What a result or derivative of this problem is called."""
        return name if self.masks is None else f"{'reversed ' if self.masks.reverse else ''}masked {name}"

    def moves(self, result: int) -> bool:
        """Whether a result has derivatives."""
        return is_floating(self.weights[result])

    @property
    def point(self) -> list[Any]:
        """The floating leaves."""
        return [self.leaves[i] for i in self.floating]

    def exact(self) -> list[np.ndarray]:
        """The floating leaves, the same numbers in double precision."""
        return [np.asarray(leaf, np.float64) for leaf in self.point]


def named(kind: str, tree: Any) -> list[str]:
    """A name for each array of a pytree."""
    return [
        kind if path == "value" else f"{kind}{path}" if path.startswith("[") else f"{kind}.{path}"
        for path in pytree.paths(tree)
    ]


def _size(name: str, asked: int | None, found: int | None, default: int) -> int:
    """A number of steps or rows: what was asked for, what the data have, or what was drawn."""
    if asked is not None and found is not None and asked != found:
        raise OptionError(f"check_cell: {name}={asked!r}, and the data that were given have {found}; leave one out")
    return checked_size("check_cell", name, next((n for n in (asked, found) if n is not None), default))


def _told(state: Any, xs: Any) -> tuple[int | None, int | None]:
    """The numbers of steps and rows that given data have."""
    for leaf in pytree.leaves(xs):
        if np.ndim(leaf) > 1:
            return np.shape(leaf)[0], np.shape(leaf)[1]
    for leaf in pytree.leaves(state):
        if np.ndim(leaf):
            return None, np.shape(leaf)[0]
    return None, None
