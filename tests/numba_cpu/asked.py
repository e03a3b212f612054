"""All that can be asked of a random step on a backend, and how near the answers of two backends have to be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np

import tapegrad as tg
from tapegrad import pytree
from tapegrad.backends.numba_cpu import run
from tests.numba_cpu import dithered
from tests.numba_cpu.calls import knowing, spoilt
from tests.numba_cpu.compared import arrays
from tests.numba_cpu.random_steps import RandomStep

# What functions may be off by, relative to the largest element of a result or to 1; the rest the dithered reference
# tells.
EPS = {"float64": 1e-13, "float32": 2e-5}
CHUNK = 6  # rows of all steps that a chunk of time has here, so that few steps make several chunks


class Unsteady(Exception):
    """A step whose results jump, or explode, where its arguments move by a rounding."""


class Asked:
    """A step as a function of the floats among its arguments."""

    def __init__(self, step: RandomStep):
        self.step = step
        self.leaves, self.structure = pytree.flatten(step.arguments())
        self.places = [i for i, leaf in enumerate(self.leaves) if np.asarray(leaf).dtype.kind == "f"]
        self.floats = [self.leaves[i] for i in self.places]
        rng = np.random.default_rng(1)
        self.moves = [np.asarray(rng.normal(size=np.shape(a)), np.asarray(a).dtype) for a in self.floats]

    def run(self, floats: list, backend: str) -> tuple:
        leaves = list(self.leaves)
        for i, value in zip(self.places, floats, strict=True):
            leaves[i] = value
        return self.step.scan(*self.structure.unflatten(leaves), backend)

    def smooth(self, floats: list, backend: str) -> list:
        """The floats among the results."""
        return [leaf for leaf in tg.tree_leaves(self.run(floats, backend)) if leaf.dtype.kind == "f"]

    def loss(self, floats: list, backend: str) -> Any:
        """A random contraction of them."""
        rng = np.random.default_rng(2)
        return sum([np.sum(leaf * rng.normal(size=leaf.shape)) for leaf in self.smooth(floats, backend)], 0.0)

    def slope(self, floats: list, backend: str) -> Any:
        """The derivative of the contraction in a random direction."""
        grads = tg.grad(lambda given: self.loss(given, backend))(floats)
        return sum([np.sum(g * move) for g, move in zip(grads, self.moves, strict=True)])

    def batch(self, backend: str) -> Any:
        """Results for a batch of two of every other one of the floats."""
        every = range(0, len(self.floats), 2)

        def one(chosen: list) -> Any:
            held = dict(zip(every, chosen, strict=True))
            return self.run([held.get(i, value) for i, value in enumerate(self.floats)], backend)

        return tg.vmap(one)([np.stack([self.floats[i], np.negative(self.floats[i])]) for i in every])

    def answers(self, backend: str, second: bool) -> dict[str, Any]:
        """Values and gradients; with ``second`` tangents, second derivatives and a batch as well."""
        found: dict[str, Any] = {"values": self.run(self.floats, backend)}
        has_floats = any(leaf.dtype.kind == "f" for leaf in arrays(found["values"]))
        if has_floats:
            found["gradients"] = tg.grad(lambda given: self.loss(given, backend))(self.floats)
        if has_floats and second:
            found["tangents"] = tg.jvp(lambda given: self.smooth(given, backend), (self.floats,), (self.moves,))
            found["second derivatives"] = tg.grad(lambda given: self.slope(given, backend))(self.floats)
        if second:
            found["batch"] = self.batch(backend)
        return found


def assert_agree(asked: Asked, backend: str, second: bool) -> None:
    """Hold a backend's answers to those of the reference.

    Raises
    ------
    Unsteady
        When rounding decides about the answers.
    """
    expected = asked.answers("reference", second)
    others = []
    for seed in range(2):
        with dithered.installed(seed) as name:
            others.append(asked.answers(name, second))
    with mock.patch.object(run, "DEPTH", CHUNK):
        found = asked.answers(backend, second)
    for what, value in expected.items():
        near = [arrays(other[what]) for other in others]
        for i, (a, b) in enumerate(zip(arrays(found[what]), arrays(value), strict=True)):
            assert_near(a, b, [other[i] for other in near], f"{what}, leaf {i}")


def assert_near(a: np.ndarray, b: np.ndarray, others: list[np.ndarray], what: str) -> None:
    """Compare an array to the expected one, of which ``others`` are as good versions."""
    assert (a.shape, a.dtype) == (b.shape, b.dtype), what
    if b.dtype.kind != "f":
        if not all(np.array_equal(other, b) for other in others):
            raise Unsteady(what)
        np.testing.assert_array_equal(a, b, err_msg=what)
        return
    finite = np.isfinite(b)
    scale = float(np.max(np.abs(b[finite]), initial=1.0))
    apart = max([float(np.max(np.abs(np.where(finite, other - b, 0)), initial=0)) for other in others], default=0.0)
    if any(not np.array_equal(np.isfinite(other), finite) for other in others) or not apart < 1e-3 * scale:
        raise Unsteady(what)
    np.testing.assert_array_equal(np.where(finite, 0, a), np.where(finite, 0, b), err_msg=what)
    tolerance = EPS[b.dtype.name] * scale + 30 * apart
    np.testing.assert_allclose(a[finite], b[finite], rtol=0, atol=tolerance, err_msg=what)


# ---- the same bits ----
def assert_constant(asked: Asked) -> None:
    """The same bits whatever lay in memory, on any number of threads, and one step at a time; sums within rounding."""
    expected = asked.answers("numba", False)
    with spoilt():
        assert_same_bits(asked.answers("numba", False), expected, "from spoilt memory")
    for count in (1, 2, 3):
        with threads(count):
            found = asked.answers("numba", False)
        assert_same_bits(found["values"], expected["values"], f"on {count} threads")
        for a, b in zip(arrays(found.get("gradients")), arrays(expected.get("gradients")), strict=True):
            assert_near(a, b, [], f"gradients on {count} threads")
    if not set(asked.step.options) - {"reverse"} and asked.step.sizes["T"]:
        assert_same_bits(streamed(asked), expected["values"], "step by step")


def assert_same_bits(found: Any, expected: Any, what: str) -> None:
    for i, (a, b) in enumerate(zip(arrays(found), arrays(expected), strict=True)):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), f"{what}, leaf {i}"
        np.testing.assert_array_equal(a, b, err_msg=f"{what}, leaf {i}")
        assert a.tobytes() == b.tobytes(), f"{what}, leaf {i}: zeros of other signs"


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Within it so many threads share even a few rows."""

    share = lambda rows, work: -(-rows // count)  # noqa: E731
    with mock.patch.dict(os.environ, TAPEGRAD_NUM_THREADS=str(count)), knowing(share=share, DEPTH=CHUNK):
        yield


def streamed(asked: Asked) -> tuple:
    """The final state and ys of one call for each step."""
    params, state, xs = asked.step.arguments()
    T = asked.step.sizes["T"]
    found: list[Any] = [None] * T
    for t in range(T - 1, -1, -1) if asked.step.options.get("reverse") else range(T):
        state, found[t] = asked.step.scan(params, state, tg.tree_map(lambda a, t=t: a[t : t + 1], xs), "numba")
    return state, tg.tree_map(lambda *parts: np.concatenate(parts), *found)
