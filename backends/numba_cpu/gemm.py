"""Matrix products for compiled loops: one register tile over packed panels.

The right operand is packed into panels as wide as the tile, once for many products (the recurrent weights are the same
at every step). The tile keeps its part of the result in registers while it walks along the summed axis, so that each
element of a panel is loaded once for all its rows.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .vectors import BITS, INT64, call_llvm, splat, vector_of

# The sums take ROWS * VECTORS registers: 16 of the 32 of AVX-512, 12 of the 16 of AVX2.
ROWS = 8 if BITS == 512 else 4
VECTORS = 2 if BITS == 512 else 3 if BITS == 256 else 2


@cache
def tile(rows: int) -> Any:
    """An intrinsic that computes ``rows`` rows of one panel's columns.

    ``tile(a, row, step, panel, K, c, ldc, add)``: a is a pointer to the first left element, whose rows are
    ``row`` and whose columns ``step`` elements apart; panel points to K * width elements; c to the result,
    whose rows are ``ldc`` apart. With ``add`` the result is added to what c holds.
    """

    @intrinsic
    def emitted(typingctx, a, row, step, panel, K, c, ldc, add):
        vector = vector_of(a.dtype)

        def codegen(context, builder, signature, args):
            _emit_tile(builder, vector, rows, args)
            return context.get_dummy_value()

        index = types.intp
        return types.void(a, index, index, panel, index, c, index, types.boolean), codegen

    return emitted


def _emit_tile(builder: Any, vector: Any, rows: int, args: Any) -> None:
    a, row, step, panel, K, c, ldc, add = args
    lanes, width = vector.lanes, VECTORS * vector.lanes

    def number(n: int) -> Any:
        return ir.Constant(INT64, n)

    def vectors_at(pointer: Any) -> list[Any]:
        return [
            builder.bitcast(builder.gep(pointer, [number(j * lanes)]), vector.llvm.as_pointer()) for j in range(VECTORS)
        ]

    def read(address: Any) -> Any:
        value = builder.load(address)
        value.align = vector.dtype.bitwidth // 8
        return value

    outputs = [vectors_at(builder.gep(c, [builder.mul(ldc, number(i))])) for i in range(rows)]
    lefts = [builder.mul(row, number(i)) for i in range(rows)]
    entry = builder.block
    held = builder.append_basic_block("held")
    loop, body, done = (builder.append_basic_block(name) for name in ("sum", "sum.body", "sum.done"))
    builder.cbranch(add, held, loop)
    builder.position_at_end(held)
    before = [[read(address) for address in line] for line in outputs]
    builder.branch(loop)

    builder.position_at_end(loop)
    k = builder.phi(INT64)
    sums = [[builder.phi(vector.llvm) for _ in range(VECTORS)] for _ in range(rows)]
    for block, start in ((entry, None), (held, before)):
        k.add_incoming(number(0), block)
        for i in range(rows):
            for j in range(VECTORS):
                sums[i][j].add_incoming(start[i][j] if start else ir.Constant(vector.llvm, None), block)
    builder.cbranch(builder.icmp_signed("<", k, K), body, done)

    builder.position_at_end(body)
    right = [read(address) for address in vectors_at(builder.gep(panel, [builder.mul(k, number(width))]))]
    column = builder.gep(a, [builder.mul(k, step)])
    for i in range(rows):
        left = splat(builder, builder.load(builder.gep(column, [lefts[i]])), lanes)
        for j in range(VECTORS):
            grown = call_llvm(builder, f"llvm.fma.{vector.suffix}", vector.llvm, left, right[j], sums[i][j])
            sums[i][j].add_incoming(grown, body)
    k.add_incoming(builder.add(k, number(1)), body)
    builder.branch(loop)

    builder.position_at_end(done)
    for i in range(rows):
        for j in range(VECTORS):
            builder.store(sums[i][j], outputs[i][j]).align = vector.dtype.bitwidth // 8


@intrinsic
def pointer(typingctx, array, offset):
    """The address of an element of a contiguous array, counted from its start."""

    def codegen(context, builder, signature, args):
        return builder.gep(context.make_array(signature.args[0])(context, builder, args[0]).data, [args[1]])

    return types.CPointer(array.dtype)(array, types.intp), codegen


def panel_width(dtype: Any) -> int:
    """The number of columns in a panel."""
    return VECTORS * BITS // (8 * np.dtype(dtype).itemsize)


@intrinsic
def width_of(typingctx, array):
    """The panel width for an array's dtype, a constant of the compiled code."""
    width = VECTORS * BITS // array.dtype.bitwidth

    def codegen(context, builder, signature, args):
        return ir.Constant(INT64, width)

    return types.intp(array), codegen


def packed_size(K: int, N: int, dtype: Any) -> int:
    """The number of elements of a packed (K, N) operand."""
    width = panel_width(dtype)
    return -(-N // width) * width * K


compiled = numba.njit(nogil=True, error_model="numpy", boundscheck=False)


@compiled
def pack(b, packed, start):
    """Write a 2-D array of any strides into panels at ``packed[start:]``, the last filled with zeros; gives the end."""
    K, N = b.shape
    width = width_of(packed)
    for first in range(0, N, width):
        columns = min(width, N - first)
        for k in range(K):
            for j in range(columns):
                packed[start + j] = b[k, first + j]
            for j in range(columns, width):
                packed[start + j] = 0
            start += width
    return start


_tile8, _tile4, _tile1 = tile(8), tile(4), tile(1)


@compiled
def _panel(a, at, row, step, M, K, panels, p, c, ct, ldc, add):
    """All rows of one panel's columns; memory for a whole panel's width is behind each row of c."""
    i = 0
    if ROWS == 8:
        while i + 8 <= M:
            _tile8(pointer(a, at + i * row), row, step, pointer(panels, p), K, pointer(c, ct + i * ldc), ldc, add)
            i += 8
    while i + 4 <= M:
        _tile4(pointer(a, at + i * row), row, step, pointer(panels, p), K, pointer(c, ct + i * ldc), ldc, add)
        i += 4
    while i < M:
        _tile1(pointer(a, at + i * row), row, step, pointer(panels, p), K, pointer(c, ct + i * ldc), ldc, add)
        i += 1


@compiled
def multiply(a, at, row, step, M, K, panels, p, N, c, ct, ldc, add, edge):
    """c = a @ b, or c += a @ b, for b packed at ``panels[p:]``; nothing is checked.

    Parameters
    ----------
    a, c, panels, edge : 1-D contiguous arrays of one float dtype
        Offsets ``at``, ``ct`` and ``p`` count from their starts. ``edge`` holds M rows of one panel.
    row, step : int
        How far apart the rows of a, and the elements of a row, lie: (lda, 1), or (1, lda) for a transposed operand.
    M, K, N : int
    ldc : int
        How far apart the rows of c lie; the elements of a row lie side by side.
    add : bool
    """
    width = width_of(c)
    for first in range(0, N, width):
        if first + width <= N:
            _panel(a, at, row, step, M, K, panels, p, c, ct + first, ldc, add)
        else:
            _panel(a, at, row, step, M, K, panels, p, edge, 0, width, False)
            for i in range(M):
                for j in range(N - first):
                    value = edge[i * width + j]
                    c[ct + i * ldc + first + j] = c[ct + i * ldc + first + j] + value if add else value
        p += K * width
