"""check_vjp, check_jvp, check_adjoint and assert_gradients_close: what they accept and refuse, and what they say."""

import re
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.errors import DtypeError, OptionError
from tapegrad.testing import (
    GradientMismatch,
    RoughDerivative,
    assert_gradients_close,
    check_adjoint,
    check_grads,
    check_jvp,
    check_vjp,
    programs,
)
from tests.meta.faults import examples, mutants
from tests.primitives.flat import FlatCall
from tests.specs import PRIMITIVES, SPECS

RNG = np.random.default_rng(0)
W, X = RNG.standard_normal((3, 2)), RNG.standard_normal((2, 3))


def layer(p, x):
    return np.tanh(x @ p["W"]), np.argmax(x)


def pull(g, ans, p, x):
    da = g[0] * (1 - ans[0] ** 2)
    return {"W": x.T @ da}, da @ p["W"].T


def push(tangents, ans, p, x):
    return (tangents[1] @ p["W"] + x @ tangents[0]["W"]) * (1 - ans[0] ** 2), None


ARGS = ({"W": W}, X)


def repeat(error, **names):
    """Run what a message says, which must fail with the same message."""
    text = str(error.value)
    snippet = text[text.index("Repeat it with") :].split("\n", 1)[1]
    with pytest.raises(type(error.value)) as again:
        exec("\n".join(line.removeprefix("  ") for line in snippet.split("\n")), {"np": np, **names})
    assert str(again.value) == text


@given(programs())
def test_programs_pass(program):
    check_vjp(program, program.args)
    check_jvp(program, program.args)
    check_adjoint(program, program.args)


@given(programs(smooth=False), st.integers(0, 99))
def test_the_adjoint_identity_takes_kinks(program, seed):
    check_adjoint(program, program.args, seed=seed)


def test_rules_written_by_hand_pass():
    check_vjp(layer, ARGS, pull)
    check_jvp(layer, ARGS, lambda *given: (push(*given)[0], 0))
    check_adjoint(layer, ARGS, vjp=pull)
    check_vjp(lambda x, n: x**n, (X, 2), lambda g, ans, x, n: (2 * x * g, None))
    check_vjp(np.sum, (0.5,), lambda g, ans, x: g)


@pytest.mark.parametrize(
    ("factor", "relative"), [(1.001, "1e-03"), (-1.0, "2e+00"), (0.0, "1e+00"), (np.nan, "inf")], ids=str
)
def test_a_wrong_backward_rule_is_caught_and_named(factor, relative):
    def wrong(g, ans, p, x):
        dp, dx = pull(g, ans, p, x)
        dp["W"][2, 1] *= factor
        return dp, dx

    with pytest.raises(GradientMismatch, match=r"the cotangent of args\[0\].W is wrong at element \(2, 1\)") as error:
        check_vjp(layer, ARGS, wrong)
    text = str(error.value)
    assert "1 of 6 elements differ by more" in text
    found, expected = (float(n) for n in re.search(r"found +(\S+)\n +by complex step +(\S+),", text).groups())
    np.testing.assert_allclose(found, factor * expected, rtol=1e-9)
    assert f"{float(re.search('relative error +([^;]+);', text)[1]):.0e}" == f"{float(relative):.0e}"
    repeat(error, layer=layer, wrong=wrong)


def test_a_wrong_forward_rule_is_caught_and_named():
    def wrong(tangents, ans, p, x):
        return tangents[1] @ p["W"] * (1 - ans[0] ** 2), 0

    with pytest.raises(GradientMismatch, match=r"tangent of result 0 along args\[0\].W is wrong at element") as error:
        check_jvp(layer, ARGS, wrong)
    repeat(error, layer=layer, wrong=wrong)
    with pytest.raises(GradientMismatch, match=r"each other's transpose with respect to args\[0\].W:") as error:
        check_adjoint(layer, ARGS, jvp=wrong)
    repeat(error, layer=layer, wrong=wrong)


def test_a_wrong_term_between_two_arguments_needs_both_to_move():
    def wrong(tangents, ans, x, y):
        return tangents[0] + tangents[1] + tangents[0] * tangents[1]

    with pytest.raises(GradientMismatch, match=r"along args\[0\], args\[1\] is wrong"):
        check_jvp(np.add, (X, X + 1), wrong)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda g, ans, p, x: pull(g, ans, p, x)[:1], "returned 1 cotangents for 2 arguments"),
        (lambda g, ans, p, x: ({"W": W, "b": W}, x), "a cotangent of 2 arrays for an argument of 1"),
        (lambda g, ans, p, x: ({"W": W.T}, x), r"of args\[0\].W has shape \(2, 3\), expected \(3, 2\)"),
    ],
)
def test_a_backward_rule_that_does_not_fit(rule, words):
    with pytest.raises(GradientMismatch, match=words):
        check_vjp(layer, ARGS, rule)


def test_a_forward_rule_that_does_not_fit():
    with pytest.raises(GradientMismatch, match="returned 1 tangents for 2 results"):
        check_jvp(layer, ARGS, lambda *given: push(*given)[0])
    with pytest.raises(GradientMismatch, match=r"result 0 along args\[0\].W has shape \(2,\), expected \(2, 2\)"):
        check_jvp(layer, ARGS, lambda *given: (push(*given)[0][0], 0))


