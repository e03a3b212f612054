"""``tapegrad bench loop``: its parts, and the spellings of the LSTM that it compares."""

import json

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.benchmarks import bandwidth, loop, processes
from tapegrad.benchmarks.spellings import SPELLINGS
from tapegrad.benchmarks.timing import Times
from tapegrad.benchmarks.work import Shape, Work
from tapegrad.cells import LSTM
from tapegrad.cli import main
from tapegrad.errors import TapegradError


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("tapegrad.benchmarks.timing.PAUSE", 0.0)
    monkeypatch.setattr(loop, "LENGTHS", (4, 8))
    monkeypatch.setattr(loop, "CELLS", "elman")
    monkeypatch.setattr(loop, "THREADED", (Shape(3, 2, 3, 4),))
    monkeypatch.setattr(loop, "fma_peak", lambda dtype, threads: 4e9)
    monkeypatch.setattr(loop, "memory_bandwidth", lambda threads: 10.0)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_the_lstm(spelling):
    rng = np.random.default_rng(0)
    known, other = LSTM(3, 5), SPELLINGS[spelling](3, 5)
    params = tg.tree_map(lambda a: rng.normal(size=a.shape), known.init(rng))
    xs = rng.normal(size=(4, 2, 3))
    found, expected = (
        tg.value_and_grad(lambda p, cell=cell: np.sum(np.sin(cell(p, xs)[1])))(params) for cell in (other, known)
    )
    assert found[0] == pytest.approx(expected[0], rel=1e-12)
    for a, b in zip(tg.tree_leaves(found[1]), tg.tree_leaves(expected[1]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_parts_are_printed_and_written(tmp_path, capsys):
    path = tmp_path / "figures.json"
    assert main(["bench", "loop", "--parts", "calls,length", "--rounds", "2", "--json", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "\ncalls: What a call of an LSTM takes at (1, 1, 8, 8)" in printed
    read = json.loads(path.read_text())["results"]
    assert [row["call"] for row in read["calls"]] == ["forward", "value_and_grad"]
    for row in read["calls"]:
        assert row["T = 1, us"] > 0
        assert row["beside the step, us"] == pytest.approx(row["T = 1, us"] - row["one step, us"])
    assert [row["steps"] for row in read["length"]] == [4, 8]
    for row in read["length"]:
        assert row["us a step"] == pytest.approx(1e3 * row["ms"] / row["steps"])


def test_threads_are_compared_where_there_are_two(monkeypatch):
    monkeypatch.setenv("TAPEGRAD_NUM_THREADS", "2")
    monkeypatch.setattr(loop, "processors", lambda: [0, 1])
    (row,) = loop.threads(2)
    assert (row["cell"], row["T, B, I, H"]) == ("elman", "3, 2, 3, 4")
    assert row["ratio"] == pytest.approx(row["one, ms"] / row["two, ms"])
    assert row["CPU"] > 0.0
    assert float(row["memory"].rstrip(" %")) == pytest.approx(10 * row["GB/s"], abs=0.06)
    monkeypatch.setattr(loop, "processors", lambda: [0])
    assert loop.threads(2) == []


def test_the_least_of_the_rounds_and_the_processor_time_are_compared(monkeypatch):
    monkeypatch.setenv("TAPEGRAD_NUM_THREADS", "2")
    monkeypatch.setattr(loop, "processors", lambda: [0, 1])
    times = {"1": Times(seconds=[3e-3, 2e-3, 9e-3]), "2": Times(seconds=[1e-3, 5e-3, 7e-3])}
    times["1"].others, times["2"].others = [0.0, 0.5, 0.1], [0.2, 0.1, 0.3]
    given = []
    monkeypatch.setattr(loop, "in_turn", lambda work, *options: given.append(options) or times)
    spent = iter([0.3, 0.2, 0.4, 0.5, 0.25, 0.3])
    monkeypatch.setattr(loop, "_processor_seconds", lambda once: next(spent))
    monkeypatch.setattr(loop.os, "cpu_count", lambda: 5)
    (row,) = loop.threads(3, 7.0)
    assert given == [(3, 3.0, 7.0, 3, loop.SHORT)], "rounds, budget, patience, processors to spare, least seconds"
    assert row["others"] == "0.2"
    assert (row["one, ms"], row["two, ms"], row["ratio"], row["CPU"]) == pytest.approx((2.0, 1.0, 2.0, 1.25))


def test_the_bandwidth_of_memory_is_that_of_the_fastest_round(monkeypatch):
    monkeypatch.setattr(bandwidth, "SIZE", 4000)
    spans = iter([2e-6] * 3 + [1e-6] + [5e-6] * 8)
    monkeypatch.setattr(bandwidth, "_round", lambda pairs: next(spans) * len(pairs))
    assert bandwidth.memory_bandwidth(2) == pytest.approx(2 * 4000 * 2 / 2e-6 / 1e9)
    monkeypatch.undo()
    monkeypatch.setattr(bandwidth, "SIZE", 1 << 20)
    assert 0.1 < bandwidth.memory_bandwidth(2) < 10_000


def test_bytes_are_those_of_what_is_read_and_written_at_each_step():
    work = Work.draw("lstm", LSTM(3, 5), Shape(7, 2, 3, 5))
    forward = 3 + 5 + 7 * 5  # x; h; h and c before, four gates, tanh c
    backward = 5 + 3 + 7 * 5  # the cotangent of h; x; the same
    assert loop.moved(work) == 7 * 2 * 4 * (forward + backward)


def test_a_process_of_its_own_tells_first_calls_and_memory(tmp_path):
    (made,) = processes.long_gradient(64)
    assert made["steps"] == 64
    assert made["most memory, MiB"] > 20
    empty, next_one = processes.first_calls(1)
    assert next_one["s"] < empty["s"]
    with pytest.raises(TapegradError, match="bench loop: a process that it started failed.*ZeroDivisionError"):
        processes._run("1 / 0")


def test_an_unknown_part_is_refused(capsys):
    assert main(["bench", "loop", "--parts", "cals"]) == 2
    assert "no part 'cals'; choose from calls, first, " in capsys.readouterr().err
