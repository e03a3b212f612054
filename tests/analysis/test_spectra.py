"""Lyapunov exponents, singular values of long products, spectral radius, fixed points."""

import mpmath
import numpy as np
import pytest

from tapegrad import pytree
from tapegrad.analysis import (
    fixed_point,
    lyapunov_spectrum,
    products,
    singular_values,
    spectral_radius,
    step_jacobians,
    walking,
)
from tapegrad.cells import LSTM, Elman, variants
from tapegrad.errors import NonFiniteError, OptionError, ShapeError
from tests.analysis.problems import drawn, linear
from tests.cells.drawing import at

EVERY = pytest.mark.parametrize("variant", variants(), ids=str)


# ---- Lyapunov exponents ----
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_a_linear_network_has_the_logarithms_of_its_eigenvalues(seed, backend):
    rng = np.random.default_rng(seed)
    size = 5
    values = rng.permutation([1.6, -1.1, 0.8, -0.4, 0.1])
    basis = rng.standard_normal((size, size))
    W = basis @ np.diag(values) @ np.linalg.inv(basis)
    xs = 1e-3 * rng.standard_normal((1000, 2, size))
    found = lyapunov_spectrum(linear, W, xs, np.zeros((2, size)), warmup=300, backend=backend)
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(W))))[::-1]
    np.testing.assert_allclose(found, np.broadcast_to(expected, (2, size)), atol=1e-9)


@pytest.mark.parametrize("fault", ["0.1 % off", "a step counted twice", "the transition lost"])
def test_wrong_exponents_are_caught(fault):
    """The comparison with eigenvalues can fail."""
    W = np.array([[0.9, 0.5], [-0.1, 0.4]])
    jacobians = np.broadcast_to(W, (1000, 1, 2, 2))
    twice = jacobians.copy()
    twice[500] = W @ W
    lost = jacobians * np.eye(2)
    changed = {"0.1 % off": 1.001 * jacobians, "a step counted twice": twice, "the transition lost": lost}
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(W))))[::-1]
    np.testing.assert_allclose(lyapunov_spectrum(jacobians, warmup=100)[0], expected, atol=1e-9)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(lyapunov_spectrum(changed[fault], warmup=100)[0], expected, atol=1e-9)


def test_complex_eigenvalues_come_as_pairs():
    turn = 0.9 * np.array([[np.cos(1.0), -np.sin(1.0)], [np.sin(1.0), np.cos(1.0)]])
    stretch = np.array([[1.0, 0.7], [0.0, 1.0]])
    W = stretch @ turn @ np.linalg.inv(stretch)
    found = lyapunov_spectrum(linear, W, np.zeros((20000, 1, 2)), np.ones((1, 2)), warmup=100)
    np.testing.assert_allclose(found, np.log(0.9), atol=1e-4)


@EVERY
def test_the_sum_of_exponents_is_the_mean_log_determinant(variant):
    cell, params, xs, state = drawn(variant, steps=40)
    found = lyapunov_spectrum(cell, params, xs, state)
    with np.errstate(divide="ignore"):
        jacobians = step_jacobians(cell, params, xs, state)
        logs = np.linalg.slogdet(jacobians)[1]
    # Where a state is a function of other states both are zero up to rounding, and one of them may be so exactly.
    exact = np.stack([np.isneginf(found.sum(axis=-1)), np.isneginf(logs.mean(axis=0))])
    rounded = exact[0] != exact[1]
    assert (np.linalg.cond(jacobians[:, rounded]) > 1e14).any(axis=0).all()
    assert (np.where(exact[0], logs.mean(axis=0), found.sum(axis=-1))[rounded] < -20).all()
    found, logs, jacobians = found[~rounded], logs[:, ~rounded], jacobians[:, ~rounded]
    singular = np.isneginf(logs.mean(axis=0))
    condition = np.max(np.linalg.cond(jacobians[:, ~singular]), initial=1.0)  # by which a determinant is less exact
    np.testing.assert_array_equal(np.isneginf(found.sum(axis=-1)), singular)
    expected = logs.mean(axis=0)[~singular]
    np.testing.assert_allclose(found.sum(axis=-1)[~singular], expected, rtol=1e-11, atol=1e-16 * condition)


