"""Vectors whose elements lie apart in memory, truth values of lanes, and folds along an axis."""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .division import maximum, minimum
from .pointers import element
from .vectors import INT32, INT64, Mask, as_vector, fma, lane_sum, lanes_of, load, load_part, total, vector_of


@intrinsic
def load_strided(typingctx, array, offset, stride):
    """Elements at ``offset``, ``offset + stride``, ... as a vector."""
    kind = vector_of(array.dtype)

    def codegen(context, builder, signature, args):
        made = ir.Constant(kind.llvm, ir.Undefined)
        for lane in range(kind.lanes):
            at = builder.add(args[1], builder.mul(args[2], ir.Constant(INT64, lane)))
            value = builder.load(element(context, builder, signature.args[0], args[0], at))
            made = builder.insert_element(made, value, ir.Constant(INT32, lane))
        return made

    return kind(array, types.intp, types.intp), codegen


@intrinsic
def load_strided_part(typingctx, array, offset, stride, count):
    """As :func:`load_strided`, of the first ``count`` lanes; the others repeat the last of them."""
    kind = vector_of(array.dtype)

    def codegen(context, builder, signature, args):
        made = ir.Constant(kind.llvm, ir.Undefined)
        last = builder.sub(args[3], ir.Constant(INT64, 1))
        for lane in range(kind.lanes):
            number = ir.Constant(INT64, lane)
            number = builder.select(builder.icmp_signed("<", number, last), number, last)
            at = builder.add(args[1], builder.mul(args[2], number))
            value = builder.load(element(context, builder, signature.args[0], args[0], at))
            made = builder.insert_element(made, value, ir.Constant(INT32, lane))
        return made

    return kind(array, types.intp, types.intp, types.intp), codegen


@intrinsic
def store_strided(typingctx, array, offset, stride, value):
    """Write the lanes of a vector ``stride`` elements apart."""
    kind = vector_of(array.dtype)

    def codegen(context, builder, signature, args):
        written = as_vector(context, builder, args[3], signature.args[3], kind)
        for lane in range(kind.lanes):
            at = builder.add(args[1], builder.mul(args[2], ir.Constant(INT64, lane)))
            part = builder.extract_element(written, ir.Constant(INT32, lane))
            builder.store(part, element(context, builder, signature.args[0], args[0], at))
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, value), codegen


@intrinsic
def store_strided_part(typingctx, array, offset, stride, value, count):
    """As :func:`store_strided`, of the first ``count`` lanes."""
    kind = vector_of(array.dtype)

    def codegen(context, builder, signature, args):
        written = as_vector(context, builder, args[3], signature.args[3], kind)
        for lane in range(kind.lanes):
            with builder.if_then(builder.icmp_signed("<", ir.Constant(INT64, lane), args[4])):
                at = builder.add(args[1], builder.mul(args[2], ir.Constant(INT64, lane)))
                part = builder.extract_element(written, ir.Constant(INT32, lane))
                builder.store(part, element(context, builder, signature.args[0], args[0], at))
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, value, types.intp), codegen


@intrinsic
def fill_zero(typingctx, array):
    """A vector of zeros of an array's dtype."""
    kind = vector_of(array.dtype)

    def codegen(context, builder, signature, args):
        return ir.Constant(kind.llvm, None)

    return kind(array), codegen


# ---- truth values ----
def _mask_operation(emit, summary):
    @intrinsic
    def emitted(typingctx, x, y):
        def codegen(context, builder, signature, args):
            return emit(builder, *args)

        return (x(x, y), codegen) if isinstance(x, Mask) and x == y else None

    emitted.__doc__ = summary
    return emitted


mask_and = _mask_operation(lambda builder, x, y: builder.and_(x, y), "Lane by lane: whether both are true.")
mask_or = _mask_operation(lambda builder, x, y: builder.or_(x, y), "Lane by lane: whether one is true.")


@intrinsic
def mask_not(typingctx, x):
    """Lane by lane: whether it is false."""

    def codegen(context, builder, signature, args):
        return builder.not_(args[0])

    return x(x), codegen


# ---- folds ----
@intrinsic
def first_lane(typingctx, x):
    """The first lane of a vector."""

    def codegen(context, builder, signature, args):
        return builder.extract_element(args[0], ir.Constant(INT32, 0))

    return x.dtype(x), codegen


