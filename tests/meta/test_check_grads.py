"""check_grads: what it accepts, what it refuses, and what it says then."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.errors import DtypeError, OptionError, TapegradError
from tapegrad.testing import GradientMismatch, RoughDerivative, arrays, check_grads
from tapegrad.testing.differences import central, complex_step, directional

X = np.array([0.5, -1.5])


def primitive(function, vjp=None, jvp=None):
    made = tg.primitive(function, shape=lambda *args: args[0].shape, name="mine")
    if vjp:
        made.defvjp(vjp)
    if jvp:
        made.defjvp(jvp)
    return made


CUBE = primitive(lambda x: x**3, lambda g, ans, x: g * 3 * x**2, lambda t, ans, x: t * 3 * x**2)


def test_it_accepts_what_is_right():
    check_grads(CUBE, (X,), order=3)
    check_grads(lambda x, n: x**n, (X, 3))
    check_grads(lambda d: [d["w"] * 2, {"y": np.sin(d["w"])}], ({"w": X, "i": np.arange(3)},))
    check_grads(lambda x: (x, np.argmax(x), x > 0), (X,))
    check_grads(lambda x: 1.0, (X,))
    check_grads(np.sum, (np.zeros((0, 3)),))
    check_grads(np.tanh, (0.3,))
    check_grads(np.tanh, (np.float32(0.3),), modes=["fwd"], order=1)


@pytest.mark.parametrize("mode", ["rev", "fwd"])
def test_a_mode_is_checked_alone(mode):
    wrong = (lambda g, ans, x: g * 3.003 * x**2) if mode == "rev" else CUBE.vjp_rules[0]
    wrong_tangent = (lambda t, ans, x: t * 3.003 * x**2) if mode == "fwd" else CUBE.jvp_rules[0]
    broken = primitive(lambda x: x**3, wrong, wrong_tangent)
    check_grads(broken, (X,), modes=["fwd" if mode == "rev" else "rev"], order=1)
    name = {"rev": "reverse mode", "fwd": "forward mode"}[mode]
    with pytest.raises(GradientMismatch, match=rf"is wrong in {name}.*order 1"):
        check_grads(broken, (X,), modes=[mode], order=1)


def test_a_second_order_that_is_wrong():
    frozen = primitive(np.sin, lambda g, ans, x: g * np.cos(tg.stop_gradient(x)))
    check_grads(frozen, (X,), order=1)
    with pytest.raises(GradientMismatch, match=r"wrong in reverse mode of reverse mode \(order 2\)"):
        check_grads(frozen, (X,), modes=["rev"])


def test_what_the_message_says():
    broken = primitive(lambda x, y: x * y).defvjp(lambda g, ans, x, y: g * y, lambda g, ans, x, y: g * x * 1.001)
    with pytest.raises(GradientMismatch) as caught:
        check_grads(lambda d: broken(d["x"], d["layers"][0]), ({"x": X, "layers": [X + 3]},), seed=7)
    text = str(caught.value)
    assert "with respect to args[0].layers[0] is wrong in reverse mode (order 1)" in text
    found, expected = (float(n) for n in re.search(r"found +(\S+)\n +by central differences +(\S+),", text).groups())
    assert abs(found - expected) / abs(expected) == pytest.approx(1e-3, rel=0.1)
    assert re.search(r"relative error +(9\.99|1\.00)e-0[34], allowed 1e-07", text)
    assert "check_grads(f, args, modes=('rev', 'fwd'), order=1, seed=7)" in text
    assert "args = ({'x': np.array([0.5, -1.5]), 'layers': [np.array([3.5, 1.5])]},)" in text
    assert isinstance(caught.value, TapegradError)
    assert isinstance(caught.value, AssertionError)


def test_large_arguments_are_not_printed():
    broken = primitive(lambda x: x**3, lambda g, ans, x: g * x**2)
    with pytest.raises(GradientMismatch, match=r"args are those of the check: args\[0\] float64\[100\]"):
        check_grads(broken, (np.linspace(1, 2, 100),))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda g, ans, x: g * np.nan, "found +nan"),
        (lambda g, ans, x: g * np.inf, "found +(nan|-?inf)"),
        (lambda g, ans, x: 0 * g, "found +0.0"),
        (lambda g, ans, x: -g * 3 * x**2, "relative error +2.0"),
    ],
)
def test_gradients_that_are_no_numbers_or_zero_or_negative(rule, words):
    with pytest.raises(GradientMismatch, match=words):
        check_grads(primitive(lambda x: x**3, rule), (X,), modes=["rev"], order=1)


def test_one_wrong_element_among_many():
    spoiled = np.ones((20, 20))
    spoiled[7, 11] = 1.001
    broken = primitive(np.sin, lambda g, ans, x: g * np.cos(x) * spoiled, lambda t, ans, x: t * np.cos(x) * spoiled)
    x = np.linspace(0.0, 1.0, 400).reshape(20, 20)
    with pytest.raises(GradientMismatch, match=r"forward mode \(order 1\) at element \(7, 11\) of result 0"):
        check_grads(broken, (x,), modes=["fwd"])
    with pytest.raises(GradientMismatch, match="reverse mode"):
        check_grads(broken, (x,), modes=["rev"])


def test_no_direction_hides_a_fault_by_chance():
    """Of every hundred projections one is a hundredth of its terms, and so is the fault in it."""
    broken = primitive(np.positive, lambda g, ans, x: g * (1 + 2e-5))
    for seed in range(500):
        with pytest.raises(GradientMismatch, match="reverse mode"):
            check_grads(broken, (X,), modes=["rev"], order=1, seed=seed)


def test_modes_that_contradict_each_other_within_the_tolerance():
    """Both are near enough to a rough tolerance, and are still not each other's adjoint."""
    broken = primitive(np.sin, lambda g, ans, x: g * np.cos(x) * (1 + 1e-5), lambda t, ans, x: t * np.cos(x))
    with pytest.raises(GradientMismatch, match="the adjoint identity fails"):
        check_grads(broken, (X,), rtol=1e-3, order=1)


