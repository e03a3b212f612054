"""The five patterns: one to one, one to many, many to one, many to many, many to fewer."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import (
    GRU,
    LSTM,
    Bidirectional,
    Elman,
    Linear,
    Pooling,
    Sequential,
    Subsampling,
)
from tapegrad.errors import OptionError, ShapeError
from tapegrad.testing import check_grads
from tests.cells.composition.plain import elman, gru, linear
from tests.cells.composition.properties import arguments

LENGTHS = np.array([5, 1, 0, 3])


def data(steps=5, rows=4, size=3, seed=0):
    return np.random.default_rng(seed).standard_normal((steps, rows, size))


# ---- many to one ----


@pytest.mark.parametrize(
    ("how", "plain"),
    [
        ("last", lambda x: x[-1]),
        ("mean", lambda x: x.mean(axis=0)),
        ("sum", lambda x: x.sum(axis=0)),
        ("max", lambda x: x.max(axis=0)),
    ],
)
def test_pooling_of_what_counts(how, plain):
    xs = data()
    state, ys = Pooling(3, how)({}, xs, lengths=LENGTHS)
    assert state is None
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(ys[0, row], plain(xs[:length, row]) if length else 0, rtol=1e-14)
    np.testing.assert_allclose(Pooling(3, how)({}, xs)[1][0], [plain(xs[:, row]) for row in range(4)], rtol=1e-14)


def test_the_last_step_of_a_sequence_that_is_read_backwards():
    xs = data()
    ys = Pooling(3)({}, xs, lengths=LENGTHS, reverse=True)[1]
    np.testing.assert_array_equal(ys[0], np.where(LENGTHS[:, None] > 0, xs[0], 0))


@pytest.mark.parametrize("how", ["last", "mean", "sum", "max"])
def test_pooling_of_numbers_below_zero(how):
    xs = -1 - np.abs(data())
    xs[np.arange(5)[:, None] >= LENGTHS] = np.nan
    ys, pull = tg.vjp(lambda xs: Pooling(3, how)({}, xs, lengths=LENGTHS)[1], xs)
    assert (ys[0, LENGTHS > 0] < 0).all()
    sums = pull(np.ones_like(ys))[0].sum(axis=0)
    expected = np.where(LENGTHS > 0, LENGTHS if how == "sum" else 1, 0)
    np.testing.assert_allclose(sums, np.broadcast_to(expected[:, None], sums.shape), rtol=1e-12)


def test_a_classifier_of_sequences():
    """Many to one in one model: the last output of each row goes into the readout."""
    model = Sequential((GRU(2, 4), Pooling(4), Linear(4, 3)))
    params, state, xs, _ = arguments(model, 1)
    lengths = np.array([7, 2, 4])
    ys = model(params, xs, state, lengths=lengths)[1]
    assert ys.shape == (1, 3, 3)
    for row, n in enumerate(lengths):
        h = state[0][row]
        for x in xs[:n, row]:
            h = gru(params["layer0"], h, x)
        np.testing.assert_allclose(ys[0, row], linear(params["layer2"], h), rtol=1e-12)


def test_the_last_states_of_both_directions():
    """What a reader of both directions ends with is its final states; "last" of a stack is that of its top."""
    model = Sequential((Bidirectional(GRU(2, 4), GRU(2, 3)), Pooling(7)))
    params, state, xs, _ = arguments(model, 2)
    lengths = np.array([7, 2, 4])
    (((f, _), _), ys) = model(params, xs, state, lengths=lengths)
    np.testing.assert_allclose(ys[0, :, :4], f, rtol=1e-12)


# ---- many to fewer ----


@pytest.mark.parametrize("steps", [0, 1, 4, 5, 6])
@pytest.mark.parametrize("factor", [1, 2, 3, 7])
@pytest.mark.parametrize("how", ["keep", "concatenate"])
def test_subsampling(steps, factor, how):
    layer, xs = Subsampling(3, factor, how), data(steps)
    lengths = np.minimum([steps, 1, 0, 3], steps)
    ys = layer({}, xs, lengths=lengths)[1]
    made = layer.output_lengths(lengths)
    assert ys.shape == (-(-steps // factor), 4, layer.output_size)
    for row, length in enumerate(lengths):
        for t in range(len(ys)):
            group = [xs[i, row] if i < length else np.zeros(3) for i in range(t * factor, (t + 1) * factor)]
            np.testing.assert_array_equal(ys[t, row], np.concatenate(group) if how == "concatenate" else group[0])
            assert (t < made[row]) == (t * factor < length)


def test_the_pyramid():
    """Chan et al. 2015: each layer reads two neighbours of the layer below side by side."""
    both = lambda m, n: Bidirectional(LSTM(m, n), LSTM(m, n))  # noqa: E731
    model = Sequential((both(2, 3), Subsampling(6, 2, "concatenate"), both(12, 3), Subsampling(6, 2, "concatenate"),
                        both(12, 3)))  # fmt: skip
    params, state, xs, _ = arguments(model, 3)
    lengths = np.array([7, 4, 1])
    ys = model(params, xs, state, lengths=lengths)[1]
    np.testing.assert_array_equal(model.output_lengths(lengths), [2, 1, 1])
    below = model.layers[0](params["layer0"], xs, state[0], lengths=lengths)[1]
    for number, n in ((2, np.array([4, 2, 1])), (4, np.array([2, 1, 1]))):
        padded = np.concatenate([below, np.zeros((len(below) % 2, *below.shape[1:]))])
        pairs = np.concatenate([padded[::2], padded[1::2]], axis=-1)
        below = model.layers[number](params[f"layer{number}"], pairs, state[number], lengths=n)[1]
    np.testing.assert_allclose(ys, below, rtol=1e-12)
    assert ys.shape == (2, 3, 6)
    check_grads(lambda p, x: np.sum(np.sin(model(p, x, state, lengths=lengths)[1])), (params, xs), order=1)


# ---- one to one, many to many ----


def test_one_to_one_is_a_feedforward_network():
    model = Sequential((Linear(2, 3), Linear(3, 2)))
    params, _, xs, _ = arguments(model, 4, steps=1)
    ys = model(params, xs)[1]
    np.testing.assert_allclose(ys[0], linear(params["layer1"], linear(params["layer0"], xs[0])), rtol=1e-12)


def test_many_to_many_aligned():
    model = Sequential((Elman(2, 3), Linear(3, 2)))
    params, state, xs, _ = arguments(model, 5)
    h = state[0]
    for x, y in zip(xs, model(params, xs, state)[1], strict=True):
        h = elman(params["layer0"], h, x)
        np.testing.assert_allclose(y, linear(params["layer1"], h), rtol=1e-12)


# ---- what is refused ----


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Pooling(3, "first"), "how='first', expected one of last"),
        (lambda: Pooling(0), "input_size=0"),
        (lambda: Subsampling(3, 0), "factor=0, expected an integer of at least 1"),
        (lambda: Subsampling(3, 2.0), "factor=2.0"),
        (lambda: Subsampling(3, how="mean"), "expected 'keep' or 'concatenate'"),
    ],
)
def test_options(make, words):
    with pytest.raises(OptionError, match=words):
        make()


@pytest.mark.parametrize("layer", [Pooling(3), Subsampling(3)], ids=repr)
def test_arguments(layer):
    with pytest.raises(ShapeError, match=r"xs is of shape \(5, 4, 2\), expected shape \(T, B, 3\)"):
        layer({}, data(size=2))
    with pytest.raises(ShapeError, match="from 0 to 5"):
        layer({}, data(), lengths=[6, 1, 1, 1])
    with pytest.raises(OptionError, match="reset= begins sequences"):
        layer({}, data(), reset=np.zeros((5, 4), bool))
