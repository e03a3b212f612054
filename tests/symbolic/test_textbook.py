"""The equations that books and papers print, term by term."""

import numpy as np
import pytest

from tapegrad.cells import GRU, LSTM, Elman
from tapegrad.functions import softmax_cross_entropy
from tapegrad.symbolic import Notation, derive
from tapegrad.symbolic.breaking import WIDTH, broken, terms, width
from tests.symbolic.steps import SoftmaxRNN


def lines(equations):
    return [equation.text() for equation in equations]


@pytest.mark.parametrize("named", [False, True])
def test_softmax_rnn(named):
    """Goodfellow, Bengio & Courville 2016, equations 10.8 to 10.11, 10.18, 10.21 and 10.22 to 10.28."""
    derivation = derive(
        SoftmaxRNN(3, 4, 5, named=named),
        loss=lambda o, y: softmax_cross_entropy(o, y, "none"),
        target=np.zeros(1, int),
        notation="goodfellow",
    )
    output = ["ŷ_t = softmax(o_t)"] if named else []
    assert lines(derivation.forward) == ["a_t = b + W h_{t-1} + U x_t", "h_t = tanh(a_t)", "o_t = c + V h_t", *output]
    prediction = "ŷ_t" if named else "softmax(o_t)"
    assert lines(derivation.adjoints) == [
        f"∇o_t L = {prediction} - 1[y_t]",
        "∇h_t L = Wᵀ diag(1 - h_{t+1}^2) (∇h_{t+1} L) + Vᵀ ∇o_t L",
    ]
    assert {name: equation.text() for name, equation in derivation.gradients.items()} == {
        "c": "∇c L = Σ_{t=1..T} ∇o_t L",
        "b": "∇b L = Σ_{t=1..T} diag(1 - h_t^2) (∇h_t L)",
        "V": "∇V L = Σ_{t=1..T} (∇o_t L) h_tᵀ",
        "W": "∇W L = Σ_{t=1..T} diag(1 - h_t^2) (∇h_t L) h_{t-1}ᵀ",
        "U": "∇U L = Σ_{t=1..T} diag(1 - h_t^2) (∇h_t L) x_tᵀ",
    }
    assert derivation.jacobian["h", "h"].text() == "∂h_t/∂h_{t-1} = diag(1 - h_t^2) W"


def test_softmax_rnn_in_latex():
    derivation = derive(SoftmaxRNN(3, 4, 5), notation="goodfellow")
    assert derivation.gradients["W"].latex() == (
        r"\nabla_{W} L = \sum_{t=1}^{T} \operatorname{diag}\left(1 - \left(h^{(t)}\right)^{2}\right) \, "
        r"\left(\nabla_{h^{(t)}} L\right) \, {h^{(t-1)}}^{\top}"
    )
    assert derivation.adjoints["h"].latex() == (
        r"\nabla_{h^{(t)}} L = {W}^{\top} \, \operatorname{diag}\left(1 - \left(h^{(t+1)}\right)^{2}\right) \, "
        r"\left(\nabla_{h^{(t+1)}} L\right) + {V}^{\top} \, \nabla_{o^{(t)}} L"
    )


def test_elman_after_pascanu():
    """Pascanu, Mikolov & Bengio 2013, equation 2 and the Jacobian of section 2.1."""
    derivation = derive(Elman(3, 4), notation="pascanu")
    assert lines(derivation.forward) == ["x_t = tanh(W_in u_t + W_rec x_{t-1} + b)"]
    assert derivation.jacobian["h", "h"].text() == "∂x_t/∂x_{t-1} = diag(1 - x_t^2) W_rec"
    assert derivation.jacobian_product.text() == "∂x_t/∂x_k = Π_{j=t..k+1} ∂x_j/∂x_{j-1}"


