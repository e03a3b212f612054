"""Whole random programs and whole random cells: the engine on what nobody thought of."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.testing import RoughDerivative, cells, check_grads, programs
from tests.cells.drawing import unroll
from tests.strategies.effort import some


@given(programs(), st.integers(0, 99))
def test_random_programs_to_second_order(program, seed):
    try:
        check_grads(program, program.args, seed=seed)
    except RoughDerivative:
        return


@given(programs(smooth=False, max_length=8))
def test_modes_agree_where_functions_have_kinks(program):
    """Differences say nothing at a kink, and the two modes must still be each other's adjoint."""
    args = program.args
    value, pullback = tg.vjp(program, *args)
    other, tangent = tg.jvp(program, args, args)
    np.testing.assert_array_equal(value, other)
    u = np.cos(np.arange(value.size)).reshape(value.shape)
    backward = sum(np.sum(g * x) for g, x in zip(pullback(u), args, strict=True))
    np.testing.assert_allclose(np.sum(tangent * u), backward, rtol=1e-9, atol=1e-9)


@given(programs(max_length=4))
def test_random_programs_in_float32(program):
    single = [x.astype(np.float32) for x in program.args]
    value, pullback = tg.vjp(program, *single)
    grads = pullback(np.ones_like(value))
    assert {g.dtype for g in grads} == {np.dtype(np.float32)}
    wide = tg.vjp(program, *program.args)[1](np.ones(value.shape))
    for g, expected in zip(grads, wide, strict=True):
        scale = max(1.0, np.max(np.abs(expected), initial=0.0))
        np.testing.assert_allclose(g, expected, rtol=0, atol=5e-3 * scale)


@given(programs(inputs=[(3,), ()]), st.integers(0, 99))
def test_random_programs_under_vmap(program, seed):
    rng = np.random.default_rng(seed)
    xs, y = rng.uniform(-1, 1, (4, 3)), program.args[1]
    found = tg.vmap(program, (0, None))(xs, y)
    np.testing.assert_allclose(found, np.stack([program(x, y) for x in xs]), rtol=1e-12, atol=1e-12)
    pulled = lambda x: tg.vjp(program, x, y)[1](np.ones(np.shape(program(x, y))))[0]  # noqa: E731
    np.testing.assert_allclose(tg.vmap(pulled)(xs), np.stack([pulled(x) for x in xs]), rtol=1e-10, atol=1e-10)


def drawn(cell, seed, steps, batch):
    rng = np.random.default_rng(seed)
    params = cell.init(rng, np.float64)
    state = tg.tree_map(lambda s: rng.standard_normal((batch, *s.shape)), cell.state())
    return params, state, rng.standard_normal((steps, batch, cell.input_size))


@given(cells(smooth=False), st.integers(0, 99), st.integers(1, 4), st.integers(1, 3))
def test_random_cells_are_their_unrolled_loops(cell, seed, steps, batch):
    """Values and gradients of the scan, reversed or not, with and without checkpoints."""
    params, state, xs = drawn(cell, seed, steps, batch)

    def loss(run):
        def f(params, state, xs):
            end, ys = run(params, state, xs)
            return np.sum(ys**2) + sum(np.sum(np.sin(leaf)) for leaf in tg.tree_leaves(end))

        return tg.value_and_grad(f, (0, 1, 2))(params, state, xs)

    expected = loss(lambda p, s, xs: unroll(cell, p, s, xs))
    for found in (
        loss(lambda p, s, xs: cell(p, xs, s)),
        loss(lambda p, s, xs: cell(p, xs, s, checkpoint=2)),
        loss(lambda p, s, xs: cell(p, xs[::-1], s, reverse=True)),
    ):
        tg.tree_map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11), found, expected)


@some()
@given(cells(max_states=2), st.integers(0, 99))
def test_random_cells_to_second_order(cell, seed):
    """Along a random line through the parameters and one through the inputs."""
    params, state, xs = drawn(cell, seed, 3, 2)
    move, other, change = drawn(cell, seed + 100, 3, 2)

    def along(t, u):
        moved = tg.tree_map(lambda p, v: p + t * v, params, move)
        started = tg.tree_map(lambda s, v: s + u * v, state, other)
        return cell(moved, xs + u * change, started)

    try:
        check_grads(along, (0.0, 0.0), seed=seed, rtol=1e-6)
    except RoughDerivative:
        return


@given(cells(), st.integers(0, 99))
def test_random_cells_keep_float32(cell, seed):
    params = cell.init(np.random.default_rng(seed))
    xs = np.ones((3, 2, cell.input_size), np.float32)
    value, grads = tg.value_and_grad(lambda p: np.mean(cell(p, xs)[1] ** 2))(params)
    assert {leaf.dtype for leaf in tg.tree_leaves((value, grads))} == {np.dtype(np.float32)}
