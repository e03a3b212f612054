"""Arrays that change between the forward and the backward pass, and arrays that must not: nothing is shared unseen.

That it holds for the arrays of every primitive is among the properties of ``tests/primitives``.
"""

import numpy as np
import pytest
from hypothesis import given

import tapegrad as tg
from tapegrad.tensor import Lent
from tapegrad.testing import programs


def spoil(array):
    """Write over a live array, as an optimiser's ``p -= ...`` does."""
    if isinstance(array, np.ndarray) and array.flags.writeable and array.dtype.kind == "f":
        array[...] = 777.0


@given(programs(scalar=True))
def test_gradients_of_programs_share_no_memory(program):
    args = [np.array(x) for x in program.args]
    grads = tg.grad(program, range(len(args)))(*args)
    arrays = [*grads, *args]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[i + 1 :])
    for g in grads:
        if isinstance(g, np.ndarray):
            g[...] = 0.0  # writable, and nobody else's


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x, lambda x: x.T, lambda x: x + 0.0, lambda x: (x, x), lambda x: x[:], lambda x: np.reshape(x, -1),
        lambda x: np.broadcast_to(x, (2, *x.shape)), lambda x: tg.checkpoint(lambda y: y)(x), lambda x: [x, 2 * x],
    ],
)  # fmt: skip
def test_the_identity_in_its_many_forms(f):
    x = np.arange(4.0).reshape(2, 2)
    y, pullback = tg.vjp(f, x)
    u = tg.tree_map(np.ones_like, y)
    (g,) = pullback(u)
    assert not np.shares_memory(g, x)
    for leaf in tg.tree_leaves(u):
        assert not np.shares_memory(g, leaf)
        assert (leaf == 1.0).all()
    expected = g.copy()
    g[...] = 99.0
    for leaf in tg.tree_leaves(y):
        assert not np.shares_memory(leaf, x), "a result that is the argument would change with it"
    np.testing.assert_array_equal(pullback(u)[0], expected)


def test_gradients_of_one_array_given_twice():
    x = np.ones(3)
    a, b = tg.grad(lambda x, y: np.sum(x + y), (0, 1))(x, x)
    a[...] = 5.0
    np.testing.assert_array_equal(b, np.ones(3))
    np.testing.assert_array_equal(x, np.ones(3))


def test_index_arrays_and_masks_that_change():
    x = np.arange(5.0)
    for index in (np.array([0, 0, 3]), np.array([True, False, False, True, False])):
        _, pullback = tg.vjp(lambda x, index=index: x[index] * 2, x)
        before = pullback(np.ones(int(index.sum()) if index.dtype == bool else 3))[0]
        g = np.ones(int(index.sum()) if index.dtype == bool else 3)
        index[...] = 1
        np.testing.assert_array_equal(pullback(g)[0], before)


def test_conditions_of_where_that_change():
    mask = np.array([True, False])
    _, pullback = tg.vjp(lambda x: np.where(mask, x, -x), np.ones(2))
    mask[...] = ~mask
    np.testing.assert_array_equal(pullback(np.ones(2))[0], [1.0, -1.0])


def test_arrays_that_a_step_and_a_checkpoint_capture():
    w, xs = np.array([2.0]), np.array([[1.0], [3.0]])
    for f in (
        lambda s: tg.scan(lambda p, s, x: (s * w, s * x), None, s, xs),
        lambda s: tg.checkpoint(lambda s: s * w * np.sin(s))(s),
        lambda s: tg.vmap(lambda x: s * w * x)(xs),
    ):
        value, pullback = tg.vjp(f, np.array([0.5]))
        u = tg.tree_map(np.ones_like, value)
        before = pullback(u)[0].copy()
        w_before, xs_before = w.copy(), xs.copy()
        w[...], xs[...] = 100.0, -100.0
        np.testing.assert_array_equal(pullback(u)[0], before)
        w[...], xs[...] = w_before, xs_before


