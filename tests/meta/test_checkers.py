"""Every checker sees every kind of fault that it says it sees: rules, equations and backward passes that are wrong."""

from functools import partial
from itertools import combinations

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import GRU, LSTM
from tapegrad.cli import main
from tapegrad.errors import ShapeError
from tapegrad.symbolic import check_backward
from tapegrad.testing import (
    CellMismatch,
    GradientMismatch,
    assert_gradients_close,
    cell_equations,
    check_adjoint,
    check_cell,
    check_grads,
    check_jvp,
    check_vjp,
)
from tests.meta import recurrent
from tests.meta.faults import faults
from tests.specs import PRIMITIVES
from tests.symbolic.backward_passes import elman
from tests.symbolic.test_check_backward import PASSES

RNG = np.random.default_rng(0)
ARGS = W, X, B = RNG.standard_normal((3, 3)), RNG.standard_normal((3, 3)), RNG.standard_normal(3)


def layer(W, x, b):
    return np.tanh(x @ W + b)


def pull(g, ans, W, x, b):
    da = g * (1 - ans**2)
    return x.T @ da, da @ W.T, np.sum(da, axis=0)


def push(moves, ans, W, x, b):
    return (moves[1] @ W + x @ moves[0] + moves[2]) * (1 - ans**2)


