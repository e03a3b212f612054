"""``tapegrad bench cells``: what it prints and writes, and what it refuses."""

import json

import numpy as np
import pytest

from tapegrad.backends import base
from tapegrad.backends.reference import ReferenceBackend
from tapegrad.cli import main

TINY = ["--shapes", "4,2,3,5", "--rounds", "2", "--budget", "0.01", "--threads", "1"]


def bench(*arguments):
    return main(["bench", "cells", *TINY, *arguments])


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("tapegrad.benchmarks.timing.PAUSE", 0.0)
    monkeypatch.setattr("tapegrad.benchmarks.suite.fma_peak", lambda dtype, threads: 4e9)


def test_every_cell_and_the_file(tmp_path, capsys):
    path = tmp_path / "figures.json"
    assert bench("--backends", "reference", "--peers", "none", "--json", str(path)) == 0
    printed = capsys.readouterr().out
    for cell in ("lstm", "gru", "gru_after", "elman", "peephole", "fastweights", "drawn1", "drawn2", "drawn3"):
        assert f"\n{cell} (T, B, I, H) = (4, 2, 3, 5); products: " in printed
    read = json.loads(path.read_text())
    assert read["command"][0] == "tapegrad"
    assert set(read["environment"]) >= {"cpu", "python", "versions", "processors", "load"}
    assert read["settings"] == {
        "shapes": [[4, 2, 3, 5]],
        "backends": ["reference"],
        "peers": [],
        "threads": 1,
        "rounds": 2,
        "budget": 0.01,
        "dtype": "float32",
        "with_inputs": False,
        "patience": 0.0,
        "clock": "wall",
    }
    assert [result["cell"] for result in read["results"]][:2] == ["lstm", "gru"]
    lstm = read["results"][0]
    assert lstm["definition"] == "LSTM(input_size=3, hidden_size=5, forget_bias=1.0)"
    assert lstm["flops"] == {"forward": 4 * 2 * 2 * 4 * 5 * 8, "both": 4 * 2 * 2 * 4 * 5 * (8 + 3 + 10)}
    assert lstm["best_peer"] == {"forward": None, "both": None}
    (row,) = lstm["contenders"]
    assert (row["name"], row["ours"], row["error"], row["wrong"]) == ("reference", True, None, False)
    assert set(row["deviation"]) == {"forward", "ys", "gradients"}
    for kind in ("forward", "both"):
        times = row[kind]
        assert len(times["seconds"]) == 2
        assert min(times["seconds"]) == times["best"] <= times["median"]
        assert times["first_call"] > 0
        assert times["calls"] >= 1
        assert times["ratio"] is None
        assert times["of_peak"] == pytest.approx(lstm["flops"][kind] / times["median"] / 4e9)


def test_a_cell_of_the_users_own_by_module_and_by_file(here, capsys):
    arguments = ("--backends", "reference", "--peers", "none", "--gradients", "params+xs", "--dtype", "float64")
    assert bench("--cell", "own_cells:Mine", "--cell", "own_cells.py:Mine", *arguments) == 0
    printed = capsys.readouterr().out
    assert "\nown_cells:Mine (T, B, I, H)" in printed
    assert "\nown_cells.py:Mine (T, B, I, H)" in printed
    assert "\nlstm" not in printed
    assert "float64; gradients of parameters and inputs" in printed


def test_peers_that_do_not_know_the_cell_are_left_out(here, capsys):
    pytest.importorskip("mygrad")
    assert bench("--cell", "own_cells:Mine", "--backends", "reference", "--peers", "mygrad") == 0
    assert "mygrad gru" not in capsys.readouterr().out


def test_the_compiled_backend_is_timed(capsys):
    assert bench("--cells", "elman", "--backends", "numba,reference", "--peers", "none") == 0
    printed = capsys.readouterr().out
    assert "    numba " in printed
    assert "WRONG" not in printed


def test_a_wrong_backend_of_ours_is_a_failure(monkeypatch, capsys):
    class Wrong(ReferenceBackend):
        def run(self, step, args, length, reverse):
            return tuple([1.01 * np.asarray(a) for a in super().run(step, args, length, reverse)])

    monkeypatch.setitem(base._LOADERS, "wrong", Wrong)
    assert bench("--cells", "lstm", "--backends", "wrong,reference", "--peers", "none") == 1
    lines = capsys.readouterr().out.splitlines()
    (wrong,) = [line for line in lines if line.startswith("    wrong ")]
    assert "WRONG: " in wrong
    base._LOADED.pop("wrong", None)


def test_a_file_that_cannot_be_written_is_found_before_anything_is_measured(monkeypatch, capsys):
    monkeypatch.setattr("tapegrad.benchmarks.suite.measure", lambda *_: pytest.fail("measured"))
    assert bench("--json", "no/such/folder.json", "--peers", "none") == 2
    assert "--json no/such/folder.json: No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cells", "lstm,ltsm"], "--cells ltsm: unknown; choose from lstm, gru"),
        (["--backends", "numba,cpu"], "--backends cpu: unknown; choose from reference"),
        (["--peers", "theano"], "--peers theano: unknown; choose from torch"),
        (["--shapes", "1,2,3"], "expected four whole numbers T,B,I,H"),
        (["--threads", "1024"], "--threads 1024: this process may use"),
        (["--cell", "Mine"], "expected module:Class or path.py:Class"),
        (["--cell", "own_cells:Yours"], "cannot import it: AttributeError"),
        (["--cell", "nowhere.py:Mine"], "there is no file nowhere.py"),
        (["--cell", "own_cells.py:NoCell"], "NoCell is not a subclass of tapegrad.cells.Cell"),
        (["--cell", "own_cells:Odd"], "cannot be made of input_size=3, hidden_size=5"),
    ],
)
def test_refusals_are_one_line(here, capsys, arguments, words):
    assert bench("--backends", "reference", "--peers", "none", *arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_a_step_that_fails_is_told_in_one_line(here, capsys):
    assert bench("--cell", "own_cells:Broken", "--backends", "reference", "--peers", "none") == 2
    err = capsys.readouterr().err
    assert "own_cells:Broken: its step fails: RuntimeError: two lines" in err
    assert err.count("\n") == 1
