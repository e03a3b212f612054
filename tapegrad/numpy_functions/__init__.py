"""NumPy's functions, written with the primitives.

:mod:`tapegrad.numpy_protocols` sends ``np.mean(t)`` and its kind here. The signatures are NumPy's, as far as they are
supported; what is missing from a signature is refused by name.
"""

from . import (
    calculus,
    common,
    creation,
    elementwise,
    norms,
    ordering,
    padding,
    products,
    rearranging,
    reductions,
    selection,
    shapes,
    statistics,
)

HOMES = (
    elementwise, reductions, statistics, ordering, shapes, rearranging, padding, selection, products, calculus,
)  # fmt: skip

__all__ = [
    "HOMES", "calculus", "common", "creation", "elementwise", "norms", "ordering", "padding", "products",
    "rearranging", "reductions", "selection", "shapes", "statistics",
]  # fmt: skip
