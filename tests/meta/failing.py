"""A check of a cell that has to fail."""

import numpy as np
import pytest

from tapegrad.testing import CellMismatch, GradientMismatch, check_cell

QUICK = ("tape", "sympy", "reference", "rtrl", "differences")


def failure(cell, **options):
    """The report of a check that has to fail; what it prints, run, fails in the same way."""
    with pytest.raises(CellMismatch) as error:
        check_cell(cell, **{"oracles": QUICK, **options})
    report = error.value.report
    snippet = str(report).split("Repeat it with\n")[1]
    with pytest.raises(CellMismatch) as again:
        exec("\n".join(line.removeprefix("  ") for line in snippet.split("\n")), {"cell": cell, **options})
    first, repeated = report.mismatches[0], again.value.report.mismatches[0]
    assert (first.what, first.name) == (repeated.what, repeated.name)
    for oracle in first.numbers.keys() & repeated.numbers.keys():
        if first.element == repeated.element and first.element:
            np.testing.assert_equal(first.numbers[oracle], repeated.numbers[oracle])
    assert isinstance(error.value, GradientMismatch)
    return report
