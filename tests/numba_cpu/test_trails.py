"""States that are kept for all steps in the memory of outputs: what shares memory, and what must not."""

import numpy as np
import pytest

import tapegrad as tg

T, B, N = 5, 3, 4


def new(w, s, x):
    h = np.tanh(x + s @ w)
    return h, h


def old(w, s, x):
    return np.tanh(x + s @ w), s


def both(w, s, x):
    h = np.tanh(x + s @ w)
    return h, (h, s, h)


def part(w, s, x):
    h = np.tanh(x + s @ w)
    return h, h[:, 1:]


def counted(w, s, x):
    h, n = s
    return (np.tanh(x + h @ w), n + 1), (n, h)


STEPS = pytest.mark.parametrize("step", [new, old, both, part, counted], ids=lambda step: step.__name__)
REVERSE = pytest.mark.parametrize("reverse", [False, True])


def drawn(step):
    rng = np.random.default_rng(0)
    w, s, xs = rng.normal(size=(N, N)), rng.normal(size=(B, N)), rng.normal(size=(T, B, N))
    return w, (s, np.arange(B)) if step is counted else s, xs


@STEPS
@REVERSE
def test_results_are_those_of_the_reference_and_share_no_memory(step, reverse):
    w, s, xs = drawn(step)
    kept = [np.array(a) for a in tg.tree_leaves((w, s, xs))]
    found = tg.tree_leaves(tg.scan(step, w, s, xs, reverse=reverse, backend="numba"))
    expected = tg.tree_leaves(tg.scan(step, w, s, xs, reverse=reverse, backend="reference"))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)
        assert a.dtype == b.dtype
    arrays = [*found, *tg.tree_leaves((w, s, xs))]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[i + 1 :])
    for a in found:
        a[...] = 7
    for a, b in zip(tg.tree_leaves((w, s, xs)), kept, strict=True):
        np.testing.assert_array_equal(a, b)


@STEPS
@REVERSE
def test_residuals_share_memory_with_each_other_and_with_nothing_that_is_handed_out(step, reverse):
    w, s, xs = drawn(step)
    saved, grads = {}, {}
    for backend in ("numba", "reference"):
        f = lambda w, xs, backend=backend: tg.scan(step, w, s, xs, reverse=reverse, backend=backend)  # noqa: E731
        value, pullback = tg.vjp(f, w, xs)
        saved[backend] = next(node for node in pullback.tape.nodes if node is not None).options["saved"]
        leaves = tg.tree_leaves(value)
        assert not any(np.shares_memory(a, b) for a in leaves for b in saved[backend])
        cotangent = tg.tree_map(np.ones_like, value)
        for a in leaves:
            a[...] = 7
        grads[backend] = pullback(cotangent)
    for a, b in zip(saved["numba"], saved["reference"], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)
    for a, b in zip(grads["numba"], grads["reference"], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    old_and_new = [a for a in saved["numba"] if a.shape == (T, B, N)]
    assert len(old_and_new) == 2, "the state as it was read, and the new one, of which tanh's derivative is made"
    assert np.shares_memory(*old_and_new)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_one_step_at_a_time_gives_what_the_sequence_gives(count):
    w, s, xs = drawn(new)
    _, whole = tg.scan(new, w, s, xs, backend="numba")
    ys = []
    for first in range(0, T, count):
        s, y = tg.scan(new, w, s, xs[first : first + count], backend="numba")
        ys.append(y)
    np.testing.assert_array_equal(np.concatenate(ys), whole)
