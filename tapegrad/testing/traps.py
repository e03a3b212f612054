"""Numbers at which functions go wrong, put into arrays on request."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..errors import OptionError

#: The kinds, the simplest first: what is found shrinks towards the front.
KINDS = ("ties", "zeros", "integers", "tiny", "huge", "denormals", "infinities", "nan")
MOST = 5  # traps in an array


def chosen_kinds(traps: bool | tuple[str, ...]) -> tuple[str, ...]:
    """The kinds that were asked for.

    Raises
    ------
    OptionError
        When one is unknown.
    """
    if isinstance(traps, bool):
        return KINDS if traps else ()
    asked = (traps,) if isinstance(traps, str) else tuple(traps)
    unknown = [kind for kind in asked if kind not in KINDS]
    if unknown:
        raise OptionError(f"arrays: traps={traps!r}: there is no {unknown[0]!r}; choose from {', '.join(KINDS)}")
    return tuple([kind for kind in KINDS if kind in asked])


def trapped(draw: Any, array: np.ndarray, kinds: tuple[str, ...]) -> np.ndarray:
    """``array`` with some elements replaced by traps of these kinds; with none at all too."""
    values = [value for kind in kinds for value in _values(kind, array.dtype)]
    if not array.size or not values:
        return array
    places = st.integers(0, array.size - 1)
    made = array.copy().reshape(-1)
    for place, value in draw(st.lists(st.tuples(places, st.sampled_from(values)), max_size=min(array.size, MOST))):
        if value == "tie":
            made[place] = made[place - 1]
        elif value == "rounded":
            made[place] = np.rint(made[place])
        else:
            made[place] = value
    return made.reshape(array.shape)


def _values(kind: str, dtype: np.dtype) -> list[Any]:
    """The numbers of a kind, or what to do with the element that is there; none where a dtype has no such number."""
    if kind == "ties":
        return ["tie"]
    if dtype.kind in "iu":
        ends = [np.iinfo(dtype).max, np.iinfo(dtype).min]
        return {"zeros": [0], "huge": ends}.get(kind, [])
    if dtype.kind != "f":
        return []
    info = np.finfo(dtype)
    found: dict[str, list[Any]] = {
        "zeros": [0.0, -0.0],
        "integers": ["rounded", 1.0, -1.0],
        "tiny": [info.tiny, -info.tiny, np.sqrt(info.tiny), info.eps],
        "huge": [info.max, -info.max, np.sqrt(info.max), 1 / info.eps],
        "denormals": [info.smallest_subnormal, -info.smallest_subnormal, info.tiny / 2],
        "infinities": [np.inf, -np.inf],
        "nan": [np.nan],
    }
    return [value if isinstance(value, str) else dtype.type(value) for value in found[kind]]
