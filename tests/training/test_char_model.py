import dataclasses
import math
import os
import sys

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import LSTM, Additive, Cell, Elman, Input, Parameter, Stacked, State, cells
from tapegrad.errors import NonFiniteError, OptionError
from tapegrad.tasks import Streams
from tapegrad.training import Adam, fit
from tapegrad.training.char_model import CharModel

V = 5


def takes_text(cls):
    """Whether these sizes make the cell, and it reads vectors without more beside them."""
    needed = {name for name, field in cls.__dataclass_fields__.items() if field.default is dataclasses.MISSING}
    return needed == {"input_size", "hidden_size"} and cls(2, 3).inputs() == Input((2,))


SIZED = [cls for cls in cells() if takes_text(cls)]


class Copy(Cell):
    """Has no memory: its output is its input."""

    input_size: int

    def parameters(self):
        return {"one": Parameter((1,), init="ones")}

    def state(self):
        return State((1,))

    def step(self, params, state, x):
        return state, x * params["one"]


def random_model(cls=LSTM, dtype=np.float64, layers=2, seed=0):
    model = CharModel(V, 3, Stacked((cls(3, 4), *(cls(4, 4) for _ in range(layers - 1)))), 4)
    params = model.init(np.random.default_rng(seed), dtype)
    return model, tg.tree_map(lambda p: (3 * p).astype(dtype), params)


def surprise(logits, symbol):
    return (np.log(np.exp(logits).sum()) - logits[symbol]) / math.log(2)


