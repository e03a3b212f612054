"""The packed product against NumPy's, for every kind of remainder."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapegrad.backends.numba_cpu import gemm


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 140), st.booleans(), st.booleans(), st.integers(0, 2**31))
@settings(max_examples=60)
def test_every_shape(dtype, M, K, N, transposed, add, seed):
    rng = np.random.default_rng(seed)
    a, b, c = (rng.normal(size=shape).astype(dtype) for shape in ((M, K), (K, N), (M, N)))
    packed = np.full(3 + gemm.packed_size(K, N, dtype), np.nan, dtype)
    assert gemm.pack(b, packed, 3) == packed.size
    guard = np.full(M * N + 64, 7, dtype)
    guard[32 : 32 + M * N] = c.ravel()
    edge = np.empty(max(M, 1) * gemm.panel_width(dtype), dtype)
    left = np.ascontiguousarray(a.T if transposed else a).ravel()
    row, step = (1, M) if transposed else (K, 1)
    gemm.multiply(left, 0, row, step, M, K, packed, 3, N, guard, 32, N, add, edge)
    expected = a.astype(float) @ b + (c if add else 0)
    found = guard[32 : 32 + M * N].reshape(M, N)
    np.testing.assert_allclose(found, expected, rtol=0, atol=(1e-5 if dtype == np.float32 else 1e-13) * (K + 1))
    assert (guard[:32] == 7).all(), "memory before the result was written"
    assert (guard[32 + M * N :] == 7).all(), "memory behind the result was written"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_strided_weights_are_packed(dtype):
    w = np.arange(60, dtype=dtype).reshape(6, 10)[::2, ::-1].T
    packed = np.empty(gemm.packed_size(*w.shape, dtype), dtype)
    gemm.pack(w, packed, 0)
    width = gemm.panel_width(dtype)
    np.testing.assert_array_equal(packed.reshape(-1, width)[: w.shape[0], : w.shape[1]], w)
    assert not packed.reshape(-1, width)[:, w.shape[1] :].any(), "the panel is filled with zeros"