@pytest.mark.parametrize("backend", ["reference", "numba"])
@pytest.mark.parametrize(
    "of",
    [lambda s, ys: (s, ys), lambda s, ys: (ys, ys), lambda s, ys: (s, ys, ys * ys * s), lambda s, ys: ys.T],
    ids=["alone", "twice", "read again", "a view"],
)
def test_results_of_a_scan_that_change(of, backend):
    """They are the caller's own, and need no copy where the tape does not read them again."""
    rng = np.random.default_rng(0)
    w, s, xs = rng.normal(size=(3, 3)), rng.normal(size=(2, 3)), rng.normal(size=(5, 2, 3))

    def f(w, s, xs):
        def step(w, s, x):
            h = np.tanh(x + s @ w)
            return h * x, h

        return of(*tg.scan(step, w, s, xs, backend=backend))

    value, pullback = tg.vjp(f, w, s, xs)
    u = tg.tree_map(lambda y: rng.normal(size=y.shape), value)
    before = [np.array(g) for g in pullback(u)]
    leaves = tg.tree_leaves(value)
    assert not any(np.shares_memory(a, b) for i, a in enumerate(leaves) for b in leaves[i + 1 :])
    scan = next(node for node in pullback.tape.nodes if node is not None)
    shared = any(np.shares_memory(a, b) for a in leaves for b in scan.ans)
    assert shared == (leaves[0].shape == s.shape and len(leaves) == 2)
    for leaf in leaves:
        spoil(leaf)
    for g, expected in zip(pullback(u), before, strict=True):
        np.testing.assert_array_equal(g, expected)


def test_a_training_loop_that_updates_in_place():
    """The same numbers as with fresh arrays at each step."""
    xs, ts = np.random.default_rng(0).normal(size=(2, 8, 3))
    loss = lambda w: np.mean((np.tanh(xs @ w) - ts) ** 2)  # noqa: E731
    live = fresh = np.eye(3)
    live = live.copy()
    for _ in range(20):
        g = tg.grad(loss)(live)
        live -= 0.1 * g
        fresh = fresh - 0.1 * tg.grad(loss)(fresh)
    np.testing.assert_array_equal(live, fresh)


def test_an_array_changed_inside_the_function():
    """The value that was read counts, not the one that stands there at the end."""
    buffer = np.array([1.0, 2.0])

    def f(x):
        first = np.sum(x * buffer)
        buffer[...] = 10.0
        return first + np.sum(x * buffer)

    np.testing.assert_array_equal(tg.grad(f)(np.ones(2)), [11.0, 12.0])


def test_an_array_changed_inside_a_view():
    """A captured view shares memory with a base that changes."""
    base = np.arange(6.0)
    view = base[::2]
    _, pullback = tg.vjp(lambda x: x * view, np.ones(3))
    base[...] = -1.0
    np.testing.assert_array_equal(pullback(np.ones(3))[0], [0.0, 2.0, 4.0])
    base[...] = np.arange(6.0)
    view.flags.writeable = False  # read-only, and its memory still changes through the base
    _, pullback = tg.vjp(lambda x: x * view, np.ones(3))
    base[...] = -1.0
    np.testing.assert_array_equal(pullback(np.ones(3))[0], [0.0, 2.0, 4.0])


def test_the_printed_tape_keeps_its_constants():
    w = np.array([1.0, 2.0])
    tape = tg.trace(lambda x: x * w)(np.ones(2))
    w[...] = 0.0
    np.testing.assert_array_equal(next(iter(tape.consts.values())), [1.0, 2.0])


@given(programs())
def test_arguments_are_never_written(program):
    args = [np.array(x) for x in program.args]
    for x in args:
        x.flags.writeable = False
    value, pullback = tg.vjp(program, *args)
    u = np.ones_like(value)
    u.flags.writeable = False
    pullback(u)
    tg.jvp(program, args, args)
    for x, kept in zip(args, program.args, strict=True):
        np.testing.assert_array_equal(x, kept)


def test_memory_that_is_lent_is_read_where_it_is():
    """Its owner sees to it that nobody writes; so a write between the passes shows, which a copy would hide."""
    memory, other = np.arange(3.0), np.arange(3.0)
    x, w = np.asarray(Lent(memory, None)), np.asarray(Lent(other, None))
    assert not x.flags.writeable
    _, pullback = tg.vjp(lambda x: x * x * w, x)
    memory[...], other[...] = 2.0, 5.0
    np.testing.assert_array_equal(pullback(np.ones(3))[0], np.full(3, 2 * 2.0 * 5.0))
