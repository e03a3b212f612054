"""The most multiplications and additions that the processor does in a second, measured."""

from __future__ import annotations

import threading
import time
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tapegrad.errors import OptionError

from .tiles import ROWS, VECTORS
from .vectors import call_llvm, lane_sum, splat, vector_of

SUMS = ROWS * VECTORS  # as many as a tile holds: enough to hide an FMA's latency, and all in registers
SECONDS = 0.002  # of a round: long for the clock, short enough that some rounds are not interrupted
ROUNDS = 120


@intrinsic
def _multiply_add(typingctx, start, turns):
    """``SUMS`` vectors in registers, each multiplied and added to ``turns`` times; gives their sum."""
    vector = vector_of(start)

    def codegen(context, builder, signature, args):
        # x <- x / 2 + 1 / 2 stays where it begins, and is no denormal number.
        half = splat(builder, ir.Constant(args[0].type, 0.5), vector.lanes)
        sums = [cgutils.alloca_once(builder, vector.llvm) for _ in range(SUMS)]
        for i, sum_ in enumerate(sums):
            first = builder.fadd(args[0], ir.Constant(args[0].type, 1 + i / SUMS))
            builder.store(splat(builder, first, vector.lanes), sum_)
        with cgutils.for_range(builder, args[1]):
            for sum_ in sums:
                grown = call_llvm(builder, f"llvm.fma.{vector.suffix}", vector.llvm, builder.load(sum_), half, half)
                builder.store(grown, sum_)
        total = builder.load(sums[0])
        for sum_ in sums[1:]:
            total = builder.fadd(total, builder.load(sum_))
        return total

    return vector(start, types.intp), codegen


@numba.njit(nogil=True, error_model="numpy", boundscheck=False)
def _spin(start, turns):
    return lane_sum(_multiply_add(start, turns))


def fma_peak(dtype: Any = np.float32, threads: int = 1) -> float:
    """Measure how many floating-point operations the processor does in a second with vectors in registers alone.

    An FMA counts as two operations. The best of several rounds is taken, so that other programs matter little.

    Parameters
    ----------
    dtype : float32 or float64
    threads : int
        How many threads do so at once; at least 1.

    Returns
    -------
    float
        In GFLOP/s, over all threads.

    Raises
    ------
    OptionError
        If the dtype or the number of threads is another.

    Notes
    -----
    It takes about a quarter of a second, and twice as long when a process calls it for the first time.
    """
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        raise OptionError(f"fma_peak: dtype={dtype}; give float32 or float64")
    if not isinstance(threads, int) or threads < 1:
        raise OptionError(f"fma_peak: threads={threads!r}; give a whole number of at least 1")
    zero, turns = dtype.type(0), 1000
    _spin(zero, turns)
    while (took := _round(zero, turns, 1)) < SECONDS:
        turns = 1 + int(turns * min(10.0, 1.2 * SECONDS / took))
    best = min(_round(zero, turns, threads) for _ in range(ROUNDS))
    lanes = vector_of(numba.from_dtype(dtype)).lanes
    return 2 * lanes * SUMS * turns * threads / best / 1e9


def _round(zero: Any, turns: int, threads: int) -> float:
    """The seconds from the first thread's start to the last one's end."""
    ready, spans = threading.Barrier(threads), []

    def work() -> None:
        ready.wait()
        began = time.perf_counter()
        _spin(zero, turns)
        spans.append((began, time.perf_counter()))

    others = [threading.Thread(target=work) for _ in range(threads - 1)]
    for thread in others:
        thread.start()
    work()
    for thread in others:
        thread.join()
    return max(end for _, end in spans) - min(began for began, _ in spans)
