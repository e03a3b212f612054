"""A scan on one backend and on the reference: values, and derivatives by all that can be differentiated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tapegrad as tg

# Relative to the largest element of an array, or to 1: values and gradients, then what is differentiated twice.
TOLERANCE = {"float64": (1e-11, 1e-9), "float32": (2e-5, 2e-3)}


def arrays(tree: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in tg.tree_leaves(tree)]


def assert_same(found: Any, expected: Any, tolerance: float, what: str = "") -> None:
    """Leaf by leaf: shapes, dtypes, NaN and infinities in the same places, the rest within a tolerance."""
    for a, b in zip(arrays(found), arrays(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), what
        if b.dtype.kind != "f":
            np.testing.assert_array_equal(a, b, err_msg=what)
            continue
        finite = np.isfinite(b)
        np.testing.assert_array_equal(np.where(finite, 0, a), np.where(finite, 0, b), err_msg=what)
        scale = max(1.0, float(np.max(np.abs(b[finite]), initial=0)))
        np.testing.assert_allclose(a[finite], b[finite], rtol=0, atol=tolerance * scale, err_msg=what)


def loss_of(tree: Any) -> Any:
    """A number that every float of a pytree matters to."""
    parts = [np.sum(np.sin(1.0 * leaf)) for leaf in tg.tree_leaves(tree)]
    return sum(parts[1:], parts[0])


def differentiable(tree: Any) -> bool:
    leaves = arrays(tree)
    return bool(leaves) and all(leaf.dtype.kind == "f" for leaf in leaves)


def derivatives(run: Callable, args: tuple, second: bool) -> dict[str, Any]:
    """What can be asked of ``run``: values, gradients, and with ``second`` tangents and second derivatives."""
    chosen = [i for i, arg in enumerate(args) if differentiable(arg)]
    given = tuple([args[i] for i in chosen])

    def loss(*values: Any) -> Any:
        held = dict(zip(chosen, values, strict=True))
        return loss_of(run(*[held.get(i, arg) for i, arg in enumerate(args)]))

    found = {"values": run(*args)}
    if not chosen:
        return found
    every = tuple(range(len(chosen)))
    found["gradients"] = tg.grad(loss, every)(*given)
    if second:
        rng = np.random.default_rng(5)
        moves = tg.tree_map(lambda a: np.asarray(rng.normal(size=np.shape(a)), np.asarray(a).dtype), given)
        slope = lambda *values: sum(  # noqa: E731
            np.sum(g * move)
            for g, move in zip(tg.tree_leaves(tg.grad(loss, every)(*values)), tg.tree_leaves(moves), strict=True)
        )
        found["tangent"] = tg.jvp(loss, given, moves)
        found["forward over reverse"] = tg.jvp(tg.grad(loss, every), given, moves)
        found["reverse over reverse"] = tg.grad(slope, every)(*given)
    return found


def compare(run: Callable, args: tuple, backend: str, second: bool = False) -> None:
    """Hold ``run(*args, backend=...)`` on a backend to the reference."""
    found, expected = (
        derivatives(lambda *a, name=name: run(*a, backend=name), args, second) for name in (backend, "reference")
    )
    first, then = TOLERANCE["float32" if any(leaf.dtype == np.float32 for leaf in arrays(args)) else "float64"]
    for what, value in expected.items():
        assert_same(found[what], value, first if what in ("values", "gradients") else then, what)
