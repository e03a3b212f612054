"""The functions of elements that a cell can be given by name."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.errors import OptionError
from tapegrad.functions import relu, sigmoid


def identity(x: Any) -> Any:
    return x


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"tanh": np.tanh, "sigmoid": sigmoid, "relu": relu, "identity": identity}


def check_activation(name: str, option: str, value: Any) -> None:
    """Raises an OptionError when an option of the cell called ``name`` is no activation."""
    if not isinstance(value, str) or value not in ACTIVATIONS:
        raise OptionError(f"{name}: {option}={value!r}, expected one of {', '.join(ACTIVATIONS)}")
