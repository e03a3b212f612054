"""Zoneout, variational and recurrent dropout: their equations, what their noise is, and the cells that they become."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import pytree
from tapegrad.cells import (
    GRU,
    LSTM,
    Cell,
    DeepTransition,
    Dense,
    Elman,
    Input,
    RecurrentDropoutGRU,
    RecurrentDropoutLSTM,
    Stacked,
    State,
    VariationalDropout,
    Zoneout,
)
from tapegrad.errors import DtypeError, OptionError, StructureError
from tapegrad.testing import check_cell
from tests.cells.drawing import random_inputs, random_params, random_state, unroll
from tests.strategies.effort import few

sizes = st.integers(1, 4)
seeds = st.integers(0, 2**32)
T, B = 5, 3
NOISY = [
    Zoneout(LSTM(2, 3), (0.2, 0.6)),
    Zoneout(GRU(2, 3), 0.3),
    VariationalDropout(LSTM(2, 3), 0.2, 0.4, (0, 1)),
    VariationalDropout(Elman(2, 3), 0.2, 0.4),
    RecurrentDropoutLSTM(2, 3, rate=0.3),
    RecurrentDropoutGRU(2, 3, True, rate=0.3, per_sequence=True),
    Zoneout(VariationalDropout(RecurrentDropoutLSTM(2, 3))),
]


@pytest.fixture(autouse=True)
def _on_the_reference():
    with tg.backend("reference"):
        yield


def drawn(cell, seed, training=True):
    rng = np.random.default_rng(seed)
    params, state = random_params(cell, rng), random_state(cell, rng, B)
    x = rng.standard_normal((T, B, 2))
    return params, state, x, cell.noise(rng, T, B, np.float64, training)


def of_sigmoid(a):
    return 1 / (1 + np.exp(-a))


# ---- the equations
@given(m=sizes, n=sizes, seed=seeds)
def test_zoneout(m, n, seed):
    rng = np.random.default_rng(seed)
    inner = LSTM(m, n)
    cell = Zoneout(inner, (0.3, 0.6))
    params, (h, c), x = random_params(inner, rng), random_state(inner, rng, B), random_inputs(inner, rng, T, B)
    noise = cell.noise(rng, T, B, np.float64)
    last, ys = unroll(cell, params, (h, c), (x, noise))
    for t in range(T):
        new_h, new_c = inner.step(params, (h, c), x[t])[0]
        h, c = np.where(noise[0][t] == 1, h, new_h), np.where(noise[1][t] == 1, c, new_c)
        np.testing.assert_array_equal(ys[t], h)  # what is given out is the state as it is kept
    for leaf, value in zip(last, (h, c), strict=True):
        np.testing.assert_array_equal(leaf, value)


@given(m=sizes, n=sizes, seed=seeds)
def test_variational_dropout(m, n, seed):
    rng = np.random.default_rng(seed)
    cell = VariationalDropout(Elman(m, n), 0.3, 0.5)
    p, h = random_params(cell, rng), random_state(cell, rng, B)
    x, (d_x, d_h) = rng.standard_normal((T, B, m)), cell.noise(rng, T, B, np.float64)
    ys = unroll(cell, p, h, (x, (d_x, d_h)))[1]
    for t in range(T):
        h = np.tanh((d_x[0] * x[t]) @ p["W_xh"] + (d_h[0] * h) @ p["W_hh"] + p["b_h"])
        np.testing.assert_allclose(ys[t], h, rtol=1e-12, atol=1e-14)


def test_variational_dropout_of_a_gru_is_on_its_direct_path_too():
    cell = VariationalDropout(GRU(2, 3), 0.0, 0.5)
    params = cell.init(np.random.default_rng(0), np.float64) | {"b_z": np.full(3, 50.0)}  # z is 1: h is kept
    noise = np.ones((4, 1, 2)), np.broadcast_to([0.0, 2.0, 2.0], (4, 1, 3))
    (h,) = cell(params, (np.zeros((4, 1, 2)), noise), np.ones((1, 3)))[0]
    np.testing.assert_allclose(h, [0, 16, 16])
    noise = np.broadcast_to([0.0, 2.0, 2.0], (4, 1, 3))
    (h,) = RecurrentDropoutGRU(2, 3)(params, (np.zeros((4, 1, 2)), noise), np.ones((1, 3)))[0]
    np.testing.assert_allclose(h, [1, 1, 1])


@given(m=sizes, n=sizes, seed=seeds)
def test_recurrent_dropout_of_an_lstm(m, n, seed):
    rng = np.random.default_rng(seed)
    cell = RecurrentDropoutLSTM(m, n, rate=0.4)
    p, (h, c) = random_params(cell, rng), random_state(cell, rng, B)
    x, d = rng.standard_normal((T, B, m)), cell.noise(rng, T, B, np.float64)
    ys = unroll(cell, p, (h, c), (x, d))[1]
    for t in range(T):
        i, f, g, o = (x[t] @ p[f"W_x{k}"] + h @ p[f"W_h{k}"] + p[f"b_{k}"] for k in "ifgo")
        c = of_sigmoid(f) * c + of_sigmoid(i) * np.tanh(g) * d[t]
        h = of_sigmoid(o) * np.tanh(c)
        np.testing.assert_allclose(ys[t], h, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("after", [False, True])
@given(m=sizes, n=sizes, seed=seeds)
def test_recurrent_dropout_of_a_gru(after, writes, m, n, seed):
    rng = np.random.default_rng(seed)
    cell = RecurrentDropoutGRU(m, n, after, writes, rate=0.4)
    p, h = random_params(cell, rng), random_state(cell, rng, B)
    x, d = rng.standard_normal((T, B, m)), cell.noise(rng, T, B, np.float64)
    ys = unroll(cell, p, h, (x, d))[1]
    for t in range(T):
        r, z = (of_sigmoid(x[t] @ p[f"W_x{k}"] + h @ p[f"W_h{k}"] + p[f"b_{k}"]) for k in "rz")
        recurrent = r * (h @ p["W_hn"] + p["b_hn"]) if after else (r * h) @ p["W_hn"]
        n_t = np.tanh(x[t] @ p["W_xn"] + p["b_n"] + recurrent)
        z = 1 - z if writes else z
        h = z * h + (1 - z) * d[t] * n_t
        np.testing.assert_allclose(ys[t], h, rtol=1e-12, atol=1e-14)


# ---- what the noise is
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", NOISY, ids=str)
def test_noise_has_the_form_that_the_cell_declares(cell, dtype, training):
    noise = cell.noise(np.random.default_rng(0), T, B, dtype, training)
    declared = cell.inputs()[1]
    assert pytree.structure(noise) == pytree.structure(declared)
    for leaf, spec in zip(pytree.leaves(noise), pytree.leaves(declared), strict=True):
        assert (leaf.shape, leaf.dtype) == ((T, B, *spec.shape), dtype)
    params = cell.init(np.random.default_rng(1), dtype)
    assert cell(params, (np.ones((T, B, 2), dtype), noise))[1].shape == (T, B, 3)
    assert cell.noise(np.random.default_rng(0), 0, 2, dtype, training) is not None


def test_how_often_and_how_long():
    rng = np.random.default_rng(0)
    held = Zoneout(LSTM(2, 30), (0.2, 0.7)).noise(rng, 40, 50)
    for mask, rate in zip(held, (0.2, 0.7), strict=True):
        assert set(np.unique(mask)) == {0.0, 1.0}
        assert abs(np.mean(mask) - rate) < 0.01
        assert np.any(mask[0] != mask[1])
    for_input, for_state = VariationalDropout(LSTM(60, 50), 0.2, 0.7).noise(rng, 7, 80)
    for mask, rate in ((for_input, 0.2), (for_state, 0.7)):
        assert np.all(mask == mask[:1]), "one for all steps"
        assert np.any(mask[0, 0] != mask[0, 1]), "one for each row"
        np.testing.assert_allclose(np.unique(mask), [0, 1 / (1 - rate)], rtol=1e-6)
        assert abs(np.mean(mask) - 1) < 0.06
    each = RecurrentDropoutLSTM(2, 30, rate=0.25).noise(rng, 40, 50)
    assert np.any(each[0] != each[1])
    assert abs(np.mean(each) - 1) < 0.02
    whole = RecurrentDropoutGRU(2, 30, rate=0.25, per_sequence=True).noise(rng, 4, 50)
    assert np.all(whole == whole[:1])


def test_to_evaluate_with_it_is_the_expected_value():
    cell = Zoneout(LSTM(2, 3), (0.2, 0.6))
    params, state, x, expected = drawn(cell, 0, training=False)
    assert [np.unique(mask).tolist() for mask in expected] == [[0.2], [0.6]]
    rng = np.random.default_rng(1)
    kept = [cell.step(params, state, (x[0], [m[0] for m in cell.noise(rng, 1, B, np.float64)]))[0] for _ in range(4000)]
    mean = [np.mean(leaf, axis=0) for leaf in zip(*kept, strict=True)]
    for found, wanted in zip(mean, cell.step(params, state, (x[0], [m[0] for m in expected]))[0], strict=True):
        np.testing.assert_allclose(found, wanted, atol=0.05)
    for other in (VariationalDropout(LSTM(2, 3)), RecurrentDropoutLSTM(2, 3), RecurrentDropoutGRU(2, 3)):
        assert all(np.all(leaf == 1) for leaf in pytree.leaves(other.noise(None, T, B, training=False)))


def test_one_seed_gives_one_noise():
    for cell in NOISY:
        one, two = (pytree.leaves(cell.noise(np.random.default_rng(3), T, B)) for _ in range(2))
        assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


# ---- what they become
@pytest.mark.parametrize("inner", [LSTM(2, 3), GRU(2, 3), Elman(2, 3)], ids=str)
def test_without_noise_they_are_the_cell(inner):
    rng = np.random.default_rng(0)
    params, state, x = random_params(inner, rng), random_state(inner, rng, B), rng.standard_normal((T, B, 2))
    wanted = inner(params, x, state)
    for cell in (Zoneout(inner, 0.0), VariationalDropout(inner, 0.0, 0.0)):
        found = cell(params, (x, cell.noise(rng, T, B, np.float64)), state)
        for a, b in zip(pytree.leaves(found), pytree.leaves(wanted), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14)
        assert cell.parameter_count == inner.parameter_count
        assert cell.output_size == inner.output_size


def test_zoneout_of_everything_stays_where_it_is():
    cell = Zoneout(LSTM(2, 3), 1.0)
    params, state, x, noise = drawn(cell, 0)
    last, ys = cell(params, (x, noise), state)
    for leaf, first in zip(last, state, strict=True):
        np.testing.assert_array_equal(leaf, first)
    np.testing.assert_array_equal(ys, np.broadcast_to(state[0], ys.shape))


def test_rates_of_zero_are_the_lstm_and_the_gru():
    for cell, plain in (
        (RecurrentDropoutLSTM(2, 3, rate=0.0), LSTM(2, 3)),
        (RecurrentDropoutGRU(2, 3, rate=0), GRU(2, 3)),
    ):
        params, state, x, noise = drawn(cell, 0)
        np.testing.assert_array_equal(
            cell(params, (x, noise), state)[1], plain(params, x, state)[1]
        )


class Counting(Cell):
    """A counter beside a memory, and an output that is computed."""

    input_size: int = 2

    def inputs(self):
        return {"v": Input((self.input_size,)), "skip": Input((), np.int64)}

    def state(self):
        return {"count": State((), np.int64), "s": State((self.input_size,))}

    def step(self, params, state, x):
        count = state["count"] + x["skip"]
        s = 0.5 * state["s"] + x["v"]
        return {"count": count, "s": s}, (s, 2.0 * s, count)


def test_integers_are_left_alone_and_outputs_that_are_computed_as_they_are():
    rng = np.random.default_rng(0)
    x = {"v": rng.standard_normal((T, B, 2)), "skip": np.ones((T, B), np.int64)}
    cell = Zoneout(Counting(), (0.9, 0.5))
    noise = cell.noise(rng, T, B, np.float64)
    assert len(noise) == 1
    last, (s, twice, count) = cell({}, (x, noise))
    np.testing.assert_array_equal(last["count"], [T] * B)
    np.testing.assert_array_equal(last["s"], s[-1])
    np.testing.assert_array_equal(count[-1], [T] * B)
    held = noise[0][0] == 1
    np.testing.assert_array_equal(s[0][held], 0)
    np.testing.assert_array_equal(twice[0], 2 * x["v"][0])
    cell = VariationalDropout(Counting(), 0.5, 0.5, leaves=(1,))
    assert [spec.shape for spec in cell.inputs()[1]] == [(2,), (2,)]
    assert cell({}, (x, cell.noise(rng, T, B, np.float64)))[0]["count"].tolist() == [T] * B


@few()
@given(seed=seeds)
def test_masks_of_sequences_and_noise_in_one_another(seed):
    cell = NOISY[-1]
    params, state, x, noise = drawn(cell, seed)
    lengths = np.array([T, 2, 0])
    last, ys = cell(params, (x, noise), state, lengths=lengths)
    short = pytree.map(lambda leaf: leaf[:2, 1:2], (x, noise))
    end, outputs = cell(params, short, pytree.map(lambda leaf: leaf[1:2], state))
    np.testing.assert_allclose(ys[:2, 1:2], outputs, rtol=1e-13)
    assert not ys[2:, 1].any()
    np.testing.assert_allclose(last[0][1:2], end[0], rtol=1e-13)


@pytest.mark.parametrize("cell", NOISY, ids=str)
def test_by_other_oracles(cell):
    report = check_cell(cell, oracles=("tape", "sympy", "reference", "rtrl", "differences"))
    assert report.skipped == {}


def test_real_masks_compiled():
    for cell in (NOISY[0], NOISY[2]):
        params, state, x, noise = drawn(cell, 0)

        def loss(params, backend, cell=cell, x=x, noise=noise, state=state):
            return np.sum(cell(params, (x, noise), state, backend=backend)[1] ** 2)

        found, wanted = (tg.grad(loss)(params, backend) for backend in ("numba", "reference"))
        for key in wanted:
            np.testing.assert_allclose(found[key], wanted[key], rtol=1e-9, atol=1e-12)


# ---- what is refused
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Zoneout(LSTM), OptionError, "cell=<class .*expected a cell such as LSTM"),
        (lambda: Zoneout(LSTM(2, 3), (0.1,)), OptionError, r"rates=\(0.1,\), but the state of .* has 2 arrays"),
        (lambda: Zoneout(LSTM(2, 3), 1.5), OptionError, "rates=1.5, expected a probability"),
        (lambda: VariationalDropout(GRU(2, 3), 1.0), OptionError, "input_rate=1.0, expected .* below 1"),
        (
            lambda: VariationalDropout(GRU(2, 3), leaves=(1,)),
            OptionError,
            r"leaves=\(1,\), expected a tuple of numbers",
        ),
        (lambda: VariationalDropout(GRU(2, 3), leaves=0), OptionError, "leaves=0"),
        (lambda: VariationalDropout(Counting()), OptionError, r"leaves=\(0,\).*floating"),
        (lambda: RecurrentDropoutLSTM(2, 3, rate="0.1"), OptionError, "RecurrentDropoutLSTM: rate='0.1'"),
        (lambda: NOISY[0].noise(0, 2, 3), OptionError, r"Zoneout.noise: rng=0, expected a Generator"),
        (lambda: NOISY[4].noise(None, 2, 3), OptionError, r"RecurrentDropoutLSTM.noise: rng=None"),
        (lambda: NOISY[0].noise(np.random.default_rng(0), -1, 3), OptionError, "steps=-1"),
        (lambda: NOISY[0].noise(np.random.default_rng(0), 2, 3, np.int64), DtypeError, "floating"),
        (lambda: NOISY[0](NOISY[0].init(np.random.default_rng(0)), np.ones((4, 3, 2))), StructureError, "xs has"),
    ],
)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("wrapper", [Zoneout, VariationalDropout])
@pytest.mark.parametrize(
    "inner", [Stacked((GRU(2, 3), LSTM(3, 4))), DeepTransition((Elman(2, 3), Dense(3, 3)))], ids=["stack", "transition"]
)
def test_networks_whose_parts_take_no_noise(wrapper, inner):
    """A network has a method for noise, whether its parts take any or not."""
    cell, rng = wrapper(inner), np.random.default_rng(0)
    noise = cell.noise(rng, 5, 2, np.float64, training=False)
    assert pytree.structure(noise) == pytree.structure(cell.own_noise())
    assert check_cell(cell, oracles=("tape", "reference", "differences")).skipped == {}
    if wrapper is VariationalDropout:
        params, xs = inner.init(rng, np.float64), rng.standard_normal((5, 2, 2))
        np.testing.assert_array_equal(cell(params, (xs, noise))[1], inner(params, xs)[1])
