"""Mistakes of users: each error says what came, what was expected, and what to do."""

import numpy as np
import pytest

from tapegrad.cells import LSTM
from tapegrad.errors import OptionError, ShapeError, StructureError
from tapegrad.symbolic import Notation, derive

ROW = np.zeros((1, 4))
W = {"W": np.zeros((4, 4))}


def step(params, h, x):
    h = np.tanh(h @ params["W"] + x)
    return h, h


def squared(y, target):
    return np.sum((y - target) ** 2, axis=-1)


def derived(**options):
    return derive(step, W, ROW, ROW, **options)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: derived(notation={"W": "U"}), OptionError, "expected one of default"),
        (lambda: derived(notation=Notation(rename={"W": "h"})), OptionError, "W and h would both be printed as h"),
        (lambda: Notation(rename={"W": 3}), OptionError, "expected names for names"),
        (lambda: Notation(inline="yes"), OptionError, "inline='yes', expected one of True, False"),
        (lambda: derive(LSTM), OptionError, r"got the class LSTM; make a cell of it"),
        (lambda: derive(step, {"W": np.zeros((3, 4))}, ROW, ROW), ShapeError, r"shapes \(1, 4\) and \(3, 4\)"),
        (
            lambda: derive(step, W, ROW[0], ROW[0]),
            ShapeError,
            r"no larger batch; .* shapes \(4,\), \(4,\): give \(1, n\)",
        ),
        (lambda: derive(step, W, ROW, "abc"), ShapeError, "x is 'abc', expected an array with an axis of rows"),
        (lambda: derive(step, W, 0.0, ROW), ShapeError, "state is 0.0, expected an array"),
        (lambda: derive(step, W, ROW.astype(int), ROW), ShapeError, "dtype int64, and step returned .* float64"),
        (
            lambda: derive(lambda p, h, x: ({"h": h}, h), W, ROW, ROW),
            StructureError,
            "given the state value and returned h",
        ),
        (lambda: derive(lambda p, h, x: (np.hstack([h, h]), h), W, ROW, ROW), ShapeError, r"returned \('B', 8\)"),
        (lambda: derived(loss=3, target=ROW), OptionError, "loss=3, expected a function"),
        (lambda: derived(target=ROW), OptionError, "give loss= too"),
        (lambda: derived(loss=lambda y, t: y - t, target=ROW), OptionError, r"one number for each row, \(B,\)"),
        (lambda: derived(loss=squared, target=np.zeros((1, 7))), ShapeError, r"target of shape \(B, 7\).*give an exam"),
        (lambda: derived(loss=squared, target=np.zeros(())), ShapeError, r"a number without axes; .*np\.zeros\(\(1"),
        (lambda: derived(loss=lambda y, t: np.mean((y - t) ** 2), target=ROW), OptionError, "averages over the rows"),
    ],
)
def test_derive_refuses(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        ({"params": {"V": W["W"]}}, StructureError, "params holds V; the step takes W"),
        ({"outputs": np.zeros((2, 4))}, ShapeError, r"outputs for h has the shape \(2, 4\), expected \(3, 4\)"),
        ({"outputs": np.zeros((3, 5))}, ShapeError, r"expected \(3, 4\): one sequence"),
        ({"target": np.zeros((3, 4))}, OptionError, "target is for a derivation with a loss"),
    ],
)
def test_a_run_refuses(given, error, match):
    with pytest.raises(error, match=match):
        derived().run(**{"params": W, "xs": np.zeros((3, 4))} | given)


def test_a_run_with_a_loss_wants_its_target():
    derivation = derived(loss=squared, target=ROW)
    with pytest.raises(OptionError, match="has a loss, which needs target="):
        derivation.run(W, np.zeros((3, 4)))
    with pytest.raises(ShapeError, match=r"target for target has the shape \(2, 4\)"):
        derivation.run(W, np.zeros((3, 4)), target=np.zeros((2, 4)))


def test_values_of_a_run_are_found_by_name():
    derivation = derived()
    run = derivation.run(W, np.ones((3, 4)))
    assert run["h[2]"] is run[derivation.forward["h"].left.at(2)]
    with pytest.raises(KeyError, match=r"h\[9\]"):
        run["h[9]"]


def test_evaluate_refuses():
    equation = derived().gradients["W"]
    with pytest.raises(OptionError, match="got a list, expected a dict"):
        equation.evaluate([1.0])
    with pytest.raises(OptionError, match="T=2.5; T, t and k are numbers of steps"):
        equation.evaluate({}, T=2.5)
    with pytest.raises(OptionError, match="U=3"):
        equation.evaluate({}, U=3)


def test_a_loss_that_is_a_mean_over_features_is_none_over_rows():
    derivation = derived(loss=lambda y, t: np.mean((y - t) ** 2, axis=-1), target=ROW)
    assert derivation.adjoints["h"].text() == "δh_t = Wᵀ δa_{t+1} + 0.5 h_t - 0.5 t_t"


def test_results_that_are_numbers():
    derivation = derive(lambda p, h, x: (h * x, 2.0), W, ROW, ROW)
    assert derivation.forward["y"].text() == "y_t = 2"


def test_an_output_that_shows_the_old_state_names_the_loss_of_the_next_step():
    derivation = derive(lambda p, h, x: (x, h), {}, ROW, ROW)
    assert "∂L_{t+1}/∂y_{t+1}" in derivation.text()
