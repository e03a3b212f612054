"""The packed products against NumPy's, for every kind of remainder, with watched memory around each operand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapegrad.backends.numba_cpu import gemm
from tests.numba_cpu.mapped import DTYPES, njit
from tests.numba_cpu.test_vectors import protect

GUARD = 67  # elements that are NaN on each side of an operand: one that is read spoils the result


@njit
def packed(b, at, row, step, K, N, out, start):
    return gemm.pack_columns(b, at, 0, 1, row, K, step, N, out, start)


@njit
def multiplied(a, at, row, step, M, K, panels, p, N, c, ct, ldc, add):
    gemm.multiply(a, at, row, step, M, K, panels, p, N, c, ct, ldc, add)


@njit
def part_multiplied(a, at, row, step, M, K, panels, p, N, first, last, c, ct, ldc, add):
    gemm.multiply_part(a, at, row, step, M, K, panels, p, N, first, last, c, ct, ldc, add)


def laid_out(x, gap, transposed, fill=np.nan):
    """A matrix in guarded memory: the array, and offset, row and element distance of the matrix."""
    x = x.T if transposed else x
    pitch = x.shape[1] + gap
    flat = np.full(2 * GUARD + x.shape[0] * pitch, fill, x.dtype)
    inside = flat[GUARD : GUARD + x.shape[0] * pitch].reshape(x.shape[0], pitch)
    inside[:, : x.shape[1]] = x
    return flat, GUARD, *((1, pitch) if transposed else (pitch, 1))


def packed_panels(b, transposed=False, gap=0):
    """The panels of a matrix between guards, and where they begin."""
    flat, at, row, step = laid_out(b, gap, transposed)
    size = gemm.packed_size(*b.shape, b.dtype)
    out = np.full(2 * GUARD + size, np.nan, b.dtype)
    assert packed(flat, at, row, step, *b.shape, out, GUARD) == GUARD + size
    assert np.isnan(out[:GUARD]).all()
    assert np.isnan(out[GUARD + size :]).all()
    return out, GUARD


def tolerance(dtype, K):
    return (1e-6 if dtype == np.float32 else 2e-15) * (K + 2)


def check_multiply(function, shape, dtype, transposed, add, gap, seed):
    """One product between guards: the left operand's are NaN, and what lies around the result has to stay."""
    M, K, N = shape
    rng = np.random.default_rng(seed)
    a, b, c = (rng.uniform(-1, 1, shape).astype(dtype) for shape in ((M, K), (K, N), (M, N)))
    panels, p = packed_panels(b)
    out, ct, ldc, _ = laid_out(c, gap, False, fill=7)
    expected, _, _, _ = laid_out((a.astype(float) @ b + (c if add else 0)).astype(dtype), gap, False, fill=7)
    function(*laid_out(a, gap, transposed), M, K, panels, p, N, out, ct, ldc, add)
    np.testing.assert_allclose(out, expected, rtol=0, atol=tolerance(dtype, K))


shapes = st.tuples(st.integers(0, 35), st.integers(0, 40), st.integers(0, 170))


@pytest.mark.parametrize("dtype", DTYPES)
@given(shape=shapes, transposed=st.booleans(), add=st.booleans(), gap=st.integers(0, 3), seed=st.integers(0, 2**31))
@settings(max_examples=100)
def test_multiply(dtype, shape, transposed, add, gap, seed):
    check_multiply(multiplied, shape, dtype, transposed, add, gap, seed)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("shape", [(1, 1500, 70), (3, 1025, 40), (9, 1024, 40), (17, 2100, 33)])
def test_long_sums_are_done_in_parts(dtype, add, shape):
    check_multiply(multiplied, shape, dtype, False, add, 1, 5)


