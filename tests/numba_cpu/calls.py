"""The calls of compiled loops with other values for the names that they know: memory, shares of threads, chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np

from tapegrad.backends.numba_cpu import backend, run
from tapegrad.backends.numba_cpu.binding import Program


@contextmanager
def knowing(seen: Callable[[Program], Any] = lambda program: None, **names: Any) -> Iterator[set[Program]]:
    """Within it calls know these values by these names, and ``seen`` is told of each program that is called."""
    program_of, programs = backend.program_of, set()
    with ExitStack() as stack:

        def found(step: Any) -> Any:
            program = program_of(step)
            if isinstance(program, Program):
                if program not in programs:
                    programs.add(program)
                    stack.enter_context(mock.patch.dict(program.call.__globals__, names))
                seen(program)
            return program

        stack.enter_context(mock.patch.object(backend, "program_of", found))
        yield programs


@contextmanager
def spoilt() -> Iterator[set[Program]]:
    """Within it fresh memory holds NaN, and -1, and so does that of packed weights."""
    empty, take = np.empty, run.take

    def filled(made: np.ndarray) -> np.ndarray:
        made.reshape(-1).view(np.uint8).fill(255)
        return made

    def spoil_packed(program: Program) -> None:
        for packed in program.spare:
            filled(packed)

    def fresh(*args: Any, **options: Any) -> np.ndarray:
        return filled(empty(*args, **options))

    def taken(*args: Any) -> np.ndarray:
        return filled(take(*args))

    with (
        mock.patch.object(np, "empty", fresh),
        mock.patch.object(run, "take", taken),
        knowing(spoil_packed, empty=fresh, take=taken) as programs,
    ):
        yield programs
