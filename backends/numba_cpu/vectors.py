"""Vectors as values in Numba code: explicit SIMD that does not depend on what LLVM's vectoriser can prove.

LLVM vectorises a loop over many arrays only behind checks that they do not overlap. Here it is written over vectors::

    for j in range(0, n, lanes):
        store(out, j, sigmoid(load(a, j) + load(b, j)))

and each operation is one LLVM instruction on ``<lanes x float>``. LLVM splits a vector that is wider than the
machine's registers, so that every width is correct everywhere; the host's own is fastest.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from tapegrad.errors import OptionError

from .pointers import element

INT1, INT32, INT64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
SCALAR = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}


def vector_bits() -> int:
    """The width of the host's vectors: 512 with AVX-512, 256 with AVX2, else 128.

    ``TAPEGRAD_VECTOR_BITS`` overrides it, to test the code for other machines; so do the features in Numba's own
    ``NUMBA_CPU_FEATURES``.
    """
    given = os.environ.get("TAPEGRAD_VECTOR_BITS")
    if given is not None:
        if given not in ("128", "256", "512"):
            raise OptionError(f"TAPEGRAD_VECTOR_BITS={given!r}; give 128, 256 or 512")
        return int(given)
    if numba.config.CPU_FEATURES is not None:
        has = {name[1:] for name in numba.config.CPU_FEATURES.split(",") if name.startswith("+")}
    else:
        has = {name for name, there in llvm.get_host_cpu_features().items() if there}
    return 512 if "avx512f" in has else 256 if "avx2" in has else 128


BITS = vector_bits()
LANES32, LANES64 = BITS // 32, BITS // 64


class Vector(types.Type):
    """The Numba type of ``lanes`` floats side by side."""

    def __init__(self, dtype: types.Float, lanes: int):
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"Vector({dtype}, {lanes})")

    @property
    def llvm(self) -> ir.VectorType:
        return ir.VectorType(SCALAR[self.dtype], self.lanes)

    @property
    def suffix(self) -> str:
        """How LLVM's intrinsics name the type."""
        return f"v{self.lanes}f{self.dtype.bitwidth}"


class Mask(types.Type):
    """The Numba type of a truth value for each lane."""

    def __init__(self, lanes: int):
        self.lanes = lanes
        super().__init__(name=f"Mask({lanes})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector):
        super().__init__(manager, kind, kind.llvm)


@register_model(Mask)
class MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Mask):
        super().__init__(manager, kind, ir.VectorType(INT1, kind.lanes))


def vector_of(dtype: types.Float) -> Vector:
    """The vector type of the host's width for a float type."""
    return Vector(dtype, BITS // dtype.bitwidth)


def splat(builder: Any, value: Any, lanes: int) -> Any:
    """LLVM: a vector with ``value`` in every lane."""
    kind = ir.VectorType(value.type, lanes)
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(INT32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(INT32, lanes), [0] * lanes))


def as_vector(context: Any, builder: Any, value: Any, kind: Any, to: Vector) -> Any:
    """LLVM: a vector as it is, a scalar in every lane, a truth value as 0 or 1."""
    if isinstance(kind, Mask):
        return builder.uitofp(value, to.llvm)
    return value if isinstance(kind, Vector) else splat(builder, context.cast(builder, value, kind, to.dtype), to.lanes)


def vector_among(*kinds: Any) -> Any:
    """The vector type among the argument types, if all the others are numbers; else None."""
    found = [kind for kind in kinds if isinstance(kind, Vector)]
    fitting = all(isinstance(kind, (Vector, types.Number)) for kind in kinds)
    return found[0] if found and fitting and all(kind == found[0] for kind in found) else None


def call_llvm(builder: Any, name: str, result: Any, *args: Any) -> Any:
    """LLVM: call a function that is found by its name."""
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