def one_element(a, by):
    """``a`` with one element changed; traced values too."""
    return a * np.where(np.arange(a.size).reshape(a.shape) == a.size // 2, by, 1.0)


PULLS = {
    "0.1 % off": lambda g, ans, *args: (lambda dW, dx, db: (dW, 1.001 * dx, db))(*pull(g, ans, *args)),
    "sign": lambda g, ans, *args: (lambda dW, dx, db: (-dW, dx, db))(*pull(g, ans, *args)),
    "lost": lambda g, ans, *args: (lambda dW, dx, db: (dW, dx, 0.0 * db))(*pull(g, ans, *args)),
    "one element 0.1 % off": lambda g, ans, *args: (
        lambda dW, dx, db: (one_element(dW, 1.001), dx, db))(*pull(g, ans, *args)),
    "one element lost": lambda g, ans, *args: (
        lambda dW, dx, db: (dW, one_element(dx, 0.0), db))(*pull(g, ans, *args)),
    "no number": lambda g, ans, *args: (
        lambda dW, dx, db: (one_element(dW, np.nan), dx, db))(*pull(g, ans, *args)),
    "swapped operands": lambda g, ans, *args: (lambda dW, dx, db: (dx, dW, db))(*pull(g, ans, *args)),
    "transposed": lambda g, ans, *args: (lambda dW, dx, db: (dW.T, dx, db))(*pull(g, ans, *args)),
    "dropped factor": lambda g, ans, *args: pull(g, 0.0 * ans, *args),
    "wrong ans": lambda g, ans, *args: pull(g, 1.001 * ans, *args),
    "one term of a broadcast sum": lambda g, ans, *args: (
        lambda dW, dx, db: (dW, dx, (g * (1 - ans**2))[0]))(*pull(g, ans, *args)),
    "wrong shape": lambda g, ans, *args: (
        lambda dW, dx, db: (dW, dx, np.concatenate([db, db])))(*pull(g, ans, *args)),
}  # fmt: skip
PUSHES = {
    "0.1 % off": lambda moves, ans, *args: 1.001 * push(moves, ans, *args),
    "sign": lambda moves, ans, *args: -push(moves, ans, *args),
    "dropped term": lambda moves, ans, *args: push([moves[0], moves[1], 0.0 * moves[2]], ans, *args),
    "one element 0.1 % off": lambda moves, ans, *args: one_element(push(moves, ans, *args), 1.001),
    "one element lost": lambda moves, ans, *args: one_element(push(moves, ans, *args), 0.0),
    "no number": lambda moves, ans, *args: one_element(push(moves, ans, *args), np.inf),
    "swapped operands": lambda moves, ans, *args: push([moves[1], moves[0], moves[2]], ans, *args),
    "transposed": lambda moves, ans, *args: push(moves, ans, *args).T,
    "dropped factor": lambda moves, ans, *args: push(moves, 0.0 * ans, *args),
    "wrong ans": lambda moves, ans, *args: push(moves, 1.001 * ans, *args),
    "a term of two arguments": lambda moves, ans, *args: push(moves, ans, *args) + moves[0] * moves[1],
    "wrong shape": lambda moves, ans, *args: np.sum(push(moves, ans, *args), axis=0),
}  # fmt: skip


def ruled(rule, kind, define):
    """``layer`` with a rule."""
    made = kind(layer)
    getattr(made, define)(rule)
    return made


def refused(check, *given, **options):
    try:
        check(*given, **options)
    except (GradientMismatch, ShapeError):
        return True
    return False


@pytest.mark.parametrize("kind", PULLS)
def test_wrong_backward_rules(kind, count):
    rule, ans = PULLS[kind], layer(*ARGS)
    right, wrong = pull(X, ans, *ARGS), rule(X, ans, *ARGS)
    for name, check, given, options in (
        ("check_grads", check_grads, (ruled(rule, tg.custom_vjp, "defvjp"), ARGS), {"modes": ("rev",)}),
        ("check_vjp", check_vjp, (layer, ARGS, rule), {}),
        ("check_adjoint", check_adjoint, (layer, ARGS), {"vjp": rule}),
        ("assert_gradients_close", assert_gradients_close, (wrong, right), {}),
    ):
        assert refused(check, *given, **options), name
        count(name, kind)


@pytest.mark.parametrize("kind", PUSHES)
def test_wrong_forward_rules(kind, count):
    rule = PUSHES[kind]
    for name, check, given, options in (
        ("check_grads", check_grads, (ruled(rule, tg.custom_jvp, "defjvp"), ARGS), {"modes": ("fwd",)}),
        ("check_jvp", check_jvp, (layer, ARGS, rule), {}),
        ("check_adjoint", check_adjoint, (layer, ARGS), {"jvp": rule}),
    ):
        assert refused(check, *given, **options), name
        count(name, kind)


def test_right_rules_pass():
    check_grads(ruled(pull, tg.custom_vjp, "defvjp"), ARGS)
    check_grads(ruled(push, tg.custom_jvp, "defjvp"), ARGS)
    check_vjp(layer, ARGS, pull)
    check_jvp(layer, ARGS, push)
    check_adjoint(layer, ARGS, vjp=pull, jvp=push)


# ---- equations in which two gates are exchanged
def gates(cell):
    """The pairs of parameters of one shape."""
    shapes = {name: parameter.shape for name, parameter in cell.parameters().items()}
    return [(i, j) for i, j in combinations(sorted(shapes), 2) if shapes[i] == shapes[j]]


@pytest.mark.parametrize("cell", [LSTM(2, 3), GRU(2, 3)], ids=["lstm", "gru"])
def test_gates_that_are_exchanged_in_equations(cell, monkeypatch, count):
    check = partial(check_cell, cell, oracles=("tape", "sympy"), steps=3, batch=1)
    derive, order = cell_equations.derive, sorted(cell.parameters())
    check()
    for first, second in gates(cell):

        def exchanged(*args, pair=(first, second), **options):
            made, (i, j) = derive(*args, **options), map(order.index, pair)
            params = made.backward.params
            params[i], params[j] = params[j], params[i]
            return made

        monkeypatch.setattr(cell_equations, "derive", exchanged)
        with pytest.raises(CellMismatch) as error:
            check()
        assert {mismatch.name for mismatch in error.value.report.mismatches} == {f"params.{first}", f"params.{second}"}
        count("check_cell, equations", "swapped gates")


# ---- backward passes by hand
def spoilt(backward, change):
    def wrong(*given):
        grads, adjoints = backward(*given)
        change(grads, adjoints)
        return grads, adjoints

    return wrong


def exchange(i, j):
    def change(grads, adjoints):
        grads[i], grads[j] = grads[j], grads[i]

    return change


def put(which, name, change):
    def changed(*found):
        found[which][name] = change(found[which][name])

    return changed


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_gates_that_are_exchanged_in_a_backward_pass(name, count):
    backward, cell = PASSES[name]
    for first, second in gates(cell):
        report = check_backward(spoilt(backward, exchange(first, second)), cell, steps=3)
        assert {fault.quantity for fault in report.faults} == {f"∂L/∂{first}", f"∂L/∂{second}"}
        count("check_backward", "swapped gates")


@pytest.mark.parametrize(("which", "quantity"), [*[(0, p) for p in ("W_xh", "W_hh", "b_h")], (1, "h"), (1, "a")])
def test_faults_of_each_result_of_a_backward_pass(which, quantity, count):
    cell = PASSES["elman"][1]
    kinds = {"0.1 % off": lambda a: 1.001 * a, "sign": np.negative, "lost": np.zeros_like,
             "no number": lambda a: a * np.nan}  # fmt: skip
    if which:
        kinds |= {f"off by one in time, {t}": roll for t, roll in recurrent.ROLLS.items()}
        kinds["a step too few"] = lambda a: np.concatenate([0.0 * a[:2], a[2:]])
    for kind, change in kinds.items():
        report = check_backward(spoilt(elman, put(which, quantity, change)), cell, steps=4)
        assert not report, kind
        with pytest.raises(AssertionError):
            report.raise_if_wrong()
        count("check_backward", kind)


# ---- from the shell
@pytest.mark.parametrize("mode", ["rev", "fwd"])
@pytest.mark.parametrize("primitive", ["tanh", "contract", "multiply"])
def test_the_command_sees_a_wrong_rule(primitive, mode, monkeypatch, capsys, nothing_remembered, count):
    command = ["check", "lstm", "--set", "hidden_size=2", "--oracles", "tape,rtrl,differences", "--steps", "2"]
    assert main(command) == 0
    for fault in faults(primitive):
        if fault.mode == mode and "argument 0" in fault.name:
            with monkeypatch.context() as patch:
                fault.plant(patch, PRIMITIVES[primitive])
                assert main(command) == 1, fault
            assert "fails: " in capsys.readouterr().err
            count("tapegrad check", fault.name.split(" in argument")[0])


def test_the_command_sees_a_wrong_backend(monkeypatch, capsys, nothing_remembered, count):
    command = ["check", "gru", "--oracles", "tape,broken", "--steps", "3", "--batch", "2"]
    loops = recurrent.seen(monkeypatch, "reference", lambda: main(command))
    for fault in [*recurrent.forward_faults(*loops[False]), *recurrent.backward_faults(*loops[True])][::5]:
        recurrent.plant(monkeypatch, "reference", fault)
        assert main(command) == 1, fault
        assert "broken" in capsys.readouterr().out
        count("tapegrad check", fault.kind)
