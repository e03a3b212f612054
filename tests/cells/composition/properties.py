"""What every layer has to keep, as functions that raise for one that does not."""

import copy
import pickle

import numpy as np

import tapegrad as tg
from tapegrad import pytree
from tapegrad.cells import Feedback
from tapegrad.cells.checks import data_inputs
from tapegrad.testing import check_grads
from tests.cells.drawing import random_params, random_state

STEPS, BATCH = 7, 3


def most_steps(layer):
    return 1 if isinstance(layer, Feedback) else STEPS


def arguments(layer, seed=0, steps=None, batch=BATCH, dtype=np.float64):
    """Random params, state, data and noise of a call."""
    rng = np.random.default_rng(seed)
    steps = most_steps(layer) if steps is None else min(steps, most_steps(layer))
    data = pytree.map(lambda i: rng.standard_normal((steps, batch, *i.shape)).astype(dtype), data_inputs(layer))
    noise = layer.noise(rng, steps, batch, dtype) if layer.noisy else None
    return random_params(layer, rng, dtype), random_state(layer, rng, batch, dtype), data, noise


def call(layer, params, state, data, noise, **options):
    return layer(params, (data, noise) if layer.noisy else data, state, **options)


def loss_of(layer, noise, **options):
    """A scalar in which every output and every final state counts, by its place."""

    def loss(params, state, data):
        end, ys = call(layer, params, state, data, noise, **options)
        weights = np.cos(np.arange(float(ys.size)) + 1).reshape(ys.shape).astype(ys.dtype)
        return np.sum(np.sin(ys) * weights) + sum(np.sum(np.cos(leaf)) for leaf in pytree.leaves(end))

    return loss


def row(tree, b, axis):
    return pytree.map(lambda leaf: np.take(leaf, [b], axis=axis), tree)


def assert_close(result, expected, bound=1e-12):
    assert pytree.structure(result) == pytree.structure(expected)
    for path, a, b in zip(pytree.paths(expected), pytree.leaves(result), pytree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=bound, atol=bound, err_msg=path)


# ---- properties ----


def is_a_value(layer):
    assert copy.deepcopy(layer) == pickle.loads(pickle.dumps(layer)) == layer
    assert hash(copy.deepcopy(layer)) == hash(layer)
    assert type(layer).__name__ in repr(layer)
    assert layer.source
    assert layer.__doc__


def init_follows_the_declaration(layer):
    for dtype in (np.float32, np.float64):
        params = layer.init(np.random.default_rng(0), dtype)
        assert pytree.structure(params) == pytree.structure(layer.parameters())
        for leaf, declared in zip(pytree.leaves(params), pytree.leaves(layer.parameters()), strict=True):
            assert (leaf.shape, leaf.dtype) == (declared.shape, dtype)
        assert layer.parameter_count == sum(leaf.size for leaf in pytree.leaves(params))


def keeps_shapes_and_dtypes(layer, steps=None, batch=BATCH, dtype=np.float32):
    params, state, data, noise = arguments(layer, 1, steps, batch, dtype)
    end, ys = call(layer, params, state, data, noise)
    made = int(layer.output_lengths(len(data)))
    assert (ys.shape, ys.dtype) == ((made, batch, layer.output_size), dtype)
    assert pytree.structure(end) == pytree.structure(state)
    for before, after in zip(pytree.leaves(state), pytree.leaves(end), strict=True):
        assert (before.shape, before.dtype) == (after.shape, after.dtype)
    if not len(data):
        assert_close(end, state)
    grads = tg.grad(loss_of(layer, noise), argnums=(0, 1, 2))(params, state, data)
    for leaf, grad in zip(pytree.leaves((params, state, data)), pytree.leaves(grads), strict=True):
        assert (leaf.shape, leaf.dtype) == (grad.shape, grad.dtype)
        assert np.isfinite(grad).all()


def ignores_padding(layer, lengths=(STEPS, 4, 0), reverse=False):
    """Each row is what it is alone, without its padding, whatever stands there."""
    params, state, data, noise = arguments(layer, 2, batch=len(lengths))
    lengths = np.minimum(lengths, len(data))
    padding = np.arange(len(data))[:, None] >= lengths
    data[padding] = np.nan
    options = {"reverse": True} if reverse else {}
    end, ys = call(layer, params, state, data, noise, lengths=lengths, **options)
    grads = tg.grad(loss_rows(layer, noise, lengths=lengths, **options), argnums=(0, 1, 2))(params, state, data)
    np.testing.assert_array_equal(grads[2][padding], 0)
    total = pytree.map(np.zeros_like, params)
    for b, length in enumerate(lengths):
        made = int(layer.output_lengths(int(length)))
        own = row(state, b, 0), data[:length, b : b + 1]
        own_noise = cut_noise(layer, noise, b, int(length))
        own_end, own_ys = call(layer, params, *own, own_noise, **options)
        np.testing.assert_array_equal(ys[made:, b], 0)
        assert_close((row(end, b, 0), ys[:made, b : b + 1]), (own_end, own_ys))
        alone = tg.grad(loss_rows(layer, own_noise, **options), argnums=(0, 1, 2))(params, *own)
        assert_close(row(grads[1], b, 0), alone[1])
        assert_close(grads[2][:length, b : b + 1], alone[2])
        total = pytree.map(np.add, total, alone[0])
    assert_close(grads[0], total, 1e-10)


def loss_rows(layer, noise, **options):
    """A loss that is a sum over rows and steps, each weighed by its step."""

    def loss(params, state, data):
        end, ys = call(layer, params, state, data, noise, **options)
        weights = np.cos(np.arange(len(ys)) + 1.0)[:, None, None]
        return np.sum(np.sin(ys) * weights) + sum(np.sum(np.sin(leaf)) for leaf in pytree.leaves(end))

    return loss


def cut_noise(layer, noise, b, steps):
    """The noise of one row, and of the steps that are made of its own."""
    wanted = layer.noise(np.random.default_rng(0), steps, 1) if layer.noisy else None
    return pytree.map(lambda leaf, like: leaf[: len(like), b : b + 1], noise, wanted)


def has_right_gradients(layer, order=1):
    params, state, data, noise = arguments(layer, 3, steps=4, batch=2)
    check_grads(loss_of(layer, noise, backend="reference"), (params, state, data), modes=("rev", "fwd"), order=order)


def compiles_to_the_same(layer):
    params, state, data, noise = arguments(layer, 4)
    lengths = np.minimum([STEPS, 0, 5], len(data))
    plain, compiled = (
        (
            call(layer, params, state, data, noise, lengths=lengths, backend=backend),
            tg.grad(loss_of(layer, noise, lengths=lengths, backend=backend), argnums=(0, 1, 2))(params, state, data),
        )
        for backend in ("reference", "numba")
    )
    assert_close(compiled, plain, 1e-11)


def everything_matters(layer):
    """Each parameter and state array moves the outputs or the final state; so does the input."""
    params, state, data, noise = arguments(layer, 5)
    rng = np.random.default_rng(6)
    plain = pytree.leaves(call(layer, params, state, data, noise))
    leaves, structure = pytree.flatten((params, state, data))
    for position, leaf in enumerate(leaves):
        moved = [*leaves[:position], leaf + 0.37 * rng.standard_normal(leaf.shape), *leaves[position + 1 :]]
        changed = pytree.leaves(call(layer, *structure.unflatten(moved), noise))
        assert max(np.abs(a - b).max() for a, b in zip(plain, changed, strict=True)) > 1e-6, position
