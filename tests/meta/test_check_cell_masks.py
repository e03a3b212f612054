"""check_cell is checked: faults that only lengths, reset, reverse or a second differentiation bring to light."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import masks
from tapegrad.cells import GRU, LSTM, Elman
from tapegrad.testing import check_cell
from tests.meta.failing import QUICK, failure
from tests.meta.test_check_cell_backends import WITH, spoilt  # noqa: F401 - a fixture
from tests.specs import PRIMITIVES
from tests.testing.odd_cells import ODD, Mixing

pytestmark = pytest.mark.usefixtures("nothing_remembered")


def only_masked(report):
    return all("masked" in mismatch.what for mismatch in report.mismatches)


def flags(step, args):
    """Where the masks lie among the arguments of a loop: the only arrays of booleans."""
    return [i for i, a in enumerate(args) if np.asarray(a).dtype == bool]


def test_without_a_fault_they_pass(spoilt):  # noqa: F811
    spoilt(lambda run, args, step, reverse: run(args))
    for cell in (Elman(2, 3), *ODD):
        assert ("lengths, reset and reverse" in check_cell(cell, oracles=WITH).skipped) == isinstance(cell, Mixing)


def test_a_backend_that_ignores_lengths(spoilt):  # noqa: F811
    def ignoring(run, args, step, reverse):
        for i in flags(step, args)[:1]:  # `valid` comes before `reset`
            args[i] = np.ones_like(args[i])
        return run(args)

    spoilt(ignoring)
    report = failure(LSTM(2, 3), oracles=WITH)
    assert only_masked(report)
    assert report.suspects() == ["spoilt"]
    assert "disagree under lengths, reset or reverse alone" in str(report)
    assert {"masked value under reverse mode", "reversed masked value under reverse mode"} <= {
        mismatch.what for mismatch in report.mismatches
    }


def test_a_backend_that_forgets_the_gradient_of_reset(spoilt):  # noqa: F811
    """The initial state is a parameter of a loop with resets: its gradient is the last but one of the sums."""

    def forgetting(run, args, step, reverse):
        found = list(run(args))
        if step.sums and flags(step, args):
            found[-1] = np.zeros_like(found[-1])
        return tuple(found)

    spoilt(forgetting)
    report = failure(Elman(2, 3), oracles=WITH)
    assert only_masked(report)
    assert report.suspects() == ["spoilt"]
    assert {(m.what, m.name) for m in report.mismatches} == {
        ("masked gradient", "state"), ("reversed masked gradient", "state")
    }  # fmt: skip


@pytest.mark.parametrize("cell", [Elman(2, 3), GRU(2, 3)], ids=lambda cell: type(cell).__name__)
def test_a_reversed_scan_that_starts_at_the_padded_end(cell, monkeypatch):
    """In reverse the padding comes first: a state must wait for the end of its row, and this one does not."""
    right = masks.Masks.wrap

    def wrong(self, step):
        self.lengths, kept = None, self.lengths
        moving = right(self, step)
        self.lengths = kept

        def masked(params, state, x):
            x, valid, restart = x
            new, y = moving(params, state, (x, None, restart))
            return new, tg.tree_map(lambda leaf: np.where(valid[:, None], leaf, 0), y)

        return masked

    monkeypatch.setattr(masks.Masks, "wrap", wrong)
    report = failure(cell)
    assert only_masked(report)
    first = report.mismatches[0]
    apart = {"reference", "rtrl"}
    assert any(apart >= set(group) for group in first.groups)
    assert any(mismatch.what.startswith("reversed masked value") and mismatch.name == "ys" and mismatch.numbers
               for mismatch in report.mismatches), "forwards these outputs are right"  # fmt: skip
    assert not any(mismatch.what.startswith("masked value") and mismatch.name == "ys" for mismatch in report.mismatches)


def test_padding_that_reaches_the_results(monkeypatch):
    """The inputs are not replaced: NaN times zero is NaN in the backward pass."""
    monkeypatch.setattr(masks.Masks, "_harmless", lambda self, leaf, valid: leaf)
    report = failure(Elman(2, 3), oracles=("tape", "reference"))
    assert only_masked(report)
    assert {mismatch.what for mismatch in report.mismatches} >= {"masked gradient", "reversed masked gradient"}
    assert any(np.isnan(mismatch.numbers["reference"]) for mismatch in report.mismatches)


# ---- second order
@pytest.mark.parametrize("name", ["tanh", "logistic"])
def test_a_rule_that_is_wrong_when_it_is_differentiated_again(name, monkeypatch):
    """It reads its result without the derivative of that: right to first order."""
    row = PRIMITIVES[name]
    (rule,) = row.derivatives
    monkeypatch.setattr(
        row, "derivatives", (lambda g, ans, x: rule(g, tg.stop_gradient(ans), tg.stop_gradient(x)),), raising=False
    )
    report = failure(LSTM(2, 3))
    assert {mismatch.what for mismatch in report.mismatches} == {"second derivative"}
    assert report.suspects() == ["differences"]
    assert "disagree about second derivatives alone" in str(report)
    assert check_cell(LSTM(2, 3), oracles=QUICK, order=1).ok
