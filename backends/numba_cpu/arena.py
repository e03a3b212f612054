"""Memory for large buffers that is used again.

Fresh memory comes from the system page by page, each cleared at its first touch: for the residuals of a long sequence
that takes longer than computing them. A buffer's memory comes back here when the last array that shares it dies.
"""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from tapegrad.errors import OptionError

SMALL = 64 << 10  # bytes below which memory comes from NumPy, whose allocator uses small memory again by itself
ALIGNMENT = 64
# Buffers begin at different places of a page. Where a loop goes through twenty of them at once, all that it touches
# would otherwise share a few sets of the first-level cache: it takes twice the time.
PAGE, SHIFT = 4096, 9 * ALIGNMENT


def limit() -> int:
    """How many bytes of unused memory are kept: ``TAPEGRAD_ARENA_MIB``, else 1024 MiB.

    Raises
    ------
    OptionError
        If the variable is not a whole number of at least 0.
    """
    given = os.environ.get("TAPEGRAD_ARENA_MIB", "1024")
    if not (given.isascii() and given.isdigit()):
        raise OptionError(f"TAPEGRAD_ARENA_MIB={given!r}; give a whole number of MiB of at least 0")
    return int(given) << 20


def size_class(size: int) -> int:
    """The size of the block for so many bytes: four sizes for each power of two, at most a quarter more."""
    step = 1 << max(size.bit_length() - 3, 0)
    return -(-size // step) * step


@cache
def _typestr(dtype: np.dtype) -> str:
    return dtype.str


class Block:
    """Memory of one size class."""

    __slots__ = ("address", "memory", "size")

    def __init__(self, size: int, shift: int):
        self.size = size
        self.memory = np.empty(size + PAGE, np.uint8)
        start = self.memory.ctypes.data
        self.address = start + (shift - start) % PAGE


class Lease:
    """What an array's memory belongs to; it dies with the last array that shares the memory.

    NumPy lets a view of a view hold on to the array behind both, so that no array can tell whether others still share
    its memory. Behind all of them stands this object, which is no array.
    """

    __slots__ = ("__array_interface__", "__weakref__", "arena", "block")

    def __init__(self, arena: Arena, block: Block, interface: dict[str, Any]):
        self.arena, self.block, self.__array_interface__ = arena, block, interface

    def __del__(self) -> None:
        self.arena.give_back(self.block)


class Arena:
    """Blocks that nobody uses, by size class.

    An array may die anywhere, also while this thread holds the lock and the garbage collector runs. So a block that
    comes back goes into a queue, which needs no lock, and is filed by whoever has the lock, or gets it at once.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew with no blocks and a lock that nobody holds."""
        self.lock = threading.Lock()
        self.returned: deque[Block] = deque()
        self.free: OrderedDict[int, Block] = OrderedDict()  # by the time of their return
        self.classes: dict[int, deque[int]] = {}  # those times, by the size of the block
        self.kept = self.returns = self.made = self.most = 0

    def take(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        if size < SMALL or dtype.hasobject:
            return np.empty(shape, dtype)
        return self.lease(size, shape, dtype)

    def lease(self, size: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array at the beginning of a block of at least so many bytes."""
        size = size_class(size)
        with self.lock:
            block = self._pop(size)
        if self.returned:
            self._settle()
        if block is None:
            block = self._make(size)
        interface = {"shape": shape, "typestr": _typestr(dtype), "data": (block.address, False), "version": 3}
        return np.asarray(Lease(self, block, interface))

    def take_all(self, requests: Sequence[tuple[tuple[int, ...], Any]]) -> list[np.ndarray]:
        places, end = [], 0
        for number, (shape, dtype) in enumerate(requests):
            dtype = np.dtype(dtype)
            size = math.prod(shape) * dtype.itemsize
            if size >= PAGE:  # small ones lie at different places of a page in any case
                end += (number * SHIFT - end) % PAGE
            places.append((shape, dtype, end))
            end += -(-size // ALIGNMENT) * ALIGNMENT
        if end < SMALL:
            memory = np.empty(end + ALIGNMENT, np.uint8)
            start = -memory.ctypes.data % ALIGNMENT
        else:
            memory, start = self.lease(end, (end,), np.dtype(np.uint8)), 0
        return [np.ndarray(shape, dtype, memory, start + offset) for shape, dtype, offset in places]

    def give_back(self, block: Block) -> None:
        self.returned.append(block)
        self._settle()

    def release(self) -> None:
        self._settle()
        with self.lock:
            free, self.free, self.classes, self.kept = self.free, OrderedDict(), {}, 0
        free.clear()
        self._settle()

    def _make(self, size: int) -> Block:
        most = limit()
        with self.lock:
            self.most = most
            self.made += 1
            shift = self.made * SHIFT % PAGE
        self._settle()
        try:
            return Block(size, shift)
        except MemoryError:
            self.release()
            return Block(size, shift)

    def _settle(self) -> None:
        """File what came back, unless someone else has the lock: they come by here when they have let go of it."""
        while self.returned and self.lock.acquire(blocking=False):
            try:
                dropped = self._file()
            finally:
                self.lock.release()
            del dropped  # which takes its time, and others can do without the lock for it

    def _file(self) -> list[Block]:
        """File what came back, and give the blocks beyond the limit that were used longest ago. Needs the lock."""
        while self.returned:
            block = self.returned.popleft()
            self.free[self.returns] = block
            self.classes.setdefault(block.size, deque()).append(self.returns)
            self.kept += block.size
            self.returns += 1
        dropped = []
        while self.kept > self.most:
            _, block = self.free.popitem(last=False)
            self.classes[block.size].popleft()
            self.kept -= block.size
            dropped.append(block)
        return dropped

    def _pop(self, size: int) -> Block | None:
        """The block of a size that came back last, which may still be in a cache. Needs the lock."""
        times = self.classes.get(size)
        if not times:
            return None
        block = self.free.pop(times.pop())
        self.kept -= size
        return block


_arena = Arena()
if hasattr(os, "register_at_fork"):  # another thread may have held the lock; the memory is the parent's anyway
    os.register_at_fork(after_in_child=_arena.forget)


def take(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array whose content is undefined.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype_like

    Returns
    -------
    ndarray
        C-contiguous and writeable; aligned to 64 bytes if it takes at least 64 KiB. Its memory is used again when
        this array and all that share its memory are gone.
    """
    return _arena.take(shape, dtype)


def take_all(requests: Sequence[tuple[tuple[int, ...], Any]]) -> list[np.ndarray]:
    """Several arrays in one piece of memory, which is used again when all of them are gone.

    Parameters
    ----------
    requests : sequence of (shape, dtype)

    Returns
    -------
    list of ndarray
        As from :func:`take`; all are aligned to 64 bytes.
    """
    return _arena.take_all(requests)


def release() -> None:
    """Give the memory that is kept and not in use back to the system."""
    _arena.release()
