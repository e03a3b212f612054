"""One call of a compiled scan: arrays are bound, the loop runs on its threads, and results are put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import gemm
from .arena import take
from .binding import Array, Program
from .results import Call
from .threads import in_parallel, thread_count

FEW = 256  # rows of all steps for which it does not pay to ask where memory comes from
SMALL = 200_000  # a call that touches fewer elements of scratch stays on one thread
DEPTH = 256  # rows of a sum over time that are multiplied at once: they, packed, stay in the cache


def execute(program: Program, args: Sequence[Any], length: int, reverse: bool) -> tuple:
    """Run the loop: the final states, the ys and the sums."""
    count = program.rows(args)
    fixed = _once(program, args)
    memory = take if length * count > FEW else np.empty
    now, then, trails = _states(program, args, length, reverse, memory)
    kept = [memory((length, count, *shape) if rowed else (length, *shape), dtype)
            for rowed, shape, dtype in program.outputs]  # fmt: skip
    arrays = [
        *[a.ravel() for a in trails.values()],
        *[_contiguous(_leading(a, args), a.dtype).ravel() for a in program.streams],
        *[_flat(fixed[slot], axis, dtype) for slot, axis, dtype in program.fixed],
        *[a.ravel() for a in kept],
    ]
    parts = _parts(program, count, length)
    steps = _steps(program, parts[0][1], length)
    scratch = [_scratch(program, last - first, steps, count) for first, last in parts]
    faults = np.zeros(3, np.int64) if program.is_indexed else _NO_FAULTS
    packed = _packed(program, fixed)
    before = (program.numbers, program.scalars, packed, faults)
    states = [_of_thread(program, now, then, number) for number in range(len(parts))]

    def part(number: int, first: int, last: int) -> None:
        program.loop(length, reverse, first, last, count, steps, *before, *scratch[number], *states[number], *arrays)

    if len(parts) == 1:
        part(0, *parts[0])
    else:
        in_parallel(part, [(i, first, last) for i, (first, last) in enumerate(parts)])
    program.spare.append(packed)
    if faults[0]:
        raise IndexError(
            f"getitem: index {faults[1]} is out of range for an axis of length {faults[2]}, in the step of a scan; "
            "indices count from 0"
        )
    final = dict(zip(program.plain, now if length % 2 == 0 else then, strict=True))
    final.update({k: trail[0 if reverse else -1].copy() for k, trail in trails.items()})
    call = Call(args, fixed, final, kept, trails, _added(program, scratch), length, count, reverse)
    return tuple([make(call) for make in program.makers])


_NO_FAULTS = np.zeros(3, np.int64)


# ---- arguments ----
def _once(program: Program, args: Sequence[Any]) -> dict[int, Any]:
    """The values that follow from the parameters."""
    fixed: dict[int, Any] = dict(zip(program.parameters, args, strict=False))
    if program.tape.consts:
        fixed.update(program.tape.consts)
    for slot, node in program.once:
        values = [v if s < 0 else fixed[s] for s, v in zip(node.slots, node.args, strict=True)]
        ans = node.primitive.run(*values, **node.options)
        for i, value in enumerate(ans if node.primitive.multiple else (ans,)):
            fixed[slot + i] = value
    return fixed


def _states(
    program: Program, args: Sequence[Any], length: int, reverse: bool, memory: Any
) -> tuple[list[np.ndarray], list[np.ndarray], dict[int, np.ndarray]]:
    """The states as they are and memory for those to come; and those that are kept for all steps."""
    plain = [program.states[k] for k in program.plain]
    now = [np.array(_leading(a, args), a.dtype).ravel() for a in plain]
    trails = {}
    for k in program.trails:
        first, dtype = _leading(program.states[k], args), program.states[k].dtype
        trails[k] = memory((length + 1, *np.shape(first)), dtype)
        trails[k][-1 if reverse else 0] = first
    return now, [np.empty_like(a) for a in now], trails


def _of_thread(program: Program, now: list, then: list, number: int) -> list[np.ndarray]:
    """The states for one thread: the common arrays, of which it has its rows, and states without rows of its own."""
    if number == 0 or not program.shared:
        return [*now, *then]
    rowed = [program.states[k].rowed for k in program.plain]
    return [a if own else a.copy() for a, own in zip([*now, *then], rowed * 2, strict=True)]


def _leading(array: Array, args: Sequence[Any]) -> Any:
    """An argument with its rows first, or behind time."""
    value = args[array.index]
    return np.moveaxis(value, array.axis + array.late, array.late) if array.axis else value


def _contiguous(value: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The array itself, or a copy in memory that is used again: a cotangent may be one number, broadcast."""
    if value.flags.c_contiguous and value.dtype == dtype:
        return value
    made = take(value.shape, dtype)
    np.copyto(made, value, casting="unsafe")
    return made


