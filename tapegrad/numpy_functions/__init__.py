"""NumPy's functions, written with the primitives.

:mod:`tapegrad.numpy_protocols` sends ``np.mean(t)`` and its kind here. The signatures are NumPy's, as far as they are
supported; what is missing from a signature is refused by name.
"""

from . import (
    common,
    convolution,
    creation,
    linalg,
    matrix_products,
    parts,
    products,
    reductions,
    selection,
    shapes,
    special,
    windows,
)

__all__ = [
    "common", "convolution", "creation", "linalg", "matrix_products", "parts", "products", "reductions", "selection",
    "shapes", "special", "windows",
]  # fmt: skip
