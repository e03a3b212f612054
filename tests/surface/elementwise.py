"""Functions of elements."""

from tests.strategies import calls
from tests.surface.rows import Row

ANY = (-2.0, 2.0, ())


def unary(name, low=-2.0, high=2.0, away_from=(), **rest):
    return Row(name, calls.elementwise((low, high, away_from)), **rest)


def binary(name, x=ANY, y=ANY, **rest):
    return Row(name, calls.elementwise(x, y), **rest)


ROWS = [
    unary("square"),
    unary("reciprocal", away_from=(0.0,)),
    unary("exp2"),
    unary("log2", 0.2, 3.0),
    unary("log10", 0.2, 3.0),
    unary("deg2rad"),
    unary("rad2deg"),
    unary("fabs", away_from=(0.0,)),
    binary("float_power", (0.2, 2.0, ()), unlike={"autograd": "has no rule for it"}),
]
