"""Random steps: the compiled backend against the reference, in all that can be asked of a scan.

``HYPOTHESIS_PROFILE=intense`` makes a long search of it.
"""

import re
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, reject, settings

from tests.numba_cpu import emulated
from tests.numba_cpu.asked import Asked, Unsteady, assert_agree, assert_constant
from tests.numba_cpu.random_steps import steps
from tests.strategies.effort import rare, some

COUNT = settings.default.max_examples
QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def _backends():
    with emulated.installed(), np.errstate(all="ignore"):
        yield


@some(QUIET)
@given(steps())
def test_checked_source_agrees_with_the_reference(step):
    try:
        assert_agree(Asked(step), "emulated", second=True)
    except Unsteady:
        reject()


# The same steps every time, so that their machine code is found on the disk; a long search draws others.
@rare(QUIET, derandomize=COUNT < 1000)
@given(steps(max_length=6))
def test_compiled_code_agrees_with_the_reference(step):
    try:
        assert_agree(Asked(step), "numba", second=False)
    except Unsteady:
        reject()
    assert_constant(Asked(step))


# ---- the tests themselves ----
FAULTS = {
    "a stride between rows": (r"\(i - r0\) \* \d+", "(i - r0)"),
    "a stride between elements": (r"(load_strided\w*\(.*, )\d+([,)])", r"\g<1>1\2"),
    "a stride of an index": (r"(q\d+ \* )\d+", r"\g<1>1"),
    "a row more": (r"range\(r0, r1\)", "range(r0, r1 - 1)"),
    "branches of a choice exchanged": (r"select\((\w+), (\w+), (\w+)\)", r"select(\1, \3, \2)"),
    "a mask": (r"mask_and\(", "mask_or("),
    "a truth value": (r" != 0\.0", " == 0.0"),
    "a product that replaces what it should add to": (r", True\)", ", False)"),
    "a sum that forgets": (r" \+= ", " = "),
    "a sum over time of one chunk": (r"accumulate\((.*)\)", r"accumulate(\1) if begun == 0 else None"),
    "a state that stays": (r"( +)s0, .* = n0, .*", r"\1pass"),
    "a direction": (r"T - 1 - past if reverse else past", "past"),
    "a direction of chunks": (r"T - begun - L if reverse else begun", "begun"),
    "a constant": (r"spread\(numbers, 0\)", "spread(numbers, 0) + 1"),
}


@pytest.fixture(scope="module")
def some():
    """Steps, always the same ones."""
    found = []

    @settings(QUIET, max_examples=150, database=None, derandomize=True, phases=[Phase.generate])
    @given(steps())
    def collect(step):
        found.append(step)

    collect()
    return found


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_generated_source_is_found(some, fault):
    """Soon: in one of the first steps whose source has the place."""
    functions, changed = emulated.EmulatedBackend.functions, []

    def faulty(self, source, entries):
        text = re.sub(*FAULTS[fault], source)
        changed.append(text != source)
        return functions(self, text, entries)

    tried = 0
    with mock.patch.object(emulated.EmulatedBackend, "functions", faulty):
        for step in some:
            changed.clear()
            try:
                assert_agree(Asked(step), "emulated", second=False)
            except Unsteady:
                continue
            except (AssertionError, emulated.Fault, IndexError):
                return
            tried += any(changed)
    pytest.fail(f"{fault}: not found in {tried} steps")


def test_steps_shrink_to_few_lines():
    found = find(steps(), lambda step: "v2" in step.source, settings=settings(QUIET, database=None))
    assert len(found.source.splitlines()) <= 6  # the definition, the states, three lines, the results
    assert (found.layout, found.options) == ("C", {})
