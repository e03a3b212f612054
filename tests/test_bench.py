"""The bench compares results before it times, and prints what it measured."""

import json

import numpy as np
import pytest

from tapegrad import bench
from tapegrad.cli import main
from tapegrad.errors import TapegradError


def test_contenders_that_disagree_are_not_timed():
    case = bench.Case("sum", "a sum", {"tapegrad": lambda: np.ones(3), "other": lambda: np.ones(3) * 1.001})
    with pytest.raises(TapegradError, match="other and tapegrad do not compute the same"):
        bench.measure(case, 1)
    nan = bench.Case("nan", "no number", {"tapegrad": lambda: np.ones(3), "other": lambda: np.full(3, np.nan)})
    with pytest.raises(TapegradError, match="do not compute the same"):
        bench.measure(nan, 1)


def test_the_ratio_is_that_of_the_best_peer():
    case = bench.Case("x", "work", {})
    timing = bench.Timing(case, {"tapegrad": [1.0, 2.0, 1.0], "slow": [9.0, 9.0, 9.0], "fast": [3.0, 4.0, 3.0]})
    assert timing.ratio() == 3.0
    assert "3.00 x" in bench.table([timing])


def test_tape_suite_runs_and_writes_json(tmp_path, capsys):
    pytest.importorskip("autograd")
    assert main(["bench", "tape", "--rounds", "1", "--json", str(tmp_path / "f.json")]) == 0
    printed = capsys.readouterr().out
    assert "elman" in printed
    assert "scalar" in printed
    rows = json.loads((tmp_path / "f.json").read_text())["results"]
    assert [row["case"] for row in rows] == ["elman", "scalar"]
    assert all(len(row["seconds"]["autograd"]) == 1 for row in rows)


def test_without_the_peer_one_line_says_what_to_install(monkeypatch, capsys):
    real = bench.import_module

    def absent(name):
        if name.startswith("autograd"):
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(bench, "import_module", absent)
    assert main(["bench", "tape"]) == 2
    assert "pip install autograd" in capsys.readouterr().err
