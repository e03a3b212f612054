"""Equations on explicit matrices, by the names that they print."""

import numpy as np
import pytest
import sympy

from tapegrad.cells import GRU, LSTM, Elman
from tapegrad.errors import OptionError, ShapeError, StructureError
from tapegrad.symbolic import Notation, derive
from tapegrad.symbolic.expressions import LAST, TIME
from tests.symbolic.proving import EXACT, Problem, worst


def values_of(equation, rng):
    return {str(value): rng.standard_normal(tuple(map(int, value.shape))) for value in equation.values()}


def test_an_adjoint_by_names():
    rng = np.random.default_rng(0)
    equation = derive(LSTM(3, 4)).adjoints["a_f"]
    given = values_of(equation, rng)
    assert set(given) == {"dL/dc[t]", "c[t - 1]", "f[t]"}
    delta, before, f = given["dL/dc[t]"], given["c[t - 1]"], given["f[t]"]
    np.testing.assert_allclose(equation.evaluate(given), delta * before * f * (1 - f), rtol=1e-14)
    # Spaces do not matter, nor whether a vector is a column.
    bare = {name.replace(" ", ""): value[:, 0] for name, value in given.items()}
    np.testing.assert_allclose(equation.evaluate(bare), equation.evaluate(given), rtol=0)


def test_a_sum_over_time():
    rng = np.random.default_rng(1)
    equation = derive(Elman(2, 3)).gradients["W_hh"]
    deltas, states = rng.standard_normal((4, 3)), rng.standard_normal((4, 3))
    given = {f"dL/da[{t}]": deltas[t] for t in (1, 2, 3)} | {f"h[{t}]": states[t] for t in (0, 1, 2)}
    expected = sum(np.outer(deltas[t], states[t - 1]) for t in (1, 2, 3))
    np.testing.assert_allclose(equation.evaluate(given, T=3), expected, rtol=1e-14)
    assert not equation.evaluate({}, T=0).any()
    with pytest.raises(OptionError, match=r"runs over time; give T as a number"):
        equation.evaluate(given)


def test_the_product_of_jacobians_is_ordered():
    rng = np.random.default_rng(2)
    equation = derive(Elman(2, 3)).jacobian_product
    steps = {t: rng.standard_normal((3, 3)) for t in (3, 4, 5)}
    given = {f"dh[{t}]/dh[{t - 1}]": matrix for t, matrix in steps.items()}
    np.testing.assert_allclose(equation.evaluate(given, k=2, t=5), steps[5] @ steps[4] @ steps[3], rtol=1e-14)
    np.testing.assert_array_equal(equation.evaluate({}, k=5, t=5), np.eye(3))


def test_a_run_has_what_the_equations_need():
    rng = np.random.default_rng(4)
    cell, steps = LSTM(3, 4), 3
    derivation, params, xs = derive(cell), cell.init(rng, np.float64), rng.standard_normal((steps, 3))
    run = derivation.run(params, xs)
    np.testing.assert_array_equal(run["h[3]"], run[derivation.forward["h"].left.at(3)])
    np.testing.assert_allclose(run["c[2]"], run["f[2]"] * run["c[1]"] + run["i[2]"] * run["g[2]"], rtol=1e-14)
    gradient = derivation.gradients["W_hf"].evaluate(run, T=steps)
    np.testing.assert_allclose(gradient.T, run.gradients["W_hf"], rtol=1e-13)
    elman = derive(Elman(3, 4))
    run = elman.run(Elman(3, 4).init(rng, np.float64), xs)
    through = elman.jacobian_product.evaluate(run, t=3, k=1)
    np.testing.assert_allclose(through, run.jacobian("h", "h", 3) @ run.jacobian("h", "h", 2), rtol=1e-13)
    assert len(run) == len(list(run)) > 0
    with pytest.raises(KeyError, match=r"no value 'h\[9\]'"):
        run["h[9]"]
    with pytest.raises(OptionError, match=r"no value was given for dL/da\[4\]"):
        elman.gradients["W_hh"].evaluate(run, T=4)


def test_what_is_missing_or_misshapen_is_named():
    equation = derive(Elman(2, 3)).forward["a"]
    given = values_of(equation, np.random.default_rng(3))
    with pytest.raises(OptionError, match=r"no value was given for W_xh; given are h\[t - 1\]"):
        equation.evaluate({"h[t - 1]": given["h[t - 1]"]})
    given["W_xh"] = given["W_xh"].T
    with pytest.raises(OptionError, match=r"W_xh was given as an array of shape \(2, 3\), expected \(3, 2\)"):
        equation.evaluate(given)


