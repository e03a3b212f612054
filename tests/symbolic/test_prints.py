"""Prints say what they mean: brackets stand where they have to, and nothing is read that nothing defines."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapegrad.cells import LSTM, variants
from tapegrad.symbolic import PRESETS, Notation, derive
from tapegrad.symbolic.equations import TimeSum
from tapegrad.symbolic.evaluation import evaluate
from tapegrad.symbolic.expressions import Named
from tapegrad.symbolic.printing import PRODUCT, SUM
from tapegrad.symbolic.text import TextPrinter
from tapegrad.testing import cells
from tests.strategies.effort import some
from tests.symbolic.parsing import Unreadable, drawn, is_plain, read
from tests.symbolic.zoo import KINDS, derived, made

LITERATURE = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
EVERY = pytest.mark.parametrize("variant", variants(), ids=str)


def equations_of(derivation):
    return [e for title, found in derivation.sections() for e in found if title != "From k to t"]


def check_text(derivation, rng):
    """Every equation, read back from its text, has the value that the equation has; the share that could be read."""
    printer, count = TextPrinter(derivation.notation), 0
    plain = [e for e in equations_of(derivation) if is_plain(e)]
    for equation in plain:
        for positive in (True, False):
            values = drawn(equation, rng, positive)
            term = equation.right.term if isinstance(equation.right, TimeSum) else equation.right
            expected = evaluate(term, values.__getitem__)
            try:
                with np.errstate(all="ignore"):
                    found = read(equation, printer, values)
            except Unreadable as error:
                raise AssertionError(f"{equation}: {error}") from error
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=str(equation))
        count += 1
    return count / max(1, len(equations_of(derivation)))


@LITERATURE
def test_text_of_the_literature(kind):
    check_text(derived(kind), np.random.default_rng(0))


@EVERY
@pytest.mark.parametrize("notation", PRESETS)
def test_text_of_registered_cells(variant, notation):
    rng = np.random.default_rng(1)
    derivation = derive(variant.build(rng), notation=notation)
    equations = equations_of(derivation)
    joined = [e for e in equations if any(x.function == "concatenate" for x in e.right.atoms(Named))]
    assert check_text(derivation, rng) == 1 - len(joined) / len(equations)  # [0; I] does not say how long the 0 is


@some()
@given(cells(smooth=False), st.integers(0, 2**32 - 1), st.sampled_from(["hadamard", "diag"]))
def test_text_of_random_cells(cell, seed, products):
    check_text(derive(cell, notation=Notation(products=products)), np.random.default_rng(seed))


# ---- LaTeX


def latex_faults(text):
    """What no LaTeX can set, or nobody reads: brackets that do not close or stand twice, two superscripts in a row."""
    opened = []
    for found in re.finditer(r"\\left\(|\\right\)|[{}]", text):
        if found[0] in ("{", r"\left("):
            opened.append(found)
        elif not opened or (opened.pop()[0] == "{") != (found[0] == "}"):
            yield f"{found[0]} at {found.start()} closes nothing"
    yield from [f"{found[0]} is not closed" for found in opened]
    yield from re.findall(r"\\left\(\\left\([^()]*\\right\)\\right\)", text)
    yield from re.findall(r"[\^_]\{[^{}]*\}[\^]\{[^{}]*\}[\^_]", text)


@LITERATURE
@pytest.mark.parametrize("time", ["subscript", "superscript"])
def test_latex_of_the_literature(kind, time):
    for equation in equations_of(derive(made(kind), notation=Notation(time=time))):
        assert not list(latex_faults(equation.latex())), equation.latex()


@pytest.mark.parametrize(
    "text", [r"\left(a", r"a}", r"\left({a\right)}", r"\left(\left(a\right)\right)", r"a_{t}^{2}^{3}"]
)
def test_faults_of_latex_are_noticed(text):
    assert list(latex_faults(text))


def test_subscripts_of_two_letters_are_no_greek():
    derivation = derive(LSTM(2, 3))
    assert derivation.forward["a_i"].latex().startswith(r"a_{i,t} = W_{xi} \, x_{t}")
    assert derivation.forward["a_i"].text().startswith("a_i[t] = W_xi x_t")


# ---- the check is one: it fails where a bracket is missing


class Careless(TextPrinter):
    """Leaves out one kind of bracket."""

    def __init__(self, notation, strength):
        super().__init__(notation)
        self.strength = strength

    def __call__(self, x, least=0):
        text, strength = self.parts(x)
        return text if strength >= least or strength == self.strength else self.brackets(text)


@pytest.mark.parametrize("strength", [SUM, PRODUCT])
def test_a_missing_bracket_is_noticed(strength):
    rng, noticed = np.random.default_rng(2), 0
    for kind in KINDS:
        derivation = derived(kind)
        for equation in filter(is_plain, equations_of(derivation)):
            term = equation.right.term if isinstance(equation.right, TimeSum) else equation.right
            careful, careless = (
                p(term, PRODUCT) for p in (TextPrinter(derivation.notation), Careless(derivation.notation, strength))
            )
            if careful == careless:
                continue
            values = drawn(equation, rng, True)
            expected = evaluate(term, values.__getitem__)
            try:
                found = read(equation, Careless(derivation.notation, strength), values)
                noticed += not np.allclose(found, expected, rtol=1e-9)
            except (Unreadable, ValueError):
                noticed += 1
    assert noticed > 3
