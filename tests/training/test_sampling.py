import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tapegrad.errors import NonFiniteError, OptionError, ShapeError
from tapegrad.training.sampling import probabilities, sample

logit_rows = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 3), st.integers(1, 9)), elements=st.integers(-6, 6).map(float)
)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@given(logit_rows, st.integers(0, 2**32))
def test_top_one_is_greedy(logits, seed):
    rng = np.random.default_rng(seed)
    greedy = logits.argmax(axis=-1)
    assert np.array_equal(sample(logits, rng, top_k=1), greedy)
    assert np.array_equal(sample(logits, rng, temperature=0), greedy)
    assert np.array_equal(sample(logits, rng, top_p=1e-12), greedy)


@given(logit_rows)
def test_no_filter_and_full_filters_are_the_softmax(logits):
    size = logits.shape[-1]
    np.testing.assert_allclose(probabilities(logits), softmax(logits), atol=1e-15)
    np.testing.assert_allclose(probabilities(logits, top_p=1.0), softmax(logits), atol=1e-15)
    np.testing.assert_allclose(probabilities(logits, top_k=size), softmax(logits), atol=1e-15)
    np.testing.assert_allclose(probabilities(logits, top_k=size + 5), softmax(logits), atol=1e-15)


@given(logit_rows, st.floats(0.1, 10))
def test_temperature_divides_the_logits(logits, temperature):
    np.testing.assert_allclose(
        probabilities(logits, temperature=temperature), softmax(logits / temperature), atol=1e-14
    )


@given(logit_rows, st.integers(1, 9))
def test_top_k_keeps_k_of_the_largest_and_their_proportions(logits, k):
    probs, full = probabilities(logits, top_k=k), softmax(logits)
    kept = probs > 0
    assert (kept.sum(axis=-1) == min(k, logits.shape[-1])).all()
    for p, f, keep in zip(probs, full, kept, strict=True):
        assert f[keep].min() >= f[~keep].max(initial=0.0)
        np.testing.assert_allclose(p[keep], f[keep] / f[keep].sum(), rtol=1e-12)


@given(logit_rows, st.floats(0.01, 0.99))
def test_nucleus_is_the_smallest_prefix_that_reaches_p(logits, top_p):
    probs, full = probabilities(logits, top_p=top_p), softmax(logits)
    for p, f in zip(probs, full, strict=True):
        kept = np.sort(f[p > 0])
        assert kept.sum() >= top_p - 1e-12
        assert kept[1:].sum() < top_p + 1e-12
        np.testing.assert_allclose(p[p > 0], f[p > 0] / f[p > 0].sum(), rtol=1e-12)


def test_the_crossing_element_is_kept():
    logits = np.log([0.5, 0.25, 0.125, 0.125])
    np.testing.assert_allclose(probabilities(logits, top_p=0.5), [1, 0, 0, 0])
    np.testing.assert_allclose(probabilities(logits, top_p=0.51), [2 / 3, 1 / 3, 0, 0])
    np.testing.assert_allclose(probabilities(logits, top_p=0.75), [2 / 3, 1 / 3, 0, 0])


def test_nucleus_works_on_what_temperature_and_top_k_left():
    logits = np.log([0.4, 0.3, 0.2, 0.1])
    np.testing.assert_allclose(probabilities(logits, top_k=2, top_p=0.57), [1, 0, 0, 0])
    np.testing.assert_allclose(probabilities(logits, top_k=2, top_p=0.58), [4 / 7, 3 / 7, 0, 0])
    np.testing.assert_allclose(probabilities(logits, temperature=0.5, top_p=0.5), [1, 0, 0, 0])


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.7}, {"top_k": 3}, {"top_p": 0.8}, {"temperature": 1.5, "top_k": 5, "top_p": 0.9}]
)
def test_samples_have_the_stated_distribution(options):
    """Pearson's chi-square, at a fixed seed; the bound is the 0.999 quantile for each number of degrees."""
    quantile = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47, 5: 20.52}
    logits, draws = np.log([0.3, 0.25, 0.2, 0.12, 0.08, 0.05]), 20_000
    probs = probabilities(logits, **options)
    drawn = sample(np.broadcast_to(logits, (draws, 6)), np.random.default_rng(7), **options)
    counts, possible = np.bincount(drawn, minlength=6), probs > 0
    assert counts[~possible].sum() == 0
    expected = draws * probs[possible]
    statistic = ((counts[possible] - expected) ** 2 / expected).sum()
    assert statistic < quantile[possible.sum() - 1]


def test_extreme_temperatures_do_not_overflow():
    logits = np.array([1e300, -1e300, 0.0])
    np.testing.assert_array_equal(probabilities(logits, temperature=1e-300), [1, 0, 0])
    np.testing.assert_allclose(probabilities([1.0, -np.inf, 3.0], temperature=np.inf), [0.5, 0, 0.5])


def test_minus_infinity_is_never_drawn():
    logits = np.array([-np.inf, 0.0, -np.inf, 0.0])
    drawn = sample(np.broadcast_to(logits, (500, 4)), np.random.default_rng(0))
    assert set(drawn.tolist()) == {1, 3}


def test_every_option_takes_the_same_random_numbers():
    logits = np.zeros((5, 3))
    after = []
    for options in ({}, {"temperature": 0}, {"top_k": 1}):
        rng = np.random.default_rng(3)
        sample(logits, rng, **options)
        after.append(rng.random())
    assert len(set(after)) == 1


def test_shapes_of_a_batch_and_of_one_row():
    rng = np.random.default_rng(0)
    assert sample(np.zeros((2, 3, 4)), rng).shape == (2, 3)
    assert sample(np.zeros(4, np.float32), rng).shape == ()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": -0.5}, "temperature=-0.5 is outside"),
        ({"temperature": float("nan")}, "temperature=nan is outside"),
        ({"top_k": 0}, "top_k=0 is below 1"),
        ({"top_p": 0.0}, r"top_p=0.0 is outside \(0, 1\]"),
        ({"top_p": 1.5}, r"top_p=1.5 is outside \(0, 1\]"),
        ({"top_p": float("nan")}, "top_p=nan"),
    ],
)
def test_impossible_options(options, words):
    with pytest.raises(OptionError, match=words):
        probabilities(np.zeros(3), **options)


@pytest.mark.parametrize("bad", [[0.0, np.nan], [np.inf, 0.0], [-np.inf, -np.inf]])
def test_logits_without_a_distribution(bad):
    with pytest.raises(NonFiniteError, match="NaN or infinity, or are all minus infinity"):
        probabilities(np.array(bad))


@pytest.mark.parametrize("shape", [(), (3, 0)])
def test_logits_without_a_last_axis(shape):
    with pytest.raises(ShapeError, match=r"expected \(\.\.\., V\)"):
        probabilities(np.zeros(shape))
