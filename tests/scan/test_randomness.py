"""Random numbers in a step are refused: it is traced once."""

import random

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import Cell
from tapegrad.errors import TracingError

RNG = np.random.default_rng(0)
NORMAL = np.random.default_rng(2).normal
PHILOX = np.random.Generator(np.random.Philox(0))


def runs(step):
    return tg.scan(step, 1.0, np.zeros(3), np.zeros((4, 3)))


def own():
    mine = np.random.default_rng(1)
    return lambda p, s, x: (s + mine.normal(size=3), None)


@pytest.mark.parametrize(
    "step",
    [
        lambda p, s, x: (s + np.random.standard_normal(3), None),  # noqa: NPY002
        lambda p, s, x: (s + np.random.rand(), None),  # noqa: NPY002
        lambda p, s, x: (s + random.random(), None),
        lambda p, s, x: (s + RNG.normal(size=3), None),
        lambda p, s, x: (s * (PHILOX.random(3) < 0.5), None),
        lambda p, s, x: (s + NORMAL(), None),
        own(),
    ],
)
def test_draws_are_refused_and_the_remedy_is_named(step):
    for _ in range(2):
        with pytest.raises(TracingError, match="draws random numbers.*traced once.*pass them in with xs"):
            runs(step)


def test_draws_in_the_step_of_a_cell_are_refused():
    class Noisy(Cell):
        def parameters(self):
            return {}

        def state(self):
            return tg.cells.State((3,))

        def step(self, params, h, x):
            return h + RNG.normal(size=3).astype(np.float32), h

    with pytest.raises(TracingError, match="draws random numbers"):
        Noisy()({}, np.zeros((4, 2, 3), np.float32))


def test_generators_may_be_held_and_draws_made_before():
    noise = RNG.normal(size=(4, 3))
    held = RNG  # noqa: F841 - as in a closure that has more than it uses
    final, _ = tg.scan(lambda p, s, x: (s + x, RNG is None), 1.0, np.zeros(3), noise)
    np.testing.assert_allclose(final, noise.sum(0))
