"""Vectors while LLVM code is emitted: a formula written with Python's operators becomes straight-line vector code.

Numba would infer a type for each operation of a formula anew in each place where it is used, which takes longer than
all else. Here it sees a single call of an intrinsic function (see ``formulas.py``), and the operations go to LLVM
directly.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from llvmlite import ir

from .vectors import Vector, call_llvm

MANTISSA = {32: 23, 64: 52}  # bits of the mantissa, by the bits of the dtype


class Lanes:
    """A vector value of the function that is being emitted; numbers beside it stand for themselves in every lane.

    ``+ - * /`` and comparisons are one instruction each, and comparisons give the mask that :func:`select` takes.
    """

    __slots__ = ("builder", "kind", "value")

    def __init__(self, builder: Any, kind: Vector, value: Any):
        self.builder, self.kind, self.value = builder, kind, value

    @property
    def width(self) -> int:
        """The bits of an element, 32 or 64: the key of tables of constants."""
        return self.kind.dtype.bitwidth

    def of(self, value: Any) -> Lanes:
        return Lanes(self.builder, self.kind, value)

    def of_number(self, number: float) -> Lanes:
        return self.of(ir.Constant(self.kind.llvm, [float(number)] * self.kind.lanes))

    def operand(self, other: Any) -> Any:
        return other.value if isinstance(other, Lanes) else self.of_number(other).value

    def __add__(self, other: Any) -> Lanes:
        return self.of(self.builder.fadd(self.value, self.operand(other)))

    def __sub__(self, other: Any) -> Lanes:
        return self.of(self.builder.fsub(self.value, self.operand(other)))

    def __rsub__(self, other: Any) -> Lanes:
        return self.of(self.builder.fsub(self.operand(other), self.value))

    def __mul__(self, other: Any) -> Lanes:
        return self.of(self.builder.fmul(self.value, self.operand(other)))

    def __truediv__(self, other: Any) -> Lanes:
        return self.of(self.builder.fdiv(self.value, self.operand(other)))

    def __rtruediv__(self, other: Any) -> Lanes:
        return self.of(self.builder.fdiv(self.operand(other), self.value))

    def __neg__(self) -> Lanes:
        return self.of(self.builder.fneg(self.value))

    __radd__, __rmul__ = __add__, __mul__

    def compared(self, symbol: str, other: Any) -> Truth:
        compare = self.builder.fcmp_unordered if symbol == "!=" else self.builder.fcmp_ordered
        return Truth(self.builder, compare(symbol, self.value, self.operand(other)))

    def __lt__(self, other: Any) -> Truth:
        return self.compared("<", other)

    def __le__(self, other: Any) -> Truth:
        return self.compared("<=", other)

    def __gt__(self, other: Any) -> Truth:
        return self.compared(">", other)

    def __ge__(self, other: Any) -> Truth:
        return self.compared(">=", other)

    def __eq__(self, other: Any) -> Truth:  # type: ignore[override]
        return self.compared("==", other)

    def __ne__(self, other: Any) -> Truth:  # type: ignore[override]
        """Unequal, or one of the two is NaN."""
        return self.compared("!=", other)

    __hash__ = None  # type: ignore[assignment]

    def call(self, name: str, *others: Any) -> Lanes:
        """One of LLVM's intrinsic functions."""
        args = [self.value, *(self.operand(other) for other in others)]
        return self.of(call_llvm(self.builder, f"llvm.{name}.{self.kind.suffix}", self.kind.llvm, *args))

    # ---- the bits ----
    def bits(self) -> Bits:
        whole = ir.VectorType(ir.IntType(self.width), self.kind.lanes)
        return Bits(self, self.builder.bitcast(self.value, whole))

    def constant_bits(self, number: float) -> int:
        """The bits of a number in this dtype."""
        layout, whole = ("<f", "<I") if self.width == 32 else ("<d", "<Q")
        return struct.unpack(whole, struct.pack(layout, number))[0]


