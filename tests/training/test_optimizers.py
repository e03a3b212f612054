"""Each optimiser against its formulas written out again, element by element, in plain Python floats."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapegrad import pytree
from tapegrad.errors import DtypeError, OptionError, ShapeError, StructureError
from tapegrad.training import SGD, Adam, InverseSqrt, RMSProp

OPTIMIZERS = [
    SGD(0.1),
    SGD(0.1, momentum=0.9),
    RMSProp(0.01),
    RMSProp(0.01, decay=0.95, momentum=0.9, centered=True, epsilon=1e-4),
    Adam(0.01),
]


def run(optimizer, theta, gradients):
    """The path of one scalar parameter under these gradients."""
    params = {"w": np.array([theta])}
    state, path = optimizer.init(params), []
    for g in gradients:
        params, state = optimizer.update({"w": np.array([g])}, state, params)
        path.append(params["w"][0])
    return path


def sgd(theta, gradients, lr, momentum):
    velocity = 0.0
    for g in gradients:
        velocity = momentum * velocity - lr * g
        theta += velocity
        yield theta


def rmsprop(theta, gradients, lr, decay, momentum, centered, epsilon):
    n = m = delta = 0.0
    for g in gradients:
        n = decay * n + (1 - decay) * g**2
        m = decay * m + (1 - decay) * g
        delta = momentum * delta - lr * g / math.sqrt(n - (m * m if centered else 0.0) + epsilon)
        theta += delta
        yield theta


def adam(theta, gradients, lr, b1, b2, epsilon):
    """Algorithm 1, with the sums written out instead of the recursion."""
    for t in range(1, len(gradients) + 1):
        seen = gradients[:t]
        m = (1 - b1) * sum(b1 ** (t - 1 - i) * g for i, g in enumerate(seen)) / (1 - b1**t)
        v = (1 - b2) * sum(b2 ** (t - 1 - i) * g * g for i, g in enumerate(seen)) / (1 - b2**t)
        theta -= lr * m / (math.sqrt(v) + epsilon)
        yield theta


numbers = st.floats(-10, 10)
gradient_lists = st.lists(numbers, min_size=1, max_size=12)
rates = st.floats(1e-4, 1.0)


@given(numbers, gradient_lists, rates, st.floats(0, 0.99))
def test_sgd_follows_its_equations(theta, gradients, lr, momentum):
    assert run(SGD(lr, momentum), theta, gradients) == pytest.approx(list(sgd(theta, gradients, lr, momentum)))


@given(numbers, gradient_lists, rates, st.floats(0, 0.99), st.floats(0, 0.99), st.booleans())
def test_rmsprop_follows_its_equations(theta, gradients, lr, decay, momentum, centered):
    options = {"decay": decay, "momentum": momentum, "centered": centered, "epsilon": 1e-4}
    expected = list(rmsprop(theta, gradients, lr, **options))
    assert run(RMSProp(lr, **options), theta, gradients) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(numbers, gradient_lists, rates, st.floats(0, 0.99), st.floats(0, 0.9999))
def test_adam_follows_its_equations(theta, gradients, lr, beta1, beta2):
    expected = list(adam(theta, gradients, lr, beta1, beta2, 1e-8))
    assert run(Adam(lr, beta1, beta2), theta, gradients) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_the_first_step_of_adam_has_the_size_of_the_rate():
    assert run(Adam(0.01), 0.0, [1e-3]) == pytest.approx([-0.01], rel=1e-4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_parameters_and_states_keep_their_dtype_and_shape(optimizer, dtype):
    params = {"layers": [np.ones((2, 3), dtype), np.ones((), dtype)], "empty": np.zeros((0, 2), dtype)}
    grads = pytree.map(lambda p: np.full(p.shape, 0.5, dtype), params)
    state = optimizer.init(params)
    before = pytree.structure(state)
    for _ in range(3):
        params, state = optimizer.update(grads, state, params)
    assert pytree.structure(state) == before
    assert state["count"] == 3
    for leaf in pytree.leaves(params) + pytree.leaves({k: v for k, v in state.items() if k != "count"}):
        assert leaf.dtype == dtype
    assert [p.shape for p in pytree.leaves(params)] == [(0, 2), (2, 3), ()]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_nothing_is_written_in_place(optimizer):
    params, grads = {"w": np.ones(4, np.float32)}, {"w": np.full(4, 0.5, np.float32)}
    state = optimizer.init(params)
    held = [params, grads, state, *optimizer.update(grads, state, params)]
    for leaf in pytree.leaves(held):
        leaf.flags.writeable = False
    optimizer.update(grads, held[4], held[3])
    assert np.array_equal(params["w"], np.ones(4))


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_a_quadratic_is_minimised(optimizer):
    target = np.array([1.0, -2.0])
    params = np.zeros(2)
    state = optimizer.init(params)
    for _ in range(1500):
        params, state = optimizer.update(params - target, state, params)
    assert np.abs(params - target).max() < 0.05


def test_centred_rmsprop_survives_rounding_below_zero():
    # With a constant gradient n - m^2 tends to zero, and in float32 it comes out negative.
    params, grads = {"w": np.zeros(64, np.float32)}, {"w": np.linspace(1, 1000, 64, dtype=np.float32)}
    optimizer = RMSProp(1e-3, decay=0.5, centered=True, epsilon=1e-8)
    state = optimizer.init(params)
    for _ in range(60):
        params, state = optimizer.update(grads, state, params)
    assert np.isfinite(params["w"]).all()


def test_a_schedule_sees_the_number_of_updates_made():
    seen = []

    def schedule(count):
        seen.append(count)
        return 0.5

    run(SGD(schedule), 0.0, [1.0, 1.0, 1.0])
    assert seen == [0, 1, 2]


def test_inverse_sqrt_is_constant_and_then_falls():
    schedule = InverseSqrt(0.2, constant=100)
    assert [schedule(n) for n in (0, 99, 399)] == pytest.approx([0.2, 0.2, 0.1])


@given(st.integers(0, 9))
def test_a_restored_state_continues_the_schedule(stop):
    gradients, optimizer = np.linspace(-1, 1, 10), Adam(InverseSqrt(0.1, 3))
    params = np.zeros(1)
    state = optimizer.init(params)
    for n, g in enumerate(gradients):
        if n == stop:
            state = pytree.map(np.copy, state)
        params, state = optimizer.update(np.array([g]), state, params)
    assert params[0] == run(optimizer, 0.0, gradients)[-1]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SGD(0.0), "SGD: lr=0.0 must be above 0"),
        (lambda: SGD(math.nan), "lr=nan"),
        (lambda: SGD(math.inf), "lr=inf"),
        (lambda: SGD(0.1, momentum=1.0), r"SGD: momentum=1.0 is outside \[0, 1\)"),
        (lambda: RMSProp(0.1, decay=-0.1), "RMSProp: decay=-0.1"),
        (lambda: RMSProp(0.1, epsilon=0.0), "RMSProp: epsilon=0.0 must be above 0"),
        (lambda: Adam(-1e-3), "Adam: lr=-0.001"),
        (lambda: Adam(beta2=1.0), "Adam: beta2=1.0"),
        (lambda: InverseSqrt(0.1, 0), "InverseSqrt: constant=0"),
    ],
)
def test_impossible_options(make, words):
    with pytest.raises(OptionError, match=words):
        make()


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_integer_parameters_are_refused_by_name(optimizer):
    with pytest.raises(DtypeError, match=r"parameter layers\[1\] has dtype int64; only floating"):
        optimizer.init({"layers": [np.zeros(2), np.zeros(2, np.int64)]})


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_gradients_of_other_parameters_are_refused(optimizer):
    params = {"w": np.zeros(2)}
    state = optimizer.init(params)
    with pytest.raises(ShapeError, match=r"gradient of w has shape \(3,\), the parameter \(2,\)"):
        optimizer.update({"w": np.zeros(3)}, state, params)
    with pytest.raises(StructureError):
        optimizer.update({"v": np.zeros(2)}, state, params)
