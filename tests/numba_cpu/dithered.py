"""The reference with results that are rounded otherwise, at random: how far apart two right computations may lie.

Where it differs from the reference in an integer or a truth value, a value stands so near to a threshold that nothing
can be asked of the step there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np

from tapegrad.backends import base, reference
from tapegrad.primitives import primitives

# What gives the same bits whichever way it is computed.
EXACT = frozenset(
    "absolute argmax argmin broadcast_to cast concatenate equal flip floor getitem isfinite less less_equal "
    "logical_and logical_not logical_or max maximum min minimum negative pad reshape rint sign stop_gradient "
    "transpose where".split()
)


class DitheredBackend(reference.ReferenceBackend):
    """Moves every result of an operation that rounds by a few units in the last place."""

    name = "dithered"

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.exact = {primitive.run for primitive in primitives() if primitive.name in EXACT}

    def run(self, *args: Any) -> tuple:
        with mock.patch.object(reference.Program, "execute", self.execute):
            return super().run(*args)

    def execute(self, calls: Sequence[tuple], env: list[Any]) -> None:
        for function, reads, slot, count in calls:
            ans = function(*[env[i] for i in reads])
            if count:
                env[slot : slot + count] = ans
            else:
                env[slot] = ans if getattr(function, "func", function) in self.exact else self.moved(ans)

    def moved(self, ans: Any) -> Any:
        if np.asarray(ans).dtype.kind != "f":
            return ans
        ulps = self.rng.integers(-2, 3, np.shape(ans)).astype(ans.dtype)
        return ans * (1 + ulps * np.finfo(ans.dtype).eps)


@contextmanager
def installed(seed: int) -> Iterator[str]:
    """Within it the backend answers to the name that it gives."""
    backend = DitheredBackend(seed)
    with mock.patch.dict(base._LOADERS, {backend.name: lambda: backend}):
        yield backend.name
    base._LOADED.pop(backend.name, None)
