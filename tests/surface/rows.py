"""What a row of the surface is: a function of NumPy, SciPy or tapegrad, and calls of it.

``tests/specs.py`` has one row for each primitive; here is one for each function that a user calls, however it is made
of primitives. ``test_surface.py`` holds all rows to the same properties, ``tests/oracles`` compares them with autograd
and JAX. A further function is one row in the table of its family.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from importlib import import_module
from typing import Any

import numpy as np
from hypothesis import strategies as st

import tapegrad as tg
from tests.strategies.calls import Call

# Reasons that many rows give for not being compared with a library.
LACKS = "has no rule for it"
ELSEWHERE = "is compared by a row without signs"  # which is no difference

HOMES = {
    "numpy": {"": "numpy", "special": "scipy.special"},
    "autograd": {"": "autograd.numpy", "special": "autograd.scipy.special"},
    "jax": {"": "jax.numpy", "special": "jax.scipy.special"},
}


@dataclass(frozen=True)
class Row:
    """A function, and calls of it in general position.

    Attributes
    ----------
    name : str
        As it stands in NumPy ("hypot", "linalg.svd"), in SciPy ("special.erf") or in tapegrad ("tg.conv").
    calls : strategy of Call
        Arguments in float64 where they can be differentiated; pytrees of arrays are allowed, such as lists.
    variant : str
        Tells rows of one function apart.
    use : callable
        ``use(function, *args, **options)`` gives the result that is looked at. It serves where a result is determined
        only up to a sign or an order, and for methods and operators.
    order : int
        How often it can be differentiated; 0 where the derivative is zero or there is none.
    single : float
        Allowed relative error of a float32 gradient.
    mixed : bool
        Whether its arguments may have different floating dtypes.
    unlike : dict of str to str
        For "autograd" or "jax" the reason why they are not compared: they lack the function, or differ on purpose.
    spelled : dict of str to callable
        For "autograd" or "jax" another spelling of the same function.
    since : str
        The version of NumPy from which it can be called so.
    like : callable, optional
        The same by other means, for a function of tapegrad's own.
    """

    name: str
    calls: st.SearchStrategy[Call]
    variant: str = ""
    use: Callable = lambda function, *args, **options: function(*args, **options)
    order: int = 2
    single: float = 1e-3
    mixed: bool = True
    unlike: dict[str, str] = field(default_factory=dict)
    spelled: dict[str, Callable] = field(default_factory=dict)
    since: str = "2.0"
    like: Callable | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.variant}".rstrip()

    def function(self, call: Call) -> Callable:
        """What the call computes, as a function of its arguments."""
        return self.in_library("numpy", call)

    def in_library(self, library: str, call: Call) -> Callable:
        """The same in another library."""
        function = self.spelled.get(library) or found(library, self.name)
        return lambda *args: self.use(function, *args, **call.options)

    def reference(self, *args: Any, **options: Any) -> Any:
        """What NumPy makes of plain arrays, or the row's own ``like``."""
        return self.use(self.like or found("numpy", self.name), *args, **options)


def found(library: str, name: str) -> Callable:
    """The function of a library."""
    home, _, rest = name.rpartition(".")
    if home == "tg":
        return getattr(tg, rest)
    homes = HOMES[library]
    path = (rest,) if home in homes else name.split(".")
    return reduce(getattr, path, import_module(homes.get(home, homes[""])))


def called(strategy: st.SearchStrategy, **options: Any) -> st.SearchStrategy[Call]:
    """Calls with the drawn arguments (one, or a tuple of them) and fixed options."""
    return strategy.map(lambda drawn: Call(drawn if isinstance(drawn, tuple) else (np.asarray(drawn),), options))
