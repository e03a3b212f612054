"""One row of the surface in tapegrad and in another library: values, and gradients for random cotangents."""

import numpy as np

from tapegrad import pytree
from tests.primitives.flat import FlatCall, pulled, weights

ROUNDING = 1e-9  # relative to the largest element: the libraries order their sums and factors differently


def compare(row, call, library, gradients):
    """``gradients(function, leaves, moving, cotangents)`` gives values and gradients in the other library.

    ``function`` takes leaves and returns a list; ``moving`` numbers the leaves to differentiate by.
    """
    flat = FlatCall(row, call)
    if not flat.moving:
        return
    other = row.in_library(library, call)
    values = [np.asarray(v) for v in flat(*flat.leaves)]
    cotangents = weights(values)
    theirs, their_grads = gradients(
        lambda *leaves: pytree.leaves(_plain(other(*flat.structure.unflatten(leaves)))),
        flat.leaves, flat.moving, cotangents,
    )  # fmt: skip
    for found, expected in ((values, theirs), (pulled(flat, flat.leaves, cotangents), their_grads)):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert np.shape(a) == np.shape(b)
            scale = np.max(np.abs(b), initial=0.0) if np.asarray(b).dtype.kind == "f" else 0
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 + ROUNDING * scale)


def _plain(results):
    """Results without the classes of the other library, which are tuples with names."""
    return tuple(results) if isinstance(results, tuple) else results
