"""Measurements and pictures of cells that Hypothesis draws: nothing here knows a cell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import pytree
from tapegrad.analysis import draw, flows, gamma_measured, gradient_norms, lyapunov_spectrum, step_jacobians
from tapegrad.analysis.graphs import INPUT, OLD, StepGraph
from tapegrad.analysis.problem import Problem
from tapegrad.testing.random_cells import cells
from tests.analysis.problems import trajectory, vector
from tests.strategies.effort import few, some

STEPS, BATCH = 4, 2
SEEDS = st.integers(0, 99)
TOLERANCE = {"rtol": 1e-10, "atol": 1e-12}


def drawn(cell, seed):
    rng = np.random.default_rng(seed)
    state = pytree.map(lambda s: rng.standard_normal((BATCH, *s.shape)), cell.state())
    return cell, cell.init(rng, np.float64), rng.standard_normal((STEPS, BATCH, cell.input_size)), state


def one_row(tree, row):
    return pytree.map(lambda leaf: leaf[row : row + 1], tree)


@given(cells(), SEEDS)
def test_step_jacobians_are_jacobians_of_a_step(cell, seed):
    cell, params, xs, state = drawn(cell, seed)
    found = step_jacobians(cell, params, xs, state)
    for t, before in enumerate(trajectory(cell, params, xs, state)[:-1]):
        for row in range(BATCH):
            step = lambda s, t=t, row=row: tg.tree_leaves(cell.step(params, s, xs[t, row : row + 1])[0])  # noqa: E731
            lines = [pytree.leaves(line) for line in tg.jacobian(step)(one_row(before, row))]
            sizes = [s[0].size for s in pytree.leaves(before)]
            matrix = np.block([[np.reshape(block, (m, n)) for block, n in zip(line, sizes, strict=True)]
                               for line, m in zip(lines, sizes, strict=True)])  # fmt: skip
            np.testing.assert_allclose(found[t, row], matrix, **TOLERANCE)
    np.testing.assert_allclose(gamma_measured(found), np.linalg.norm(found, 2, axis=(2, 3)), **TOLERANCE)


@given(cells(), SEEDS)
def test_gradient_norms_are_those_of_an_unrolled_loop(cell, seed):
    cell, params, xs, state = drawn(cell, seed)
    found = gradient_norms(cell, params, xs, state, loss=np.sin)
    states = trajectory(cell, params, xs, state)
    for t in range(STEPS):
        for k in range(t):

            def of_state(s, t=t, k=k):
                for x in xs[k + 1 : t + 1]:
                    s, y = cell.step(params, s, x)
                return np.sum(np.sin(y))

            gradient = tg.grad(of_state)(states[k + 1])
            expected = [np.linalg.norm(vector(gradient, row)) for row in range(BATCH)]
            np.testing.assert_allclose(found[t, k], expected, **TOLERANCE)


@given(cells(), SEEDS)
def test_the_sum_of_exponents_is_the_mean_log_determinant(cell, seed):
    jacobians = step_jacobians(*drawn(cell, seed))
    with np.errstate(divide="ignore"):
        logs = np.linalg.slogdet(jacobians)[1].mean(axis=0)
    found = lyapunov_spectrum(jacobians).sum(axis=-1)
    regular = logs > -100  # else a Jacobian is singular, exactly or but for rounding
    np.testing.assert_allclose(found[regular], logs[regular], rtol=1e-6, atol=1e-9)


@given(cells(), SEEDS)
def test_what_flows_through_the_graph(cell, seed):
    cell, params, xs, state = drawn(cell, seed)
    problem = Problem("test", cell, params, xs, state, None, False)
    graph = StepGraph(problem)
    found = flows.flows(problem, graph, lambda ys: np.sum(np.sin(ys)))

    def loss(state, xs):
        return np.sum(np.sin(cell(params, xs, state)[1]))

    by_state, by_xs = tg.grad(loss, (0, 1))(state, xs)
    for vertex in graph.vertices:
        if vertex.kind == OLD:
            expected = pytree.leaves(by_state)[vertex.number]
            zero = np.zeros_like(expected)
            np.testing.assert_allclose(found[0].gradients.get(vertex, zero), expected, **TOLERANCE)
        elif vertex.kind == INPUT:
            for t in range(STEPS):
                zero = np.zeros((BATCH, cell.input_size))
                np.testing.assert_allclose(found[t].gradients.get(vertex, zero), by_xs[t], **TOLERANCE)


@some()
@given(cells(), st.sampled_from([None, 1, 3]))
def test_nothing_in_the_picture_lies_on_anything_else(cell, steps):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    from tests.analysis.pictures import assert_nothing_overlaps

    try:
        assert_nothing_overlaps(cell, steps)
    finally:
        pyplot.close("all")


@few()
@given(cells(), st.sampled_from([None, 2]))
def test_every_cell_can_be_drawn(cell, steps):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    try:
        draw(cell, steps).figure.canvas.draw()
    finally:
        pyplot.close("all")
