"""Operands of matrix products, copied into the order in which the tile reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .linked import Kernel
from .pointers import behind, element
from .tiles import ROWS, VECTORS
from .vectors import BITS, INT32, INT64, SCALAR, call_llvm, first_lanes, lanes_of, vector_of


def panel_width(dtype: Any) -> int:
    """The number of columns in a panel."""
    return VECTORS * BITS // (8 * np.dtype(dtype).itemsize)


def packed_size(K: int, N: int, dtype: Any) -> int:
    """The number of elements of a packed (K, N) right operand."""
    width = panel_width(dtype)
    return -(-N // width) * width * K


def lefts_size(K: int, M: int, dtype: Any) -> int:
    """The number of elements of a packed left operand: M columns of K rows, to be used transposed."""
    return -(-M // ROWS) * ROWS * K


@intrinsic
def width_of(typingctx, pointer):
    """The panel width for a pointer's dtype, a constant of the compiled code."""
    width = VECTORS * BITS // pointer.dtype.bitwidth

    def codegen(context, builder, signature, args):
        return ir.Constant(INT64, width)

    return types.intp(pointer), codegen


def _moved(summary: str, width: Any, part: bool) -> Any:
    """An intrinsic that copies the elements of one row that belong to a block."""

    @intrinsic
    def emitted(typingctx, source, target, count):
        dtype = source.dtype
        kind = ir.VectorType(SCALAR[dtype], width(str(dtype)))

        def codegen(context, builder, signature, args):
            source, target = (builder.bitcast(arg, kind.as_pointer()) for arg in args[:2])
            if part:
                align, mask = ir.Constant(INT32, dtype.bitwidth // 8), first_lanes(builder, args[2], kind.count)
                name = f"llvm.masked.load.v{kind.count}f{dtype.bitwidth}.p0"
                value = call_llvm(builder, name, kind, source, align, mask, ir.Constant(kind, None))
            else:
                value = builder.load(source)
                value.align = dtype.bitwidth // 8
            builder.store(value, target).align = dtype.bitwidth // 8
            return context.get_dummy_value()

        return types.void(source, target, types.intp), codegen

    emitted.__doc__ = summary
    return emitted


_copy_row, _copy_left = (_moved("Copy a row of a block.", width, False) for width in (panel_width, lambda dtype: ROWS))
_copy_row_part, _copy_left_part = (
    _moved("Copy the first ``count`` elements of a row of a block, and zeros behind them.", width, True)
    for width in (panel_width, lambda dtype: ROWS)
)


@intrinsic
def _turn(typingctx, source, step, target, pitch):
    """Transpose a square of a vector's lanes: ``target[i * pitch + j] = source[j * step + i]``."""
    vector = vector_of(source.dtype)
    lanes, align = vector.lanes, vector.dtype.bitwidth // 8

    def line(builder, pointer, distance, i):
        place = builder.gep(pointer, [builder.mul(distance, ir.Constant(INT64, i))])
        return builder.bitcast(place, vector.llvm.as_pointer())

    def codegen(context, builder, signature, args):
        source, step, target, pitch = args
        lines = [builder.load(line(builder, source, step, i)) for i in range(lanes)]
        for loaded in lines:
            loaded.align = align
        half = lanes // 2
        while half:  # exchange the squares off the diagonal, of half the size at each turn
            picks = [
                [lane if not lane & half else lanes + lane - half for lane in range(lanes)],
                [lane + half if not lane & half else lanes + lane for lane in range(lanes)],
            ]
            masks = [ir.Constant(ir.VectorType(INT32, lanes), pick) for pick in picks]
            for i in range(lanes):
                if not i & half:
                    pair = lines[i], lines[i + half]
                    lines[i], lines[i + half] = (builder.shuffle_vector(*pair, mask) for mask in masks)
            half //= 2
        for i, value in enumerate(lines):
            builder.store(value, line(builder, target, pitch, i)).align = align
        return context.get_dummy_value()

    return types.void(source, types.intp, target, types.intp), codegen


# ---- the kernel ----
GROUP = 8  # rows that are read side by side: more of them may fall into the same few lines of the first cache


def _pack(a, outer, T, inner, rows, step, N, width, packed):
    """Rows (t, i), which begin at t * outer + i * inner and have N elements, in blocks of ``width`` columns."""
    K = T * rows
    if rows == 1:
        rows, inner = T, outer
    wide = width != ROWS
    lanes = lanes_of(a)
    size = K * width
    k = t = i = 0
    while k < K:
        # Rows of one step, one behind the other.
        many = min(GROUP, rows - i)
        if wide and inner == 1 and step != 1:
            many = lanes if i + lanes <= rows else 1
        begin, target = behind(a, t * outer + i * inner), behind(packed, k * width)
        for first in range(0, N, width):
            columns = min(width, N - first)
            source, line = begin, target
            if step == 1:
                for _ in range(many):
                    if wide:
                        if columns == width:
                            _copy_row(source, line, columns)
                        else:
                            _copy_row_part(source, line, columns)
                    elif columns == width:
                        _copy_left(source, line, columns)
                    else:
                        _copy_left_part(source, line, columns)
                    source, line = behind(source, inner), behind(line, width)
            elif many == lanes and wide and inner == 1 and columns == width:
                for j in range(0, width, lanes):
                    _turn(behind(source, j * step), step, behind(line, j), width)
            else:
                for _ in range(many):
                    for j in range(columns):
                        line[j] = source[j * step]
                    for j in range(columns, width):
                        line[j] = 0
                    source, line = behind(source, inner), behind(line, width)
            begin, target = behind(begin, width * step), behind(target, size)
        k += many
        i += many
        if i == rows:
            i = 0
            t += 1


_packed = Kernel(_pack, "a packed")


# ---- calls ----
def _end(builder: Any, start: Any, K: Any, N: Any, width: int) -> Any:
    """LLVM: where an operand ends that is packed behind ``start``."""
    blocks = builder.sdiv(builder.add(N, ir.Constant(INT64, width - 1)), ir.Constant(INT64, width))
    return builder.add(start, builder.mul(K, builder.mul(blocks, ir.Constant(INT64, width))))


def _stack(width: Any, summary: str) -> Any:
    """An intrinsic that packs a stack of rows."""

    @intrinsic
    def packing(typingctx, a, at, outer, T, inner, rows, step, N, packed, start):
        dtype = _packed.ready(a, packed)

        def codegen(context, builder, signature, args):
            source = element(context, builder, a, args[0], args[1])
            target = element(context, builder, packed, args[8], args[9])
            block = width(str(dtype))
            _packed.call(context, builder, dtype, [source, *args[2:8], ir.Constant(INT64, block), target])
            return _end(builder, args[9], builder.mul(args[3], args[5]), args[7], block)

        index = types.intp
        return index(a, *[index] * 7, packed, index), codegen

    packing.__doc__ = f"""{summary}; gives the end.

    The stack has T steps of ``rows`` rows. Row (t, i) begins at ``a[at + t * outer + i * inner]`` and is row
    k = t * rows + i of the operand; its N elements lie ``step`` apart.
    """
    return packing


pack_columns = _stack(panel_width, "Write a stack of rows as a right operand at ``packed[start:]``")
pack_lefts = _stack(
    lambda dtype: ROWS,
    "Write a stack of rows as a left operand, to be used transposed, at ``packed[start:]``: blocks of ``ROWS`` of its "
    "columns, each of them k by k, the last one filled up with zeros",
)
