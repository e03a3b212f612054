import os
import re
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from tapegrad import pytree
from tapegrad.errors import NonFiniteError, OptionError
from tapegrad.training import SGD, Adam, InverseSqrt, RMSProp, TrainingState, fit, load_checkpoint, save_checkpoint

TARGET = np.array([1.0, -2.0, 0.5], np.float32)


def distance(params, batch):
    return np.mean((params["w"] - batch) ** 2)


def noisy_target(n):
    return TARGET + 0.1 * np.random.default_rng([0, n]).standard_normal(3, np.float32)


def leaky(params, batch, carry):
    """A one-step recurrence, so that the carry matters."""
    hidden = np.tanh(params["w"] * carry["h"] + batch)
    return np.mean((hidden - 0.3) ** 2), {"h": hidden}


def zeros():
    return {"w": np.zeros(3, np.float32)}


def test_the_loss_falls_and_dtypes_stay():
    result = fit(distance, zeros(), noisy_target, Adam(0.05), steps=300)
    assert result.losses[-1] < 0.05 < result.losses[0]
    assert result.state.step == len(result.losses) == 300
    assert result.state.params["w"].dtype == np.float32
    assert result.state.opt_state["m"]["w"].dtype == np.float32


def test_first_step_by_hand():
    result = fit(distance, zeros(), lambda n: TARGET, SGD(0.3), steps=1)
    assert result.losses == [pytest.approx(np.mean(TARGET**2))]
    np.testing.assert_allclose(result.state.params["w"], 0.3 * 2 / 3 * TARGET, rtol=1e-6)


def test_clipping_is_applied():
    clipped = fit(distance, zeros(), lambda n: 1e6 * TARGET, SGD(1.0), steps=1, clip_norm=1.0)
    assert np.linalg.norm(clipped.state.params["w"]) == pytest.approx(1.0)
    clipped = fit(distance, zeros(), lambda n: 1e6 * TARGET, SGD(1.0), steps=1, clip_value=0.5)
    np.testing.assert_allclose(clipped.state.params["w"], [0.5, -0.5, 0.5])


def test_reports_and_evaluations():
    reports = []
    result = fit(
        distance,
        zeros(),
        noisy_target,
        SGD(0.1),
        steps=7,
        evaluate=lambda params: float(params["w"][0]),
        evaluate_every=3,
        on_step=reports.append,
    )
    assert [step for step, _ in result.evaluations] == [3, 6, 7]
    assert [report.state.step for report in reports] == [1, 2, 3, 4, 5, 6, 7]
    assert [report.held_out is not None for report in reports] == [False, False, True, False, False, True, True]
    assert reports[-1].held_out == result.evaluations[-1][1] == result.state.params["w"][0]
    assert [report.loss for report in reports] == result.losses
    assert 0 < reports[0].seconds <= reports[-1].seconds == result.seconds
    assert reports[0].gradient_norm > 0


def kept(values, state=None, seen=None):
    """The end of a run of three more steps, after each of which the evaluation gives one of these values."""
    told, steps = iter(values), 3 if state is None else state.step + 3
    return fit(
        distance,
        state or zeros(),
        noisy_target,
        SGD(0.1),
        steps=steps,
        evaluate=lambda params: next(told),
        evaluate_every=1,
        on_step=None if seen is None else seen.append,
    ).state


def test_the_parameters_of_the_lowest_evaluation_are_kept():
    seen = []
    state = kept([3.0, 1.0, 2.0], seen=seen)
    assert (state.best.step, state.best.held_out, state.step) == (2, 1.0, 3)
    np.testing.assert_array_equal(state.best.params["w"], seen[1].state.params["w"])
    assert not np.array_equal(state.best.params["w"], state.params["w"])
    assert [report.state.best.step for report in seen] == [1, 2, 2], "a report's state is complete"
    assert kept([1.0, 1.0, 1.0]).best.step == 1
    assert fit(distance, zeros(), noisy_target, SGD(0.1), steps=2).state.best is None