# ---- memory ----
def load_address(context: Any, builder: Any, array_type: Any, array: Any, offset: Any, kind: Vector) -> Any:
    """LLVM: where a vector lies that begins ``offset`` elements behind the start of an array."""
    return builder.bitcast(element(context, builder, array_type, array, offset), kind.llvm.as_pointer())


@intrinsic
def load(typingctx, array, offset):
    """The vector at ``offset`` elements behind the start of a contiguous array. Nothing is checked."""
    kind = vector_of(array.dtype)

    def codegen(context, builder, signature, args):
        value = builder.load(load_address(context, builder, signature.args[0], args[0], args[1], kind))
        value.align = kind.dtype.bitwidth // 8
        return value

    return kind(array, types.intp), codegen


@intrinsic
def store(typingctx, array, offset, value):
    """Write a vector at ``offset`` elements behind the start of a contiguous array. Nothing is checked."""
    kind = vector_of(array.dtype)

    def codegen(context, builder, signature, args):
        written = as_vector(context, builder, args[2], signature.args[2], kind)
        address = load_address(context, builder, signature.args[0], args[0], args[1], kind)
        builder.store(written, address).align = kind.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@intrinsic
def spread(typingctx, array, offset):
    """The element at ``offset``, in every lane."""
    kind = vector_of(array.dtype)

    def codegen(context, builder, signature, args):
        return splat(builder, builder.load(element(context, builder, signature.args[0], *args)), kind.lanes)

    return kind(array, types.intp), codegen


@intrinsic
def lanes_of(typingctx, array):
    """How many elements of an array make a vector; a constant of the compiled code."""
    lanes = vector_of(array.dtype).lanes

    def codegen(context, builder, signature, args):
        return ir.Constant(INT64, lanes)

    return types.intp(array), codegen


@intrinsic
def lane_sum(typingctx, x):
    """The sum of the lanes: one half is added to the other, until one is left."""

    def codegen(context, builder, signature, args):
        (held,), count = args, x.lanes
        while count := count // 2:
            picks = [ir.Constant(ir.VectorType(INT32, count), list(range(i, i + count))) for i in (0, count)]
            held = builder.fadd(*[builder.shuffle_vector(held, held, pick) for pick in picks])
        return builder.extract_element(held, ir.Constant(INT32, 0))

    return x.dtype(x), codegen


@numba.njit(nogil=True, error_model="numpy", boundscheck=False)
def total(array, start, count):
    """The sum of ``count`` elements behind ``start``."""
    lanes = lanes_of(array)
    whole = count - count % lanes
    held = load_part(array, start + whole, count - whole)
    for j in range(start, start + whole, lanes):
        held = held + load(array, j)
    return lane_sum(held)


def first_lanes(builder: Any, count: Any, lanes: int) -> Any:
    """LLVM: a mask of the first ``count`` lanes."""
    numbers = ir.Constant(ir.VectorType(INT64, lanes), list(range(lanes)))
    return builder.icmp_signed("<", numbers, splat(builder, count, lanes))


