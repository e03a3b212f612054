"""The least time in which the machine could do some work, from rates that are measured in the same process.

It is the sum of four parts. Products at the processor's multiply-add peak, functions of elements each at the rate at
which vectors in the nearest cache go through it, and simple arithmetic at one instruction for each vector share the
same units of the processor. What is read and written comes on top, at the rate of arrays that are as large as what the
work touches (which may lie in a cache): on one thread a pass over a row waits for the product before it, and the next
product for the pass, so that neither can be done while the other is. A part of memory can be fetched beforehand, during
products; the sum is therefore a little more than what no program could go below. The larger of both in its place would
call every cell slow whose parts are alike, as those without recurrent products are. What a cache nearer than that gives
and takes is not counted, nor is the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from .bandwidth import memory_bandwidth
from .demand import Demand
from .suite import fma_peak

SMALLEST, LARGEST = 1 << 16, 1 << 26  # bytes of an array that the rate of memory is measured with


@dataclass(frozen=True)
class Roof:
    """The seconds that each kind of work takes at the least.

    Attributes
    ----------
    products, functions, simple, memory : float
    """

    products: float
    functions: float
    simple: float
    memory: float

    @property
    def seconds(self) -> float:
        """All parts, one after the other."""
        return self.products + self.functions + self.simple + self.memory


def roof(demand: Demand, dtype: Any, threads: int) -> Roof:
    """The least time for a demand."""
    peak, rate = fma_peak(str(dtype), threads), import_module("tapegrad.backends.numba_cpu.throughput").function_rate
    functions = sum(count / _rate(rate, name, str(dtype)) for name, count in demand.functions.items())
    return Roof(
        demand.products / peak,
        functions / threads,
        demand.simple / (peak / 2),  # an FMA counts as two operations
        demand.bytes / (1e9 * _bandwidth(threads, _array(demand.bytes // 2, threads))),
    )


@cache
def _rate(measured: Any, name: str, dtype: str) -> float:
    return float(measured(name, dtype))


@cache
def _bandwidth(threads: int, size: int) -> float:
    return memory_bandwidth(threads, size)


def _array(touched: int, threads: int) -> int:
    """The size of each of two arrays for each thread, a power of two, that are together about what is touched."""
    wanted = max(1, touched // (2 * threads))
    return min(LARGEST, max(SMALLEST, 1 << (wanted.bit_length() - 1)))
