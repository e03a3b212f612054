"""check_backward: right backward passes pass, and of wrong ones the term and the time step are named."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import pytree
from tapegrad.cells import GRU, LSTM, Elman, variants
from tapegrad.errors import OptionError, StructureError
from tapegrad.symbolic import WrongBackward, check_backward, derive
from tapegrad.symbolic.lesson import Lesson
from tapegrad.symbolic.marking import Marker
from tapegrad.symbolic.mistakes import mistakes
from tapegrad.testing import cells
from tests.strategies.effort import few
from tests.symbolic.backward_passes import elman, gru, lstm
from tests.symbolic.steps import Deep, Memory, SoftmaxRNN

PASSES = {"elman": (elman, Elman(2, 3)), "lstm": (lstm, LSTM(3, 2)), "gru": (gru, GRU(2, 3))}
TOLD = pytest.mark.parametrize("told", [True, False], ids=["adjoints", "gradients alone"])


def of_outputs(backward, cell, **options):
    """The function of three arguments, for a loss of outputs alone."""
    nothing = pytree.map(lambda a: a[0], cell.initial_state(1, np.float64))
    return lambda params, values, dys: backward(params, values, dys, nothing, **options)


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("steps", [1, 2, 5])
@TOLD
def test_right_ones_pass(name, steps, told):
    backward, cell = PASSES[name]
    for seed in range(3):
        for function in (partial(backward, told=told), of_outputs(backward, cell, told=told)):
            report = check_backward(function, cell, steps=steps, seed=seed)
            assert report, report.text()
            assert report.faults == []
            report.raise_if_wrong()
            assert len(report.compared) == len(cell.parameters()) + told * {"elman": 2, "lstm": 6, "gru": 4}[name]


# What is wrong, of what, the time at which it shows first, and what is said.
ELMAN = {
    "recurrent term": ("δh_t", 3, "lacks the term W_hhᵀ δa_{t+1}"),
    "loss term": ("δh_t", 4, "lacks the term ∂L_t/∂h_t"),
    "sign": ("δh_t", 3, "has the term W_hhᵀ δa_{t+1} with the wrong sign"),
    "transposed": ("δh_t", 3, "has W_hh δa_{t+1} instead of W_hhᵀ δa_{t+1}"),
    "input weights": ("δh_t", 3, "has W_xhᵀ instead of W_hhᵀ in the term W_hhᵀ δa_{t+1}"),
    "not through tanh": ("δh_t", 3, "has δh_{t+1} instead of δa_{t+1} in the term W_hhᵀ δa_{t+1}"),
    "slope": ("δa_t", 4, "lacks the factor (1 - h_t^2)"),
    "plus": ("δa_t", 4, "has 1 + h_t^2 instead of 1 - h_t^2"),
    "h": ("δa_t", 4, "has h_t instead of h_t^2"),
    "logistic": ("δa_t", 4, "has h_t ⊙ (1 - h_t) instead of 1 - h_t^2"),
    "earlier slope": ("δa_t", 4, "has h_{t-1} instead of h_t"),
    "h_t": ("∂L/∂W_hh", 4, "pairs δa_t with h_t instead of h_{t-1}"),
    "outer": ("∂L/∂W_hh", None, "is the transpose of what it should be"),
    "bias": ("∂L/∂b_h", 4, "is the term of t = 1 alone, not the sum over t"),
    "bias mean": ("∂L/∂b_h", 4, "is the mean over t, not the sum"),
    "bias without T": ("∂L/∂b_h", 4, "leaves out the term of t = 4 = T"),
    "negative bias": ("∂L/∂b_h", 4, "has the term δa_t with the wrong sign"),
}
LSTMS = {
    "forget path": ("δc_t", 3, "lacks the term δc_{t+1} ⊙ f_{t+1}"),
    "swapped gates": ("δc_t", 3, "has i_{t+1} instead of f_{t+1} in the term δc_{t+1} ⊙ f_{t+1}"),
    "tanh c": ("δc_t", 4, "lacks the factor (1 - tanh(c_t)^2)"),
    "c for tanh c": ("δa_o[t]", 4, "has c_t instead of tanh(c_t)"),
    "candidate": ("δa_g[t]", 4, "has g_t ⊙ (1 - g_t) instead of 1 - g_t^2"),
    "c_t": ("δa_f[t]", 4, "has c_t instead of c_{t-1}"),
    "half logistic": ("δa_i[t]", 4, "lacks the factor (1 - i_t)"),
    "swapped deltas": ("δa_i[t]", 4, "has c_{t-1} instead of g_t"),
    "gate path": ("δh_t", 3, "lacks the term W_hgᵀ δa_g[t+1]"),
    "swapped weights": ("δh_t", 3, "has W_hf and W_hi exchanged"),
    "swapped gradients": ("∂L/∂b_f", 4, "has δa_i[t] instead of δa_f[t]"),
}
GRUS = {
    "z for 1 - z": ("δa_n[t]", 4, "has z_t instead of 1 - z_t"),
    "reset": ("δh_t", 3, "lacks the factor r_{t+1} in the term (W_hnᵀ δa_n[t+1]) ⊙ r_{t+1}"),
    "direct path": ("δh_t", 3, "lacks the term δh_{t+1} ⊙ z_{t+1}"),
    "reset in the product": ("∂L/∂W_hn", 4, "lacks the factor r_t"),
}
PLANTED = [(name, *row) for name, table in (("elman", ELMAN), ("lstm", LSTMS), ("gru", GRUS)) for row in table.items()]


@pytest.mark.parametrize(("name", "mistake", "expected"), PLANTED, ids=lambda v: v if isinstance(v, str) else "")
@TOLD
@pytest.mark.parametrize("seed", [0, 7])
def test_mistakes_are_named(name, mistake, expected, told, seed):
    backward, cell = PASSES[name]
    cell = Elman(3, 3) if mistake == "input weights" else cell
    report = check_backward(of_outputs(backward, cell, mistake=mistake, told=told), cell, seed=seed)
    quantity, time, words = expected
    assert not report
    found = report.faults[0]
    assert (found.quantity, found.time) == (quantity, time), report.text()
    assert found.explanation.startswith(words), report.text()
    assert f"{quantity} {words}" in report.text()
    assert f"derived: {quantity} = " in report.text()
    assert len(report.faults) == (2 if mistake == "swapped gradients" else 1), report.text()


def test_the_last_step_left_out():
    told = check_backward(of_outputs(elman, Elman(2, 3), mistake="last step"), Elman(2, 3), steps=6)
    assert told.faults[0].time == 6
    assert told.faults[0].explanation == "lacks the term ∂L_t/∂h_t at t = 6 = T alone"
    alone = check_backward(of_outputs(elman, Elman(2, 3), mistake="last step", told=False), Elman(2, 3), steps=6)
    assert alone.faults[0].explanation == "and all behind it leave out t = 6 = T"


def test_an_index_below_zero():
    def backward(params, values, dys, dstate):
        grads, adjoints = elman(params, values, dys, dstate)
        hs = values["h"][1:]
        W = sum(np.outer(hs[t - 1], adjoints["a"][t]) for t in range(len(hs)))
        return grads | {"W_hh": W}, adjoints

    (fault,) = check_backward(backward, Elman(2, 3)).faults
    assert (fault.quantity, fault.time) == ("∂L/∂W_hh", 1)
    assert fault.explanation == "has h_4 instead of h_0 at t = 1, by an index of -1"


@TOLD
def test_the_derivative_by_the_last_state_forgotten(told):
    report = check_backward(partial(elman, mistake="dstate", told=told), Elman(2, 3))
    assert report.faults[0].time == 4
    assert report.faults[0].explanation == "leaves out the derivative of the loss by the last state, dstate"


def test_each_of_several_mistakes_is_told():
    def several(params, values, dys, dstate):
        grads, adjoints = lstm(params, values, dys, dstate, mistake="forget path")
        return grads | {"b_o": -grads["b_o"], "W_xi": np.zeros_like(grads["W_xi"])}, adjoints

    report = check_backward(several, LSTM(2, 3))
    assert [fault.quantity for fault in report.faults][:1] == ["δc_t"]
    assert {fault.quantity for fault in report.faults} == {"δc_t", "∂L/∂b_o", "∂L/∂W_xi"}
    assert "wrong sign" in report.text()


@TOLD
def test_what_comes_from_later_is_lost_with_the_last_state(told):
    report = check_backward(partial(elman, mistake="recurrent term"), Elman(2, 3))
    assert (report.faults[0].time, report.faults[0].explanation) == (4, "lacks the term W_hhᵀ δa_{t+1}")

    def nothing_from_later(params, values, dys, dstate):
        zeros = {name: 0 * w if name.startswith("W_h") else w for name, w in params.items()}
        made = lstm(zeros, values, dys, (0 * dstate[0], dstate[1]))
        return made if told else made[0]

    report = check_backward(nothing_from_later, LSTM(2, 3))
    assert report.faults[0].explanation.startswith("lacks the terms of t + 1, ")
    assert all(f"W_h{gate}ᵀ δa_{gate}[t+1]" in report.faults[0].explanation for gate in "ifgo")
    assert len(report.faults) == 1


def test_what_no_single_change_explains_is_said_with_its_size():
    def scaled(params, values, dys, dstate):
        grads, _ = elman(params, values, dys, dstate)
        return grads | {"b_h": 1.001 * grads["b_h"]}

    report = check_backward(scaled, Elman(2, 3))
    (fault,) = report.faults
    assert (fault.quantity, fault.explanation) == ("∂L/∂b_h", None)
    assert fault.difference == pytest.approx(np.max(np.abs(fault.got - fault.expected)))
    assert fault.got == pytest.approx(1.001 * fault.expected, rel=1e-9)
    assert "no single change" in report.text()
    assert "Return adjoints too" in report.text()
    assert check_backward(scaled, Elman(2, 3), rtol=0.01)
    with pytest.raises(WrongBackward, match="no single change"):
        report.raise_if_wrong()
    with pytest.raises(AssertionError):
        assert report, report.text()


def test_adjoints_that_the_derivation_writes_out_can_be_checked_too():
    def backward(params, values, dys, dstate, wrong):
        grads, adjoints = lstm(params, values, dys, dstate)
        dx = sum(adjoints[f"a_{gate}"] @ params[f"W_x{gate}"].T for gate in "ifgo")
        di = adjoints["c"][1:] * values["o" if wrong else "g"]
        return grads, {"i": di, "c": adjoints["c"][1:], "x": dx}

    assert check_backward(partial(backward, wrong=False), LSTM(2, 3))
    report = check_backward(partial(backward, wrong=True), LSTM(2, 3))
    assert (report.faults[0].quantity, report.faults[0].time) == ("δi_t", 4)
    assert report.faults[0].explanation == "has o_t instead of g_t"
    assert len(report.faults) == 1, "the gradients were not made from it"


# ---- any cell ----


def of_the_tape(cell):
    """The gradients that the engine finds, as a function to be checked."""
    subject = derive(cell).subject

    def backward(params, values, dys, dstate):
        xs = subject.structures[2].unflatten([values[leaf.symbol.name][:, None] for leaf in subject.xs])
        state = subject.structures[1].unflatten([values[leaf.symbol.name][0][None] for leaf in subject.state])
        (end, ys), pull = tg.vjp(lambda p, s: cell(p, xs, s, backend="reference"), params, state)
        for made, leaf in zip(pytree.leaves(end), subject.state, strict=True):
            np.testing.assert_allclose(made[0], values[leaf.symbol.name][-1], rtol=1e-12)
        weights = pytree.map(lambda a: a[:, None], dys)
        grads, first = pull((pytree.map(lambda a: a[None], dstate), weights))
        return grads

    return backward


ODD = {"memory": Memory(4, 3), "deep": Deep(2, 3, 3), "softmax": SoftmaxRNN(2, 3, 4)}
BUILT = [(str(v), v.build(np.random.default_rng(3))) for v in variants()] + list(ODD.items())
EVERY = pytest.mark.parametrize("cell", [cell for _, cell in BUILT], ids=[name for name, _ in BUILT])


@EVERY
def test_the_tape_is_right_and_a_change_of_it_is_wrong(cell):
    right = of_the_tape(cell)
    tokens = np.array([1, 3, 0]) if isinstance(cell, Memory) else None
    report = check_backward(right, cell, x=tokens)
    assert report, report.text()

    def changed(params, values, dys, dstate):
        leaves, structure = pytree.flatten(right(params, values, dys, dstate))
        leaves[-1] = leaves[-1] * (1 + 1e-4)
        return structure.unflatten(leaves)

    report = check_backward(changed, cell, x=tokens)
    assert [fault.quantity for fault in report.faults] == [report.compared[-1]]


@few()
@given(cells(), st.integers(0, 2**32 - 1))
def test_the_tape_of_random_cells_is_right(cell, seed):
    report = check_backward(of_the_tape(cell), cell, seed=seed, steps=3)
    assert report, report.text()


@EVERY
def test_each_term_of_each_equation_of_any_cell(cell):
    """The equations themselves, with a term missing, in the place of the function."""
    derivation = derive(cell)
    marker = Marker(Lesson(derivation, 3, np.random.default_rng(0)))
    recurrences = marker._recurrences(set())
    planted = 0
    for left, right in recurrences.items():
        for mistake in mistakes(right, [])[:2]:
            if mistake.kind != "term" or left.role != "adjoint":
                continue
            follower, backward = marker.follower(recurrences, marker._totals(), 1e-10)
            changed = backward.with_recurrence(left, mistake.right)
            _, table = follower.follow(changed, {}, {})
            layouts = marker.lesson.layouts()
            adjoints = {
                v.name: np.stack([table[v.name, "adjoint", t].reshape(layouts[v.name].features) for t in (1, 2, 3)])
                for v in recurrences if v.role == "adjoint"
            }  # fmt: skip
            grads = {leaf.path: follower.total(changed.totals[leaf.path], table) for leaf in derivation.subject.params}
            report = marker.marked(grads, adjoints, 1e-10)
            assert [fault.left for fault in report.faults] == [left], report.text()
            assert report.faults[0].explanation.startswith("lacks the term"), report.text()
            planted += 1
    assert planted


# ---- what is returned, and what is given ----


def test_missing_gradients_and_wrong_shapes_are_faults():
    def backward(params, values, dys, dstate):
        grads, adjoints = elman(params, values, dys, dstate)
        del grads["b_h"]
        return grads | {"W_xh": grads["W_xh"].T}, {"a": adjoints["a"][1:], "h": adjoints["h"]}

    text = check_backward(backward, Elman(2, 3)).text()
    assert "∂L/∂b_h was not returned" in text
    assert "∂L/∂W_xh has the shape (3, 2) instead of (2, 3), it is the transpose" in text
    assert "δa_t has the shape (3, 3) instead of (4, 3)" in text


def test_what_is_no_answer_is_refused():
    with pytest.raises(StructureError, match="gradients of W;"):
        check_backward(lambda p, v, d: {"W": np.zeros(3)}, Elman(2, 3))
    with pytest.raises(StructureError, match="dict of adjoints"):
        check_backward(lambda p, v, d: (p, 3), Elman(2, 3))
    with pytest.raises(OptionError, match="no adjoints of 'q'; give those of a, h"):
        check_backward(lambda p, v, d: (p, {"q": d}), Elman(2, 3))
    with pytest.raises(OptionError, match="steps=0"):
        check_backward(lambda p, v, d: p, Elman(2, 3), steps=0)
    with pytest.raises(ZeroDivisionError):
        check_backward(lambda p, v, d: 1 / 0, Elman(2, 3))


def test_what_the_function_writes_into_does_no_harm():
    def backward(params, values, dys, dstate):
        made = elman(params, values, dys, dstate)
        for leaf in pytree.leaves((params, values, dys, dstate)):
            leaf[...] = 0.0
        return made

    assert check_backward(backward, Elman(2, 3))


def test_a_step_function_and_a_notation():
    def step(params, state, x):
        z = np.sin(params["w"] * state + x)
        return z, z

    def backward(params, values, dys, *, wrong=False):
        z, x, grad, later = values["z"], values["x"], 0.0, 0.0
        for t in reversed(range(len(x))):
            da = (dys[t] + later) * np.cos(params["w"] * z[t] + x[t])
            grad, later = grad + da * z[t], da * (1.0 if wrong else params["w"])
        return {"w": grad}

    examples = {"w": np.ones(2)}, np.ones((1, 2)), np.ones((1, 2))
    assert check_backward(backward, step, *examples)
    report = check_backward(partial(backward, wrong=True), step, *examples, notation="goodfellow")
    assert "lacks the factor w" in report.text()
