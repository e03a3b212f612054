"""Every kind of step against the reference: as checked Python in all respects, and compiled."""

import pytest

import tapegrad as tg
from tests.numba_cpu import emulated
from tests.numba_cpu.compared import compare
from tests.numba_cpu.steps import CASES

# Those that, together, call every function that generated source may call.
COMPILED = ("fast_weights", "greedy")


@pytest.fixture(scope="module", autouse=True)
def _emulation():
    with emulated.installed():
        yield


def scanned(step, **options):
    return lambda params, state, xs, backend: tg.scan(step, params, state, xs, backend=backend, **options)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_checked_source_gives_what_the_reference_gives(name, dtype):
    """In both directions, in values and derivatives of first and second order, on rows in many parts."""
    args = CASES[name].arguments(dtype)
    for reverse in (False, True):
        compare(scanned(CASES[name].step, reverse=reverse), args, "emulated", dtype == "float64" and not reverse)


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_code_gives_what_the_reference_gives(name):
    for seed, reverse in ((0, False), (1, True)):
        compare(scanned(CASES[name].step, reverse=reverse), CASES[name].arguments("float64", seed), "numba")
