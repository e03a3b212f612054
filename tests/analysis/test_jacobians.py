"""Step Jacobians of every registered cell against differences of a plain loop, and what is refused."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import pytree
from tapegrad.analysis import gamma_measured, state_slices, step_jacobians, walking
from tapegrad.cells import LSTM, Elman, SoftmaxReadout, variants
from tapegrad.errors import OptionError, ShapeError, StructureError
from tests.analysis.problems import drawn, generated, trajectory, vector, with_vector
from tests.cells.drawing import at, has_kinks, leading, steps_of
from tests.numeric import assert_close, slope

EVERY = pytest.mark.parametrize("variant", variants(), ids=str)


def differences(variant):
    """The Jacobians (T, B, S, S), column by column, by central differences."""
    cell, params, xs, state = drawn(variant)
    width = 1e-5 if has_kinks(cell) else 1e-3
    states = trajectory(cell, params, xs, state)
    rows = range(leading(xs)[1])
    found = []
    for before, x in zip(states, steps_of(xs), strict=False):
        for row in rows:
            start = vector(before, row)

            def moved(t, column, before=before, x=x, row=row, start=start):
                changed = with_vector(before, row, start + t * np.eye(len(start))[column])
                return vector(cell.step(params, changed, x)[0], row)

            columns = [slope(lambda t, j=j, moved=moved: moved(t, j), width) for j in range(len(start))]
            found.append(np.stack(columns, axis=-1))
    return np.stack(found).reshape(-1, len(rows), *found[0].shape)


@EVERY
def test_every_cell_against_differences(variant):
    found = step_jacobians(*drawn(variant))
    assert_close(found, differences(variant))


@EVERY
def test_every_cell_against_the_jacobian_of_a_step(variant):
    cell, params, xs, state = drawn(variant)
    found = step_jacobians(cell, params, xs, state)
    for t, before in enumerate(trajectory(cell, params, xs, state)[:-1]):
        for row in range(leading(xs)[1]):
            x = at(xs, np.s_[t, row : row + 1])
            one = pytree.map(lambda leaf, row=row: leaf[row : row + 1], before)
            full = tg.jacobian(lambda s, x=x: tg.tree_leaves(cell.step(params, s, x)[0]))(one)
            lines = [[np.squeeze(block, (0, block.ndim // 2)) for block in pytree.leaves(line)] for line in full]
            assert_close(found[t, row], np.block(lines), 1e-13)


@EVERY
def test_compiled_equals_reference(variant):
    with generated(variant) as name:
        found = step_jacobians(*drawn(variant), backend=name)
    assert_close(found, step_jacobians(*drawn(variant), backend="reference"), 1e-12)


@pytest.mark.parametrize("transposed", [np.swapaxes, lambda j, a, b: j * 1.001, lambda j, a, b: np.roll(j, 1, 0)])
def test_a_wrong_jacobian_is_caught(transposed):
    """The comparison above can fail: with the axes exchanged, 0.1 % off, or the times moved by one."""
    variant = next(v for v in variants() if str(v) == "LSTM")
    with pytest.raises(AssertionError):
        assert_close(transposed(step_jacobians(*drawn(variant)), -1, -2), differences(variant))


# ---- the parts of the state ----
def test_blocks_of_an_lstm():
    """d c_t / d c_{t-1} is diag(f_t) when nothing else leads from c to c; h_t feels c_{t-1} through tanh."""
    rng = np.random.default_rng(0)
    cell = LSTM(2, 3)
    params, xs = cell.init(rng, np.float64), rng.standard_normal((4, 2, 2))
    blocks = step_jacobians(cell, params, xs, blocks=True)
    assert set(blocks) == {(a, b) for a in "hc" for b in "hc"}
    record = cell(params, xs, record=("f", "o", "c"))[2]
    eye = np.eye(3)
    assert_close(blocks["c", "c"], record["f"][..., None] * eye, 1e-13)
    carried = record["o"] * (1 - np.tanh(record["c"]) ** 2) * record["f"]
    assert_close(blocks["h", "c"], carried[..., None] * eye, 1e-13)
    whole, parts = step_jacobians(cell, params, xs), state_slices(cell, params, xs)
    assert parts == {"h": slice(0, 3), "c": slice(3, 6)}
    for (new, old), block in blocks.items():
        np.testing.assert_array_equal(whole[:, :, parts[new], parts[old]], block)


def keyed(params, state, x):
    new = {"fast": np.tanh(params * state["fast"] + x), "slow": 0.9 * state["slow"] + state["fast"]}
    return new, new["slow"]


def delayed(params, state, x):
    h, old = state
    new = np.tanh(params * h + x)
    return (new, h), new + old


def counted(params, state, x):
    h, n = state
    h = h * params + x * (n % 2 == 0)[:, None]
    return (h, n + 1), h


def reassigned(params, h, x):
    h = params * h + x
    return h, h


def handed_on(params, state, x):
    x = params * state + x  # the new state is called as the input is: its name says nothing
    return x, x


ZEROS = np.zeros((2, 1))


@pytest.mark.parametrize(
    ("step", "state", "names"),
    [
        (keyed, {"slow": ZEROS, "fast": ZEROS}, ["fast", "slow"]),
        (delayed, (ZEROS, ZEROS), ["new", "state[1]"]),
        (counted, (ZEROS, np.zeros(2, int)), ["h"]),
        (lambda p, s, x: (p * s + x, s), ZEROS, ["state"]),
        (reassigned, ZEROS, ["h"]),
        (handed_on, ZEROS, ["state"]),
    ],
)
def test_what_the_leaves_of_a_state_are_called(step, state, names):
    xs = np.ones((3, 2, 1))
    parts = state_slices(step, 0.5, xs, state)
    assert list(parts) == names
    assert step_jacobians(step, 0.5, xs, state).shape == (3, 2, len(names), len(names))


def test_a_delay_line():
    found = step_jacobians(delayed, 0.5, np.zeros((2, 1, 1)), (np.zeros((1, 1)), np.zeros((1, 1))))
    np.testing.assert_allclose(found, np.broadcast_to([[0.5, 0.0], [1.0, 0.0]], (2, 1, 2, 2)))


# ---- rows ----
@pytest.mark.parametrize("distance", [1, 2, 4])
@pytest.mark.parametrize("batch", [2, 5, 7])
def test_rows_that_are_mixed_are_refused(distance, batch):
    def step(params, state, x):
        state = state + 0.1 * np.roll(state, distance, axis=0)
        return state, state

    if distance % batch == 0:
        step_jacobians(step, None, np.zeros((2, batch, 1)), np.ones((batch, 1)))
        return
    with pytest.raises(OptionError, match="mixes the rows of the batch.*rows=False"):
        step_jacobians(step, None, np.zeros((2, batch, 1)), np.ones((batch, 1)))


def test_all_rows_as_one_vector():
    def centred(params, state, x):
        state = state - np.mean(state, axis=0)
        return state, state

    found = step_jacobians(centred, None, np.zeros((2, 3, 1)), np.ones((3, 1)), rows=False)
    np.testing.assert_allclose(found, np.broadcast_to(np.eye(3) - 1 / 3, (2, 1, 3, 3)))


def test_a_map_without_batch_or_input():
    """Henon's map at a state: [[-2 a x, 1], [b, 0]]."""

    def henon(params, state, x):
        a, b = params
        new = np.stack([1 - a * state[0] ** 2 + state[1], b * state[0]])
        return new, None

    found = step_jacobians(henon, (1.4, 0.3), None, np.array([0.5, 0.1]), length=2, rows=False)
    second = 1 - 1.4 * 0.25 + 0.1
    np.testing.assert_allclose(found[:, 0], [[[-1.4, 1], [0.3, 0]], [[-2.8 * second, 1], [0.3, 0]]])


