"""All rows of the surface."""

from tests.surface import convolution, elementwise, linalg, special

ROWS = [*elementwise.ROWS, *linalg.ROWS, *special.ROWS, *convolution.ROWS]
