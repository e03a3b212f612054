"""Results are compared before anything is timed: whoever computes something else gets no time."""

import json
import math
import time

import numpy as np
import pytest

from tapegrad.benchmarks import record, suite
from tapegrad.benchmarks.catalogue import CELLS
from tapegrad.benchmarks.contenders import Contender, backend_contender
from tapegrad.benchmarks.suite import Measured, Row, Settings, compared, measure
from tapegrad.benchmarks.timing import Times
from tapegrad.benchmarks.work import Results, Shape, Work, tolerance
from tapegrad.errors import UnsupportedPrimitive

SHAPE = Shape(5, 3, 2, 4)


@pytest.fixture
def work():
    return Work.draw("lstm", CELLS["lstm"].build(SHAPE), SHAPE)


def peer(work, spoil_forward=lambda ys: None, spoil=lambda results: None):
    """A right contender, whose results are spoilt as they are read."""
    right = backend_contender(work, "reference")

    def read_forward(ys):
        ys = [y.copy() for y in right.read_forward(ys)]
        spoil_forward(ys)
        return ys

    def read_both(outcome):
        found = right.read_both(outcome)
        found = Results([y.copy() for y in found.ys], {k: v.copy() for k, v in found.gradients.items()})
        spoil(found)
        return found

    return Contender("peer", False, right.forward, right.both, read_forward, read_both)


def one_entry(array):
    array.flat[-1] += 3e-4 * np.max(np.abs(array))


def exchanged(gradients):
    gradients["W_hi"], gradients["W_hf"] = gradients["W_hf"], gradients["W_hi"]


FAULTS = {
    "one output": lambda found: one_entry(found.ys[0]),
    "time reversed": lambda found: found.ys.__setitem__(0, found.ys[0][::-1]),
    "one entry of a gradient": lambda found: one_entry(found.gradients["b_f"]),
    "the sign": lambda found: np.negative(found.gradients["W_xo"], out=found.gradients["W_xo"]),
    "two gates exchanged": lambda found: exchanged(found.gradients),
    "a gradient missing": lambda found: found.gradients.pop("b_g"),
    "no number": lambda found: found.gradients["b_g"].fill(np.nan),
}


def test_a_wrong_forward_pass_is_an_error(work):
    row = compared(peer(work, spoil_forward=lambda ys: one_entry(ys[0])), work.truth(), tolerance("float32", SHAPE.T))
    assert row.wrong
    assert row.error.startswith("WRONG: forward off by 3.0e-04")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_result_is_an_error_and_no_time(work, fault, monkeypatch):
    monkeypatch.setattr(suite.taking_part, "peer_contenders", lambda *_: [peer(work, spoil=FAULTS[fault]), peer(work)])
    settings = Settings([SHAPE], ["reference"], ["peer"], rounds=1, budget=0.0)
    measured = measure(CELLS["lstm"], SHAPE, settings)
    ours, wrong, right = measured.rows
    assert (ours.wrong, wrong.wrong, right.wrong) == (False, True, False)
    assert wrong.error.startswith("WRONG: ")
    assert wrong.both.seconds == wrong.forward.seconds == []
    assert len(right.both.seconds) == len(right.forward.seconds) == 1
    assert measured.best_peer("both") is right
    assert "WRONG" in record.table(measured)


SMALL_FAULTS = {
    "a thousandth": lambda found: np.multiply(found.gradients["W_ho"], 1.001, out=found.gradients["W_ho"]),
    "two gates exchanged": FAULTS["two gates exchanged"],
    "one step left out": lambda found: found.ys[0][-1].fill(0.0),
}


@pytest.mark.parametrize("fault", SMALL_FAULTS)
def test_small_faults_are_found_in_long_sequences(fault):
    shape = Shape(784, 3, 1, 5)
    work = Work.draw("lstm", CELLS["lstm"].build(shape), shape)
    expected, allowed = work.truth(), tolerance("float32", shape.T)
    wrong, right = (compared(made, expected, allowed) for made in (peer(work, spoil=SMALL_FAULTS[fault]), peer(work)))
    assert wrong.wrong
    assert not right.error


def test_what_is_allowed_follows_the_length_of_the_work(monkeypatch):
    allowed = []

    def compared(made, expected, most):
        allowed.append(most)
        return Row(made.name, True, "not timed")

    monkeypatch.setattr(suite, "compared", compared)
    for steps in (4, 16):
        measure(CELLS["elman"], Shape(steps, 2, 1, 2), Settings([], ["reference"], [], dtype="float64"))
    assert allowed == [tolerance("float64", 4), tolerance("float64", 16)]


def test_a_contender_that_cannot_or_fails_is_said_to(work):
    expected = work.truth()

    def raises(error):
        def both():
            raise error

        contender = peer(work)
        contender.both = both
        return compared(contender, expected, tolerance("float32", SHAPE.T))

    row = raises(UnsupportedPrimitive("backend 'x' cannot run the primitive 'gather'"))
    assert row.error == "cannot run it: backend 'x' cannot run the primitive 'gather'"
    row = raises(MemoryError("no\n    room"))
    assert row.error == "MemoryError: no room"
    assert not row.wrong


