"""check_cell is checked: a fault in one backend must be caught, with the backend and the argument named."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapegrad import backends
from tapegrad.backends import reference
from tapegrad.cells import GRU, LSTM, Elman, Stacked
from tapegrad.errors import OptionError, StructureError
from tapegrad.testing import CellMismatch, cells, check_cell
from tests.meta.failing import QUICK, failure

pytestmark = pytest.mark.usefixtures("nothing_remembered")
WITH = (*QUICK, "spoilt")


class Spoilt:
    """The reference backend with a fault."""

    name = "spoilt"

    def __init__(self, change):
        self.change = change

    def missing(self, step):
        return None

    def run(self, step, args, length, reverse):
        run = reference.ReferenceBackend().run
        return self.change(lambda args, reverse=reverse: run(step, args, length, reverse), list(args), step, reverse)


@pytest.fixture
def spoilt(monkeypatch):
    def register(change):
        monkeypatch.setattr(backends.base, "_LOADERS", dict(backends.base._LOADERS))
        monkeypatch.setattr(backends.base, "_LOADED", {})
        backends.register("spoilt", lambda: Spoilt(change))

    return register


def test_gates_that_are_swapped_in_one_backend(spoilt):
    def swapped(run, args, step, reverse):
        gates = [i for i, a in enumerate(args[: step.params]) if np.shape(a) == (3,)]
        if not step.sums:  # not in the backward loop
            args[gates[0]], args[gates[1]] = args[gates[1]], args[gates[0]]
        return run(args)

    spoilt(swapped)
    report = failure(LSTM(2, 3), oracles=WITH)
    assert report.mismatches[0].what.startswith("value")
    assert report.suspects() == ["spoilt"]
    assert "The majority is against spoilt" in str(report)
    assert "spoilt" in str(report).split("Repeat it with")[1]


def test_without_the_fault_the_backend_passes(spoilt):
    spoilt(lambda run, args, step, reverse: run(args))
    assert check_cell(GRU(2, 3), oracles=WITH).ok


def spoilt_sum(run, args, step, reverse):
    """The first of the parameters' gradients is off; the sums come last."""
    found = list(run(args))
    if step.sums:
        found[-step.sums] = found[-step.sums] * 1.001
    return tuple(found)


def spoilt_start(run, args, step, reverse):
    """What the backward pass says of the initial state."""
    found = list(run(args))
    if reverse:
        found[0] = -found[0]
    return tuple(found)


def spoilt_step(run, args, step, reverse):
    """The last output of the forward loop belongs to the step before."""
    found = list(run(args))
    if not reverse:
        found[step.state] = np.concatenate([found[step.state][:-1], found[step.state][-2:-1]])
    return tuple(found)


def wrong_direction(run, args, step, reverse):
    return run(args, reverse=False)


@pytest.mark.parametrize(
    ("change", "what", "name"),
    [
        (spoilt_sum, "gradient", "params."),
        (spoilt_start, "gradient", "state"),
        (spoilt_step, "value", "ys"),
        (wrong_direction, "gradient", ""),
    ],
)
def test_other_faults_of_a_backend(change, what, name, spoilt):
    spoilt(change)
    report = failure(Elman(2, 3), oracles=WITH)
    assert report.suspects() == ["spoilt"]
    assert report.mismatches[0].what == what
    assert report.mismatches[0].name.startswith(name)
    assert "reference" not in report.mismatches[0].groups[-1]


def test_a_fault_in_float32(spoilt):
    spoilt(spoilt_sum)
    report = failure(Elman(2, 3), oracles=WITH, dtype=np.float32)
    assert "dtype='float32'" in report.snippet()
    assert report.suspects() == ["spoilt"]


