"""Why a gradient vanishes or explodes: bounds of the step Jacobian and of the product of Jacobians, for any cell.

Three quantities are kept apart. ``gamma_f = sup |f'|`` belongs to a function. ``gamma_step`` is the largest singular
value of the Jacobian of one step; it is bounded here for all inputs. The product over t - k steps is then bounded by
``gamma^(t-k)``, where gamma is the supremum over the steps.

References
----------
Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural networks", section 2.1; Bengio, Simard &
Frasconi 1994; Hochreiter & Schmidhuber 1997, section 3, for the path that carries an error on unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sympy import Add, Basic, Expr, ImmutableMatrix, S, Symbol, oo, sqrt

from .counterexample import Counterexample
from .equations import at_time
from .expressions import TIME, Value, replaced
from .gamma_numbers import bound_of, radius
from .intervals import short
from .jacobians import Partial
from .norms import Norms, root_above
from .paths import Path, path
from .ranges import Ranges
from .slopes import slopes_between
from .states import state_ranges

if TYPE_CHECKING:
    from .derivation import Derivation

LONGEST = 200  # operations in a bound that is written out
EARLIER = Symbol("k", integer=True)


class SpectralNorm(Expr):
    """The largest singular value of a matrix of numbers that are not negative; a number where all of them are known."""

    is_commutative = True
    is_extended_nonnegative = True

    def __new__(cls, matrix: Any) -> Any:
        table = ImmutableMatrix(matrix)
        if all(entry.is_number and entry.is_finite for entry in table):
            return root_above(float(np.linalg.norm(np.array(table, float), 2)))
        return Expr.__new__(cls, table)


class Block(NamedTuple):
    """The Jacobian of one value by one state.

    Attributes
    ----------
    partial : Partial
        The symbol.
    matrix : expression, or None where there is no matrix notation for it
    terms : list of (matrix, bound)
        The terms of ``matrix``, those that are diagonal taken as one, each with its bound.
    bound : SymPy expression
        Their sum; it may contain symbols of other blocks.
    """

    partial: Partial
    matrix: Any
    terms: list[tuple[Any, Any]]
    bound: Any


class Step(NamedTuple):
    """The Jacobian of one step, and a bound of its largest singular value, which is gamma_step.

    Attributes
    ----------
    jacobian : Partial
        Of the state at t by that at t - 1; of several states, of all of them as one vector s.
    bound : SymPy expression
    """

    jacobian: Partial
    bound: Any


class Bound:
    """What is known of the gradient's way through time: ``derive(cell).bound``.

    Attributes
    ----------
    gamma_f : dict of Applied to SymPy number
        ``sup |f'|`` of each function of elements between the old state and the new one.
    blocks : dict of (str, str) to Block
        For each pair of a new and an old state; those without an entry are zero.
    gamma_step : Step
        The Jacobian of step t, whose largest singular value is measured, and ``gamma_step.bound``, which holds for all
        inputs, in norms of the parameters and of the states at t - 1: of one state the sum of its terms, of several the
        norm of the matrix of their blocks' bounds (``SpectralNorm``). Infinite where there is none.
    gamma : SymPy expression
        The same for all steps, from initial states within ``states``; infinite where there is none.
    bound : SymPy expression
        ``gamma^(t - k)``: of the product of the Jacobians from k to t.
    states : list of StateRange
        The ranges of the states over time.
    paths : list of Path
        For each state its direct path, and the rest.
    constant : bool
        Whether the Jacobian is the same at all times, as in a linear cell.
    unbounded : list of expression
        What makes ``gamma`` infinite.
    counterexample : Counterexample
        That gamma_step > 1 is not sufficient for exploding.
    """

    def __init__(self, derivation: Derivation):
        self.derivation = derivation
        self.subject, self.constants = derivation.subject, derivation.constants
        self.equations = {equation.left: equation.right for equation in derivation.forward}
        self.old = [leaf.symbol for leaf in self.subject.state if leaf.floating]
        self.steps = {state: state.at(TIME) for state in self.old}
        self.ranges = Ranges(self.equations, {}, self.constants)
        self.gamma_f = slopes_between(self.old, self.steps, self.equations)
        self.states = state_ranges(self.steps, self.equations, self.constants)
        self._blocks()
        bound = self._together({key: block.bound for key, block in self.blocks.items()})
        self.gamma_step = Step(self._whole(), bound)
        self.gamma = self._uniform()
        self.bound = self.gamma ** (TIME - EARLIER)
        self.paths = [self._path(state) for state in self.old]
        self.constant = self._is_constant()
        self.counterexample = Counterexample()

    # ---- blocks ----
    def _blocks(self) -> None:
        derivation = self.derivation
        names = {right: left for left, right in self.equations.items() if not isinstance(right, Value)}
        parts = {partial: replaced(matrix, names) for partial, matrix in derivation.parts.items()}
        self.norms = Norms(self.ranges, parts)
        self.blocks: dict[tuple[str, str], Block] = {}
        for old in self.old:
            for earlier in self.old:
                partial = Partial(old.at(TIME), earlier)
                if partial in parts:
                    self.blocks[old.name, earlier.name] = self._block(partial, parts[partial])
                elif old.at(TIME) in derivation._jacobians.unwritten:
                    infinite = self.ranges.infinite(partial)
                    self.blocks[old.name, earlier.name] = Block(partial, None, [], infinite)
        stated = {block.partial for block in self.blocks.values()}
        self.inner = [
            self._block(partial, parts[partial]) for partial in parts
            if partial not in stated and self.ranges.norm("of", partial) in self.norms.partials
        ]  # fmt: skip

    def _block(self, partial: Partial, matrix: Any) -> Block:
        terms = self.norms.terms(matrix)
        return Block(partial, matrix, terms, Add(*[bound for _, bound in terms]))

    def _together(self, bounds: Mapping[tuple[str, str], Any]) -> Any:
        """The bound of the whole Jacobian from those of its blocks."""
        names = [state.name for state in self.old]
        table = [[self.written_out(bounds.get((new, old), S.Zero)) for old in names] for new in names]
        if any(entry.has(oo) for row in table for entry in row):
            return oo
        return table[0][0] if len(names) == 1 else SpectralNorm(table) if names else S.Zero

    def written_out(self, bound: Any) -> Any:
        """A bound with what its symbols are defined as put in, as long as it stays short."""
        definitions = self.ranges.definitions
        while found := bound.free_symbols & set(definitions):
            longer = bound.xreplace({symbol: definitions[symbol] for symbol in found})
            if not short(longer, LONGEST):
                break
            bound = longer
        return bound

    def symbols(self, bound: Any) -> set:
        """The symbols that a bound rests on, through definitions."""
        found: set = set()
        todo = list(bound.free_symbols)
        while todo:
            symbol = todo.pop()
            if symbol not in found:
                found.add(symbol)
                todo.extend(self.ranges.definitions[symbol].free_symbols if symbol in self.ranges.definitions else ())
        return found

    @property
    def rests_on_inputs(self) -> bool:
        """Whether gamma contains the norm of an input."""
        return any(getattr(self.ranges.norms[s].of, "role", "") == "input" for s in self.symbols(self.gamma))

    def _limits(self) -> dict[Any, Any]:
        """What the norm of each state never exceeds."""
        limits = {r.state: r.limit for r in self.states}
        found = {}
        for symbol, (kind, of) in self.ranges.norms.items():
            if of in limits:  # the length of a vector is at most sqrt(n) times its largest element
                size = S.One if kind == "elements" else sqrt(of.shape[0] * of.shape[1])
                found[symbol] = size * limits[of]
        return found

    def _uniform(self) -> Any:
        """The bound over all steps; what makes it infinite is noted."""
        self.unbounded = list(self.ranges.unbounded)
        free, limits = self.symbols(self.gamma_step.bound), self._limits()
        wild = {self.ranges.norms[symbol].of for symbol in free if limits.get(symbol) == oo}
        self.unbounded.extend([state for state in self.old if state in wild])
        return oo if wild or self.gamma_step.bound == oo else self.over_time(self.gamma_step.bound)

    def over_time(self, bound: Any) -> Any:
        """A bound for all times: norms of states replaced by what they never exceed."""
        return bound.xreplace({s: limit for s, limit in self._limits().items() if limit != oo})

    def _whole(self) -> Partial:
        """The Jacobian of the whole state, as a symbol."""
        term = self.derivation.jacobian_product.right.term
        return at_time(term, term.value.time, TIME)

    # ---- paths ----
    def _path(self, state: Value) -> Path:
        block = self.blocks.get((state.name, state.name))
        name, known = state.name, self.blocks
        others = [v for v in self.old if v != state and (name, v.name) in known and (v.name, name) in known]
        new = self.equations[self.steps[state]]
        return path(state, new, None if block is None else block.matrix, self.ranges, others)

    def _is_constant(self) -> bool:
        """Whether the Jacobian is the same at all times and for all states."""
        todo = [block.matrix for block in self.blocks.values()]
        if any(matrix is None for matrix in todo):
            return False
        seen = set()
        while todo:
            x = todo.pop()
            if x in seen:
                continue
            seen.add(x)
            if isinstance(x, Value) and x.role not in ("parameter", "constant"):
                return False
            if isinstance(x, Partial):
                todo.append(self.norms.parts[x])
            elif not isinstance(x, Value):
                todo.extend([part for part in x.args if isinstance(part, Basic)])
        return True

    def written_out_matrix(self, block: Block) -> Any:
        """The matrix of a block with those of other blocks put in."""
        made = block.matrix
        while inner := made.atoms(Partial):
            made = replaced(made, {p: self.norms.parts[p] for p in inner})
        return made

    # ---- numbers ----
    def evaluate(self, params: Any, norms: Mapping[str, float] | None = None, **states: float) -> float:
        """The bound of ``gamma_step`` for real parameters.

        Parameters
        ----------
        params : pytree of arrays
            As the step takes them.
        norms, **states : float
            The largest absolute value of an element of each state at t - 1, and of each input at t where the bound
            contains it, by name: ``c=3.0``, or ``{"0.c": 3.0}``. For states that are not given the limit that they
            never exceed over time.

        Returns
        -------
        float
            Infinity where there is no bound.

        Raises
        ------
        OptionError
            When the bound contains the norm of a state that has no limit and was not given.

        Examples
        --------
        >>> import numpy as np
        >>> from tapegrad.cells import LSTM
        >>> from tapegrad.symbolic import derive
        >>> cell = LSTM(3, 4)
        >>> bound = derive(cell).bound
        >>> bound.evaluate(cell.init(np.random.default_rng(0)), c=0.5) < bound.evaluate(
        ...     cell.init(np.random.default_rng(0)), c=5.0)
        True
        """
        return bound_of(self, params, {**(norms or {}), **states})

    def spectral_radius(self, params: Any) -> float:
        """The largest absolute value of an eigenvalue of the step Jacobian of a linear cell.

        The gradient vanishes if it is smaller than 1, and explodes if it is larger.

        Raises
        ------
        OptionError
            When the Jacobian is not the same at all times: its eigenvalues then decide nothing.
        """
        return radius(self, params)

    # ---- as text ----
    def text(self) -> str:
        """The analysis as plain text."""
        from .gamma_text import text

        return text(self)

    def markdown(self) -> str:
        """The analysis as Markdown with LaTeX in it."""
        from .gamma_text import markdown

        return markdown(self)

    def latex(self) -> str:
        """The analysis as LaTeX."""
        from .gamma_text import latex

        return latex(self)

    @property
    def sufficient(self) -> str:
        """What is sufficient for the gradient to vanish."""
        from .gamma_text import statement

        return statement(self, "vanishing")

    @property
    def necessary(self) -> str:
        """What is necessary for the gradient to explode, and that it is not sufficient."""
        from .gamma_text import statement

        return statement(self, "exploding")

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def __repr__(self) -> str:
        return self.text()
