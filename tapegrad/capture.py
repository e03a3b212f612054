"""What a function captures, as a key under which its tape may be kept.

A tape may be used again for a function with the same code that captured equal numbers, the same functions and equal
frozen cells. Whatever else a function captures (arrays, Tensors, objects and modules that may change) has no key, and
the function is then traced anew at each call: slower, never stale.

To read a key takes a walk over all that a function reaches. The walk notes every place that it looked at and what
stood there; as long as the same objects stand in all of these places, the key is the same, and a glance at them is
enough.
"""

from __future__ import annotations

import dataclasses
import dis
import enum
import functools
import operator
import types
from functools import lru_cache
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from .caches import Bounded
from .primitives.registry import Primitive

PLAIN = (int, float, complex, str, bytes, bool, type(None), np.dtype)
# Code that does not change while a program runs.
SETTLED = frozenset(
    "numpy math cmath operator functools itertools builtins typing dataclasses collections scipy".split()
)
# What reads by name, or gives something else at each call: code that uses these is traced at each call.
INDIRECT = frozenset("globals locals vars getattr eval exec open input __import__".split())
# Callable objects that hold nothing that could change; what is behind a cache of functools is looked at as well.
IMMUTABLE = (
    type(np.sum), functools._lru_cache_wrapper, operator.itemgetter, operator.attrgetter, operator.methodcaller,
    types.WrapperDescriptorType, types.MethodWrapperType, types.MethodDescriptorType, types.ClassMethodDescriptorType,
)  # fmt: skip
MISSING = object()


class Unkeyed(Exception):
    """A captured value has no key."""


def settled(module: str | None) -> bool:
    """Whether a module's functions and classes are taken to stay what they are."""
    top, _, rest = (module or "").partition(".")
    return top in SETTLED or (top == "tapegrad" and rest != "__main__")


class Token:
    """Stands for a key: two steps have the same token exactly when their keys are equal."""


class Watch:
    """The token of a step, and the places from which its key was read.

    Attributes
    ----------
    token : Token
    step : callable
    attributes : list of (object, name, value)
        ``getattr(object, name)`` was ``value``.
    entries : list of (mapping, name, value)
        ``mapping[name]`` was ``value``, or was not there: MISSING.
    sizes : list of (mapping, int)
    """

    def __init__(self, token: Token, step: Any, reader: Reader):
        self.token, self.step = token, step
        self.attributes, self.entries, self.sizes = reader.attributes, reader.entries, reader.sizes

    def holds(self) -> bool:
        """Whether the same objects stand in all the places."""
        for mapping, name, value in self.entries:
            if mapping.get(name, MISSING) is not value:
                return False
        for mapping, size in self.sizes:
            if len(mapping) != size:
                return False
        try:
            for owner, name, value in self.attributes:
                if getattr(owner, name) is not value:
                    return False
        except (AttributeError, ValueError):  # deleted; the variable of a closure without a value
            return False
        return True


_tokens: Bounded[Any, Token] = Bounded(1024)
_watches: Bounded[Any, Watch] = Bounded(512)


def capture_token(step: Any) -> Token | None:
    """What stands for the key of a step; None when it has none, and must be traced at each call."""
    # The watch keeps the step alive, so that no other object gets its id.
    place = (id(step.__self__), id(step.__func__)) if type(step) is MethodType else id(step)
    watch = _watches.get(place)
    if watch is not None and watch.holds():
        return watch.token
    reader = Reader()
    try:
        key = reader.key(step)
    except Unkeyed:
        return None
    token = _tokens.get(key) or _tokens.keep(key, Token())
    _watches.keep(place, Watch(token, step, reader))
    return token


def capture_key(value: Any) -> Any:
    """A hashable key of a value or function; it refers to the objects that it stands for, so that none is mistaken.

    Raises
    ------
    Unkeyed
        When a captured value may change unseen.
    """
    return Reader().key(value)


