"""detect_anomaly: the first value that is not finite is found, named, and found where it is."""

import re
import threading
from pathlib import Path

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import GRU, LSTM
from tapegrad.errors import NonFiniteError

X = np.array([[1.0, 2.0, 0.0], [3.0, 4.0, 5.0]])
SOURCE = Path(__file__).read_text(encoding="utf-8").splitlines()


def line_of(mark):
    """The number of the line that ends in a mark."""
    (found,) = [number for number, line in enumerate(SOURCE, 1) if line.endswith(f"# {mark}")]
    return found


def said(f, *args):
    """What the error says that detect_anomaly raises."""
    with tg.detect_anomaly(), pytest.raises(NonFiniteError) as caught:
        f(*args)
    return str(caught.value)


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
    assert "test_anomaly.py" in message


def test_sums_of_finite_cotangents_may_overflow():
    message = said(tg.grad(lambda x: 1e308 * x + 1e308 * x), 0.5)
    assert "the sum of the cotangents of its result" in message
    assert "the numbers grow beyond what float64 holds" in message


# ---- loops ----
def walk(params, state, x):
    moved = state + x * params
    length = np.sqrt(moved * moved)  # walk
    return length, length


XS = np.ones((9, 3))
XS[4, 1] = -5.0  # the state is 5 there, so that it becomes 0 in the fifth step


def walked(p, **options):
    return np.sum(tg.scan(walk, p, np.ones(3), XS, **options)[1])


@pytest.mark.parametrize("options", [{}, {"checkpoint": 3}, {"checkpoint": "sqrt"}, {"checkpoint": 4},
                                     {"backend": "numba"}, {"backend": "reference"}])  # fmt: skip
def test_the_step_and_row_of_a_backward_loop(options):
    message = said(tg.grad(lambda p: walked(p, **options)), 1.0)
    assert "in the backward pass" in message
    assert "at step t = 4, row b = 1 of a loop, which runs from the last step to the first" in message
    assert "it is a part of the backward rule of sqrt" in message
    assert f"{__file__}:{line_of('walk')}, in walk" in message


def test_the_step_of_other_modes():
    message = said(lambda: tg.jvp(walked, (1.0,), (1.0,)))
    assert "in forward mode: " in message
    assert "at step t = 4, row b = 1 of a loop\n" in message
    assert "the forward mode rule of sqrt" in message
    second = said(lambda: tg.grad(tg.grad(lambda p: walked(p * p)))(1.0))
    assert "at step t = 4" in second
    assert f"{__file__}:{line_of('walk')}" in second
    batched = said(lambda: tg.vmap(tg.grad(walked))(np.array([2.0, 1.0])))
    assert "at step t = 4" in batched
    inner = said(lambda: tg.scan(lambda p, s, x: (s, tg.grad(walked)(p * x)), 0.5, 0.0, np.array([1.0, 2.0])))
    assert "at step t = 4, row b = 1 of a loop" in inner
    assert "at step t = 1 of a loop" in inner


def falling(params, state, x):
    state = state - 1.0
    return state, np.log(state * params) * x  # falling


@pytest.mark.parametrize("reverse", [False, True])
def test_the_step_of_a_forward_loop(reverse):
    start = np.array([9.0, 4.0])
    message = said(lambda: tg.scan(falling, 1.0, start, np.ones((6, 2)), reverse=reverse))
    assert "log: finite numbers gave -inf in the forward pass" in message
    assert f"at step t = {2 if reverse else 3}, row b = 1 of a loop" in message
    assert f"{__file__}:{line_of('falling')}, in falling" in message


def test_a_step_whose_tape_was_known_before_is_traced_anew():
    def step(params, state, x):
        return np.sqrt((state + x * params) ** 2), x  # known before

    def known(p):
        return np.sum(tg.scan(step, p, np.ones(3), XS)[0])

    with np.errstate(all="ignore"):
        assert np.isnan(tg.grad(known)(1.0))
    assert f"{__file__}:{line_of('known before')}, in step" in said(tg.grad(known), 1.0)
    with np.errstate(all="ignore"):
        assert np.isnan(tg.grad(known)(1.0))


def test_a_sum_over_time_may_overflow():
    big = np.full(3, 9e307)
    message = said(lambda: tg.grad(lambda p: np.sum(tg.scan(lambda p, s, x: (s, p * x), p, 0.0, big)[1]))(1e-9))
    assert "sum: finite numbers gave inf" in message
    assert "at step t = 1 of a loop" in message


