"""Compiled functions that generated code calls by a symbol, and does not contain.

Numba links what a function calls into the function's own machine code, and optimises and translates it anew: the
matrix products would add half a second to the compilation of each loop that uses them. A :class:`Kernel` is compiled
once for each float type, kept on disk as loops are, and known to the linker by a name of its own.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError

PREFIX = "tapegrad.kernel."
DTYPES = {str(dtype): dtype for dtype in (types.float32, types.float64)}

_kernels: dict[str, Kernel] = {}
_provided: dict[str, Any] = {}


class Kernel:
    """A function of pointers to elements of one float type, whole numbers and truth values, that returns nothing.

    Parameters
    ----------
    function : callable
        To be compiled by Numba. Its module holds it under its own name.
    pointers, flags : str
        The names of the arguments that are pointers, and of those that are truth values. All others are whole numbers.
    """

    def __init__(self, function: Callable[..., None], pointers: str, flags: str = ""):
        self.function, self.name = function, function.__name__.strip("_")
        self.arguments = list(inspect.signature(function).parameters)
        self.pointers, self.flags = pointers.split(), flags.split()
        _kernels[self.name] = self

    def types(self, dtype: Any) -> list[Any]:
        """The types of the arguments."""
        pointer = types.CPointer(dtype)
        return [
            pointer if name in self.pointers else types.boolean if name in self.flags else types.intp
            for name in self.arguments
        ]

    def symbol(self, dtype: Any) -> str:
        """The name that the linker knows the kernel by."""
        return f"{PREFIX}{self.name}.{dtype}"

    def ready(self, *arrays: Any) -> Any:
        """Provide the kernel while a function that calls it is compiled; gives the float type of its operands.

        Raises
        ------
        TypingError
            If the operands are no flat contiguous arrays of one float type, or pointers.
        """
        dtypes = {str(getattr(array, "dtype", array)) for array in arrays}
        flat = all(_is_flat(array) for array in arrays)
        if not flat or len(dtypes) > 1 or not dtypes < set(DTYPES):
            found = ", ".join(map(str, arrays))
            wanted = "flat contiguous arrays, all of float32 or all of float64"
            raise TypingError(f"{self.name}: the operands are {found}; give {wanted}")
        dtype = arrays[0].dtype
        provide(self.symbol(dtype))
        return dtype

    @property
    def source(self) -> str:
        """A text that defines the kernel, under which its machine code is kept."""
        return f"from {self.function.__module__} import {self.function.__name__} as {self.name}\n"

    def call(self, context: Any, builder: Any, dtype: Any, args: list[Any]) -> None:
        """LLVM: call the kernel by its symbol, with pointers and numbers in the order of its arguments."""
        kinds = self.types(dtype)
        kind = context.call_conv.get_function_type(types.none, kinds)
        function = cgutils.get_or_insert_function(builder.module, kind, self.symbol(dtype))
        context.call_conv.call_function(builder, function, types.none, kinds, args)


def _is_flat(kind: Any) -> bool:
    flat = isinstance(kind, types.Array) and kind.ndim == 1 and kind.layout == "C"
    return flat or isinstance(kind, types.CPointer)


def provide(symbol: str) -> bool:
    """Make a kernel's symbol known to the linker: load the kernel or compile it, if that was not done before.

    Parameters
    ----------
    symbol : str
        Any name that machine code refers to.

    Returns
    -------
    bool
        Whether it is a kernel's name.
    """
    if symbol in _provided:
        return True
    if not symbol.startswith(PREFIX):
        return False
    name, _, dtype = symbol.removeprefix(PREFIX).rpartition(".")
    kernel = _kernels.get(name)
    if kernel is None or dtype not in DTYPES:
        return False
    # Imported by name: what keeps machine code is no part of what machine code depends on.
    cache: Any = importlib.import_module(".cache", __package__)
    (made,) = cache.compiled(kernel.source, (kernel.name,))
    signature = tuple(kernel.types(DTYPES[dtype]))
    made.compile(signature)
    result = made.overloads[signature]
    llvm.add_symbol(symbol, result.library.get_pointer_to_function(result.fndesc.llvm_func_name))
    _provided[symbol] = made  # whose machine code stays with it
    return True
