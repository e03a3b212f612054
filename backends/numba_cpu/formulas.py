"""From a formula of lanes to a function for Numba code, and to LLVM functions for what is rare in it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from .lanes import Lanes, Truth
from .vectors import Vector, as_vector, vector_among


def where_rare(rare: Truth, usual: Lanes, scalar: Callable, *args: Lanes) -> Lanes:
    """``usual``, but where ``rare`` is true what ``scalar`` gives, lane by lane; a jump over that when it is nowhere.

    Parameters
    ----------
    rare : Truth
    usual : Lanes
    scalar : callable
        ``scalar(builder, *elements)`` emits the function of one element of each of ``args``; its name must be its own.
    *args : Lanes
    """
    builder, together = usual.builder, ir.IntType(usual.kind.lanes)
    some = builder.icmp_unsigned("!=", builder.bitcast(rare.value, together), ir.Constant(together, 0))
    before = builder.block
    with builder.if_then(some, likely=False):
        function = _each_lane(builder.module, scalar, usual.kind, len(args))
        replaced = builder.call(function, [rare.value, usual.value, *(arg.value for arg in args)])
        last = builder.block
    merged = builder.phi(usual.kind.llvm)
    merged.add_incoming(usual.value, before)
    merged.add_incoming(replaced, last)
    return usual.of(merged)


def _each_lane(module: Any, scalar: Callable, kind: Vector, count: int) -> Any:
    """An LLVM function, out of the way of the usual case: (mask, usual, *args) -> vector."""
    mask = ir.VectorType(ir.IntType(1), kind.lanes)
    signature = ir.FunctionType(kind.llvm, [mask, kind.llvm] + [kind.llvm] * count)
    function = cgutils.get_or_insert_function(module, signature, f"tapegrad.{scalar.__name__}.{kind.suffix}")
    if not function.is_declaration:
        return function
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block())
    chosen, value, *args = function.args
    for lane in range(kind.lanes):
        index = ir.Constant(ir.IntType(32), lane)
        before = builder.block
        with builder.if_then(builder.extract_element(chosen, index)):
            one = scalar(builder, *(builder.extract_element(arg, index) for arg in args))
            changed = builder.insert_element(value, one, index)
            last = builder.block
        merged = builder.phi(kind.llvm)
        merged.add_incoming(value, before)
        merged.add_incoming(changed, last)
        value = merged
    builder.ret(value)
    return function


def formula(float32: float, float64: float) -> Callable[[Callable], Any]:
    """A function of lanes as a function for Numba code, whose vectors may stand beside numbers.

    Parameters
    ----------
    float32, float64 : float
        The largest error in units in the last place of the true result. Written into the docstring, and kept as
        the attribute ``ulps`` for the tests.
    """

    def decorated(function: Callable) -> Any:
        if len(inspect.signature(function).parameters) == 1:

            @intrinsic
            def emitted(typingctx, x):
                return _emission(function, x)
        else:

            @intrinsic
            def emitted(typingctx, x, y):
                return _emission(function, x, y)

        emitted.ulps = {32: float32, 64: float64}
        bound = f"at most {float32:g} ulp in float32 and {float64:g} ulp in float64"
        emitted.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\nError: {bound}."
        emitted.__name__ = function.__name__
        return emitted

    return decorated


def _emission(function: Callable, *kinds: Any) -> Any:
    kind = vector_among(*kinds)
    if kind is None:
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = [as_vector(context, builder, arg, given, kind) for arg, given in zip(args, kinds, strict=True)]
        return function(*(Lanes(builder, kind, value) for value in values)).value

    return kind(*kinds), codegen
