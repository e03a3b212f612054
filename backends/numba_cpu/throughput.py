"""How many elements a function of vectors is computed of in a second, measured."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numba
import numpy as np

from tapegrad.errors import OptionError

from . import runtime
from .expressions import BINARY, VECTOR

SIZE = 1024  # elements of an array: two of them, read and written, stay in the first-level cache
SECONDS = 0.001  # of a round: long for the clock, short enough that some rounds are not interrupted
ROUNDS = 60


def function_rate(name: str, dtype: Any = np.float32) -> float:
    """Measure of how many elements one thread computes a function in a second, from and to the nearest cache.

    The vectors are those of compiled loops. The best of several rounds is taken, so that other programs matter little.

    Parameters
    ----------
    name : str
        Of an elementwise primitive, "tanh" say. Arguments lie between 0.5 and 1.5, where every function is defined but
        ``arccosh``, ``arcsin``, ``arccos`` and ``arctanh`` of some.
    dtype : float32 or float64

    Returns
    -------
    float
        Elements in a second.

    Raises
    ------
    OptionError
        If no vectors have such a function.

    Notes
    -----
    It takes about half a second: the loop over the function is compiled.
    """
    loop, dtype = _loop(name), np.dtype(dtype)
    given = np.linspace(0.5, 1.5, SIZE).astype(dtype)
    out = np.empty_like(given)
    turns = 1
    loop(given, out, turns)
    while (took := _timed(loop, given, out, turns)) < SECONDS:
        turns = 1 + int(turns * min(10.0, 1.2 * SECONDS / max(took, 1e-7)))
    best = min(_timed(loop, given, out, turns) for _ in range(ROUNDS))
    return SIZE * turns / best


@cache
def _loop(name: str) -> Any:
    """``loop(array, out, turns)``: the function of all elements, again and again."""
    if name not in VECTOR:
        raise OptionError(f"function_rate: no vectors have a function {name!r}; there are {', '.join(sorted(VECTOR))}")
    two = name in BINARY or "{1}" in VECTOR[name]
    text = VECTOR[name].format("load(array, j)", *["load(array, j)"] * two)
    source = (
        "def loop(array, out, turns):\n"
        "    for turn in range(turns):\n"
        f"        for j in range(0, {SIZE}, lanes_of(array)):\n"
        f"            store(out, j, {text})\n"
    )
    names: dict[str, Any] = {key: getattr(runtime, key) for key in runtime.__all__}
    exec(source, names)
    return numba.njit(nogil=True, error_model="numpy", boundscheck=False)(names["loop"])


def _timed(loop: Any, given: np.ndarray, out: np.ndarray, turns: int) -> float:
    began = time.perf_counter()
    loop(given, out, turns)
    return time.perf_counter() - began
