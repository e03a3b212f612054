"""What a function captures, as a key under which its tape may be kept.

A tape may be used again for a function with the same code that captured equal numbers, the same functions and equal
frozen cells. Whatever else a function captures (arrays, Tensors, objects and modules that may change) has no key, and
the function is then traced anew at each call: slower, never stale.
"""

from __future__ import annotations

import dataclasses
import dis
from functools import lru_cache
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from .primitives.registry import Primitive

PLAIN = (int, float, complex, str, bytes, bool, type(None), np.dtype)
# Code that does not change while a program runs.
SETTLED = frozenset(
    "numpy math cmath operator functools itertools builtins typing dataclasses collections scipy".split()
)


# What reads by name, or gives something else at each call: code that uses these is traced at each call.
INDIRECT = frozenset("globals locals vars getattr eval exec open input __import__".split())


class Unkeyed(Exception):
    """A captured value has no key."""


def settled(module: str | None) -> bool:
    """Whether a module's functions and classes are taken to stay what they are."""
    top, _, rest = (module or "").partition(".")
    return top in SETTLED or (top == "tapegrad" and rest != "__main__")


def capture_key(value: Any, inside: tuple = ()) -> Any:
    """A hashable key of a value or function; it refers to the objects that it stands for, so that none is mistaken.

    Parameters
    ----------
    value : object
    inside : tuple
        The functions and classes whose keys are being made, against endless recursion.

    Raises
    ------
    Unkeyed
        When a captured value may change unseen.
    """
    if isinstance(value, PLAIN):
        return type(value), repr(value) if isinstance(value, float) else value
    if isinstance(value, np.generic):
        return type(value), value.tobytes()
    if any(value is held for held in inside):
        return "recursion", [value is held for held in inside].index(True)
    if isinstance(value, (np.ufunc, Primitive)):
        return value
    if isinstance(value, BuiltinFunctionType):  # of a module; or a method of an object, such as rng.normal
        return _settled_or_none(value, getattr(value.__self__, "__name__", None))
    if isinstance(value, ModuleType):
        return _settled_or_none(value, value.__name__)
    if isinstance(value, type):
        return value if settled(value.__module__) else _class_key(value, (*inside, value))
    if isinstance(value, FunctionType):
        return value if settled(value.__module__) and not value.__closure__ else _function_key(value, (*inside, value))
    if isinstance(value, MethodType):
        return capture_key(value.__self__, inside), capture_key(value.__func__, inside)
    if isinstance(value, tuple):
        return type(value), tuple([capture_key(item, inside) for item in value])
    if dataclasses.is_dataclass(value) and value.__dataclass_params__.frozen:  # type: ignore[union-attr]
        fields = [capture_key(getattr(value, field.name), inside) for field in dataclasses.fields(value)]
        return capture_key(type(value), inside), tuple(fields)
    if callable(value):  # NumPy's dispatched functions, functools' caches of settled functions
        return _settled_or_none(value, getattr(value, "__module__", None) or type(value).__module__)
    raise Unkeyed


def _settled_or_none(value: Any, module: str | None) -> Any:
    if not settled(module) or isinstance(value, np.ndarray):
        raise Unkeyed
    return value


def _function_key(function: FunctionType, inside: tuple) -> Any:
    cells = []
    for cell in function.__closure__ or ():
        try:
            cells.append(capture_key(cell.cell_contents, inside))
        except ValueError:  # a cell that is not filled yet
            raise Unkeyed from None
    settings = {**(function.__kwdefaults__ or {}), **function.__dict__}
    settings.pop("__wrapped__", None)
    named = tuple([(name, capture_key(value, inside)) for name, value in sorted(settings.items())])
    defaults = tuple([capture_key(value, inside) for value in function.__defaults__ or ()])
    held = {} if settled(function.__module__) else function.__globals__
    variables = tuple([(name, capture_key(held[name], inside)) for name in _names(function.__code__) if name in held])
    return function.__code__, tuple(cells), defaults, named, variables


def _class_key(cls: type, inside: tuple) -> Any:
    """The key of a class: of everything that it and its bases hold, methods included."""
    members = []
    for base in cls.__mro__:
        if settled(base.__module__):
            continue
        for name, member in vars(base).items():
            if name in _OWN or (dataclasses.is_dataclass(base) and name in _OF_DATACLASSES):
                continue
            if issubclass(base, tuple) and name in _OF_NAMEDTUPLES:
                continue
            members.append((name, _member_key(member, inside)))
    return cls, tuple(members)


_OWN = frozenset(
    "__module__ __qualname__ __doc__ __dict__ __weakref__ __annotations__ __slots__ __match_args__ __firstlineno__ "
    "__static_attributes__ __annotate__ __annotate_func__ __annotations_cache__ __orig_bases__ __parameters__".split()
)
_OF_DATACLASSES = frozenset(
    "__dataclass_params__ __dataclass_fields__ __init__ __repr__ __eq__ __hash__ __setattr__ __delattr__ "
    "__replace__".split()
)


_OF_NAMEDTUPLES = frozenset(
    "_fields _field_defaults __new__ _make _replace _asdict __repr__ __getnewargs__ __replace__".split()
)


def _member_key(member: Any, inside: tuple) -> Any:
    if isinstance(member, property):
        return tuple([capture_key(part, inside) for part in (member.fget, member.fset, member.fdel)])
    if isinstance(member, (staticmethod, classmethod)):
        return type(member), capture_key(member.__func__, inside)
    if type(member).__name__ in ("_tuplegetter", "member_descriptor", "getset_descriptor"):
        return type(member)
    return capture_key(member, inside)


@lru_cache(maxsize=4096)
def _names(code: CodeType) -> tuple[str, ...]:
    """The module variables that code reads, and the functions inside it."""
    steps = list(dis.get_instructions(code))
    names = [i.argval for i in steps if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")]
    if any(i.opname == "IMPORT_NAME" for i in steps) or not INDIRECT.isdisjoint(names) or "random" in code.co_names:
        raise Unkeyed
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names += _names(constant)
    return tuple(dict.fromkeys(names))
