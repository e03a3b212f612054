"""What generated source may call: ``from tapegrad.backends.numba_cpu.runtime import *`` is how it begins.

These are the functions for Numba code of the modules in ``MODULES`` (intrinsics and compiled functions), and their
whole numbers, which describe the machine (``LANES32``, ``ROWS``).
"""

from __future__ import annotations

from types import ModuleType

from numba.core.dispatcher import Dispatcher

from . import denormals, error_function, fetching, gemm, maths, pointers, repeated, strided, vectors, weights

MODULES: tuple[ModuleType, ...] = (
    pointers, vectors, maths, error_function, fetching, gemm, weights, strided, repeated, denormals,
)  # fmt: skip
_CALLABLE = (Dispatcher, type(vectors.load))


def _public(module: ModuleType) -> dict[str, object]:
    """The names of a module that generated source may use."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and (isinstance(value, _CALLABLE) or type(value) is int)
    }


__all__: list[str] = []
for _module in MODULES:
    for _name, _value in _public(_module).items():
        if globals().setdefault(_name, _value) is not _value:
            raise ImportError(f"two runtime modules define the name {_name!r}; the second is {_module.__name__}")
        if _name not in __all__:
            __all__.append(_name)  # noqa: PYI056
