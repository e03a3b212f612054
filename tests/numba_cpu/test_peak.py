"""The measured peak of multiplications and additions."""

import numpy as np
import pytest

from tapegrad.backends.numba_cpu.peak import _spin, fma_peak
from tapegrad.errors import OptionError
from tests.numba_cpu.mapped import DTYPES, lanes_of


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_product_of_matrices_stays_below(dtype):
    """No program is faster than the peak, but for the noise of other programs."""
    import time

    a, best = np.ones((256, 256), dtype), np.inf
    for _ in range(20):
        began = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - began)
    peak = fma_peak(dtype)
    assert isinstance(peak, float)
    assert peak > 0.7 * 2 * 256**3 / best / 1e9
    assert peak > 1


def test_the_loop_computes_what_it_says():
    """x <- x / 2 + 1 / 2 halves the distance to 1 at each turn, in every lane of every sum."""
    for dtype in DTYPES:
        lanes = lanes_of(dtype)
        start = _spin(dtype(0), 0)
        sums = round(_spin(dtype(0), 200) / lanes)  # all of them are 1 in the end
        assert start > sums * lanes
        assert _spin(dtype(0), 1) - sums * lanes == pytest.approx((start - sums * lanes) / 2, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.int64, 1), "dtype=int64; give float32 or float64"),
        ((np.float16, 1), "dtype=float16; give float32 or float64"),
        ((np.float32, 0), "threads=0; give a whole number"),
        ((np.float32, 1.5), r"threads=1\.5; give a whole number"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(OptionError, match=message):
        fma_peak(*arguments)
