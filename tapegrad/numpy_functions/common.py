"""What the functions share: refusing arguments without a rule, and taking lists for arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import UnsupportedPrimitive
from ..tensor import Tensor

SHAPED = (Tensor, np.ndarray, np.generic)
NO_VALUE = np._NoValue  # what NumPy passes for an argument that was not given


COMPLEX = (
    "its results are complex in general, and complex derivatives are not supported: compute real and imaginary parts "
    "as real arrays (a discrete Fourier transform is two products, with the matrices np.cos(a) and -np.sin(a) of the "
    "angles a)"
)
COMPLEX_VALUED = {"eig", "eigvals", "roots", "sort_complex"}

REMEDIES = {
    "insert": "join the parts with np.concatenate",
    "unique": "give it the values outside of the differentiated function; np.sort has a rule",
    "apply_along_axis": "use tapegrad.vmap",
    "vectorize": "use tapegrad.vmap",
    "piecewise": "use np.select",
    "histogram": "its counts have no derivative; compute them outside of the differentiated function",
    "copyto": "to fill an array with a traced value use tapegrad.full(shape, value)",
    "put": "use tapegrad.index_update(x, index, value), which returns a new array",
    "put_along_axis": "use tapegrad.index_update(x, index, value), which returns a new array",
    "fill_diagonal": "use np.where with a mask from np.eye",
    "place": "use np.where(mask, values, x)",
    "putmask": "use np.where(mask, values, x)",
    "add.at": "use tapegrad.index_add(x, index, value), which returns a new array",
}


def missing(name: str, module: str = "numpy") -> UnsupportedPrimitive:
    """The error for a NumPy function without a rule."""
    remedy = COMPLEX if module in ("numpy.fft", "numpy.lib.scimath") or name in COMPLEX_VALUED else REMEDIES.get(
        name,
        "build it from supported functions, or register it: f = tapegrad.primitive(numpy_function), then "
        "f.defvjp(lambda g, ans, x: ...)",
    )
    return UnsupportedPrimitive(f"{module}.{name} has no rule for Tensors; {remedy}")


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
