"""All rows of the surface."""

from tests.surface import (
    elementwise,
    ordering,
    products,
    reductions,
    shapes,
)
from tests.surface.rows import found

FAMILIES = [
    elementwise,
    reductions,
    ordering,
    shapes,
    products,
]
EVERY = [row for family in FAMILIES for row in family.ROWS]


def is_there(row):
    """Whether this version of NumPy has the function: ``matvec`` came with 2.2."""
    try:
        return bool(found("numpy", row.name))
    except AttributeError:
        return False


ROWS = [row for row in EVERY if is_there(row)]
