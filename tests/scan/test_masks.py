"""lengths, reset and record: rows that end early or start anew, and the step's own variables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.errors import DtypeError, OptionError, ShapeError, TracingError


def step(params, state, x):
    h, c = state
    gate = tg.sigmoid(x @ params["U"] + h @ params["W"])
    c = gate * c + (1 - gate) * np.tanh(x @ params["V"])
    h = np.tanh(c)
    return (h, c), h


def draw(rng, T, B):
    params = {"U": rng.normal(size=(2, 3)), "W": rng.normal(size=(3, 3)), "V": rng.normal(size=(2, 3))}
    return params, (rng.normal(size=(B, 3)), rng.normal(size=(B, 3))), rng.normal(size=(T, B, 2))


def row_by_row(params, state, xs, lengths, reset, reverse):
    """What lengths and reset mean: each row alone, over its own steps."""
    T, B = xs.shape[:2]
    finals, rows = [], []
    for b in range(B):
        start = s = tuple([a[b : b + 1] for a in state])
        ys = [np.zeros((1, 3))] * T
        n = T if lengths is None else int(lengths[b])
        for t in reversed(range(n)) if reverse else range(n):
            s = start if reset is not None and reset[t, b] else s
            s, ys[t] = step(params, s, xs[t, b : b + 1])
        finals.append(s)
        rows.append(np.stack(ys) if T else np.zeros((0, 1, 3)))
    return tg.tree_map(lambda *parts: np.concatenate(parts), *finals), np.concatenate(rows, axis=1)


def close(a, b):
    tg.tree_map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-12), a, b)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 3), st.booleans(), st.booleans(), st.booleans())
def test_lengths_and_resets_mean_each_row_alone(seed, T, B, reverse, with_lengths, with_reset):
    rng = np.random.default_rng(seed)
    args = draw(rng, T, B)
    lengths = rng.integers(0, T + 1, size=B) if with_lengths else None
    reset = rng.random((T, B)) < 0.4 if with_reset else None
    weight = rng.normal(size=(T, B, 3))

    def loss(run):
        def f(params, state, xs):
            (h, c), ys = run(params, state, xs)
            return np.sum(ys * weight) + np.sum(h * c)

        return tg.value_and_grad(f, (0, 1, 2))(*args)

    close(
        loss(lambda p, s, xs: tg.scan(step, p, s, xs, lengths=lengths, reset=reset, reverse=reverse)),
        loss(lambda p, s, xs: row_by_row(p, s, xs, lengths, reset, reverse)),
    )


@given(st.integers(0, 2**32 - 1), st.sampled_from([np.nan, np.inf, -np.inf, 1e300]), st.booleans())
def test_padding_may_hold_anything(seed, filth, reverse):
    rng = np.random.default_rng(seed)
    params, state, xs = draw(rng, 5, 4)
    lengths = rng.integers(0, 6, size=4)
    dirty = np.where((np.arange(5)[:, None] < lengths)[..., None], xs, filth)

    def run(xs):
        def f(p, s, x):
            (h, c), ys = tg.scan(step, p, s, x, lengths=lengths, reverse=reverse)
            return np.sum(ys**2) + np.sum(h * c)

        return tg.value_and_grad(f, (0, 1, 2))(params, state, xs), tg.scan(step, params, state, xs, lengths=lengths)

    (clean, clean_outputs), (found, found_outputs) = run(xs), run(dirty)
    close(found, clean)
    close(found_outputs, clean_outputs)
    padded = np.arange(5)[:, None] >= lengths
    assert not found_outputs[1][padded].any(), "padded outputs are zero"
    assert not found[1][2][padded].any(), "padded inputs have no gradient"


@pytest.mark.parametrize("filth", [-1, 99, 2**40, -(2**40)])
def test_padding_may_hold_indices_out_of_range(rng, filth):
    table = rng.normal(size=(7, 3))
    tokens = rng.integers(0, 7, size=(4, 2))
    lengths = np.array([1, 3])

    def f(table, tokens):
        state, ys = tg.scan(lambda E, s, x: (np.tanh(s + E[x]), s), table, np.zeros((2, 3)), tokens, lengths=lengths)
        return np.sum(state * state) + np.sum(ys)

    dirty = np.where(np.arange(4)[:, None] < lengths, tokens, filth)
    close(tg.value_and_grad(f)(table, dirty), tg.value_and_grad(f)(table, tokens))


def test_padding_in_a_step_that_is_singular_at_zero(rng):
    """Padding is not replaced by zero, which a step may not be able to take."""
    xs = rng.uniform(1, 2, size=(4, 3))
    f = lambda w: np.sum(tg.scan(lambda w, s, x: (s + w * np.log(x), s / x), w, np.ones(3), xs,  # noqa: E731
                                 lengths=np.array([0, 2, 4]))[0])  # fmt: skip
    with np.errstate(all="raise"):
        value, slope = tg.value_and_grad(f)(0.5)
    assert np.isfinite(value)
    np.testing.assert_allclose(slope, np.log(xs[:2, 1]).sum() + np.log(xs[:, 2]).sum())


def test_all_rows_empty_and_no_rows(rng):
    params, state, xs = draw(rng, 4, 2)
    final, ys = tg.scan(step, params, state, xs * np.nan, lengths=np.array([0, 0]))
    close(final, state)
    assert not ys.any()
    params, state, xs = draw(rng, 4, 0)
    assert tg.scan(step, params, state, xs, lengths=np.zeros(0, int))[1].shape == (4, 0, 3)


def test_record_gives_the_step_its_own_names(rng):
    params, state, xs = draw(rng, 4, 2)
    final, ys, recorded = tg.scan(step, params, state, xs, record=("gate", "c"))
    assert list(recorded) == ["gate", "c"]
    np.testing.assert_allclose(np.tanh(recorded["c"]), ys)
    np.testing.assert_allclose(recorded["c"][-1], final[1])
    assert set(tg.scan(step, params, state, xs, record=True)[2]) == {"gate", "c", "h"}
    assert set(tg.scan(step, params, state, xs, record="gate")[2]) == {"gate"}


def test_recorded_values_have_gradients_and_are_zero_in_the_padding(rng):
    params, state, xs = draw(rng, 4, 2)
    lengths = np.array([1, 3])
    f = lambda p: np.sum(tg.scan(step, p, state, xs, record="gate", lengths=lengths)[2]["gate"])  # noqa: E731
    recorded = tg.scan(step, params, state, xs, record="gate", lengths=lengths)[2]["gate"]
    assert not recorded[1:, 0].any()
    assert recorded[0, 0].all()
    move = tg.tree_map(lambda a: rng.normal(size=a.shape), params)
    e = 1e-6
    shifted = [f({k: p + step * move[k] for k, p in params.items()}) for step in (e, -e)]
    np.testing.assert_allclose(tg.jvp(f, (params,), (move,))[1], (shifted[0] - shifted[1]) / (2 * e), rtol=1e-7)


def test_unknown_record_names_those_there_are(rng):
    with pytest.raises(OptionError, match=r"record='gat'.*gate"):
        tg.scan(step, *draw(rng, 4, 2), record="gat")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"lengths": np.array([1])}, ShapeError, "one integer for each of the 2 rows"),
        ({"lengths": np.array([1.0, 2.0])}, ShapeError, "one integer for each"),
        ({"lengths": np.array([1, 5])}, ShapeError, "each must be from 0 to 4"),
        ({"lengths": np.array([-1, 2])}, ShapeError, "each must be from 0 to 4"),
        ({"reset": np.zeros((2, 4), bool)}, ShapeError, r"booleans of the shape \(4, 2\)"),
        ({"reset": np.zeros((4, 2))}, ShapeError, "booleans of the shape"),
        ({"checkpoint": 0}, OptionError, "'sqrt' or the number of steps"),
        ({"checkpoint": "cube"}, OptionError, "'sqrt' or the number of steps"),
        ({"checkpoint": 2, "record": True}, OptionError, "record without checkpoint="),
        ({"length": 3}, ShapeError, "number of steps differs: 4 in value, 3 in length="),
    ],
)
def test_bad_options(rng, options, error, words):
    with pytest.raises(error, match=words):
        tg.scan(step, *draw(rng, 4, 2), **options)


def test_a_traced_mask_is_refused(rng):
    args = draw(rng, 4, 2)
    with pytest.raises(TracingError, match="plain array"):
        tg.grad(lambda m: np.sum(tg.scan(step, *args, lengths=m)[1]))(np.ones(2))


def test_masks_need_a_batch_axis():
    cumulate = lambda p, s, x: (s + x, s)  # noqa: E731
    with pytest.raises(ShapeError, match=r"axes \(time, batch, ...\)"):
        tg.scan(cumulate, None, 0.0, np.ones(3), lengths=np.array([1]))
    with pytest.raises(ShapeError, match="leading batch axis 2"):
        tg.scan(cumulate, None, np.zeros(3), np.ones((4, 2, 3)), lengths=np.array([1, 1]))


def test_a_state_that_changes():
    for new, error, words in (
        (lambda s, x: np.concatenate([s, s]), ShapeError, r"has the shape \(2,\), and the step returned \(4,\)"),
        (
            lambda s, x: s * np.float64(2),
            DtypeError,
            "np.float64 scalar or array in the step promotes.*Python number does not",
        ),
        (lambda s, x: s > 0, DtypeError, "came in as float32, and the step returned bool"),
    ):
        with pytest.raises(error, match=words):
            tg.scan(lambda p, s, x: (new(s, x), None), None, np.ones(2, np.float32), np.ones((3, 2), np.float32))  # noqa: B023
