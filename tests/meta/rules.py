"""The functions that make up the rules of the primitives, and which rows of ``tests/specs.py`` go through each."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import FunctionType

from tapegrad.primitives.registry import Primitive
from tests.specs import PRIMITIVES, SPECS

RULES = ("pull", "push", "push_with", "augment", "batch")
HOME = "tapegrad.primitives"


@dataclass
class Rule:
    """A function to plant mutants into.

    Attributes
    ----------
    name : str
        Such as ``divide[1]``, the second derivative of its row, ``contract.Contract.pull``, or ``elementwise.larger``.
    function : function
    rows : dict of str to set of str
        The names of the rows that reach it, and through which of RULES.
    """

    name: str
    function: FunctionType
    rows: dict[str, set[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def rules() -> dict[str, Rule]:
    """All of them, by name: found from the registry, through what the rules call."""
    found: dict[FunctionType, Rule] = {}
    for row in SPECS:
        primitive = PRIMITIVES[row]
        if not type(primitive).__module__.startswith(HOME):
            continue  # scan and call hold a tape: tests/meta/recurrent.py breaks their loops
        for role in RULES:
            for name, function in _starts(primitive, role):
                _follow(found, name, function, primitive, row, role)
    named: dict[str, Rule] = {}
    for rule in found.values():
        assert rule.name not in named, f"two rules are called {rule.name}"
        named[rule.name] = rule
    return named


def _starts(primitive: Primitive, role: str) -> list[tuple[str, FunctionType]]:
    """The rule itself, and the derivatives of a row of elementwise functions."""
    method = getattr(type(primitive), role, None)
    starts = [] if method is None or method is getattr(Primitive, role) else [(_name(method), method)]
    if role in ("pull", "push") and starts:
        for place, derivative in enumerate(getattr(primitive, "derivatives", ())):
            if derivative is not None:
                shared = derivative.__name__ != "<lambda>"
                starts.append((_name(derivative) if shared else f"{primitive.name}[{place}]", derivative))
    return starts


def _name(function: FunctionType) -> str:
    return f"{function.__module__.split('.')[-1]}.{function.__qualname__}"


def _follow(found: dict, name: str, function: FunctionType, primitive: Primitive, row: str, role: str) -> None:
    """Note that a row reaches a function, and go on to what it calls."""
    rule = found.setdefault(function, Rule(name, function))
    roles = rule.rows.setdefault(row, set())
    if role in roles:
        return
    roles.add(role)
    for called in _called(function, primitive):
        _follow(found, _name(called), called, primitive, row, role)


def _called(function: FunctionType, primitive: Primitive) -> list[FunctionType]:
    """The functions of the same house that the code names: global ones, and methods of the primitive."""
    names = sorted(_names(function.__code__))
    known = [function.__globals__.get(name) for name in names]
    known += [getattr(type(primitive), name, None) for name in names if name not in RULES + ("run", "abstract")]
    for value in [*known]:
        if isinstance(value, type) and value.__module__.startswith(HOME) and not issubclass(value, Primitive):
            known += [method for method in vars(value).values() if isinstance(method, FunctionType)]
    return [
        value for value in known
        if isinstance(value, FunctionType) and value.__module__.startswith(HOME)
        and not hasattr(Primitive, value.__qualname__.removeprefix("Primitive."))
    ]  # fmt: skip


def _names(code) -> set[str]:
    names = set(code.co_names)
    for const in code.co_consts:
        if hasattr(const, "co_names"):
            names |= _names(const)
    return names
