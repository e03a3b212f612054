"""All rows of the surface."""

from tests.surface import (
    elementwise,
    ordering,
    products,
    reductions,
    shapes,
)

FAMILIES = [
    elementwise,
    reductions,
    ordering,
    shapes,
    products,
]
ROWS = [row for family in FAMILIES for row in family.ROWS]
