"""One to many: outputs that are fed back, teachers, samples."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import backends
from tapegrad.cells import (
    GRU,
    LSTM,
    Cell,
    Dropout,
    Feedback,
    Input,
    Linear,
    Parameter,
    Pooling,
    Sampled,
    Sequential,
    Stacked,
    State,
    greedy,
    lengths_until,
)
from tapegrad.cells.composition import one_hot
from tapegrad.errors import OptionError, ShapeError, StructureError
from tapegrad.testing import check_grads
from tests.cells.composition.plain import gru, linear
from tests.cells.composition.properties import arguments, assert_close

STEPS = 5


def decoder(**options):
    return Feedback(Stacked((GRU(3, 4), Linear(4, 3))), STEPS, **options)


def by_hand(params, h, u, feed, context=None, teacher=None, forced=None):
    """Outputs, inputs and the last state of the loop, in plain NumPy."""
    ys, us = [], []
    for t in range(STEPS):
        us.append(u)
        h = gru(params["layer0"], h, u if context is None else np.hstack([u, context]))
        ys.append(linear(params["layer1"], h))
        u = feed(ys[-1])
        if teacher is not None:
            u = np.where(forced[t][:, None], teacher[t], u)
    return np.stack(ys), np.stack(us), h


def largest(y):
    return np.eye(y.shape[-1])[y.argmax(-1)]


@pytest.mark.parametrize(("feed", "plain"), [(None, lambda y: y), (greedy, largest), (np.tanh, np.tanh)])
def test_what_comes_out_goes_in(feed, plain):
    layer = decoder(feed=feed)
    params, state, x, _ = arguments(layer, 1)
    ys, _, h = by_hand(params, state[0], x[0], plain)
    end, came = layer(params, x, state)
    np.testing.assert_allclose(came, ys, rtol=1e-11)
    np.testing.assert_allclose(end[0], h, rtol=1e-11)


def test_a_context_at_every_step():
    layer = Feedback(Stacked((GRU(3 + 2, 4), Linear(4, 3))), STEPS, every_step=True)
    assert layer.inputs() == Input((2,))
    params, state, x, _ = arguments(layer, 2)
    ys = by_hand(params, state[0], np.zeros((3, 3)), lambda y: y, context=x[0])[0]
    np.testing.assert_allclose(layer(params, x, state)[1], ys, rtol=1e-11)


@pytest.mark.parametrize("every_step", [False, True])
def test_a_teacher(every_step):
    layer = Feedback(Stacked((GRU(5 if every_step else 3, 4), Linear(4, 3))), STEPS, greedy, every_step)
    params, state, x, _ = arguments(layer, 3)
    rng = np.random.default_rng(4)
    teacher, forced = rng.standard_normal((STEPS, 3, 3)), rng.random((STEPS, 3)) < 0.5
    start, context = (np.zeros((3, 3)), x[0]) if every_step else (x[0], None)
    for mask in (np.ones((STEPS, 3), bool), forced, np.zeros((STEPS, 3), bool)):
        ys = by_hand(params, state[0], start, largest, context, teacher, mask)[0]
        np.testing.assert_allclose(layer(params, x, state, teacher=teacher, forced=mask)[1], ys, rtol=1e-11)
    all_of_it = by_hand(params, state[0], start, largest, context, teacher, np.ones((STEPS, 3), bool))[0]
    np.testing.assert_allclose(layer(params, x, state, teacher=teacher)[1], all_of_it, rtol=1e-11)
    column = layer(params, x, state, teacher=teacher, forced=forced[:, 0])[1]
    np.testing.assert_allclose(column[:, 0], layer(params, x, state, teacher=teacher, forced=forced)[1][:, 0])


def test_with_a_teacher_nothing_of_the_output_comes_back():
    """The teacher's loop is the cell's own, and its gradient by the first input ends where the state ends."""
    layer = decoder()
    params, state, x, _ = arguments(layer, 5)
    teacher = np.random.default_rng(0).standard_normal((STEPS, 3, 3))
    us = np.concatenate([x, teacher[:-1]])
    np.testing.assert_array_equal(layer(params, x, state, teacher=teacher)[1], layer.cell(params, us, state)[1])
    check_grads(lambda p, x, w: np.sum(np.sin(layer(p, x, state, teacher=w)[1])), (params, x, teacher), order=1)
    forced = np.arange(STEPS) % 2 == 0
    check_grads(
        lambda p, x, w: np.sum(np.sin(layer(p, x, state, teacher=w, forced=forced)[1])), (params, x, teacher), order=1
    )


def test_an_encoder_and_a_decoder():
    """Many to one to many: by a context, in one model; and by the state of the encoder."""
    model = Sequential(
        (GRU(2, 4), Pooling(4), Feedback(Stacked((GRU(3 + 4, 4), Linear(4, 3))), STEPS, every_step=True))
    )
    params, state, xs, _ = arguments(model, 6)
    lengths = np.array([7, 2, 0])
    _, ys = model(params, xs, state, lengths=lengths)
    assert ys.shape == (STEPS, 3, 3)
    assert not ys[:, 2].any()
    np.testing.assert_array_equal(model.output_lengths(lengths), [STEPS, STEPS, 0])
    for row, n in enumerate(lengths[:2]):
        h = state[0][row]
        for x in xs[:n, row]:
            h = gru(params["layer0"], h, x)
        own = by_hand(params["layer2"], state[2][0][row], np.zeros(3), lambda y: y, context=h)[0]
        np.testing.assert_allclose(ys[:, row], own, rtol=1e-11)
    encoder, both = LSTM(2, 4), Feedback(Stacked((LSTM(3, 4), Linear(4, 3))), STEPS)
    rng = np.random.default_rng(1)
    end, _ = encoder(encoder.init(rng, np.float64), xs, lengths=lengths)
    assert both(both.init(rng, np.float64), np.zeros((1, 3, 3)), (end, None))[1].shape == (STEPS, 3, 3)


# ---- samples ----


def test_samples_have_the_probabilities_of_their_logits():
    rng, logits = np.random.default_rng(7), np.array([[0.5, -1.0, 2.0, 0.0]])
    for temperature in (0.5, 1.0, 2.0):
        feed, n = Sampled(4, temperature), 200_000
        noise = feed.noise(rng, 1, n, np.float64)[0]
        drawn = feed(np.broadcast_to(logits, (n, 4)), noise)
        np.testing.assert_array_equal(drawn.sum(-1), 1)
        expected = np.exp(logits[0] / temperature) / np.exp(logits / temperature).sum()
        np.testing.assert_allclose(drawn.mean(axis=0), expected, atol=5 * np.sqrt(0.25 / n))


@pytest.mark.parametrize("gives_fed", [False, True])
def test_sampled_sequences(gives_fed):
    layer = decoder(feed=Sampled(3, 0.7), gives_fed=gives_fed)
    params, state, x, noise = arguments(layer, 8)
    assert noise[0] is None
    assert noise[1].shape == (STEPS, 3, 3)
    steps = iter(noise[1])
    ys, us, _ = by_hand(params, state[0], x[0], lambda y: largest(y / 0.7 + next(steps)))
    came = layer(params, (x, noise), state)[1]
    np.testing.assert_allclose(came[:-1] if gives_fed else came, us[1:] if gives_fed else ys, rtol=1e-11)
    still = layer.noise(np.random.default_rng(0), 1, 3, np.float64, training=False)
    expected = decoder(feed=greedy, gives_fed=gives_fed)(params, x, state)[1]
    np.testing.assert_allclose(layer(params, (x, still), state)[1], expected, rtol=1e-12)


def test_noise_of_the_cell():
    layer = Feedback(Stacked((GRU(3, 4), Dropout(4), Linear(4, 3))), STEPS)
    params, state, x, noise = arguments(layer, 9)
    assert noise[0][1].shape == (STEPS, 3, 4)
    h, u = state[0], x[0]
    for t, y in enumerate(layer(params, (x, noise), state)[1]):
        h = gru(params["layer0"], h, u)
        u = linear(params["layer2"], h * noise[0][1][t])
        np.testing.assert_allclose(y, u, rtol=1e-11)
    teacher = np.random.default_rng(0).standard_normal((STEPS, 3, 3))
    plain = layer(params, (x, noise), state, teacher=teacher)[1]
    forced = layer(params, (x, noise), state, teacher=teacher, forced=np.ones(STEPS, bool))[1]
    np.testing.assert_allclose(plain, forced, rtol=1e-12)


class Lookup(Cell):
    """Takes token numbers."""

    vocabulary: int
    hidden_size: int

    def parameters(self):
        return {
            "E": Parameter((self.vocabulary, self.hidden_size)),
            "V": Parameter((self.hidden_size, self.vocabulary)),
        }

    def state(self):
        return State((self.hidden_size,))

    def inputs(self):
        return Input((), dtype=np.int64)

    def step(self, params, state, x):
        h = np.tanh(params["E"][x] + state)
        return h, h @ params["V"]


def test_tokens():
    layer = Feedback(Lookup(4, 3), STEPS, lambda y: np.argmax(y, axis=-1), gives_fed=True)
    rng = np.random.default_rng(10)
    params, state = layer.init(rng, np.float64), rng.standard_normal((2, 3))
    tokens = layer(params, np.array([[1, 3]]), state)[1]
    assert (tokens.shape, tokens.dtype) == ((STEPS, 2), np.int64)
    h, u = state, np.array([1, 3])
    for token in tokens:
        h = np.tanh(params["E"][u] + h)
        u = (h @ params["V"]).argmax(-1)
        np.testing.assert_array_equal(token, u)
    sampled = Feedback(Lookup(4, 3), STEPS, Sampled(4, tokens=True), gives_fed=True)
    first = np.array([[1, 3]], np.int32)
    drawn = sampled(params, (first, sampled.noise(rng, 1, 2, np.float64)), state)[1]
    assert (drawn.shape, drawn.dtype) == ((STEPS, 2), np.int32)


def test_samples_are_drawn_in_a_compiled_loop():
    layer = decoder(feed=Sampled(3))
    params, state, x, noise = arguments(layer, 11)
    results = [layer(params, (x, noise), state, backend=name) for name in ("reference", "numba")]
    assert_close(*results, 1e-12)
    assert "argmax" in backends.source(lambda p, x, n: layer(p, (x, (None, n)), state)[1], params, x, noise[1])


def test_one_hot():
    np.testing.assert_array_equal(one_hot(np.array([[2, 0]]), 3, np.float32), [[[0, 0, 1], [1, 0, 0]]])
    assert one_hot(np.array([1]), 2, np.float32).dtype == np.float32


# ---- the end ----


def first_is_largest(u):
    return u[:, 0] == np.max(u, axis=-1)


def above(u):
    return u[:, 0] > 0.3


@pytest.mark.parametrize("gives_fed", [False, True])
@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_rows_stop_at_their_end(gives_fed, backend):
    """Each row is what it is with as many steps as it has."""
    layer = decoder(feed=np.tanh, gives_fed=gives_fed, stop=above)
    params, state, x, _ = arguments(layer, 18, batch=6)
    never = decoder(feed=np.tanh, gives_fed=True)(params, x, state)[1]
    lengths = lengths_until(never, above)
    np.testing.assert_array_equal(lengths, [next((t + 1 for t in range(STEPS) if u[t, 0] > 0.3), STEPS) for u in
                                            never.transpose(1, 0, 2)])  # fmt: skip
    assert len(set(lengths)) > 2
    end, ys = layer(params, x, state, backend=backend)
    for row, n in enumerate(lengths):
        own = Feedback(layer.cell, int(n), np.tanh, gives_fed=gives_fed)
        h, expected = own(params, x[:, [row]], (state[0][[row]], None))
        np.testing.assert_allclose(ys[:n, row], expected[:, 0], rtol=1e-11)
        np.testing.assert_array_equal(ys[n:, row], 0)
        np.testing.assert_allclose(end[0][row], h[0][0], rtol=1e-11)
    if gives_fed:
        np.testing.assert_array_equal(lengths_until(ys, above), lengths)
    assert not layer(params, x, state, lengths=[1, 0, 1, 1, 1, 1])[1][:, 1].any()


def test_the_gradient_of_rows_that_stop():
    layer = decoder(feed=np.tanh, stop=above)
    params, state, x, _ = arguments(layer, 18, batch=6)
    check_grads(lambda p, h, x: np.sum(np.sin(layer(p, x, (h, None))[1])), (params, state[0], x), order=1)


def test_a_row_stops_where_its_teacher_does():
    layer = decoder(feed=greedy, stop=first_is_largest)
    params, state, x, _ = arguments(layer, 13, batch=4)
    teacher = largest(np.random.default_rng(1).standard_normal((STEPS, 4, 3)))
    lengths = lengths_until(teacher, first_is_largest)
    assert len(set(lengths)) > 1
    end, ys = layer(params, x, state, teacher=teacher)
    plain = decoder(feed=greedy)(params, x, state, teacher=teacher)[1]
    valid = (np.arange(STEPS)[:, None] < lengths)[..., None]
    np.testing.assert_allclose(ys, np.where(valid, plain, 0), rtol=1e-12)
    every = np.ones(STEPS, bool)
    assert_close(layer(params, x, state, teacher=teacher, forced=every), (end, ys))
    traced = tg.vjp(lambda teacher: layer(params, x, state, teacher=teacher), teacher)[0]
    assert_close(traced, (end, ys))


def test_tokens_up_to_their_end():
    layer = Feedback(Lookup(4, 3), 9, lambda y: np.argmax(y, axis=-1), gives_fed=True, stop=lambda token: token == 2)
    params = layer.init(np.random.default_rng(3), np.float64)
    state = 3 * np.random.default_rng(4).standard_normal((8, 3))
    tokens = layer(params, np.ones((1, 8), np.int64), state)[1]
    lengths = lengths_until(tokens, layer.stop)
    assert 1 < len(set(lengths))
    for row, n in enumerate(lengths):
        assert (tokens[: n - 1, row] != 2).all()
        assert not tokens[n:, row].any()
        assert n == 9 or tokens[n - 1, row] == 2


# ---- what does not fit ----


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Feedback(GRU(3, 4), 5), ShapeError, "gives vectors of size 4 and takes vectors of size 3"),
        (lambda: Feedback(GRU(3, 4), 5, every_step=True), ShapeError, r"make it with input_size=4 \+ the size of x"),
        (lambda: Feedback(GRU(3, 3), 0), OptionError, "steps=0, expected an integer of at least 1"),
        (lambda: Feedback(Pooling(3), 5), OptionError, "cell=Pooling.*expected a cell"),
        (lambda: Feedback(GRU(3, 3), 5, 3), OptionError, "feed=3, expected a function"),
        (lambda: Feedback(GRU(3, 3), 5, stop=2), OptionError, "stop=2, expected .* lambda token: token == number"),
        (lambda: lengths_until(np.ones((2, 3)), lambda u: u), ShapeError, r"gave float64 of shape \(3,\), expected"),
        (lambda: lengths_until(np.ones((2, 3)), lambda u: True), ShapeError, r"gave bool of shape \(\), expected .*3,"),
        (lambda: Sampled(0), OptionError, "size=0"),
        (lambda: Sampled(3, 0), OptionError, "temperature=0, expected a number above 0"),
        (lambda: Sampled(3, "hot"), OptionError, "temperature='hot'"),
        (lambda: Sampled(3).noise(None, 4, 2), OptionError, r"rng=None, expected a Generator; write np\.random"),
    ],
)
def test_options(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_arguments_that_do_not_fit():
    layer = decoder()
    params, state, x, _ = arguments(layer)
    with pytest.raises(ShapeError, match=r"xs has 2 steps, expected 1; take one with xs\[:1\]"):
        layer(params, np.concatenate([x, x]), state)
    with pytest.raises(OptionError, match="reset= and reverse=True have no meaning"):
        layer(params, x, state, reverse=True)
    with pytest.raises(OptionError, match="give teacher= too"):
        layer(params, x, state, forced=np.ones(STEPS, bool))
    with pytest.raises(ShapeError, match=r"teacher has shape \(4, 3, 3\), expected \(5, 3, 3\)"):
        layer(params, x, state, teacher=np.zeros((4, 3, 3)))
    with pytest.raises(
        ShapeError, match=r"forced has shape \(4,\) and dtype bool, expected booleans \(5,\) or \(5, 3\)"
    ):
        layer(params, x, state, teacher=np.zeros((5, 3, 3)), forced=np.ones(4, bool))
    with pytest.raises(ShapeError, match=r"what is fed back has shape \(3, 2\), expected \(3, 3\)"):
        decoder(feed=lambda y: y[:, :2])(params, x, state)
    with pytest.raises(StructureError, match="what is fed back has another structure"):
        decoder(feed=lambda y: (y, y))(params, x, state)