def test_a_run_that_goes_on_has_to_do_better_than_before():
    state = kept([3.0, 1.0, 2.0])
    assert kept([1.5, 1.5, 1.5], state).best is state.best
    assert kept([1.5, 0.5, 1.5], state).best.step == 5


def test_time_limits():
    start = time.perf_counter()
    result = fit(distance, zeros(), noisy_target, SGD(0.1), seconds=0.2, evaluate=lambda params: 1.0)
    assert 0.2 <= time.perf_counter() - start < 5
    assert result.evaluations == [(len(result.losses), 1.0)]
    assert len(fit(distance, zeros(), noisy_target, SGD(0.1), seconds=1e-9).losses) == 1
    assert len(fit(distance, zeros(), noisy_target, SGD(0.1), seconds=60, steps=2).losses) == 2


@pytest.mark.parametrize(
    "optimizer",
    [SGD(0.1, 0.9), RMSProp(0.01, momentum=0.5, centered=True), Adam(InverseSqrt(0.1, 4))],
)
@pytest.mark.parametrize("stop", [1, 6, 9])
def test_a_run_stopped_and_read_from_disk_continues_bit_for_bit(tmp_path, optimizer, stop):
    carry = {"h": np.zeros(3, np.float32)}
    options = {"evaluate": lambda params: float(params["w"].sum()), "evaluate_every": 3}
    whole = fit(leaky, zeros(), noisy_target, optimizer, steps=12, carry=carry, **options)

    first = fit(leaky, zeros(), noisy_target, optimizer, steps=stop, carry=carry, **options)
    trees = {"params": first.state.params, "optimizer": first.state.opt_state, "carry": first.state.carry}
    save_checkpoint(tmp_path / "run", trees, {"step": first.state.step})

    found = load_checkpoint(tmp_path / "run")
    like = TrainingState.start(zeros(), optimizer, carry)
    state = TrainingState(
        found.tree("params", like.params),
        found.tree("optimizer", like.opt_state),
        found.tree("carry", like.carry),
        found.config["step"],
    )
    second = fit(leaky, state, noisy_target, optimizer, steps=12, **options)
    assert first.losses + second.losses == whole.losses
    assert set(second.evaluations) <= set(whole.evaluations)
    states = (replace(run.state, best=None) for run in (second, whole))
    for a, b in zip(*map(pytree.leaves, states), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_no_gradient_flows_through_the_carry():
    first = fit(leaky, zeros(), noisy_target, SGD(0.1), steps=1, carry={"h": np.ones(3, np.float32)})
    assert isinstance(first.state.carry["h"], np.ndarray)


def test_a_finished_run_does_nothing_more():
    state = fit(distance, zeros(), noisy_target, SGD(0.1), steps=3).state
    again = fit(distance, state, noisy_target, SGD(0.1), steps=3)
    assert again.state is state
    assert again.losses == []


# ---- what is not finite


def test_a_loss_that_is_not_finite_stops_the_run_by_name():
    def loss(params, batch):
        return np.sum(params["good"]) + np.sum(params["bad"]["W"] * batch)

    params = {"good": np.ones(2), "bad": {"W": np.ones((2, 2))}}

    def batches(n):
        return np.array([[1.0, np.inf if n == 4 else 1.0]] * 2)

    seen = []
    words = r"fit: step 4: the loss is (inf|nan); NaN or infinite gradient of bad\.W \(2 of 4 elements\); lower"
    with pytest.raises(NonFiniteError, match=words):
        fit(loss, params, batches, SGD(0.01), steps=10, on_step=seen.append)
    assert len(seen) == 4
    assert all(np.isfinite(leaf).all() for leaf in pytree.leaves(seen[-1].state))


def test_a_gradient_that_is_not_finite_stops_the_run_though_the_loss_is_finite():
    def loss(params, batch):
        return np.sum(np.sqrt(params["a"])) + np.sum(params["b"])

    with pytest.raises(
        NonFiniteError, match=r"step 0: the loss is 3; NaN or infinite gradient of a \(1 of 2 elements\)"
    ):
        fit(loss, {"a": np.array([0.0, 1.0]), "b": np.ones(2)}, lambda n: None, SGD(0.1), steps=1)


def test_an_update_that_is_not_finite_is_not_handed_out():
    seen = []
    with pytest.raises(NonFiniteError, match=r"step 0: the update makes NaN or infinite the parameters w \(3 of 3"):
        fit(distance, zeros(), lambda n: 1e10 * TARGET, SGD(1e30), steps=5, on_step=seen.append)
    assert seen == []


def test_a_carry_that_is_not_finite_is_named():
    def loss(params, batch, carry):
        return np.sum(params["w"]) + carry, carry * np.float64(1e200)

    with pytest.raises(
        NonFiniteError, match=r"step 1: the loss is inf; all gradients are finite; NaN or infinite carry"
    ):
        fit(loss, zeros(), lambda n: None, SGD(1e-3), steps=5, carry=np.float64(1e200))


def test_an_evaluation_that_is_not_finite_stops_the_run():
    with pytest.raises(NonFiniteError, match="held-out evaluation after step 1 is nan"):
        fit(distance, zeros(), noisy_target, SGD(0.1), steps=5, evaluate=lambda p: np.nan, evaluate_every=2)


def test_long_lists_are_cut_short():
    params = {f"p{i}": np.zeros(1) for i in range(9)}
    with pytest.raises(NonFiniteError, match=r"p0 \(1 of 1 elements\), p1 .*, p2 .* and 6 more;"):
        fit(lambda p, b: sum(np.sum(v) * b for v in p.values()), params, lambda n: np.nan, SGD(1.0), steps=1)


# ---- options, the bar, memory


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "no limit was given; give steps= or seconds="),
        ({"steps": -1}, "steps=-1 is below 0"),
        ({"seconds": 0}, "seconds=0 must be positive"),
        ({"steps": 1, "clip_norm": 0.0}, "clip_norm=0.0 must be positive"),
        ({"steps": 1, "clip_value": float("nan")}, "clip_value=nan must be positive"),
        ({"steps": 1, "evaluate_every": 0}, "evaluate_every=0 is below 1"),
    ],
)
def test_impossible_options(options, words):
    with pytest.raises(OptionError, match=re.escape(words)):
        fit(distance, zeros(), noisy_target, SGD(0.1), **options)


