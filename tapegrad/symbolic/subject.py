"""What is derived: a step on its tape, and the symbol of every parameter, input, state and named value."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from tapegrad import pytree
from tapegrad.cells.base import Cell
from tapegrad.cells.layer import refuse_network
from tapegrad.errors import OptionError, ShapeError, StructureError, TapegradError, TracingError
from tapegrad.tape import AbstractTape
from tapegrad.tensor import aval_of
from tapegrad.tracing import tracer

from . import algebra as al
from .expressions import TIME, Applied, Layout, Named, Value
from .flattening import flattened
from .letters import Letters
from .naming import (
    CURVED,
    applied_from_the_right,
    brief,
    drop_prefix,
    plain,
    preactivations,
    shared,
    state_names,
)
from .reading import Constants, Reader, matrix_shape, number_of_rows


class Leaf(NamedTuple):
    """An array that the step is given.

    Attributes
    ----------
    path : str
        Where it stands in its pytree, as ``W_hh`` or ``cells[0].b``.
    symbol : Value
    turned : bool
        Whether it is printed as the transpose of the array in the code.
    layout : Layout
    floating : bool
    """

    path: str
    symbol: Value
    turned: bool
    layout: Layout
    floating: bool

    @property
    def expression(self) -> Any:
        """What stands for the array as it lies in the code."""
        return al.transposed(self.symbol) if self.turned else self.symbol


class Subject:
    """A step with its tape, ready to be read.

    Attributes
    ----------
    tape : AbstractTape
    rows : int
        The length of the axis of rows in ``tape``.
    params, state, xs : list of Leaf
    next_state, outputs : list of int
        Slots of the results.
    structures : tuple of pytree structures
        Of params, state, x and y.
    values : dict of int to Value
        The symbols of the values that have names, by slot, in the order of the tape.
    state_values : list of int
        For each state the slot in ``values`` that is the new state.
    constants : Constants
        The arrays that the step captures.
    reader : Reader
        Of the forward tape.
    """

    def __init__(self, name: str, step: Callable, params: Any, state: Any, x: Any):
        self.name, self.step = name, step
        lengths = {n for leaf in pytree.leaves((params, state, x)) for n in leaf.shape}
        self.rows = number_of_rows(lengths)
        self.examples = tuple(
            [params] + [pytree.map(lambda a: np.broadcast_to(a[:1], (self.rows, *a.shape[1:])), t) for t in (state, x)]
        )
        self.tape: AbstractTape = self._traced((params, state, x))
        counts = [len(pytree.leaves(tree)) for tree in self.examples]
        self._check_result(counts[1])
        drop_prefix(self.tape)
        self.structures = (*[pytree.structure(t) for t in self.examples], self._output_structure())
        self.next_state = [slot for slot, _ in self.tape.outputs[: counts[1]]]
        self.outputs = [slot for slot, _ in self.tape.outputs[counts[1] :]]
        reader = Reader(self.tape, self.rows, {}, Constants(str))  # for the layouts alone
        self.used: set[tuple[str, ...]] = set()
        inputs = self._inputs(reader, counts)
        self.params, self.state, self.xs = (
            inputs[: counts[0]], inputs[counts[0] : counts[0] + counts[1]], inputs[counts[0] + counts[1] :],
        )  # fmt: skip
        self.reader_layout = reader.layout
        self.leaves = dict(zip(self.tape.inputs, [leaf.expression for leaf in inputs], strict=True))
        self.values, self.helpers = self._values(reader)
        self.constants = Constants(self.unique)
        self.output_symbols = [self._output(k, slot) for k, slot in enumerate(self.outputs)]

    def _traced(self, given: tuple[Any, Any, Any]) -> AbstractTape:
        tracer(self.step, history=False)(*given)  # so that an error speaks of the shapes that were given
        try:
            return flattened(tracer(self.step, history=True)(*self.examples))
        except TracingError:
            raise
        except TapegradError as error:
            shapes = ", ".join(str(np.shape(leaf)) for leaf in pytree.leaves(given[1:]))
            raise ShapeError(
                f"derive: {self.name} takes the examples that were given, and no larger batch; state and x have an "
                f"axis of rows in front, and came with the shapes {shapes}: give (1, n) for a vector of n"
            ) from error

    # ---- what comes out ----
    def _check_result(self, states: int) -> None:
        _, structure = self.tape.structures  # type: ignore[misc]
        sample = structure.unflatten([None] * len(self.tape.outputs))
        if not isinstance(sample, tuple) or len(sample) != 2:
            raise StructureError(
                f"derive: {self.name} returned something else than a pair; a step returns (new state, output)"
            )
        new = structure.unflatten(list(range(len(self.tape.outputs))))[0]
        made = len(pytree.leaves(new))
        if made != states:
            raise StructureError(
                f"derive: {self.name} was given a state of {states} arrays and returned one of {made}; the new state "
                "has the structure of the old one"
            )
        if pytree.structure(new) != pytree.structure(self.examples[1]):
            raise StructureError(
                f"derive: {self.name} was given the state {', '.join(pytree.paths(self.examples[1]))} and returned "
                f"{', '.join(pytree.paths(new))}; the new state has the structure of the old one"
            )
        old = [aval_of(leaf) for leaf in pytree.leaves(self.examples[1])]
        for path, a, (_, value) in zip(pytree.paths(new), old, self.tape.outputs, strict=False):
            b = aval_of(value)
            if (
                b.shape not in (a.shape, ())
                or a.dtype.kind != b.dtype.kind
                and (b.dtype.kind == "f" or a.dtype.kind != "f")
            ):
                raise ShapeError(
                    f"derive: the state {path} has the shape {('B', *a.shape[1:])} and dtype {a.dtype}, and "
                    f"{self.name} returned {tuple('B' if n == self.rows else n for n in b.shape)} and {b.dtype}; "
                    "the new state is like the old one"
                )

    def _output_structure(self) -> Any:
        _, structure = self.tape.structures  # type: ignore[misc]
        return pytree.structure(structure.unflatten(list(range(len(self.tape.outputs))))[1])

    # ---- symbols ----
    def unique(self, name: str) -> str:
        """A name that no other symbol has, nor one that is printed alike."""
        stem, _, number = name.rpartition("_")
        stem, n = (stem, int(number)) if stem and number.isdigit() else (name, 0)
        trial = name
        while Letters(trial).key in self.used:
            n += 1
            trial = f"{stem}_{n}"
        self.used.add(Letters(trial).key)
        return trial

    def _inputs(self, reader: Reader, counts: list[int]) -> list[Leaf]:
        found = []
        paths = [path for tree in self.examples for path in pytree.paths(tree)]
        states = state_names(self.tape, self.next_state, self.examples[1], counts[2])
        for i, (slot, path) in enumerate(zip(self.tape.inputs, paths, strict=True)):
            aval = self.tape.aval(slot)
            layout = reader.layout(aval)
            shape = matrix_shape(layout.features)
            turned = i < counts[0] and len(layout.features) == 2 and applied_from_the_right(self.tape, slot)
            if i < counts[0]:
                symbol = Value(self.unique(path), shape[::-1] if turned else shape, None, "parameter")
            elif i < counts[0] + counts[1]:
                symbol = Value(self.unique(states[i - counts[0]]), shape, TIME - 1)
            else:
                symbol = Value(self.unique("x" if path == "value" else plain(path, "x")), shape, TIME, "input")
            found.append(Leaf(path, symbol, turned, layout, aval.dtype.kind == "f"))
        return found

    def _output(self, k: int, slot: int) -> Value:
        """What an output is called: the named value that it is, or a symbol of its own."""
        if slot in self.values:
            return self.values[slot]
        layout = self.reader_layout(self.tape.aval(slot) if slot >= 0 else np.zeros(()))
        name = "y" if len(self.outputs) == 1 else f"y_{k + 1}"
        return Value(self.unique(name), matrix_shape(layout.features), TIME, "output")

    def _values(self, reader: Reader) -> tuple[dict[int, Value], set[int]]:
        """A symbol for each named value and state, and for the sums that functions of elements are applied to."""
        inputs = set(self.tape.inputs) | set(self.tape.consts)
        state_of: dict[int, str] = {}
        for slot, leaf in zip(self.next_state, self.state, strict=True):
            if slot >= 0 and slot not in inputs:
                state_of.setdefault(slot, leaf.symbol.name)
        known = {*inputs, *state_of}
        names = {slot: name for slot, name in self.tape.names.items() if slot not in known}
        known.update(names)
        helpers = preactivations(self.tape, known, set(self.tape.inputs[: len(self.params)]))
        repeated = shared(self.tape, {*known, *helpers})
        values: dict[int, Value] = {}
        found_helpers = set()
        sole = len(helpers) == 1
        # Those of the code first: what has no name there makes way.
        floats = [slot for slot in sorted(names) if self.tape.aval(slot).dtype.kind == "f"]
        called = {slot: self.unique(names[slot]) for slot in floats}
        for slot in sorted({*names, *state_of, *helpers, *repeated}):
            aval = self.tape.aval(slot)
            if aval.dtype.kind != "f":
                continue
            if slot in state_of:
                name = state_of[slot]
            elif slot in names:
                name = called[slot]
            elif slot in repeated:
                name = self.unique("v_1")
            else:
                made = called.get(helpers[slot]) or state_of.get(helpers[slot])
                name = self.unique("a" if sole or not made else f"a_{made}")
                found_helpers.add(slot)
            values[slot] = Value(name, matrix_shape(reader.layout(aval).features), TIME)
        return values, found_helpers

    def arguments(self) -> set[int]:
        """The named values that a function of elements is applied to."""
        found = set(self.helpers)
        for node in self.tape.nodes:
            if node is not None and node.primitive.name in CURVED:
                found.update([s for s in node.slots if s in self.values])
        return found

    # ---- forward equations ----
    def equations(self, shown: set[int]) -> dict[Value, Any]:
        """What each shown value is, in the order of the tape."""
        reader = Reader(self.tape, self.rows, dict(self.leaves), self.constants)
        found = {}
        for slot, symbol in self.values.items():
            if slot in shown:
                found[symbol] = reader.read(slot)
                reader.known[slot] = symbol
        self.forward_reader = reader
        return found

    def folds(self) -> dict[Any, Value]:
        """Functions that have a name: what they are called where a derivative computes them again."""
        folded = {}
        named = set(self.values)
        for shown in (named, named - brief(self.tape, self.helpers, named)):  # the helpers may be written out
            found = self.equations(shown)
            for symbol, slot in zip(self.output_symbols, self.outputs, strict=True):
                if symbol.role == "output" and slot >= 0:
                    found[symbol] = self.forward_reader.read(slot)
            folded.update({made: symbol for symbol, made in found.items() if isinstance(made, (Applied, Named))})
        helpers = {self.values[slot] for slot in self.helpers}  # which need not have an equation
        return {made: symbol for made, symbol in folded.items() if symbol not in helpers}

    # ---- running the tape again ----
    def replay(self, given: list[Any], added: dict[int, Any], wanted: Iterable[int]) -> dict[int, Any]:
        """Carry out the tape with something added to some slots; the values of the slots that are asked for."""
        from tapegrad.tensor import apply

        env: dict[int, Any] = dict(self.tape.consts)
        env.update(zip(self.tape.inputs, given, strict=True))
        for slot, node in enumerate(self.tape.nodes):
            if node is None:
                continue
            values = [v if s < 0 else env[s] for s, v in zip(node.slots, node.args, strict=True)]
            ans = apply(node.primitive, values, node.options)
            made = ans if node.primitive.multiple else [ans]
            for i, value in enumerate(made):
                env[slot + i] = value + added[slot + i] if slot + i in added else value
        return {slot: env[slot] for slot in wanted}


def subject(cell: Any, params: Any = None, state: Any = None, x: Any = None) -> Subject:
    """What is to be derived, from a cell or from a step with examples of its arguments."""
    if isinstance(cell, Cell):
        from tapegrad.cells.checks import specification

        spec = specification(cell)
        params = spec.structure.unflatten([np.broadcast_to(0.0, p.shape) for p in spec.parameters])
        state = cell.initial_state(1, np.float64)
        if x is None:
            declared = cell.inputs()
            if declared is None:
                raise OptionError(
                    f"derive: {type(cell).__name__} takes any input; give an example, x=np.zeros((1, features))"
                )
            x = pytree.map(lambda i: np.broadcast_to(np.zeros((), i.dtype or float), (1, *i.shape)), declared)
        return Subject(type(cell).__name__, cell.step, params, state, float64(x))
    if isinstance(cell, type) and issubclass(cell, Cell):
        raise OptionError(
            f"derive: got the class {cell.__name__}; make a cell of it, {cell.__name__}(input_size=3, ...)"
        )
    refuse_network("derive", cell)
    if not callable(cell):
        raise OptionError(f"derive: got a {type(cell).__name__}, expected a Cell or a function step(params, state, x)")
    if state is None and x is None:
        raise OptionError(
            "derive: a step alone does not say the shapes; give examples as the step takes them, "
            "derive(step, params, state, x) with state and x of one row or more"
        )
    for name, tree in (("state", state), ("x", x)):
        for path, leaf in zip(pytree.paths(tree), pytree.leaves(tree), strict=True):
            if np.ndim(leaf) == 0 or np.asarray(leaf).dtype.kind not in "biuf":
                raise ShapeError(
                    f"derive: {name} {'' if path == 'value' else path + ' '}is {leaf!r}, expected an array with an "
                    "axis of rows in front, such as np.zeros((1, n))"
                )
    return Subject(getattr(cell, "__name__", "step"), cell, *[float64(tree) for tree in (params, state, x)])


def float64(tree: Any) -> Any:
    """A pytree of arrays with floating ones in double precision."""
    return pytree.map(lambda a: np.asarray(a, np.float64) if aval_of(a).dtype.kind == "f" else np.asarray(a), tree)
