"""Rows are found by following axes, not by their lengths; what is claimed of them holds under every permutation."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.backends import rows as rules
from tapegrad.backends.graph import inlined
from tapegrad.backends.rows import find_rows
from tapegrad.cells import LSTM, variants
from tapegrad.primitives.linalg import solve
from tapegrad.primitives.shaping import Flip
from tapegrad.scan_primitive import Step
from tapegrad.tape import Node
from tapegrad.testing.random_programs import programs
from tests.cells.drawing import random_inputs

N = 4  # rows, features, inputs and steps alike: no length tells one axis from another
ROWS = np.arange(N)


def step_of(step, *args):
    """The step of a scan, as a backend gets it, its calls inlined."""
    tape = tg.trace(lambda *given: tg.scan(step, *given, backend="reference"))(*args)
    return flat(next(node.options["step"] for node in tape.nodes if node and node.primitive.name == "scan"))


def flat(step):
    return Step(inlined(step.tape), step.params, step.state, step.xs, step.ys, step.sums)


def reverse_step_of(step, *args):
    """The step of the reverse loop."""
    run_scan = lambda *given: tg.scan(step, *given, backend="reference")  # noqa: E731
    _, pullback = tg.vjp(run_scan, *args)
    node = next(node for node in pullback.tape.nodes if node and node.primitive.name == "scan")
    linear = node.options["linear"]
    return flat(linear.backward(linear.pattern([True] * (node.options["step"].state + node.options["step"].ys))).step)


def square(*lead):
    return np.random.default_rng(len(lead)).normal(size=(*lead, N, N))


def assert_rows_hold(step, rows, seed=0):
    """Rows in another order give results in that order, and the same sums.

    What follows from the parameters is computed whole, so that it is this which comes in another order.
    """
    rng = np.random.default_rng(seed)
    values = [np.asarray(rng.normal(size=a.shape) if a.dtype.kind == "f" else rng.integers(-1, 1, a.shape), a.dtype)
              for a in step.avals()]  # fmt: skip
    order = np.roll(rng.permutation(rows.count), 1)
    plain, turned = (computed(step, values, rows, o) for o in (np.arange(rows.count), order))
    for slot, _ in step.tape.outputs:
        if slot >= 0:
            expected = np.take(plain[slot], order, axis=rows.axis[slot]) if slot in rows.axis else plain[slot]
            np.testing.assert_allclose(turned[slot], expected, rtol=1e-9, atol=1e-9)


def computed(step, values, rows, order):
    """Every value of a step, the rows of what it reads in another order."""
    tape = step.tape
    turn = lambda slot, v: np.take(v, order, axis=rows.axis[slot]) if slot in rows.axis else v  # noqa: E731
    inputs = dict(zip(tape.inputs, values, strict=True)) | tape.consts
    still = {slot: v for slot, v in inputs.items() if slot in tape.consts or slot in tape.inputs[: step.params]}
    found = {slot: turn(slot, v) for slot, v in inputs.items()}
    for slot, node in enumerate(tape.nodes):
        if node is not None:
            fixed = all(s < 0 or s in still for s in node.slots)
            held = still if fixed else found
            args = [v if s < 0 else held[s] for s, v in zip(node.slots, node.args, strict=True)]
            with np.errstate(all="ignore"):
                made = node.primitive.run(*args, **node.options)
            if fixed:
                still[slot] = made
            found[slot] = turn(slot, made) if fixed else made
    return found


def orthogonal(w):
    """An orthogonal matrix: the Cayley transform of a skew-symmetric one."""
    return np.linalg.solve(np.eye(N) + w - w.T, np.eye(N) - w + w.T)


APART = {
    "elementwise": lambda w, s, x: (np.tanh(s * w + x), s),
    "a product with weights": lambda w, s, x: (np.tanh(s @ w + x @ w.T), s @ w),
    "a product with a solution": lambda w, s, x: (np.tanh(s @ orthogonal(w) + x), s),
    "a product with an inverse": lambda w, s, x: (np.tanh(s @ np.linalg.inv(w) + x @ w), s),
    "einsum": lambda w, s, x: (np.einsum("ij,bj->bi", w, s), np.einsum("bj,bj->b", s, x)),
    "features": lambda w, s, x: (s - np.max(s, axis=1, keepdims=True), np.sum(s, axis=1)),
    "moved features": lambda w, s, x: (s[:, ::-1], np.concatenate([x[:, 1:], s[:, :1]], axis=1)),
    "running": lambda w, s, x: (np.cumsum(s, axis=1), np.pad(s, ((0, 0), (1, 0)))),
    "a transposed output": lambda w, s, x: (s + x, s.T),
    "features in two axes": lambda w, s, x: (s + x, np.reshape(s @ w, (N, 2, N // 2))),
    "gathered": lambda w, s, x: (s + w[np.argmax(x, axis=1)], x[:, np.arange(N)]),
    "outer products of a row": lambda w, s, x: (s + np.einsum("bi,bj,bj->bi", s, x, x), s[:, :, None] * x[:, None]),
    "broadcast": lambda w, s, x: (s + x, np.broadcast_to(w[0], (N, N)) * s),
    "rows of a parameter": lambda w, s, x: (s * w, x),
    "parameters reduced": lambda w, s, x: (s + np.mean(w, axis=0), x),
    "checkpoint": lambda w, s, x: (tg.checkpoint(lambda a: np.tanh(a @ w))(s) + x, s),
}

MIXED = {
    "the mean of the batch": lambda w, s, x: (s @ w + np.mean(s, axis=0), None),
    "a product of all rows": lambda w, s, x: (s @ (s.T @ s), None),
    "all pairs of rows": lambda w, s, x: (s @ s.T, None),
    "rows as features of the state": lambda w, s, x: (s.T, x),
    "reversed rows": lambda w, s, x: (s[::-1] @ w, None),
    "rolled rows": lambda w, s, x: (np.roll(s, 1, axis=0) @ w, None),
    "chosen rows": lambda w, s, x: (s[ROWS] @ w, None),
    "an index for each row": lambda w, s, x: (s @ w, s[ROWS, np.argmax(x, axis=1)]),
    "one row": lambda w, s, x: (s @ w + s[0], None),
    "rows within rows": lambda w, s, x: (np.reshape(np.reshape(s @ w, (N * N,)), (N, N)), None),
    "split rows": lambda w, s, x: (np.reshape(np.reshape(s @ w, (2, 2, N)).swapaxes(0, 1), (N, N)), None),
    "extremum of the batch": lambda w, s, x: (s @ w - np.max(s, axis=0), None),
    "running over rows": lambda w, s, x: (np.cumsum(s, axis=0) @ w, None),
    "softmax over rows": lambda w, s, x: (tg.softmax(s @ w, axis=0), None),
    "joined rows": lambda w, s, x: (np.concatenate([s[1:], s[:1]]) @ w, None),
    "padded rows": lambda w, s, x: (np.pad(s @ w, ((1, 0), (0, 0)))[:N], None),
    "an output that sums rows": lambda w, s, x: (s @ w, np.sum(s, axis=0)),
    "solved for all rows at once": lambda w, s, x: (np.linalg.solve(w, s) + x, None),
    "solved with all rows": lambda w, s, x: (s + np.linalg.solve(s.T @ s + np.eye(N), x), None),
}


@pytest.mark.parametrize("name", APART)
def test_rows_that_stay_apart_are_found(name):
    args = square(), square(), square(N)
    step = step_of(APART[name], *args)
    rows = find_rows(step)
    assert rows.count == N
    assert [rows.axis[slot] for slot in step.tape.inputs[step.params :]] == [0, 0]
    assert_rows_hold(step, rows)
    back = reverse_step_of(APART[name], *args)
    rows = find_rows(back)
    assert rows.count == N, "so they do on the way back"
    assert_rows_hold(back, rows)


@pytest.mark.parametrize("name", MIXED)
def test_rows_that_meet_count_as_one(name):
    rows = find_rows(step_of(MIXED[name], square(), square(), square(N)))
    assert (rows.count, rows.axis, rows.summed) == (1, {}, set())


def test_a_solution_is_linear_in_its_right_side_alone():
    """Where slot 0 is fixed, slot 1 was summed over rows, and slot 2 changes from step to step."""

    def linear(a, b):
        return rules._linear(Node(solve, [None, None], [a, b], {}, None), {1}, {0})

    assert linear(0, 1)
    assert not any(linear(a, b) for a, b in [(1, 0), (1, 1), (2, 1), (1, 2)])


def test_without_weights_the_last_axis_may_be_rows_as_well():
    """What mixes the first axis only leaves the columns apart."""
    step = step_of(lambda w, s, x: (s + np.mean(s, axis=0) * x, x[::-1]), None, square(), square(N))
    rows = find_rows(step)
    assert (rows.count, set(rows.axis.values())) == (N, {1, 0}), "the mean has one axis only"
    assert [rows.axis[slot] for slot in step.tape.inputs] == [1, 1]
    assert_rows_hold(step, rows)


@pytest.mark.parametrize(
    ("step", "axis"),
    [
        (lambda w, s, x: (s @ w + np.sum(x, axis=0), None), None),
        (lambda w, s, x: (s @ (w + x), None), None),
        (lambda w, s, x: (np.tanh(s @ w) + x.T, x), 1),
    ],
)
def test_inputs_may_have_no_rows_or_others(step, axis):
    step = step_of(step, square(), square(), square(N))
    rows = find_rows(step)
    assert [rows.axis.get(slot) for slot in step.tape.inputs] == [None, 0, axis]
    assert_rows_hold(step, rows)


def test_rows_in_another_axis():
    step = step_of(lambda w, s, x: (np.tanh(w @ s + x), s), square(), np.ones((N, 6)), np.ones((N, N, 6)))
    rows = find_rows(step)
    assert rows.count == 6
    assert [rows.axis.get(slot) for slot in step.tape.inputs] == [None, 1, 1]
    assert_rows_hold(step, rows)


def test_a_state_of_all_rows_has_none():
    def counting(w, s, x):
        h, n = s
        return (np.tanh(h @ w + x * (n % 2 == 0)), n + 1), n

    step = step_of(counting, square(), (square(), np.int64(0)), square(N))
    rows = find_rows(step)
    assert rows.count == N
    assert [rows.axis.get(slot) for slot in step.tape.inputs] == [None, 0, None, 0]


def test_a_parameter_with_rows():
    step = step_of(
        lambda w, s, x: (s * w["rows"] + x @ w["W"], s), {"W": square(), "rows": square()}, square(), square(N)
    )
    rows = find_rows(step)
    names = {step.tape.names[slot]: rows.axis.get(slot) for slot in step.tape.inputs}
    assert rows.count == N
    assert names["W"] is None
    assert names["rows"] == 0


def test_gradients_of_weights_are_sums_over_rows():
    cell = LSTM(3, 4)
    rng = np.random.default_rng(0)
    params = cell.init(rng, dtype=np.float64)
    step = reverse_step_of(lambda p, s, x: cell.step(p, s, x), params, (np.ones((5, 4)), np.ones((5, 4))),
                           rng.normal(size=(2, 5, 3)))  # fmt: skip
    rows = find_rows(step)
    assert rows.count == 5
    outs = [slot for slot, _ in step.tape.outputs]
    assert {slot for slot in outs[step.state + step.ys :] if slot in rows.summed}, "the gradients"
    assert not rows.summed & set(outs[: step.state + step.ys])
    assert_rows_hold(step, rows)


HALF = np.arange(N * N).reshape(N, N) % 3 == 0


@pytest.mark.parametrize(
    ("masked", "count"),
    [
        (lambda W: np.where(HALF, W, 0), N),
        (lambda W: np.where(HALF, 0.0, W), N),
        (lambda W: np.where(HALF, W, 2 * W), N),
        (lambda W: HALF * W, N),
        (lambda W: np.where(W > 0, W, 0), N),
    ],
)
def test_a_masked_gradient_is_masked_behind_the_sum(masked, count):
    step = reverse_step_of(lambda W, s, x: (np.tanh(s @ masked(W) + x), s), square(), square(), square(N))
    rows = find_rows(step)
    assert rows.count == count
    assert_rows_hold(step, rows)


@pytest.mark.parametrize(
    ("behind", "linear"),
    [
        (lambda w, total: np.where(HALF, total, 0), True),
        (lambda w, total: np.where(HALF, total, -total), True),
        (lambda w, total: np.where(HALF, total, 1.0), False),
        (lambda w, total: np.where(HALF, w, total), False),
        (lambda w, total: np.where(total > 0, total, 0), False),
    ],
)
def test_a_choice_is_linear_where_it_chooses_between_sums_and_zero(behind, linear):
    """A one in the place of a sum over rows would be added for each row."""
    tape = tg.trace(lambda w, s, x: (s, behind(w, s.T @ x)))(square(), square(), square())
    rows = find_rows(Step(inlined(tape), 1, 1, 1, 0, 1))
    assert (rows.axis.get(tape.inputs[1]) == 0) == linear


def test_values_that_never_meet_share_their_rows():
    apart = lambda w, s, x: (np.tanh(s), np.tanh(x @ w))  # noqa: E731
    step = step_of(apart, square(), square(), square(N))
    assert [find_rows(step).axis.get(slot) for slot in step.tape.inputs] == [None, 0, 0]
    step = step_of(apart, np.ones((3, 3)), np.ones((5, 2)), np.ones((N, 7, 3)))
    rows = find_rows(step)
    assert rows.count == 5
    assert [rows.axis.get(slot) for slot in step.tape.inputs] == [None, 0, None], "not where they are of another number"


@pytest.mark.parametrize("variant", variants(), ids=str)
def test_the_rows_of_every_cell_are_its_batch(variant):
    rng = np.random.default_rng(1)
    cell = variant.build(rng)
    params = cell.init(rng, dtype=np.float64)
    state = tg.tree_map(lambda a: np.repeat(a, 5, axis=0), cell.initial_state(1, dtype=np.float64))
    step = step_of(cell.step, params, state, random_inputs(cell, rng, 2, 5))
    rows = find_rows(step)
    assert rows.count == 5
    assert all(rows.axis[slot] == 0 for slot in step.tape.inputs[step.params :])


def test_a_mapped_scan_has_rows():
    """vmap puts an axis before the batch; either may be split."""
    inner = lambda w, s, xs: tg.scan(lambda w, s, x: (np.tanh(s @ w + x), s), w, s, xs, backend="reference")[0]  # noqa: E731
    tape = tg.trace(tg.vmap(inner, (None, 0, 0)))(np.ones((3, 3)), np.ones((2, 5, 3)), np.ones((2, 4, 5, 3)))
    step = flat(next(node.options["step"] for node in tape.nodes if node and node.primitive.name == "scan"))
    rows = find_rows(step)
    assert rows.count == 2
    assert_rows_hold(step, rows)


def test_a_false_claim_is_caught(monkeypatch):
    """A rule for flips that forgets the order of the rows."""
    monkeypatch.setitem(rules._RULES, Flip, lambda shapes, out, options: [{a: a for a in range(len(out))}])
    step = step_of(lambda w, s, x: (np.flip(s, 0) @ w, x), square(), square(), square(N))
    rows = find_rows(step)
    assert rows.count == N
    with pytest.raises(AssertionError, match="Mismatched"):
        assert_rows_hold(step, rows)


@given(st.data(), st.booleans())
def test_claims_hold_for_drawn_steps(data, reverse):
    """Programs that mix axes as they like: whatever is claimed must hold under a permutation."""
    program = data.draw(programs(inputs=[(3, 3)] * 3, max_length=5).filter(lambda p: "scan" not in p.source))

    def step(w, s, x):
        y = program(w, s, x)
        return (np.tanh(y) if y.shape == s.shape else 0.5 * s), y

    args = [np.array(a) for a in program.args[:2]] + [np.stack([program.args[2]] * 2)]
    made = reverse_step_of(step, *args) if reverse else step_of(step, *args)
    rows = find_rows(made)
    assume(rows.axis)
    assert_rows_hold(made, rows)
