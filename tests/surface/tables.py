"""All rows of the surface."""

from tests.surface import convolution, elementwise, special

ROWS = [*elementwise.ROWS, *special.ROWS, *convolution.ROWS]
