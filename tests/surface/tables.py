"""All rows of the surface."""

from tests.surface import elementwise

ROWS = [*elementwise.ROWS]
