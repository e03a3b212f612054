"""Initialisers: their statistics, their shapes and dtypes, and what they refuse."""

import math

import numpy as np
import pytest

from tapegrad.cells import Parameter, initializers
from tapegrad.cells.initializers import BY_NAME, Constant, Identity, Normal, Orthogonal, Uniform, VarianceScaling
from tapegrad.errors import DtypeError, OptionError, ShapeError

IN, OUT = 300, 500
STD = {
    "lecun": math.sqrt(1 / IN),
    "he": math.sqrt(2 / IN),
    "glorot": math.sqrt(2 / (IN + OUT)),
}


@pytest.mark.parametrize("family", list(STD))
def test_uniform_scaling_fills_its_interval(family):
    limit = math.sqrt(3) * STD[family]
    values = BY_NAME[f"{family}_uniform"](np.random.default_rng(0), (IN, OUT), np.float64)
    assert 0.999 * limit < values.max() < limit
    assert -limit < values.min() < -0.999 * limit
    assert values.std() == pytest.approx(STD[family], rel=0.01)
    assert abs(values.mean()) < 4 * STD[family] / math.sqrt(values.size)


@pytest.mark.parametrize("family", list(STD))
def test_normal_scaling_is_normal(family):
    values = BY_NAME[f"{family}_normal"](np.random.default_rng(0), (IN, OUT), np.float64) / STD[family]
    assert values.std() == pytest.approx(1, rel=0.01)
    assert abs(values.mean()) < 4 / math.sqrt(values.size)
    for quantile, expected in ((0.8413447, 1.0), (0.9772499, 2.0), (0.9986501, 3.0)):
        assert np.quantile(values, quantile) == pytest.approx(expected, rel=0.02)


def test_glorot_limit_is_that_of_the_paper():
    values = initializers.glorot_uniform(np.random.default_rng(0), (2, 4), np.float64)
    assert np.abs(values).max() < math.sqrt(6 / (2 + 4))


def test_plain_uniform_and_normal():
    rng = np.random.default_rng(0)
    values = initializers.uniform(rng, (200, 200))
    assert (values.min(), values.max()) == pytest.approx((-0.1, 0.1), rel=0.01)
    assert initializers.normal(rng, (200, 200)).std() == pytest.approx(0.01, rel=0.02)
    assert Normal(std=2.0, mean=1.0)(rng, (40_000,)).mean() == pytest.approx(1.0, abs=0.04)
    assert Uniform(1.0, 3.0)(rng, (1000,)).min() >= 1.0


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (1, 5), (3, 0)])
def test_orthogonal_has_orthonormal_rows_or_columns(shape):
    w = Orthogonal(gain=2.0)(np.random.default_rng(0), shape, np.float64) / 2
    assert w.shape == shape
    short = w @ w.T if shape[0] <= shape[1] else w.T @ w
    if min(shape):
        np.testing.assert_allclose(short, np.eye(min(shape)), atol=1e-14)


def test_orthogonal_is_uniform_over_the_group():
    """The trace then has mean 0 and variance 1, which it has not when the signs of the QR factors are left alone."""
    rng = np.random.default_rng(0)
    traces = [np.trace(initializers.orthogonal(rng, (3, 3), np.float64)) for _ in range(4000)]
    assert abs(np.mean(traces)) < 4 / math.sqrt(4000)
    assert np.var(traces) == pytest.approx(1, rel=0.1)


