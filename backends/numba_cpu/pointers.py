"""Addresses in Numba code: of elements of arrays, and behind other addresses."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic


def element(context: Any, builder: Any, kind: Any, array: Any, offset: Any) -> Any:
    """LLVM: the address of an element of a contiguous array, or behind a pointer, counted from its start."""
    is_pointer = isinstance(kind, types.CPointer)
    start = array if is_pointer else context.make_array(kind)(context, builder, array).data
    return builder.gep(start, [offset])


@intrinsic
def pointer(typingctx, array, offset):
    """The address of an element of a contiguous array, counted from its start.

    Loops take it of each array when they begin: a use of an array is several instructions, that count who holds it.
    """

    def codegen(context, builder, signature, args):
        return element(context, builder, signature.args[0], *args)

    return types.CPointer(array.dtype)(array, types.intp), codegen


@intrinsic
def behind(typingctx, pointer, offset):
    """The address ``offset`` elements behind another."""

    def codegen(context, builder, signature, args):
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, types.intp), codegen
