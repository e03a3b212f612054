"""The printed equations on numbers: a whole sequence forward and backward, evaluated equation by equation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad import pytree
from tapegrad.errors import OptionError, ShapeError, StructureError

from .evaluation import FLOATS, Arithmetic, as_print, evaluate
from .expressions import TIME, Layout, Value
from .jacobians import Partial

if TYPE_CHECKING:
    from .derivation import Derivation
    from .subject import Leaf


class Run(Mapping):
    """All values of a derivation over one sequence: a mapping from values, or from their names, to matrices.

    ``run["h[3]"]`` is h at the third step, ``run["dL/dh[3]"]`` the derivative of the loss by it. What an equation needs
    to be evaluated is in it: ``derivation.gradients["W_hh"].evaluate(run, T=run.steps)``.

    Nothing but the equations is used: this is how they are proven, and how they can be followed by hand. Only at the
    last step, the terms of later steps are replaced by the derivative by the final state.

    Parameters
    ----------
    derivation : Derivation
    params : pytree of arrays
        As the step takes them.
    xs : pytree of arrays (T, ...)
        One sequence, without the axis of rows.
    state : pytree of arrays, optional
        Before the first step, without the axis of rows; zeros by default.
    outputs : pytree of arrays (T, ...), optional
        The derivative of the loss by each output; ones by default. Not read where ``derive`` was given a loss.
    final : pytree of arrays, optional
        The derivative of the loss by the final state; zeros by default.
    target : array (T, ...), optional
        For a derivation with a loss.
    arithmetic : Arithmetic
        What numbers are; floats by default.

    Attributes
    ----------
    steps : int
    gradients : dict of str to array
        The gradient of each parameter, as it lies in the code.
    initial : list of array
        The derivative by the initial state, a matrix for each leaf.
    """

    def __init__(
        self, derivation: Derivation, params: Any, xs: Any, state: Any = None, outputs: Any = None, final: Any = None,
        target: Any = None, arithmetic: Arithmetic = FLOATS,
    ):  # fmt: skip
        self.derivation, self.arithmetic = derivation, arithmetic
        subject = derivation.subject
        self.table: dict[Value, Any] = {}
        for symbol, array in derivation.constants.items():
            self.table[symbol] = self.numbers(array).reshape(tuple(map(int, symbol.shape)))
        self._check(params, xs, state, target)
        inputs = self._leaves("xs", xs, subject.xs)
        self.steps = len(inputs[0]) if inputs else 0
        for leaf, array in zip(subject.params, self._leaves("params", params, subject.params), strict=True):
            matrix = as_print(self.numbers(array), leaf.layout)
            self.table[leaf.symbol] = matrix.T if leaf.turned else matrix
        starts = None if state is None else self._leaves("state", state, subject.state)
        for k, leaf in enumerate(subject.state):
            start = np.zeros(leaf.layout.features) if starts is None else starts[k]
            self.table[leaf.symbol.at(0)] = as_print(self.numbers(start), leaf.layout)
        for leaf, array in zip(subject.xs, inputs, strict=True):
            self._over_time(leaf.symbol, array, leaf.layout)
        if target is not None:
            wanted = derivation.backward.target
            for symbol, array in zip(wanted, self._steps("target", target, wanted), strict=True):
                self._over_time(symbol, array, Layout(np.shape(array)[1:], None))
        self._forward()
        self._backward(outputs, final)

    def __getitem__(self, value: Any) -> Any:
        """The matrix of a value, or of a Jacobian, at a time that is a number."""
        if isinstance(value, str):
            wanted = value.replace(" ", "")
            for known, matrix in self.table.items():
                if str(known).replace(" ", "") == wanted:
                    return matrix
            raise KeyError(f"the run has no value {value!r}; names are such as 'h[3]' and 'dL/dh[3]'")
        if isinstance(value, Partial):
            return self._look(Partial(value.value.at(TIME), value.by.at(TIME - 1)), int(value.value.time))
        return self.table[value]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)

    def numbers(self, array: Any) -> Any:
        """An array in the arithmetic of this run; integers stay what they are."""
        array = np.asarray(array)
        if self.arithmetic is FLOATS or array.dtype.kind in "iub":
            return array
        return np.array([self.arithmetic.number(v) for v in array.ravel()], object).reshape(array.shape)

    # ---- what is given ----
    def _check(self, params: Any, xs: Any, state: Any, target: Any) -> None:
        derivation = self.derivation
        subject = derivation.subject
        given = {"params": (params, subject.params), "state": (state, subject.state), "xs": (xs, subject.xs)}
        for name, (tree, leaves) in given.items():
            came, wants = list(pytree.paths(tree)), [leaf.path for leaf in leaves]
            if tree is not None and came != wants:
                raise StructureError(
                    f"run: {name} holds {', '.join(came) or 'nothing'}; the step takes {', '.join(wants) or 'nothing'}"
                )
        wanted = len(derivation.backward.target)
        if wanted != len(pytree.leaves(target)):
            raise OptionError(
                "run: the derivation has a loss, which needs target=" if wanted else
                "run: target is for a derivation with a loss, derive(..., loss=..., target=...)"
            )  # fmt: skip

    def _steps(self, name: str, tree: Any, symbols: list[Value]) -> list[Any]:
        """Arrays over time, one for each symbol."""
        arrays = pytree.leaves(tree)
        if len(arrays) != len(symbols):
            raise StructureError(f"run: {name} holds {len(arrays)} arrays, expected {len(symbols)}")
        for array, symbol in zip(arrays, symbols, strict=True):
            size = int(np.prod([int(n) for n in symbol.shape]))
            if len(np.shape(array)) < 1 or len(array) != self.steps or np.size(array) != size * self.steps:
                shape = tuple(int(n) for n in symbol.shape if n != 1)
                raise ShapeError(
                    f"run: {name} for {symbol.name} has the shape {np.shape(array)}, expected {(self.steps, *shape)}: "
                    "one sequence of as many steps as xs, without the axis of the batch"
                )
        return arrays

    def _leaves(self, name: str, tree: Any, leaves: list[Leaf]) -> list[Any]:
        found = pytree.leaves(tree)
        if len(found) != len(leaves):
            raise StructureError(f"run: {name} holds {len(found)} arrays, the step takes {len(leaves)}")
        for array, leaf in zip(found, leaves, strict=True):
            shape = np.shape(array)[1:] if name == "xs" else np.shape(array)
            if shape != leaf.layout.features:
                raise ShapeError(
                    f"run: {name} {leaf.path} has the shape {np.shape(array)}, expected "
                    f"{('T', *leaf.layout.features) if name == 'xs' else leaf.layout.features}; a run is one sequence, "
                    "without the axis of the batch"
                )
        return found

    def _over_time(self, symbol: Value, array: Any, layout: Layout) -> None:
        for t, value in enumerate(self.numbers(array), 1):
            self.table[symbol.at(t)] = as_print(value, layout)

    # ---- the equations ----
    def at(self, expression: Any, t: int) -> Any:
        """An expression in t, evaluated at a time."""
        return evaluate(expression, lambda value: self._look(value, t), self.arithmetic)

    def _look(self, value: Any, t: int) -> Any:
        if isinstance(value, Partial):
            new, old = value.args
            key = Partial(new.at(t + new.time - TIME), old.at(t + old.time - TIME))
            if key not in self.table:
                part = self.derivation.parts[Partial(new.at(TIME), old.at(TIME - 1))]
                self.table[key] = self.at(part, int(key.value.time))
            return self.table[key]
        if value.time is None:
            return self.table[value]
        when = value.time.subs(TIME, t) if not value.time.is_Integer else value.time
        return self.table[value.at(when)]

    def _forward(self) -> None:
        for t in range(1, self.steps + 1):
            for equation in self.derivation.forward:
                self.table[equation.left.at(t)] = self.at(equation.right, t)

    def _backward(self, outputs: Any, final: Any) -> None:
        derivation = self.derivation
        subject, adjoints = derivation.subject, derivation.backward
        ends = None if final is None else self._leaves("state", final, subject.state)
        for k, (symbol, leaf) in enumerate(zip(adjoints.carried, subject.state, strict=True)):
            end = np.zeros(leaf.layout.features) if ends is None else ends[k]
            self.table[symbol.at(self.steps)] = as_print(self.numbers(end), leaf.layout)
        given = None if outputs is None else self._steps("outputs", outputs, adjoints.direct)
        for k, symbol in enumerate(adjoints.direct):
            for t in range(1, self.steps + 1):
                shape = tuple(map(int, symbol.shape))
                weight = np.ones(shape) if given is None else np.reshape(given[k][t - 1], shape)
                self.table[symbol.at(t)] = self.numbers(weight)
        for t in range(self.steps, 0, -1):
            self._backward_step(t)
        self.gradients = {}
        for leaf, share in zip(subject.params, adjoints.params, strict=True):
            if share is not None:
                terms = [self.at(share, t) for t in range(1, self.steps + 1)]
                total = sum(terms[1:], terms[0]) if terms else np.zeros(tuple(map(int, leaf.symbol.shape)))
                self.gradients[leaf.path] = (total.T if leaf.turned else total).reshape(leaf.layout.features)
        ends = [self.table[symbol.at(0)] for symbol in adjoints.carried] if not self.steps else adjoints.state
        self.initial = [
            None if made is None else self.at(made, 1) if self.steps else end
            for made, end in zip(adjoints.state, ends, strict=True)
        ]

    def _backward_step(self, t: int) -> None:
        derivation = self.derivation
        if t == self.steps:
            equations = list(derivation.unsubstituted.items())
        else:
            equations = [(e.left, e.right) for e in derivation.adjoints]
            known = {left for left, _ in equations}
            given = [pair for pair in derivation.unsubstituted.items() if pair[0] not in known]
            equations = given + equations
        for left, right in equations:
            self.table[left.at(t)] = self.at(right, t)

    def jacobian(self, new: str, old: str, t: int) -> Any:
        """The derivative of a state at t by one at t - 1, from the printed matrix."""
        return self.at(self.derivation.jacobian[new, old].right, t)
