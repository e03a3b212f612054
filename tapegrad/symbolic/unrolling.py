"""How a cell is unrolled: the steps on symbols, the loss, and SymPy's derivatives chained backwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sympy import Add, S, Symbol, sympify

from tapegrad import pytree
from tapegrad.errors import OptionError, ShapeError, StructureError
from tapegrad.tensor import aval_of
from tapegrad.tracing import trace

from .naming import plain
from .scalar_expressions import Expressions, StopGradient, symbols
from .scalars import is_objects, run_tape

LONG = 40  # operations in an element that has no name in the step, beyond which it gets one
Arrays = dict[str, np.ndarray]


class Written(NamedTuple):
    """A straight-line program: each definition is in symbols and in what was defined before."""

    symbols: dict[str, Arrays]
    definitions: dict[Symbol, Any]
    loss: Any
    gradients: dict[str, Arrays]  # by params, state, xs
    start: list[np.ndarray]  # the first state, where none is given


class Unrolling:
    """The steps one after the other, on symbols."""

    def __init__(self, step: Callable, T: int, examples: Any, loss: Callable | None, target: Any):
        self.step, self.T, self.loss, self.target = step, T, loss, target
        self.params, self.state, self.xs = examples
        for leaf in pytree.leaves((self.xs, [] if target is None else target)):
            if np.shape(leaf)[:1] != (T,):
                raise ShapeError(f"unroll: xs and target hold T={T} steps, got an array of shape {np.shape(leaf)}")
        self.numbers = Expressions()
        self.used: set[str] = set()
        self.definitions: dict[Symbol, Any] = {}
        row = [self.params, *[pytree.map(lambda a: a[None], tree) for tree in (self.state, self._at(self.xs, 0))]]
        self.tape = trace(step)(*row)
        self.count = len(pytree.leaves(self.state))
        names = [self.tape.names.get(slot, "s") for slot, _ in self.tape.outputs[: self.count]]
        self.state_names = [plain(name, "s") for name in names]

    def _at(self, tree: Any, t: int) -> Any:
        return pytree.map(lambda a: a[t], tree)

    def unique(self, name: str) -> str:
        while name in self.used:
            name += "_"
        self.used.add(name)
        return name

    # ---- symbols ----
    def _given(self, tree: Any, names: list[str]) -> list[np.ndarray]:
        """Symbols in the place of floats."""
        return [
            symbols(name, leaf.shape, self.unique) if leaf.dtype.kind == "f" else leaf
            for name, leaf in zip(names, pytree.leaves(tree), strict=True)
        ]

    def _over_time(self, tree: Any, base: str) -> list[np.ndarray]:
        """The same for arrays over time, which are counted from 1."""
        found = []
        for name, leaf in zip([plain(p, base) for p in pytree.paths(tree)], pytree.leaves(tree), strict=True):
            if leaf.dtype.kind == "f":
                steps = [symbols(f"{name}_{t}", leaf.shape[1:], self.unique) for t in range(1, self.T + 1)]
                leaf = np.stack(steps) if steps else leaf
            found.append(leaf)
        return found

    # ---- forward ----
    def written(self) -> Written:
        params = self._given(self.params, [plain(p, "p") for p in pytree.paths(self.params)])
        state = first = self._given(self.state, [f"{name}_0" for name in self.state_names])
        xs = self._over_time(self.xs, "x")
        outputs = []
        for t in range(1, self.T + 1):
            arguments = [*params, *[a[None] for a in state], *[a[t - 1][None] for a in xs]]
            made = run_tape(self.tape, arguments, self.numbers, partial(self._named, t))
            state = [a[0] for a in made[: self.count]]
            outputs.append([a[0] for a in made[self.count :]])
        groups = {"params": (self.params, params), "state": (self.state, first), "xs": (self.xs, xs)}
        total, weights = self._loss(outputs, state)
        table = {name: _by_path(*pair) for name, pair in groups.items()} | weights
        adjoints = self._backward(total)
        gradients = {
            name: {path: mapped(lambda s: adjoints.get(s, S.Zero), array) for path, array in table[name].items()}
            for name in groups
        }
        return Written(table, self.definitions, total, gradients, pytree.leaves(self.state))

    def _named(self, t: int, slot: int, array: Any) -> Any:
        """What an operation made, with symbols for elements that have names in the step, or are long."""
        name = self.tape.names.get(slot)
        if not is_objects(array):
            return array
        made = np.empty(array.shape, object)
        for index, element in np.ndenumerate(array):
            made[index] = self._define(sympify(element), name and f"{plain(name, 'v')}_{t}", index[1:])
        return made

    def _define(self, element: Any, name: str | None, index: Any) -> Any:
        if element.is_Atom or element.is_Boolean or isinstance(element, StopGradient):
            return element
        if name is None and element.count_ops() <= LONG:
            return element
        called = "_".join([name, *map(str, index)]) if name else f"v_{len(self.definitions) + 1}"
        symbol = Symbol(self.unique(called), real=True)
        self.definitions[symbol] = element
        return symbol

    # ---- the loss, and backward ----
    def _loss(self, outputs: list[list[Any]], state: list[Any]) -> tuple[Any, dict[str, Arrays]]:
        if self.loss is not None:
            return self._given_loss(self.loss, outputs)
        _, structure = self.tape.structures
        results = structure.unflatten(list(range(len(self.tape.outputs))))
        paths = pytree.paths(results[1])
        what = list(map(np.stack, zip(*outputs, strict=True))) if paths else state
        names = ["w" if path == "value" else "w_" + plain(path, "y").removeprefix("y_") for path in paths]
        if not paths:  # nothing but the last state can be in the loss
            paths, names = pytree.paths(results[0]), [f"w_{name}" for name in self.state_names]
        weights: Arrays = {}
        total = []
        for path, name, values in zip(paths, names, what, strict=True):
            if is_objects(values):
                weights[path] = held = self._weights(name, values.shape, bool(outputs[0]))
                total.extend((held * values).ravel())
        return Add(*total), {"weights": weights, "target": {}}

    def _weights(self, name: str, shape: tuple[int, ...], over_time: bool) -> np.ndarray:
        if not over_time:
            return symbols(f"{name}_{self.T}", shape, self.unique)
        return np.stack([symbols(f"{name}_{t}", shape[1:], self.unique) for t in range(1, self.T + 1)])

    def _given_loss(self, loss: Callable, outputs: list[list[Any]]) -> tuple[Any, dict[str, Arrays]]:
        if self.target is None:
            raise OptionError("unroll: a loss needs an example of its target, target=np.zeros((T, ...))")
        _, structure = self.tape.structures
        ys = [np.zeros(np.shape(aval_of(v)), aval_of(v).dtype) for _, v in self.tape.outputs]
        target = pytree.map(lambda a: a[:1], self.target)
        tape = trace(loss)(structure.unflatten(ys)[1], target)
        wanted = self._over_time(self.target, "target")
        total: list[Any] = []
        for t, made in enumerate(outputs):
            (value, *more) = run_tape(tape, [*[a[None] for a in made], *[a[t][None] for a in wanted]], self.numbers)
            if more:
                raise StructureError("unroll: the loss returned several arrays, expected the loss of a step")
            total.extend(np.ravel(value))
        return Add(*total), {"weights": {}, "target": _by_path(self.target, wanted)}

    def _backward(self, total: Any) -> dict[Symbol, Any]:
        """The derivative of the loss by every symbol: SymPy's derivatives of the definitions, chained."""
        shares: dict[Symbol, list[Any]] = defaultdict(list)

        def share(made: Any, weight: Any) -> None:
            for symbol in sorted(made.free_symbols, key=lambda s: s.name):
                part = made.diff(symbol)
                if part != 0:
                    shares[symbol].append(weight * part)

        share(total, S.One)
        for symbol, made in reversed(list(self.definitions.items())):
            if symbol in shares:
                weight = Add(*shares.pop(symbol))
                if not weight.is_Atom:
                    adjoint = Symbol(self.unique(f"d_{symbol.name}"), real=True)
                    self.definitions[adjoint] = weight
                    weight = adjoint
                share(made, weight)
        return {symbol: Add(*parts) for symbol, parts in shares.items()}


def _by_path(tree: Any, arrays: list[np.ndarray]) -> Arrays:
    return {path: a for path, a in zip(pytree.paths(tree), arrays, strict=True) if is_objects(a)}


def mapped(function: Callable, array: np.ndarray) -> np.ndarray:
    """An array of what a function makes of each element."""
    made = np.empty(array.shape, object)
    for index, element in np.ndenumerate(array):
        made[index] = function(element)
    return made
