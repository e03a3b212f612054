"""Vectors as values: memory, arithmetic and choice, against NumPy, with memory around each array watched."""

import operator
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapegrad.backends.numba_cpu import vectors
from tapegrad.errors import OptionError
from tests.numba_cpu.mapped import DTYPES, lanes_of, mapped, njit

NUMBERS = np.array([0.0, -0.0, 1.0, -1.5, 2.5, 3.5, -2.5, 1e30, 1e-30, np.inf, -np.inf, np.nan])
WATCHED = 77.0


def pairs(dtype):
    """Two arrays: random numbers, then every pair of the numbers above; the length is no multiple of a vector's."""
    rng = np.random.default_rng(3)
    x, y = (grid.ravel() for grid in np.meshgrid(NUMBERS, NUMBERS))
    return [np.concatenate([rng.normal(size=45), part]).astype(dtype) for part in (x, y)]


def assert_same(result, expected, dtype):
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)
    there = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(result[there]), np.signbit(expected[there]))


# ---- arithmetic ----
ARITHMETIC = ("add", "sub", "mul", "truediv")
COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
FUNCTIONS = ("rint", "floor", "absolute", "sqrt", "negative", "copysign")
select, rint, floor, absolute, sqrt, copysign = (
    vectors.select, vectors.rint, vectors.floor, vectors.absolute, vectors.sqrt, vectors.copysign
)  # fmt: skip


@njit
def everything(lanes, count, out, x, y):
    """Each operation of the three tuples above, in their order, into its own ``count`` elements of ``out``."""
    for j in range(0, count, lanes):
        a, b = vectors.load(x, j), vectors.load(y, j)
        vectors.store(out, j, a + b)
        vectors.store(out, j + count, a - b)
        vectors.store(out, j + 2 * count, a * b)
        vectors.store(out, j + 3 * count, a / b)
        vectors.store(out, j + 4 * count, select(a < b, a, b))
        vectors.store(out, j + 5 * count, select(a <= b, a, b))
        vectors.store(out, j + 6 * count, select(a > b, a, b))
        vectors.store(out, j + 7 * count, select(a >= b, a, b))
        vectors.store(out, j + 8 * count, select(a == b, a, b))
        vectors.store(out, j + 9 * count, select(a != b, a, b))
        vectors.store(out, j + 10 * count, rint(a))
        vectors.store(out, j + 11 * count, floor(a))
        vectors.store(out, j + 12 * count, absolute(a))
        vectors.store(out, j + 13 * count, sqrt(a))
        vectors.store(out, j + 14 * count, -a)
        vectors.store(out, j + 15 * count, copysign(a, b))


