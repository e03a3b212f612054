"""Long chains of operations that share their values: the work of planning and deriving grows with their length.

Work is counted in calls of Python functions, which, unlike seconds, are the same at every run.
"""

import sys

import numpy as np
import pytest

import tapegrad as tg


def doubled(y, depth):
    for _ in range(depth):
        y = y * y * 0.1 + y
    return y


def horner(y, depth):
    total = 0.1 * y
    for k in range(depth):
        total = total * y + 0.1 * k
    return np.where(y > 0, total, y)


def cheap(y, depth):
    for _ in range(depth):
        y = np.maximum(0.5 * y, -y) + np.abs(y)
    return y


def calls(function, most=20_000_000):
    """How many Python functions a function calls; it is stopped where they are more than ``most``."""
    count = 0

    def seen(frame, event, argument):
        nonlocal count
        count += event == "call"
        assert count < most, f"more than {most} calls"

    sys.setprofile(seen)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def assert_linear(work, depth):
    work(2)  # what is imported and cached at the first call
    short, long = calls(lambda: work(depth)), calls(lambda: work(2 * depth))
    assert long < 2.6 * short, f"{short} calls at depth {depth}, {long} at {2 * depth}"


CHAINS = pytest.mark.parametrize("chain", [doubled, horner, cheap])


@CHAINS
def test_planning_a_step_and_its_backward_step(chain):
    def work(depth):
        def step(w, h, x):
            h = chain(w * h + x, depth)
            return h, h

        tg.backends.plan(lambda w, h, xs: tg.scan(step, w, h, xs)[1], np.ones(3), np.ones((2, 3)), np.ones((4, 2, 3)))

    assert_linear(work, 100)


@CHAINS
def test_deriving_equations(chain):
    def work(depth):
        def step(params, h, x):
            h = chain(h @ params["W"] + x, depth)
            return h, h

        found = tg.symbolic.derive(step, {"W": np.ones((3, 3))}, np.ones((1, 3)), np.ones((1, 3)))
        str(found.forward), str(found.adjoints)

    calls(lambda: work(24), 4_000_000)  # 1 to 3 million; more with every sum within a sum walked anew


def test_a_walk_without_memory_is_seen():
    def walk(depth):
        return walk(depth - 1) + walk(depth - 1) if depth else 1

    with pytest.raises(AssertionError, match="calls at depth 5"):
        assert_linear(walk, 5)
