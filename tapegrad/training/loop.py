"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import NonFiniteError, OptionError
from ..freezing import freeze
from ..transforms import value_and_grad
from .clipping import clip_by_global_norm, clip_by_value, global_norm, non_finite
from .frozen import Frozen
from .optimizers import Optimizer
from .state import Best, Fit, Report, TrainingState

__all__ = ["fit"]


def fit(
    loss: Callable[..., Any],
    params: Any,
    batches: Callable[[int], Any],
    optimizer: Optimizer,
    *,
    steps: int | None = None,
    seconds: float | None = None,
    carry: Any = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    frozen: Any = None,
    evaluate: Callable[[Any], float] | None = None,
    evaluate_every: int | None = None,
    on_step: Callable[[Report], None] | None = None,
    progress: bool | None = None,
) -> Fit:
    """Minimise a loss over batches.

    Parameters
    ----------
    loss : callable
        ``loss(params, batch)`` gives a scalar; with a carry, ``loss(params, batch, carry)`` gives a scalar and
        the next carry, through which no gradient flows back (truncated BPTT).
    params : pytree or TrainingState
        Parameters to start from; or the state of an earlier run, to go on with it exactly.
    batches : callable
        ``batches(n)`` gives the batch of step n = 0, 1, ... That it depends on n alone is what makes a stopped run
        continue with the same losses; draw randomness from ``np.random.default_rng([seed, n])``.
    optimizer : Optimizer
    steps : int, optional
        Stop when this many updates have been made, those of earlier runs included.
    seconds : float, optional
        Stop after the step during which this time runs out. One of the two limits, or both, must be given.
    carry : pytree, optional
        The first carry. Not together with a TrainingState, which has its own.
    clip_norm, clip_value : float, optional
        See :func:`clip_by_global_norm`, :func:`clip_by_value`; by value comes first.
    frozen : pytree of bool and boolean arrays, optional
        True for parameters, or elements of them, that are not trained; see :func:`tapegrad.freeze`. They stay as they
        are to the bit, and count neither for clipping nor in the reported norm.
    evaluate : callable, optional
        ``evaluate(params)`` gives the held-out value; called every ``evaluate_every`` steps, and after the last. The
        parameters with the lowest are kept in ``state.best``, over all the runs that a state has gone through.
    on_step : callable, optional
        Receives a :class:`Report` after each step. Its state is complete: saving it is a checkpoint.
    progress : bool, optional
        Whether to draw a progress bar on standard error; by default only on a terminal.

    Returns
    -------
    Fit

    Raises
    ------
    NonFiniteError
        A loss, gradient, updated parameter or evaluation is NaN or infinite. The message says at which
        step and in which parameters. Every state handed out before is finite.
    OptionError
        No limit was given, or an option is outside its range.
    """
    if frozen is not None:
        loss, optimizer = _freezing(loss, frozen), Frozen(optimizer, frozen)
    state = _first_state(params, optimizer, carry)
    _check(steps, seconds, clip_norm, clip_value, evaluate_every)
    gradient = value_and_grad(loss, has_aux=state.carry is not None)
    result, begun = Fit(state), time.perf_counter()
    # Overflow is found, and reported with its place, by the checks below; NumPy's warnings would only repeat it.
    quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")
    with _Bar(steps, seconds, state.step, progress) as bar, quiet:
        finished = steps is not None and state.step >= steps
        while not finished:
            value, norm, state = _step(gradient, state, batches(state.step), optimizer, clip_norm, clip_value)
            finished = state.step == steps or (seconds is not None and time.perf_counter() - begun >= seconds)
            held_out = None
            if evaluate is not None and (finished or (evaluate_every and state.step % evaluate_every == 0)):
                held_out = _evaluated(evaluate, state)
                result.evaluations.append((state.step, held_out))
                if state.best is None or held_out < state.best.held_out:
                    state = replace(state, best=Best(state.params, held_out, state.step))
            result.state = state
            result.losses.append(value)
            result.seconds = time.perf_counter() - begun
            bar.show(state.step, result.seconds, value)
            if on_step is not None:
                on_step(Report(state, value, norm, held_out, result.seconds))
    return result


