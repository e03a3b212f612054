"""The squashing functions of the papers of 1997 and 2000, by name."""

from collections.abc import Callable
from typing import Any

from tapegrad.errors import OptionError
from tapegrad.functions import sigmoid

from ..activations import ACTIVATIONS

SQUASHINGS: dict[str, Callable[[Any], Any]] = {
    "4 sigmoid - 2": lambda a: 4.0 * sigmoid(a) - 2.0,
    "2 sigmoid - 1": lambda a: 2.0 * sigmoid(a) - 1.0,
    **{name: ACTIVATIONS[name] for name in ("sigmoid", "tanh", "identity")},
}


def check_squashings(name: str, **chosen: Any) -> None:
    """Raise for options that name no squashing function."""
    for option, value in chosen.items():
        if value not in SQUASHINGS:
            known = ", ".join(map(repr, SQUASHINGS))
            raise OptionError(f"{name}: {option}={value!r}, expected one of {known}")