def test_lstm():
    """The backward pass of Greff et al. 2017, appendix A, without its peepholes, in our letters."""
    derivation = derive(LSTM(3, 4))
    gates = [
        line
        for gate, function in zip("ifgo", ("σ", "σ", "tanh", "σ"), strict=True)
        for line in (
            f"a_{gate}[t] = W_x{gate} x_t + W_h{gate} h_{{t-1}} + b_{gate}",
            f"{gate}_t = {function}(a_{gate}[t])",
        )
    ]
    assert lines(derivation.forward) == [*gates, "c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t", "h_t = o_t ⊙ tanh(c_t)"]
    assert lines(derivation.adjoints) == [
        "δh_t = W_hoᵀ δa_o[t+1] + W_hgᵀ δa_g[t+1] + W_hfᵀ δa_f[t+1] + W_hiᵀ δa_i[t+1] + ∂L_t/∂h_t",
        "δc_t = δc_{t+1} ⊙ f_{t+1} + δh_t ⊙ o_t ⊙ (1 - tanh(c_t)^2)",
        "δa_o[t] = δh_t ⊙ tanh(c_t) ⊙ o_t ⊙ (1 - o_t)",
        "δa_g[t] = δc_t ⊙ i_t ⊙ (1 - g_t^2)",
        "δa_f[t] = δc_t ⊙ c_{t-1} ⊙ f_t ⊙ (1 - f_t)",
        "δa_i[t] = δc_t ⊙ g_t ⊙ i_t ⊙ (1 - i_t)",
    ]
    for gate in "ifgo":
        assert derivation.gradients[f"W_h{gate}"].text() == f"∂L/∂W_h{gate} = Σ_{{t=1..T}} δa_{gate}[t] h_{{t-1}}ᵀ"
        assert derivation.gradients[f"W_x{gate}"].text() == f"∂L/∂W_x{gate} = Σ_{{t=1..T}} δa_{gate}[t] x_tᵀ"
        assert derivation.gradients[f"b_{gate}"].text() == f"∂L/∂b_{gate} = Σ_{{t=1..T}} δa_{gate}[t]"
    assert derivation.jacobian["c", "c"].text() == "∂c_t/∂c_{t-1} = diag(f_t)"
    assert derivation.jacobian["h", "c"].text() == "∂h_t/∂c_{t-1} = diag((1 - tanh(c_t)^2) ⊙ o_t) ∂c_t/∂c_{t-1}"


def test_two_letters_in_a_subscript_are_two_indices():
    """The input's weights of the gate i are W_xi, with x and i; a longer word is a Greek letter."""
    derivation = derive(LSTM(3, 4), notation=Notation(rename={"b_i": "b_xi", "b_f": "b_theta", "c": "xi"}))
    assert derivation.gradients["W_xi"].latex().startswith(r"\frac{\partial L}{\partial W_{xi}} =")
    assert derivation.forward["a_i"].latex() == r"a_{i,t} = W_{xi} \, x_{t} + W_{hi} \, h_{t-1} + b_{xi}"
    assert r"+ b_{\theta}" in derivation.forward["a_f"].latex()
    assert derivation.forward["c"].latex().startswith(r"\xi_{t} = ")


def test_tables_of_equations_are_shown_one_below_the_other():
    derivation = derive(Elman(3, 4))
    shown = derivation.gradients._repr_latex_()
    assert shown.count(r" \\") == 2
    assert all(equation.latex().replace(" = ", " &= ", 1) in shown for equation in derivation.gradients.values())
    assert derivation.jacobian.text() == "∂h_t/∂h_{t-1} = diag(1 - h_t^2) W_hh"


def test_a_bar_stands_over_its_letter():
    adjoint = derive(Elman(3, 4), notation=Notation(adjoints="bar")).adjoints["a"]
    assert adjoint.latex() == r"\bar{a}_{t} = \bar{h}_{t} \odot \left(1 - h_{t}^{2}\right)"


def test_the_whole_state_has_a_name_of_its_own():
    derivation = derive(LSTM(3, 4))
    assert derivation.jacobian_product.text() == "∂s_t/∂s_k = Π_{j=t..k+1} ∂s_j/∂s_{j-1}"
    assert "s_t is the whole state, [h_t; c_t]; the matrices above are blocks of its Jacobian." in derivation.notes
    renamed = derive(LSTM(3, 4), notation=Notation(rename={"c": "s"}))
    assert renamed.jacobian_product.text() == "∂S_t/∂S_k = Π_{j=t..k+1} ∂S_j/∂S_{j-1}"
    assert "S_t is the whole state, [h_t; s_t]; the matrices above are blocks of its Jacobian." in renamed.notes
    assert not any("whole state" in note for note in derive(GRU(3, 4)).notes)


