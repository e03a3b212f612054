"""lengths, reset, reverse, record and checkpoint through ``cell(...)``, for every registered cell."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import pytree
from tapegrad.cells import GRU, LSTM, Cell, Elman, Input, Parameter, Stacked, State, variants
from tapegrad.errors import OptionError, ShapeError
from tests.cells.drawing import at, random_inputs, random_params, random_state, unroll

EVERY = pytest.mark.parametrize("variant", variants(), ids=str)
STEPS, BATCH = 5, 3
LENGTHS = np.array([5, 2, 0])


def drawn(variant, steps=STEPS, batch=BATCH, dtype=np.float64):
    rng = np.random.default_rng(7)
    cell = variant.build(rng)
    return (
        cell,
        random_params(cell, rng, dtype),
        random_state(cell, rng, batch, dtype),
        random_inputs(cell, rng, steps, batch, dtype),
    )


def row(tree, b):
    return pytree.map(lambda leaf: leaf[b : b + 1], tree)


def assert_close(result, expected, bound=1e-12):
    assert pytree.structure(result) == pytree.structure(expected)
    for path, a, b in zip(pytree.paths(expected), pytree.leaves(result), pytree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=bound, atol=bound, err_msg=path)


def loss_of(cell, **options):
    """A scalar in which every output and every final state counts."""

    def loss(params, state, xs):
        end, ys = cell(params, xs, state, **options)
        return np.sum(np.sin(ys)) + sum(np.sum(np.cos(leaf)) for leaf in pytree.leaves(end))

    return loss


@EVERY
def test_a_call_is_the_loop_over_steps(variant):
    cell, params, state, xs = drawn(variant)
    assert_close(cell(params, xs, state), unroll(cell, params, state, xs))
    assert_close(cell(params, xs), unroll(cell, params, cell.initial_state(BATCH, np.float64), xs))


@EVERY
def test_a_sequence_in_two_parts(variant):
    cell, params, state, xs = drawn(variant)
    middle, early = cell(params, at(xs, slice(2)), state)
    end, late = cell(params, at(xs, slice(2, None)), middle)
    assert_close((end, np.concatenate([early, late])), cell(params, xs, state))


@EVERY
def test_reverse(variant):
    cell, params, state, xs = drawn(variant)
    end, ys = unroll(cell, params, state, at(xs, slice(None, None, -1)))
    assert_close(cell(params, xs, state, reverse=True), (end, ys[::-1]))


@EVERY
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("fill", [np.nan, np.inf, 1e300])
def test_padding_may_hold_anything(variant, reverse, fill):
    cell, params, state, xs = drawn(variant)
    padding = np.arange(STEPS)[:, None] >= LENGTHS
    for leaf in pytree.leaves(xs):
        leaf[padding] = fill
    end, ys = cell(params, xs, state, lengths=LENGTHS, reverse=reverse)
    grads = tg.grad(loss_of(cell, lengths=LENGTHS, reverse=reverse), argnums=(0, 1, 2))(params, state, xs)
    np.testing.assert_array_equal(ys[padding], 0)
    for leaf in pytree.leaves(grads[2]):
        np.testing.assert_array_equal(leaf[padding], 0)
    total = pytree.map(np.zeros_like, params)
    for b, length in enumerate(LENGTHS):
        alone = at(xs, np.s_[:length, b : b + 1])
        own_end, own_ys = cell(params, alone, row(state, b), reverse=reverse)
        assert_close(row(end, b), own_end)
        assert_close(ys[:length, b : b + 1], own_ys)
        own = tg.grad(loss_of(cell, reverse=reverse), argnums=(0, 1, 2))(params, row(state, b), alone)
        assert_close(row(grads[1], b), own[1])
        assert_close(at(grads[2], np.s_[:length, b : b + 1]), own[2])
        total = pytree.map(np.add, total, own[0])
    assert_close(grads[0], total, 1e-10)


@EVERY
def test_reset_starts_again_from_the_first_state(variant):
    cell, params, state, xs = drawn(variant)
    reset = np.zeros((STEPS, BATCH), bool)
    reset[2, 0] = reset[1, 1] = reset[4, 1] = True
    end, ys = cell(params, xs, state, reset=reset)
    grads = tg.grad(loss_of(cell, reset=reset), argnums=(0, 1, 2))(params, state, xs)
    for b in range(BATCH):
        cuts = [0, *np.flatnonzero(reset[:, b]).tolist(), STEPS]
        parts = [
            cell(params, at(xs, np.s_[i:j, b : b + 1]), row(state, b)) for i, j in zip(cuts, cuts[1:], strict=False)
        ]
        assert_close(row(end, b), parts[-1][0])
        assert_close(ys[:, b : b + 1], np.concatenate([part[1] for part in parts]))

    def by_hand(params, state, xs):
        total = 0.0
        for b in range(BATCH):
            cuts = [0, *np.flatnonzero(reset[:, b]).tolist(), STEPS]
            for i, j in zip(cuts, cuts[1:], strict=False):
                end, ys = cell(params, at(xs, np.s_[i:j, b : b + 1]), row(state, b))
                total = total + np.sum(np.sin(ys))
            total = total + sum(np.sum(np.cos(leaf)) for leaf in pytree.leaves(end))
        return total

    assert_close(grads, tg.grad(by_hand, argnums=(0, 1, 2))(params, state, xs), 1e-10)


@EVERY
@pytest.mark.parametrize(("steps", "batch"), [(0, 3), (4, 0), (0, 0), (1, 1)])
def test_nothing_to_do(variant, steps, batch):
    cell, params, state, xs = drawn(variant, steps, batch, np.float32)
    end, ys = cell(params, xs, state)
    assert (ys.shape, ys.dtype) == ((steps, batch, cell.output_size), np.float32)
    if steps == 0:
        assert_close(end, state)
    grads = tg.grad(loss_of(cell), argnums=(0, 1, 2))(params, state, xs)
    for leaf, grad in zip(pytree.leaves((params, state, xs)), pytree.leaves(grads), strict=True):
        assert (grad.shape, grad.dtype) == (leaf.shape, leaf.dtype)
    if steps * batch == 0:
        assert not any(leaf.any() for leaf in pytree.leaves(grads[0]))


@EVERY
@pytest.mark.parametrize("checkpoint", ["sqrt", 1, 2, 100])
def test_checkpoints_change_nothing_but_memory(variant, checkpoint):
    cell, params, state, xs = drawn(variant)
    plain = tg.value_and_grad(loss_of(cell), argnums=(0, 1, 2))(params, state, xs)
    kept = tg.value_and_grad(loss_of(cell, checkpoint=checkpoint), argnums=(0, 1, 2))(params, state, xs)
    assert_close(kept, plain, 1e-11)


# ---- record ----


@pytest.mark.parametrize(
    ("cell", "names"),
    [(LSTM(2, 3), ["i", "f", "g", "o"]), (GRU(2, 3), ["r", "z", "n"]), (GRU(2, 3, reset_after=True), ["r", "z", "n"])],
    ids=repr,
)
def test_gates_are_recorded(cell, names):
    rng = np.random.default_rng(0)
    params, xs = random_params(cell, rng), random_inputs(cell, rng, STEPS, BATCH)
    state, ys, recorded = cell(params, xs, record=names)
    assert_close((state, ys), cell(params, xs))
    assert list(recorded) == names
    state = cell.initial_state(BATCH, np.float64)
    for t in range(STEPS):
        h = state[0] if isinstance(cell, LSTM) else state
        for name in names:
            value = recorded[name][t]
            assert recorded[name].shape == (STEPS, BATCH, 3)
            if name in "ifozr":
                net = xs[t] @ params[f"W_x{name}"] + h @ params[f"W_h{name}"] + params[f"b_{name}"]
                np.testing.assert_allclose(value, 1 / (1 + np.exp(-net)), rtol=1e-12)
        state, _ = cell.step(params, state, xs[t])
        if isinstance(cell, LSTM):
            assert (np.abs(recorded["g"]) < 1).all()
        else:
            z, n = recorded["z"][t], recorded["n"][t]
            np.testing.assert_allclose(state, (1 - z) * n + z * h, rtol=1e-12)


def test_gates_of_a_stack_carry_the_number_of_their_layer():
    stack, rng = Stacked((LSTM(2, 3), GRU(3, 4))), np.random.default_rng(2)
    params, xs = random_params(stack, rng), random_inputs(stack, rng, STEPS, BATCH)
    _, ys, recorded = stack(params, xs, record=["0.f", "1.z"])
    _, middle, below = stack.cells[0](params["layer0"], xs, record="f")
    _, top, above = stack.cells[1](params["layer1"], middle, record="z")
    assert_close((ys, recorded), (top, {"0.f": below["f"], "1.z": above["z"]}))


def test_what_is_recorded_is_zero_in_padding():
    cell, rng = LSTM(2, 3), np.random.default_rng(3)
    params, xs = random_params(cell, rng), random_inputs(cell, rng, STEPS, BATCH)
    padding = np.arange(STEPS)[:, None] >= LENGTHS
    xs[padding] = np.nan
    gates = cell(params, xs, lengths=LENGTHS, record=["f"])[2]["f"]
    assert (gates[~padding] > 0).all()
    assert not gates[padding].any()


def test_recorded_values_have_gradients():
    cell, rng = LSTM(2, 3), np.random.default_rng(1)
    params, xs = random_params(cell, rng), random_inputs(cell, rng, STEPS, BATCH)

    def open_gates(params):
        return np.sum(cell(params, xs, record=["f"])[2]["f"])

    grads = tg.grad(open_gates)(params)
    h = 1e-5
    for name in ("b_f", "W_ho"):
        direction = rng.standard_normal(params[name].shape)
        up, down = (open_gates(params | {name: params[name] + s * h * direction}) for s in (1, -1))
        assert np.sum(grads[name] * direction) == pytest.approx((up - down) / (2 * h), rel=1e-7)


# ---- tokens, integers, options ----


class Lookup(Cell):
    """Looks tokens up, counts steps."""

    vocabulary: int
    hidden_size: int

    def parameters(self):
        n = self.hidden_size
        return {"E": Parameter((self.vocabulary, n), init="normal"), "W": Parameter((n, n))}

    def state(self):
        return {"h": State((self.hidden_size,)), "count": State((), dtype=np.int32)}

    def inputs(self):
        return Input((), dtype=np.int64)

    def step(self, params, state, x):
        h = np.tanh(params["E"][x] + state["h"] @ params["W"])
        return {"h": h, "count": state["count"] + np.int32(1)}, h


@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
def test_tokens_in_padding_may_be_out_of_range(dtype):
    cell, rng = Lookup(4, 3), np.random.default_rng(0)
    params = random_params(cell, rng)
    tokens = rng.integers(0, 4, (STEPS, BATCH)).astype(dtype)
    tokens[np.arange(STEPS)[:, None] >= LENGTHS] = 200
    state, ys = cell(params, tokens, lengths=LENGTHS)
    np.testing.assert_array_equal(state["count"], LENGTHS)
    assert state["count"].dtype == np.int32
    grads = tg.grad(lambda p: np.sum(cell(p, tokens, lengths=LENGTHS)[1] ** 2))(params)
    assert np.isfinite(grads["E"]).all()
    rows = [tokens[:n, b : b + 1] for b, n in enumerate(LENGTHS)]
    alone = tg.grad(lambda p: sum(np.sum(cell(p, row)[1] ** 2) for row in rows))(params)
    assert_close(grads, alone)


def test_lengths_and_reset_of_the_wrong_shape():
    cell, rng = Elman(2, 3), np.random.default_rng(0)
    params, xs = random_params(cell, rng), random_inputs(cell, rng, STEPS, BATCH)
    with pytest.raises(ShapeError, match="lengths"):
        cell(params, xs, lengths=[5, 5])
    with pytest.raises(ShapeError, match="reset"):
        cell(params, xs, reset=np.zeros((BATCH, STEPS), bool))


def test_a_checkpoint_that_is_none_is_refused():
    cell, rng = Elman(2, 3), np.random.default_rng(0)
    params, xs = random_params(cell, rng), random_inputs(cell, rng, STEPS, BATCH)
    with pytest.raises(OptionError, match="'sqrt' or the number of steps"):
        cell(params, xs, checkpoint="often")


def test_the_backend_is_passed_on():
    cell, rng = Elman(2, 3), np.random.default_rng(0)
    params, xs = random_params(cell, rng), random_inputs(cell, rng, STEPS, BATCH)
    assert_close(cell(params, xs, backend="reference"), cell(params, xs))
    with pytest.raises(tg.errors.BackendError, match="nowhere"):
        cell(params, xs, backend="nowhere")


def test_a_language_model_of_one_hot_vectors_learns():
    """A sequence in which each symbol follows from the two before it, to less than 0.05 nats, from 1.6."""
    text = np.tile([0, 1, 2, 0, 2, 1, 3, 1, 4], 4)
    xs, labels = np.eye(5)[text[:-1], None], text[1:, None]
    cell, readout = GRU(5, 12), tg.cells.Linear(12, 5)
    rng = np.random.default_rng(0)
    params = {"cell": cell.init(rng, np.float64), "readout": readout.init(rng, np.float64)}

    def loss(params):
        ys = cell(params["cell"], xs)[1]
        return tg.functions.softmax_cross_entropy(readout(params["readout"], ys), labels)

    first = loss(params)
    for _ in range(300):
        value, grads = tg.value_and_grad(loss)(params)
        params = pytree.map(lambda p, g: p - 1.0 * g, params, grads)
    assert first > 1.4
    assert value < 0.05
