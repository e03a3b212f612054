"""Nested containers as a Hypothesis strategy."""

from __future__ import annotations

import dataclasses
from collections import namedtuple
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from .. import pytree
from ..errors import OptionError
from .strategies import arrays

Gates = namedtuple("Gates", ["write", "erase"])  # in an order that is not the alphabet's


@dataclasses.dataclass
class Layer:
    """A container with a field that has a default."""

    W: Any
    b: Any = None


@dataclasses.dataclass(frozen=True)
class Frozen:
    """A container that refuses to be written to."""

    scale: Any


KINDS = ("dict", "list", "tuple", "namedtuple", "dataclass", "None", "float")
KEYS = ("W", "U", "b", "a", "W_10", "W_9")  # the first two are not sorted: two show what a wrong order does
DEPTH = 5  # of containers in each other


@st.composite
def pytrees(
    draw: Any, leaves: Any = None, *, kinds: tuple[str, ...] = KINDS, max_leaves: int = 5, min_leaves: int = 1
) -> Any:
    """Arrays in containers, nested: what parameters, states and inputs can be.

    They shrink to a bare leaf. Dictionaries are filled in any order, also in one that is not that of their keys.

    Parameters
    ----------
    leaves : strategy
        ``arrays()`` by default.
    kinds : tuple of str
        Of "dict", "list", "tuple", "namedtuple", "dataclass" (one frozen, one not), "None" (a tree without leaves)
        and "float" (a Python float for a leaf).
    max_leaves, min_leaves : int
        How many leaves. With 0 there are empty containers and None alone.

    Raises
    ------
    OptionError
        When a kind is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from hypothesis import given
    >>> import tapegrad as tg
    >>> @given(pytrees())
    ... def test_gradients_look_like_their_arguments(tree):
    ...     grads = tg.grad(lambda tree: sum(np.sum(leaf) for leaf in tg.tree_leaves(tree)))(tree)
    ...     assert tg.tree_map(np.shape, grads) == tg.tree_map(np.shape, tree)
    >>> test_gradients_look_like_their_arguments()
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise OptionError(f"pytrees: kinds={kinds!r}: there is no {unknown[0]!r}; choose from {', '.join(KINDS)}")
    grower = _Grower(draw, arrays() if leaves is None else leaves, kinds)
    # One of four is a bare leaf, which is what all shrink to.
    tree = grower.grown(max_leaves, 1) if draw(st.integers(0, 3)) else draw(grower.leaves)
    assume(min_leaves <= len(pytree.leaves(tree)) <= max_leaves)
    return tree


class _Grower:
    """Draws a tree from its root on."""

    def __init__(self, draw: Any, leaves: st.SearchStrategy, kinds: tuple[str, ...]):
        self.draw, self.leaves, self.kinds = draw, leaves, [kind for kind in KINDS if kind in kinds]

    def grown(self, budget: int, depth: int) -> Any:
        """A tree of at most ``budget`` leaves."""
        ends = ["leaf", *[kind for kind in ("float", "None") if kind in self.kinds]] if budget else ["None"]
        pairs = ("namedtuple", "dataclass") if budget > 1 else ()
        inner = [kind for kind in self.kinds if kind in ("list", "tuple", "dict", *pairs)] if depth < DEPTH else []
        # Half of what lies in a container are leaves: else most trees would be as deep as they can be.
        kind = self.draw(st.sampled_from([*ends, *inner] if depth == 1 else [*ends[:1] * len(inner), *ends, *inner]))
        if kind == "leaf":
            return self.draw(self.leaves)
        if kind == "float":
            return self.draw(st.floats(-2.0, 2.0, width=32))
        if kind == "None":
            return None
        if kind == "dataclass" and self.draw(st.booleans()):
            return Frozen(self.grown(budget, depth + 1))
        if kind in pairs:
            first, second = self._several(2, budget, depth)
            return Gates(first, second) if kind == "namedtuple" else Layer(first, second)
        parts = self._several(self.draw(st.integers(0, min(3, budget))), budget, depth)
        if kind == "dict":
            keys = self.draw(st.permutations(KEYS))
            return dict(zip(keys, parts, strict=False))
        return parts if kind == "list" else tuple(parts)

    def _several(self, count: int, budget: int, depth: int) -> list[Any]:
        made: list[Any] = []
        for rest in range(count - 1, -1, -1):  # the others need a leaf each
            made.append(self.grown(budget - len(pytree.leaves(made)) - rest, depth + 1))
        return made
