"""Cells of the literature, of any lengths, are derived and proven, and nothing is read that nothing defines."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapegrad.cells import variants
from tapegrad.symbolic import Notation, derive
from tapegrad.symbolic.equations import TimeSum
from tapegrad.symbolic.expressions import TIME, values_in
from tapegrad.symbolic.jacobians import Partial
from tapegrad.testing import cells
from tests.strategies.effort import some
from tests.symbolic.proving import EXACT, Problem, worst
from tests.symbolic.zoo import KINDS, derived, made

LITERATURE = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
EVERY = pytest.mark.parametrize("variant", variants(), ids=str)
# One element less its mean, divided by its deviation, is no number; a vocabulary of one word has no second one.
NOT_OF_ONE = ("FastWeights", "Memory")
LENGTHS = {"different": (3, 4, 5, 2), "one": (1, 1, 1, 1), "equal": (4, 4, 4, 4), "wide": (1, 4, 1, 2)}


@LITERATURE
@pytest.mark.parametrize("lengths", LENGTHS)
def test_proofs(kind, lengths):
    if 1 in LENGTHS[lengths] and kind.__name__ in NOT_OF_ONE:
        return
    cell = made(kind, LENGTHS[lengths])
    what, error = worst(derived(kind, LENGTHS[lengths]), Problem(cell, np.random.default_rng(0)))
    assert error < EXACT, f"{what} differs by {error}"


@LITERATURE
def test_proofs_of_prints_with_derivatives_written_out(kind):
    cell = made(kind)
    what, error = worst(derive(cell, notation=Notation(inline=True)), Problem(cell, np.random.default_rng(1)))
    assert error < EXACT, f"{what} differs by {error}"


@LITERATURE
@pytest.mark.parametrize("steps", [0, 1])
def test_no_step_and_one_step(kind, steps):
    cell = made(kind)
    what, error = worst(derived(kind), Problem(cell, np.random.default_rng(2), steps=steps))
    assert error < EXACT, f"{what} differs by {error}"


# ---- nothing is read that nothing defines


def undefined(derivation):
    """What equations read that is neither given nor the left-hand side of an equation, and what is defined twice."""
    subject = derivation.subject
    given = {leaf.symbol for leaf in [*subject.params, *subject.xs]} | set(derivation.constants)
    given |= {leaf.symbol.at(TIME) for leaf in subject.state} | set(derivation.backward.target)
    given |= {symbol.as_role("direct") for symbol in subject.output_symbols}
    if derivation.notation.adjoints in ("nabla", "partial"):  # which say themselves what they are the derivative by
        given |= {symbol.as_role("adjoint") for symbol in subject.output_symbols}
    equations = [e for title, found in derivation.sections() for e in found if title != "From k to t"]
    defined = [e.left for e in equations]
    assert len(set(defined)) == len(defined), "an equation stands there twice"
    known = given | set(defined)
    found = []
    for equation in equations:
        right = equation.right.term if isinstance(equation.right, TimeSum) else equation.right
        for value in [v for v in [*values_in(right), *right.atoms(Partial)] if getattr(v, "role", None) != "hole"]:
            timed = value if isinstance(value, Partial) or value.time is None else value.at(TIME)
            if timed not in known:
                found.append(f"{value} in {equation}")
    return found


def check_order(derivation):
    """At its own time, an equation reads what stands above it."""
    for equations in (derivation.forward, derivation.adjoints):
        left = [e.left for e in equations]
        for i, equation in enumerate(equations):
            late = [v for v in values_in(equation.right) if v in left[i:]]
            assert not late, f"{equation} reads {late}, which stands below"


@LITERATURE
@pytest.mark.parametrize("inline", [False, True])
def test_everything_is_defined_in_the_literature(kind, inline):
    derivation = derive(made(kind), notation=Notation(inline=True)) if inline else derived(kind)
    assert not undefined(derivation)
    check_order(derivation)


@EVERY
@pytest.mark.parametrize("adjoints", ["delta", "nabla"])
def test_everything_is_defined_in_registered_cells(variant, adjoints):
    derivation = derive(variant.build(np.random.default_rng(0)), notation=Notation(adjoints=adjoints))
    assert not undefined(derivation)
    check_order(derivation)


@some()
@given(cells(smooth=False), st.booleans())
def test_everything_is_defined_in_random_cells(cell, inline):
    derivation = derive(cell, notation=Notation(inline=inline))
    assert not undefined(derivation)
    check_order(derivation)


def test_what_is_undefined_is_noticed():
    derivation = derive(made(KINDS[1]))
    del derivation.adjoints._equations[0]
    assert undefined(derivation)
    derivation = derive(made(KINDS[1]))
    derivation.adjoints._equations.reverse()
    with pytest.raises(AssertionError, match="which stands below"):
        check_order(derivation)