@intrinsic
def load_part(typingctx, array, offset, count):
    """As :func:`load`, of the first ``count`` lanes only; the others are 0 and their memory is not touched."""
    kind = vector_of(array.dtype)

    def codegen(context, builder, signature, args):
        address = load_address(context, builder, signature.args[0], args[0], args[1], kind)
        mask = first_lanes(builder, args[2], kind.lanes)
        align = ir.Constant(INT32, kind.dtype.bitwidth // 8)
        name = f"llvm.masked.load.{kind.suffix}.p0"
        return call_llvm(builder, name, kind.llvm, address, align, mask, ir.Constant(kind.llvm, None))

    return kind(array, types.intp, types.intp), codegen


@intrinsic
def store_part(typingctx, array, offset, value, count):
    """As :func:`store`, of the first ``count`` lanes only."""
    kind = vector_of(array.dtype)

    def codegen(context, builder, signature, args):
        written = as_vector(context, builder, args[2], signature.args[2], kind)
        address = load_address(context, builder, signature.args[0], args[0], args[1], kind)
        mask = first_lanes(builder, args[3], kind.lanes)
        align = ir.Constant(INT32, kind.dtype.bitwidth // 8)
        call_llvm(builder, f"llvm.masked.store.{kind.suffix}.p0", ir.VoidType(), written, address, align, mask)
        return context.get_dummy_value()

    return types.void(array, types.intp, value, types.intp), codegen


# ---- arithmetic ----
# Typed and lowered directly: as overloads of Python functions each operation would take four times longer to compile.
def _operator(operation: Callable, result: Callable[[Vector], Any], emit: Callable[[Any, Any, Any], Any]) -> None:
    @infer_global(operation)
    class Typed(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            kind = vector_among(*args) if len(args) == 2 else None
            return None if kind is None else signature(result(kind), *args)

    def lowered(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = vector_among(*signature.args)
        both = [as_vector(context, builder, a, k, kind) for a, k in zip(args, signature.args, strict=True)]
        return emit(builder, *both)

    for kinds in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(operation, *kinds)(lowered)


def _compared(symbol: str) -> Callable:
    def emit(builder: Any, x: Any, y: Any) -> Any:
        return (builder.fcmp_unordered if symbol == "!=" else builder.fcmp_ordered)(symbol, x, y)

    return emit


for _operation, _instruction in (
    (operator.add, ir.IRBuilder.fadd),
    (operator.sub, ir.IRBuilder.fsub),
    (operator.mul, ir.IRBuilder.fmul),
    (operator.truediv, ir.IRBuilder.fdiv),
):
    _operator(_operation, lambda kind: kind, _instruction)

for _operation, _symbol in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.eq, "=="),
    (operator.ne, "!="),
):
    _operator(_operation, lambda kind: Mask(kind.lanes), _compared(_symbol))


@infer_global(operator.neg)
class _Negated(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(args[0], args[0]) if isinstance(args[0], Vector) else None


@lower_builtin(operator.neg, Vector)
def _negated(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.fneg(args[0])


@intrinsic
def select(typingctx, mask, x, y):
    """Lane by lane: ``x`` where the mask is true, else ``y``."""
    kind = vector_among(x, y)

    def codegen(context, builder, signature, args):
        both = [as_vector(context, builder, a, k, kind) for a, k in zip(args[1:], signature.args[1:], strict=True)]
        return builder.select(args[0], *both)

    return kind(mask, x, y), codegen


@intrinsic
def fma(typingctx, x, y, z):
    """x * y + z, rounded once."""
    kind = vector_among(x, y, z)

    def codegen(context, builder, signature, args):
        parts = [as_vector(context, builder, a, k, kind) for a, k in zip(args, signature.args, strict=True)]
        return call_llvm(builder, f"llvm.fma.{kind.suffix}", kind.llvm, *parts)

    return kind(x, y, z), codegen


def _unary(name: str, summary: str) -> Any:
    @intrinsic
    def emitted(typingctx, x):
        def codegen(context, builder, signature, args):
            return call_llvm(builder, f"llvm.{name}.{x.suffix}", x.llvm, args[0])

        return x(x), codegen

    emitted.__doc__ = summary
    return emitted


rint = _unary("rint", "The nearest integer, halves to even.")
floor = _unary("floor", "The largest integer that is not larger.")
absolute = _unary("fabs", "The absolute value.")
sqrt = _unary("sqrt", "The square root.")


@intrinsic
def copysign(typingctx, x, y):
    """The magnitude of ``x`` with the sign of ``y``."""
    kind = vector_among(x, y)

    def codegen(context, builder, signature, args):
        both = [as_vector(context, builder, a, k, kind) for a, k in zip(args, signature.args, strict=True)]
        return call_llvm(builder, f"llvm.copysign.{kind.suffix}", kind.llvm, *both)

    return kind(x, y), codegen
