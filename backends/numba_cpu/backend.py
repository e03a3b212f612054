"""The backend itself: it plans, compiles and runs a scan on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tapegrad.scan_primitive import Step

from ..graph import Empty, Unlowered
from ..inlining import inner_steps
from ..plan import make_plan
from ..reference import ReferenceBackend
from .binding import Program


def program_of(step: Step) -> Program | Unlowered:
    """The program for a step, or what stands in its way."""
    found = step.tape.derived.get("numba")
    if found is None:
        try:
            found = Program(make_plan(step))
        except Unlowered as reason:
            found = reason
        step.tape.derived["numba"] = found
    return found


class NumbaBackend:
    """Compiles a scan: its loop, the products before and behind it, and the sums over time.

    A loop within a step is compiled with it. Chunks of time (``checkpoint=``) are not: there, and where a step cannot
    be compiled but the scans in it can, the step is carried out operation by operation, and the scans are compiled.
    """

    name = "numba"

    def missing(self, step: Step) -> str | None:
        derived = step.tape.derived
        if "numba missing" not in derived:
            program = program_of(step)
            found = None
            if isinstance(program, Unlowered) and not isinstance(program, Empty):  # which has nothing to do
                inner = inner_steps(step.tape)
                refused = [name for name in map(self.missing, inner) if name is not None] if inner else [str(program)]
                found = refused[0] if refused else None
            derived["numba missing"] = found
        return derived["numba missing"]

    def run(self, step: Step, args: Sequence[Any], length: int, reverse: bool) -> tuple:
        program = program_of(step)
        found = program.call(args, length, reverse) if type(program) is Program else None
        return ReferenceBackend().run(step, args, length, reverse) if found is None else found