def _flat(value: Any, axis: int | None, dtype: np.dtype) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(value, axis, 0) if axis else value, dtype).ravel()


def _packed(program: Program, fixed: dict[int, Any]) -> np.ndarray:
    """The right operands of products, packed, in memory of an earlier call that has ended."""
    try:
        packed = program.spare.pop()
    except IndexError:
        packed = _aligned(program.packed_size, program.dtype)
    if program.is_padded:
        packed.fill(0)
    if program.weights:
        given: list[Any] = [packed]
        for slot, perm, columns in program.weights:
            value = fixed[slot]
            if perm == (0, 1):
                given += (np.ascontiguousarray(value, program.dtype).ravel(), columns, 1)
            elif perm == (1, 0):
                given += (np.ascontiguousarray(value, program.dtype).ravel(), 1, value.shape[1])
            else:
                given += (np.ascontiguousarray(np.transpose(value, perm), program.dtype).ravel(), columns, 1)
        program.prepare(*given)
    return packed


def _aligned(size: int, dtype: np.dtype) -> np.ndarray:
    """Memory that begins with a line of the cache: small panels are read a third faster."""
    memory = np.empty(size + 64 // dtype.itemsize, dtype)
    start = -memory.__array_interface__["data"][0] % 64 // dtype.itemsize
    return memory[start : start + size]


# ---- division of the work ----
def _parts(program: Program, rows: int, length: int) -> list[tuple[int, int]]:
    """The rows of each thread: whole tiles, and all on one thread when there is little to do."""
    if not program.is_rowed:
        return [(0, 1)]
    if rows <= gemm.ROWS or length * rows * program.scratch_size <= SMALL:
        return [(0, rows)]
    each = -(-rows // (thread_count() * gemm.ROWS)) * gemm.ROWS
    return [(first, min(first + each, rows)) for first in range(0, rows, each)]


def _steps(program: Program, rows: int, length: int) -> int:
    """The number of steps in a chunk: rows enough for the products outside the loop, and few enough for the cache."""
    if program.sums_late or (program.has_before and rows < gemm.ROWS):
        return max(1, min(length, DEPTH // (rows * program.lead)))
    return 1 if program.has_before else length


def _scratch(program: Program, rows: int, steps: int, count: int) -> list[np.ndarray]:
    """The scratch arrays of one thread."""
    made = []
    for kind, size, dtype in program.pools:
        if kind == "total_shared":
            made.append(np.zeros(size, dtype))
        elif kind == "total":
            made.append(np.zeros(count * size, dtype))
        elif kind == "work":
            made.append(take((rows * size,), dtype))
        elif kind == "work_shared":
            made.append(np.empty(size, dtype))
        else:
            made.append(take(((1 if kind == "chunk_shared" else rows) * steps * size,), dtype))
    return made


# ---- sums ----
def _added(program: Program, scratch: list[list[np.ndarray]]) -> dict[str, np.ndarray]:
    """The sums of all threads."""
    found = {}
    for name, number in program.totals:
        total = scratch[0][number]
        for other in scratch[1:]:
            total += other[number]
        found[name] = total
    return found
