"""Faults in stopping a gradient are caught, in cells that stop some on purpose."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.testing import CellMismatch, GradientMismatch, check_cell, check_grads, differences
from tests.meta.failing import QUICK, failure
from tests.specs import PRIMITIVES
from tests.testing.test_stop_gradient import Truncated

pytestmark = pytest.mark.usefixtures("nothing_remembered")
ROW = PRIMITIVES["stop_gradient"]
X = np.array([0.5, -1.5])


def stopped(x):
    return x * tg.stop_gradient(np.sin(x))


@pytest.mark.parametrize("leak", [1.0, 1e-3])
@pytest.mark.parametrize("mode", ["pull", "push"])
def test_a_gradient_that_comes_through(mode, leak, monkeypatch):
    if mode == "pull":
        planted = lambda g, ans, args, options, slots: [leak * g]  # noqa: E731
    else:
        planted = lambda tangents, ans, args, options: leak * tangents[0]  # noqa: E731
    monkeypatch.setattr(ROW, mode, planted, raising=False)
    monkeypatch.setattr(ROW, "differentiable", True, raising=False)
    with pytest.raises(GradientMismatch, match="wrong in (reverse|forward) mode"):
        check_grads(stopped, (X,), modes=["rev" if mode == "pull" else "fwd"], order=1)
    report = failure(Truncated())
    wrong = {"tape", "reference"} if mode == "pull" else {"rtrl"}
    gradients = [mismatch for mismatch in report.mismatches if mismatch.what == "gradient"]
    assert gradients
    for mismatch in gradients:
        assert any("differences" in group and not wrong & set(group) for group in mismatch.groups), mismatch


def test_a_library_that_does_not_stop(monkeypatch):
    pytest.importorskip("jax")
    from tapegrad.testing.by_jax import Jax

    monkeypatch.setitem(Jax.functions, "stop_gradient", lambda x: x)
    assert failure(Truncated(), oracles=("tape", "jax", "differences")).suspects() == ["jax"]


class Elsewhere(Truncated):
    """On arrays it stops what on Tensors it does not: another function to who evaluates than to who differentiates."""

    def step(self, params, state, x):
        (h, c), stop = state, (lambda a: a) if isinstance(x, tg.Tensor) else tg.stop_gradient
        i = tg.sigmoid(x @ params["U"] + stop(h) @ params["W"])
        c = c + i * np.tanh(x @ params["U"])
        return (i * np.tanh(c), c), c


def test_a_stop_in_the_wrong_place():
    report = failure(Elsewhere(), oracles=("tape", "rtrl", "differences"))
    assert {mismatch.name for mismatch in report.mismatches if mismatch.what == "gradient"} >= {"params.W", "state[0]"}


def test_without_holding_no_such_cell_would_pass(monkeypatch):
    """The check of the check: differences of what the cell computes are another thing."""
    assert check_cell(Truncated(), oracles=QUICK).ok
    monkeypatch.setattr(differences, "held_at", lambda f, args: (f, f(*args)))
    with pytest.raises(CellMismatch) as error:
        check_cell(Truncated(), oracles=QUICK)
    assert error.value.report.suspects() == ["differences"]


def test_values_held_at_another_point(monkeypatch):
    right = differences.held_at
    monkeypatch.setattr(differences, "held_at", lambda f, args: (right(f, [1.01 * x for x in args])[0], f(*args)))
    with pytest.raises(GradientMismatch):
        check_grads(stopped, (X,), order=1)
