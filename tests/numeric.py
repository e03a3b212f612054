"""Differences of high order, and comparisons of pytrees."""

import numpy as np

from tapegrad import pytree
from tapegrad.holding import held_at

BOUND = 1e-7


def moved(point, direction, by):
    return pytree.map(lambda p, d: p + by * d, point, direction)


def slope(f, h=1e-3):
    """f'(0), for a number or a pytree, by the central difference of fourth order; what f stops is held as at 0."""
    f, _ = held_at(f, (0.0,))
    near, far = (pytree.map(lambda a, b: a - b, f(k * h), f(-k * h)) for k in (1, 2))
    return pytree.map(lambda a, b: (8 * a - b) / (12 * h), near, far)


def dot(a, b):
    return sum(float(np.sum(x * y)) for x, y in zip(pytree.leaves(a), pytree.leaves(b), strict=True))


def assert_close(result, expected, bound=BOUND):
    """Leaf by leaf, relative to the largest element of the leaf."""
    assert pytree.structure(result) == pytree.structure(expected)
    for path, a, b in zip(pytree.paths(expected), pytree.leaves(result), pytree.leaves(expected), strict=True):
        assert np.shape(a) == np.shape(b), path
        error = np.max(np.abs(a - b), initial=0) / np.max(np.abs(b), initial=1e-300)
        assert error < bound, f"{path}: relative error {error:.2e}"
