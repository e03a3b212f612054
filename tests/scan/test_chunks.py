"""States that are kept every few steps only: the same numbers from less memory."""

import gc
import tracemalloc
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.backends import base, reference, register

near_root = import_module("tapegrad.scan")._near_root


def step(w, s, x):
    gate = np.tanh(s * w + x)
    new = np.sin(gate) * s + np.cos(gate) * x
    return new, new * gate


def loss(w, s, xs, **options):
    final, ys = tg.scan(step, w, s, xs, **options)
    return np.sum(np.sin(final)) + np.sum(ys**2)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 7, 12, 23, 25, 34])
def test_any_number_of_steps_has_the_same_values_and_gradients(rng, steps, reverse):
    args = rng.normal(size=4), rng.normal(size=(2, 4)), rng.normal(size=(steps, 2, 4))
    options = {"reverse": reverse, "backend": "reference"}
    expected = tg.value_and_grad(loss, (0, 1, 2))(*args, **options)
    for checkpoint in ("sqrt", 5):
        found = tg.value_and_grad(loss, (0, 1, 2))(*args, checkpoint=checkpoint, **options)
        tg.tree_map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), found, expected)


@given(st.integers(0, 10**7))
def test_chunks_are_about_as_long_as_their_number(steps):
    every = near_root(steps)
    assert 1 <= every <= max(1, steps)
    root = max(1.0, steps**0.5)
    assert every <= 4 * root
    assert every >= root / 4 - 1
    nearer = [d for d in range(int(root // 2), int(root * 2)) if d and steps % d == 0]
    assert steps % every == 0 or not nearer, "chunks of one length are found where there are any"


def beyond(steps, checkpoint, wanted):
    """How much memory a gradient takes at its height, beside xs and ys."""
    rng = np.random.default_rng(0)
    args = [np.full(256, 0.1), np.zeros((1, 256)), rng.normal(size=(steps, 1, 256))]
    args[2].flags.writeable = False  # else it is copied, so that nobody writes into it before the backward pass

    def f(arg):
        given = list(args)
        given[wanted] = arg
        return np.sum(tg.scan(step, *given, checkpoint=checkpoint, backend="reference")[1])

    gc.collect()
    tracemalloc.start()
    tg.grad(f)(args[wanted])
    high = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return high - args[2].nbytes * (1 + (wanted == 2))  # ys; and the gradient of xs


@pytest.mark.parametrize("wanted", [0, 1, 2], ids=["params", "state", "xs"])
def test_memory_beside_inputs_and_outputs_grows_as_the_root(wanted):
    beyond(100, "sqrt", wanted)  # what is derived once for all lengths
    few, many = (beyond(steps, "sqrt", wanted) for steps in (256, 4096))
    assert many < 6 * few, f"{many / few:.1f} times as much for 16 times as many steps"
    assert many < 0.25 * 4096 * 256 * 8, "less than a quarter of the outputs"


def test_memory_without_checkpoints_grows_with_the_steps():
    """The measurement sees what it is there for."""
    beyond(100, None, 0)
    few, many = (beyond(steps, None, 0) for steps in (128, 2048))
    assert many > 12 * few


def test_the_scans_of_chunks_reach_the_backend_that_was_asked_for(monkeypatch):
    seen = []

    class Watching(reference.ReferenceBackend):
        def run(self, step, args, length, reverse):
            seen.append(length)
            return super().run(step, args, length, reverse)

    monkeypatch.setattr(base, "_LOADERS", dict(base._LOADERS))
    monkeypatch.setattr(base, "_LOADED", {})
    register("watching", Watching)
    args = np.full(4, 0.1), np.zeros((1, 4)), np.ones((12, 1, 4))
    tg.grad(loss)(*args, checkpoint=4, backend="watching")
    # Forwards: three chunks. Backwards, for each: forwards again with what is kept, then backwards.
    assert sorted(seen) == [3, 3, *[4] * 9]
    seen.clear()
    with tg.backend("watching"):
        tg.grad(loss)(*args, checkpoint=5)
    assert sorted(seen) == [2, 2, 2, 2, *[5] * 6]