FAULTS = {
    "a column too many": lambda *args: multiplied(*args[:8], args[8] + 1, *args[9:]),
    "a column too few": lambda *args: multiplied(*args[:8], args[8] - 1, *args[9:]),
    "a row too many": lambda *args: multiplied(*args[:4], args[4] + 1, *args[5:]),
    "a term behind the left rows": lambda *args: multiplied(args[0], args[1] + 1, *args[2:]),
    "nothing is added": lambda *args: multiplied(*args[:-1], False),
    "a result's row too far": lambda *args: multiplied(*args[:11], args[11] + 1, *args[12:]),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_check_sees_faults(dtype, fault):
    add = fault == "nothing is added"
    check_multiply(multiplied, (5, 6, 37), dtype, False, add, 0, 1)
    with pytest.raises(AssertionError):
        check_multiply(FAULTS[fault], (5, 6, 37), dtype, False, add, 0, 1)


@pytest.mark.parametrize("dtype", DTYPES)
@given(shape=shapes, transposed=st.booleans(), gap=st.integers(0, 3))
def test_pack(dtype, shape, transposed, gap):
    _, K, N = shape
    b = np.arange(1, K * N + 1, dtype=dtype).reshape(K, N)
    out, p = packed_panels(b, transposed, gap)
    width = gemm.panel_width(dtype)
    count = -(-N // width)
    expected = np.zeros((K, count * width), dtype)
    expected[:, :N] = b
    found = out[p : p + expected.size].reshape(count, K, width).transpose(1, 0, 2).reshape(expected.shape)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@given(M=st.integers(1, 20), K=st.integers(1, 20), N=st.integers(1, 300), add=st.booleans(), data=st.data())
def test_some_columns(dtype, M, K, N, add, data):
    width = gemm.panel_width(dtype)
    first = width * data.draw(st.integers(0, (N - 1) // width), label="first panel")
    last = min(N, width * data.draw(st.integers(first // width, -(-N // width)), label="last panel"))
    rng = np.random.default_rng(N)
    a, b, c = (rng.uniform(-1, 1, shape).astype(dtype) for shape in ((M, K), (K, N), (M, last - first)))
    panels, p = packed_panels(b)
    out, ct, ldc, _ = laid_out(c, 2, False, fill=7)
    right = a.astype(float) @ b[:, first:last] + (c if add else 0)
    expected, _, _, _ = laid_out(right.astype(dtype), 2, False, fill=7)
    part_multiplied(*laid_out(a, 0, False), M, K, panels, p, N, first, last, out, ct, ldc, add)
    np.testing.assert_allclose(out, expected, rtol=0, atol=tolerance(dtype, K))


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_behind_the_operands_is_not_touched(dtype):
    """Every operand ends where the process's memory ends: to touch one element more would be a crash."""
    mmap = pytest.importorskip("mmap")
    page, item = mmap.PAGESIZE, np.dtype(dtype).itemsize
    room = 8  # pages
    areas = [mmap.mmap(-1, (room + 1) * page) for _ in range(5)]
    starts = [np.frombuffer(area, np.uint8).ctypes.data for area in areas]
    if not all(protect(start + room * page, page, 0) for start in starts):
        pytest.skip("this system protects no memory")
    try:
        whole = [np.frombuffer(area, dtype, count=room * page // item) for area in areas]
        rng = np.random.default_rng(7)
        for M, K, N in [(1, 1, 1), (1, 9, 75), (2, 8, 33), (5, 17, 40), (9, 16, 31), (13, 3, 65), (4, 33, 97)]:
            size = gemm.packed_size(K, N, dtype)
            a, b, panels, c, lefts = (
                x[len(x) - n :] for x, n in zip(whole, (M * K, K * N, size, M * N, M * K), strict=True)
            )
            a[:], b[:] = rng.uniform(-1, 1, a.size), rng.uniform(-1, 1, b.size)
            exact = a.reshape(M, K).astype(float) @ b.reshape(K, N)
            packed(b, 0, N, 1, K, N, panels, 0)
            multiplied(a, 0, K, 1, M, K, panels, 0, N, c, 0, N, False)
            np.testing.assert_allclose(c.reshape(M, N), exact, rtol=0, atol=tolerance(dtype, K))
            lefts[:] = np.ascontiguousarray(a.reshape(M, K).T).ravel()
            blocks = np.zeros(gemm.lefts_size(K, M, dtype), dtype)
            lefts_packed(lefts, 0, 0, 1, M, K, 1, M, blocks, 0)
            columns_packed(b, 0, 0, 1, N, K, 1, N, panels, 0)
            accumulated(blocks, 0, M, K, panels, 0, N, c, 0, N)
            np.testing.assert_allclose(c.reshape(M, N), 2 * exact, rtol=0, atol=2 * tolerance(dtype, K))
            b[:] = np.ascontiguousarray(b.reshape(K, N).T).ravel()
            packed(b, 0, 1, K, K, N, panels, 0)
            multiplied(a, 0, K, 1, M, K, panels, 0, N, c, 0, N, False)
            np.testing.assert_allclose(c.reshape(M, N), exact, rtol=0, atol=tolerance(dtype, K))
    finally:
        for start in starts:
            protect(start + room * page, page, 3)


# ---- sums over time ----
@njit
def columns_packed(a, at, outer, T, inner, rows, step, N, out, start):
    return gemm.pack_columns(a, at, outer, T, inner, rows, step, N, out, start)


@njit
def lefts_packed(a, at, outer, T, inner, rows, step, M, out, start):
    return gemm.pack_lefts(a, at, outer, T, inner, rows, step, M, out, start)


@njit
def accumulated(lefts, at, M, K, panels, p, N, c, ct, ldc):
    gemm.accumulate(lefts, at, M, K, panels, p, N, c, ct, ldc)


def packed_stack(function, stack, size, step, gaps):
    """A (T, rows, N) stack in guarded memory with gaps between its elements, rows and steps; packed, between guards."""
    T, rows, N = stack.shape
    inner = N * step + gaps[0]
    outer = rows * inner + gaps[1]
    flat = np.full(2 * GUARD + T * outer, np.nan, stack.dtype)
    for t in range(T):
        for i in range(rows):
            start = GUARD + t * outer + i * inner
            flat[start : start + N * step : step] = stack[t, i]
    out = np.full(2 * GUARD + size, np.nan, stack.dtype)
    assert function(flat, GUARD, outer, T, inner, rows, step, N, out, GUARD) == GUARD + size
    assert np.isnan(out[:GUARD]).all()
    assert np.isnan(out[GUARD + size :]).all()
    return out, GUARD


@pytest.mark.parametrize("dtype", DTYPES)
@given(
    T=st.integers(0, 6), rows=st.integers(0, 40), M=st.integers(0, 40), N=st.integers(0, 170),
    steps=st.tuples(st.integers(1, 3), st.integers(1, 3)), gaps=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    seed=st.integers(0, 2**31),
)  # fmt: skip
@settings(max_examples=100)
def test_accumulate(dtype, T, rows, M, N, steps, gaps, seed):
    rng = np.random.default_rng(seed)
    left, right, c = (rng.uniform(-1, 1, shape).astype(dtype) for shape in ((T, rows, M), (T, rows, N), (M, N)))
    K = T * rows
    lefts, at = packed_stack(lefts_packed, left, gemm.lefts_size(K, M, dtype), steps[0], gaps)
    panels, p = packed_stack(columns_packed, right, gemm.packed_size(K, N, dtype), steps[1], gaps)
    out, ct, ldc, _ = laid_out(c, gaps[0], False, fill=7)
    exact = left.reshape(K, M).T.astype(float) @ right.reshape(K, N) + c
    expected, _, _, _ = laid_out(exact.astype(dtype), gaps[0], False, fill=7)
    accumulated(lefts, at, M, K, panels, p, N, out, ct, ldc)
    np.testing.assert_allclose(out, expected, rtol=0, atol=tolerance(dtype, K))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_long_accumulation(dtype):
    rng = np.random.default_rng(1)
    T, rows, M, N = 41, 50, 19, 70
    left, right = (rng.uniform(-1, 1, (T, rows, n)).astype(dtype) for n in (M, N))
    lefts, at = packed_stack(lefts_packed, left, gemm.lefts_size(T * rows, M, dtype), 1, (1, 0))
    panels, p = packed_stack(columns_packed, right, gemm.packed_size(T * rows, N, dtype), 1, (1, 0))
    out = np.ones(M * N, dtype)
    accumulated(lefts, at, M, T * rows, panels, p, N, out, 0, N)
    exact = np.einsum("tim,tin->mn", left.astype(float), right) + 1
    np.testing.assert_allclose(out.reshape(M, N), exact, rtol=0, atol=tolerance(dtype, T * rows))


# ---- numbers that are none ----
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@given(M=st.integers(1, 20), K=st.integers(1, 20), N=st.integers(1, 140), zeros=st.booleans(), data=st.data())
def test_nan_and_infinity_spread_as_in_numpy(dtype, number, M, K, N, zeros, data):
    rng = np.random.default_rng(M + K + N)
    a, b = rng.uniform(1, 2, (M, K)).astype(dtype), rng.uniform(1, 2, (K, N)).astype(dtype)
    if zeros:
        a[:, rng.integers(K)], b[rng.integers(K)] = 0, 0
    spoilt = data.draw(st.sampled_from([a, b]), label="operand")
    spoilt[rng.integers(spoilt.shape[0]), rng.integers(spoilt.shape[1])] = number
    with np.errstate(invalid="ignore"):
        expected = a @ b
    panels, p = packed_panels(b)
    out = np.zeros(M * N, dtype)
    multiplied(a.ravel(), 0, K, 1, M, K, panels, p, N, out, 0, N, False)
    np.testing.assert_allclose(out.reshape(M, N), expected, rtol=1e-5)
    lefts, at = packed_stack(lefts_packed, a.T[None], gemm.lefts_size(K, M, dtype), 1, (0, 0))
    out = np.zeros(M * N, dtype)
    accumulated(lefts, at, M, K, panels, p, N, out, 0, N)
    np.testing.assert_allclose(out.reshape(M, N), expected, rtol=1e-5)
