"""All rows of the surface."""

import numpy as np

from tests.surface import (
    convolution,
    elementwise,
    linalg,
    ordering,
    products,
    reductions,
    shapes,
    special,
)
from tests.surface.rows import found

FAMILIES = [
    elementwise,
    reductions,
    ordering,
    shapes,
    products,
    linalg,
    special,
    convolution,
]
EVERY = [row for family in FAMILIES for row in family.ROWS]


def is_there(row):
    """Whether this version of NumPy has the function: ``matvec`` came with 2.2; or SciPy is there."""
    if np.lib.NumpyVersion(np.__version__) < f"{row.since}.0":
        return False
    try:
        return bool(found("numpy", row.name))
    except (AttributeError, ImportError):
        return False


ROWS = [row for row in EVERY if is_there(row)]
