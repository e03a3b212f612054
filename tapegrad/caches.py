"""A dictionary for what was worked out before, which does not grow without end."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Bounded(dict[K, V]):
    """A dictionary that forgets its oldest entries when it is full.

    Only what can be made again is kept in one. Several threads may use it at once: each operation on the dictionary
    is one of Python's own.

    Parameters
    ----------
    size : int
        The number of entries from which on the oldest quarter is dropped.

    Examples
    --------
    >>> squares = Bounded(4)
    >>> [squares.keep(n, n * n) for n in range(5)]
    [0, 1, 4, 9, 16]
    >>> squares
    {1: 1, 2: 4, 3: 9, 4: 16}
    """

    def __init__(self, size: int = 512):
        super().__init__()
        self.size = size

    def keep(self, key: K, value: V) -> V:
        """Store ``value`` and return it."""
        if len(self) >= self.size:
            for old in list(self)[: max(1, self.size // 4)]:
                self.pop(old, None)
        self[key] = value
        return value
