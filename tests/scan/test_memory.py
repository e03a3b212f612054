"""What a gradient held is freed as soon as it is taken, without waiting for the garbage collector."""

import gc
import weakref

import numpy as np
import pytest

import tapegrad as tg


class Watched(np.ndarray):
    """An array that can be watched die."""


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def watched(shape):
    return np.zeros(shape).view(Watched)


@pytest.mark.parametrize("how", ["grad", "vjp", "jvp"])
def test_arrays_that_a_step_captured_die_with_the_call(no_collector, how):
    W = watched((3, 3))
    ref = weakref.ref(W)
    f = lambda s, W=W: np.sum(tg.scan(lambda _, s, x: (np.tanh(s @ W), s), None, s, None, length=4)[1])  # noqa: E731
    start = np.ones((2, 3))
    if how == "grad":
        tg.grad(f)(start)
    elif how == "vjp":
        _, pullback = tg.vjp(f, start)
        pullback(1.0)
        del pullback
    else:
        tg.jvp(f, (start,), (start,))
    del f, W
    assert ref() is None


def test_the_tape_of_a_pullback_dies_with_it(no_collector):
    _, pullback = tg.vjp(lambda x: np.tanh(x) * 2, np.ones(3))
    tape = weakref.ref(pullback.tape)
    del pullback
    assert tape() is None
