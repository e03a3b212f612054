"""freeze: what is frozen has a derivative of exactly zero, in every mode and of every order; the rest is unchanged."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import GRU, Elman
from tapegrad.errors import DtypeError, ShapeError, StructureError

RNG = np.random.default_rng(0)


class Pair(NamedTuple):
    a: object
    b: object


@dataclass
class Layer:
    weight: object
    bias: object


W, B = RNG.normal(size=(3, 2)), RNG.normal(size=2)
ROWS = np.array([[True, False], [False, False], [True, True]])
# The parameters, a mask, and the mask of each leaf.
MASKS = {
    "a leaf": (W, True, [True]),
    "elements": (W, ROWS, [ROWS]),
    "a row that is broadcast": (W, np.array([True, False]), [np.array([[True, False]] * 3)]),
    "nothing": ({"W": W, "b": B}, False, [False, False]),
    "a dict": ({"b": B, "W": W}, {"W": ROWS, "b": False}, [ROWS, False]),
    "a subtree": ({"x": [W, B], "y": B}, {"x": True, "y": np.array([True, False])},
                  [True, True, np.array([True, False])]),
    "tuples and None": ((W, None, (B,)), (False, None, (True,)), [False, True]),
    "a namedtuple": (Pair(W, B), Pair(True, False), [True, False]),
    "a dataclass": ([Layer(W, B), Layer(B, 2.0)], [Layer(ROWS, False), Layer(True, np.bool_(True))],
                    [ROWS, False, True, True]),
}  # fmt: skip


def loss(params):
    leaves = tg.tree_leaves(params)
    return sum(np.sum(np.sin((i + 1.5) * leaf) * leaf) for i, leaf in enumerate(leaves)) * np.sum(leaves[0])


@pytest.mark.parametrize("name", MASKS)
def test_gradients_are_zero_where_frozen_and_unchanged_elsewhere(name):
    params, mask, masks = MASKS[name]
    f = lambda p: loss(tg.freeze(p, mask))  # noqa: E731
    value, found = tg.value_and_grad(f)(params)
    full_value, full = tg.value_and_grad(loss)(params)
    assert value == full_value
    for g, whole, m in zip(tg.tree_leaves(found), tg.tree_leaves(full), masks, strict=True):
        np.testing.assert_array_equal(g, np.where(m, 0.0, whole))
    moves = tg.tree_map(np.cos, params)
    held = tg.tree_map(lambda move, m: np.where(m, 0.0, move), tg.tree_leaves(moves), masks)
    expected = sum(np.sum(g * h) for g, h in zip(tg.tree_leaves(full), held, strict=True))
    np.testing.assert_allclose(tg.jvp(f, (params,), (moves,))[1], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mask", [True, ROWS])
def test_second_derivatives(mask):
    f = lambda w: loss([tg.freeze(w, mask)])  # noqa: E731
    frozen = np.broadcast_to(mask, W.shape).ravel()
    full = tg.hessian(lambda w: loss([w]))(W).reshape(6, 6)
    full[frozen], full[:, frozen] = 0.0, 0.0
    np.testing.assert_array_equal(tg.hessian(f)(W).reshape(6, 6), full)
    double = tg.jacobian(tg.grad(f), mode="rev")(W).reshape(6, 6)
    np.testing.assert_allclose(double, full, rtol=1e-12, atol=1e-12)
    assert not double[frozen].any()
    np.testing.assert_array_equal(tg.vmap(tg.grad(f))(np.stack([W, W]))[1], tg.grad(f)(W))


@pytest.mark.parametrize("backend", ["reference", "numba"])
@pytest.mark.parametrize("where", ["outside", "inside"])
def test_in_loops(backend, where):
    cell = Elman(3, 4)
    params, xs = cell.init(RNG, dtype=np.float64), RNG.normal(size=(5, 2, 3))
    mask = tg.tree_map(lambda p: np.random.default_rng(p.size).random(p.shape) < 0.5, params)

    def step(params, state, x):
        return cell.step(tg.freeze(params, mask) if where == "inside" else params, state, x)

    def f(params):
        held = params if where == "inside" else tg.freeze(params, mask)
        return np.sum(tg.scan(step, held, np.zeros((2, 4)), xs, backend=backend)[1] ** 2)

    def plain(params):
        return np.sum(tg.scan(cell.step, params, np.zeros((2, 4)), xs, backend="reference")[1] ** 2)

    expected = tg.tree_map(lambda g, m: np.where(m, 0.0, g), tg.grad(plain)(params), mask)
    found = tg.grad(f)(params)
    tg.testing.assert_gradients_close(found, expected)
    assert not any(g[m].any() for g, m in zip(tg.tree_leaves(found), tg.tree_leaves(mask), strict=True))


def test_nan_in_what_is_frozen_has_no_gradient():
    mask = np.array([True, False])
    g = tg.grad(lambda w: np.sum(tg.freeze(w, mask) * np.array([np.nan, 2.0])))(np.ones(2))
    assert g.tolist() == [0.0, 2.0]


def test_dtypes_stay():
    params = GRU(2, 3).init(RNG, dtype=np.float32)
    frozen = tg.grad(lambda p: sum(np.sum(leaf) for leaf in tg.tree_leaves(tg.freeze(p, True))))(params)
    assert {g.dtype for g in tg.tree_leaves(frozen)} == {np.dtype(np.float32)}
    part = tg.grad(lambda w: np.sum(tg.freeze(w, np.array([True, False]))))(np.ones(2, np.float32))
    assert part.dtype == np.float32


@pytest.mark.parametrize(
    ("params", "mask", "error", "words"),
    [
        ({"W": W, "b": B}, {"W": True}, StructureError, r"freeze: mask has the structure \{'W': \*\}.*keys"),
        ({"W": [W]}, {"W": (True,)}, StructureError, r"freeze: mask\['W'\] has the structure \(\*,\)"),
        ({"W": [W, B]}, {"W": ROWS}, StructureError, r"mask\['W'\] is an array of shape \(3, 2\).*one bool for all"),
        ({"W": W}, {"W": np.ones(3, bool)}, ShapeError, r"the mask of W has the shape \(3,\), the parameter \(3, 2\)"),
        ({"W": B}, {"W": [True, False]}, StructureError, r"lists are containers: give np\.array"),
        ([W], [1], DtypeError, r"freeze: mask\[0\] is 1; a mask holds True, False"),
        ([W], ["W"], DtypeError, "True for what is frozen"),
        ([W], [np.ones((3, 2))], DtypeError, "arrays of bool"),
    ],
)
def test_masks_that_do_not_fit(params, mask, error, words):
    with pytest.raises(error, match=words):
        tg.freeze(params, mask)
