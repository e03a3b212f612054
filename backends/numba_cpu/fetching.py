"""Memory of the next step, fetched while products are computed.

A pass over residuals waits for memory; a product leaves memory idle. So the loop writes down which memory the next step
will touch, and each tile of a product asks for a piece of it, one line of the cache with each term of its sums.

A list is an array of whole numbers: how many entries there are, which is next, and for each its address and how many
lines of it are left.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .pointers import element
from .vectors import INT32, INT64, call_llvm

HEAD, ENTRY = 2, 2  # whole numbers of a list, and of each of its entries
LINE = 64  # bytes
NEAR = 640 << 10  # bytes of a step that are fetched at most: more would drive each other out of the second-level cache


def list_size(entries: int) -> int:
    """The number of elements of a list of so many entries."""
    return HEAD + ENTRY * entries


@intrinsic
def size_of(typingctx, array):
    """The bytes of an element; a constant of the compiled code."""
    size = array.dtype.bitwidth // 8

    def codegen(context, builder, signature, args):
        return ir.Constant(INT64, size)

    return types.intp(array), codegen


@intrinsic
def address_of(typingctx, array, offset):
    """The address of an element of a contiguous array, as a number."""

    def codegen(context, builder, signature, args):
        return builder.ptrtoint(element(context, builder, signature.args[0], *args), INT64)

    return types.intp(array, types.intp), codegen


def _word(builder: Any, address: Any, i: Any) -> Any:
    return builder.gep(builder.inttoptr(address, INT64.as_pointer()), [i])


@intrinsic
def word(typingctx, address, i):
    """The whole number at an address, i of them further on."""

    def codegen(context, builder, signature, args):
        return builder.load(_word(builder, *args))

    return types.intp(types.intp, types.intp), codegen


@intrinsic
def set_word(typingctx, address, i, value):
    """Write a whole number at an address, i of them further on."""

    def codegen(context, builder, signature, args):
        builder.store(args[2], _word(builder, *args[:2]))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen


_compiled = numba.njit(nogil=True, error_model="numpy", boundscheck=False)


@_compiled
def no_fetches(noted, start):
    """Empty the list at ``noted[start:]``."""
    noted[start] = 0
    noted[start + 1] = 0


@_compiled
def fetch(noted, start, array, at, count):
    """Put ``count`` elements of an array into a list."""
    entry = start + HEAD + ENTRY * noted[start]
    noted[entry] = address_of(array, at)
    noted[entry + 1] = count * size_of(array) // LINE
    noted[start] += 1


@_compiled
def next_lines(noted, most):
    """The address of lines to fetch and their number, at most ``most``, taken off the list at an address; or 0, 0."""
    if noted == 0:
        return 0, 0
    entry = word(noted, 1)
    if entry >= word(noted, 0):
        return 0, 0
    at = HEAD + ENTRY * entry
    begin, left = word(noted, at), word(noted, at + 1)
    lines = min(left, most)
    if left > lines:
        set_word(noted, at, begin + LINE * lines)
        set_word(noted, at + 1, left - lines)
    else:
        set_word(noted, 1, entry + 1)
    return begin, lines


def prefetch_line(builder: Any, address: Any, line: Any) -> None:
    """LLVM: ask for a line behind an address to be brought into the second-level cache."""
    place = builder.inttoptr(
        builder.add(address, builder.mul(line, ir.Constant(INT64, LINE))), ir.IntType(8).as_pointer()
    )
    call_llvm(builder, "llvm.prefetch.p0", ir.VoidType(), place, *[ir.Constant(INT32, n) for n in (0, 2, 1)])
