"""What the functions share: refusing arguments without a rule, and taking lists for arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import UnsupportedPrimitive
from ..tensor import Tensor

SHAPED = (Tensor, np.ndarray, np.generic)
NO_VALUE = np._NoValue  # what NumPy passes for an argument that was not given


def given(value: Any) -> bool:
    """Whether an optional argument was given."""
    return value is not None and value is not NO_VALUE


def refuse(name: str, **arguments: Any) -> None:
    """Raise when an argument that has no rule was given."""
    for keyword, value in arguments.items():
        if given(value):
            raise UnsupportedPrimitive(
                f"numpy.{name}: the argument {keyword}= is not supported on a Tensor; "
                + (
                    "results are new arrays: write x = f(x) instead of f(x, out=x)"
                    if keyword == "out"
                    else "select with np.where before calling it"
                )
            )


def asarray(value: Any) -> Any:
    """``value`` as something with a shape and dtype: lists of Tensors are stacked."""
    if isinstance(value, SHAPED):
        return value
    if isinstance(value, (list, tuple)) and _holds_tensor(value):
        return np.stack([asarray(item) for item in value])
    return np.asarray(value)


def _holds_tensor(items: Any) -> bool:
    return any(isinstance(i, Tensor) or (isinstance(i, (list, tuple)) and _holds_tensor(i)) for i in items)
