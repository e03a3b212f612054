"""Generated source run as plain Python, where every access to an array is checked.

Compiled code checks nothing. Here a load or store outside of its array raises, and so do a read of what was never
written, an access to another thread's rows, and a write to an input; in a tenth of the time that compiling takes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np

from tapegrad.backends import base
from tapegrad.backends.graph import Unlowered
from tapegrad.backends.numba_cpu import backend, binding, error_function, lower, maths, run, strided
from tapegrad.backends.numba_cpu.backend import NumbaBackend
from tapegrad.backends.numba_cpu.fetching import list_size
from tapegrad.backends.numba_cpu.gemm import ROWS, panel_width
from tapegrad.backends.numba_cpu.vectors import BITS
from tapegrad.backends.plan import make_plan
from tapegrad.primitives import primitives

OWN = ("work", "chunk", "lefts", "panels", "total")  # scratch of one thread
INPUTS = ("x", "f", "packed", "numbers", "scalars", "table")


class Fault(Exception):
    """Generated source touched memory that it must not touch."""


class Watched:
    """A flat array, and who has read and written each of its elements."""

    def __init__(self, array: np.ndarray, name: str):
        self.array, self.name, self.dtype, self.part = array, name, array.dtype, 0
        self.there = np.full(array.size, not name.startswith(("n", "y", "work", "chunk", "lefts", "panels")))
        self.there |= name == "numbers"
        self.writer, self.reader = np.zeros((2, array.size), np.int64)

    @property
    def lanes(self) -> int:
        return BITS // 8 // self.dtype.itemsize

    def check(self, index: Any, what: str) -> np.ndarray:
        index = np.asarray(index)
        if index.dtype.kind not in "iu":
            raise Fault(f"{what} {self.name}: an index of dtype {index.dtype}")
        if index.size and (index.min() < 0 or index.max() >= self.array.size):
            raise Fault(f"{what} {self.name}: element {index.max()} or {index.min()} of {self.array.size}")
        return index

    def read(self, index: Any) -> Any:
        index = self.check(index, "read")
        if not self.there[index].all():
            raise Fault(f"read {self.name}: element {index} was never written")
        if np.any((self.writer[index] != 0) & (self.writer[index] != self.part)):
            raise Fault(f"read {self.name}: element {index} was written by another thread")
        self.reader[index] = self.part
        return self.array[index] if index.ndim else self.array[int(index)]

    def write(self, index: Any, value: Any) -> None:
        index, value = self.check(index, "write"), wrapped(value)
        if self.name.startswith(INPUTS) and not (self.name == "packed" and self.part == 0):
            raise Fault(f"write {self.name}: it is an input")
        theirs = np.zeros(index.shape, bool)
        for others in (self.writer[index], self.reader[index]):
            theirs |= (others != 0) & (others != self.part)
        if theirs.any():
            same = self.there[index] & np.isclose(self.array[index], value, equal_nan=True)  # what all rows share
            if np.any(theirs & ~same):
                raise Fault(f"write {self.name}: element {index} belongs to another thread")
        self.array[index], self.there[index], self.writer[index] = value, True, self.part

    __getitem__, __setitem__ = read, write


def wrapped(value: Any) -> Any:
    """An integer as it is stored, with the same bits."""
    return value.astype(np.int64) if getattr(value, "dtype", None) == np.uint64 else value


# ---- what generated source calls ----
def run_of(array: Watched, at: int, stride: int, count: int | None = None) -> np.ndarray:
    return at + stride * np.arange(array.lanes if count is None else count)


def filled(array: Watched, values: np.ndarray, other: Any) -> np.ndarray:
    """The lanes of a part; those behind it hold ``other``."""
    return np.concatenate([values, np.full(array.lanes - len(values), other, array.dtype)])


def pointer(array, at):
    return array


def load(array, at):
    return array.read(run_of(array, at, 1))


def load_part(array, at, count):
    return filled(array, array.read(run_of(array, at, 1, count)), 0)


def load_strided(array, at, stride):
    return array.read(run_of(array, at, stride))


def load_strided_part(array, at, stride, count):
    values = array.read(run_of(array, at, stride, count))
    return filled(array, values, values[-1])


def load_repeated_part(array, at, j, times, stride, count):
    return filled(array, array.read(at + (j + np.arange(count)) // times * stride), 0)


def load_repeated(array, at, j, times, stride):
    return load_repeated_part(array, at, j, times, stride, array.lanes)


def sum_neighbours_part(array, at, j, times, count):
    return filled(array, array.read(run_of(array, at + j * times, 1, count * times)).reshape(count, times).sum(1), 0)


def sum_neighbours(array, at, j, times):
    return sum_neighbours_part(array, at, j, times, array.lanes)


def spread(array, at):
    return np.full(array.lanes, array.read(at))


def store_strided_part(array, at, stride, value, count):
    if value.dtype not in (array.dtype, bool) or value.shape != (array.lanes,):
        raise Fault(f"store {array.name}: a vector of {value.dtype}{value.shape}")
    array.write(run_of(array, at, stride, count), value[:count])


def store_strided(array, at, stride, value):
    store_strided_part(array, at, stride, value, array.lanes)


def store(array, at, value):
    store_strided_part(array, at, 1, value, array.lanes)


def store_part(array, at, value, count):
    store_strided_part(array, at, 1, value, count)


def fold(function):
    return lambda array, at, stride, count: function(array.read(run_of(array, at, stride, count)))


def dot(x, at, step, y, bt, stride, count):
    alike(x, y)
    return np.dot(x.read(run_of(x, at, step, count)), y.read(run_of(y, bt, stride, count)))


def matrix(a: Watched, at: int, row: int, step: int, rows: int, columns: int) -> np.ndarray:
    """The offsets of the elements of a matrix."""
    return at + row * np.arange(rows)[:, None] + step * np.arange(columns)


def columns_at(packed: Watched, start: int, K: int, N: int) -> np.ndarray:
    """Where the elements (k, n) of a packed right operand lie."""
    width, n = panel_width(packed.dtype), np.arange(N)
    return start + n // width * width * K + n % width + width * np.arange(K)[:, None]


def lefts_at(packed: Watched, start: int, K: int, M: int) -> np.ndarray:
    m = np.arange(M)
    return start + m // ROWS * ROWS * K + m % ROWS + ROWS * np.arange(K)[:, None]


def alike(*arrays: Watched) -> None:
    if len({array.dtype for array in arrays}) > 1:
        raise Fault(f"a product of arrays of different dtypes: {[(a.name, str(a.dtype)) for a in arrays]}")


def pack_weight(b, table, i, packed):
    alike(b, packed)
    for row, step, K, N, start, depth, k0, n0, whole in table.read(np.arange(*table.read([i, i + 1]))).reshape(-1, 9):
        read = b.read(matrix(b, 0, row, step, K, N))
        if whole:
            width = panel_width(packed.dtype)
            read = np.concatenate([read, np.zeros((K, -N % width), packed.dtype)], axis=1)
        packed.write(columns_at(packed, start, depth, n0 + read.shape[1])[k0 : k0 + K, n0:], read)


def multiply(a, at, row, step, M, K, panels, p, N, c, ct, ldc, add):
    alike(a, panels, c)
    made = a.read(matrix(a, at, row, step, M, K)) @ panels.read(columns_at(panels, p, K, N))
    to = matrix(c, ct, ldc, 1, M, N)
    c.write(to, c.read(to) + made if add else made)


def multiply_fetching(a, at, row, step, M, K, panels, p, N, c, ct, ldc, add, noted, start):
    noted.read(np.arange(start, start + list_size(noted.read(start))))
    multiply(a, at, row, step, M, K, panels, p, N, c, ct, ldc, add)


def no_fetches(noted, start):
    noted.write(np.arange(start, start + 2), np.zeros(2, np.int64))


def fetch(noted, start, array, at, count):
    array.check(np.arange(at, at + count), "fetch")
    entry = start + list_size(noted.read(start))
    noted.write(np.arange(entry, entry + 2), np.array([0, count]))
    noted.write(start, noted.read(start) + 1)


def rows_of(a, at, outer, T, inner, rows, step, N):
    first = at + outer * np.arange(T)[:, None] + inner * np.arange(rows)
    return a.read(first.reshape(-1, 1) + step * np.arange(N))


def pack_columns(a, at, outer, T, inner, rows, step, N, packed, start):
    alike(a, packed)
    packed.write(columns_at(packed, start, T * rows, N), rows_of(a, at, outer, T, inner, rows, step, N))


def pack_lefts(a, at, outer, T, inner, rows, step, M, packed, start):
    alike(a, packed)
    packed.write(lefts_at(packed, start, T * rows, M), rows_of(a, at, outer, T, inner, rows, step, M))


def accumulate(lefts, at, M, K, panels, p, N, c, ct, ldc):
    alike(lefts, panels, c)
    made = lefts.read(lefts_at(lefts, at, K, M)).T @ panels.read(columns_at(panels, p, K, N))
    to = matrix(c, ct, ldc, 1, M, N)
    c.write(to, c.read(to) + made)


NAMES = {
    **{maths.FUNCTIONS[p.name].__name__: p.function for p in primitives() if p.name in maths.FUNCTIONS},
    **{f.__name__: f for f in (pointer, load, load_part, load_strided, load_strided_part, spread, store, store_part)},
    **{f.__name__: f for f in (store_strided, store_strided_part, dot, multiply)},
    **{f.__name__: f for f in (load_repeated, load_repeated_part, sum_neighbours, sum_neighbours_part)},
    **{f.__name__: f for f in (multiply_fetching, no_fetches, fetch)},
    **{f.__name__: f for f in (pack_weight, pack_columns, pack_lefts, accumulate)},
    "ROWS": ROWS, "absolute": np.absolute, "sqrt": np.sqrt, "floor": np.floor, "rint": np.rint, "select": np.where,
    "fma": lambda x, y, z: x * y + z, "fill_zero": lambda array: np.zeros(array.lanes, array.dtype),
    "mask_and": np.logical_and, "mask_or": np.logical_or, "mask_not": np.logical_not,
    "fold_sum": fold(np.sum), "fold_max": fold(np.max), "fold_min": fold(np.min),
    "fold_two_max": np.maximum, "fold_two_min": np.minimum,
    **{f.__name__: f.py_func for f in (strided.checked, strided.quotient, strided.modulo)},
    **{f.__name__: f.py_func for f in (strided.floor_quotient, strided.floor_modulo, strided.whole_less)},
    **{f.__name__: f.py_func for f in (error_function.number_erf, error_function.number_erfc)},
    "flush_denormals": lambda: 0, "restore_denormals": lambda before: None, "np": np,
}  # fmt: skip


# ---- the backend ----
class EmulatedBackend(NumbaBackend):
    """The backend with watched arrays, and with the rows split into many parts, which are done one after the other."""

    name = "emulated"

    def __init__(self) -> None:
        self.programs: dict[Any, Any] = {}
        self.watched: dict[Any, Watched] = {}
        self.done = 0  # calls of ``loop``

    def missing(self, step: Any) -> str | None:
        with mock.patch.object(backend, "program_of", self.program):
            return super().missing(step)

    def run(self, step: Any, args: Any, length: int, reverse: bool) -> tuple:
        held = self.watched, self.done  # of a step that runs another scan once, beforehand
        self.watched, self.done = {}, 0
        try:
            return self._run(step, args, length, reverse)
        finally:
            self.watched, self.done = held

    def _run(self, step: Any, args: Any, length: int, reverse: bool) -> tuple:
        with (
            mock.patch.object(backend, "program_of", self.program),
            mock.patch.object(run, "in_parallel", one_by_one),
            np.errstate(all="ignore"),
        ):
            made = super().run(step, args, length, reverse)
        for seen in self.watched.values():
            if seen.name.startswith(("y", "h")) and not seen.there.all():
                raise Fault(f"{seen.name} was not written in full")
        return made

    def program(self, step: Any) -> Any:
        if step.tape not in self.programs:
            try:
                with (
                    mock.patch.object(binding, "compiled", self.functions),
                    mock.patch.object(run, "share", lambda rows, work: min(rows, 3)),
                ):
                    self.programs[step.tape] = binding.Program(make_plan(step))
            except Unlowered as reason:
                self.programs[step.tape] = reason
        return self.programs[step.tape]

    def functions(self, source: str, entries: tuple[str, ...]) -> tuple:
        """The functions of a source, which see watched arrays."""
        space = dict(NAMES)
        exec(source.removeprefix(lower.HEAD), space)
        return tuple([self.wrapped(space[name]) for name in entries])

    def wrapped(self, function: Any) -> Any:
        names = list(inspect.signature(function).parameters)

        def called(*args: Any) -> None:
            self.done += function.__name__ == "loop"
            self.steps, self.reverse = args[:2]  # of ``loop``
            function(*[self.watch(name, arg) for name, arg in zip(names, args, strict=True)])

        return called

    def watch(self, name: str, value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        if name.startswith(OWN):
            seen = Watched(value, name)
        else:  # the same memory in every call
            place = value.__array_interface__["data"][0], value.size
            new = place not in self.watched
            seen = self.watched.setdefault(place, Watched(value, name))
            if new and name.startswith("h"):  # a state at all steps: the first is given
                first = value.size // (self.steps + 1)
                seen.there[slice(0, -first) if self.reverse else slice(first, None)] = False
        seen.part = self.done
        return seen


@contextmanager
def installed() -> Iterator[EmulatedBackend]:
    """Within it the backend answers to its name."""
    backend = EmulatedBackend()
    with mock.patch.dict(base._LOADERS, {backend.name: lambda: backend}):
        yield backend
    base._LOADED.pop(backend.name, None)


def one_by_one(work: Any, parts: Any) -> None:
    for part in parts:
        work(*part)
