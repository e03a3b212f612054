"""Matrix products for compiled loops, over operands that are packed once for many products.

The recurrent weights are the same at every step: they are packed once per call. Sums over time are products of two
packed operands. Functions take flat contiguous arrays of one float dtype, and offsets into them; nothing is checked.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .fetching import next_lines
from .linked import Kernel
from .packing import lefts_size, pack_columns, pack_lefts, packed_size, panel_width, width_of
from .pointers import behind, element
from .tiles import BESIDE, ROWS, VECTORS, fetching_tile, narrow_tile, panels_beside, row_tile, tile, wide_tile
from .vectors import INT1, INT64

__all__ = [
    "ROWS",
    "VECTORS",
    "accumulate",
    "lefts_size",
    "multiply",
    "multiply_fetching",
    "multiply_part",
    "pack_columns",
    "pack_lefts",
    "packed_size",
    "panel_width",
]

_DEPTH = 1024  # terms of a sum that are done for all rows, before the next ones
# Panels beside one another by the number of rows: a constant of the compiled code.
_BESIDE = tuple([0] + [panels_beside(rows) for rows in range(1, ROWS // 2 + 1)])


# ---- kernels ----
def _multiply(a, row, step, apart, M, K, panels, N, c, ldc, noted, add):
    """Blocks of ROWS left rows that begin ``apart`` elements apart; 0 for rows that follow one another.

    ``noted`` is the address of a list of memory to fetch, or 0.
    """
    width = width_of(c)
    if M == 1:
        while 2 * width <= N:
            columns = min(BESIDE * width, N - N % width)
            row_tile(columns // width, a, row, step, panels, K, columns, c, ldc, add)
            panels, c = behind(panels, K * columns), behind(c, columns)
            N -= columns
    elif 0 < M < len(_BESIDE):  # few rows: several panels at once
        columns = _BESIDE[M] * width
        while columns <= N:
            wide_tile(M, a, row, step, panels, K, columns, c, ldc, add)
            panels, c = behind(panels, K * columns), behind(c, columns)
            N -= columns
    blocks = (M + ROWS - 1) // ROWS
    while N > 0:
        columns = min(width, N)
        begun, adds = 0, add
        while begun == 0 or begun < K:  # a part of the panel that stays in the cache while the rows pass by
            terms = min(_DEPTH, K - begun)
            panel, left, out, todo = behind(panels, begun * width), behind(a, begun * step), c, M
            for block in range(blocks, 0, -1):
                # As even as can be, 9 rows are 5 and 4: sums have to be many.
                rows = (todo + block - 1) // block if apart == 0 else min(ROWS, todo)
                near, lines = next_lines(noted, terms)
                if lines > 0:
                    fetching_tile(rows, left, row, step, panel, terms, columns, out, ldc, adds, near, lines)
                elif columns * VECTORS <= width:
                    narrow_tile(rows, left, row, step, panel, terms, columns, out, ldc, adds)
                else:
                    tile(rows, left, row, step, panel, terms, columns, out, ldc, adds)
                left, out = behind(left, rows * row if apart == 0 else apart), behind(out, rows * ldc)
                todo -= rows
            begun += _DEPTH
            adds = True
        panels, c = behind(panels, K * width), behind(c, width)
        N -= columns


_multiplied = Kernel(_multiply, "a panels c", "add")


# ---- calls ----
_NONE = ir.Constant(INT64, 0)


def _places(context: Any, builder: Any, signature: Any, args: Any, *at: int) -> list[Any]:
    """LLVM: the addresses of arguments that are arrays, each followed by its offset."""
    return [element(context, builder, signature.args[i], args[i], args[i + 1]) for i in at]


@intrinsic
def multiply(typingctx, a, at, row, step, M, K, panels, p, N, c, ct, ldc, add):
    """c = a @ b, or c += a @ b, for b packed at ``panels[p:]``.

    Parameters
    ----------
    a, c, panels : 1-D contiguous arrays of one float dtype
        Offsets ``at``, ``ct`` and ``p`` count from their starts.
    row, step : int
        How far apart the rows of a, and the elements of a row, lie: (lda, 1), or (1, lda) for a transposed operand.
    M, K, N : int
    ldc : int
        How far apart the rows of c lie; the elements of a row lie side by side.
    add : bool
    """
    dtype = _multiplied.ready(a, panels, c)

    def codegen(context, builder, signature, args):
        left, right, out = _places(context, builder, signature, args, 0, 6, 9)
        given = [left, *args[2:4], _NONE, *args[4:6], right, args[8], out, args[11], _NONE, args[12]]
        _multiplied.call(context, builder, dtype, given)
        return context.get_dummy_value()

    index = types.intp
    return types.void(a, *[index] * 5, panels, index, index, c, index, index, types.boolean), codegen


@intrinsic
def multiply_fetching(typingctx, a, at, row, step, M, K, panels, p, N, c, ct, ldc, add, noted, start):
    """As :func:`multiply`, while what the list at ``noted[start:]`` names is fetched from memory."""
    dtype = _multiplied.ready(a, panels, c)

    def codegen(context, builder, signature, args):
        left, right, out, names = _places(context, builder, signature, args, 0, 6, 9, 13)
        names = builder.ptrtoint(names, INT64)
        given = [left, *args[2:4], _NONE, *args[4:6], right, args[8], out, args[11], names, args[12]]
        _multiplied.call(context, builder, dtype, given)
        return context.get_dummy_value()

    index = types.intp
    return types.void(a, *[index] * 5, panels, index, index, c, index, index, types.boolean, noted, index), codegen


@intrinsic
def multiply_part(typingctx, a, at, row, step, M, K, panels, p, N, first, last, c, ct, ldc, add):
    """As :func:`multiply`, for the columns first..last of the packed operand only; ``c[ct]`` is column ``first``.

    Both are multiples of the panel's width, or ``last`` is N.
    """
    dtype = _multiplied.ready(a, panels, c)

    def codegen(context, builder, signature, args):
        left, right, out = _places(context, builder, signature, args, 0, 6, 11)
        right = builder.gep(right, [builder.mul(args[9], args[5])])
        columns = builder.sub(args[10], args[9])
        given = [left, *args[2:4], _NONE, *args[4:6], right, columns, out, args[13], _NONE, args[14]]
        _multiplied.call(context, builder, dtype, given)
        return context.get_dummy_value()

    index = types.intp
    return types.void(a, *[index] * 5, panels, *[index] * 4, c, index, index, types.boolean), codegen


@intrinsic
def accumulate(typingctx, lefts, at, M, K, panels, p, N, c, ct, ldc):
    """c += left^T @ right, for operands that :func:`pack_lefts` and :func:`pack_columns` packed."""
    dtype = _multiplied.ready(lefts, panels, c)

    def codegen(context, builder, signature, args):
        left, right, out = _places(context, builder, signature, args, 0, 4, 7)
        one, rows, yes = ir.Constant(INT64, 1), ir.Constant(INT64, ROWS), ir.Constant(INT1, 1)
        apart = builder.mul(args[3], rows)
        given = [left, one, rows, apart, *args[2:4], right, args[6], out, args[9], _NONE, yes]
        _multiplied.call(context, builder, dtype, given)
        return context.get_dummy_value()

    index = types.intp
    return types.void(lefts, *[index] * 3, panels, index, index, c, index, index), codegen
