"""Axes that are shorter than a vector: repeated elements read in place, and sums of neighbours, in whole vectors."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.backends import source
from tapegrad.backends.numba_cpu.repeated import (
    load_repeated,
    load_repeated_part,
    sum_neighbours,
    sum_neighbours_part,
)
from tapegrad.backends.numba_cpu.vectors import store, store_part
from tests.numba_cpu.emulated import installed
from tests.numba_cpu.mapped import DTYPES, lanes_of, njit


# ---- the vectors ----
def spread_out(times, stride):
    @njit
    def run(lanes, out, x, offset):
        whole = len(out) // lanes * lanes
        for j in range(0, whole, lanes):
            store(out, j, load_repeated(x, offset, j, times, stride))
        if whole < len(out):
            rest = len(out) - whole
            store_part(out, whole, load_repeated_part(x, offset, whole, times, stride, rest), rest)

    return run


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("times", "stride"), [(2, 1), (4, 1), (16, 1), (32, 1), (3, 1), (2, 3), (5, -2)])
def test_a_vector_of_repeated_elements(dtype, times, stride):
    rng, lanes = np.random.default_rng(times), lanes_of(dtype)
    for count in (1, lanes, 2 * lanes + 3, 3 * lanes - 1):
        out = np.empty(count, dtype)
        seen = np.arange(count) // times * stride
        x = rng.normal(size=int(np.ptp(seen)) + 1).astype(dtype)  # no element more than is read
        offset = -int(seen.min())
        spread_out(times, stride)(lanes, out, x, offset)
        np.testing.assert_array_equal(out, x[offset + seen])


def added_up(times):
    @njit
    def run(lanes, out, x):
        whole = len(out) // lanes * lanes
        for j in range(0, whole, lanes):
            store(out, j, sum_neighbours(x, 0, j, times))
        if whole < len(out):
            store_part(out, whole, sum_neighbours_part(x, 0, whole, times, len(out) - whole), len(out) - whole)

    return run


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("times", [2, 4, 8, 16])
def test_a_vector_of_sums_of_neighbours(dtype, times):
    rng, lanes = np.random.default_rng(times), lanes_of(dtype)
    for count in (1, lanes, 2 * lanes + 3):
        out, x = np.empty(count, dtype), rng.integers(-99, 99, count * times).astype(dtype)  # sums are exact
        added_up(times)(lanes, out, x)
        np.testing.assert_array_equal(out, x.reshape(count, times).sum(axis=1))


# ---- steps ----
def blocks(count, times, way):
    """A step whose gates are for blocks of units, written in one of four ways."""

    def step(params, state, x):
        gate = tg.sigmoid(x @ params["W"] + params["b"])
        wide = np.tanh(x @ params["U"]) + state
        if way == "repeat":
            h = np.repeat(gate, times, axis=-1) * wide
        elif way == "axes":
            h = (gate[:, :, None] * wide.reshape(-1, count, times)).reshape(-1, count * times)
        elif way == "more axes":  # two short axes, along which nothing moves
            apart = wide.reshape(-1, count, 2 - times % 2, times // (2 - times % 2))
            h = (gate[:, :, None, None] * apart).reshape(-1, count * times)
        else:  # what is repeated is read by a product too, so that it must be there
            apart = np.repeat(gate, times, axis=-1)
            h = apart * wide + apart @ params["V"]
        return h, h

    return step


def drawn(count, times, dtype=np.float64):
    rng, n = np.random.default_rng(count), count * times
    shapes = {"W": (3, count), "b": (count,), "U": (3, n), "V": (n, n)}
    params = {name: rng.normal(size=shape).astype(dtype) / 3 for name, shape in shapes.items()}
    return params, np.zeros((2, n), dtype), rng.normal(size=(3, 2, 3)).astype(dtype)


def gradients(step, params, state, xs, backend):
    weights = np.random.default_rng(1).normal(size=(*xs.shape[:2], state.shape[1]))
    return tg.grad(lambda p: np.sum(weights * tg.scan(step, p, state, xs, backend=backend)[1]))(params)


@pytest.mark.parametrize("way", ["repeat", "axes", "more axes", "product"])
@pytest.mark.parametrize(("count", "times"), [(1, 2), (5, 2), (16, 2), (9, 4), (3, 4), (7, 3), (3, 8), (3, 20), (2, 1)])
def test_steps_with_blocks_agree_with_the_reference(count, times, way):
    step, data = blocks(count, times, way), drawn(count, times)
    with installed() as backend:
        found = gradients(step, *data, backend.name)
    wanted = gradients(step, *data, "reference")
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-10, atol=1e-12, err_msg=name)


def text_of(way):
    params, state, xs = drawn(16, 2, np.float32)
    return source(tg.grad(lambda p: np.sum(tg.scan(blocks(16, 2, way), p, state, xs, backend="numba")[1])), params)


def test_blocks_are_read_and_summed_in_vectors():
    text = text_of("repeat")
    assert "load_repeated(" in text
    assert "sum_neighbours(" in text
    assert "for o0 in" not in text, "loops over axes of length 2"
    assert "fold_sum" not in text


def test_a_short_axis_that_is_broadcast_is_read_in_vectors():
    forward = text_of("axes").split("def loop")[1]
    assert "load_repeated(" in forward
    assert "for o0 in" not in forward


def test_a_wrong_count_of_repetitions_is_seen(monkeypatch):
    """The checks above see a repetition that is off by one."""
    from tests.numba_cpu import emulated as module

    right = module.NAMES["load_repeated_part"]
    for name in ("load_repeated", "load_repeated_part"):
        monkeypatch.setitem(module.NAMES, name, lambda array, at, j, times, stride, count=None: right(
            array, at, j, times + 1, stride, array.lanes if count is None else count))  # fmt: skip
    with pytest.raises(AssertionError):
        test_steps_with_blocks_agree_with_the_reference(5, 2, "repeat")
