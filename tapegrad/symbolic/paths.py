"""The ways along which a state goes on to the next step: its direct path, unit by unit, and the rest."""

from __future__ import annotations

from typing import Any, NamedTuple

from sympy import HadamardProduct, MatAdd, MatMul

from . import algebra as al
from .constants import identity, is_ones, is_scalar, is_zero, ones, zeros
from .expressions import Scaled, Value, values_in
from .intervals import Interval
from .norms import is_diagonal, vector_of


class Path(NamedTuple):
    """How a state depends on itself one step before.

    Attributes
    ----------
    state : Value
        At t - 1.
    factor : expression
        What each unit is multiplied by on the direct path, where all other values of the step are held fixed; zeros
        where there is no such path.
    range : Interval
        Of ``factor``.
    direct : expression
        The part of the Jacobian that the direct path is: ``diag(factor)``, the identity, or zero.
    rest : expression or None
        The rest of the block of this state; None where the block is not written as a matrix.
    through : list of Value
        Other states by which ways lead from the state back to itself.
    """

    state: Value
    factor: Any
    range: Interval
    direct: Any
    rest: Any
    through: list[Value]

    @property
    def exists(self) -> bool:
        return not is_zero(self.factor)

    @property
    def is_identity(self) -> bool:
        """Whether the state is carried over as it is."""
        return is_ones(self.factor)


def coefficient_of(x: Any, old: Value) -> Any:
    """What ``old`` is multiplied by, element by element, in an expression; zeros where it does not stand so."""
    none = zeros(tuple(old.shape))
    if x == old:
        return ones(tuple(old.shape))
    if isinstance(x, MatAdd):
        return al.add(*[coefficient_of(term, old) for term in x.args])
    if isinstance(x, MatMul) and len(x.args) == 2 and not x.args[0].is_Matrix:
        return al.scaled(x.args[0], coefficient_of(x.args[1], old))
    if isinstance(x, (HadamardProduct, Scaled)) or (isinstance(x, MatMul) and is_scalar(old)):
        parts = [(factor, coefficient_of(factor, old)) for factor in x.args if old in values_in(factor)]
        if len(parts) == 1 and not is_zero(parts[0][1]):
            others = [factor for factor in x.args if factor is not parts[0][0]]
            numbers = [factor for factor in others if not factor.is_Matrix]
            made = al.times(parts[0][1], *[factor for factor in others if factor.is_Matrix])
            for number in numbers:
                made = al.scaled(number, made)
            return made
    return none


def path(state: Value, new: Any, block: Any, ranges: Any, through: list[Value]) -> Path:
    """The paths of one state.

    Parameters
    ----------
    state : Value
        At t - 1.
    new : expression
        Of the state at t, in the named values of the step.
    block : expression or None
        The Jacobian of the state by itself.
    ranges : Ranges
    through : list of Value
    """
    factor = coefficient_of(new, state)
    vector = tuple(state.shape[1:]) == (1,)
    if is_zero(factor) or not vector:
        direct = zeros((state.shape[0], state.shape[0]))
    else:
        direct = identity(int(state.shape[0])) if is_ones(factor) else al.diagonal(factor)
    rest = None
    if block is not None:
        rest = block if is_zero(direct) else without(block, factor)
    return Path(state, factor, ranges.of(factor), direct, rest, through)


def without(block: Any, factor: Any) -> Any:
    """A Jacobian less diag(factor)."""
    terms = list(block.args) if isinstance(block, MatAdd) else [block]
    mixed = [term for term in terms if not is_diagonal(term)]
    vectors = [vector_of(term) for term in terms if is_diagonal(term)]
    left = al.add(*vectors, al.scaled(-1, factor))
    if not is_zero(left):
        mixed.append(al.diagonal(left))
    return al.add(*mixed) if mixed else zeros(tuple(block.shape))
