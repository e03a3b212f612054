"""Turns, budgets and what is taken as one measurement, by a clock that only work moves."""

import gc
import math

import pytest

from tapegrad.benchmarks import timing


class Clock:
    def __init__(self):
        self.now = 0.0
        self.slept = []

    def perf_counter(self):
        return self.now

    def process_time(self):
        return 0.0

    def sleep(self, seconds):
        self.now += seconds
        self.slept.append(seconds)

    def work(self, seconds, note=None, notes=None):
        def once():
            self.now += seconds
            if notes is not None:
                notes.append(note)

        return once


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(timing, "time", made)
    return made


def test_everybody_is_measured_in_every_round_and_in_turn(clock):
    order = []
    work = {name: clock.work(seconds, name, order) for name, seconds in {"a": 0.25, "b": 0.5, "c": 2.0}.items()}
    times = timing.in_turn(work, 3, 100.0)
    assert [times[name].seconds for name in "abc"] == [pytest.approx(3 * [s]) for s in (0.25, 0.5, 2.0)]
    # One call to estimate; then for each turn one that is not timed, and one that is.
    assert "".join(order) == "abc" + 3 * "aabbcc"
    assert clock.slept == 9 * [timing.PAUSE]


def test_short_work_is_measured_over_several_calls(clock):
    calls = []
    times = timing.in_turn({"short": clock.work(timing.SHORT / 64, 1, calls)}, 2, 100.0)["short"]
    assert times.calls == 64
    assert times.seconds == pytest.approx(2 * [timing.SHORT / 64])
    assert len(calls) == 1 + 2 * (1 + 64)


def test_the_budget_takes_rounds_from_the_slow_only(clock):
    order = []
    work = {"slow": clock.work(1.0, "s", order), "quick": clock.work(0.25, "q", order)}
    times = timing.in_turn(work, 8, 8.0)
    assert (len(times["slow"].seconds), len(times["quick"].seconds)) == (4, 8)
    assert "".join(order[2:]) == 4 * "qqssqq", "spread over the rounds"
    assert len(timing.in_turn(work, 8, 0.0)["slow"].seconds) == 2
    assert len(timing.in_turn(work, 1, 0.0)["slow"].seconds) == 1


def test_the_collector_rests_while_the_clock_runs_and_is_as_it_was():
    seen = []
    timing.in_turn({"x": lambda: seen.append(gc.isenabled())}, 1, 0.0)
    assert seen[-1] is False
    assert gc.isenabled()

    def fails():
        if not gc.isenabled():
            raise ValueError("while timed")

    with pytest.raises(ValueError, match="while timed"):
        timing.in_turn({"x": fails}, 1, 1.0)
    assert gc.isenabled()


def test_median_and_best():
    times = timing.Times(seconds=[3.0, 1.0, 2.0, 9.0])
    assert (times.median, times.best) == (2.5, 1.0)
    assert math.isnan(timing.Times().median)
    assert math.isnan(timing.Times().best)


# ---- other programs
class Machine:
    """A processor's counters in the form of the system's file, in hundredths of a second."""

    def __init__(self, monkeypatch, clock):
        self.clock, self.busy = clock, []
        monkeypatch.setattr(timing.Watch, "STAT", self)
        monkeypatch.setattr(timing.os, "sysconf", lambda name: 100)

    def read_text(self):
        """Others use one processor in the given spans of time."""
        used = sum(max(0.0, min(self.clock.now, end) - start) for start, end in self.busy)
        return f"cpu  {round(100 * used)} 0 0 {round(1e4 * self.clock.now)} 7 0 0 0 0 0\ncpu0 5 5 5\n"


@pytest.fixture
def machine(monkeypatch, clock):
    return Machine(monkeypatch, clock)


def test_what_others_use_is_told(clock, machine):
    machine.busy = [(1.0, 2.0)]
    watch = timing.Watch()
    clock.now = 4.0
    assert watch.others() == pytest.approx(0.25)
    times = timing.in_turn({"x": clock.work(1.0)}, 2, 100.0)["x"]
    assert times.others == [0.0, 0.0]


def test_patience_waits_for_others_and_measures_again_what_they_disturbed(clock, machine):
    calls = []
    # They run while the first pause lasts, and while the first measurement does.
    machine.busy = [(0.0, 3.0), (3.5, 5.0)]
    times = timing.in_turn({"x": clock.work(1.0, 1, calls)}, 1, 100.0, patience=60.0)["x"]
    assert times.others == [0.0]
    assert clock.now >= 5.0 + timing.PAUSE + 2
    assert len(calls) > 3


def test_patience_ends(clock, machine):
    machine.busy = [(0.0, 1000.0)]
    times = timing.in_turn({"x": clock.work(1.0)}, 2, 100.0, patience=5.0)["x"]
    assert len(times.seconds) == 2
    assert times.others == [pytest.approx(1.0, abs=0.02)] * 2
    assert 5.0 < clock.now < 15.0


def test_others_may_use_what_is_spare(clock, machine):
    machine.busy = [(0.0, 1000.0)]
    times = timing.in_turn({"x": clock.work(1.0)}, 2, 100.0, patience=500.0, spare=1)
    assert len(times["x"].seconds) == 2
    assert clock.now < 10.0


def test_a_system_that_does_not_tell_is_no_obstacle(clock, monkeypatch, tmp_path):
    monkeypatch.setattr(timing.Watch, "STAT", tmp_path / "missing")
    times = timing.in_turn({"x": clock.work(1.0)}, 2, 100.0, patience=5.0)["x"]
    assert all(math.isnan(others) for others in times.others)
    assert clock.now < 6.0
