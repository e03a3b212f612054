import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapegrad.errors import OptionError, ShapeError
from tapegrad.tasks import WittenBell, load_text

SIZE = 4
tokens = st.lists(st.integers(0, SIZE - 1), max_size=40).map(lambda t: np.array(t, np.int64))
orders = st.integers(0, 5)


def probability(training, context, symbol, order):
    """The recursion as the papers print it, counting substrings again for every question."""
    context = tuple(context)[max(len(context) - order, 0) :]
    p = 1 / SIZE
    for length in range(len(context) + 1):
        history = context[len(context) - length :]
        following = Counter(
            training[i] for i in range(length, len(training)) if tuple(training[i - length : i]) == history
        )
        if following:
            types, total = len(following), sum(following.values())
            p = (following[symbol] + types * p) / (total + types)
    return p


@given(tokens, tokens, orders)
def test_against_the_recursion_with_counts_of_substrings(training, text, order):
    model = WittenBell(training, SIZE, order)
    training, expected = training.tolist(), []
    for i, symbol in enumerate(text.tolist()):
        expected.append(-math.log2(probability(training, text[:i].tolist(), symbol, order)))
    np.testing.assert_allclose(model.bits(text), expected, rtol=1e-12)


@given(tokens, tokens, orders)
def test_distributions_sum_to_one_after_any_context(training, context, order):
    probs = WittenBell(training, SIZE, order).probabilities(context)
    assert probs.shape == (SIZE,)
    assert probs.min() > 0
    assert probs.sum() == pytest.approx(1, abs=1e-12)


@given(tokens, tokens, tokens, orders)
def test_bits_are_the_logarithms_of_the_probabilities(training, history, text, order):
    model = WittenBell(training, SIZE, order)
    stream = np.concatenate([history, text])
    expected = [-np.log2(model.probabilities(stream[:i])[stream[i]]) for i in range(len(history), len(stream))]
    np.testing.assert_allclose(model.bits(text, history), expected, rtol=1e-12)


def test_nothing_seen_is_uniform():
    np.testing.assert_allclose(WittenBell(np.zeros(0, int), SIZE, 3).probabilities(np.array([1, 2])), 1 / SIZE)


def test_the_reference_text():
    """The figures for Python 3.11's text are 3.34 and 2.03; other versions carry other texts."""
    text = load_text()
    losses = [
        WittenBell(text.training, len(text.vocabulary), order).bits(text.held_out, text.training).mean()
        for order in range(4)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[1] == pytest.approx(3.34, abs=0.15)
    assert losses[3] == pytest.approx(2.03, abs=0.2)


def test_codes_of_long_contexts_do_not_overflow():
    rng = np.random.default_rng(0)
    training = rng.integers(0, 100_000, 1000)
    model = WittenBell(training, 100_000, 30)
    assert model.bits(training).mean() < 2
    assert model.probabilities(training[:40]).sum() == pytest.approx(1)


def test_impossible_models():
    with pytest.raises(OptionError, match="order=-1 is below 0"):
        WittenBell(np.zeros(3, int), 2, -1)
    with pytest.raises(OptionError, match=r"tokens lie in \[0, 2\], outside \[0, 2\)"):
        WittenBell(np.array([0, 2]), 2, 1)
    with pytest.raises(ShapeError, match="expected one axis of integers"):
        WittenBell(np.zeros((2, 2), int), 2, 1)
    with pytest.raises(ShapeError, match="dtype float64"):
        WittenBell(np.zeros(3, int), 2, 1).bits(np.zeros(3))
