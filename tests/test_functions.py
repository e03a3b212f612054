"""Activations, softmax and losses against high precision, at the ends of the range, and with wrong arguments."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapegrad import functions as F
from tapegrad.errors import DtypeError, OptionError, ShapeError

WIDE = np.longdouble
INF = np.inf
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def logits_and_labels(seed=0, shape=(3, 2), classes=4, scale=3.0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return (scale * rng.standard_normal((*shape, classes))).astype(dtype), rng.integers(0, classes, shape)


# ---- activations ----


@DTYPES
def test_sigmoid_is_exact_to_a_few_units_in_the_last_place(dtype):
    x = np.linspace(-80, 80, 4001, dtype=dtype)
    exact = 1 / (1 + np.exp(-x.astype(WIDE)))
    assert np.max(np.abs(F.sigmoid(x) - exact) / exact) < 4 * np.finfo(dtype).eps


@DTYPES
def test_sigmoid_at_the_ends(dtype):
    x = np.array([-INF, -1e4, 0, 1e4, INF, np.nan], dtype)
    np.testing.assert_array_equal(F.sigmoid(x), np.array([0, 0, 0.5, 1, 1, np.nan], dtype))


@DTYPES
def test_softplus_at_the_ends(dtype):
    x = np.array([-INF, -1e4, 0, 1e4, INF], dtype)
    np.testing.assert_array_equal(F.softplus(x), np.array([0, 0, math.log(2), 1e4, INF], dtype))
    assert F.softplus(np.array(-30, dtype)) == pytest.approx(math.exp(-30), rel=1e-6)


def test_relu_lets_nan_through():
    np.testing.assert_array_equal(F.relu(np.array([-INF, -1, 0, 2, INF, np.nan])), [0, 0, 0, 2, INF, np.nan])


# ---- softmax and logsumexp ----


@pytest.mark.parametrize("axis", [-1, 0, 1, (0, 2), None])
def test_softmax_and_its_logarithm_sum_to_one(axis):
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    p, log_p = F.softmax(x, axis=axis), F.log_softmax(x, axis=axis)
    np.testing.assert_allclose(p.sum(axis=axis), 1, rtol=1e-14)
    np.testing.assert_allclose(np.exp(log_p), p, rtol=1e-13)


def test_softmax_by_hand():
    x = np.log(np.array([[1.0, 2.0, 5.0], [3.0, 3.0, 2.0]]))
    np.testing.assert_allclose(F.softmax(x), [[0.125, 0.25, 0.625], [0.375, 0.375, 0.25]], rtol=1e-14)


@DTYPES
@pytest.mark.parametrize("offset", [0, 1e4, -1e4])
def test_softmax_does_not_overflow(dtype, offset):
    x = np.array([0, 1, -INF, 2], dtype) + dtype(offset)
    exact = np.array([1, math.e, 0, math.e**2]) / (1 + math.e + math.e**2)
    np.testing.assert_allclose(F.softmax(x), exact, rtol=8 * np.finfo(dtype).eps)
    assert F.log_softmax(x)[2] == -INF


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_logsumexp_along_axes(axis, keepdims):
    x = np.random.default_rng(1).standard_normal((3, 4)) * 50
    exact = np.log(np.sum(np.exp(x.astype(WIDE)), axis=axis, keepdims=keepdims))
    result = F.logsumexp(x, axis=axis, keepdims=keepdims)
    assert result.shape == exact.shape
    np.testing.assert_allclose(result, exact.astype(float), rtol=1e-14)


@DTYPES
@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([-INF, -INF], -INF),
        ([INF, 3.0], INF),
        ([1e4, INF], INF),
        ([-INF, 7.0], 7.0),
        ([1e4, -1e4], 1e4),
        ([np.nan, 1.0], np.nan),
    ],
)
def test_logsumexp_at_infinity(dtype, x, expected):
    np.testing.assert_array_equal(F.logsumexp(np.array([x, x], dtype), axis=1), np.array([expected] * 2, dtype))


# ---- losses: values ----


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(0, 4), st.booleans())
def test_softmax_cross_entropy_is_the_mean_negative_log_likelihood(seed, classes, count, one_hot):
    logits, labels = logits_and_labels(seed, (count, 2), classes)
    total = 0.0
    for row, label in zip(logits.reshape(-1, classes), labels.reshape(-1), strict=True):
        total -= math.log(math.exp(row[label]) / sum(math.exp(value) for value in row))
    given_labels = np.eye(classes)[labels] if one_hot else labels
    np.testing.assert_allclose(
        F.softmax_cross_entropy(logits, given_labels), total / max(1, 2 * count), rtol=1e-12, atol=1e-14
    )
    np.testing.assert_allclose(
        F.softmax_cross_entropy(logits, given_labels, reduction="sum"), total, rtol=1e-12, atol=1e-14
    )
    assert F.softmax_cross_entropy(logits, given_labels, reduction="none").shape == (count, 2)


def test_softmax_cross_entropy_of_a_single_vector():
    assert F.softmax_cross_entropy(np.zeros(4), 2) == pytest.approx(math.log(4), rel=1e-15)


def test_softmax_cross_entropy_of_soft_labels_is_at_least_their_entropy():
    p = np.array([[0.2, 0.3, 0.5]])
    entropy = -np.sum(p * np.log(p))
    assert F.softmax_cross_entropy(np.log(p), p) == pytest.approx(entropy, rel=1e-14)
    assert F.softmax_cross_entropy(np.log(p) + [[0.1, 0, 0]], p) > entropy


@DTYPES
@pytest.mark.parametrize("one_hot", [False, True])
def test_softmax_cross_entropy_of_large_and_infinite_logits(dtype, one_hot):
    logits = np.array([[1e4, -1e4], [1e4, -1e4], [0, -INF], [0, -INF]], dtype)
    labels = np.array([0, 1, 0, 1])
    losses = F.softmax_cross_entropy(logits, np.eye(2)[labels] if one_hot else labels, reduction="none")
    np.testing.assert_array_equal(losses, np.array([0, 2e4, 0, INF], dtype))


@given(st.integers(0, 2**32), st.sampled_from([np.float32, np.float64]))
def test_binary_cross_entropy_against_wide_floats(seed, dtype):
    rng = np.random.default_rng(seed)
    logits, targets = (30 * rng.standard_normal((4, 3))).astype(dtype), rng.random((4, 3)).astype(dtype)
    targets[0] = rng.integers(0, 2, 3)
    missed, false_alarm = (np.log1p(np.exp(sign * logits.astype(WIDE))) for sign in (-1, 1))
    exact = targets * missed + (1 - targets.astype(WIDE)) * false_alarm
    losses = F.binary_cross_entropy(logits, targets, reduction="none")
    assert losses.dtype == dtype
    limits = np.finfo(dtype)
    assert (np.abs(losses - exact) < 16 * limits.eps * exact + limits.tiny).all()  # below tiny, numbers lose digits


@DTYPES
def test_binary_cross_entropy_of_large_and_infinite_logits(dtype):
    logits = np.array([1e4, 1e4, -1e4, -1e4, INF, INF, -INF, -INF], dtype)
    losses = F.binary_cross_entropy(logits, [1, 0, 1, 0, 1, 0, 1, 0], reduction="none")
    np.testing.assert_array_equal(losses, np.array([0, 1e4, 1e4, 0, 0, INF, INF, 0], dtype))


def test_binary_cross_entropy_keeps_the_small_losses_of_right_answers():
    """x - t x + log(1 + exp(-x)) would round this to 0 in float32."""
    loss = F.binary_cross_entropy(np.float32([30]), [1])
    assert loss == pytest.approx(math.exp(-30), rel=1e-6)


def test_mse_by_hand():
    predictions, targets = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 0.0], [0.0, 4.0]])
    assert F.mse(predictions, targets) == 13 / 4
    assert F.mse(predictions, targets, reduction="sum") == 13
    np.testing.assert_array_equal(F.mse(predictions, targets, reduction="none"), [[0, 4], [9, 0]])


# ---- losses: masks, dtypes, nothing at all ----


def test_masked_labels_do_not_count_whatever_they_hold():
    logits, labels = logits_and_labels(5, (4, 3), 5)
    mask = np.arange(4)[:, None] < np.array([4, 2, 0])
    alone = F.softmax_cross_entropy(logits[mask], labels[mask])
    logits[~mask], labels[~mask] = np.nan, 99
    assert F.softmax_cross_entropy(logits, labels, mask=mask) == pytest.approx(alone, rel=1e-14)
    one_hot = np.full((4, 3, 5), np.nan)
    one_hot[mask] = np.eye(5)[labels[mask]]
    assert F.softmax_cross_entropy(logits, one_hot, mask=mask) == pytest.approx(alone, rel=1e-14)
    assert F.softmax_cross_entropy(logits, labels, mask=mask, reduction="none")[~mask].tolist() == [0] * 6


@pytest.mark.parametrize("loss", [F.binary_cross_entropy, F.mse])
@pytest.mark.parametrize("axes", [2, 3])
def test_a_mask_may_lack_trailing_axes(loss, axes):
    rng = np.random.default_rng(6)
    predictions, targets = rng.standard_normal((4, 3, 2)), rng.random((4, 3, 2))
    mask = rng.random((4, 3, 2)[:axes]) < 0.5
    alone = loss(predictions[mask], targets[mask])
    predictions[~mask], targets[~mask] = np.nan, np.nan
    assert loss(predictions, targets, mask=mask) == pytest.approx(alone, rel=1e-14)


@DTYPES
def test_losses_keep_the_dtype_of_their_first_argument(dtype):
    logits, labels = logits_and_labels(dtype=dtype)
    wide = np.eye(4)[labels]
    mask = np.ones((3, 2), bool)
    for reduction in ("mean", "sum", "none"):
        for options in ({"reduction": reduction}, {"reduction": reduction, "mask": mask}):
            assert F.softmax_cross_entropy(logits, labels, **options).dtype == dtype
            assert F.softmax_cross_entropy(logits, wide, **options).dtype == dtype
            assert F.binary_cross_entropy(logits, wide, **options).dtype == dtype
            assert F.binary_cross_entropy(logits, wide.astype(bool), **options).dtype == dtype
            assert F.mse(logits, wide, **options).dtype == dtype
    for function in (F.sigmoid, F.relu, F.softplus, F.softmax, F.log_softmax, F.logsumexp):
        assert function(logits).dtype == dtype


@pytest.mark.parametrize("shape", [(0, 3), (4, 0)])
def test_the_mean_over_nothing_is_zero(shape):
    logits = np.zeros((*shape, 5))
    assert F.softmax_cross_entropy(logits, np.zeros(shape, int)) == 0
    assert F.softmax_cross_entropy(logits, np.zeros((*shape, 5))) == 0
    assert F.binary_cross_entropy(logits, logits) == 0
    assert F.mse(logits, logits) == 0
    assert F.softmax(logits).shape == F.log_softmax(logits).shape == logits.shape
    assert F.mse(np.ones(3), np.zeros(3), mask=np.zeros(3, bool)) == 0


def test_arguments_are_left_as_they_were():
    logits, labels = logits_and_labels(7)
    mask = np.ones((3, 2), bool)
    for array in (logits, labels, mask):
        array.setflags(write=False)
    F.softmax_cross_entropy(logits, labels, mask=mask)
    F.binary_cross_entropy(logits, logits > 0, mask=mask)
    F.mse(logits, logits, mask=mask)


# ---- wrong arguments ----

Z = np.zeros((3, 2, 4))
LABELS = np.zeros((3, 2), int)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: F.softmax_cross_entropy(Z, np.zeros((2, 3), int)), ShapeError, "expected integer labels of shape"),
        (lambda: F.softmax_cross_entropy(Z, LABELS[..., None]), ShapeError, r"integer labels of shape \(3, 2\)"),
        (lambda: F.softmax_cross_entropy(Z, np.zeros((3, 2))), DtypeError, r"labels\.astype\(np\.int64\)"),
        (lambda: F.softmax_cross_entropy(Z, np.zeros((3, 2), bool)), DtypeError, r"labels\.astype\(np\.int64\)"),
        (lambda: F.softmax_cross_entropy(Z, LABELS + 4), OptionError, "run from 4 to 4, expected 0 to 3"),
        (lambda: F.softmax_cross_entropy(Z, LABELS - 1), OptionError, r"leave padding out with mask="),
        (lambda: F.softmax_cross_entropy(Z, Z), OptionError, "sums to 0, or is negative"),
        (lambda: F.softmax_cross_entropy(Z, Z + 0.5), OptionError, "probabilities that sum to 1"),
        (lambda: F.softmax_cross_entropy(Z, Z + np.nan), OptionError, "probabilities that sum to 1"),
        (lambda: F.softmax_cross_entropy(Z, Z + [1, 1, 0, -1]), OptionError, "negative somewhere"),
        (lambda: F.softmax_cross_entropy(LABELS, LABELS[0]), DtypeError, r"logits\.astype\(np\.float32\)"),
        (lambda: F.softmax_cross_entropy(1.0, 0), ShapeError, "one logit for each of K classes"),
        (lambda: F.softmax_cross_entropy(Z, LABELS, "average"), OptionError, "expected 'mean', 'sum' or 'none'"),
        (lambda: F.softmax_cross_entropy(Z, LABELS, mask=LABELS), DtypeError, r"mask\.astype\(bool\)"),
        (lambda: F.softmax_cross_entropy(Z, LABELS, mask=Z == 0), ShapeError, r"np\.arange\(T\)\[:, None\] < lengths"),
        (lambda: F.softmax_cross_entropy(Z, LABELS, mask=[True] * 3), ShapeError, r"expected \(3, 2\);"),
        (lambda: F.binary_cross_entropy(Z, Z[..., 0]), ShapeError, r"targets\[\.\.\., None\]"),
        (lambda: F.binary_cross_entropy(Z, Z - 1), OptionError, r"\(targets \+ 1\) / 2"),
        (lambda: F.binary_cross_entropy(Z, Z + np.nan), OptionError, "expected 0 to 1"),
        (lambda: F.binary_cross_entropy(Z == 0, Z), DtypeError, r"logits\.astype\(np\.float32\)"),
        (lambda: F.mse(Z, Z[..., :1]), ShapeError, "add or drop an axis"),
        (lambda: F.mse(LABELS, LABELS), DtypeError, r"predictions\.astype\(np\.float32\)"),
        (lambda: F.mse(Z, Z + 1j), DtypeError, "expected real numbers"),
        (lambda: F.mse(Z, Z, mask=np.ones((2, 4), bool)), ShapeError, "or its leading axes"),
        (lambda: F.mse(Z, Z, reduction=None), OptionError, "expected 'mean', 'sum' or 'none'"),
    ],
)
def test_wrong_arguments_are_refused_with_the_remedy(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert type(caught.value) is error
