"""All rows of the surface."""

from tests.surface import elementwise, special

ROWS = [*elementwise.ROWS, *special.ROWS]