class Reader:
    """Makes a key, and notes the places that it looks at."""

    def __init__(self) -> None:
        self.attributes: list[tuple[Any, str, Any]] = []
        self.entries: list[tuple[Any, str, Any]] = []
        self.sizes: list[tuple[Any, int]] = []
        self.inside: list[Any] = []  # the functions and classes whose keys are being made, against endless recursion

    def look(self, owner: Any, name: str) -> Any:
        """An attribute that may be set to something else."""
        value = getattr(owner, name)
        self.attributes.append((owner, name, value))
        return value

    def entry(self, mapping: Any, name: str) -> Any:
        """An entry of a dictionary, MISSING where there is none."""
        value = mapping.get(name, MISSING)
        self.entries.append((mapping, name, value))
        return value

    def items(self, mapping: Any, without: Any = ()) -> tuple:
        """The names and keys of all entries of a dictionary."""
        self.sizes.append((mapping, len(mapping)))
        return tuple([(name, self.key(self.entry(mapping, name))) for name in sorted(mapping) if name not in without])

    def key(self, value: Any) -> Any:
        """See :func:`capture_key`."""
        if isinstance(value, PLAIN):
            return self._plain(value)
        if isinstance(value, np.generic) and not isinstance(value, np.void):
            return type(value), value.tobytes()
        for depth, held in enumerate(self.inside):
            if value is held:
                return "recursion", depth
        if isinstance(value, (np.ufunc, Primitive)):
            return value
        if isinstance(value, BuiltinFunctionType):  # of a module; or a method of an object, such as rng.normal
            return _settled_or_none(value, getattr(value.__self__, "__name__", None))
        if isinstance(value, ModuleType):
            return _settled_or_none(value, value.__name__)
        if isinstance(value, type):
            return value if settled(value.__module__) else self._within(self._class, value)
        if isinstance(value, FunctionType):
            known = settled(value.__module__) and not value.__closure__
            return value if known else self._within(self._function, value)
        if isinstance(value, MethodType):
            return self.key(value.__self__), self.key(value.__func__)
        if isinstance(value, functools.partial):
            return "partial", self.key(value.func), self.key(value.args), self.items(value.keywords)
        if isinstance(value, tuple):
            return self.key(type(value)), tuple([self.key(item) for item in value])
        if dataclasses.is_dataclass(value) and value.__dataclass_params__.frozen:  # type: ignore[union-attr]
            return self._frozen(value)
        if isinstance(value, IMMUTABLE):
            return _settled_or_none(value, getattr(value, "__module__", None) or type(value).__module__)
        raise Unkeyed

    def _plain(self, value: Any) -> Any:
        if isinstance(value, (np.dtype, enum.Enum)) or type(value) in PLAIN:
            return type(value), repr(value) if isinstance(value, float) else value
        # A number or text of a class of the user's, which may have methods and hold more.
        base: Any = next(kind for kind in PLAIN if isinstance(value, kind))
        return self.key(type(value)), self.items(getattr(value, "__dict__", {})), base.__repr__(value)

    def _frozen(self, value: Any) -> Any:
        """The key of a frozen dataclass: its fields, and what else was put into it."""
        held = getattr(value, "__dict__", {})
        slots = [field.name for field in dataclasses.fields(value) if field.name not in held]
        rest = tuple([(name, self.key(self.look(value, name))) for name in slots])
        return self.key(self.look(value, "__class__")), self.items(held), rest

    def _within(self, read: Any, value: Any) -> Any:
        self.inside.append(value)
        try:
            return read(value)
        finally:
            self.inside.pop()

    def _function(self, function: FunctionType) -> Any:
        cells = []
        for cell in function.__closure__ or ():
            try:
                cells.append(self.key(self.look(cell, "cell_contents")))
            except ValueError:  # a cell that is not filled yet
                raise Unkeyed from None
        code = self.look(function, "__code__")
        named = (
            self.items(self.look(function, "__kwdefaults__") or {}),
            self.items(self.look(function, "__dict__"), ("__wrapped__",)),
        )
        defaults = self.key(self.look(function, "__defaults__") or ())
        held = {} if settled(function.__module__) else function.__globals__
        variables = [(name, self.entry(held, name)) for name in _names(code)] if held else []
        read = tuple([(name, self.key(value)) for name, value in variables if value is not MISSING])
        return code, tuple(cells), defaults, named, read

    def _class(self, cls: type) -> Any:
        """The key of a class: of everything that it and its bases hold, methods included."""
        members = []
        for base in self.look(cls, "__mro__"):
            if settled(base.__module__):
                continue
            held = vars(base)
            left_out = _OWN | (_OF_DATACLASSES if dataclasses.is_dataclass(base) else frozenset())
            left_out |= _OF_NAMEDTUPLES if issubclass(base, tuple) else frozenset()
            self.sizes.append((held, len(held)))
            members += [(name, self._member(self.entry(held, name))) for name in held if name not in left_out]
        return cls, tuple(members)

    def _member(self, member: Any) -> Any:
        if isinstance(member, property):
            return tuple([self.key(part) for part in (member.fget, member.fset, member.fdel)])
        if isinstance(member, (staticmethod, classmethod)):
            return type(member), self.key(member.__func__)
        if type(member).__name__ in ("_tuplegetter", "member_descriptor", "getset_descriptor"):
            return type(member)
        return self.key(member)


def _settled_or_none(value: Any, module: str | None) -> Any:
    if not settled(module):
        raise Unkeyed
    return value


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
