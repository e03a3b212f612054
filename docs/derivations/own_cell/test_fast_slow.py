"""What must hold of the cell, for random sizes, weights and inputs."""

import numpy as np
from fast_slow import FastSlow
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.testing import check_grads

sizes = st.tuples(st.integers(1, 8), *[st.integers(1, 4)] * 3)  # T, B, input_size, hidden_size
seeds = st.integers(0, 2**32 - 1)
some = settings(max_examples=15, deadline=None)


def drawn(sizes, seed):
    """A cell, its parameters, a sequence, and a state to start from."""
    T, B, m, n = sizes
    rng = np.random.default_rng(seed)
    cell = FastSlow(m, n)
    params = tg.tree_map(lambda p: p + rng.normal(size=p.shape), cell.init(rng, np.float64))
    state = rng.uniform(-1, 1, size=(2, B, n))
    return cell, params, rng.normal(size=(T, B, m)), tuple(state)


@some
@given(sizes, seeds)
@tg.backend("reference")  # small loops of ever new sizes are not worth compiling
def test_derivatives_agree_with_evaluation(sizes, seed):
    cell, params, xs, state = drawn(sizes, seed)
    check_grads(lambda params, state, xs: cell(params, xs, state), (params, state, xs), order=1)


@some
@given(sizes, seeds)
@tg.backend("reference")
def test_the_memory_stays_between_minus_one_and_one(sizes, seed):
    cell, params, xs, state = drawn(sizes, seed)
    *_, seen = cell(params, xs, state, record="s")
    assert np.all(np.abs(seen["s"]) <= 1)


@some
@given(sizes, seeds)
@tg.backend("reference")
def test_a_closed_gate_keeps_the_memory_and_its_gradient(sizes, seed):
    cell, params, xs, (h, s) = drawn(sizes, seed)
    closed = params | {"b_z": np.full_like(params["b_z"], -1000.0)}

    def last_memory(s):
        return cell(closed, xs, (h, s))[0][1]

    np.testing.assert_array_equal(last_memory(s), s)
    jacobian = tg.jacobian(last_memory)(s)
    np.testing.assert_array_equal(jacobian.reshape(s.size, s.size), np.eye(s.size))


@some
@given(sizes, seeds)
@tg.backend("reference")
def test_padding_has_no_effect(sizes, seed):
    cell, params, xs, state = drawn(sizes, seed)
    padded = np.concatenate([xs, np.full_like(xs, np.nan)])
    alone = cell(params, xs, state)
    among = cell(params, padded, state, lengths=np.full(xs.shape[1], len(xs)))
    np.testing.assert_allclose(among[1][: len(xs)], alone[1], rtol=1e-12)
    np.testing.assert_allclose(among[0], alone[0], rtol=1e-12)


def test_the_compiled_loop_agrees_with_the_reference():
    cell, params, xs, state = drawn((20, 4, 3, 8), seed=0)

    def value_and_grads(backend):
        def loss(params):
            return np.sum(cell(params, xs, state, backend=backend)[1] ** 2)

        return tg.value_and_grad(loss)(params)

    def close(a, b):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)

    tg.tree_map(close, value_and_grads("numba"), value_and_grads("reference"))