@pytest.mark.parametrize("cls", SIZED, ids=lambda cls: cls.__name__)
def test_looking_up_before_the_loop_is_the_step_by_step_model(cls):
    model, params = random_model(cls)
    symbols = np.random.default_rng(1).integers(0, V, (6, 2))
    state, logits = model.logits(params, model.initial_state(2, np.float64), symbols)
    state_too, logits_too = model(params, symbols)
    assert logits.shape == (6, 2, V)
    np.testing.assert_allclose(logits, logits_too, rtol=1e-12, atol=1e-12)
    for a, b in zip(tg.tree_leaves(state), tg.tree_leaves(state_too), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_a_row_of_the_embedding_is_a_one_hot_product():
    model, params = random_model()
    symbols = np.array([[3], [1]])
    _, expected = model.cell(params["cell"], np.eye(V)[symbols] @ params["E"])
    _, logits = model.logits(params, model.initial_state(1, np.float64), symbols)
    np.testing.assert_allclose(logits, model.readout(params["readout"], expected), rtol=1e-12)


def test_the_loss_is_in_bits_per_character():
    model, params = random_model()
    text = np.random.default_rng(2).integers(0, V, (7, 2))
    state = model.initial_state(2, np.float64)
    loss, after = model.loss(params, (text[:-1], text[1:]), state)
    _, logits = model.logits(params, state, text[:-1])
    expected = [surprise(logits[t, b], text[t + 1, b]) for t in range(6) for b in range(2)]
    assert float(loss) == pytest.approx(np.mean(expected))
    assert after[0][0].shape == (2, 4)


def test_gradients_against_central_differences():
    model, params = random_model(Elman)
    text = np.random.default_rng(3).integers(0, V, (5, 2))
    state = model.initial_state(2, np.float64)

    def loss(params):
        return model.loss(params, (text[:-1], text[1:]), state)[0]

    grads = tg.grad(loss)(params)
    direction = tg.tree_map(lambda p: np.random.default_rng(4).standard_normal(p.shape), params)
    moved = [float(loss(tg.tree_map(lambda p, d, h=h: p + h * d, params, direction))) for h in (1e-6, -1e-6)]
    inner = sum(np.sum(g * d) for g, d in zip(tg.tree_leaves(grads), tg.tree_leaves(direction), strict=True))
    assert (moved[0] - moved[1]) / 2e-6 == pytest.approx(inner, rel=1e-7)


def test_everything_stays_float32():
    model, params = random_model(dtype=np.float32)
    text = np.random.default_rng(2).integers(0, V, (7, 2))
    result = fit(
        model.loss,
        params,
        lambda n: (text[:-1], text[1:]),
        Adam(),
        steps=2,
        carry=model.initial_state(2),
        clip_norm=1.0,
    )
    for leaf in tg.tree_leaves((result.state.params, result.state.carry, result.state.opt_state["m"])):
        assert leaf.dtype == np.float32


# ---- evaluation


@pytest.mark.parametrize("count", [1, 5, 200, 301])
def test_evaluation_in_one_row_is_the_definition(count):
    model, params = random_model()
    text = np.random.default_rng(5).integers(0, V, count + 10)
    state, total = model.initial_state(1, np.float64), 0.0
    for position, symbol in enumerate(text[:-1]):
        state, logits = model.step(params, state, np.array([symbol]))
        if position + 1 >= 10:
            total += surprise(logits[0], text[position + 1])
    bits = model.bits_per_character(params, text[10:], text[:10], rows=1)
    assert bits == pytest.approx(total / count)


@pytest.mark.parametrize("rows", [1, 2, 7, 50, 53, 400])
@pytest.mark.parametrize("warm", [1, 20])
def test_every_symbol_is_predicted_once_however_the_text_is_cut(rows, warm):
    # Without memory, what a symbol costs depends on its predecessor alone.
    model = CharModel(V, 3, Copy(3), 3)
    params = model.init(np.random.default_rng(0), np.float64)
    text = np.random.default_rng(6).integers(0, V, 53 + warm)
    whole = [
        surprise(model.step(params, np.zeros((1, 1)), text[i - 1 : i])[1][0], text[i]) for i in range(warm, 53 + warm)
    ]
    bits = model.bits_per_character(params, text[warm:], text[:warm], rows=rows)
    assert bits == pytest.approx(np.mean(whole))


def test_warming_up_brings_rows_close_to_one_long_row():
    model, params = random_model()
    params = tg.tree_map(lambda p: p / 3, params)
    text = np.random.default_rng(7).integers(0, V, 460)
    one, many = (model.bits_per_character(params, text[60:], text[:60], rows=rows) for rows in (1, 20))
    assert one == pytest.approx(many, abs=1e-6)


def test_evaluation_needs_text_on_both_sides():
    model, params = random_model()
    for symbols, history in (([], [1]), ([1], [])):
        with pytest.raises(OptionError, match="expected at least one"):
            model.bits_per_character(params, np.array(symbols, int), np.array(history, int))


# ---- writing


def test_greedy_writing_takes_the_most_probable_symbol_each_time():
    model, params = random_model()
    written = list(model.write(params, np.array([1, 2]), 6, np.random.default_rng(0), temperature=0))
    text = [1, 2]
    for _ in range(6):
        _, logits = model.logits(params, model.initial_state(1, np.float64), np.array(text)[:, None])
        text.append(int(logits[-1, 0].argmax()))
    assert written == text[2:]


def test_writing_is_reproducible_and_leaves_symbols_out():
    model, params = random_model()
    runs = [list(model.write(params, np.array([1]), 200, np.random.default_rng(3), never=(0, 4))) for _ in range(2)]
    assert runs[0] == runs[1]
    assert set(runs[0]) == {1, 2, 3}
    assert list(model.write(params, np.array([1]), 0, np.random.default_rng(3))) == []


def test_writing_without_a_prompt_or_with_broken_parameters():
    model, params = random_model()
    with pytest.raises(OptionError, match="the prompt is empty"):
        next(model.write(params, np.array([], int), 3, np.random.default_rng(0)))
    params["E"][1] = np.nan
    with pytest.raises(NonFiniteError):
        next(model.write(params, np.array([1]), 3, np.random.default_rng(0)))


# ---- learning


@pytest.mark.parametrize("cls", [cls for cls in SIZED if cls is not Additive], ids=lambda cls: cls.__name__)
def test_a_rhythm_is_learned(cls):
    """0 0 1 0 0 1 ...: what follows a 0 is known only from what came before it, which a sum does not tell."""
    model = CharModel(2, 2, cls(2, 8), 8)
    text = np.array([0, 0, 1] * 40)
    result = fit(
        model.loss,
        model.init(np.random.default_rng(0)),
        Streams(text, batch=3, length=9),
        Adam(0.02),
        steps=250,
        carry=model.initial_state(3),
        clip_norm=1.0,
    )
    assert model.bits_per_character(result.state.params, text[30:], text[:30], rows=2) < 0.1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/statm")
def test_two_thousand_steps_through_scan_keep_resident_memory_flat():
    model = CharModel(V, 4, LSTM(4, 16), 16)
    resident = []

    def note(report):
        if report.state.step in (400, 2000):
            with open("/proc/self/statm") as file:
                resident.append(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))

    text = np.random.default_rng(0).integers(0, V, 1000)
    fit(
        model.loss,
        model.init(np.random.default_rng(0)),
        Streams(text, batch=16, length=5),
        Adam(1e-3),
        steps=2000,
        carry=model.initial_state(16),
        clip_norm=1.0,
        on_step=note,
    )
    assert resident[1] - resident[0] < 8e6
