"""Looking on while functions are transformed: for :func:`tapegrad.detect_anomaly` and :func:`tapegrad.tape_memory`.

A trace that is opened while somebody looks on gets a ``process`` that also looks; all others work as ever.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from ..primitives.registry import Primitive
from ..tape import ReverseTape, Tape
from ..tensor import WATCH, Trace
from .anomaly import Walk, check_made, check_results
from .loops import run_loop
from .memory import TapeMemory
from .places import place_of


class Watch:
    """What is looked for by this thread.

    Attributes
    ----------
    checking : bool
        Whether values are looked at, and loops run step by step.
    reports : tuple of TapeMemory
        Each is shown every tape when it is full.
    """

    def __init__(self, checking: bool, reports: tuple[TapeMemory, ...]):
        self.checking, self.reports = checking, reports
        self.recording: list[ReverseTape] = []

    def enter(self, trace: Trace) -> None:
        """Look at what a trace does, until it ends."""
        if not self.checking and not isinstance(trace, ReverseTape):
            return
        if isinstance(trace, Tape):
            trace.places = {}
        trace.process = partial(self._process, trace)  # type: ignore[method-assign]
        if self.reports and isinstance(trace, ReverseTape):
            self.recording.append(trace)
            trace.close = partial(self._close, trace)  # type: ignore[method-assign]

    def _process(self, trace: Trace, primitive: Primitive, args: Sequence[Any], options: dict[str, Any]) -> Any:
        made = type(trace).process(trace, primitive, args, options)
        if isinstance(trace, Tape):
            recorded = [tensor.slot - i for i, tensor in enumerate(made if primitive.multiple else [made])
                        if tensor.slot >= 0]  # fmt: skip
            place = place_of(sys._getframe(1)) if recorded else None
            if place is not None:
                trace.places[recorded[0]] = place
        if self.checking:
            check_made(trace, primitive, args, options, made)
        return made

    def _close(self, trace: ReverseTape) -> None:
        del trace.close
        for report in self.reports:
            report.look(self.recording)
        self.recording.remove(trace)
        trace.close()

    # ---- asked by what runs tapes and loops ----
    def ran(self, primitive: Primitive, values: Sequence[Any], options: dict[str, Any], ans: Any) -> None:
        """An operation of a tape was carried out."""
        if self.checking:
            check_results(primitive, values, options, ans)

    def walk(self, seeds: dict[int, Any]) -> Walk | None:
        """Who looks at a backward walk."""
        return Walk(seeds) if self.checking else None

    def loop(self, step: Any, args: Sequence[Any], length: int, reverse: bool, inner: bool) -> tuple:
        """Carry out a scan step by step."""
        return run_loop(step, args, length, reverse, inner)


class watched:  # noqa: N801 - read as `with watched(...)`
    """Have what happens inside the ``with`` block looked at, beside what is looked for outside."""

    def __init__(self, checking: bool = False, reports: tuple[TapeMemory, ...] = ()):
        self.checking, self.reports = checking, reports

    def __enter__(self) -> None:
        outer = WATCH.get()
        checking, reports = (outer.checking, outer.reports) if outer is not None else (False, ())
        self.token = WATCH.set(Watch(self.checking or checking, self.reports + reports))

    def __exit__(self, *error: Any) -> None:
        WATCH.reset(self.token)