def _step(
    gradient: Callable[..., Any],
    state: TrainingState,
    batch: Any,
    optimizer: Optimizer,
    clip_norm: float | None,
    clip_value: float | None,
) -> tuple[float, float, TrainingState]:
    """One update: the loss, the norm of its gradient, and the next state."""
    carry = None
    if state.carry is None:
        value, grads = gradient(state.params, batch)
    else:
        (value, carry), grads = gradient(state.params, batch, state.carry)
    value, norm = float(value), global_norm(grads)
    if not math.isfinite(value) or not math.isfinite(norm):
        raise NonFiniteError(_diagnosis(state, value, grads))
    if clip_value is not None:
        grads = clip_by_value(grads, clip_value)
    if clip_norm is not None:
        grads, _ = clip_by_global_norm(grads, clip_norm)
    params, opt_state = optimizer.update(grads, state.opt_state, state.params)
    bad = non_finite(params)
    if bad:
        raise NonFiniteError(
            f"fit: step {state.step}: the update makes NaN or infinite the parameters {_some(bad)}; "
            "lower the learning rate"
        )
    return value, norm, replace(state, params=params, opt_state=opt_state, carry=carry, step=state.step + 1)


def _freezing(loss: Callable[..., Any], mask: Any) -> Callable[..., Any]:
    """The loss as a function of the free elements."""
    return lambda params, *rest: loss(freeze(params, mask), *rest)


def _diagnosis(state: TrainingState, value: float, grads: Any) -> str:
    parts = [f"fit: step {state.step}: the loss is {value:.4g}"]
    bad = non_finite(grads)
    parts.append(f"NaN or infinite gradient of {_some(bad)}" if bad else "all gradients are finite")
    bad = non_finite(state.carry)
    if bad:
        parts.append(f"NaN or infinite carry {_some(bad)}")
    remedy = "lower the learning rate, or clip the gradients (clip_norm=1.0)"
    return "; ".join([*parts, remedy]) + "; inside `with tapegrad.detect_anomaly():` the line that made it is named"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _evaluated(evaluate: Callable[[Any], float], state: TrainingState) -> float:
    value = float(evaluate(state.params))
    if not math.isfinite(value):
        raise NonFiniteError(
            f"fit: the held-out evaluation after step {state.step - 1} is {value}; all parameters are finite: "
            "lower the learning rate, or look for the logarithm of zero in the evaluation"
        )
    return value


def _first_state(params: Any, optimizer: Optimizer, carry: Any) -> TrainingState:
    if not isinstance(params, TrainingState):
        return TrainingState.start(params, optimizer, carry)
    if carry is not None:
        raise OptionError("fit: carry= came together with a TrainingState, which has its own; leave carry out")
    return params


def _check(
    steps: int | None,
    seconds: float | None,
    clip_norm: float | None,
    clip_value: float | None,
    evaluate_every: int | None,
) -> None:
    if steps is None and seconds is None:
        raise OptionError("fit: no limit was given; give steps= or seconds=")
    if steps is not None and steps < 0:
        raise OptionError(f"fit: steps={steps} is below 0")
    for name, value in (("seconds", seconds), ("clip_norm", clip_norm), ("clip_value", clip_value)):
        if value is not None and not value > 0:
            raise OptionError(f"fit: {name}={value!r} must be positive")
    if evaluate_every is not None and evaluate_every < 1:
        raise OptionError(f"fit: evaluate_every={evaluate_every} is below 1")


class _Bar:
    """A tqdm bar over steps, or over seconds where only time is limited."""

    def __init__(self, steps: int | None, seconds: float | None, first: int, progress: bool | None):
        from tqdm import tqdm

        # tqdm's disable=None means: silent unless standard error is a terminal.
        self._by_time = steps is None
        total = seconds if steps is None else steps
        shape = "{l_bar}{bar}| {n:.0f}/{total:.0f} " + ("s" if self._by_time else "steps") + "{postfix}"
        self._bar = tqdm(
            total=total,
            initial=0 if self._by_time else first,
            disable=None if progress is None else not progress,
            bar_format=shape,
            leave=False,
        )

    def show(self, step: int, seconds: float, loss: float) -> None:
        if not self._bar.disable:
            self._bar.set_postfix_str(f"loss {loss:.4g}", refresh=False)
            position = min(seconds, self._bar.total) if self._by_time else step
            self._bar.update(position - self._bar.n)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
