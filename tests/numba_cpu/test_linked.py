"""Kernels that loops call by a symbol: they are compiled once, kept on disk, and refuse operands they cannot take."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from numba import types
from numba.core.errors import TypingError

from tapegrad.backends.numba_cpu import gemm, linked
from tests.numba_cpu.mapped import njit

SOURCE = """from tapegrad.backends.numba_cpu.runtime import *

def product(n, width, a, b, c, packed):
    pack_columns(b, 0, 0, 1, n, n, 1, n, packed, 0)
    multiply(a, 0, n, 1, n, n, packed, 0, n, c, 0, n, False)
"""

# A process that runs the source: the result's error, and which kernels came from the disk.
CHILD = """
import json, sys
import numpy as np
from tapegrad.backends.numba_cpu import cache, gemm, linked

(product,) = cache.compiled(sys.argv[1], ("product",))
n, dtype = 40, np.float64
a, b = np.random.default_rng(0).normal(size=(2, n, n))
c, packed = np.zeros(n * n), np.zeros(gemm.packed_size(n, n, dtype))
product(n, gemm.panel_width(dtype), a.ravel(), b.ravel(), c, packed)
hits = {name: sum(made.stats.cache_hits.values()) for name, made in linked._provided.items()}
print(json.dumps([float(abs(c.reshape(n, n) - a @ b).max()), hits]))
"""


def child(folder):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, SOURCE],
        capture_output=True, text=True, env={**os.environ, "TAPEGRAD_CACHE_DIR": str(folder)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_second_process_loads_kernels(tmp_path):
    first_error, first_hits = child(tmp_path)
    second_error, second_hits = child(tmp_path)
    assert first_error == second_error < 1e-12
    assert first_hits == {"tapegrad.kernel.pack.float64": 0, "tapegrad.kernel.multiply.float64": 0}
    assert second_hits == {"tapegrad.kernel.pack.float64": 1, "tapegrad.kernel.multiply.float64": 1}


def test_a_caller_holds_no_kernel():
    @njit
    def caller(a, panels, c):
        gemm.multiply(a, 0, 1, 1, 1, 1, panels, 0, 1, c, 0, 1, False)

    one = np.ones(1, np.float32)
    c = np.zeros(1, np.float32)
    caller(one, np.ones(gemm.packed_size(1, 1, np.float32), np.float32), c)
    assert c == 1
    (text,) = caller.inspect_asm().values()
    assert "tapegrad.kernel.multiply.float32" in text
    assert "fmadd" not in text


@pytest.mark.parametrize("name", ["malloc", "tapegrad.kernel.", "tapegrad.kernel.sorted.float32",
                                  "tapegrad.kernel.multiply.int64", "tapegrad.kernel.multiply"])  # fmt: skip
def test_names_of_others_are_let_be(name):
    before = dict(linked._provided)
    assert not linked.provide(name)
    assert linked._provided == before


@pytest.mark.parametrize("name", ["pack", "multiply", "weigh"])
@pytest.mark.parametrize("dtype", [types.float32, types.float64])
def test_a_kernel_is_provided_once(name, dtype):
    symbol = linked._kernels[name].symbol(dtype)
    assert linked.provide(symbol)
    before = linked._provided[symbol]
    assert linked.provide(symbol)
    assert linked._provided[symbol] is before


FLAT, WHOLE = np.zeros(9), np.zeros(9, np.int64)
REFUSED = {
    "whole numbers": (WHOLE, WHOLE, WHOLE),
    "two float types": (FLAT.astype(np.float32), FLAT, FLAT),
    "half precision": (FLAT.astype(np.float16),) * 3,
    "a matrix": (FLAT.reshape(3, 3), FLAT, FLAT),
    "every other element": (FLAT, FLAT, FLAT[::2]),
    "a number": (1.0, FLAT, FLAT),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_operands_that_are_refused(kind):
    @njit
    def multiplied(a, panels, c):
        gemm.multiply(a, 0, 1, 1, 1, 1, panels, 0, 1, c, 0, 1, False)

    @njit
    def accumulated(a, panels, c):
        gemm.accumulate(a, 0, 1, 1, panels, 0, 1, c, 0, 1)

    @njit
    def packed(a, panels, c):
        gemm.pack_columns(a, 0, 0, 1, 1, 1, 1, 1, panels, 0)
        gemm.pack_lefts(a, 0, 1, 1, 1, 1, 1, 1, c, 0)

    for function in (multiplied, accumulated, packed):
        with pytest.raises(TypingError, match=r"(pack|multiply): the operands are .*all of float32 or all of float64"):
            function(*REFUSED[kind])