def test_cells_are_named_with_their_equation_and_the_call():
    cell = LSTM(2, 3)
    params = tg.tree_map(lambda p: p * 1e308, cell.init(np.random.default_rng(0), dtype=np.float64))
    message = said(lambda: cell(params, np.ones((4, 2, 2))))
    assert re.search(r"cells/lstm\.py:\d+, in step: ", message)
    assert f"called at {__file__}:" in message


# ---- what is no anomaly ----
MASK = np.array([[True, False, True], [True, True, False]])
HARMLESS = {
    "softmax": lambda x: np.sum(tg.softmax(np.where(MASK, x, -np.inf)) * X),
    "log_softmax": lambda x: np.sum(np.where(MASK, tg.log_softmax(np.where(MASK, x, -np.inf)), 0.0)),
    "logsumexp": lambda x: np.sum(tg.logsumexp(np.where(MASK, x, -np.inf), axis=-1)),
    "logsumexp of nothing": lambda x: np.sum(np.exp(tg.logsumexp(np.where(MASK[:1], x, -np.inf)[:, 1:2], axis=-1))),
    "a mask that is added": lambda x: np.sum(tg.softmax(x + np.where(MASK, 0.0, -np.inf)) * X),
    "cross entropy": lambda x: tg.softmax_cross_entropy(np.where(MASK, x, -np.inf), np.array([0, 1])),
    "large logits": lambda x: tg.softmax_cross_entropy(1e4 * x, np.array([0, 1])),
    "binary": lambda x: tg.binary_cross_entropy(np.where(MASK, 1e4 * x, -np.inf), MASK * 1.0),
    "sigmoid and softplus": lambda x: np.sum(tg.sigmoid(1e4 * x) + tg.softplus(-1e4 * x)),
    "maximum": lambda x: np.sum(np.max(np.where(MASK, x, -np.inf), axis=1)),
    "NaN that is masked": lambda x: np.sum(np.where(MASK, x * np.where(MASK, 1.0, np.nan), 0.0)),
    "rows of NaN in a product": lambda x: np.sum(np.where(MASK[:, 1:2], (x * np.where(MASK, 1.0, np.nan)) @ X.T, 0.0)),
    "powers of 0": lambda x: np.sum((x * 0.0) ** 2 + (x * 0.0) ** 3),
    "the double where": lambda x: np.sum(np.where(x > 0, np.sqrt(np.where(x > 0, x, 1.0)), 0.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_what_comes_in_infinite_is_no_anomaly(name):
    f = HARMLESS[name]
    runs = [
        lambda: tg.grad(f)(X),
        lambda: tg.jvp(f, (X,), (np.cos(X),))[1],
        lambda: tg.grad(lambda x: np.sum(tg.grad(f)(x) * X))(X),
        lambda: tg.vmap(tg.grad(f))(np.stack([X, 2 * X])),
        lambda: tg.grad(tg.checkpoint(f))(X),
        lambda: tg.grad(lambda p: np.sum(tg.scan(lambda p, s, x: (s, f(p * x)), p, 0.0, np.stack([X, X]))[1]))(0.5),
    ]
    for run in runs:
        with np.errstate(invalid="ignore"):
            expected = run()
        with tg.detect_anomaly():
            np.testing.assert_array_equal(run(), expected)


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_padding_of_nan_is_no_anomaly(kind):
    cell, rng = kind(3, 4), np.random.default_rng(0)
    params, xs = cell.init(rng, dtype=np.float64), rng.normal(size=(6, 2, 3))
    xs[3:, 1] = np.nan

    def loss(params, xs):
        return np.sum(cell(params, xs, lengths=np.array([6, 3]))[1] ** 2)

    expected = tg.grad(loss, (0, 1))(params, xs)
    with tg.detect_anomaly():
        found = tg.grad(loss, (0, 1))(params, xs)
    tg.testing.assert_gradients_close(found, expected)


def test_one_bad_row_hides_no_other():
    """A row that came in as NaN does not excuse another one that becomes so."""
    x = np.array([[np.nan, 1.0], [0.0, 1.0]])
    assert "first at index [1, 0]" in said(tg.grad(logs), x)
    huge = np.array([[np.nan, 1.0], [1e308, 1e308]])
    for f in (lambda x: np.sum(x @ np.ones((2, 2))), lambda x: np.sum(np.sum(x, axis=1)),
              lambda x: np.sum(np.cumsum(x, axis=1))):  # fmt: skip
        assert "first at index [1" in said(tg.grad(f), huge)


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
