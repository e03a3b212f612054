"""All rows of the surface."""

from tests.surface import elementwise, linalg

ROWS = [*elementwise.ROWS, *linalg.ROWS]
