"""What the call of a compiled loop needs beside straight code: the division of the work, and memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import gemm
from .arena import take
from .threads import in_parallel, thread_count

if TYPE_CHECKING:
    from .binding import Program

FEW = 256  # rows of all steps for which it does not pay to ask where memory comes from
SMALL = 200_000  # a call that touches fewer elements of scratch stays on one thread
DEPTH = 256  # rows of a sum over time that are multiplied at once: they, packed, stay in the cache


# ---- arguments and results ----
def contiguous(value: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The array itself, or a copy in memory that is used again: a cotangent may be one number, broadcast."""
    if value.flags.c_contiguous and value.dtype == dtype:
        return value
    if value.size <= FEW:
        return np.array(value, dtype, order="C")
    made = take(value.shape, dtype)
    np.copyto(made, value, casting="unsafe")
    return made


def with_time(value: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """The same at each step."""
    return np.array(np.broadcast_to(value, shape), dtype)


def out_of_range(faults: np.ndarray) -> IndexError:
    """What is said of an index that the loop did not follow."""
    return IndexError(
        f"getitem: index {faults[1]} is out of range for an axis of length {faults[2]}, in the step of a scan; "
        f"indices go from {-faults[2]} to {faults[2] - 1}"
    )


# ---- memory ----
def packing_memory(program: Program) -> np.ndarray:
    """Memory for packed right operands, of an earlier call that has ended if there is any."""
    try:
        packed = program.spare.pop()
    except IndexError:
        packed = aligned(program.packed_size, program.dtype)
    if program.is_padded:
        packed.fill(0)
    return packed


def aligned(size: int, dtype: np.dtype) -> np.ndarray:
    """Memory that begins with a line of the cache: small panels are read a third faster."""
    memory = np.empty(size + 64 // dtype.itemsize, dtype)
    start = -memory.__array_interface__["data"][0] % 64 // dtype.itemsize
    return memory[start : start + size]


# ---- division of the work ----
def share(rows: int, work: int) -> int:
    """The rows of each thread: whole tiles, and all of them on one thread when there is little to do."""
    if rows <= gemm.ROWS or work <= SMALL:
        return rows
    return min(rows, -(-rows // (thread_count() * gemm.ROWS)) * gemm.ROWS)


def spread(scratch_of: Callable, program: Program, mine: int, rows: int, length: int, reverse: bool, steps: int,
           packed: np.ndarray, faults: np.ndarray, states: Sequence[np.ndarray], arrays: Sequence[np.ndarray],
           ) -> tuple[np.ndarray, ...]:  # fmt: skip
    """Run the loop on several threads, of which each has ``mine`` rows, and return scratch that holds all sums."""
    parts = [(first, min(first + mine, rows)) for first in range(0, rows, mine)]
    scratch = [scratch_of(take, last - first, steps, rows) for first, last in parts]
    own = [_own_states(program, states) if first and program.shared else states for first, _ in parts]
    given = length, reverse
    fixed = rows, steps, program.numbers, program.scalars, packed, faults

    def part(number: int, first: int, last: int) -> None:
        program.loop(*given, first, last, *fixed, *scratch[number], *own[number], *arrays)

    in_parallel(part, [(number, first, last) for number, (first, last) in enumerate(parts)])
    for _, i in program.totals:
        for other in scratch[1:]:
            scratch[0][i][:] += other[i]
    return scratch[0]


def _own_states(program: Program, states: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The states for a thread: the common arrays, of which it has its rows, and states without rows of its own."""
    rowed = [program.states[k].rowed for k in program.plain]
    return [a if own else a.copy() for a, own in zip(states, rowed * 2, strict=True)]
