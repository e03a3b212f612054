import subprocess
import sys

import pytest

from tapegrad.commands.threads import blas_threads, set_blas_threads
from tests.commands.conftest import train


@pytest.fixture
def threads():
    before = blas_threads()
    if before is None:
        pytest.skip("NumPy stands on another library than OpenBLAS")
    yield before
    set_blas_threads(before)


def test_threads_are_set(threads):
    for count in (2, 1):
        assert set_blas_threads(count)
        assert blas_threads() == count


def test_training_takes_one_thread_unless_told_otherwise(threads, program, monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    set_blas_threads(2)
    assert program(*train("--steps", 1))[0] == 0
    assert blas_threads() == 1
    program(*train("--steps", 1, "--threads", 2))
    assert blas_threads() == 2
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    program(*train("--steps", 1))
    assert blas_threads() == 2


def test_another_library_is_left_alone():
    program = (
        "import tapegrad.commands.threads as t; t._PREFIXES = ('mkl',); print(t.set_blas_threads(1), t.blas_threads())"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False None\n"