def test_a_library_that_fails_when_it_is_set_up_does_not_stop_the_others(monkeypatch):
    def fails(*_):
        raise RuntimeError("no such layer")

    monkeypatch.setattr(suite.taking_part, "peer_contenders", fails)
    measured = measure(CELLS["elman"], SHAPE, Settings([SHAPE], ["reference"], ["torch"], rounds=1, budget=0.0))
    assert [row.error for row in measured.rows] == ["", "RuntimeError: no such layer"]
    assert measured.rows[0].both.seconds


def test_peak_and_spare_processors_follow_the_threads(monkeypatch):
    monkeypatch.setattr(suite, "fma_peak", lambda dtype, threads: {("float64", 2): 7.0}[dtype, threads])
    monkeypatch.setattr(suite.os, "cpu_count", lambda: 5)
    settings = Settings([SHAPE], ["reference"], [], threads=2, rounds=1, budget=0.0, dtype="float64")
    measured = measure(CELLS["elman"], SHAPE, settings)
    assert (measured.peak, measured.spare) == (7.0, 3)
    assert measured.rows[0].deviation["gradients"] == 0.0, "the same numbers as in float64"


def timed(name, ours, forward, both, error=""):
    return Row(name, ours, error, forward=Times(seconds=forward), both=Times(seconds=both))


def test_ratios_and_fractions_of_the_peak():
    rows = [
        timed("numba", True, [1.0, 2.0, 9.0], [4.0]),
        timed("quick forward", False, [3.0], [9.0]),
        timed("quick in both", False, [4.0], [8.0]),
        timed("wrong", False, [], [], "WRONG"),
    ]
    measured = Measured("x", "X()", SHAPE, rows, (100, 300), 100.0)
    assert measured.best_peer("forward") is rows[1]
    assert measured.best_peer("both") is rows[2]
    assert measured.ratio(rows[0], "forward") == 1.5
    assert measured.ratio(rows[0], "both") == 2.0
    assert measured.of_peak(rows[0], "forward") == 0.5
    assert measured.of_peak(rows[0], "both") == 0.75
    text = record.table(measured)
    assert "1.50x" in text
    assert "75.0%" in text
    alone = Measured("x", "X()", SHAPE, rows[:1], (100, 300))
    assert alone.best_peer("both") is None
    assert math.isnan(alone.ratio(rows[0], "both"))
    assert math.isnan(alone.of_peak(rows[0], "both"))
    assert "x peer" in record.table(alone)
    assert "%" not in record.table(alone)


def test_who_is_held_against_another_has_a_line_of_its_own():
    module, eager = timed("module", True, [1.0, 2.0, 4.0], [2.0]), timed("eager", False, [3.0, 8.0, 9.0], [7.0, 6.0])
    module.against = "eager"
    measured = Measured("x", "X()", SHAPE, [module, eager])
    line = "eager / module: forward + backward 3.25x (least 3.00x); forward 4.00x (least 3.00x, rounds 2.25x to 4.00x)"
    assert line in record.table(measured)
    eager.error = "WRONG"
    assert measured.comparisons() == []
    assert "eager / module" not in record.table(measured)


def test_the_time_of_the_processor_is_measured_where_it_is_asked_for(monkeypatch):
    seen = []
    monkeypatch.setattr(suite, "in_turn", lambda work, *rest, clock: seen.append(clock) or dict.fromkeys(work, Times()))
    for clock in ("wall", "processor"):
        settings = Settings([SHAPE], ["reference"], [], rounds=1, budget=0.0, clock=clock)
        measure(CELLS["elman"], SHAPE, settings)
        assert ("processor time" in record.heading(settings)) == (clock == "processor")
    assert seen == [time.perf_counter] * 2 + [time.process_time] * 2


def test_a_disturbed_measurement_is_marked():
    row = timed("numba", True, [1.0], [4.0])
    row.forward.others, row.both.others = [0.0, 1.0], [1.5, 1.5]
    quiet, disturbed = (Measured("x", "X()", SHAPE, [row], spare=spare) for spare in (1, 0))
    assert "disturbed" not in record.table(quiet)
    assert "disturbed: other programs used 1.0 processors" in record.table(disturbed)


def test_what_is_written_can_be_read_by_anybody():
    rows = [timed("numba", True, [1.0], [2.0]), timed("bad", False, [], [], "WRONG")]
    rows[1].deviation = {"ys": math.inf}
    settings = Settings([SHAPE], ["numba"], [], threads=3)
    text = record.as_json([Measured("x", "X()", SHAPE, rows, (1, 2))], settings)

    def refuse(constant):
        raise AssertionError(constant)

    read = json.loads(text, parse_constant=refuse)
    assert read["settings"] | {"threads": 3, "shapes": [[5, 3, 2, 4]], "backends": ["numba"]} == read["settings"]
    (result,) = read["results"]
    assert result["shape"] == {"T": 5, "B": 3, "I": 2, "H": 4}
    assert result["contenders"][0]["both"]["seconds"] == [2.0]
    assert result["contenders"][1]["deviation"] == {"ys": None}
    assert result["contenders"][1]["forward"]["median"] is None
    assert read["environment"]["versions"]["numpy"] == np.__version__
