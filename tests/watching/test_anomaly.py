"""detect_anomaly: the first value that is not finite is found, named, and found where it is."""

import re
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import NonFiniteError
from tests.watching import lines
from tests.watching.lines import said

X = np.array([[1.0, 2.0, 0.0], [3.0, 4.0, 5.0]])
SOURCE = Path(__file__).read_text(encoding="utf-8").splitlines()
line_of = partial(lines.line_of, __file__)


def roots(x):
    return np.sum(np.sqrt(x))  # roots


def logs(x):
    return np.sum(np.log(x))  # logs


def quotient(x):
    return np.sum(1.0 / x)  # quotient


def overflow(x):
    return np.sum(np.exp(1000.0 * x))  # overflow


def chosen(x):
    return np.sum(np.where(x > 0, np.sqrt(x), 0.0))  # chosen


def powers(x):
    return np.sum(x**0.5)  # powers


def lengths(x):
    return np.sum(np.sqrt(np.sum((x * [[0.0], [1.0]]) ** 2, axis=1)))  # lengths


doubled = tg.custom_vjp(lambda x: x + x)
doubled.defvjp(lambda g, ans, x: g / (x * x))  # rule
twice = tg.custom_jvp(lambda x: x + x)
twice.defjvp(lambda tangents, ans, x: tangents[0] / x)  # tangent rule
opaque = tg.primitive(np.cbrt, shape=lambda x: x.shape).defvjp(lambda g, ans, x: g / (3.0 * ans * ans))


def with_rule(x):
    return np.sum(doubled(x))  # with_rule


def with_tangent(x):
    return np.sum(twice(x))


def with_primitive(x):
    return np.sum(opaque(x))  # with_primitive


