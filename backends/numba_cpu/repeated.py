"""Vectors over axes shorter than a vector: elements that several lanes in turn share, and sums of neighbours."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .pointers import element
from .vectors import INT32, INT64, Vector, call_llvm, first_lanes, load_address, vector_of


def _literal(kind: Any) -> int | None:
    return kind.literal_value if isinstance(kind, types.IntegerLiteral) else None


def _is_power(number: int) -> bool:
    return number & (number - 1) == 0


def _first_of(builder: Any, address: Any, count: Any, kind: Vector) -> Any:
    """LLVM: the first ``count`` lanes of a vector in memory, and 0 in the others."""
    align, mask = ir.Constant(INT32, kind.dtype.bitwidth // 8), first_lanes(builder, count, kind.lanes)
    name = f"llvm.masked.load.{kind.suffix}.p0"
    return call_llvm(builder, name, kind.llvm, address, align, mask, ir.Constant(kind.llvm, None))


@intrinsic
def load_repeated(typingctx, array, offset, j, times, stride):
    """Lane ``l`` has the element at ``offset + (j + l) // times * stride``; ``times`` and ``stride`` are constants.

    ``j`` is a multiple of the count of lanes.
    """
    return _repeated(array, offset, j, times, stride)


@intrinsic
def load_repeated_part(typingctx, array, offset, j, times, stride, count):
    """As :func:`load_repeated`, of the first ``count`` lanes; of the others, no memory is touched."""
    return _repeated(array, offset, j, times, stride, count)


def _repeated(array: Any, offset: Any, j: Any, times: Any, stride: Any, *count: Any) -> Any:
    n, step, kind = _literal(times), _literal(stride), vector_of(array.dtype)
    if n is None or step is None:
        return None

    def codegen(context, builder, signature, args):
        limit = args[5] if count else ir.Constant(INT64, kind.lanes)
        if _is_power(n) and step == 1:
            first = builder.add(args[1], builder.sdiv(args[2], ir.Constant(INT64, n)))
            wanted = builder.sdiv(builder.add(limit, ir.Constant(INT64, n - 1)), ir.Constant(INT64, n))
            address = load_address(context, builder, signature.args[0], args[0], first, kind)
            held = _first_of(builder, address, wanted, kind)
            return _shuffled(builder, held, held, [lane // n for lane in range(kind.lanes)])
        made = ir.Constant(kind.llvm, ir.Undefined)
        last = builder.sub(limit, ir.Constant(INT64, 1))
        for lane in range(kind.lanes):
            number = ir.Constant(INT64, lane)
            number = builder.select(builder.icmp_signed("<", number, last), number, last)
            turn = builder.sdiv(builder.add(args[2], number), ir.Constant(INT64, n))
            at = builder.add(args[1], builder.mul(turn, ir.Constant(INT64, step)))
            value = builder.load(element(context, builder, signature.args[0], args[0], at))
            made = builder.insert_element(made, value, ir.Constant(INT32, lane))
        return made

    return kind(array, types.intp, types.intp, times, stride, *[types.intp for _ in count]), codegen


@intrinsic
def sum_neighbours(typingctx, array, offset, j, times):
    """Lane ``l`` has the sum of the ``times`` elements from ``offset + (j + l) * times`` on.

    ``times`` is a constant, a power of two.
    """
    return _neighbours(array, offset, j, times)


@intrinsic
def sum_neighbours_part(typingctx, array, offset, j, times, count):
    """As :func:`sum_neighbours`, of the first ``count`` lanes; the others are 0 and their memory is not touched."""
    return _neighbours(array, offset, j, times, count)


def _neighbours(array: Any, offset: Any, j: Any, times: Any, *count: Any) -> Any:
    n, kind = _literal(times), vector_of(array.dtype)
    if n is None or not _is_power(n):
        return None

    def codegen(context, builder, signature, args):
        begin = builder.add(args[1], builder.mul(args[2], ir.Constant(INT64, n)))
        held = []
        for number in range(n):
            before = ir.Constant(INT64, number * kind.lanes)
            address = load_address(context, builder, signature.args[0], args[0], builder.add(begin, before), kind)
            if count:
                left = builder.sub(builder.mul(args[4], ir.Constant(INT64, n)), before)
                held.append(_first_of(builder, address, left, kind))
            else:
                held.append(builder.load(address, align=kind.dtype.bitwidth // 8))
        while len(held) > 1:
            held = [_paired(builder, x, y, kind) for x, y in zip(held[::2], held[1::2], strict=True)]
        return held[0]

    return kind(array, types.intp, types.intp, times, *[types.intp for _ in count]), codegen


def _paired(builder: Any, x: Any, y: Any, kind: Vector) -> Any:
    """LLVM: the sums of neighbouring lanes of two vectors, side by side."""
    even, odd = (_shuffled(builder, x, y, list(range(first, 2 * kind.lanes, 2))) for first in (0, 1))
    return builder.fadd(even, odd)


def _shuffled(builder: Any, x: Any, y: Any, order: list[int]) -> Any:
    return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(INT32, len(order)), order))
