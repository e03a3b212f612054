"""How many threads NumPy's matrix products use.

A step of a recurrent network multiplies small matrices, thousands of times. OpenBLAS shares each among all
cores: on two cores that gains nothing, and where anything else runs beside it, its waiting threads make a step several
times slower. NumPy has no function for this, and the environment variable counts only before NumPy is imported.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_PREFIXES, _SUFFIXES = ("scipy_openblas", "openblas"), ("64_", "")


def set_blas_threads(count: int) -> bool:
    """Let OpenBLAS use ``count`` threads; False where NumPy's library is another, which is then left as it is."""
    found = [setter for library in _openblas() if (setter := _function(library, "set")) is not None]
    for setter in found:
        setter(ctypes.c_int(count))
    return bool(found)


def blas_threads() -> int | None:
    """How many threads OpenBLAS uses; None where NumPy's library is another."""
    for library in _openblas():
        getter = _function(library, "get")
        if getter is not None:
            return int(getter())
    return None


def _openblas() -> Iterator[ctypes.CDLL]:
    """The OpenBLAS libraries that this process has loaded."""
    maps = Path("/proc/self/maps")
    if maps.exists():
        lines = maps.read_text(errors="replace").splitlines()
        paths = {line[line.index("/") :] for line in lines if "openblas" in line and "/" in line}
    else:
        package = Path(np.__file__).parent
        folders = (package.parent / "numpy.libs", package / ".dylibs")
        paths = {str(path) for folder in folders for path in folder.glob("*openblas*")}
    for path in sorted(paths):
        if os.path.exists(path):
            yield ctypes.CDLL(path)


def _function(library: ctypes.CDLL, verb: str) -> Any:
    for prefix in _PREFIXES:
        for suffix in _SUFFIXES:
            function = getattr(library, f"{prefix}_{verb}_num_threads{suffix}", None)
            if function is not None:
                return function
    return None