def test_exponents_of_henons_map():
    """Their sum is log b; the largest is 0.419 in nats (Sprott 2003, appendix A.2.1)."""

    def henon(params, state, x):
        a, b = params
        return np.stack([1 - a * state[0] ** 2 + state[1], b * state[0]]), None

    found = lyapunov_spectrum(henon, (1.4, 0.3), None, np.array([0.1, 0.1]), length=50000, rows=False, warmup=100,
                              backend="numba")  # fmt: skip
    assert found.sum() == pytest.approx(np.log(0.3), rel=1e-12)
    assert found[0, 0] == pytest.approx(0.419, abs=0.005)


def test_some_of_the_exponents():
    variant = next(v for v in variants() if str(v) == "LSTM")
    cell, params, xs, state = drawn(variant, steps=4000, batch=1)
    every = lyapunov_spectrum(cell, params, xs, state, warmup=500)
    np.testing.assert_allclose(lyapunov_spectrum(cell, params, xs, state, count=2, warmup=500), every[:, :2], atol=2e-3)
    running = lyapunov_spectrum(cell, params, xs, state, warmup=500, running=True)
    assert running.shape == (3500, *every.shape)
    np.testing.assert_allclose(-np.sort(-running[-1], axis=-1), every)


def test_a_diagonal_matrix_does_not_hide_its_largest_exponent():
    """A frame that starts with the first unit vectors would never leave them."""
    found = lyapunov_spectrum(linear, np.diag([0.1, 2.0]), np.zeros((300, 1, 2)), np.ones((1, 2)), count=1, warmup=50)
    np.testing.assert_allclose(found, np.log(2.0))


# ---- singular values ----
def exact(jacobians, digits=60):
    """The logarithms of the singular values of the product, in many digits."""
    with mpmath.workdps(digits):
        product = mpmath.eye(jacobians.shape[-1])
        for jacobian in jacobians:
            product = mpmath.matrix(jacobian.tolist()) * product
        values = mpmath.svd_r(product, compute_uv=False)
        return np.array(sorted((float(mpmath.log(v)) for v in values), reverse=True))


def random_matrices(kind, rng, steps, size):
    draw = rng.standard_normal((steps, 1, size, size))
    if kind == "gaussian":
        return draw
    if kind == "near one":
        return np.eye(size) + 0.02 * draw
    if kind == "graded":
        return np.diag(10.0 ** -np.arange(size)) @ (np.eye(size) + 0.1 * draw)
    if kind == "graded upwards":
        return np.diag(10.0 ** np.arange(size)) @ (np.eye(size) + 0.1 * draw)
    if kind == "orthogonal":
        return np.linalg.qr(draw)[0]
    if kind == "sheared":  # a product grows as t, not exponentially
        return np.broadcast_to(np.eye(size) + np.eye(size, k=1), draw.shape)
    raise AssertionError(kind)


