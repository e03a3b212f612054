"""Denormal numbers flushed to zero while a compiled loop runs, and the caller's arithmetic as it was behind it.

Gradients that vanish pass through the denormal numbers (below 1.2e-38 in float32, 2.2e-308 in float64) on their way to
zero, and the processor may take a hundred cycles for each of them. Both settings, results flushed to zero and operands
taken for zero, belong to a thread, so that a loop sets them on each of the threads that it runs on::

    before = flush_denormals()
    ...
    restore_denormals(before)

Nothing that is read from memory or written to it moves across the two calls. Arithmetic on values that are in registers
on both sides may: pass arrays.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .vectors import INT32, INT64, call_llvm

INT8 = ir.IntType(8)

# x86's MXCSR: flush results to zero (bit 15), take operands for zero (bit 6).
_MXCSR_FLUSH = 0x8040
# AArch64's FPCR: FZ (bit 24) is both.
_FPCR_FLUSH = 1 << 24


def _processor(builder: Any) -> str:
    """The family of the machine that code is emitted for."""
    name = builder.module.triple.split("-")[0]
    if name in ("x86_64", "i386", "i586", "i686", "amd64"):
        return "x86"
    return "aarch64" if name in ("aarch64", "arm64") else "other"


def _call_mxcsr(builder: Any, name: str, slot: Any) -> None:
    address = builder.bitcast(slot, INT8.as_pointer())
    call_llvm(builder, f"llvm.x86.sse.{name}", ir.VoidType(), address)


def _slot(builder: Any) -> Any:
    with builder.goto_entry_block():  # on the stack once, not anew in each turn of a loop
        return builder.alloca(INT32)


def read_control(builder: Any) -> Any:
    """LLVM: the register that controls floating-point arithmetic, as 64 bits; 0 on a processor that is not known."""
    processor = _processor(builder)
    if processor == "x86":
        slot = _slot(builder)
        _call_mxcsr(builder, "stmxcsr", slot)
        return builder.zext(builder.load(slot), INT64)
    if processor == "aarch64":
        return call_llvm(builder, "llvm.aarch64.get.fpcr", INT64)
    return ir.Constant(INT64, 0)


def write_control(builder: Any, value: Any) -> None:
    """LLVM: set that register. The instruction counts as one that reads and writes all memory."""
    processor = _processor(builder)
    if processor == "x86":
        slot = _slot(builder)
        builder.store(builder.trunc(value, INT32), slot)
        _call_mxcsr(builder, "ldmxcsr", slot)
    elif processor == "aarch64":
        call_llvm(builder, "llvm.aarch64.set.fpcr", ir.VoidType(), value)


def begin_flush(builder: Any) -> Any:
    """LLVM: flush denormal numbers, and give the register as it was."""
    before = read_control(builder)
    flag = {"x86": _MXCSR_FLUSH, "aarch64": _FPCR_FLUSH}.get(_processor(builder), 0)
    write_control(builder, builder.or_(before, ir.Constant(INT64, flag)))
    return before


@intrinsic
def flush_denormals(typingctx):
    """Flush denormal numbers to zero on this thread; gives what :func:`restore_denormals` takes.

    It acts on x86 and AArch64, and does nothing on other processors.
    """

    def codegen(context, builder, signature, args):
        return begin_flush(builder)

    return types.int64(), codegen


@intrinsic
def restore_denormals(typingctx, before):
    """Set this thread's arithmetic as it was when :func:`flush_denormals` gave ``before``."""

    def codegen(context, builder, signature, args):
        write_control(builder, args[0])
        return context.get_dummy_value()

    return types.void(types.int64), codegen
