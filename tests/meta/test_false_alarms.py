"""The count of false alarms: it counts, it repeats, and an accusation is seen."""

import sys
import time

import numpy as np
import pytest
from hypothesis import strategies as st

from tests.benchmarks import false_alarms
from tests.specs import PRIMITIVES, SPECS


def ended(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["false_alarms.py", *arguments])
    return false_alarms.main()


def test_what_is_right_is_not_accused(monkeypatch, capsys):
    assert ended(monkeypatch, "--cases", "40", "--seed", "3") == 0
    lines = capsys.readouterr().out.split("\n")
    assert [line.split()[0] for line in lines[1:4]] == ["programs", "cells", "primitives"]
    passed = sum(int(line.split()[1]) + int(line.split()[3]) for line in lines[1:4])
    assert passed == 40


@pytest.mark.usefixtures("nothing_remembered")
@pytest.mark.parametrize("kind", ["programs", "cells", "primitives"])
def test_an_accusation_is_counted_and_printed(kind, monkeypatch, capsys):
    """What is wrong is accused: a rule that is off. So what is printed for a false alarm can be seen."""
    monkeypatch.setattr(
        PRIMITIVES["tanh"], "derivatives", (lambda g, ans, x: g * (1.001 - ans * ans),), raising=False
    )
    row = st.tuples(st.just(SPECS["tanh"]), SPECS["tanh"].calls)
    monkeypatch.setitem(
        false_alarms.KINDS, "primitives", (st.tuples(row, false_alarms.NUMBERS), false_alarms.check_row)
    )
    assert ended(monkeypatch, "--only", kind, "--cases", "8" if kind == "cells" else "30") == 1
    out = capsys.readouterr().out
    assert "Mismatch: check_" in out
    assert f"\n{kind}: " in out
    assert "0 accused" not in out


def test_it_stops_in_time(monkeypatch, capsys):
    start = time.monotonic()
    assert ended(monkeypatch, "--cases", "100000", "--minutes", "0.01") == 0
    assert time.monotonic() - start < 30
    assert capsys.readouterr().out.count("; the time was over") == 3


def test_one_seed_draws_the_same_cases(monkeypatch):
    drawn = []
    strategy, _ = false_alarms.KINDS["primitives"]
    monkeypatch.setitem(false_alarms.KINDS, "primitives", (strategy, lambda case: drawn.append(case[1])))
    for number in (1, 1, 2):
        false_alarms.run("primitives", 10, number, np.inf)
    n = len(drawn) // 3
    assert drawn[:n] == drawn[n : 2 * n] != drawn[2 * n :]