def test_a_carry_beside_a_state_is_refused():
    state = TrainingState.start(zeros(), SGD(0.1))
    with pytest.raises(OptionError, match="leave carry out"):
        fit(leaky, state, noisy_target, SGD(0.1), steps=1, carry=1.0)


@pytest.mark.parametrize("limits", [{"steps": 20}, {"seconds": 0.3}])
def test_the_bar_is_silent_unless_on_a_terminal_or_asked_for(capsys, limits):
    fit(distance, zeros(), noisy_target, SGD(0.1), **limits)
    assert capsys.readouterr() == ("", "")
    fit(distance, zeros(), noisy_target, SGD(0.1), **limits, progress=True)
    output = capsys.readouterr()
    assert output.out == ""
    assert "%|" in output.err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/statm")
def test_two_thousand_steps_keep_resident_memory_flat():
    """A step makes 200 kB of arrays: if a tape, or what it holds, lived on, hundreds of MB would pile up."""

    def loss(params, batch, carry):
        hidden = carry
        for x in batch:
            hidden = np.tanh(x @ params["U"] + hidden @ params["W"])
        return np.mean(hidden**2), hidden

    rng = np.random.default_rng(0)
    params = {"U": rng.standard_normal((16, 64), np.float32), "W": 0.1 * rng.standard_normal((64, 64), np.float32)}
    resident = []

    def note(report):
        if report.state.step in (500, 2000):
            with open("/proc/self/statm") as file:
                resident.append(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))

    fit(
        loss,
        params,
        lambda n: np.random.default_rng(n).standard_normal((4, 32, 16), np.float32),
        Adam(1e-3),
        steps=2000,
        carry=np.zeros((32, 64), np.float32),
        clip_norm=1.0,
        on_step=note,
    )
    assert resident[1] - resident[0] < 8e6
