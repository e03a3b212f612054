"""Products and vectorised functions as they are compiled for other machines, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tapegrad.backends.numba_cpu.vectors import BITS

MACHINES = {
    "512 bits": {"TAPEGRAD_VECTOR_BITS": "512"},
    "256 bits": {"TAPEGRAD_VECTOR_BITS": "256"},
    "128 bits": {"TAPEGRAD_VECTOR_BITS": "128"},
    "no features": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},  # every fma is a call, and rounds once
}
FILES = ("test_gemm.py", "test_vectors.py", "test_maths.py")
# Of the functions, those that between them use everything that functions are made of.
MATHS = "(bound and (tanh or power)) or (special and (remainder or log1p)) or library"


@pytest.mark.parametrize("machine", MACHINES)
def test_other_machines(machine):
    if MACHINES[machine].get("TAPEGRAD_VECTOR_BITS") == str(BITS):
        pytest.skip("the width of this process")
    here = Path(__file__).parent
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
            "-k", f"test_gemm or test_vectors or {MATHS}", *[str(here / name) for name in FILES],
        ],
        cwd=here.parents[1], env={**os.environ, **MACHINES[machine]}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