KINDS = ["gaussian", "near one", "graded", "graded upwards", "orthogonal", "sheared"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("steps", [1, 7, 60])
def test_products_in_sixty_digits(kind, size, steps):
    jacobians = random_matrices(kind, np.random.default_rng(steps), steps, size)
    found = singular_values(jacobians)
    assert found.shape == (steps, 1, size)
    expected = exact(jacobians[:, 0], 700)
    np.testing.assert_allclose(found[-1, 0], expected, atol=1e-11, rtol=1e-12)


def naive(jacobians):
    product = np.eye(jacobians.shape[-1])
    for jacobian in jacobians[:, 0]:
        product = jacobian @ product
    with np.errstate(divide="ignore"):
        return np.log(np.linalg.svd(product, compute_uv=False))


def test_the_product_itself_would_not_do():
    """So the comparison above is one that a plain product fails, by rounding alone."""
    jacobians = random_matrices("gaussian", np.random.default_rng(0), 60, 5)
    assert np.max(np.abs(naive(jacobians) - exact(jacobians[:, 0], 700))) > 1


@pytest.mark.parametrize("fault", ["transposed", "0.1 % off", "one step lost"])
def test_planted_faults_are_caught(fault):
    jacobians = random_matrices("gaussian", np.random.default_rng(0), 20, 4)
    changed = {"transposed": np.swapaxes(jacobians, -1, -2), "0.1 % off": 1.001 * jacobians,
               "one step lost": jacobians[1:]}[fault]  # fmt: skip
    assert np.max(np.abs(singular_values(changed)[-1, 0] - exact(jacobians[:, 0], 300))) > 1e-3


@EVERY
def test_every_cell_early_in_time(variant):
    """After a few steps a plain product is still good."""
    cell, params, xs, state = drawn(variant)
    jacobians = step_jacobians(cell, params, xs, state)
    found = singular_values(cell, params, xs, state)
    product = np.broadcast_to(np.eye(jacobians.shape[-1]), jacobians[0].shape)
    for t, jacobian in enumerate(jacobians):
        product = jacobian @ product
        expected = np.linalg.svd(product, compute_uv=False)
        np.testing.assert_allclose(np.exp(found[t]), expected, rtol=1e-9, atol=1e-13 * np.max(expected))


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_ten_thousand_steps_neither_overflow_nor_underflow(scale):
    rng = np.random.default_rng(0)
    W = scale * np.array([[0.9, 0.3, 0.0], [-0.2, 0.7, 0.1], [0.0, 0.4, 0.2]])
    steps = 10_000
    found = singular_values(linear, W, 0 * rng.standard_normal((steps, 1, 3)), np.zeros((1, 3)), every=1000)
    assert found.shape == (10, 1, 3)
    assert np.all(np.isfinite(found))
    rates = np.log(np.sort(np.abs(np.linalg.eigvals(W)))[::-1])
    np.testing.assert_allclose(found[-1, 0] / steps, rates, atol=1e-3)
    # The product of the singular values is that of the determinants, exactly.
    assert found[-1].sum() == pytest.approx(steps * np.log(abs(np.linalg.det(W))), rel=1e-10)


def test_ten_thousand_steps_of_an_lstm():
    cell = LSTM(3, 4)
    rng = np.random.default_rng(0)
    params, xs = cell.init(rng), rng.standard_normal((10_000, 1, 3)).astype(np.float32)
    found = singular_values(cell, params, xs, every=2500, backend="numba")
    assert np.all(np.isfinite(found))
    assert found[-1].min() < -1e4  # far below what a float holds
    jacobians = step_jacobians(cell, params, xs, backend="numba").astype(float)
    logs = np.cumsum(np.linalg.slogdet(jacobians)[1], axis=0)[2499::2500]
    np.testing.assert_allclose(found.sum(axis=-1), logs, rtol=1e-6)
    exponents = lyapunov_spectrum(cell, params, xs, backend="numba")
    np.testing.assert_allclose(found[-1] / 10_000, exponents, atol=2e-3)


def test_a_lost_direction():
    jacobians = random_matrices("gaussian", np.random.default_rng(1), 30, 4)
    jacobians[10, 0, :, 2] = jacobians[10, 0, 2] = 0
    found = singular_values(jacobians)
    assert np.all(np.isfinite(found[:10]))
    assert np.all(np.isneginf(found[10:, 0, 3]))
    np.testing.assert_allclose(found[-1, 0, :3], exact(jacobians[:, 0], 400)[:3], atol=1e-11)
    assert np.all(np.isneginf(singular_values(0 * jacobians)))


def test_every_few_steps():
    jacobians = random_matrices("gaussian", np.random.default_rng(2), 10, 3)
    whole = singular_values(jacobians)
    np.testing.assert_allclose(singular_values(jacobians, every=4), whole[[3, 7, 9]])
    np.testing.assert_allclose(singular_values(jacobians, every=20), whole[[9]])
    assert singular_values(jacobians[:0]).shape == (0, 1, 3)


@pytest.mark.parametrize("measure", [singular_values, lyapunov_spectrum])
def test_a_cell_and_its_jacobians_give_the_same(measure, monkeypatch):
    variant = next(v for v in variants() if str(v) == "LSTM")
    cell, params, xs, state = drawn(variant, steps=12)
    jacobians = step_jacobians(cell, params, xs, state)
    monkeypatch.setattr(walking, "CHUNK_BYTES", 5 * jacobians[0].nbytes)
    np.testing.assert_array_equal(measure(cell, params, xs, state), measure(jacobians))


def test_all_pairs_are_rotated():
    for size in range(1, 9):
        pairs = [tuple(sorted(pair)) for group in products._rounds(size) for pair in group.T.tolist()]
        assert sorted(pairs) == [(i, j) for i in range(size) for j in range(i + 1, size)]
        assert all(len(set(group.ravel().tolist())) == group.size for group in products._rounds(size))


# ---- spectral radius, fixed points ----
def test_the_spectral_radius_is_not_the_largest_singular_value():
    W = np.array([[0.5, 100.0], [0.0, -0.8]])
    assert spectral_radius(W) == pytest.approx(0.8)
    assert spectral_radius(np.stack([W, 2 * W])).tolist() == pytest.approx([0.8, 1.6])
    assert spectral_radius(np.array([[0, 1], [1, 0]], np.float32)) == pytest.approx(1.0)


@EVERY
def test_fixed_points(variant):
    cell, params, xs, state = drawn(variant)
    params = pytree.map(lambda p: 0.5 * p, params)
    jacobians = step_jacobians(cell, params, at(xs, np.s_[:1]), state)[0]
    if (jacobians == np.eye(jacobians.shape[-1])).all():  # the step adds to the state, and nothing stays
        with pytest.raises(NonFiniteError, match="no state that stays was found"):
            fixed_point(cell, params, at(xs, 0), state)
        return
    try:
        found = fixed_point(cell, params, at(xs, 0), state)
    except NonFiniteError:  # Newton's method may begin too far away, or nothing stays: then the cell does not settle
        for _ in range(1000):
            before, state = state, cell.step(params, state, at(xs, 0))[0]
        if max(float(np.max(np.abs(a - b))) for a, b in zip(*map(pytree.leaves, (before, state)), strict=True)) > 1e-6:
            return
        found = fixed_point(cell, params, at(xs, 0), state)
    after = cell.step(params, found, at(xs, 0))[0]
    for a, b in zip(pytree.leaves(found), pytree.leaves(after), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_a_fixed_point_that_is_not_stable():
    """h = tanh(3 h) has 0, where the slope is 3, and two stable ones."""
    step = lambda p, s, x: (np.tanh(p * s), s)  # noqa: E731
    at_zero = fixed_point(step, 3.0, None, np.array([[0.1]]))
    assert abs(at_zero[0, 0]) < 1e-9
    slope = step_jacobians(step, 3.0, None, at_zero, length=1)[0, 0]
    assert spectral_radius(slope) == pytest.approx(3.0)
    away = fixed_point(step, 3.0, None, np.array([[1.0]]))
    assert away[0, 0] == pytest.approx(float(mpmath.findroot(lambda h: h - mpmath.tanh(3 * h), 1)), abs=1e-9)
    assert spectral_radius(step_jacobians(step, 3.0, None, away, length=1)) < 1


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: fixed_point(lambda p, s, x: (s + 1.0, s), None, None, np.zeros((1, 1))), NonFiniteError, "Begin else"),
        (lambda: spectral_radius(np.ones((2, 3))), ShapeError, r"expected \(\.\.\., S, S\)"),
        (lambda: singular_values(np.ones((2, 1, 3, 3)), every=0), OptionError, "from 1"),
        (lambda: lyapunov_spectrum(np.ones((2, 1, 3, 3)), count=4), OptionError, "from 1 to 3"),
        (lambda: lyapunov_spectrum(np.ones((2, 1, 3, 3)), warmup=2), OptionError, "from 0 to 1"),
        (lambda: lyapunov_spectrum(np.ones((0, 1, 3, 3))), ShapeError, "at least one step"),
        (lambda: lyapunov_spectrum(Elman(2, 3), {}, np.zeros((3, 1, 2))), ValueError, "parameters are missing"),
    ],
)
def test_refusals_say_what_to_do(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_state_that_grows_hides_no_other():
    """Where one row has gone far away, the other must still stay by its own measure."""
    step = lambda p, s, x: (np.where(s > 1e6, s + 1e-3, np.cos(s)), s)  # noqa: E731
    found = fixed_point(step, None, None, np.array([[1e15], [1.0]]))
    np.testing.assert_allclose(found[1], np.cos(found[1]), rtol=1e-9)
