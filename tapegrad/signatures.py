"""What is known of a pytree of arrays before its values: the structure, and the shape and dtype of each leaf.

Whatever follows from that alone (whether the arguments of a loop fit, which tape serves them) is worked out once for
each signature. Equal signatures are one object, so that looking something up costs little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy import ndarray

from . import pytree
from .caches import Bounded
from .tensor import Aval, Tensor
from .tracing import joined, traceable


class Signature:
    """The structure of a pytree and the abstract values of its leaves; equal ones are one object: :func:`signature`.

    Attributes
    ----------
    structure : Structure
    avals : tuple of Aval
    weak : bool
        Whether a leaf is a Python number.
    length : int or None
        The length of the leading axis, where all leaves have one length.
    """

    __slots__ = ("__weakref__", "_step", "avals", "length", "structure", "weak")

    def __init__(self, structure: pytree.Structure, avals: tuple[Aval, ...]):
        self.structure, self.avals = structure, avals
        self.weak = any(aval.weak for aval in avals)
        lengths = {aval.shape[0] if aval.shape else None for aval in avals}
        self.length = lengths.pop() if len(lengths) == 1 else None
        self._step: Signature | None = None

    def __repr__(self) -> str:
        return f"<{self.structure!r} of {', '.join(map(repr, self.avals))}>"

    def step(self) -> Signature:
        """The signature without the leading axis of each leaf, which is time."""
        if self._step is None:
            self._step = signature(self.structure, [Aval(aval.shape[1:], aval.dtype) for aval in self.avals])
        return self._step


_alive: WeakValueDictionary[tuple, Signature] = WeakValueDictionary()


def signature(structure: pytree.Structure, avals: Sequence[Aval]) -> Signature:
    """The signature of these parts. It is compared by identity, which a dictionary does fastest."""
    key = structure, tuple(avals)
    found = _alive.get(key)
    return _alive.setdefault(key, Signature(*key)) if found is None else found


class Flat:
    """A pytree taken apart: its leaves, and all that is known without their values."""

    __slots__ = ("leaves", "signature")

    def __init__(self, leaves: list[Any], signature: Signature):
        self.leaves, self.signature = leaves, signature

    def tree(self) -> Any:
        """The pytree."""
        return self.signature.structure.unflatten(self.leaves)


_together: Bounded[tuple, Signature] = Bounded()


def flat(tree: Any, name: str) -> Flat:
    """Take an argument of a loop apart.

    Parameters
    ----------
    tree : pytree of arrays and numbers
    name : str
        What the argument is called in messages.

    Raises
    ------
    DtypeError
        When a leaf is no array of numbers.
    """
    leaves, structure = pytree.flatten(tree)
    key: list[Any] = []
    for leaf in leaves:
        value = leaf.value if type(leaf) is Tensor else leaf
        if type(value) is not ndarray:
            key = list(_checked(leaves, structure, name))
            leaves = [x if isinstance(x, (Tensor, bool, int, float)) else np.asarray(x) for x in leaves]
            break
        key.append(value.shape)
        key.append(value.dtype)
    known, looks = structure.known, tuple(key)
    found = known.get(looks)
    if found is None:
        found = known.keep(looks, signature(structure, _checked(leaves, structure, name)))
    return Flat(leaves, found)


def together(*parts: Flat) -> Flat:
    """Several arguments as one: a tuple of them."""
    key = tuple([part.signature for part in parts])
    found = _together.get(key)
    if found is None:
        structure = pytree.Structure(pytree.TUPLE, tuple, (), tuple([part.signature.structure for part in parts]))
        found = _together.keep(key, signature(structure, [a for part in parts for a in part.signature.avals]))
    return Flat([leaf for part in parts for leaf in part.leaves], found)


def _checked(leaves: Sequence[Any], structure: pytree.Structure, name: str) -> list[Aval]:
    paths = structure.paths()
    return [traceable(leaf, joined(name, path), "scan") for leaf, path in zip(leaves, paths, strict=True)]
