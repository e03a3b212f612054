"""Derivatives by eigenvalues and singular values that may be equal: what counts as equal, whatever the scales are."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.primitives.decompositions import differences, largest, over, sums
from tests.primitives.test_linalg import (
    LOW,
    REPEATED,
    TURN,
    WEIGHTS,
    assert_gradient,
    column_space,
    polar,
    projection,
    row_space,
    symmetric,
)

INF = np.inf
TALL = LOW @ np.eye(4) + np.outer(np.arange(5.0), np.arange(4.0) ** 2)  # of rank 3
SMALL = TURN @ np.diag([1e-6, 1e-6, 1e-6, 3.0]) @ TURN.T  # equal to the rounding of the largest
SINGULAR = TURN @ np.diag([4.0, 3.0, 1.5, 0.0]) @ TURN[::-1]


def nearly(vectors):
    """A function of the space of the first two, and of rounding of all of them."""
    first = vectors[:, :2]
    rounding = 1e-18 * np.sum(vectors * np.cos(np.arange(20.0)).reshape(5, 4))
    return np.sum(first @ first.T * np.arange(25.0).reshape(5, 5) ** 0.5) + rounding


VECTORS = [(projection, REPEATED), (projection, SMALL), (polar, TURN), (polar, np.eye(4)), (column_space, LOW),
           (row_space, LOW), (row_space, LOW.T[:, :4].copy()),
           (lambda a: nearly(np.linalg.svd(a, full_matrices=False)[0]), LOW),
           (lambda a: nearly(np.linalg.svd(a, full_matrices=False)[2].T), LOW.T.copy())]  # fmt: skip


# ---- the parts of the quotient ----
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "k"), [(2, 2), (3, 5), (5, 3)])
def test_what_is_rounding(dtype, n, k):
    """Ten units for each row or column of the longer side, of the largest value, and of the largest term."""
    unit = 10.0 * max(n, k) * float(np.finfo(dtype).eps)
    size, scale = (np.full((7, 1, 1), value, dtype) for value in (8.0, 0.25))
    edges = [dtype(8.0 * unit), -dtype(8.0 * unit), dtype(0.0)]
    beyond = [sign * np.nextafter(dtype(8.0 * unit), dtype(INF)) for sign in (1, -1)]
    for numerator, at_equal in (
        (dtype(0.25 * unit), 0.0),
        (np.nextafter(dtype(0.25 * unit), dtype(INF)), np.nan),
        (dtype(1.0), np.nan),
    ):
        for x in (np.full((7, n, k), sign * numerator) for sign in (1, -1)):
            gap = np.full((7, n, k), dtype(3.0))
            for edge in edges:
                gap[1, 0, 1] = edge
                expected = x / dtype(3.0)
                expected[1, 0, 1] = at_equal
                np.testing.assert_allclose(over(x, gap, size, scale), expected, rtol=1e-6)
                expected[1, 0, 1] = np.nan
                np.testing.assert_allclose(over(x, gap, size, scale, False), expected, rtol=1e-6)
            for gap[1, 0, 1] in beyond:
                for alone in (True, False):
                    np.testing.assert_allclose(over(x, gap, size, scale, alone), x / gap, rtol=1e-6)


def test_the_largest_of_each_matrix():
    stack = np.array([[[1.0, -3.0], [2.0, 0.0]], [[0.5, 0.0], [0.0, -0.25]]])
    np.testing.assert_array_equal(largest(stack), [[[3.0]], [[0.5]]])
    assert largest(np.zeros((0, 2, 2))).shape == (0, 1, 1)
    assert largest(np.zeros((2, 0, 3))) == 0.0


def test_differences_and_sums_of_pairs():
    w = np.array([[1.0, 4.0], [2.0, -3.0]])
    np.testing.assert_array_equal(differences(w), [[[INF, 3.0], [-3.0, INF]], [[INF, -5.0], [5.0, INF]]])
    np.testing.assert_array_equal(sums(w), [[[INF, 5.0], [5.0, INF]], [[INF, -1.0], [-1.0, INF]]])


# ---- scales ----
@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize(("function", "a"), [
    *[(np.linalg.eigh, a) for a in (REPEATED, SMALL, np.eye(3))], *[
        (lambda a: np.linalg.svd(a, full_matrices=False), a) for a in (TURN, LOW, LOW.T, np.eye(4)[:, :3], np.eye(3, 4))
    ]])  # fmt: skip
def test_a_matrix_that_is_scaled_keeps_its_vectors(function, a, factor):
    values, moves = tg.jvp(function, (a,), (factor * a,))
    for value, move in zip(values, moves, strict=True):
        expected = factor * value if value.ndim == 1 else np.zeros_like(value)
        np.testing.assert_allclose(move, expected, rtol=1e-9, atol=1e-11 * factor)


@pytest.mark.parametrize("factor", [1e-20, 1e20])
@pytest.mark.parametrize(("f", "a"), VECTORS)
def test_what_counts_as_equal_does_not_depend_on_scales(f, a, factor):
    """Neither on that of the function, nor on that of the matrix."""
    expected = tg.grad(f)(a)
    assert np.all(np.isfinite(expected))
    atol = 1e-9 * np.max(np.abs(expected))
    np.testing.assert_allclose(tg.grad(lambda a: factor * f(a))(a) / factor, expected, rtol=1e-6, atol=atol)
    np.testing.assert_allclose(tg.grad(f)(factor * a) * factor, expected, rtol=1e-6, atol=atol)


@pytest.mark.parametrize(("f", "a"), VECTORS)
def test_each_matrix_of_a_stack_has_its_own_scale(f, a):
    def total(stack):
        return sum(weight * f(part) for weight, part in zip((1.0, 1e-9, 1e9), stack, strict=True))

    def of_stack(stack):
        """The same, by one decomposition of all matrices."""
        shares = np.array([1.0, 1e-9, 1e9])
        return np.sum(shares * tg.vmap(f)(stack))

    stack = np.stack([a, 1e-9 * a, 1e9 * a])
    alone = tg.grad(total)(stack)
    together = tg.grad(of_stack)(stack)
    for found, expected in zip(together, alone, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9 * np.max(np.abs(expected)))


def test_tangents_of_a_stack_of_matrices_of_different_scales():
    near = TURN @ np.diag([1.0, 1.0 + 1e-6, 1.5, 3.0]) @ TURN.T
    stack, move = np.stack([near, 1e12 * REPEATED]), np.stack([symmetric(WEIGHTS), REPEATED])
    for function in (np.linalg.eigh, np.linalg.svd):
        together = tg.jvp(function, (stack,), (move,))[1]
        for i in range(2):
            for found, alone in zip(together, tg.jvp(function, (stack[i],), (move[i],))[1], strict=True):
                assert np.isfinite(alone).all()
                np.testing.assert_allclose(found[i], alone, rtol=1e-6, atol=1e-9 * np.max(np.abs(alone)))


# ---- vectors with values, and without ----
USES = {"u": lambda u, s, vh: np.sum(u[:, :2] @ u[:, :2].T * np.arange(u.shape[0] ** 2).reshape(len(u), -1) ** 0.5),
        "vh": lambda u, s, vh: np.sum(vh[:2].T @ vh[:2] * WEIGHTS),
        "s": lambda u, s, vh: np.sum(s[:2] ** 3)}  # fmt: skip


def used(*names):
    def f(a):
        parts = np.linalg.svd(a, full_matrices=False)
        return sum(USES[name](*parts) for name in names)

    return f


@pytest.mark.parametrize("names", [("u",), ("vh",), ("u", "vh"), ("s",), ("u", "s"), ("vh", "s"), ("u", "vh", "s")])
def test_vectors_at_equal_values_have_a_gradient_unless_values_are_used_too(names):
    """Two singular values are 0; two of the others are not."""
    if "s" in names and len(names) > 1:
        assert np.isnan(tg.grad(used(*names))(LOW)).any()
    else:
        assert_gradient(used(*names), LOW)
    assert_gradient(used(*names), SINGULAR)


@pytest.mark.parametrize("transposed", [False, True])
def test_directions_that_a_matrix_does_not_reach(transposed):
    """Those beside the rows or columns of a matrix that has one singular value 0."""

    def f(a, share=None):
        u, s, vh = np.linalg.svd(a, full_matrices=False)
        vectors = vh.T[:, :3] if transposed else u[:, :3]
        value = np.sum(vectors @ vectors.T * np.arange(25.0).reshape(5, 5) ** 0.5)
        return value if share is None else value + share * np.sum(s)

    a = TALL.T.copy() if transposed else TALL
    assert_gradient(f, a)
    assert np.isnan(tg.grad(lambda a: f(a, 0.5))(a)).any()