def test_constants_and_identity():
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(initializers.zeros(rng, (2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(initializers.ones(rng, (3,)), np.ones(3))
    np.testing.assert_array_equal(Constant(-2.5)(rng, (2,)), [-2.5, -2.5])
    np.testing.assert_array_equal(initializers.identity(rng, (3, 3)), np.eye(3))
    np.testing.assert_array_equal(Identity(0.5)(rng, (2, 2)), 0.5 * np.eye(2))


@pytest.mark.parametrize("name", list(BY_NAME))
def test_one_seed_gives_the_same_values_in_every_dtype(name):
    wide, narrow = (BY_NAME[name](np.random.default_rng(3), (4, 4), dtype) for dtype in (np.float64, np.float32))
    assert (wide.dtype, narrow.dtype) == (np.float64, np.float32)
    np.testing.assert_array_equal(wide.astype(np.float32), narrow)


def test_equal_initialisers_are_equal_and_print_what_they_are():
    assert Normal(std=0.1) == Normal(std=0.1) != Normal(std=0.2)
    assert hash(VarianceScaling(2.0)) == hash(VarianceScaling(gain=2.0))
    assert repr(Normal(std=0.1)) == "Normal(std=0.1, mean=0.0)"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Parameter((2, 2), init="xavier"), OptionError, "expected one of the names zeros, ones, uniform"),
        (lambda: Parameter((2, 2), init="constant"), OptionError, r"initializers\.Constant\(value\)"),
        (lambda: Parameter((2, 2), init=None), OptionError, "a number, or a callable"),
        (lambda: Parameter((2, 2), init=True), OptionError, "a number, or a callable"),
        (lambda: Parameter((2, 2), init=Normal), OptionError, r"make an instance, such as Normal\(\)"),
        (lambda: Parameter(4), ShapeError, r"tuple of integers such as \(8, 32\)"),
        (lambda: Parameter((2.0, 2)), ShapeError, r"tuple of integers such as \(8, 32\)"),
        (lambda: Parameter((2, -1)), ShapeError, "lengths of 0 or more"),
        (lambda: Uniform(1.0, 0.0), OptionError, "exchange them"),
        (lambda: Normal(std=-1.0), OptionError, "give the standard deviation"),
        (lambda: VarianceScaling(gain=0.0), OptionError, "expected above 0"),
        (lambda: VarianceScaling(fan="avg"), OptionError, "expected 'in', 'mean' or 'out'"),
        (lambda: VarianceScaling(distribution="flat"), OptionError, "expected 'uniform' or 'normal'"),
        (lambda: initializers.glorot_uniform(np.random.default_rng(0), (3,)), ShapeError, "for a bias write init="),
        (lambda: initializers.he_normal(np.random.default_rng(0), (2, 3, 4)), ShapeError, "or a callable"),
        (lambda: initializers.identity(np.random.default_rng(0), (2, 3)), ShapeError, "'orthogonal' elsewhere"),
    ],
)
def test_wrong_options_are_refused_with_the_remedy(make, error, words):
    with pytest.raises(error, match=words) as caught:
        make()
    assert type(caught.value) is error


RNG = np.random.default_rng(0)


def test_a_callable_initialises():
    def ramp(rng, shape, dtype):
        return np.arange(shape[0], dtype=dtype)

    value = Parameter((4,), init=ramp).draw(RNG, np.dtype(np.float32), "b")
    np.testing.assert_array_equal(value, [0, 1, 2, 3])
    assert value.dtype == np.float32


def test_a_callable_that_keeps_its_array_is_copied():
    kept = np.ones(3)
    value = Parameter((3,), init=lambda rng, shape, dtype: kept).draw(RNG, np.dtype(np.float64), "b")
    value += 1
    np.testing.assert_array_equal(kept, [1, 1, 1])


@pytest.mark.parametrize(
    ("init", "error", "words"),
    [
        (lambda rng, shape, dtype: np.zeros(2), ShapeError, r"'W' *: .* gave shape \(2,\), expected \(2, 3\)"),
        (lambda rng, shape, dtype: 0.0, ShapeError, "of the shape that it is called with"),
        (lambda rng, shape, dtype: np.full(shape, "a"), DtypeError, "expected real numbers"),
        ("identity", ShapeError, "parameter 'W'.*not square"),
    ],
)
def test_what_an_initialiser_gives_is_checked(init, error, words):
    with pytest.raises(error, match=words):
        Parameter((2, 3), init=init).draw(RNG, np.dtype(np.float64), "W")
