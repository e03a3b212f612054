"""The slopes of functions of elements, and how a gamma analysis is printed."""


import numpy as np
import pytest
import sympy

import tapegrad as tg
from tapegrad.cells import Elman, variants
from tapegrad.symbolic import Notation, derive
from tapegrad.symbolic.expressions import Applied, Value
from tapegrad.symbolic.slopes import slope
from tests.symbolic.measuring import SQUARE, cell_of

EVERY = pytest.mark.parametrize("variant", variants(), ids=str)

# ---- slopes ----


@pytest.mark.parametrize(
    ("function", "supremum"),
    [("tanh", 1), ("logistic", sympy.Rational(1, 4)), ("sin", 1), ("cos", 1), ("arctan", 1), ("absolute", 1),
     ("arcsinh", 1), ("exp", sympy.oo), ("log", sympy.oo), ("sinh", sympy.oo), ("sign", 0)],
)  # fmt: skip
def test_slopes_come_from_the_rule(function, supremum):
    assert slope(Applied(function, Value("a", (3, 1))))[1] == supremum


def test_slopes_of_compositions_and_of_functions_of_two_arguments():
    a, b = Value("a", (3, 1)), Value("b", (3, 1))
    assert slope(Applied("tanh", Applied("logistic", a)))[1] == sympy.Rational(1, 4)
    assert slope(Applied("maximum", a, b))[1] == 1
    assert slope(Applied("logaddexp", a, b))[1] == 1


def test_only_functions_between_the_states_count():
    def step(self, params, h, x):
        h = np.tanh(h @ params["W"]) + tg.sigmoid(x @ params["U"])
        return h, np.sin(h)

    found = derive(cell_of(step, **SQUARE)).bound.gamma_f
    assert [f.function for f in found] == ["tanh"]


# ---- as text ----


def test_text_of_an_elman_cell():
    text = derive(Elman(2, 3)).text()
    for line in (
        "f(u) = tanh(u): γ_f = sup |f'(u)| = 1",
        "γ_step = ‖∂h_t/∂h_{t-1}‖ = ‖diag(1 - h_t^2) W_hh‖ ≤ σ_max(W_hh)",
        "∂h_t/∂h_k = Π_{j=t..k+1} diag(1 - h_j^2) W_hh",
        "‖∂h_t/∂h_k‖ ≤ Π_{j=t..k+1} γ_step(j) ≤ γ^(t-k), γ = σ_max(W_hh)",
        "σ_max(W_hh) < 1 ensures it",
        "is necessary for the gradient to explode, not sufficient",
        "the product from k to t",
    ):
        assert line.lower() in text.lower(), line


def test_text_follows_the_notation():
    text = derive(Elman(2, 3), notation=Notation(rename={"W_hh": "W"}, time="superscript")).bound.latex()
    assert r"\sigma_{\max}(W)" in text
    assert "h^{(t)}" in text
    assert "W_{hh}" not in text


@EVERY
def test_every_form_is_printed(variant):
    derivation = derive(variant.build(np.random.default_rng(3)))
    markdown, latex = derivation.markdown(), derivation.latex()
    for text in (markdown, latex):
        assert text.count("{") == text.count("}")
        assert text.count(r"\left") == text.count(r"\right")
        assert "‖" not in text
        assert "≤" not in text
        assert "∞" not in text
        assert "& -" not in text  # which would be set as a minus between two terms
    assert markdown.count("$$") % 2 == 0
    assert markdown.replace("$$", "").count("$") % 2 == 0
    assert "nan" not in derivation.text()
