"""All rows of the surface."""

from tests.surface import elementwise, ordering, reductions

ROWS = [
    *elementwise.ROWS,
    *ordering.ROWS,
    *reductions.ROWS,
]
