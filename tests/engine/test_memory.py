"""Long chains, and memory that is given back."""

import gc
import sys
import tracemalloc
import weakref

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.tape import backward

LENGTH = 100_000


def chain(x, length=LENGTH):
    """x -> sin x -> ... with a factor, so that the derivative does not vanish."""
    for _ in range(length // 2):
        x = np.sin(x) * 1.0001
    return x


def test_a_chain_of_100_000_operations():
    """Backward is iterative: Python's recursion limit plays no part."""
    x = 1e-4
    assert sys.getrecursionlimit() < LENGTH
    value, slope = tg.value_and_grad(chain)(x)
    expected = 1.0
    for _ in range(LENGTH // 2):
        expected *= np.cos(x) * 1.0001
        x = np.sin(x) * 1.0001
    assert value == x
    assert slope == pytest.approx(expected, rel=1e-10)


def test_a_long_chain_in_the_other_modes():
    short = LENGTH // 10
    reverse = tg.grad(lambda x: chain(x, short))(0.1)
    assert tg.jvp(lambda x: chain(x, short), (0.1,), (1.0,))[1] == pytest.approx(reverse, rel=1e-10)
    second = tg.jvp(tg.grad(lambda x: chain(x, short)), (0.1,), (1.0,))[1]
    assert tg.grad(tg.grad(lambda x: chain(x, short)))(0.1) == pytest.approx(second, rel=1e-9)
    assert tg.checkpoint(lambda x: chain(x, short))(0.1) == chain(0.1, short)
    tape = tg.trace(lambda x: chain(x, short))(0.1)
    assert str(tape).count("\n") > short


def test_a_wide_fan():
    """One value used 20,000 times: its cotangent is one sum."""
    assert tg.grad(lambda x: sum([x * float(i) for i in range(20_000)]))(1.0) == sum(range(20_000))


def watched_tape(f):
    """The function, and a list of weak references to the tapes that it runs on."""
    found = []

    def inside(x):
        found.append(weakref.ref(x.owner))
        return f(x)

    return inside, found


@pytest.mark.parametrize("transform", [tg.grad, tg.value_and_grad, tg.hessian])
def test_the_tape_is_freed_with_its_gradient(transform):
    inside, found = watched_tape(lambda x: np.sum(np.tanh(x) ** 2))
    gc.disable()  # by counting references alone: no cycle holds a tape until the collector comes
    try:
        transform(inside)(np.ones(3))
        assert found[0]() is None
    finally:
        gc.enable()


def test_the_tape_of_a_pullback_lives_as_long_as_the_pullback():
    inside, found = watched_tape(np.sin)
    gc.disable()
    try:
        value, pullback = tg.vjp(inside, np.ones(3))
        assert found[0]() is not None
        pullback(value)
        assert found[0]() is not None
        del pullback
        assert found[0]() is None
    finally:
        gc.enable()


def test_nodes_are_freed_during_the_backward_walk():
    """At the end of grad's walk no node is left; vjp keeps its own for the next call."""
    tapes = []

    def f(x):
        tapes.append(x.owner)
        return np.sum(np.sin(np.cos(x)))

    tg.grad(f)(np.ones(3))
    assert tapes[0].nodes == []
    value, pullback = tg.vjp(f, np.ones(3))
    pullback(1.0)
    assert len(tapes[1].nodes) == 4
    assert backward(tapes[1], {}, keep=True) == [None]


def peak(run):
    gc.collect()
    tracemalloc.start()
    run()
    high = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return high


def test_backward_does_not_hold_all_cotangents():
    """Memory of a chain grows by the values that are kept, about one array for each operation, not by two."""
    size, count = 50_000, 40

    def f(x):
        for _ in range(count):
            x = np.tanh(x)
        return np.sum(x)

    used = peak(lambda: tg.grad(f)(np.ones(size))) / (8 * size)
    assert used < 1.3 * count, f"{used:.0f} arrays for {count} operations"


def test_checkpoint_saves_memory():
    size = 50_000

    def block(x):
        for _ in range(10):
            x = np.tanh(x) * 1.01
        return x

    def f(wrap):
        def run(x):
            for _ in range(6):
                x = wrap(block)(x)
            return np.sum(x)

        return run

    x = np.ones(size)
    plain, saved = (peak(lambda wrap=wrap: tg.grad(f(wrap))(x)) for wrap in (lambda g: g, tg.checkpoint))
    assert saved < 0.5 * plain
    np.testing.assert_allclose(tg.grad(f(tg.checkpoint))(x), tg.grad(f(lambda g: g))(x), rtol=1e-12)


def test_memory_does_not_grow_over_many_gradients():
    xs = np.ones((5, 4, 3))

    def step(w, s, x):
        h = np.tanh(x @ w + s)
        return h, h

    loss = lambda w: np.sum(tg.scan(step, w, np.zeros((4, 3)), xs)[1] ** 2)  # noqa: E731
    w = np.eye(3)
    for _ in range(20):
        tg.grad(loss)(w)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(200):
        w = w - 1e-3 * tg.grad(loss)(w)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000