@intrinsic
def half_swapped(typingctx, x, apart):
    """The lanes exchanged with those ``apart`` lanes away; ``apart`` is a constant power of two."""
    if not isinstance(apart, types.IntegerLiteral):
        return None
    distance = apart.literal_value

    def codegen(context, builder, signature, args):
        order = [lane ^ distance if lane ^ distance < x.lanes else lane for lane in range(x.lanes)]
        undefined = ir.Constant(x.llvm, ir.Undefined)
        return builder.shuffle_vector(args[0], undefined, ir.Constant(ir.VectorType(INT32, x.lanes), order))

    return x(x, apart), codegen


compiled = numba.njit(nogil=True, error_model="numpy", boundscheck=False)


@compiled
def fold_sum(array, at, stride, count):
    """The sum of ``count`` elements that lie ``stride`` apart."""
    if stride == 1:
        return total(array, at, count)
    held = array[at]
    for k in range(1, count):
        held += array[at + k * stride]
    return held


@compiled
def fold_two_max(x, y):
    """The larger of two numbers; NaN if one is."""
    return x if x > y or x != x else y


@compiled
def fold_two_min(x, y):
    """The smaller of two numbers; NaN if one is."""
    return x if x < y or x != x else y


def _extremum(choose, choose_two):
    @compiled
    def fold(array, at, stride, count):
        lanes = lanes_of(array)
        held = array[at]
        done = 0
        if stride == 1 and count >= lanes:
            wide = load(array, at)
            done = lanes
            while done + lanes <= count:
                wide = choose(wide, load(array, at + done))
                done += lanes
            wide = choose(wide, half_swapped(wide, 8))
            wide = choose(wide, half_swapped(wide, 4))
            wide = choose(wide, half_swapped(wide, 2))
            wide = choose(wide, half_swapped(wide, 1))
            held = first_lane(wide)
        for k in range(done, count):
            held = choose_two(array[at + k * stride], held)
        return held

    return fold


fold_max = _extremum(maximum, fold_two_max)
fold_min = _extremum(minimum, fold_two_min)


@compiled
def dot(x, at, step, y, bt, stride, count):
    """The sum of products of ``count`` elements of two arrays, that lie ``step`` and ``stride`` apart."""
    if step == 1 and stride == 1:
        lanes = lanes_of(x)
        whole = count - count % lanes
        held = load_part(x, at + whole, count - whole) * load_part(y, bt + whole, count - whole)
        for k in range(0, whole, lanes):
            held = fma(load(x, at + k), load(y, bt + k), held)
        return lane_sum(held)
    held = x[at] * y[bt]
    for k in range(1, count):
        held += x[at + k * step] * y[bt + k * stride]
    return held


# ---- single numbers, where Numba computes otherwise than NumPy ----
@compiled
def floor_quotient(x, y):
    """x / y of floats, rounded down."""
    if y == 0:
        return x / y
    rest = np.fmod(x, y)
    quotient = (x - rest) / y
    if rest != 0 and (rest < 0) != (y < 0):
        quotient -= 1
    if quotient == 0:
        return np.copysign(quotient, x / y)
    below = np.floor(quotient)
    return below + 1 if quotient - below > 0.5 else below


@compiled
def floor_modulo(x, y):
    """The remainder that belongs to :func:`floor_quotient`; it has the sign of y."""
    rest = np.fmod(x, y)
    if rest == 0:
        return np.copysign(rest, y)
    return rest + y if (rest < 0) != (y < 0) else rest


@compiled
def whole_less(x, y):
    """Whether x < y of integers, one of them unsigned: Numba compares them as floats, which tell not all apart."""
    if x < 0:
        return y >= 0 or np.int64(x) < np.int64(y)
    return y >= 0 and np.uint64(x) < np.uint64(y)


@compiled
def quotient(x, y):
    """x / y of integers, rounded down; 0 for y = 0, as in NumPy.

    The smallest integer by -1 is out of range: it wraps around, where the processor would stop the process.
    """
    if y == 0 or (y < 0 and y == -1):
        return x * y
    return x // y


@compiled
def modulo(x, y):
    """The remainder that belongs to :func:`quotient`."""
    if y == 0 or (y < 0 and y == -1):
        return x - x
    return x % y


# ---- indices ----
@compiled
def checked(index, length, faults):
    """An index, counted from the end if it is negative; one out of range is reported, and 0 taken in its place."""
    found = index + length if index < 0 else index
    if found < 0 or found >= length:
        faults[0], faults[1], faults[2] = 1, index, length
        return 0
    return found
