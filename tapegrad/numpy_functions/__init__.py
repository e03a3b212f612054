"""NumPy's functions, written with the primitives.

:mod:`tapegrad.numpy_protocols` sends ``np.mean(t)`` and its kind here. The signatures are NumPy's, as far as they are
supported; what is missing from a signature is refused by name.
"""

from . import (
    calculus,
    common,
    convolution,
    creation,
    elementwise,
    linalg,
    matrix_products,
    norms,
    ordering,
    padding,
    parts,
    products,
    rearranging,
    reductions,
    selection,
    shapes,
    special,
    statistics,
    windows,
)

HOMES = (
    elementwise, parts, reductions, statistics, ordering, shapes, rearranging, padding, selection, products, calculus,
    windows,
)  # fmt: skip

__all__ = [
    "HOMES", "calculus", "common", "convolution", "creation", "elementwise", "linalg", "matrix_products", "norms",
    "ordering", "padding", "parts", "products", "rearranging", "reductions", "selection", "shapes", "special",
    "statistics", "windows",
]  # fmt: skip