# ---- sizes, dtypes, chunks ----
def test_float32_stays_float32():
    cell = Elman(2, 3)
    rng = np.random.default_rng(0)
    params, xs = cell.init(rng), rng.standard_normal((4, 2, 2)).astype(np.float32)
    found = step_jacobians(cell, params, xs)
    assert found.dtype == np.float32
    wide = step_jacobians(cell, tg.tree_map(lambda p: p.astype(float), params), xs.astype(float))
    assert_close(found, wide, 1e-5)


@pytest.mark.parametrize(("steps", "batch"), [(0, 2), (3, 0), (0, 0)])
def test_no_steps_or_no_rows(steps, batch):
    cell = LSTM(2, 3)
    params = cell.init(np.random.default_rng(0))
    xs = np.zeros((steps, batch, 2), np.float32)
    assert step_jacobians(cell, params, xs).shape == (steps, batch, 6, 6)
    assert gamma_measured(cell, params, xs).shape == (steps, batch)


@pytest.mark.parametrize("held", [1, 2, 3, 100])
def test_chunks_change_nothing(held, monkeypatch):
    variant = next(v for v in variants() if str(v) == "LSTM")
    whole = step_jacobians(*drawn(variant))
    monkeypatch.setattr(walking, "CHUNK_BYTES", held * whole[0].nbytes)
    np.testing.assert_array_equal(step_jacobians(*drawn(variant)), whole)