def test_a_gradient_of_another_dtype(spoilt):
    def single(run, args, step, reverse):
        return tuple(np.asarray(a, np.float32) for a in run(args))

    spoilt(single)
    report = failure(Elman(2, 3), oracles=("tape", "spoilt"))
    odd = [mismatch for mismatch in report.mismatches if mismatch.what == "shape or dtype of the tangent"]
    assert "float32[" in str(odd[0])
    assert "float64[" in str(odd[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none(bad, spoilt):
    def spoil(run, args, step, reverse):
        found = list(run(args))
        if step.sums:
            found[-1] = np.full_like(found[-1], bad)
        return tuple(found)

    spoilt(spoil)
    report = failure(Elman(2, 3), oracles=WITH)
    assert report.suspects() == ["spoilt"]
    assert f"spoilt       {bad}" in str(report)


def test_what_repeats_a_failure_makes_nested_cells_again(spoilt):
    spoilt(spoilt_sum)
    cell = Stacked((LSTM(2, 3), Elman(3, 2, "sigmoid")))
    snippet = failure(cell, oracles=("tape", "spoilt")).snippet()
    assert "from tapegrad.cells import LSTM\n" in snippet
    assert "cell is" not in snippet
    held = {}
    exec(snippet.split("from tapegrad.testing")[0] + "made = " + repr(cell), held)
    assert held["made"] == cell
    assert "oracles=('tape', 'spoilt'), seed=0, steps=" in snippet


# ---- oracles of the caller's own
def by_hand(params, state, xs, weights, factor=1.0):
    """Backpropagation through an Elman network, as textbooks write it."""
    hs, (d_final, d_ys) = [state], weights
    for x in xs:
        hs.append(np.tanh(x @ params["W_xh"] + hs[-1] @ params["W_hh"] + params["b_h"]))
    grads, d_xs, dh = {name: np.zeros_like(p) for name, p in params.items()}, np.zeros_like(xs), d_final
    for t in reversed(range(len(xs))):
        da = (dh + d_ys[t]) * (1 - hs[t + 1] ** 2)
        grads["W_xh"] += xs[t].T @ da
        grads["W_hh"] += factor * hs[t].T @ da
        grads["b_h"] += da.sum(axis=0)
        d_xs[t], dh = da @ params["W_xh"].T, da @ params["W_hh"].T
    return (hs[-1], np.stack(hs[1:])), (grads, dh, d_xs)


def test_a_backward_pass_written_by_hand():
    for dtype in (np.float64, np.float32):
        report = check_cell(Elman(2, 3), oracles=("tape", "rtrl"), others={"by hand": by_hand}, dtype=dtype)
        assert [(pair.first, pair.second) for pair in report.pairs] == [
            ("tape", "rtrl"), ("tape", "by hand"), ("rtrl", "by hand")
        ]  # fmt: skip
    alone = check_cell(Elman(2, 3), oracles=("tape",), others={"part": lambda *given: ((by_hand(*given)[0][0], None),
                                                                                      (None, None, None))})  # fmt: skip
    assert alone.pairs[0].count == 3 * report.batch * 3, "the final state, three times"


def test_a_wrong_one():
    others = {"by hand": lambda *given: by_hand(*given, factor=1.001)}
    report = failure(Elman(2, 3), oracles=("tape", "rtrl"), others=others)
    assert report.suspects() == ["by hand"]
    assert {mismatch.name for mismatch in report.mismatches} == {"params.W_hh"}
    assert "oracles=('tape',), others=others" in report.snippet()


@pytest.mark.parametrize(
    ("others", "error", "words"),
    [
        ({"tape": by_hand}, OptionError, "others has an oracle 'tape', which is the name of one here"),
        ({"it": lambda *given: (((1, 2), None), (None,) * 3)}, StructureError, "'it' returned .*, expected .*, or N"),
    ],
)
def test_others_that_do_not_fit(others, error, words):
    with pytest.raises(error, match=words):
        check_cell(Elman(2, 3), oracles=("tape",), others=others)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(cells(smooth=False), st.integers(0, 2**32 - 1), st.integers(0, 20))
def test_one_gradient_of_a_random_cell_that_is_off_is_caught(cell, seed, which):
    """Unless it is zero, and then nothing is off."""
    moved = []

    def off(run, args, step, reverse):
        found = list(run(args))
        if step.sums:
            at = len(found) - step.sums + which % step.sums
            found[at] = found[at] * 1.001
            moved.append(np.any(found[at]))
        return tuple(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backends.base, "_LOADERS", dict(backends.base._LOADERS))
        patch.setattr(backends.base, "_LOADED", {})
        backends.register("spoilt", lambda: Spoilt(off))
        try:
            check_cell(cell, seed=seed, oracles=("tape", "spoilt"))
            caught = False
        except CellMismatch as error:
            caught = all(mismatch.what.endswith("gradient") for mismatch in error.report.mismatches)
    assert caught == any(moved)
