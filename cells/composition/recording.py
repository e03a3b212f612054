"""What is recorded of the parts of a network: a variable is called by its part, a dot, and its own name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tapegrad.errors import OptionError

from ..layer import Layer


def asked(layer: Layer, record: Any, parts: Mapping[str, Layer]) -> dict[str, Any]:
    """The ``record=`` of each part of which something is wanted: True, or names.

    Raises
    ------
    OptionError
        When ``record`` holds something else than names, or one of no part that records.
    """
    able = [name for name, part in parts.items() if part.records]
    if record is None:
        return {}
    if record is True:
        return dict.fromkeys(able, True)
    names = (record,) if isinstance(record, str) else record
    if not isinstance(names, (tuple, list, set, frozenset)) or not all(isinstance(name, str) for name in names):
        raise OptionError(f"{layer!r}: record={record!r}, expected True, or names such as '{(able or ['0'])[0]}.h'")
    found: dict[str, Any] = {}
    for name in names:
        part, _, own = name.partition(".")
        if part not in able or not own:
            raise OptionError(
                f"{layer!r}: record={name!r}, expected a part with a step of its own "
                f"({', '.join(able) or 'none here'}), a dot, and a variable of that step; record=True gives all"
            )
        found.setdefault(part, []).append(own)
    return found


def called(
    part: Layer, where: str, args: tuple[Any, ...], options: dict[str, Any], record: Any
) -> tuple[Any, Any, dict[str, Any]]:
    """State, outputs and what is recorded of a call of a part; ``where`` it stands is for messages about names."""
    if record is None:
        return (*part(*args, **options), {})
    try:
        return part(*args, record=record, **options)
    except OptionError as error:
        raise OptionError(f"in {where}: {error}") from None
