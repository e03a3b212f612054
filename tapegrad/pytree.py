"""Nested containers of arrays, taken apart and put together again.

A *pytree* is a leaf, or a dict, list, tuple, namedtuple or dataclass instance of pytrees; ``None``
is an empty pytree. Dictionaries are walked in sorted key order where their keys can be sorted, so that two
dictionaries with the same keys have the same structure whatever order they were filled in.
A dataclass whose class sets ``__pytree_leaf__ = True`` is a leaf.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .errors import StructureError

LEAF, NONE, DICT, LIST, TUPLE, NAMEDTUPLE, DATACLASS = (
    "leaf",
    "None",
    "dict",
    "list",
    "tuple",
    "namedtuple",
    "dataclass",
)


class Structure:
    """What is left of a pytree when its leaves are taken out: hashable, comparable, printable.

    Attributes
    ----------
    kind : str
        One of the kinds named at the top of this module.
    type : type or None
        The class to rebuild, for the containers.
    keys : tuple
        The dictionary's keys or the field names, in the order of ``children``.
    children : tuple of Structure
    size : int
        The number of leaves below.
    """

    __slots__ = ("_hash", "children", "keys", "kind", "size", "type")

    def __init__(self, kind: str, type_: Any = None, keys: tuple = (), children: tuple = ()):
        self.kind, self.type, self.keys, self.children = kind, type_, keys, children
        self.size = 1 if kind == LEAF else sum(child.size for child in children)
        self._hash = hash((kind, type_, keys, children))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Structure)
            and self._hash == other._hash
            and (self.kind, self.type, self.keys, self.children) == (other.kind, other.type, other.keys, other.children)
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        if self.kind == LEAF:
            return "*"
        if self.kind == NONE:
            return "None"
        if self.kind == DICT:
            return "{" + ", ".join(f"{k!r}: {c!r}" for k, c in zip(self.keys, self.children, strict=True)) + "}"
        inside = ", ".join(map(repr, self.children))
        if self.kind == LIST:
            return f"[{inside}]"
        if self.kind == TUPLE:
            return f"({inside},)" if len(self.children) == 1 else f"({inside})"
        return f"{self.type.__name__}({inside})"

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """Put ``leaves`` back into the containers.

        Raises
        ------
        StructureError
            When there are too few or too many leaves.
        """
        leaves = list(leaves)
        if len(leaves) != self.size:
            raise StructureError(f"unflatten: {len(leaves)} leaves came for {self!r}, which holds {self.size}")
        return self._build(iter(leaves))

    def _build(self, leaves: Iterator[Any]) -> Any:
        kind = self.kind
        if kind == LEAF:
            return next(leaves)
        if kind == NONE:
            return None
        parts = [child._build(leaves) for child in self.children]
        if kind == DICT:
            return dict(zip(self.keys, parts, strict=True))
        if kind in (LIST, TUPLE):
            return self.type(parts)
        if kind == NAMEDTUPLE:
            return self.type(*parts)
        rebuilt = object.__new__(self.type)
        for name, part in zip(self.keys, parts, strict=True):
            object.__setattr__(rebuilt, name, part)
        return rebuilt


_LEAF = Structure(LEAF)
_NONE = Structure(NONE)


def _open(tree: Any) -> tuple[str, tuple, list] | None:
    """The kind, keys and children of a container; None for a leaf."""
    if isinstance(tree, dict):
        try:
            keys = tuple(sorted(tree))
        except TypeError:
            keys = tuple(tree)
        return DICT, keys, [tree[key] for key in keys]
    if isinstance(tree, list):
        return LIST, (), tree
    if isinstance(tree, tuple):
        return (NAMEDTUPLE if hasattr(tree, "_fields") else TUPLE), (), list(tree)
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type) and not getattr(tree, "__pytree_leaf__", False):
        names = tuple(field.name for field in dataclasses.fields(tree))
        return DATACLASS, names, [getattr(tree, name) for name in names]
    return None


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """Take a pytree apart.

    Returns
    -------
    leaves : list
    structure : Structure
        ``structure.unflatten(leaves)`` rebuilds the tree.

    Examples
    --------
    >>> flatten({"b": 2.0, "a": [1.0, None]})
    ([1.0, 2.0], {'a': [*, None], 'b': *})
    """
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves)


def _flatten(tree: Any, leaves: list[Any]) -> Structure:
    if tree is None:
        return _NONE
    opened = _open(tree)
    if opened is None:
        leaves.append(tree)
        return _LEAF
    kind, keys, children = opened
    type_ = dict if kind == DICT else type(tree)
    return Structure(kind, type_, keys, tuple([_flatten(child, leaves) for child in children]))


def leaves(tree: Any) -> list[Any]:
    """The leaves of a pytree, in order.

    >>> leaves({"b": 2.0, "a": [1.0, None]})
    [1.0, 2.0]
    """
    return flatten(tree)[0]


def structure(tree: Any) -> Structure:
    """The structure of a pytree."""
    return flatten(tree)[1]


def map(function: Callable, tree: Any, *rest: Any) -> Any:  # noqa: A001 - read as `pytree.map`
    """Apply ``function`` to the leaves of one or several pytrees of one structure.

    Raises
    ------
    StructureError
        When the structures differ.

    Examples
    --------
    >>> map(lambda p, g: p - 0.5 * g, {"w": 3.0}, {"w": 2.0})
    {'w': 2.0}
    """
    first, shape = flatten(tree)
    columns = [first]
    for number, other in enumerate(rest, 2):
        more, other_shape = flatten(other)
        if other_shape != shape:
            raise StructureError(
                f"tree_map: tree {number} has the structure {other_shape!r}, the first has {shape!r}; "
                "give trees with the same containers and keys"
            )
        columns.append(more)
    return shape.unflatten([function(*row) for row in zip(*columns, strict=True)])


def paths(tree: Any) -> list[str]:
    """A readable name for each leaf, in order, such as ``"layers[0].W"``.

    >>> paths({"a": [1.0, (2.0, 3.0)], "b": 4.0})
    ['a[0]', 'a[1][0]', 'a[1][1]', 'b']
    """
    return [path or "value" for path in _paths(structure(tree), "")]


def _paths(shape: Structure, prefix: str) -> Iterator[str]:
    if shape.kind == LEAF:
        yield prefix
        return
    for position, child in enumerate(shape.children):
        if shape.kind in (LIST, TUPLE):
            name = f"{prefix}[{position}]"
        elif shape.kind == NAMEDTUPLE:
            name = f"{prefix}.{shape.type._fields[position]}" if prefix else shape.type._fields[position]
        else:
            key = str(shape.keys[position])
            name = f"{prefix}.{key}" if prefix else key
        yield from _paths(child, name)
