"""All rows of the surface."""

from tests.surface import elementwise, ordering, products, reductions, shapes

ROWS = [
    *elementwise.ROWS,
    *ordering.ROWS,
    *products.ROWS,
    *reductions.ROWS,
    *shapes.ROWS,
]