def test_of_large_arguments_a_random_choice_is_compared():
    spoiled = np.ones(1000)
    spoiled[::2] = 1.001
    words = r"of 200 elements differ by more\nRepeat it with\n.*\n  # args are those"
    with pytest.raises(GradientMismatch, match=words):
        check_vjp(np.sin, (np.linspace(0, 1, 1000),), lambda g, ans, x: g * np.cos(x) * spoiled)


@pytest.mark.parametrize("checker", [check_vjp, check_jvp, check_adjoint])
def test_nothing_to_differentiate(checker):
    with pytest.raises(DtypeError, match=f"{checker.__name__}: no argument is floating"):
        checker(np.sin, (3,))


def test_where_evaluation_cannot_tell():
    with pytest.raises(RoughDerivative, match="choose a point farther"):
        check_vjp(np.sqrt, (1e-9,))
    with pytest.raises(OptionError, match="give a number above 0"):
        check_adjoint(np.sqrt, (1e-9,), rtol=0)


@pytest.mark.parametrize("name", ["multiply", "contract", "tanh", "where", "scan"])
@pytest.mark.parametrize(("mode", "checker"), [("rev", check_vjp), ("fwd", check_jvp)])
def test_planted_faults_are_caught(name, mode, checker, monkeypatch):
    for row, fault in mutants():
        if row != name or fault.mode != mode or "0.1 % off" not in fault.name:
            continue
        flats = [FlatCall(SPECS[name], call) for call in examples(name)]
        with monkeypatch.context() as patch:
            fault.plant(patch, PRIMITIVES[name])
            assert any(fails(checker, flat) for flat in flats), fault
            assert any(fails(check_adjoint, flat) for flat in flats), fault


def fails(checker, flat):
    try:
        checker(flat, flat.leaves)
    except GradientMismatch:
        return True
    return False


def test_what_check_grads_prints_repeats_the_failure():
    broken = tg.primitive(lambda x, y: x * y, shape=lambda x, y: x.shape, name="broken")
    broken.defvjp(lambda g, ans, x, y: g * y, lambda g, ans, x, y: g * x * 1.001)

    def product(d, n):
        return broken(d["x"], d["y"][0]) * n

    with pytest.raises(GradientMismatch) as error:
        check_grads(product, ({"x": X[0], "y": [W[0, 0] + np.zeros(3)]}, 2), modes=["rev"], seed=3)
    repeat(error, product=product)


# ---- assert_gradients_close
Point = namedtuple("Point", "x y")


def test_gradients_that_are_close():
    tree = {"a": [W, Point(X, np.float64(1.0))]}
    assert_gradients_close(tree, tg.tree_map(lambda a: a * (1 + 1e-11), tree))
    assert_gradients_close(W.astype(np.float32), W)
    assert_gradients_close(np.zeros((0, 2)), np.zeros((0, 2)))
    assert_gradients_close(W, W + 0.1, rtol=0, atol=0.11)


def test_the_message_names_path_element_numbers_and_error():
    expected = {"layers": [Point(W, X)]}
    found = tg.tree_map(np.copy, expected)
    found["layers"][0].y[1, 2] *= 1.001
    with pytest.raises(GradientMismatch) as error:
        assert_gradients_close(found, expected)
    assert str(error.value).split("; allowed")[0] == (
        "assert_gradients_close: 1 of 2 arrays differ\n"
        "gradient.layers[0].y at element (1, 2):\n"
        f"  found           {float(1.001 * X[1, 2])!r}\n"
        f"  expected        {float(X[1, 2])!r}\n"
        "  relative error  9.99e-04"
    )
    assert isinstance(error.value, AssertionError)


def test_the_worst_arrays_come_first():
    expected = {f"p{i}": np.ones(2) for i in range(8)}
    found = {name: value * (1 + 0.01 * i) for i, (name, value) in enumerate(expected.items())}
    with pytest.raises(GradientMismatch) as error:
        assert_gradients_close(found, expected, name="params")
    assert re.findall(r"params\.(p\d)", str(error.value)) == ["p7", "p6", "p5", "p4", "p3"]
    assert str(error.value).endswith("... and 2 more arrays")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_agree_with_nothing(bad):
    x = np.array([1.0, bad])
    with pytest.raises(GradientMismatch, match=r"element \(1,\).*\n.*\n.*\n  relative error  inf"):
        assert_gradients_close(x, x)


def test_small_elements_are_held_to_the_rounding_of_the_large():
    assert_gradients_close(np.array([1e3, 1e-9]), np.array([1e3, 0.0]))
    with pytest.raises(GradientMismatch):
        assert_gradients_close(np.array([1e3, 1e-5]), np.array([1e3, 0.0]))


def test_structures_and_shapes():
    with pytest.raises(GradientMismatch, match=r"has the structure \{'a': \*\}, expected \[\*\]"):
        assert_gradients_close({"a": W}, [W])
    with pytest.raises(GradientMismatch, match=r"gradient.a has shape \(2, 3\), expected \(3, 2\)"):
        assert_gradients_close({"a": X}, {"a": W})
