"""A cell unrolled over a few steps: the loss and all its gradients as explicit scalar expressions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import sympy
from sympy import Symbol, sympify

from tapegrad import pytree
from tapegrad.cells.base import Cell
from tapegrad.cells.layer import refuse_network
from tapegrad.errors import OptionError, ShapeError, StructureError

from .subject import float64
from .unrolling import Arrays, Unrolling, Written, mapped


def unroll(
    cell: Any,
    T: int,
    shapes: Mapping[str, int] | None = None,
    *,
    params: Any = None,
    state: Any = None,
    xs: Any = None,
    loss: Callable | None = None,
    target: Any = None,
) -> Unrolled:
    """The loss of a cell over T steps and its gradients, as explicit scalar expressions: an oracle from outside.

    The step is carried out on SymPy's symbols, one for each element of the parameters, the first state and the inputs.
    The derivatives of what it computes are SymPy's own; no derivative rule of the engine has a part in them.

    Parameters
    ----------
    cell : Cell, or callable step(params, state, x) -> (state, y)
    T : int
        The number of steps. Two or three, with sizes of 1 to 3, are what remains readable.
    shapes : dict of str to int, optional
        Other sizes for the options of a cell, such as ``{"input_size": 1, "hidden_size": 2}``; its own by default.
    params, state, xs : pytrees of arrays, optional
        For a step that is no Cell, or a cell that takes any input: examples, for one sequence and without the axis of
        the batch, so that ``xs`` is (T, ...). Floating arrays count by their shapes alone; integers, such as tokens,
        are taken as they are.
    loss : callable (y, target) -> array or scalar, optional
        The loss of one step, which is summed over time. By default it is the sum of all outputs, each times a symbol of
        its own (``w_1_0`` for element 0 at t = 1), so that it stands for any loss; of the last state, if there is no
        output.
    target : pytree of arrays (T, ...), optional
        What ``loss`` compares with, as ``xs``.

    Returns
    -------
    Unrolled

    Raises
    ------
    OptionError, StructureError
        When the arguments do not say what the step takes.
    UnsupportedPrimitive
        When the step does something that has no scalar expression, such as an index that depends on symbols.

    Notes
    -----
    A number that is written in the step is exact: 0.9 is 9/10. Where values of a maximum tie they have equal shares
    in the derivative, as in the engine.

    Examples
    --------
    >>> from tapegrad.cells import Elman
    >>> unrolled = unroll(Elman(1, 1), 1)
    >>> unrolled.loss
    w_1_0*tanh(W_hh_0_0*h_0_0 + W_xh_0_0*x_1_0 + b_h_0)
    >>> unrolled.gradients["b_h"]
    array([w_1_0*(1 - tanh(W_hh_0_0*h_0_0 + W_xh_0_0*x_1_0 + b_h_0)**2)],
          dtype=object)
    """
    if isinstance(T, bool) or not isinstance(T, (int, np.integer)) or T < 1:
        raise OptionError(f"unroll: T={T!r}, expected a number of steps of at least 1")
    refuse_network("unroll", cell)
    if isinstance(cell, Cell):
        step, examples = _of_cell(cell, int(T), shapes, params, state, xs)
    elif not callable(cell) or shapes is not None or state is None or xs is None:
        raise OptionError(
            f"unroll: got a {type(cell).__name__} without all of its arguments; give a Cell, or a step with examples "
            "for one sequence, unroll(step, T, params=..., state=..., xs=...)"
        )
    else:
        step, examples = cell, tuple([float64(tree) for tree in (params, state, xs)])
    return Unrolled(Unrolling(step, int(T), examples, loss, None if target is None else float64(target)).written())


def _of_cell(cell: Cell, T: int, shapes: Any, params: Any, state: Any, xs: Any) -> tuple[Callable, Any]:
    """The step of a cell of other sizes, with examples of its arguments."""
    if shapes:
        unknown = set(shapes) - {field.name for field in dataclasses.fields(cell)}
        if unknown:
            raise OptionError(f"unroll: {type(cell).__name__} has no option {', '.join(sorted(unknown))}")
        cell = dataclasses.replace(cell, **shapes)
    params = pytree.map(lambda p: np.broadcast_to(0.0, p.shape), cell.parameters()) if params is None else params
    if state is None:
        state = pytree.map(lambda a: a[0], cell.initial_state(1, np.float64))
    if xs is None:
        declared = cell.inputs()
        if declared is None or any(np.dtype(i.dtype or float).kind != "f" for i in pytree.leaves(declared)):
            raise OptionError(
                f"unroll: {type(cell).__name__} takes any input, or integers, which are no symbols; give them, xs=..."
            )
        xs = pytree.map(lambda i: np.broadcast_to(0.0, (T, *i.shape)), declared)
    return cell.step, tuple([float64(tree) for tree in (params, state, xs)])


class Values(NamedTuple):
    """What the expressions come to: a number, and arrays as they lie in the code."""

    loss: Any
    gradients: Arrays
    initial: Arrays
    inputs: Arrays


class Unrolled:
    """What :func:`unroll` returns.

    Attributes
    ----------
    symbols : dict of str to dict of str to array
        The symbols that all is written in: those of "params", "state", "xs", "weights" and "target", by their paths, in
        arrays as they lie in the code; over time the first axis is t, from 1.
    definitions : dict of Symbol to expression
        The values of the step and the adjoints, each in the symbols and in those before it: subexpressions that the
        written-out ones have in common. ``subs`` and ``to_function`` compute with these, since written
        out all at once they grow exponentially with T.
    """

    def __init__(self, written: Written):
        self._written, self._full = written, dict[Symbol, Any]()
        self.symbols, self.definitions = written.symbols, written.definitions

    def __repr__(self) -> str:
        count = sum(a.size for arrays in self.symbols.values() for a in arrays.values())
        return f"<unrolled: {count} symbols, {len(self.definitions)} definitions>"

    def written_out(self, expression: Any) -> Any:
        """An expression in symbols alone, without definitions."""
        if not self._full:
            for symbol, made in self.definitions.items():
                self._full[symbol] = made.xreplace(self._full)
        return expression.xreplace(self._full)

    def _all(self, name: str) -> Arrays:
        return {path: mapped(self.written_out, a) for path, a in self._written.gradients[name].items()}

    @cached_property
    def loss(self) -> Any:
        """The loss, written out."""
        return self.written_out(self._written.loss)

    @cached_property
    def gradients(self) -> Arrays:
        """The derivative of the loss by each element of each parameter, by its path, written out."""
        return self._all("params")

    @cached_property
    def initial(self) -> Arrays:
        """The derivative by the first state."""
        return self._all("state")

    @cached_property
    def inputs(self) -> Arrays:
        """The derivative by the inputs, (T, ...)."""
        return self._all("xs")

    # ---- numbers ----
    def values(
        self, params: Any, xs: Any, state: Any = None, weights: Any = None, target: Any = None
    ) -> dict[Symbol, Any]:
        """An exact number for each symbol, to be given to :meth:`subs`.

        Parameters
        ----------
        params, xs, state, weights, target : pytrees of arrays
            As ``unroll`` takes them, of integers, fractions or floats, which are what they are in binary. ``weights``
            are the derivatives of the loss by the outputs, ones by default; ``state`` is the cell's first by default.
        """
        found = {}
        given = {"params": params, "xs": xs, "state": state, "weights": weights, "target": target}
        for name, tree in given.items():
            arrays = self._given(name, tree)
            for path, held in self.symbols[name].items():
                array = np.broadcast_to(1, held.shape) if arrays is None else np.asarray(arrays[path])
                if array.shape != held.shape:
                    raise ShapeError(f"unroll: {name} {path} has the shape {array.shape}, expected {held.shape}")
                found.update({s: exact(v) for s, v in zip(held.flat, array.flat, strict=True) if s.is_Symbol})
        return found

    def _given(self, name: str, tree: Any) -> dict[str, Any] | None:
        """Arrays by their paths; None for ones."""
        wanted = self.symbols[name]
        if tree is None and name == "state":
            return dict(zip(wanted, [a for a in self._written.start if a.dtype.kind == "f"], strict=True))
        if not wanted or (tree is None and name == "weights"):
            return None
        found = dict(zip(pytree.paths(tree), pytree.leaves(tree), strict=True))
        if set(wanted) - set(found):
            raise StructureError(
                f"unroll: {name} lacks {', '.join(sorted(set(wanted) - set(found)))}; it holds {', '.join(found)}"
            )
        return found

    def subs(self, values: Mapping[Symbol, Any]) -> Unrolled:
        """The same with numbers, or other expressions, in the place of symbols.

        What comes to a fraction becomes one: of a cell that adds, multiplies, divides and compares, all numbers are
        exact.
        """
        known = {symbol: sympify(value) for symbol, value in values.items()}
        definitions = {}
        for symbol, made in self.definitions.items():
            new = made.xreplace(known)
            if new.is_Rational or new.is_Symbol:
                known[symbol] = new
            else:
                definitions[symbol] = new

        def replaced(groups: dict[str, Arrays]) -> dict[str, Arrays]:
            return {
                name: {path: mapped(lambda e: e.xreplace(known), a) for path, a in arrays.items()}
                for name, arrays in groups.items()
            }

        held = self._written
        loss = held.loss.xreplace(known)
        return Unrolled(Written(replaced(held.symbols), definitions, loss, replaced(held.gradients), held.start))

    def to_function(self, dps: int = 50) -> Callable[..., Values]:
        """A function that evaluates everything with mpmath.

        Parameters
        ----------
        dps : int
            Decimal digits in which it computes.

        Returns
        -------
        callable
            ``(params, xs, state=None, weights=None, target=None) -> Values``, of mpmath's numbers; arguments as
            for :meth:`values`.
        """
        import mpmath

        symbols = [s for arrays in self.symbols.values() for a in arrays.values() for s in a.flat if s.is_Symbol]
        # Names of a step may be those of functions, or no names of Python.
        plain = {s: Symbol(f"s{i}") for i, s in enumerate([*symbols, *self.definitions])}
        held = self._written
        ends = [held.loss, *[e for group in held.gradients.values() for a in group.values() for e in a.flat]]
        shared = [(plain[s], made.xreplace(plain)) for s, made in self.definitions.items()]
        compiled = sympy.lambdify(
            [plain[s] for s in symbols], [e.xreplace(plain) for e in ends],
            modules=[{"StopGradient": lambda x: x}, "mpmath"], cse=lambda made: (shared, made),
        )  # fmt: skip

        def evaluate(params: Any, xs: Any, state: Any = None, weights: Any = None, target: Any = None) -> Values:
            values = self.values(params, xs, state, weights, target)
            with mpmath.workdps(dps):
                given = [sympy.N(values[s], dps + 5)._to_mpmath(mpmath.mp.prec) for s in symbols]
                results = iter([mpmath.mpf(v) for v in compiled(*given)])
            loss = next(results)
            groups = {
                name: {path: mapped(lambda e: next(results), a) for path, a in arrays.items()}
                for name, arrays in held.gradients.items()
            }
            return Values(loss, groups["params"], groups["state"], groups["xs"])

        return evaluate


def exact(value: Any) -> Any:
    """A number as a fraction; a float is what it is in binary."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, sympy.Basic) and not value.is_Float else sympy.Rational(value)
