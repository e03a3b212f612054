"""Products that fetch memory meanwhile: the results are the same, and the list is worked off."""

import numba
import numpy as np
import pytest

from tapegrad.backends.numba_cpu.fetching import ENTRY, HEAD, LINE, fetch, list_size, no_fetches
from tapegrad.backends.numba_cpu.gemm import ROWS, multiply, multiply_fetching, pack_columns, packed_size, panel_width

compiled = numba.njit(nogil=True, error_model="numpy", boundscheck=False)
START = 3  # where the list begins


@compiled
def products(a, M, K, b, N, packed, plain, fetching, noted, sizes):
    pack_columns(b, 0, 0, 1, N, K, 1, N, packed, 0)
    multiply(a, 0, K, 1, M, K, packed, 0, N, plain, 0, N, False)
    no_fetches(noted, START)
    for size in sizes:
        fetch(noted, START, a, 2, size)
    multiply_fetching(a, 0, K, 1, M, K, packed, 0, N, fetching, 0, N, False, noted, START)


def left(sizes, itemsize, tiles, K):
    """The entry that is next after so many tiles, and the lines that are left of each."""
    lines, entry = [size * itemsize // LINE for size in sizes], 0
    for _ in range(tiles):
        if entry < len(lines):
            taken = min(lines[entry], K)
            if lines[entry] > taken:
                lines[entry] -= taken
            else:
                entry += 1
    return entry, lines


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(), (5000,), (100, 3, 0, 900), (70, 64, 200000, 50)])
@pytest.mark.parametrize(("M", "K", "N"), [(2 * ROWS, 20, 70), (ROWS, 3, 5), (ROWS + 1, 40, 64)])
def test_what_is_fetched_changes_nothing_and_is_taken_off_the_list(dtype, sizes, M, K, N):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=M * K).astype(dtype), rng.normal(size=K * N).astype(dtype)
    packed, (plain, fetching) = np.zeros(packed_size(K, N, dtype), dtype), np.full((2, M * N), np.nan, dtype)
    noted = np.full(START + list_size(len(sizes)) + 1, -7)
    products(a, M, K, b, N, packed, plain, fetching, noted, np.array(sizes, np.int64))
    np.testing.assert_allclose(plain, (a.reshape(M, K) @ b.reshape(K, N)).ravel(), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(fetching, plain)
    tiles = -(-M // ROWS) * -(-N // panel_width(dtype))
    entry, lines = left(sizes, a.itemsize, tiles, K)
    assert list(noted[START : START + 2]) == [len(sizes), entry]
    assert list(noted[START + HEAD + 1 : -1 : ENTRY]) == lines
    assert set(noted[:START]) | {noted[-1]} == {-7}
    begun = np.array([a.__array_interface__["data"][0] + 2 * a.itemsize] * len(sizes))
    done = np.array(sizes, int) * a.itemsize // LINE - lines
    np.testing.assert_array_equal(noted[START + HEAD : -1 : ENTRY], begun + LINE * done)