def test_equations_are_sympy_objects():
    equation = derive(GRU(2, 3)).forward["h"]
    made = equation.sympy
    assert isinstance(made, sympy.Eq)
    assert isinstance(made.rhs, sympy.MatAdd)
    later = made.rhs.subs(TIME, LAST)
    assert {v.time for v in later.atoms(type(equation.left))} == {LAST, LAST - 1}
    assert equation.right.func(*equation.right.args) == equation.right


def test_equations_are_found_by_name():
    adjoints = derive(LSTM(2, 3)).adjoints
    assert adjoints["c"] is adjoints[1]
    assert len(adjoints) == 6
    with pytest.raises(KeyError, match="no equation for 'q'; there are h, c, a_o"):
        adjoints["q"]


def test_a_run_refuses_what_does_not_fit():
    cell = Elman(2, 3)
    derivation, problem = derive(cell), Problem(cell, np.random.default_rng(4))
    with pytest.raises(ShapeError, match="a run is one sequence, without the axis of the batch"):
        derivation.run(problem.params, problem.xs)
    with pytest.raises(StructureError, match="params holds W_xh; the step takes W_hh, W_xh, b_h"):
        derivation.run({"W_xh": problem.params["W_xh"]}, problem.xs[:, 0])


# ---- the proof is one: it fails when an equation is wrong


def faults(right):
    """An expression with a term left out, a sign turned, a weight transposed, a factor missing."""
    if isinstance(right, sympy.MatAdd):
        yield from (sympy.MatAdd(*right.args[:i], *right.args[i + 1 :]) for i in range(len(right.args)))
    if isinstance(right, sympy.HadamardProduct):
        for i in range(len(right.args)):
            rest = right.args[:i] + right.args[i + 1 :]
            yield rest[0] if len(rest) == 1 else sympy.HadamardProduct(*rest)
    yield sympy.MatMul(-1, right)
    yield sympy.MatMul(sympy.Rational(1001, 1000), right)
    for weight in right.atoms(sympy.Transpose):
        if weight.shape[0] == weight.shape[1]:
            yield right.xreplace({weight: weight.args[0]})


@pytest.mark.parametrize("cell", [Elman(3, 3), LSTM(3, 3), GRU(3, 3)], ids=lambda cell: type(cell).__name__)
def test_a_wrong_equation_is_caught(cell):
    problem = Problem(cell, np.random.default_rng(5))
    count = 0
    for i, equation in enumerate(derive(cell).adjoints):
        for wrong in faults(equation.right):
            derivation = derive(cell)
            derivation.adjoints[i].right = wrong
            what, error = worst(derivation, problem)
            assert error > 1e6 * EXACT, f"{equation} was replaced by {wrong}, and nothing differs"
            count += 1
    for pair in derive(cell).jacobian:
        derivation = derive(cell)
        derivation.jacobian[pair].right = sympy.MatMul(sympy.Rational(1001, 1000), derivation.jacobian[pair].right)
        what, error = worst(derivation, problem)
        assert error > 1e6 * EXACT
        assert what.startswith("d ")
        count += 1
    assert count > 8


# ---- notation


def test_names_become_letters():
    notation = Notation(rename={"W_hh": "Theta_rec", "h": "s", "x": "xhat", "a": "q_tilde"}, adjoints="bar")
    derivation = derive(Elman(2, 3), notation=notation)
    assert derivation.forward["a"].text() == "q̃_t = W_xh x̂_t + Θ_rec s_{t-1} + b_h"
    assert derivation.forward["a"].latex() == (
        r"\tilde{q}_{t} = W_{xh} \, \hat{x}_{t} + \Theta_{\mathrm{rec}} \, s_{t-1} + b_{h}"
    )
    assert derivation.adjoints["a"].latex() == r"\bar{\tilde{q}}_{t} = \bar{s}_{t} \odot \left(1 - s_{t}^{2}\right)"


@pytest.mark.parametrize("option", [{"time": "above"}, {"adjoints": "grad"}, {"products": "dot"}])
def test_an_unknown_notation_is_refused(option):
    (name,) = option
    with pytest.raises(OptionError, match=f"{name}='.*', expected one of"):
        Notation(**option)


@pytest.mark.parametrize("cell", [Elman(2, 3), LSTM(2, 3), GRU(2, 3, reset_after=True)], ids=str)
def test_documents_hold_every_equation(cell):
    derivation = derive(cell)
    count = sum(len(equations) for _, equations in derivation.sections())
    markdown, latex, text = derivation.markdown(), derivation.latex(), derivation.text()
    assert markdown.count(" &= ") == latex.count(" &= ") == count
    assert text.count(" = ") >= count
    for document in (markdown, latex):
        assert document.count("{") == document.count("}")
        assert document.count(r"\left(") == document.count(r"\right)")
    assert derivation._repr_markdown_() == markdown
    assert repr(derivation) == text
    assert derivation.forward._repr_latex_().startswith(r"$\displaystyle \begin{aligned}")
