"""What a function captures, as a key under which its tape may be kept.

A tape may be used again for a function with the same code that captured equal numbers, the same functions and equal
frozen cells. Whatever else a function captures (arrays, Tensors, objects that may change) has no key, and the function
is then traced anew at each call.
"""

from __future__ import annotations

import dataclasses
import inspect
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from .primitives.registry import Primitive

PLAIN = (int, float, complex, str, bytes, bool, type(None), np.dtype)
FIXED = (type, ModuleType, BuiltinFunctionType, np.ufunc, Primitive)


class Unkeyed(Exception):
    """A captured value has no key."""


def capture_key(value: Any, depth: int = 0) -> Any:
    """A hashable key of a value or function.

    Raises
    ------
    Unkeyed
        When a captured value may change unseen.
    """
    if depth > 12:
        raise Unkeyed
    if isinstance(value, PLAIN):
        return type(value), repr(value) if isinstance(value, float) else value
    if isinstance(value, np.generic):
        return type(value), value.tobytes()
    if isinstance(value, FIXED):
        return id(value)
    if isinstance(value, FunctionType):
        return _function_key(value, depth + 1)
    if isinstance(value, MethodType):
        bound = capture_key(value.__self__, depth + 1), capture_key(value.__func__, depth + 1)
        return (*bound, _members_key(type(value.__self__), value.__func__.__code__, depth + 1))
    if isinstance(value, tuple):
        return tuple, tuple([capture_key(item, depth + 1) for item in value])
    if dataclasses.is_dataclass(value) and value.__dataclass_params__.frozen:  # type: ignore[union-attr]
        fields = [capture_key(getattr(value, field.name), depth + 1) for field in dataclasses.fields(value)]
        step = getattr(type(value), "step", None)
        members = _members_key(type(value), step.__code__, depth + 1) if isinstance(step, FunctionType) else ()
        return type(value), tuple(fields), members
    if type(value).__module__.startswith("numpy") and callable(value):  # NumPy's dispatched functions
        return id(value)
    raise Unkeyed


def _function_key(function: FunctionType, depth: int) -> Any:
    if function.__module__ is not None and function.__module__.partition(".")[0] in ("numpy", "math"):
        return id(function)
    cells = []
    for cell in function.__closure__ or ():
        try:
            cells.append(capture_key(cell.cell_contents, depth))
        except ValueError:  # a cell that is not filled yet
            raise Unkeyed from None
    defaults = tuple([capture_key(value, depth) for value in function.__defaults__ or ()])
    defaults += tuple([(k, capture_key(value, depth)) for k, value in sorted((function.__kwdefaults__ or {}).items())])
    return function.__code__, tuple(cells), defaults, _globals_key(function, depth)


def _globals_key(function: FunctionType, depth: int) -> tuple:
    """The keys of the module's variables that the code names; the engine's own functions do not change."""
    if (function.__module__ or "").startswith("tapegrad."):
        return ()
    held = function.__globals__
    return tuple([(name, capture_key(held[name], depth)) for name in _names(function.__code__) if name in held])


def _members_key(cls: type, code: Any, depth: int) -> tuple:
    """The keys of what a class itself (not the instance) holds under the names that a method's code uses."""
    if cls.__module__.startswith("tapegrad."):
        return ()
    keys: list[Any] = []
    waiting, seen = _names(code), set()
    while waiting:
        name = waiting.pop()
        member = inspect.getattr_static(cls, name, None) if name not in seen else None
        seen.add(name)
        if isinstance(member, property):
            member = member.fget
        member = getattr(member, "__func__", member)  # of a staticmethod or classmethod
        if isinstance(member, FunctionType) and not (member.__module__ or "").startswith("tapegrad."):
            keys.append((name, _function_key(member, depth)))
            waiting += _names(member.__code__)
        elif isinstance(member, (*PLAIN, np.ndarray, list, dict, set)) and member is not None:
            keys.append((name, capture_key(member, depth)))
    return tuple(keys)


def _names(code: Any) -> list[str]:
    names = list(code.co_names)
    for constant in code.co_consts:
        if hasattr(constant, "co_names"):
            names += _names(constant)
    return names
