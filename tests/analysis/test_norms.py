"""Norms of gradients between any two times, against gradients of an unrolled loop."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import pytree
from tapegrad.analysis import gradient_norms, norms, state_slices, walking
from tapegrad.cells import LSTM, Elman, SoftmaxReadout, Stacked, variants
from tapegrad.errors import OptionError, ShapeError
from tests.analysis.problems import BATCH, STEPS, drawn, generated, linear, trajectory, vector
from tests.cells.drawing import steps_of
from tests.numeric import assert_close

EVERY = pytest.mark.parametrize("variant", variants(), ids=str)


def unrolled(variant, loss, part=None):
    """The norms for k < t, by the gradient of each loss by each state of a plain loop."""
    cell, params, xs, state = drawn(variant)
    states = trajectory(cell, params, xs, state)
    found = np.full((STEPS, STEPS, BATCH), np.nan)
    for t in range(STEPS):
        for k in range(t):

            def of_state(s, t=t, k=k):
                for x in steps_of(xs)[k + 1 : t + 1]:
                    s, y = cell.step(params, s, x)
                return loss(y, t)

            gradient = tg.grad(of_state)(states[k + 1])
            vectors = [vector(gradient, row) for row in range(BATCH)]
            found[t, k] = [np.linalg.norm(v if part is None else v[part]) for v in vectors]
    return found


def below_diagonal(array):
    return array[np.tril_indices(STEPS, -1)]


@EVERY
def test_every_cell_against_an_unrolled_loop(variant):
    found = gradient_norms(*drawn(variant))
    expected = unrolled(variant, lambda y, t: np.sum(y))
    assert found.shape == expected.shape
    if "softmax" in str(variant):  # the sum of probabilities is 1 for every state
        assert np.max(below_diagonal(found)) < 1e-14
    else:
        assert_close(below_diagonal(found), below_diagonal(expected), 1e-12)
    assert np.all(np.isnan(found[np.triu_indices(STEPS, 1)]))


@EVERY
def test_a_loss_with_targets(variant):
    cell, params, xs, state = drawn(variant)
    shape = cell(params, xs, state)[1].shape
    targets = np.random.default_rng(5).standard_normal(shape)
    found = gradient_norms(cell, params, xs, state, loss=lambda y, g: (y - g) ** 3, targets=targets)
    expected = unrolled(variant, lambda y, t: np.sum((y - targets[t]) ** 3))
    assert_close(below_diagonal(found), below_diagonal(expected), 1e-12)
    with generated(variant) as name:
        compiled = gradient_norms(
            cell, params, xs, state, loss=lambda y, g: (y - g) ** 3, targets=targets, backend=name
        )
    assert_close(np.nan_to_num(compiled), np.nan_to_num(found), 1e-12)


@EVERY
def test_each_part_of_the_state(variant):
    cell, params, xs, state = drawn(variant)
    loss = lambda y: np.sin(3 * y)  # noqa: E731
    for name, part in state_slices(cell, params, xs, state).items():
        found = gradient_norms(cell, params, xs, state, loss=loss, wrt=name)
        expected = unrolled(variant, lambda y, t: np.sum(loss(y)), part)
        assert_close(below_diagonal(found), below_diagonal(expected), 1e-12)


def test_the_diagonal_is_the_derivative_by_the_new_state():
    """V^T grad_o for a softmax network: Goodfellow, Bengio & Courville 2016, equations 10.18 and 10.19."""
    rng = np.random.default_rng(0)
    cell = Stacked((Elman(3, 4), SoftmaxReadout(4, 5)))
    params, xs = cell.init(rng, np.float64), rng.standard_normal((6, 2, 3))
    labels = np.eye(5)[rng.integers(0, 5, (6, 2))]
    found = gradient_norms(cell, params, xs, loss=lambda y, target: -target * np.log(y), targets=labels)
    grad_o = cell(params, xs)[1] - labels
    grad_h = grad_o @ params["layer1"]["W_hy"].T
    assert_close(np.diagonal(found).T, np.linalg.norm(grad_h, axis=-1), 1e-12)


def test_the_diagonal_of_an_lstm():
    """The output is h_t: the loss feels it as such, and c_t only through it, which is no path of its own."""
    rng = np.random.default_rng(0)
    cell = LSTM(2, 3)
    params, xs = cell.init(rng, np.float64), rng.standard_normal((4, 2, 2))
    np.testing.assert_allclose(np.diagonal(gradient_norms(cell, params, xs, wrt="h")), np.sqrt(3))
    np.testing.assert_array_equal(np.diagonal(gradient_norms(cell, params, xs, wrt="c")), 0)


def test_what_is_computed_twice_is_the_state_all_the_same():
    step = lambda p, s, x: (p * s + x, p * s + x)  # noqa: E731
    found = gradient_norms(step, 0.5, np.ones((3, 1, 1)), np.zeros((1, 1)))
    np.testing.assert_allclose(np.nan_to_num(found[..., 0]), [[1, 0, 0], [0.5, 1, 0], [0.25, 0.5, 1]])


def test_an_output_of_the_old_state_alone():
    step = lambda p, s, x: (p * s + x, s)  # noqa: E731
    found = gradient_norms(step, 0.5, np.ones((3, 1, 1)), np.zeros((1, 1)))
    np.testing.assert_allclose(np.nan_to_num(found[..., 0]), [[0, 0, 0], [1, 0, 0], [0.5, 1, 0]])


@pytest.mark.parametrize("delay", ["state", "output"])
def test_leaves_that_are_handed_on(delay):
    """A state that is the old one of its neighbour, and an output that is one state plus the other."""

    def step(params, state, x):
        h, old = state
        new = params * h + x
        return (new, h), new + old if delay == "output" else new

    zeros = np.zeros((1, 1))
    found = gradient_norms(step, 0.5, np.ones((3, 1, 1)), (zeros, zeros))[..., 0]
    old = 1.0 if delay == "output" else 0.0
    # y_t = h_t + old * s2_{t-1}: the new second leaf is h_{t-1}, which the output does not read.
    first = np.hypot(0.5, old)
    second = 0.5 * 0.5 + old
    np.testing.assert_allclose(np.nan_to_num(found), [[1, 0, 0], [first, 1, 0], [second, first, 1]])


# ---- what theory says ----
@pytest.mark.parametrize("size", [1, 2, 7])
def test_an_orthogonal_matrix_keeps_norms(size):
    rng = np.random.default_rng(size)
    W = np.linalg.qr(rng.standard_normal((size, size)))[0]
    found = gradient_norms(linear, W, rng.standard_normal((200, 2, size)), np.zeros((2, size)))
    lower = np.tril_indices(200)
    np.testing.assert_allclose(found[lower] / np.sqrt(size), 1.0, rtol=1e-12)


def test_a_scaled_orthogonal_matrix_gives_powers():
    rng = np.random.default_rng(0)
    W = 0.8 * np.linalg.qr(rng.standard_normal((3, 3)))[0]
    found = gradient_norms(linear, W, np.zeros((30, 1, 3)), np.zeros((1, 3)))[..., 0]
    t, k = np.tril_indices(30)
    np.testing.assert_allclose(found[t, k], np.sqrt(3) * 0.8 ** (t - k), rtol=1e-12)


# ---- long sequences ----
def test_logarithms_do_not_underflow():
    found = gradient_norms(linear, np.diag([0.1, 0.05]), np.zeros((5000, 1, 2)), np.zeros((1, 2)), at=-1, log=True)
    apart = 2.0 * np.arange(4999, -1, -1)
    expected = np.logaddexp(apart * np.log(0.1), apart * np.log(0.05)) / 2
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-12)
    assert found[0, 0] == pytest.approx(4999 * np.log(0.1))
    assert np.min(gradient_norms(linear, np.diag([0.1, 0.05]), np.zeros((5000, 1, 2)), np.zeros((1, 2)), at=-1)) == 0


@pytest.mark.parametrize("held", [1, 2, 3, 100])
def test_chunks_change_nothing(held, monkeypatch):
    variant = next(v for v in variants() if str(v) == "LSTM")
    whole = gradient_norms(*drawn(variant))
    size = 8 * drawn(variant)[0].hidden_size ** 2 * 4 * 3
    monkeypatch.setattr(walking, "CHUNK_BYTES", held * size)
    np.testing.assert_allclose(gradient_norms(*drawn(variant)), whole, rtol=1e-12)


def test_some_steps_only():
    variant = next(v for v in variants() if str(v) == "LSTM")
    whole = gradient_norms(*drawn(variant))
    np.testing.assert_allclose(gradient_norms(*drawn(variant), at=[3, 0, -1, 3]), whole[[3, 0, 4, 3]], rtol=1e-13)
    np.testing.assert_allclose(gradient_norms(*drawn(variant), at=2), whole[2], rtol=1e-13)
    np.testing.assert_allclose(np.exp(gradient_norms(*drawn(variant), at=2, log=True)), whole[2])
    assert gradient_norms(*drawn(variant), at=[]).shape == (0, *whole.shape[1:])


@pytest.mark.parametrize(("steps", "batch"), [(0, 2), (3, 0)])
def test_no_steps_or_no_rows(steps, batch):
    cell = LSTM(2, 3)
    params = cell.init(np.random.default_rng(0))
    assert gradient_norms(cell, params, np.zeros((steps, batch, 2), np.float32)).shape == (steps, steps, batch)


# ---- faults ----
FAULTS = {
    "Jacobians from the left": lambda c, j, b, a: (c, np.swapaxes(j, -1, -2), b, a),
    "Jacobians of the next step": lambda c, j, b, a: (c, np.roll(j, 1, 0), b, a),
    "0.1 % off": lambda c, j, b, a: (c, 1.001 * j, b, a),
    "rows exchanged": lambda c, j, b, a: (c, j[:, ::-1], b, a),
    "a wrong loss": lambda c, j, b, a: (c, j, 1.001 * b, a),
    "before and after exchanged": lambda c, j, b, a: (c, j, a, b),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_caught(fault, monkeypatch):
    variant = next(v for v in variants() if str(v) == "LSTM")
    right = norms._backwards
    monkeypatch.setattr(norms, "_backwards", lambda *given: (FAULTS[fault](*chunk) for chunk in right(*given)))
    found = gradient_norms(*drawn(variant))
    with pytest.raises(AssertionError):
        assert_close(below_diagonal(found), below_diagonal(unrolled(variant, lambda y, t: np.sum(y))), 1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"at": 5}, "from 0 to 4"),
        ({"at": [0.5]}, "from 0 to 4"),
        ({"wrt": "x"}, "it has 'h', 'c'"),
    ],
)
def test_refusals_say_what_to_do(options, words):
    variant = next(v for v in variants() if str(v) == "LSTM")
    with pytest.raises(OptionError, match=words):
        gradient_norms(*drawn(variant), **options)


@pytest.mark.parametrize("steps", [4, 6])
def test_one_target_for_each_step(steps):
    variant = next(v for v in variants() if str(v) == "LSTM")
    with pytest.raises(ShapeError, match=r"expected \(5, \.\.\.\): one for each step"):
        gradient_norms(*drawn(variant), loss=lambda y, target: y * target, targets=np.ones((steps, 1)))


def test_a_pytree_of_outputs():
    def step(params, state, x):
        h = np.tanh(params * state + x)
        return h, {"twice": 2 * h, "count": np.ones(h.shape, int)}

    xs, state = np.random.default_rng(0).standard_normal((4, 2, 3)), np.zeros((2, 3))
    found = gradient_norms(step, 0.7, xs, state)
    np.testing.assert_allclose(np.diagonal(found), 2 * np.sqrt(3))
    named = gradient_norms(step, 0.7, xs, state, loss=lambda y: y["twice"])
    np.testing.assert_allclose(pytree.map(np.nan_to_num, named), np.nan_to_num(found))
