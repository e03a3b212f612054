"""Derivatives of every registered cell, through time, against central differences in float64.

The differences are taken of a plain NumPy loop over ``cell.step``, in which nothing is traced.
"""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import functions as F
from tapegrad import pytree
from tapegrad.cells import GRU, LSTM, Elman, Linear, Stacked, variants
from tests.cells.drawing import at, has_kinks, random_inputs, random_params, random_state, unroll
from tests.numeric import assert_close, dot, moved, slope

STEPS, BATCH = 4, 2
EVERY = pytest.mark.parametrize("variant", variants(), ids=str)
SEEDS = pytest.mark.parametrize("seed", [0, 1])


class Problem:
    """A scalar function of all parameters, the first state and the inputs of a cell, as pytrees or as one vector."""

    def __init__(self, variant, seed):
        rng = np.random.default_rng(seed)
        self.cell = variant.build(rng)
        self.point = (
            random_params(self.cell, rng),
            random_state(self.cell, rng, BATCH),
            random_inputs(self.cell, rng, STEPS, BATCH),
        )
        end, ys = unroll(self.cell, *self.point)
        self.weights = pytree.map(lambda leaf: rng.standard_normal(leaf.shape), (end, ys))
        self.direction, self.other = (
            pytree.map(lambda leaf: rng.standard_normal(leaf.shape), self.point) for _ in range(2)
        )

    def loss(self, end, ys):
        """Not linear in the outputs, so that second derivatives of the loss itself enter too."""
        terms = pytree.map(lambda leaf, w: np.sum(np.sin(leaf) * w), (end, ys), self.weights)
        return sum(pytree.leaves(terms))

    def plain(self, point):
        return self.loss(*unroll(self.cell, *point))

    def __call__(self, point):
        params, state, xs = point
        return self.loss(*self.cell(params, xs, state))


def width(variant):
    return 1e-4 if has_kinks(variant.build(np.random.default_rng(0))) else 2e-4


@EVERY
@SEEDS
def test_every_element_of_the_gradient(variant, seed):
    problem = Problem(variant, seed)
    leaves, structure = pytree.flatten(problem.point)
    expected = []
    for position, leaf in enumerate(leaves):
        found = np.zeros_like(leaf)
        for index in np.ndindex(leaf.shape):

            def along(t, position=position, leaf=leaf, index=index):
                changed = list(leaves)
                changed[position] = leaf.copy()
                changed[position][index] += t
                return problem.plain(structure.unflatten(changed))

            found[index] = slope(along, width(variant))
        expected.append(found)
    value, grads = tg.value_and_grad(problem)(problem.point)
    assert value == pytest.approx(problem.plain(problem.point), rel=1e-13)
    assert_close(grads, structure.unflatten(expected))


@EVERY
@SEEDS
def test_forward_mode_agrees_with_differences_and_with_reverse_mode(variant, seed):
    problem = Problem(variant, seed)
    value, tangent = tg.jvp(problem, (problem.point,), (problem.direction,))
    assert value == pytest.approx(problem.plain(problem.point), rel=1e-13)
    numeric = slope(lambda t: problem.plain(moved(problem.point, problem.direction, t)), width(variant))
    assert_close(tangent, numeric)
    assert tangent == pytest.approx(dot(tg.grad(problem)(problem.point), problem.direction), rel=1e-11)


@EVERY
def test_tangents_of_all_outputs(variant):
    problem = Problem(variant, 2)

    def run(point):
        params, state, xs = point
        return problem.cell(params, xs, state)

    tangents = tg.jvp(run, (problem.point,), (problem.direction,))[1]
    plain = slope(lambda t: unroll(problem.cell, *moved(problem.point, problem.direction, t)), width(variant))
    assert_close(tangents, plain)


@EVERY
@SEEDS
def test_second_order(variant, seed):
    """Hessian times vector in all four nestings of the modes, and as a difference of first-order gradients."""
    problem = Problem(variant, seed)
    point, v, u = problem.point, problem.direction, problem.other
    gradient = tg.grad(problem)

    numeric = slope(lambda t: gradient(moved(point, v, t)), width(variant))
    forward_over_reverse = tg.jvp(gradient, (point,), (v,))[1]
    assert_close(forward_over_reverse, numeric)
    reverse_over_reverse = tg.grad(lambda p: tangent_sum(gradient(p), v))(point)
    assert_close(reverse_over_reverse, forward_over_reverse, 1e-10)
    reverse_over_forward = tg.grad(lambda p: tg.jvp(problem, (p,), (v,))[1])(point)
    assert_close(reverse_over_forward, forward_over_reverse, 1e-10)
    forward_over_forward = tg.jvp(lambda p: tg.jvp(problem, (p,), (v,))[1], (point,), (u,))[1]
    assert forward_over_forward == pytest.approx(dot(forward_over_reverse, u), rel=1e-9)


