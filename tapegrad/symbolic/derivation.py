"""The derivation of a cell: its equations forward and backward, as a book prints them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

from sympy import MatAdd, Symbol

from . import algebra as al
from .adjoints import Adjoints
from .calls import called, is_readable
from .constants import is_zero
from .distinct import check_names, fitted
from .equations import Equation, Equations, EquationTable, OrderedProduct, over_time
from .expressions import LAST, TIME, Named, Value, moved, replaced, values_in
from .jacobians import Jacobians, Partial
from .notation import Notation
from .notation import notation as notation_of
from .running import Run
from .subject import Subject, subject
from .text import TextPrinter

if TYPE_CHECKING:
    from .gamma import Bound

EARLIER = Symbol("k", integer=True)
INDEX = Symbol("j", integer=True)


def derive(
    cell: Any,
    params: Any = None,
    state: Any = None,
    x: Any = None,
    *,
    loss: Callable | None = None,
    target: Any = None,
    notation: str | Notation | None = None,
) -> Derivation:
    """The equations of a cell and of its backpropagation through time.

    They are read from the tape of the step and from the tape of its derivative, for any cell.

    Parameters
    ----------
    cell : Cell, or callable step(params, state, x) -> (state, y)
    params, state, x : pytrees of arrays
        For a step that is no Cell: examples of its arguments, for one row or more. For a cell that takes any input: an
        example of ``x``.
    loss : callable (y, target) -> array (B,) or scalar, optional
        The loss of one step, which is summed over time. Without it the derivative of the loss by the output stays a
        symbol, so that the equations hold for any loss.
    target : array
        An example of what ``loss`` compares with, for one row or more.
    notation : str or Notation, optional
        One of ``tapegrad.symbolic.PRESETS``, such as "goodfellow", or one of your own.

    Returns
    -------
    Derivation

    Raises
    ------
    TracingError
        When the step mixes rows of a batch, or cannot be traced.
    OptionError, StructureError
        When the arguments do not say what the step takes, or it returns something else than a state and an output.

    Examples
    --------
    >>> from tapegrad.cells import Elman
    >>> print(derive(Elman(3, 4)).adjoints.text())
    δh_t = W_hhᵀ δa_{t+1} + ∂L_t/∂h_t
    δa_t = δh_t ⊙ (1 - h_t^2)
    """
    read, letters = subject(cell, params, state, x), notation_of(notation)
    return Derivation(read, fitted(read, letters) if isinstance(notation, str) else letters, loss, target)


class Derivation:
    """What :func:`derive` returns.

    Attributes
    ----------
    forward : Equations
        The step, at time t.
    adjoints : Equations
        The derivative of the loss by each state, and by what its equations need, from those at t + 1.
    gradients : dict of str to Equation
        The gradient of each parameter, by its path: a sum over time.
    inputs : dict of str to Equation
        The derivative by each input at t.
    jacobian : dict of (str, str) to Equation
        The derivative of each new state by each old one, ``jacobian["c", "h"]``; pairs that do not depend on each
        other are left out.
    jacobian_product : Equation
        The derivative of the state at t by the state at k, as the product of the Jacobians between.
    bound : Bound
        Why the gradient vanishes or explodes: the slopes of the functions, bounds of one step and of the product.
    notes : list of str
        The conventions, and what was printed as a named function.

    Notes
    -----
    Columns: a vector is a column, and a weight that the code applies from the right, ``x @ W``, is printed as ``W x``:
    the printed W is the transpose of the array. The equations are those of one sequence; gradients of a batch are
    sums over its sequences.
    """

    def __init__(self, subject: Subject, notation: Notation, loss: Callable | None = None, target: Any = None):
        self.subject, self.notation = subject, notation
        check_names(subject, notation)
        inline = {subject.values[s].name for s in subject.arguments()} if notation.inline else set()
        self.backward = Adjoints(subject, frozenset(inline), loss, target)
        self.visible = set(subject.values) - (subject.helpers - set(self.backward.shown))
        self.forward = self._forward()
        self.adjoints = self._recurrences()
        shares = zip(subject.params, self.backward.params, strict=True)
        self.gradients = EquationTable({
            leaf.path: self._equation(leaf.symbol.as_role("gradient"), zero_or_sum(share))
            for leaf, share in shares if share is not None
        })  # fmt: skip
        self.inputs = EquationTable({
            leaf.path: self._equation(leaf.symbol.as_role("adjoint"), share)
            for leaf, share in zip(subject.xs, self.backward.xs, strict=True) if share is not None
        })  # fmt: skip
        self._jacobians = Jacobians(subject, self.visible)
        self.parts, self.unwritten = self._jacobians.parts, self._jacobians.unwritten
        self.jacobian = EquationTable({
            (new.name, old.name): self._equation(Partial(new, old), matrix)
            for (new, old), matrix in self._jacobians.blocks.items()
        })  # fmt: skip
        self.jacobian_product = self._product()

    def _equation(self, left: Any, right: Any) -> Equation:
        return Equation(left, right, self.notation)

    # ---- the parts ----
    def _forward(self) -> Equations:
        subject = self.subject
        found = [self._equation(symbol, made) for symbol, made in subject.equations(self.visible).items()]
        reader = subject.forward_reader
        literals = [value for _, value in subject.tape.outputs]
        ends = literals[: len(subject.state)]
        for leaf, slot, value in zip(subject.state, subject.next_state, ends, strict=True):
            if slot not in subject.values or subject.values[slot].name != leaf.symbol.name:
                found.append(self._equation(leaf.symbol.at(TIME), self._result(reader, slot, value, leaf.symbol.shape)))
        for symbol, slot, value in zip(subject.output_symbols, subject.outputs, literals[len(ends) :], strict=True):
            if symbol.role == "output":
                found.append(self._equation(symbol, self._result(reader, slot, value, symbol.shape)))
        self.constants = subject.constants.arrays
        return Equations(found)

    def _result(self, reader: Any, slot: int, value: Any, shape: Any) -> Any:
        return reader.read(slot) if slot >= 0 else al.constant(value, tuple(shape))

    def _recurrences(self) -> Equations:
        """The adjoints, with what later steps say of a state written out where it is read once."""
        adjoints = self.backward
        later = {
            symbol: moved(made, 1)
            for symbol, made in zip(adjoints.carried, adjoints.state, strict=True) if made is not None
        }  # fmt: skip
        self.unsubstituted = dict(adjoints.equations)
        uses: Counter[Value] = Counter()
        for right in self.unsubstituted.values():
            uses.update([v for v in values_in(right) if v.role == "carried"])
        shares = [*adjoints.state, *adjoints.params, *adjoints.xs]
        elsewhere = {v for right in shares if right is not None for v in values_in(right) if v.role == "carried"}
        once = {s: right for s, right in later.items() if uses[s] == 1 and s not in elsewhere}
        once = {s: r for s, r in once.items() if s.at(TIME + 1) not in values_in(r)}
        self.later = {s: right for s, right in later.items() if s not in once and (uses[s] or s in elsewhere)}
        found = [self._equation(symbol, right) for symbol, right in self.later.items()]
        for left, right in self.unsubstituted.items():
            given = right == left.as_role("direct")  # an output's, which "nabla" and "partial" spell out
            if not given or self.notation.adjoints in ("delta", "bar"):
                found.append(self._equation(left, substituted(right, once)))
        return Equations(found)

    def _product(self) -> Equation:
        """The state at t by the state at k, through all steps between."""
        names = list(dict.fromkeys(name for pair in self.jacobian for name in pair))
        floats = [leaf.symbol for leaf in self.subject.state if leaf.floating]
        if len(floats) == 1 and names:
            new, old = floats[0], floats[0]
        else:
            size = sum(prod(map(int, v.shape)) for v in floats)
            subject = self.subject
            leaves = [leaf.symbol for leaf in (*subject.params, *subject.state, *subject.xs)]
            printed = {self.notation.name(v.name) for v in (*leaves, *subject.values.values())}
            free = [name for name in ("s", "S") if name not in printed]
            new = old = Value(free[0] if free else subject.unique("s"), (size, 1), TIME - 1)
        step = Partial(new.at(INDEX), old.at(INDEX - 1))
        return self._equation(Partial(new.at(TIME), old.at(EARLIER)), OrderedProduct(step, INDEX, EARLIER + 1, TIME))

    def run(self, params: Any, xs: Any, state: Any = None, **given: Any) -> Run:
        """The equations, evaluated on numbers over a whole sequence; see :class:`~tapegrad.symbolic.running.Run`."""
        return Run(self, params, xs, state, **given)

    def functions(self) -> list[str]:
        """The operations of the step that are printed as functions with a name of the code."""
        expressions = [e.right for _, equations in self.sections() for e in equations]
        return sorted({called(n) for x in expressions for n in x.atoms(Named) if not is_readable(n)})

    # ---- as text ----
    def sections(self) -> list[tuple[str, list[Equation]]]:
        """The equations under their headings."""
        found = [
            ("Forward, for t = 1 to T", list(self.forward)),
            ("Backward, for t = T to 1", list(self.adjoints)),
            ("Gradients of the parameters", list(self.gradients.values())),
            ("Derivative by the input", list(self.inputs.values())),
            ("Jacobian of the state", [self._equation(k, v) for k, v in self.shown_parts().items()]),
        ]
        if self.jacobian and not self.unwritten:
            found.append(("From k to t", [self.jacobian_product]))
        return [(title, equations) for title, equations in found if equations]

    def shown_parts(self) -> dict[Any, Any]:
        """The Jacobians of the states, and those that stand in them."""
        wanted = [Partial(new, old) for new, old in self._jacobians.blocks]
        for part in wanted:
            wanted.extend([p for p in self.parts[part].atoms(Partial) if p not in wanted])
        return {part: made for part, made in self.parts.items() if part in wanted}

    def latex(self) -> str:
        """All equations as LaTeX, with their headings."""
        parts = [f"\\paragraph{{{title}}}\n\\[\n{Equations(made).latex()}\n\\]" for title, made in self.sections()]
        return "\n\n".join([*parts, self.bound.latex()])

    def markdown(self) -> str:
        """All equations as Markdown with LaTeX in it, for notebooks and web pages."""
        parts = [f"**{title}**\n\n$$\n{Equations(made).latex()}\n$$" for title, made in self.sections()]
        return "\n\n".join([*parts, *[f"- {note}" for note in self.notes], self.bound.markdown()])

    def text(self) -> str:
        """All equations as plain text."""
        parts = [
            f"{title}\n" + "\n".join(f"    {line}" for line in Equations(made).text().splitlines())
            for title, made in self.sections()
        ]
        return "\n\n".join([*parts, "\n".join(f"* {note}" for note in self.notes), self.bound.text()])

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def __repr__(self) -> str:
        return self.text()

    @cached_property
    def bound(self) -> Bound:
        """Why the gradient vanishes or explodes: bounds of one step, and of the product of Jacobians."""
        from .gamma import Bound

        return Bound(self)

    @property
    def notes(self) -> list[str]:
        return notes(self)


def notes(derivation: Derivation) -> list[str]:
    """What a reader has to know besides the equations."""
    subject, found = derivation.subject, []
    turned = [leaf.path for leaf in subject.params if leaf.turned]
    if turned:
        found.append(
            f"Vectors are columns. Transposes of the arrays in the code, which apply them from the right: "
            f"{', '.join(turned)}."
        )
    states = [leaf.symbol.at(TIME) for leaf in subject.state if leaf.floating]
    if states:
        found.append(
            "At t = T the terms of t + 1 are replaced by the derivative of the loss by the final state "
            f"({', '.join(TextPrinter(derivation.notation).value(v.at(LAST)) for v in states)}), which is 0 for a loss "
            "of outputs alone. The gradients of a batch are sums over its sequences."
        )
    if derivation.later:
        loss, later = derivation.notation.loss, next(iter(derivation.later))
        found.append(
            f"{loss}_>t is the loss of all steps after t: what {TextPrinter(derivation.notation)(later)} holds."
        )
    whole = derivation.jacobian_product.left.value
    if derivation.jacobian and not derivation.unwritten and whole not in states:
        name, *parts = [TextPrinter(derivation.notation).value(v) for v in (whole, *states)]
        found.append(f"{name} is the whole state, [{'; '.join(parts)}]; the matrices above are blocks of its Jacobian.")
    captured = {v: None for _, es in derivation.sections() for e in es for v in e.values() if v.role == "constant"}
    if captured:
        shapes = [f"{v.name} ({' × '.join(map(str, v.shape))})" for v in captured]
        found.append(f"Constant arrays, which the step captures: {', '.join(shapes)}.")
    unread = derivation.functions()
    if unread:
        found.append(f"Printed as named functions, since they have no reading in matrix notation: {', '.join(unread)}.")
    missing = [v.name for v in derivation.unwritten]
    if missing:
        found.append(f"The Jacobian of {', '.join(missing)} is no matrix between vectors and is not printed.")
    return found


def zero_or_sum(share: Any) -> Any:
    """The sum over time of one step's share."""
    return share if is_zero(share) else over_time(share, LAST)


def substituted(expression: Any, changes: dict[Any, Any]) -> Any:
    """An expression with sums put in the place of symbols, and taken up by the sum that these stand in."""
    if isinstance(expression, MatAdd):
        return al.add(*[substituted(term, changes) for term in expression.args])
    return replaced(expression, {v: made for v, made in changes.items() if v in values_in(expression)})
