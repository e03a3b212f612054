"""Networks without gates against their equations, unit by unit in plain Python, and cases in which they coincide."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.cells import Additive, Elman, FullyRecurrent, IndRNN, Jordan, SoftmaxReadout, SoftmaxRNN
from tapegrad.errors import OptionError
from tapegrad.testing import check_cell
from tapegrad.training import Adam, fit
from tests.cells.drawing import random_params, unroll
from tests.cells.test_equations import PHI, check, drawn, net, seeds, sigma, sizes

NAMES = [*PHI, "identity"]
FUNCTIONS = PHI | {"identity": lambda a: a}
QUICK = ("tape", "sympy", "reference", "rtrl", "differences")


# ---- Jordan ----


@pytest.mark.parametrize(("activation", "output"), [("sigmoid", "sigmoid"), ("tanh", "identity"), ("relu", "tanh")])
@given(m=sizes, n=sizes, k=sizes, mu=st.sampled_from([0.0, 0.3, 0.9]), seed=seeds)
def test_jordan(activation, output, m, n, k, mu, seed):
    phi, psi = FUNCTIONS[activation], FUNCTIONS[output]

    def one_sequence(p, state, xs):
        (s,), outputs = state, []
        for x in xs:
            h = [phi(net(j, (x, p["W_xh"]), (s, p["W_sh"]), bias=p["b_h"][j])) for j in range(n)]
            y = [psi(net(j, (h, p["W_hy"]), bias=p["b_y"][j])) for j in range(k)]
            s = [mu * s[j] + y[j] for j in range(k)]
            outputs.append(y)
        return [s], outputs

    check(Jordan(m, n, k, mu, activation, output), seed, one_sequence)


@given(m=sizes, n=sizes, seed=seeds)
def test_jordan_with_an_output_of_the_hidden_state_is_elmans(m, n, seed):
    """An identity between hidden state and output leaves nothing to tell the two contexts apart."""
    elman = Elman(m, n)
    params, state, xs = drawn(elman, seed)
    same = {"W_xh": params["W_xh"], "W_sh": params["W_hh"], "b_h": params["b_h"], "W_hy": np.eye(n), "b_y": np.zeros(n)}
    jordan = Jordan(m, n, n, activation="tanh", output_activation="identity")
    np.testing.assert_allclose(unroll(jordan, same, state, xs)[1], unroll(elman, params, state, xs)[1], rtol=1e-12)


def test_the_context_of_jordan_is_a_decaying_sum_of_outputs():
    cell = Jordan(2, 3, 4, mu=0.7)
    params, _, xs = drawn(cell, 0, steps=6)
    context, ys = cell(params, xs)
    expected = sum(0.7**k * ys[-1 - k] for k in range(6))
    np.testing.assert_allclose(context, expected, rtol=1e-12)


# ---- the textbook's network ----


@pytest.mark.parametrize("logits", [False, True])
@given(m=sizes, n=sizes, k=sizes, seed=seeds)
def test_softmax_rnn(logits, m, n, k, seed):
    def one_sequence(p, state, xs):
        (h,), outputs = state, []
        for x in xs:
            h = [math.tanh(net(j, (h, p["W"]), (x, p["U"]), bias=p["b"][j])) for j in range(n)]
            o = [net(j, (h, p["V"]), bias=p["c"][j]) for j in range(k)]
            total = math.fsum(map(math.exp, o))
            outputs.append(o if logits else [math.exp(v) / total for v in o])
        return [h], outputs

    check(SoftmaxRNN(m, n, k, logits), seed, one_sequence)


def test_softmax_rnn_is_elman_under_a_readout():
    cell, elman, readout = SoftmaxRNN(3, 4, 5), Elman(3, 4), SoftmaxReadout(4, 5)
    params, state, xs = drawn(cell, 0)
    h = elman({"W_xh": params["U"], "W_hh": params["W"], "b_h": params["b"]}, xs, state)[1]
    expected = readout({"W_hy": params["V"], "b_y": params["c"]}, h)
    np.testing.assert_allclose(cell(params, xs, state)[1], expected, rtol=1e-12)


def test_logits_are_got_at_in_both_ways_and_give_the_textbooks_loss():
    """-log p(y_t), which the textbook sums, is the cross entropy of the logits; and it is exact where p is 0."""
    cell = SoftmaxRNN(3, 4, 5)
    open_cell = dataclasses.replace(cell, logits=True)
    params, state, xs = drawn(cell, 1)
    labels = np.random.default_rng(0).integers(0, 5, xs.shape[:2])
    ys, recorded = cell(params, xs, state, record="o")[1:]
    o = open_cell(params, xs, state)[1]
    np.testing.assert_allclose(recorded["o"], o, rtol=1e-13)
    loss = -np.log(np.take_along_axis(ys, labels[..., None], -1)).sum()
    assert tg.softmax_cross_entropy(o, labels, "sum") == pytest.approx(loss, rel=1e-12)

    far = params | {"V": params["V"] * 1e4}
    value, grads = tg.value_and_grad(lambda p: tg.softmax_cross_entropy(open_cell(p, xs, state)[1], labels))(far)
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in grads.values())
    assert np.abs(grads["V"]).max() > 1e-3


def test_the_textbooks_five_gradients():
    """Equations 10.18 to 10.28, written out for one sequence."""
    cell = SoftmaxRNN(3, 4, 5, logits=True)
    params, state, xs = drawn(cell, 2, steps=6, batch=1)
    labels = np.random.default_rng(1).integers(0, 5, (6, 1))
    grads = tg.grad(lambda p: tg.softmax_cross_entropy(cell(p, xs, state)[1], labels, "sum"))(params)

    U, W, V = (params[name].T for name in "UWV")
    h, yhat = [state[0]], []
    for t in range(6):
        h.append(np.tanh(params["b"] + W @ h[t] + U @ xs[t, 0]))
        o = params["c"] + V @ h[t + 1]
        yhat.append(np.exp(o) / np.exp(o).sum())
    expected = {name: np.zeros_like(value.T) for name, value in params.items()}
    later = np.zeros(4)
    for t in reversed(range(6)):
        grad_o = yhat[t] - np.eye(5)[labels[t, 0]]  # 10.18
        grad_h = later + V.T @ grad_o  # 10.19 to 10.21
        grad_a = (1 - h[t + 1] ** 2) * grad_h
        expected["c"] += grad_o  # 10.22
        expected["b"] += grad_a  # 10.23
        expected["V"] += np.outer(grad_o, h[t + 1])  # 10.24
        expected["W"] += np.outer(grad_a, h[t])  # 10.25, 10.26
        expected["U"] += np.outer(grad_a, xs[t, 0])  # 10.27, 10.28
        later = W.T @ grad_a
    for name, value in expected.items():
        np.testing.assert_allclose(grads[name].T, value, rtol=1e-10, atol=1e-12, err_msg=name)


# ---- additive memories ----


@pytest.mark.parametrize("squashed", [False, True])
@pytest.mark.parametrize("activation", NAMES)
@given(m=sizes, n=sizes, seed=seeds)
def test_additive(activation, squashed, m, n, seed):
    g, out = FUNCTIONS[activation], math.tanh if squashed else lambda a: a

    def one_sequence(p, state, xs):
        (c,), outputs = state, []
        for x in xs:
            c = [c[j] + net(j, (list(map(g, x)), p["W"])) for j in range(n)]
            outputs.append(list(map(out, c)))
        return [c], outputs

    check(Additive(m, n, activation, squashed), seed, one_sequence)


@pytest.mark.parametrize("squashed", [False, True])
def test_the_gradient_through_an_additive_memory_is_the_identity(squashed):
    cell = Additive(2, 3, squashed=squashed)
    params, state, xs = drawn(cell, 0, steps=200, batch=1)
    jacobian = tg.jacobian(lambda s: cell(params, xs, s)[0])(state)
    np.testing.assert_allclose(jacobian.reshape(3, 3), np.eye(3), rtol=1e-12, atol=1e-12)


# ---- independent units ----


@pytest.mark.parametrize("activation", NAMES)
@given(m=sizes, n=sizes, seed=seeds)
def test_indrnn(activation, m, n, seed):
    phi = FUNCTIONS[activation]

    def one_sequence(p, state, xs):
        (h,), outputs = state, []
        for x in xs:
            h = [phi(net(j, (x, p["W_xh"]), bias=p["b_h"][j]) + p["u"][j] * h[j]) for j in range(n)]
            outputs.append(h)
        return [h], outputs

    check(IndRNN(m, n, activation), seed, one_sequence)


@given(m=sizes, n=sizes, seed=seeds)
def test_indrnn_is_elman_with_diagonal_recurrent_weights(m, n, seed):
    cell, elman = IndRNN(m, n), Elman(m, n, "relu")
    params, state, xs = drawn(cell, seed)
    full = {"W_xh": params["W_xh"], "W_hh": np.diag(params["u"]), "b_h": params["b_h"]}
    np.testing.assert_allclose(unroll(cell, params, state, xs)[1], unroll(elman, full, state, xs)[1], rtol=1e-12)


def test_units_of_indrnn_start_where_the_paper_lets_them():
    rng = np.random.default_rng(0)
    for steps, bound in ((None, 1.0), (1, 2.0), (10, 2**0.1), (784, 2 ** (1 / 784))):
        u = IndRNN(1, 5000, steps=steps).init(rng, np.float64)["u"]
        assert u.min() >= 0
        assert 0.99 * bound < u.max() <= bound


# ---- fully recurrent ----


def units(p, mask, x, y):
    z, n = x + y, len(y)
    weights = p["W_x"] + p["W_y"]  # the rows of both
    kept = [[w if c else 0.0 for w, c in zip(*rows, strict=True)] for rows in zip(weights, mask, strict=True)]
    return [sigma(net(j, (z, kept), bias=p["b"][j])) for j in range(n)]


@given(m=sizes, n=sizes, masked=st.booleans(), data=st.data(), seed=seeds)
def test_fully_recurrent(m, n, masked, data, seed):
    outputs = data.draw(st.one_of(st.none(), st.integers(1, n)))
    mask = (np.random.default_rng(seed).random((m + n, n)) < (0.5 if masked else 2)).tolist()

    def one_sequence(p, state, xs):
        (y,), ys = state, []
        for x in xs:
            y = units(p, mask, x, y)
            ys.append(y[:outputs])
        return [y], ys

    check(FullyRecurrent(m, n, mask if masked else None, outputs), seed, one_sequence)


@given(m=sizes, n=sizes, seed=seeds)
def test_fully_recurrent_is_elmans_with_logistic_units(m, n, seed):
    cell, elman = FullyRecurrent(m, n), Elman(m, n, "sigmoid")
    params, state, xs = drawn(cell, seed)
    parted = {"W_xh": params["W_x"], "W_hh": params["W_y"], "b_h": params["b"]}
    np.testing.assert_allclose(unroll(cell, params, state, xs)[1], unroll(elman, parted, state, xs)[1], rtol=1e-12)


def test_connections_that_do_not_exist_are_not_learned_and_not_read():
    rng = np.random.default_rng(0)
    mask = rng.random((5, 3)) < 0.5
    cell = FullyRecurrent(2, 3, mask)
    assert cell == FullyRecurrent(2, 3, mask.tolist())
    assert hash(cell) == hash(FullyRecurrent(2, 3, mask.astype(int).tolist()))
    params, state, xs = drawn(cell, 1)
    grads = tg.grad(lambda p: np.sum(cell(p, xs, state)[1] ** 2))(params)
    np.testing.assert_array_equal(np.concatenate([grads["W_x"], grads["W_y"]]) != 0, mask)
    changed = params | {
        "W_x": np.where(mask[:2], params["W_x"], rng.standard_normal((2, 3))),
        "W_y": np.where(mask[2:], params["W_y"], rng.standard_normal((3, 3))),
    }
    np.testing.assert_array_equal(cell(changed, xs, state)[1], cell(params, xs, state)[1])


def test_connections_that_are_not_trained_are_read_and_keep_their_weight():
    rng = np.random.default_rng(2)
    there, trained = rng.random((5, 3)) < 0.7, rng.random((5, 3)) < 0.5
    cell, free = FullyRecurrent(2, 3, there, trained=trained.tolist()), FullyRecurrent(2, 3, there)
    assert cell == FullyRecurrent(2, 3, there, trained=trained.astype(int))
    params, state, xs = drawn(cell, 1)
    np.testing.assert_array_equal(cell(params, xs, state)[1], free(params, xs, state)[1])
    held, whole = (tg.grad(lambda p, c=c: np.sum(c(p, xs, state)[1] ** 2))(params) for c in (cell, free))
    for name, part in (("W_x", trained[:2]), ("W_y", trained[2:])):
        np.testing.assert_allclose(held[name], np.where(part, whole[name], 0), rtol=1e-12)
    assert (np.concatenate([held["W_x"], held["W_y"]]) != 0).tolist() == (there & trained).tolist()
    found = fit(lambda p, n: np.mean(cell(p, xs, state)[1] ** 2), params, lambda n: n, Adam(lr=0.1), steps=3)
    for name, part in (("W_x", (there & trained)[:2]), ("W_y", (there & trained)[2:])):
        np.testing.assert_array_equal(found.state.params[name] != params[name], part)
    assert check_cell(cell, oracles=QUICK).skipped == {}


def forced_case(outputs, steps=5, batch=2):
    rng = np.random.default_rng(outputs)
    cell = FullyRecurrent(2, 4, outputs=outputs, teacher_forcing=True)
    xs = {
        "x": rng.standard_normal((steps, batch, 2)),
        "d": rng.random((steps, batch, outputs)),
        "forced": rng.random((steps, batch, outputs)) < 0.5,
    }
    return cell, random_params(cell, rng), rng.random((batch, 4)), xs


@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_teacher_forcing(outputs):
    cell, params, state, xs = forced_case(outputs)
    end, ys = cell(params, xs, state)
    p, every = {name: value.tolist() for name, value in params.items()}, np.ones((6, 4)).tolist()
    for row in range(2):
        y = state[row].tolist()
        for t in range(5):
            forced, d = xs["forced"][t, row], xs["d"][t, row]
            y = [d[k] if k < outputs and forced[k] else y[k] for k in range(4)]
            y = units(p, every, xs["x"][t, row].tolist(), y)
            np.testing.assert_allclose(ys[t, row], y[:outputs], rtol=1e-12)
        np.testing.assert_allclose(end[row], y, rtol=1e-12)


@pytest.mark.parametrize("outputs", [2, 4])
def test_teacher_forced_gradients_are_those_of_real_time_recurrent_learning(outputs):
    """The paper's recurrence p^k_ij, in which p^k is 0 for forced units, in plain loops; no derivative of ours is used.

    s_k = sum_l w_kl z_l; p^k_ij(t+1) = f'(s_k) [sum over units l of w_kl p^l_ij(t) + delta_ik z_j(t)].
    """
    cell, params, state, xs = forced_case(outputs, batch=1)
    targets = np.random.default_rng(9).random((5, 1, outputs))

    def loss(p):
        return 0.5 * np.sum((cell(p, xs, state)[1] - targets) ** 2)

    found = tg.grad(loss)(params)
    m, n, steps = 2, 4, 5
    w = np.concatenate([params["W_x"], params["W_y"]]).T  # w[k, l]: to unit k from line l
    y, p, total = state[0].copy(), np.zeros((n, n, m + n + 1)), np.zeros((n, m + n + 1))
    for t in range(steps):
        for k in range(outputs):
            if xs["forced"][t, 0, k]:
                y[k] = xs["d"][t, 0, k]
                p[k] = 0
        z = np.concatenate([xs["x"][t, 0], y, [1.0]])  # the last line is the bias
        new, later = np.zeros(n), np.zeros_like(p)
        for k in range(n):
            new[k] = sigma(math.fsum(w[k, q] * z[q] for q in range(m + n)) + params["b"][k])
            for i in range(n):
                for j in range(m + n + 1):
                    through = math.fsum(w[k, m + u] * p[u, i, j] for u in range(n))
                    later[k, i, j] = new[k] * (1 - new[k]) * (through + (z[j] if i == k else 0.0))
        y, p = new, later
        error = y[:outputs] - targets[t, 0]
        total += np.einsum("k,kij->ij", error, p[:outputs])
    np.testing.assert_allclose(found["W_x"], total[:, :m].T, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found["W_y"], total[:, m : m + n].T, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found["b"], total[:, m + n], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("forcing", [False, True])
@pytest.mark.parametrize("outputs", [None, 2])
def test_options_of_the_fully_recurrent_network_by_every_quick_oracle(outputs, forcing):
    mask = np.random.default_rng(0).random((5, 3)) < 0.7
    for connections in (None, mask):
        cell = FullyRecurrent(2, 3, connections, outputs, teacher_forcing=forcing)
        assert check_cell(cell, oracles=QUICK).skipped == {}


# ---- what is refused ----


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Jordan(1, 2, 3, mu=1.0), "mu=1.0, expected at least 0 and below 1"),
        (lambda: Jordan(1, 2, 3, output_activation="softmax"), "Jordan: output_activation='softmax', expected one of"),
        (lambda: Additive(1, 2, activation=np.tanh), "Additive: activation=.*expected one of tanh, sigmoid, re"),
        (lambda: IndRNN(1, 2, steps=0), "IndRNN: steps=0, expected at least 1"),
        (lambda: FullyRecurrent(1, 2, outputs=3), "outputs=3, expected how many of 2 units"),
        (lambda: FullyRecurrent(1, 2, trained=[[1, 1]] * 2), r"trained has shape \(2, 2\).*expected 3 rows"),
        (lambda: FullyRecurrent(1, 2, connections=[[1, 1]] * 2), r"shape \(2, 2\).*expected 3 rows"),
        (lambda: FullyRecurrent(1, 2, connections=[[1, 1], [1], [0, 1]]), "expected 3 rows"),
        (lambda: FullyRecurrent(1, 2, connections=[[1, 1], [0.5, 1], [0, 1]]), "values True or False"),
    ],
)
def test_wrong_options_are_refused_with_the_remedy(call, words):
    with pytest.raises(OptionError, match=words):
        call()
