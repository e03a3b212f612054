"""Functions and cells that stop gradients, before judges that only evaluate: what is stopped is held at the point."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import Cell, Parameter, State
from tapegrad.functions import sigmoid
from tapegrad.holding import OtherPath, held_at
from tapegrad.testing import GradientMismatch, check_cell, check_grads, check_jvp, check_vjp
from tapegrad.testing.differences import directional

X = np.array([0.5, -1.5, 0.8])


class Truncated(Cell):
    """Gates and candidate see the last output without its derivative; the memory carries it."""

    input_size: int = 2
    hidden_size: int = 3

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {"U": Parameter((m, n)), "W": Parameter((n, n)), "V": Parameter((n, n))}

    def state(self):
        return State((self.hidden_size,)), State((self.hidden_size,))

    def step(self, params, state, x):
        h, c = state
        last = tg.stop_gradient(h)
        i = sigmoid(x @ params["U"] + last @ params["W"])
        c = c + i * np.tanh(last @ params["V"])
        h = i * np.tanh(c)
        return (h, c), h


def test_derivatives_are_those_of_the_function_with_the_value_held():
    f = lambda x: [x * tg.stop_gradient(np.sin(x))]  # noqa: E731
    along = directional(f, [X], [np.ones(3)])
    np.testing.assert_allclose(along.value[0], np.sin(X), rtol=1e-12)
    assert along.method == "complex step"
    rough = directional(lambda x: [np.abs(x) * tg.stop_gradient(np.sin(x))], [X], [np.ones(3)])
    np.testing.assert_allclose(rough.value[0], np.sign(X) * np.sin(X), rtol=1e-9)
    assert rough.method == "central differences"


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x * tg.stop_gradient(np.sin(x)),
        lambda x: tg.stop_gradient(x),
        lambda x: x + tg.stop_gradient(np.rint(x) - x),
        lambda x: [tg.stop_gradient(float(i) * x) * x for i in range(3)],
        lambda x: tg.softmax(x) * tg.stop_gradient(tg.softmax(x)),
        tg.checkpoint(lambda x: np.cos(x) * tg.stop_gradient(np.sin(x))),
        tg.vmap(lambda x: x * tg.stop_gradient(x) ** 2),
        lambda x: tg.vjp(lambda y: y**3 * tg.stop_gradient(y), x)[1](np.ones(3)),
        lambda x: tg.grad(lambda y: np.sum(y**2 * x * tg.stop_gradient(y * x)))(np.ones(3)),
    ],
)
def test_check_grads(f):
    check_grads(f, (X,), order=2)
    check_vjp(f, (X,))
    check_jvp(f, (X,))


@pytest.mark.parametrize("backend", ["reference", "numba"])
@pytest.mark.parametrize("reverse", [False, True])
def test_inside_a_loop(backend, reverse):
    def f(w, xs, lengths=None):
        def step(p, s, x):
            h = np.tanh(s * p + x)
            return 0.5 * tg.stop_gradient(h) + 0.1 * h, h * tg.stop_gradient(s)

        return tg.scan(step, w, np.full(2, 0.3), xs, reverse=reverse, backend=backend)

    check_grads(f, (np.array([0.3, 0.4]), np.array([[0.1, -0.2], [0.5, 0.3], [0.2, 0.7]])))


def test_numbers_and_arrays_that_are_written_to():
    def f(x):
        held = tg.stop_gradient(1.0 * x)
        held += 1.0
        return held * x * tg.stop_gradient(np.sum(x))

    check_grads(f, (X,))


@pytest.mark.parametrize("oracle", ["tape", "sympy", "reference", "rtrl", "jax", "torch"])
def test_a_cell_by_every_oracle(oracle):
    if oracle in ("jax", "torch"):
        pytest.importorskip(oracle)
    report = check_cell(Truncated(), oracles=(oracle, "differences"))
    assert report.skipped == {}
    assert report.pairs[0].worst < 1e-10
    assert report.pairs[0].count > 70


def test_a_cell_compiled():
    assert check_cell(Truncated(), oracles=("tape", "numba", "differences")).skipped == {}


def test_random_points_and_single_precision():
    for seed in range(5):
        check_cell(Truncated(3, 2), oracles=("tape", "reference", "rtrl", "differences"), seed=seed)
    check_cell(Truncated(3, 2), oracles=("tape", "reference", "differences"), dtype=np.float32)


def test_a_path_that_depends_on_the_values_is_followed_as_near_as_it_stays():
    def f(x):
        total = x
        if float(np.sum(np.real(x))) > 0.78:  # a quarter away in one direction
            total = total * tg.stop_gradient(x)
        return [total * x]

    x = np.array([0.75])
    along = directional(f, [x], [np.array([0.2])])
    np.testing.assert_allclose(along.value[0], [0.3], rtol=1e-8)
    held, _ = held_at(lambda x: tg.stop_gradient(x[: 1 + int(x[0] > 0)]), [X])
    with pytest.raises(OtherPath, match="depends on the values"):
        held(-X)
    held, _ = held_at(lambda x: [tg.stop_gradient(x) for _ in range(1 + int(x[0] > 0))], [X])
    with pytest.raises(OtherPath, match="another number of times"):
        held(-X)


def test_what_a_rule_stops_is_not_held():
    """A rule is what is judged: one that stops its argument is wrong to second order, however it was given."""
    bent = tg.custom_vjp(np.sin)
    bent.defvjp(lambda g, ans, x: g * np.cos(tg.stop_gradient(x)))
    pushed = tg.custom_jvp(np.sin)
    pushed.defjvp(lambda tangents, ans, x: tangents[0] * np.cos(tg.stop_gradient(x)))
    for f in (bent, pushed):
        for mode in ("rev", "fwd"):
            check_grads(f, (X,), modes=[mode], order=1)
            with pytest.raises(GradientMismatch, match="order 2"):
                check_grads(f, (X,), modes=[mode], order=2)