def test_a_value_that_differentiation_changes():
    odd = lambda x: x * (2.0 if isinstance(x, tg.Tensor) else 1.0)  # noqa: E731
    with pytest.raises(GradientMismatch, match="under reverse mode result 0 of <lambda> is"):
        check_grads(odd, (X,), modes=["rev"])
    with pytest.raises(GradientMismatch, match="under forward mode result 0 of <lambda> is"):
        check_grads(odd, (X,), modes=["fwd"])


def test_a_tangent_of_the_wrong_shape():
    broken = primitive(np.sin, None, lambda t, ans, x: np.sum(t))
    with pytest.raises(GradientMismatch, match=r"tangent of result 0 has shape \(\), the result has \(2,\)"):
        check_grads(broken, (X,), modes=["fwd"])


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (np.sqrt, 1e-9),
        (np.log, 1e-8),
        (lambda x: 1.0 / x, 1e-7),
        (lambda x: np.where(x > 0, 1.0, 0.0) * x + np.where(x > 0, 1e9, 0.0), 1e-7),
    ],
)
def test_where_evaluation_cannot_tell_it_says_so(f, x):
    with pytest.raises(RoughDerivative, match="choose a point farther from kinks, poles"):
        check_grads(f, (x,), modes=["rev"], order=1)


def test_options_that_make_no_sense():
    with pytest.raises(OptionError, match="give one or both of 'rev' and 'fwd'"):
        check_grads(np.sin, (X,), modes=["reverse"])
    with pytest.raises(OptionError, match="give one or both"):
        check_grads(np.sin, (X,), modes=[])
    for order in (0, -1, 1.5):
        with pytest.raises(OptionError, match="give 1 for first derivatives"):
            check_grads(np.sin, (X,), order=order)
    with pytest.raises(DtypeError, match="nothing to differentiate by"):
        check_grads(np.sin, (np.arange(3), "text"))


# ---- the differences themselves ----
KNOWN = [
    (np.sin, np.cos),
    (np.exp, np.exp),
    (lambda x: x**5, lambda x: 5 * x**4),
    (lambda x: 1 / (1 + x * x), lambda x: -2 * x / (1 + x * x) ** 2),
    (np.arctan, lambda x: 1 / (1 + x * x)),
    (lambda x: 1e6 * np.cosh(x), lambda x: 1e6 * np.sinh(x)),
]


@pytest.mark.parametrize(("f", "slope"), KNOWN)
@given(x=arrays(), v=arrays((), away_from=(0.0,)))
def test_differences_are_accurate_and_know_how_accurate(f, slope, x, v):
    v = np.full(x.shape, v)
    (found,), (doubt,) = central(lambda x: [f(x)], [x], [v])
    scale = np.max(np.abs(slope(x) * v), initial=0.0)
    error = np.abs(found - slope(x) * v)
    assert (error <= 1e-9 * scale + 1e-12).all()
    assert (error <= 10 * doubt + 1e-12).all()
    (exact,) = complex_step(lambda x: [f(x)], [x], [v])
    np.testing.assert_allclose(exact, slope(x) * v, rtol=1e-13)


@pytest.mark.parametrize("f", [np.abs, lambda x: x * np.conj(x), lambda x: np.real(x) ** 2, lambda x: np.abs(x) ** 2])
@given(st.floats(0.2, 2.0))
def test_the_complex_step_is_not_believed_where_it_is_wrong(f, x):
    """These take complex numbers, and are not analytic."""
    found = directional(lambda x: [f(x)], [np.array(x)], [np.array(1.0)])
    assert found.method == "central differences"
    assert found.value[0] == pytest.approx(1.0 if f is np.abs else 2 * x, rel=1e-9)


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda x: np.clip(0.95 + 3.0 * x + 400.0 * x * x, -1.0, 1.0), 3.0),  # clipped at both ends of a large step
        (lambda x: np.maximum(np.abs(x + 0.01), 0.02 - x), -1.0),
        (lambda x: np.where(np.abs(x) < 1e-3, 2.0 * x, 5.0), 2.0),
        (lambda x: np.abs(x + 0.002), 1.0),
    ],
)
def test_kinks_within_a_large_step_are_seen(f, slope):
    (found,), (doubt,) = central(lambda x: [f(x)], [np.array([0.0])], [np.array([1.0])])
    assert found[0] == pytest.approx(slope, rel=1e-9)
    assert doubt[0] < 1e-8


@pytest.mark.parametrize("f", [np.floor, np.logaddexp.reduce, lambda x: x.astype(np.float32).astype(float)])
def test_what_takes_no_complex_numbers_is_differenced(f):
    assert complex_step(lambda x: [f(x)], [X], [X]) is None


def test_the_complex_step_is_used_where_it_can_be():
    assert directional(lambda x: [np.tanh(x) @ x], [X], [X]).method == "complex step"
