"""Timing several pieces of work in turn, in one process, on a machine that may have other work to do."""

from __future__ import annotations

import gc
import math
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: Seconds between two contenders. The threads of OpenMP and OpenBLAS wait for more work by spinning, for up to some
#: tens of milliseconds, and would take the processor from whoever comes next. It is also how long others are watched.
PAUSE = 0.1
#: A measurement of fewer seconds than this is the mean over several calls.
SHORT = 0.004
#: Processors, beyond those that are free for them, that others use when a measurement counts as disturbed; the system
#: counts in steps of about 0.1.
DISTURBED = 0.25


@dataclass
class Times:
    """What was measured of one piece of work.

    Attributes
    ----------
    calls : int
        The number of calls that each entry is the mean of.
    first : float
        Seconds of the very first call, compilation included.
    seconds : list of float
        One entry for each round, per call.
    others : list of float
        How many processors other programs used meanwhile; NaN where the system does not tell.
    """

    calls: int = 1
    first: float = math.nan
    seconds: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds) if self.seconds else math.nan

    @property
    def best(self) -> float:
        return min(self.seconds, default=math.nan)


def in_turn(
    work: Mapping[str, Callable[[], object]], rounds: int, budget: float, patience: float = 0.0, spare: int = 0,
    short: float = SHORT, clock: Callable[[], float] | None = None,
) -> dict[str, Times]:  # fmt: skip
    """Time everything ``rounds`` times, in turn.

    Each turn is a pause, a call that is not timed, and the measurement.

    Parameters
    ----------
    work : dict of str to callable
        All have been called before: compilation is not timed here.
    rounds : int
    budget : float
        Seconds: what would take longer in all takes part in fewer rounds, spread evenly, but in two at least.
    patience : float
        Seconds, for all together, to wait while other programs run, and to measure again what they disturbed.
    spare : int
        Processors that the work does not use, which others may.
    short : float
        A measurement of fewer seconds than this is the mean over several calls.
    clock : callable
        Gives the seconds; ``time.perf_counter`` by default. With ``time.process_time``, which is that of all threads
        together, other programs count only by what they take of caches and memory.
    """
    estimates = {name: _timed(once, 1) for name, once in work.items()}
    times = {name: Times(max(1, math.ceil(short / max(estimates[name], 1e-7)))) for name in work}
    turns = {}
    for name, estimate in estimates.items():
        turn = max(estimate * (times[name].calls + 1), 1e-7)
        turns[name] = min(rounds, max(2, int(budget / turn)))
    deadline = time.perf_counter() + patience
    for i in range(rounds):
        for name, once in work.items():
            if (i + 1) * turns[name] // rounds > i * turns[name] // rounds:
                seconds, others = _turn(once, times[name].calls, deadline, spare + DISTURBED, clock)
                times[name].seconds.append(seconds)
                times[name].others.append(others)
    return times


def _turn(
    once: Callable[[], object], calls: int, deadline: float, most: float, clock: Callable[[], float] | None
) -> tuple[float, float]:
    """Seconds per call, and the processors that others used: ``most`` at most while there is time to wait."""
    enabled = gc.isenabled()
    while True:
        gc.collect()
        watch = Watch()
        time.sleep(PAUSE)
        if watch.others() > most and time.perf_counter() < deadline:
            continue
        once()
        gc.disable()
        try:
            seconds = _timed(once, calls, clock)
        finally:
            if enabled:
                gc.enable()
        others = watch.others()
        if not (others > most and time.perf_counter() < deadline):
            return seconds, others


def _timed(once: Callable[[], object], calls: int, clock: Callable[[], float] | None = None) -> float:
    clock = clock or time.perf_counter
    start = clock()
    for _ in range(calls):
        once()
    return (clock() - start) / calls


class Watch:
    """How much the programs beside this one run, from when it is made."""

    STAT = Path("/proc/stat")

    def __init__(self) -> None:
        self.start = self._now()

    def others(self) -> float:
        """The processors that others used on average; NaN where the system does not tell."""
        wall, used = (b - a for a, b in zip(self.start, self._now(), strict=True))
        return math.nan if math.isnan(used) or wall <= 0 else max(0.0, used / wall)

    def _now(self) -> tuple[float, float]:
        """The time, and the processor seconds of all programs but this one."""
        try:
            numbers = [int(n) for n in self.STAT.read_text().split("\n", 1)[0].split()[1:9]]
            busy = sum(numbers) - numbers[3] - numbers[4]  # all but idle time and waiting for disks
            return time.perf_counter(), busy / os.sysconf("SC_CLK_TCK") - time.process_time()
        except (OSError, ValueError, IndexError, AttributeError):
            return time.perf_counter(), math.nan
