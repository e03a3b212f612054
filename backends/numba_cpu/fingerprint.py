"""The source text of the modules whose functions are compiled into loops: a change of theirs changes machine code."""

from __future__ import annotations

import hashlib
import re
import sys
from typing import Any

from . import runtime

# Sibling modules are imported relatively, one per statement or several, as linters lay it out.
_IMPORT = re.compile(r"^\s*from \.(\w*) import (\([^)]*\)|[^\n]*)", re.MULTILINE)


def reached(name: str) -> dict[str, str]:
    """The source text of a module of this package and of all modules of it that it imports, directly or not.

    Parameters
    ----------
    name : str
        The module's name without the package's.

    Returns
    -------
    dict
        From names without the package's to texts.

    Raises
    ------
    OSError
        If the text of a module is not there.
    """
    texts: dict[str, str] = {}
    waiting = [name]
    while waiting:
        module = waiting.pop()
        loaded = sys.modules.get(f"{__package__}.{module}")
        if loaded is None or module in texts:
            continue
        spec: Any = loaded.__spec__
        text = spec.loader.get_source(spec.name)
        if text is None:
            raise OSError(f"no source text of {spec.name}")
        texts[module] = text
        for sibling, names in _IMPORT.findall(text):
            waiting += [sibling] if sibling else re.findall(r"(\w+)(?: as \w+)?", names)
    return texts


def fingerprint() -> str | None:
    """A digest of the source text behind ``runtime``; None where only compiled modules were installed."""
    try:
        texts = reached(runtime.__name__.rpartition(".")[2])
    except OSError:
        return None
    return hashlib.sha256(repr(sorted(texts.items())).encode()).hexdigest()


# Taken at import, next to the modules themselves: their files may be edited while the process runs.
FINGERPRINT = fingerprint()