def test_long_sums_are_broken_between_their_terms():
    derivation = derive(GRU(3, 4))
    equation = derivation.jacobian["h", "h"]
    first, *others = equation.latex_lines()
    assert len(others) >= 1
    assert all(line.startswith((r"&\quad {} + ", r"&\quad {} - ")) for line in others)
    assert all(width(line) <= WIDTH for line in (first, *others))
    joined = " ".join([first, *(line.removeprefix(r"&\quad {} ") for line in others)])
    assert joined.replace("&=", "=") == equation.latex()
    assert equation._repr_latex_().count(r"\\") == len(others)
    assert len(derivation.forward["h"].latex_lines()) == 1


def test_what_stands_in_brackets_is_not_broken():
    assert terms(r"a + \left(b - c\right) - d^{x + y} + \begin{cases} p + q & r \end{cases}") == [
        "a", r"+ \left(b - c\right)", "- d^{x + y}", r"+ \begin{cases} p + q & r \end{cases}",
    ]  # fmt: skip
    assert broken("a", r"\left(b + c\right) \odot e", limit=2) == [r"a &= \left(b + c\right) \odot e"]
    assert broken("a", "b - c", limit=2) == ["a &= b", r"&\quad {} - c"]


def test_gru_with_the_reset_before_the_product():
    """Cho et al. 2014, equations 5 to 8."""
    derivation = derive(GRU(3, 4))
    assert lines(derivation.forward)[-3:] == [
        "a_n[t] = W_xn x_t + W_hn (r_t ⊙ h_{t-1}) + b_n",
        "n_t = tanh(a_n[t])",
        "h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}",
    ]
    assert lines(derivation.adjoints) == [
        "δh_t = δh_{t+1} ⊙ z_{t+1} + (W_hnᵀ δa_n[t+1]) ⊙ r_{t+1} + W_hzᵀ δa_z[t+1] + W_hrᵀ δa_r[t+1] + ∂L_t/∂h_t",
        "δa_n[t] = δh_t ⊙ (1 - z_t) ⊙ (1 - n_t^2)",
        "δa_z[t] = δh_t ⊙ (h_{t-1} - n_t) ⊙ z_t ⊙ (1 - z_t)",
        "δa_r[t] = (W_hnᵀ δa_n[t]) ⊙ h_{t-1} ⊙ r_t ⊙ (1 - r_t)",
    ]
    assert derivation.gradients["W_hn"].text() == "∂L/∂W_hn = Σ_{t=1..T} δa_n[t] (r_t ⊙ h_{t-1})ᵀ"


def test_gru_with_the_reset_after_the_product():
    """The first version of the same paper, and cuDNN's."""
    derivation = derive(GRU(3, 4, reset_after=True))
    assert lines(derivation.forward)[-3] == "a_n[t] = W_xn x_t + b_n + r_t ⊙ (W_hn h_{t-1} + b_hn)"
    assert lines(derivation.adjoints) == [
        "δh_t = δh_{t+1} ⊙ z_{t+1} + W_hnᵀ (δa_n[t+1] ⊙ r_{t+1}) + W_hzᵀ δa_z[t+1] + W_hrᵀ δa_r[t+1] + ∂L_t/∂h_t",
        "δa_n[t] = δh_t ⊙ (1 - z_t) ⊙ (1 - n_t^2)",
        "δa_z[t] = δh_t ⊙ (h_{t-1} - n_t) ⊙ z_t ⊙ (1 - z_t)",
        "δa_r[t] = δa_n[t] ⊙ (W_hn h_{t-1} + b_hn) ⊙ r_t ⊙ (1 - r_t)",
    ]
    assert derivation.gradients["b_hn"].text() == "∂L/∂b_hn = Σ_{t=1..T} δa_n[t] ⊙ r_t"