def test_the_bar(capfd):
    cell = Elman(2, 3)
    params, xs = cell.init(np.random.default_rng(0)), np.zeros((4, 1, 2), np.float32)
    step_jacobians(cell, params, xs)
    step_jacobians(cell, params, xs, progress=False)
    assert capfd.readouterr().err == ""
    step_jacobians(cell, params, xs, progress=True)
    assert "step_jacobians" in capfd.readouterr().err


# ---- gamma ----
def test_gamma_is_the_largest_singular_value():
    variant = next(v for v in variants() if str(v) == "LSTM")
    cell, params, xs, state = drawn(variant)
    jacobians = step_jacobians(cell, params, xs, state)
    found = gamma_measured(cell, params, xs, state)
    assert_close(found, np.linalg.svd(jacobians, compute_uv=False)[..., 0], 1e-12)
    np.testing.assert_array_equal(gamma_measured(jacobians), found)
    blocks = step_jacobians(cell, params, xs, state, blocks=True)
    assert_close(gamma_measured(cell, params, xs, state, block="c"), np.linalg.norm(blocks["c", "c"], 2, (2, 3)), 1e-12)
    across = gamma_measured(cell, params, xs, state, block=("h", "c"))
    assert_close(across, np.linalg.norm(blocks["h", "c"], 2, (2, 3)), 1e-12)


def test_a_network_that_explodes():
    """The state overflows, and with it the Jacobian; what was before is measured all the same."""
    step = lambda p, s, x: (p * s**2, s)  # noqa: E731
    with np.errstate(over="ignore", invalid="ignore"):
        found = gamma_measured(step, 2.0, np.zeros((12, 1, 1)), np.full((1, 1), 2.0))
    np.testing.assert_allclose(found[:4, 0], [8, 32, 512, 2**17])
    assert np.isfinite(found[8, 0])
    assert np.isnan(found[-1, 0])


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
@pytest.mark.parametrize("seed", range(5))
def test_gamma_of_a_simple_network_is_below_its_bound(activation, seed):
    """Pascanu, Mikolov & Bengio 2013: at most sup|f'| times the largest singular value of W."""
    rng = np.random.default_rng(seed)
    cell = Elman(3, 6, activation)
    params = cell.init(rng, np.float64, overrides={"W_hh": lambda r, shape, dtype: r.standard_normal(shape)})
    found = gamma_measured(cell, params, rng.standard_normal((50, 4, 3)))
    bound = {"tanh": 1.0, "sigmoid": 0.25, "relu": 1.0}[activation] * np.linalg.norm(params["W_hh"], 2)
    assert np.all(found <= bound * (1 + 1e-12))
    assert np.max(found) > 0.3 * bound  # else the comparison says nothing


# ---- what is refused ----
CELL = Elman(2, 3)
PARAMS = CELL.init(np.random.default_rng(0))
XS = np.zeros((4, 1, 2), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: step_jacobians(3, PARAMS, XS), OptionError, "give a Cell, or a function"),
        (lambda: step_jacobians(CELL.step, PARAMS, XS), StructureError, "give state="),
        (lambda: step_jacobians(SoftmaxReadout(2, 3), SoftmaxReadout(2, 3).init(np.random.default_rng(0)), XS),
         StructureError, "no floating array"),
        (lambda: step_jacobians(CELL, PARAMS, XS[:, :, :1]), ShapeError, "expected shape"),
        (lambda: step_jacobians(CELL, PARAMS, XS, rows=2), OptionError, "True or False"),
        (lambda: step_jacobians(lambda p, s, x: (s, s), None, None, np.zeros((1, 2))), ShapeError, "length="),
        (lambda: step_jacobians(lambda p, s, x: (s, s), None, XS, np.zeros((1, 2)), length=3), ShapeError, "length="),
        (lambda: step_jacobians(lambda p, s, x: (s, s), None, XS, (np.zeros((1, 2)), np.zeros(2))), ShapeError,
         "rows=False"),
        (lambda: step_jacobians(lambda p, s, x: (s, s), None, XS, np.zeros(())), ShapeError, "rows=False"),
        (lambda: gamma_measured(CELL, PARAMS, XS, block="c"), OptionError, "it has 'h'"),
        (lambda: gamma_measured(np.zeros((3, 1, 2, 2)), block="c"), OptionError, "cut the block"),
        (lambda: gamma_measured(np.zeros((3, 2, 2))), ShapeError, r"expected \(T, B, S, S\)"),
    ],
)  # fmt: skip
def test_refusals_say_what_to_do(call, error, words):
    with pytest.raises(error, match=words):
        call()