class Truth:
    """A truth value for each lane."""

    __slots__ = ("builder", "value")

    def __init__(self, builder: Any, value: Any):
        self.builder, self.value = builder, value

    def __and__(self, other: Truth) -> Truth:
        return Truth(self.builder, self.builder.and_(self.value, other.value))

    def __or__(self, other: Truth) -> Truth:
        return Truth(self.builder, self.builder.or_(self.value, other.value))


class Bits:
    """The bits of :class:`Lanes`, as integers."""

    __slots__ = ("floats", "value")

    def __init__(self, floats: Lanes, value: Any):
        self.floats, self.value = floats, value

    def operand(self, other: Any) -> Any:
        kind = self.value.type
        return other.value if isinstance(other, Bits) else ir.Constant(kind, [other] * kind.count)

    def apply(self, instruction: str, other: Any) -> Bits:
        return Bits(self.floats, getattr(self.floats.builder, instruction)(self.value, self.operand(other)))

    def __add__(self, other: Any) -> Bits:
        return self.apply("add", other)

    def __sub__(self, other: Any) -> Bits:
        return self.apply("sub", other)

    def __rsub__(self, other: Any) -> Bits:
        return Bits(self.floats, self.floats.builder.sub(self.operand(other), self.value))

    def __and__(self, other: Any) -> Bits:
        return self.apply("and_", other)

    def __xor__(self, other: Any) -> Bits:
        return self.apply("xor", other)

    def __lshift__(self, other: int) -> Bits:
        return self.apply("shl", other)

    def __rshift__(self, other: int) -> Bits:
        """Zeros come in from the left."""
        return self.apply("lshr", other)

    def nonzero(self) -> Truth:
        builder = self.floats.builder
        return Truth(builder, builder.icmp_unsigned("!=", self.value, ir.Constant(self.value.type, None)))

    def as_floats(self) -> Lanes:
        """The floats that have these bits."""
        return self.floats.of(self.floats.builder.bitcast(self.value, self.floats.kind.llvm))


# ---- functions of lanes ----
def fma(x: Any, y: Any, z: Any) -> Lanes:
    """x * y + z, rounded once; at least one is Lanes, as in all functions here."""
    lanes = next(arg for arg in (x, y, z) if isinstance(arg, Lanes))
    return lanes.of(lanes.operand(x)).call("fma", y, z)


def select(truth: Truth, x: Any, y: Any) -> Lanes:
    """``x`` where true, else ``y``."""
    lanes = x if isinstance(x, Lanes) else y
    return lanes.of(lanes.builder.select(truth.value, lanes.operand(x), lanes.operand(y)))


def absolute(x: Lanes) -> Lanes:
    return x.call("fabs")


def floor(x: Lanes) -> Lanes:
    return x.call("floor")


def truncate(x: Lanes) -> Lanes:
    return x.call("trunc")


def sqrt(x: Lanes) -> Lanes:
    return x.call("sqrt")


def copysign(x: Any, sign: Lanes) -> Lanes:
    """The magnitude of ``x`` with the sign of ``sign``."""
    return sign.of(sign.operand(x)).call("copysign", sign)


def is_nan(x: Lanes) -> Truth:
    return x != x


def at_most(x: Lanes, high: Any) -> Lanes:
    """min(x, high); a NaN stays. In this form it is one instruction on x86."""
    return select(x > high, high, x)


def at_least(x: Lanes, low: Any) -> Lanes:
    """max(x, low); a NaN stays."""
    return select(x < low, low, x)


def polynomial(x: Lanes, table: Mapping[int, Sequence[float]]) -> Lanes:
    """By Horner's rule; coefficients lowest first, chosen by the dtype."""
    *lower, last = table[x.width]
    value: Any = last
    for coefficient in reversed(lower):
        value = fma(value, x, coefficient)
    return value