# The function, the pass, the operation, the place of the first bad element, the line, words of the hint.
FAULTS = {
    "sqrt at 0": (roots, "the backward pass", "sqrt", [0, 2], "roots", r"infinite slope at 0: np\.sqrt\(x \+ 1e-12\)"),
    "log of 0": (logs, "the forward pass", "log", [0, 2], "logs", r"logarithm of 0 .*log_softmax"),
    "division by 0": (quotient, "the forward pass", "divide", [0, 2], "quotient", r"division by 0: np\.where\(y == 0"),
    "exp": (overflow, "the forward pass", "exp", [0, 0], "overflow", r"overflows above .* logsumexp"),
    "0 * inf": (chosen, "the backward pass", "sqrt", [0, 2], "chosen", r"the cotangent is 0 there.*safe = np\.where"),
    "power": (powers, "the backward pass", "power", [0, 2], "powers", r"infinite slope at 0 for p < 1"),
    "length 0": (lengths, "the backward pass", "sqrt", [0], "lengths", "infinite slope"),
    "custom rule": (with_rule, "the backward pass", "the custom rule of <lambda>", [0, 2], "with_rule", "computes"),
    "primitive": (with_primitive, "the backward pass", "cbrt", [0, 2], "with_primitive", ""),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_operation_the_pass_the_element_the_line_and_the_cause_are_named(name):
    f, where, operation, index, mark, cause = FAULTS[name]
    message = said(tg.grad(f), X)
    first = message.splitlines()[0]
    assert first.startswith(f"{operation}: finite numbers gave ")
    assert f" in {where}: " in first
    assert f"first at index {index}" in first
    assert f"\n  {__file__}:{line_of(mark)}, in {f.__name__}: {SOURCE[line_of(mark) - 1].strip()}" in message
    assert re.search(rf"usual cause: .*{cause}", message)


def test_the_number_of_bad_elements_shapes_and_values_are_given():
    message = said(tg.grad(logs), np.array([[0.0, 1.0], [0.0, 0.0]]))
    assert "gave -inf in the forward pass: its result, float64[2, 2], has 3 bad elements of 4" in message
    assert "the arguments of log: float64[2, 2]; there 0.0" in message
    assert "a single number" in said(tg.grad(np.log), 0.0)


@pytest.mark.parametrize(
    ("take", "where"),
    [
        (lambda f: tg.value_and_grad(f)(X), "the backward pass"),
        (lambda f: tg.vjp(f, X)[1](1.0), "the backward pass"),
        (lambda f: tg.jvp(f, (X,), (np.ones_like(X),)), "forward mode"),
        (lambda f: tg.vmap(tg.grad(f))(X), "the backward pass"),
        (lambda f: tg.grad(lambda x: np.sum(tg.vmap(f)(x)))(X), "the backward pass"),
        (lambda f: tg.grad(lambda x: np.sum(tg.grad(f)(x)))(X), "the backward pass"),
        (lambda f: tg.hessian(f)(X), "forward mode"),
        (lambda f: tg.jacobian(f, mode="fwd")(X), "forward mode"),
        (lambda f: tg.grad(tg.checkpoint(f))(X), "the backward pass"),
        (lambda f: tg.jvp(tg.checkpoint(f), (X,), (np.ones_like(X),)), "forward mode"),
        (lambda f: tg.grad(tg.checkpoint(tg.checkpoint(f)))(X), "the backward pass"),
        (lambda f: tg.grad(lambda x: tg.trace(f)(X)(x))(X), "the backward pass"),
        (lambda f: tg.vmap(tg.checkpoint(tg.grad(f)))(X), "the backward pass"),
    ],
)  # fmt: skip
def test_it_is_found_in_every_transform(take, where):
    message = said(take, roots)
    assert f" in {where}: " in message
    assert f"{__file__}:{line_of('roots')}, in roots" in message
    assert "the square root has an infinite slope" in message


def test_what_only_the_second_derivative_overflows_in():
    tiny = np.array([1e-320, 1.0])
    with tg.detect_anomaly():
        tg.grad(roots)(tiny)
    for take in (lambda: tg.grad(lambda x: np.sum(tg.grad(roots)(x)))(tiny), lambda: tg.hessian(roots)(tiny)):
        message = said(take)
        assert "a part of the " in message
        assert "backward rule of sqrt" in message
        assert f"{__file__}:{line_of('roots')}, in roots" in message


def test_custom_rules_are_looked_into_where_they_are_traced():
    message = said(lambda: tg.grad(lambda x: np.sum(tg.checkpoint(with_rule)(x)))(X))
    assert "with_rule" in message
    message = said(lambda: tg.grad(lambda x: np.sum(tg.grad(with_rule)(x)))(X))
    assert f"{__file__}:{line_of('rule')}, in <lambda>" in message
    assert "the backward rule of the custom rule" in message
    message = said(tg.grad(with_tangent), X)
    assert "divide: finite numbers gave nan in the backward pass" in message
    assert "it is a part of the backward rule of the custom rule of <lambda>" in message
    assert f"{__file__}:{line_of('tangent rule')}" in message
    message = said(lambda: tg.jvp(with_tangent, (X,), (X,)))
    assert "the custom rule of <lambda>: finite numbers gave nan in forward mode: the tangent" in message
    for rule in (with_rule, with_tangent):
        message = said(tg.vmap(tg.grad(rule)), X)
        assert f"{__file__}:" in message
        assert "in the backward pass" in message


def test_a_plain_tape_is_looked_at():
    tape = tg.trace(logs)(X)
    message = said(tape, X)
    assert message.startswith("log: ")
    assert "lines.py:" in message  # it was not watched as it was made: the line is that of the call
    assert f"{__file__}:{line_of('logs')}, in logs" in said(lambda: tg.trace(logs)(X)(X))


def test_sums_of_finite_cotangents_may_overflow():
    message = said(tg.grad(lambda x: 1e308 * x + 1e308 * x), 0.5)
    assert "the sum of the cotangents of its result" in message
    assert "the numbers grow beyond what float64 holds" in message


# ---- where it holds ----
def test_it_ends_with_its_block_and_may_be_nested():
    quiet = np.errstate(all="ignore")
    with quiet:
        with tg.detect_anomaly():
            with tg.detect_anomaly():
                pass
            with pytest.raises(NonFiniteError):
                tg.grad(roots)(X)
        assert np.isinf(tg.grad(roots)(X)[0, 2])


def test_one_context_may_be_entered_twice():
    both = tg.detect_anomaly()
    with both:
        with both:
            pass
        assert "sqrt" in said(tg.grad(roots), X)


def test_as_a_decorator():
    @tg.detect_anomaly()
    def looked_at(x, depth=1):
        return tg.grad(roots)(x) if depth == 0 else looked_at(x, depth - 1)

    for _ in range(2):
        with pytest.raises(NonFiniteError, match="infinite slope"):
            looked_at(X)
    assert looked_at(np.ones(2)).tolist() == [0.5, 0.5]


def test_it_holds_for_its_own_thread():
    found = []
    with tg.detect_anomaly():
        thread = threading.Thread(target=lambda: found.append(np.isinf(quiet_gradient()).sum()))
        thread.start()
        thread.join()
    assert found == [1]

    def other():
        found.append(said(tg.grad(roots), X))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert "sqrt" in found[1]


def quiet_gradient():
    with np.errstate(all="ignore"):
        return tg.grad(roots)(X)


def test_a_pullback_is_looked_at_where_it_is_called():
    with tg.detect_anomaly():
        pullback = tg.vjp(roots, X)[1]
    with np.errstate(all="ignore"):
        assert np.isinf(pullback(1.0)[0][0, 2])
    assert f"{__file__}:{line_of('roots')}" in said(pullback, 1.0)
    unwatched = tg.vjp(roots, X)[1]
    assert "sqrt: finite numbers gave inf" in said(unwatched, 1.0)


def test_nothing_stays_behind():
    import gc
    import weakref

    kept = []

    def f(x):
        kept.append(weakref.ref(x.owner))
        return np.sum(x * x)

    gc.disable()
    try:
        with tg.detect_anomaly(), tg.tape_memory():
            tg.grad(f)(X)
        assert kept[0]() is None
    finally:
        gc.enable()


def test_what_is_not_watched_makes_no_call_more():
    def f(x):
        assert "process" not in vars(x.owner)
        assert x.owner.places is tg.Tape.places
        return np.sum(np.sin(x) * x)

    def calls():
        count = 0

        def seen(frame, event, arg):
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(seen)
        try:
            tg.grad(f)(X)
        finally:
            sys.setprofile(None)
        return count

    calls()
    before = calls()
    with tg.detect_anomaly():
        tg.grad(lambda x: np.sum(np.sin(x) * x))(X)
    assert calls() == before
    assert not tg.Tape.places
