"""check_cell is checked: a fault planted into any oracle must be caught, and the message must name its place."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import LSTM, Cell, Elman, Parameter, State
from tapegrad.errors import TracingError
from tapegrad.symbolic import adjoints
from tapegrad.testing import CellMismatch, check_cell
from tapegrad.testing import cell_equations as equations
from tests.meta.failing import QUICK, failure
from tests.meta.faults import faults
from tests.specs import PRIMITIVES
from tests.testing.odd_cells import InPlace

pytestmark = pytest.mark.usefixtures("nothing_remembered")


def test_without_a_fault_it_passes():
    assert check_cell(LSTM(1, 2), oracles=QUICK, steps=3, batch=2).ok


# ---- wrong derivative rules
@pytest.mark.parametrize("name", ["logistic", "tanh", "contract", "multiply"])
@pytest.mark.parametrize("kind", ["0.1 % off in argument 0", "wrong sign in argument 0"])
@pytest.mark.parametrize("mode", ["rev", "fwd"])
def test_a_wrong_rule_of_a_primitive(name, kind, mode, monkeypatch):
    (fault,) = [fault for fault in faults(name) if fault.name == kind and fault.mode == mode]
    fault.plant(monkeypatch, PRIMITIVES[name])
    report = failure(LSTM(1, 2), steps=3, batch=2)
    # The rules of reverse mode serve the tape, the scan and the equations; those of forward mode, RTRL.
    wrong = {"tape", "sympy", "reference"} if mode == "rev" else {"rtrl"}
    gradients = [mismatch for mismatch in report.mismatches if mismatch.what == "gradient"]
    assert gradients
    for mismatch in gradients:
        assert any(wrong >= set(group) for group in mismatch.groups), mismatch
        assert any("differences" in group and not wrong & set(group) for group in mismatch.groups), mismatch


class Own(Cell):
    """Two gates, of which the second goes through a function with a rule of its own."""

    factor: float
    input_size: int = 3
    hidden_size: int = 2

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {"W_f": Parameter((m, n)), "W_g": Parameter((m, n)), "V": Parameter((n, n)), "unused": Parameter((2, 1))}

    def state(self):
        return State((self.hidden_size,))

    def step(self, params, s, x):
        bent = tg.custom_vjp(np.sin)
        bent.defvjp(lambda g, ans, x: g * self.factor * np.cos(x))
        f = tg.sigmoid(x @ params["W_f"])
        s = f * s + (1 - f) * bent(x @ params["W_g"])
        return s, s @ params["V"]


@pytest.mark.parametrize("factor", [1.001, -1.0])
def test_a_wrong_custom_rule(factor):
    assert check_cell(Own(1.0), oracles=QUICK).ok
    report = failure(Own(factor))
    wrong = {mismatch.name for mismatch in report.mismatches if mismatch.what == "gradient"}
    assert wrong == {"params.W_g", "xs"}, "what lies on the path of the rule, and nothing else"
    assert report.suspects() == ["differences"]
    text = str(report)
    assert "Evaluation alone says otherwise" in text
    assert "such as that of a custom_vjp in the step" in text
    assert "    the gradient of params.W_g, xs\n" in text
    assert not any(mismatch.what.startswith("value") for mismatch in report.mismatches)


def test_both_numbers_and_the_relative_error():
    report = failure(Own(1.001), oracles=("tape", "differences"))
    (mismatch,) = [mismatch for mismatch in report.mismatches if mismatch.name == "params.W_g"]
    found, expected = mismatch.numbers["tape"], mismatch.numbers["differences"]
    assert found / expected == pytest.approx(1.001, rel=1e-9)
    assert mismatch.relative == pytest.approx(1e-3, rel=2e-3)
    assert (mismatch.count, mismatch.size) == (6, 6)
    assert str(mismatch).split("; allowed")[0] == (
        f"the gradient of params.W_g at element {mismatch.element}\n"
        f"    tape         {found!r}\n"
        f"    differences  {expected!r}\n"
        f"    relative error {mismatch.relative:.2e}"
    )
    assert report.suspects() == [], "one against one is no majority"


# ---- a wrong derivation, and a wrong loop
def test_a_wrong_equation(monkeypatch):
    right = equations.derive

    def wrong(*args, **options):
        made = right(*args, **options)
        made.backward.params[1] = -made.backward.params[1]
        return made

    monkeypatch.setattr(equations, "derive", wrong)
    report = failure(Elman(2, 3))
    assert report.suspects() == ["sympy"]
    assert {mismatch.name for mismatch in report.mismatches} == {"params.W_xh"}


def test_outputs_that_are_confused_in_a_derivation(monkeypatch):
    """The cotangent of one result taken for that of another, as derive once did after an output of integers."""
    monkeypatch.setattr(
        adjoints.Adjoints, "_seed",
        lambda self, k: [*self.carried, *self.direct][::-1][k] if k else self.carried[0],
    )  # fmt: skip
    report = failure(LSTM(2, 3))
    assert report.suspects() == ["sympy"]


class Stateful(Cell):
    """Not a function of its arguments: the step counts its calls, from one on."""

    start: int
    input_size: int = 2
    calls = []

    def state(self):
        return State((self.input_size,))

    def step(self, params, s, x):
        self.calls.append(1)
        s = s + x * (1.0 + 0.01 * max(0, len(self.calls) - self.start))
        return s, s


@pytest.mark.parametrize("start", [0, 3, 25])
def test_a_step_that_is_no_function(start, monkeypatch):
    """Whether it changes before the oracles begin, or while they run."""
    monkeypatch.setattr(Stateful, "calls", [])
    with pytest.raises((CellMismatch, TracingError)) as error:
        check_cell(Stateful(start), oracles=("tape", "reference", "differences"), steps=4, batch=2)
    if isinstance(error.value, TracingError):
        assert start < 25
        assert "let noise come in through xs" in str(error.value)
    else:
        assert error.value.report.mismatches[0].what.startswith("value")


class Aliased(InPlace):
    """On arrays ``+=`` changes what was kept, on Tensors it does not."""

    def kept(self, s):
        return s


def test_a_step_that_is_another_function_on_arrays_than_on_tensors():
    report = failure(Aliased())
    assert (report.mismatches[0].what.split(" ")[0], report.mismatches[0].name) == ("value", "ys")


forgotten = tg.custom_vjp(lambda a: 1.0 * a)
forgotten.defvjp(lambda g, ans, a: 0.0 * g)


class Detached(Cell):
    """A path of the state that no derivative follows."""

    input_size: int = 3

    def parameters(self):
        return {"w": Parameter((self.input_size,), init=0.5), "u": Parameter((self.input_size,), init=0.5)}

    def state(self):
        return State((self.input_size,)), State((self.input_size,))

    def step(self, params, state, x):
        a, b = state
        a = np.tanh(params["w"] * a + x)
        b = 0.5 * b + params["u"] * forgotten(a)
        return (a, b), b


def test_a_forgotten_path_of_the_state():
    report = failure(Detached())
    assert {mismatch.name for mismatch in report.mismatches if mismatch.what == "gradient"} == {
        "params.w", "state[0]", "xs"
    }  # fmt: skip
    assert report.suspects() == ["differences"]


# ---- what is printed runs
def test_a_cell_that_cannot_be_imported_is_described():
    class Local(Own):
        pass

    report = failure(Local(0.5))
    assert "# cell is " in report.snippet()
    assert "Local(factor=0.5" in report.snippet()


def test_data_of_ones_own_are_printed_when_they_are_few():
    cell = Own(0.9)
    few = np.linspace(0.1, 0.9, 6).reshape(1, 2, 3)
    assert "xs = np.array([[[0.1, " in failure(cell, xs=few).snippet()
    many = np.linspace(0.1, 0.9, 60).reshape(10, 2, 3)
    assert "# xs are those that were given" in failure(cell, xs=many).snippet()
