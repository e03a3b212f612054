"""A row's call as a function of a list of arrays, whatever pytrees it takes and gives."""

import numpy as np

import tapegrad as tg
from tapegrad import pytree


class FlatCall:
    """``function(*leaves) -> list``; ``moving`` numbers the floating leaves."""

    def __init__(self, spec, call):
        self.spec, self.call = spec, call
        self.leaves, self.structure = pytree.flatten(call.args)
        self.moving = [i for i, leaf in enumerate(self.leaves) if np.issubdtype(np.asarray(leaf).dtype, np.floating)]
        self._function = spec.function(call)

    def __call__(self, *leaves):
        return pytree.leaves(self._function(*self.structure.unflatten(leaves)))

    def reference(self, *leaves):
        return pytree.leaves(self.spec.reference(*self.structure.unflatten(leaves), **self.call.options))

    def among(self, leaves):
        """A function of the moving leaves alone."""

        def of_moving(*given):
            filled = list(leaves)
            for i, value in zip(self.moving, given, strict=True):
                filled[i] = value
            return self(*filled)

        return of_moving, [leaves[i] for i in self.moving]


def weights(values, seed=0):
    """Random cotangents or tangents for a list of values."""
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.uniform(0.4, 1.0, np.shape(v)), np.asarray(v).dtype) for v in values]


def pulled(flat, leaves, cotangents):
    """The cotangents of the moving leaves."""
    function, moving = flat.among(leaves)
    return tg.vjp(function, *moving)[1](cotangents)


def pushed(flat, leaves, tangents):
    """The tangents of the results."""
    function, moving = flat.among(leaves)
    return tg.jvp(function, moving, tangents)[1]


def batches(flat, size, seed):
    """For each array a stack of rearrangements of its elements, so that each stays in its domain."""
    rng = np.random.default_rng(seed)

    def stacked(x):
        rows = [rng.permutation(np.ravel(x)).reshape(x.shape) for _ in range(size)]
        return np.stack(rows) if rows else np.zeros((0, *x.shape), x.dtype)

    return [stacked(x) if isinstance(x, np.ndarray) else x for x in flat.leaves]


def check_vmap(function, flat, flags, size, seed, rtol=1e-12):
    """``function`` of the leaves, mapped over the flagged ones, is a loop."""
    given = [s if flag else x for s, x, flag in zip(batches(flat, size, seed), flat.leaves, flags, strict=True)]
    rows = [function(*[g[i] if flag else g for g, flag in zip(given, flags, strict=True)]) for i in range(size)]
    mapped = tg.vmap(function, [0 if flag else None for flag in flags])(*given)
    assert_same(mapped, [np.stack(parts) for parts in zip(*rows, strict=True)], rtol)


def assert_same(found, expected, rtol=1e-12, atol=1e-13):
    """Equal values, shapes and dtypes, element by element relative to the largest of each array."""
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert np.shape(a) == np.shape(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        scale = np.max(np.abs(b), initial=0.0, where=np.isfinite(b)) if np.asarray(b).dtype.kind == "f" else 0
        np.testing.assert_allclose(a, b, rtol=0, atol=atol + rtol * scale)