def tangent_sum(tree, direction):
    return sum(pytree.leaves(pytree.map(lambda a, b: np.sum(a * b), tree, direction)))


@EVERY
def test_the_step_alone_differentiates_too(variant):
    """As in streaming, one step at a time and without a scan."""
    problem = Problem(variant, 3)
    params, state, xs = problem.point

    def eager(point):
        return problem.loss(*unrolled(problem.cell, *point))

    def unrolled(cell, params, state, xs):
        ys = []
        for t in range(STEPS):
            state, y = cell.step(params, state, at(xs, t))
            ys.append(y)
        return state, np.stack(ys)

    assert_close(tg.grad(eager)((params, state, xs)), tg.grad(problem)((params, state, xs)), 1e-11)


@EVERY
def test_float32_stays_float32(variant):
    problem = Problem(variant, 4)
    point = pytree.map(lambda leaf: leaf.astype(np.float32), problem.point)
    problem.weights = pytree.map(lambda leaf: leaf.astype(np.float32), problem.weights)
    value, grads = tg.value_and_grad(problem)(point)
    state, ys = problem.cell(point[0], point[2], point[1])
    for leaf in (value, *pytree.leaves((grads, state, ys))):
        assert leaf.dtype == np.float32
    wide = tg.grad(problem)(pytree.map(lambda leaf: leaf.astype(np.float64), point))
    assert_close(grads, wide, 2e-4)


@EVERY
def test_a_batch_of_parameters_through_vmap(variant):
    problem = Problem(variant, 5)
    params, state, xs = problem.point
    many = [pytree.map(lambda p, d, k=k: p + 0.1 * k * d, params, problem.direction[0]) for k in range(3)]
    stacked = pytree.map(lambda *leaves: np.stack(leaves), *many)
    grads = tg.vmap(tg.grad(lambda p: problem((p, state, xs))))(stacked)
    for k, one in enumerate(many):
        alone = tg.grad(lambda p: problem((p, state, xs)))(one)
        assert_close(pytree.map(lambda leaf, k=k: leaf[k], grads), alone, 1e-11)


def test_the_gradients_that_textbooks_print():
    """Goodfellow et al. 2016, equations 10.22 to 10.28, for the softmax network with cross entropy."""
    rng = np.random.default_rng(0)
    cell, readout = Elman(3, 5), Linear(5, 4)
    params = {"cell": random_params(cell, rng), "readout": random_params(readout, rng)}
    xs, labels = rng.standard_normal((6, 1, 3)), rng.integers(0, 4, (6, 1))

    def loss(params):
        return F.softmax_cross_entropy(readout(params["readout"], cell(params["cell"], xs)[1]), labels, reduction="sum")

    grads = tg.grad(loss)(params)
    hs = cell(params["cell"], xs)[1][:, 0]
    before = np.vstack([np.zeros(5), hs[:-1]])
    do = F.softmax(readout(params["readout"], hs)) - np.eye(4)[labels[:, 0]]
    dh, da = np.zeros(5), np.zeros((6, 5))
    for t in reversed(range(6)):
        dh = params["readout"]["W_hy"] @ do[t] + (params["cell"]["W_hh"] @ da[t + 1] if t < 5 else 0)
        da[t] = (1 - hs[t] ** 2) * dh
    expected = {
        "cell": {
            "W_xh": sum(np.outer(xs[t, 0], da[t]) for t in range(6)),
            "W_hh": sum(np.outer(before[t], da[t]) for t in range(6)),
            "b_h": da.sum(axis=0),
        },
        "readout": {"W_hy": sum(np.outer(hs[t], do[t]) for t in range(6)), "b_y": do.sum(axis=0)},
    }
    assert_close(grads, expected, 1e-10)


def test_a_stack_is_the_layers_one_after_the_other():
    rng = np.random.default_rng(0)
    layers = (LSTM(3, 4), GRU(4, 2, reset_after=True), Linear(2, 5))
    stack = Stacked(layers)
    params, xs = random_params(stack, rng), rng.standard_normal((6, 2, 3))

    def one_by_one(params):
        first, middle = layers[0](params["layer0"], xs), layers[1]
        last, ys = middle(params["layer1"], first[1])
        return (first[0], last, None), layers[2](params["layer2"], ys)

    assert_close(stack(params, xs), one_by_one(params), 1e-13)
    gradients = [tg.grad(lambda p, f=f: np.sum(f(p)[1] ** 3))(params) for f in (lambda p: stack(p, xs), one_by_one)]
    assert_close(*gradients, 1e-11)
