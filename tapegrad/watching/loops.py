"""A scan carried out step by step, so that the first bad step is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..primitives.reductions import sum_
from ..tape import run
from .anomaly import bad_in
from .message import alarm


def run_loop(step: Any, args: Sequence[Any], length: int, reverse: bool, inner: bool) -> tuple:
    """The results of a scan, as those of the reference backend.

    Parameters
    ----------
    step : Step
    args : sequence of array
    length : int
    reverse : bool
    inner : bool
        Whether the loop goes over a chunk of time, and the loop around it over chunks.
    """
    first, last = step.params, step.params + step.state
    params, state, xs = args[:first], list(args[first:last]), args[last:]
    cut, avals = step.state + step.ys, step.results(length)
    ys = [np.empty(aval.shape, aval.dtype) for aval in avals[step.state : cut]]
    sums: list[Any] = [np.zeros(aval.shape, aval.dtype) for aval in avals[cut:]]
    for t in range(length - 1, -1, -1) if reverse else range(length):
        outs = run(step.tape, [*params, *state, *[x[t] for x in xs]])
        state = outs[: step.state]
        for y, out in zip(ys, outs[step.state : cut], strict=True):
            y[t] = out
        for i, out in enumerate(outs[cut:]):
            sums[i] = _added(sums[i], out)
    finals = [np.array(value, aval.dtype)[()] for value, aval in zip(state, avals, strict=False)]
    return (*finals, *ys, *sums)


def _added(total: np.ndarray, out: Any) -> np.ndarray:
    """A sum over time; its overflow is an anomaly of its own."""
    with np.errstate(over="ignore"):
        new = np.add(total, out, dtype=total.dtype)
    bad = bad_in(new)
    if bad is not None and bad_in(out) is None and bad_in(total) is None:
        alarm(sum_, {}, "", new, bad, (total, out))
    return new