@cache
def results(dtype):
    """What each operation gives: they are compiled as one function, since each compilation takes half a second."""
    names = ARITHMETIC + COMPARISONS + FUNCTIONS
    x, y = pairs(dtype)
    count = -(-x.size // 16) * 16  # whole vectors of any width
    out = np.zeros(len(names) * count, dtype)
    everything(lanes_of(dtype), count, out, *(np.resize(a, count) for a in (x, y)))
    return dict(zip(names, out.reshape(-1, count)[:, : x.size], strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic(name, dtype):
    with np.errstate(all="ignore"):
        assert_same(results(dtype)[name], getattr(operator, name)(*pairs(dtype)), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_number_takes_the_dtype_of_the_vector(dtype):
    x, _ = pairs(dtype)
    double = np.float64(0.7)
    right, left = njit(lambda x: (x - 3) * double), njit(lambda x: 0.1 / (2 - x))
    with np.errstate(all="ignore"):
        assert_same(mapped(right, x), (x - 3) * dtype(0.7), dtype)
        assert_same(mapped(left, x), dtype(0.1) / (2 - x), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", COMPARISONS)
def test_comparison_and_select(name, dtype):
    x, y = pairs(dtype)
    assert_same(results(dtype)[name], np.where(getattr(operator, name)(x, y), x, y), dtype)
    if name == "le":
        assert_same(mapped(njit(lambda x: select(x <= 1, 2, x)), x), np.where(x <= 1, dtype(2), x), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name, dtype):
    x, y = pairs(dtype)
    with np.errstate(all="ignore"):
        assert_same(results(dtype)[name], np.copysign(x, y) if name == "copysign" else getattr(np, name)(x), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_fma_rounds_once(dtype):
    fma = vectors.fma
    rounding = np.finfo(dtype).eps
    x = np.array([1 + rounding, 1 - rounding / 2, 3.0, -2.0], dtype)
    lost = mapped(njit(lambda x: fma(x, x, -(x * x))), x)
    exact = np.array([rounding**2, rounding**2 / 4, 0.0, 0.0], dtype)
    assert_same(lost, exact, dtype)


def test_vectors_of_two_dtypes_do_not_mix():
    @njit
    def mixed(x, y):
        return vectors.load(x, 0) + vectors.load(y, 0)

    with pytest.raises(Exception, match=r"No implementation.*add"):
        mixed(np.zeros(64, np.float32), np.zeros(64))


# ---- memory ----
@njit
def copied(source, start, target, to, count, lanes):
    whole = count // lanes * lanes
    for j in range(0, whole, lanes):
        vectors.store(target, to + j, vectors.load(source, start + j))
    if whole < count:
        rest = count - whole
        vectors.store_part(target, to + whole, vectors.load_part(source, start + whole, rest), rest)


@pytest.mark.parametrize("dtype", DTYPES)
@given(start=st.integers(0, 20), to=st.integers(0, 20), count=st.integers(0, 70))
def test_unaligned_offsets_and_tails(dtype, start, to, count):
    source = np.arange(100, dtype=dtype)
    target = np.full(100, WATCHED, dtype)
    copied(source, start, target, to, count, lanes_of(dtype))
    expected = np.full(100, WATCHED, dtype)
    expected[to : to + count] = source[start : start + count]
    np.testing.assert_array_equal(target, expected)


@njit
def part_loaded(source, start, count, target):
    vectors.store(target, 0, vectors.load_part(source, start, count))


@pytest.mark.parametrize("dtype", DTYPES)
def test_lanes_beyond_the_count_are_zero(dtype):
    lanes = lanes_of(dtype)
    source = np.full(2 * lanes, np.nan, dtype)
    source[:lanes] = np.arange(1, lanes + 1)
    for count in range(lanes + 1):
        target = np.full(lanes, WATCHED, dtype)
        part_loaded(source, 0, count, target)
        np.testing.assert_array_equal(target, np.where(np.arange(lanes) < count, source[:lanes], 0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_beyond_the_count_is_not_touched(dtype):
    """The array ends where the process's memory ends: to read one element more would be a crash."""
    mmap = pytest.importorskip("mmap")
    page = mmap.PAGESIZE
    area = mmap.mmap(-1, 2 * page)
    base = np.frombuffer(area, np.uint8)
    guarded = protect(base.ctypes.data + page, page, 0)
    if not guarded:
        pytest.skip("this system protects no memory")
    try:
        end = np.frombuffer(area, dtype, count=page // np.dtype(dtype).itemsize)
        for count in range(lanes_of(dtype)):
            target = np.full(lanes_of(dtype), WATCHED, dtype)
            part_loaded(end, len(end) - count, count, target)
            copied(np.ones(64, dtype), 3, end, len(end) - count, count, lanes_of(dtype))
            assert (end[len(end) - count :] == 1).all()
    finally:
        protect(base.ctypes.data + page, page, 3)


def protect(address, size, access):
    import ctypes

    library = ctypes.CDLL(None)
    if not hasattr(library, "mprotect"):
        return False
    return library.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size), access) == 0


@njit
def spread_over(source, offset, target):
    vectors.store(target, 0, vectors.spread(source, offset))


@njit
def number_stored(number, target):
    vectors.store(target, 0, number)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_element_in_every_lane(dtype):
    target = np.zeros(lanes_of(dtype) + 1, dtype)
    spread_over(np.arange(5, dtype=dtype), 3, target)
    np.testing.assert_array_equal(target[:-1], 3)
    number_stored(2.5, target)
    np.testing.assert_array_equal(target[:-1], 2.5)
    assert target[-1] == 0


# ---- the width ----
def test_width_of_the_vectors(monkeypatch):
    from numba import config

    for given_bits in ("128", "256", "512"):
        monkeypatch.setenv("TAPEGRAD_VECTOR_BITS", given_bits)
        assert vectors.vector_bits() == int(given_bits)
    monkeypatch.setenv("TAPEGRAD_VECTOR_BITS", "64")
    with pytest.raises(OptionError, match="128, 256 or 512"):
        vectors.vector_bits()
    monkeypatch.delenv("TAPEGRAD_VECTOR_BITS")
    for features, width in (("+avx2,+avx512f", 512), ("+avx2,-avx512f", 256), ("+sse2", 128), ("", 128)):
        monkeypatch.setattr(config, "CPU_FEATURES", features)
        assert vectors.vector_bits() == width
