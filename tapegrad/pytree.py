"""Nested containers of arrays, taken apart and put together again.

A *pytree* is a leaf, or a dict, list, tuple, namedtuple or dataclass instance of pytrees; ``None``
is an empty pytree. Dictionaries are walked in sorted key order where their keys can be sorted, so that two
dictionaries with the same keys have the same structure whatever order they were filled in.
A dataclass whose class sets ``__pytree_leaf__ = True`` is a leaf.
"""

from __future__ import annotations

import dataclasses
from builtins import map as each  # `map` is that of this module
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

from .caches import Bounded
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


# Types whose instances are leaves without a look at them; the modules that define such types add theirs.
LEAVES: set[type] = {bool, int, float, complex, str}


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
    flat : bool
        Whether all of ``children`` are leaves.
    known : dict
        What others worked out for trees of this structure. It is found sooner here than under a key that holds the
        structure.
    """

    __slots__ = ("_hash", "children", "flat", "keys", "kind", "known", "size", "type")

    def __init__(self, kind: str, type_: Any = None, keys: tuple = (), children: tuple = ()):
        self.kind, self.type, self.keys, self.children = kind, type_, keys, children
        self.size = 1 if kind == LEAF else sum(child.size for child in children)
        self.flat = kind not in (LEAF, NONE) and all(child.kind == LEAF for child in children)
        self.known: Bounded[tuple, Any] = Bounded()
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

    def paths(self) -> list[str]:
        """A readable name for each leaf; see :func:`paths`."""
        return [path or "value" for path in _paths(self, "")]

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
        if self.flat:
            return self._filled(leaves)
        return leaves[0] if self.kind == LEAF else self._build(iter(leaves))

    def _build(self, leaves: Iterator[Any]) -> Any:
        kind = self.kind
        if kind == LEAF:
            return next(leaves)
        if kind == NONE:
            return None
        if self.flat:
            return self._filled(list(islice(leaves, len(self.children))))
        return self._filled([child._build(leaves) for child in self.children])

    def _filled(self, parts: list[Any]) -> Any:
        """The container with ``parts`` in it."""
        kind = self.kind
        if kind == DICT:
            return dict(zip(self.keys, parts, strict=False))  # their number is that of the keys
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
_structures: Bounded[tuple, Structure] = Bounded(4096)
_sorted: Bounded[tuple[str, ...], tuple] = Bounded(4096)  # the keys of a dictionary, as found: see _sorted_keys


def _structure_of(kind: str, type_: Any, keys: tuple, children: Any) -> Structure:
    """The structure of these parts, for ``children`` their number when all are leaves; equal ones are one object."""
    parts = kind, type_, keys, children
    found = _structures.get(parts)
    if found is None or (kind == DICT and found.keys is not keys):  # equal keys need not be the same: 1 and True
        if type(children) is int:
            children = (_LEAF,) * children
        found = _structures.keep(parts, Structure(kind, type_, keys, children))
    return found


def _sorted_keys(tree: dict) -> tuple[tuple, Callable]:
    """The keys of a dictionary in the order in which it is walked, and what takes its values in that order."""
    found = tuple(tree)
    known = _sorted.get(found)
    if known is None:
        try:
            keys = tuple(sorted(found))
        except TypeError:
            keys = found
        known = keys, taken(keys)
        if all([type(key) is str for key in found]):
            known = _sorted.keep(found, _sorted.setdefault(keys, known))
    return known


def taken(places: Sequence[Any]) -> Callable[[Any], Sequence[Any]]:
    """What takes the items at these places, or of these keys."""
    return itemgetter(*places) if len(places) > 1 else lambda items: [items[place] for place in places]


def _open(tree: Any) -> tuple[str, Any, tuple, Sequence[Any]] | None:
    """The kind, type, keys and children of a container; None for a leaf."""
    if isinstance(tree, dict):
        keys, values = _sorted_keys(tree)
        return DICT, dict, keys, values(tree)
    if isinstance(tree, list):
        return LIST, type(tree), (), tree
    if isinstance(tree, tuple):
        return (NAMEDTUPLE if hasattr(tree, "_fields") else TUPLE), type(tree), (), list(tree)
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type) and not getattr(tree, "__pytree_leaf__", False):
        names = tuple([field.name for field in dataclasses.fields(tree)])
        return DATACLASS, type(tree), names, [getattr(tree, name) for name in names]
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
    if type(tree) in LEAVES:
        leaves.append(tree)
        return _LEAF
    if tree is None:
        return _NONE
    opened = _open(tree)
    if opened is None:
        leaves.append(tree)
        return _LEAF
    kind, type_, keys, children = opened
    if LEAVES.issuperset(each(type, children)):  # as in a dictionary of arrays
        leaves.extend(children)
        return _structure_of(kind, type_, keys, len(children))
    return _structure_of(kind, type_, keys, tuple([_flatten(child, leaves) for child in children]))


def row(trees: Sequence[Any]) -> tuple[list[Any], list[Structure]]:
    """The leaves of several pytrees in one row, and the structures."""
    leaves: list[Any] = []
    return leaves, [_flatten(tree, leaves) for tree in trees]


def of_row(structures: Sequence[Structure], leaves: Sequence[Any]) -> list[Any]:
    """The pytrees whose leaves stand in one row; see :func:`row`."""
    if len(structures) == 1:
        return [structures[0].unflatten(leaves)]
    rest = iter(leaves)
    return [structure.unflatten(islice(rest, structure.size)) for structure in structures]


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
    return structure(tree).paths()


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
