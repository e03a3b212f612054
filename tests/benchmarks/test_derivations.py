"""``tapegrad bench derive``: what a derivation takes."""

import json
import sys

import numpy as np
import pytest

from tapegrad.benchmarks import derivations
from tapegrad.cli import main
from tapegrad.symbolic import derive
from tests.symbolic.proving import EXACT, Problem, worst


def test_it_prints_and_writes_a_row_for_each_cell(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(derivations, "GATES", (2, 3))
    assert main(["bench", "derive", "--rounds", "1", "--json", str(tmp_path / "f.json")]) == 0
    printed = capsys.readouterr().out
    rows = json.loads((tmp_path / "f.json").read_text())["results"]["derive"]
    assert [row["cell"] for row in rows] == ["elman", "gru", "lstm", "2 gates", "3 gates"]
    assert all(row["cell"] in printed and 0 < row["least, s"] <= row["median, s"] for row in rows)
    assert rows[4]["operations"] - rows[3]["operations"] == 12


@pytest.mark.parametrize("gates", [1, 3])
def test_what_is_timed_is_proven(gates):
    cell = derivations.Gated(3, 4, gates)
    what, error = worst(derive(cell), Problem(cell, np.random.default_rng(0)))
    assert error < EXACT, f"{what} differs by {error}"


def test_the_work_grows_with_the_operations():
    """Counted in calls of Python functions: what grows with the square would give 4 times as many per operation."""

    def calls(gates):
        cell = derivations.Gated(3, 4, gates)
        counted = 0

        def count(frame, event, argument):
            nonlocal counted
            counted += event == "call"

        sys.setprofile(count)
        try:
            derive(cell).text()
        finally:
            sys.setprofile(None)
        return counted / derivations.operations(cell)

    calls(1)  # what is imported and remembered once
    assert calls(8) < 2 * calls(2)
