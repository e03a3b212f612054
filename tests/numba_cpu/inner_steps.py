"""Steps that hold scans: each way in which values come into an inner loop, stay in it and go out of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tapegrad as tg
from tests.numba_cpu.steps import B, Case, F, H, I, N, T, V, Z

K = 3

INNER: dict[str, Case] = {}


def case(params: Any, state: Any, xs: Any, rows: int = B) -> Callable:
    def added(step: Callable) -> Callable:
        INNER[step.__name__] = Case(step, (params, state, xs), rows)
        return step

    return added


def rounds(body: Callable, state: Any, xs: Any = None, length: int | None = None, **options: Any) -> tuple:
    """An inner scan; what its body reads besides, it closes over."""
    return tg.scan(lambda _, s, x: body(s, x), None, state, xs, length=length, **options)


# ---- states ----
@case({"U": F(I, H), "W": F(H, H)}, F(B, H), F(T, B, I))
def solver(p, h, x):
    """An ordinary differential equation, by Euler's method; the input's product is the same in each round."""
    h, _ = rounds(lambda s, _: (s + 0.3 * (np.tanh(s @ p["W"] + x @ p["U"]) - s), None), h, length=K)
    return h, h


@case({"W": F(H, H), "b": F(H)}, F(B, H), F(T, B, H))
def runge_kutta(p, h, x):
    def body(s, _):
        f = lambda v: np.tanh(v @ p["W"] + p["b"] + x)  # noqa: E731
        a = f(s)
        b = f(s + 0.1 * a)
        return s + 0.1 * (a + b), a

    h, slopes = rounds(body, h, length=K)
    return h, (h, slopes[-1], np.sum(slopes, axis=0))


@case({"W": F(H, H)}, (F(B, H), F(B, H), F(B, 2)), F(T, B, H))
def states_that_change_places(p, state, x):
    a, b, c = state
    body = lambda s, _: ((s[1], np.roll(s[0], 1, axis=1) * 0.9, s[2][:, ::-1] + 0.1 * s[0][:, :2]), s[2])  # noqa: E731
    (a, b, c), cs = rounds(body, (a, b, c), length=K)
    return (np.tanh(a @ p["W"] + x), b, c), cs


@case({"W": F(H, H)}, F(B, H), F(T, B, H))
def state_read_after_it_is_made(p, h, x):
    """The old state is read behind the product of the new one."""

    def body(s, _):
        new = s * x + 0.1
        return new, np.sin(new @ p["W"] + s) * s[:, ::-1]

    h, ys = rounds(body, h, length=K)
    return np.tanh(h), ys


@case(F(H, H), F(B, H), F(T, B, H))
def product_as_state(w, h, x):
    """The sum of products that is the new state is a term of another one."""

    w = 0.3 * w

    def body(s, _):
        new = s @ w + (0.5 * s) @ w.T
        return new, new + (s * x) @ w + 1.0

    _, ys = rounds(body, h + x, length=K)  # the last one is not read
    return ys[-1], ys


@case({"U": F(I, H), "W": F(H, H), "a": F(H)}, F(B, H), F(T, B, I))
def given_to_the_rounds(p, h, x):
    """What the rounds are given and do not change: each of them does with it what could be done once."""

    def body(q, s, z):
        p, x, h = q
        s = np.tanh(s @ p["W"] + x @ p["U"] + np.sum(h * p["a"], axis=1, keepdims=True))
        return s, (x @ p["U"], s * (h @ p["W"]), np.transpose(h), np.sum(s, axis=1))

    h, ys = tg.scan(body, (p, x, h), h, None, length=K, reverse=True)
    return h, ys


@case(F(H, H), F(B, H), F(T, B, H))
def constant_states(w, h, x):
    """A state that begins as a number, one that becomes one, one that becomes what no round changes, one unread."""
    body = lambda s, _: ((s[0] + s[2], s[1] @ w, 0.5, x, s[4] + 1.0), s[2] * s[1] + s[3])  # noqa: E731
    (a, b, c, d, e), ys = rounds(body, (0.0, h, 0.1, h, 0.0), length=K)
    return np.tanh(b + d), (ys, a, c, e)


@case({"W": F(H, H), "E": F(V, H), "O": F(H, V)}, (F(B, H), Z(B)), F(T, B, H))
def decoder(p, state, x):
    """Tokens are chosen in the rounds and read in the next ones."""

    def body(s, _):
        h, token = s
        h = np.tanh(h @ p["W"] + p["E"][token] + x)
        scores = h @ p["O"]
        return (h, np.argmax(scores, axis=1)), (token, scores)

    (h, token), (tokens, scores) = rounds(body, state, length=K)
    return (h, token), (tokens, np.max(scores, axis=0))


@case({"W": F(H, H), "v": F(H)}, F(B, H), F(T, B, H))
def halting(p, h, x):
    """As many rounds as a row wants, up to K."""

    def body(s, _):
        h, done, n = s
        new = np.tanh(h @ p["W"] + x)
        h = np.where(done[:, None], h, new)
        n = n + np.where(done, 0, 1).astype(n.dtype)
        return (h, np.logical_or(done, new @ p["v"] > 0.2), n), done

    (h, done, n), dones = rounds(body, (h, np.zeros(h.shape[0], bool), np.zeros(h.shape[0], np.int32)), length=K)
    return h, (n, dones)


@case({"W": F(H, H), "V": F(2, N)}, F(B, N, H), F(T, B, H))
def matrix_rows(p, s, x):
    """Rows that hold several rows of a product."""
    s, ys = rounds(lambda s, _: (np.tanh(s @ p["W"] + x[:, None, :]), p["V"] @ s), s, length=K)
    return s, ys


# ---- xs and ys ----
@case({"U": F(I, H), "Q": F(H, H)}, F(B, H), F(T, B, I))
def attention(p, h, x):
    """Over a memory that the step makes: a numerator and a denominator, and the weights for the output."""
    memory = np.stack([np.tanh(x @ p["U"] * (k + 1) + h) for k in range(K)])
    q = h @ p["Q"]

    def body(s, m):
        e = np.exp(np.sum(q * m, axis=1, keepdims=True))
        return (s[0] + e * m, s[1] + e), e

    (num, den), e = rounds(body, (np.zeros_like(h), np.zeros((h.shape[0], 1), h.dtype)), memory)
    return np.tanh(num / den), (e / den)[..., 0]


@case({"W": F(H, H)}, (F(B, H), F(B, K, H)), F(T, B, H))
def memory_of_rows(p, state, x):
    """The rounds' axis is behind that of the rows; what they give is the next memory."""
    h, memory = state
    body = lambda s, m: (np.tanh(s @ p["W"] + m), 0.5 * m + s)  # noqa: E731
    h, new = rounds(body, h + x, np.swapaxes(memory, 0, 1))
    return (h, np.swapaxes(new, 0, 1)), new[0]


@case({"W": F(H, H), "P": F(3, H)}, F(B, H), F(T, K, B, H))
def frames(p, h, x):
    """Each x of the step is a sequence itself, read backwards, and in part."""
    h, ys = rounds(lambda s, z: (np.tanh(s @ p["W"] + z + z[:, 1:4] @ p["P"]), s * z), h, x, reverse=True)
    return h, ys


@case({"W": F(H, H)}, F(B, H), F(T, K, B, H))
def gradients_of_inputs_only(p, h, x):
    y, ys = rounds(lambda s, z: (s + z @ p["W"], s), h, x)
    return h * 0.9, (y, np.sum(ys[::2], axis=(0, 2)))


@case({"L": F(K, H, H), "c": F(K, H)}, F(B, H), F(T, B, H))
def layers(p, h, x):
    """Each round has weights of its own."""
    h, ys = rounds(lambda s, w: (np.tanh(s @ w["L"] + w["c"] + x), s), h, p)
    return h, ys[1]


@case({"W": F(H, H)}, (F(B, H), F(2)), F(T, B, H))
def inputs_without_rows(p, state, x):
    """What goes in is the same for all rows, and changes from step to step."""
    h, phase = state
    times = np.sin(np.arange(1.0, K + 1, dtype=phase.dtype)[:, None] * phase)
    h, ys = rounds(lambda s, z: (np.tanh(s @ p["W"] + x * z[0] + z[1]), (s, z)), h, times)
    return (h, phase * 0.9), ys


@case({"W": F(H, H)}, F(B, H), F(T, B, H))
def what_no_round_changes(p, h, x):
    """Outputs that are the same in every round, xs that are given out again, and a new state that is an x."""
    zs = np.stack([h, x, h * x])
    h, ys = rounds(lambda s, z: (z, (x @ p["W"], 2.0, p["W"][0], z, s, z[:, :2])), h, zs)
    return np.tanh(h), ys


@case({"W": F(H, H)}, F(B, H), F(T, B, H))
def parts_and_pads(p, h, x):
    def body(s, z):
        gates = np.concatenate([s[:, :2] @ p["W"][:2], z], axis=1)
        return np.pad(gates[:, 1:4], ((0, 0), (1, 1))) * 0.5 + s, gates[:, ::2]

    h, ys = rounds(body, h, np.stack([x, 2 * x]))
    return np.tanh(h), ys


@case({"W": F(H, H)}, F(B, H), F(T, B, H))
def broadcast_xs(p, h, x):
    h, ys = rounds(lambda s, z: (np.tanh(s @ p["W"] + z), z * s), h, np.broadcast_to(x, (K, *x.shape)))
    return h, np.flip(ys, 0)


@case({"W": F(H, H), "P": F(3, H)}, F(B, H), F(T, K + 1, B, H))
def views_of_sequences(p, h, x):
    """A part of a sequence, backwards, and another that does not move; whole rows of it times weights, and parts."""
    zs = {"a": x[:0:-1], "b": np.broadcast_to(x[0], (K, *x.shape[1:])), "c": x[1:]}
    body = lambda s, z: (np.tanh(s + z["a"] @ p["W"] + z["b"] @ p["W"].T + z["c"][:, 1:4] @ p["P"]), s * z["a"])  # noqa: E731
    return rounds(body, h, zs)


@case({"W": F(H, H)}, F(B, H), F(T, B, H))
def weights_that_change(p, h, x):
    """The weights of each round are the same ones, times a number of its own."""
    body = lambda s, z: ((np.tanh(s[0] @ (p["W"] * z) + s[0] @ (p["W"] * s[1]) + x), 0.5 * s[1] + 0.1), s[0])  # noqa: E731
    (h, _), ys = rounds(body, (h, 1.0), np.linspace(0.5, 1.0, K).astype(x.dtype))
    return h, ys


# ---- sums over time ----
@case({"E": F(V, H), "W": F(H, H)}, F(B, H), Z(T, K, B, low=-V))
def embedded(p, h, x):
    h, _ = rounds(lambda s, z: (np.tanh(s @ p["W"] + p["E"][z]), None), h, x)
    return h, None


@case({"a": F(H), "W": F(H, H), "c": F(), "M": F(N, H)}, F(B, H), F(T, B, H))
def every_kind_of_gradient(p, h, x):
    """Vectors, a number, weights that are transformed first, outer products and elementwise ones."""

    def body(s, _):
        s = np.tanh(s * p["a"] + (x * s) @ (p["W"] @ p["W"].T) + p["c"] * x)
        return s, np.sum(s[:, None, :] * p["M"], axis=2)

    h, ys = rounds(body, h, length=K)
    return h, ys


@case({"P": F(B, H), "W": F(H, H)}, F(B, H), F(T, B, H))
def parameters_of_rows(p, h, x):
    h, _ = rounds(lambda s, _: (np.tanh(s * p["P"] + x @ p["W"]), None), h, length=K)
    return h, None


@case({"W": F(H, H), "S": F(B, H)}, F(B, H), F(T, B, H))
def known_beforehand(p, h, x):
    """An inner scan of parameters alone is done once."""
    w, ws = rounds(lambda s, _: (np.tanh(s @ p["W"]), s), p["S"], length=K)
    return np.tanh(h * w + x), ws[1] * h


# ---- loops in loops ----
@case({"W": F(H, H), "U": F(H, H)}, F(B, H), F(T, 2, B, H))
def loops_in_loops(p, h, x):
    """The innermost reads the outer round's x and state, and what it gives is read in the rounds and behind them."""

    def outer(s, z):
        u = z @ p["U"]
        m, ms = rounds(lambda a, _: (np.tanh(a @ p["W"] + u + s), a @ p["U"]), s * z, length=K)
        return 0.5 * s + m, ms

    h, ys = rounds(outer, h, x)
    return h, ys


@case({"W": F(H, H)}, F(B, H), F(T, B, H))
def loops_behind_each_other(p, h, x):
    a, ys = rounds(lambda s, _: (np.tanh(s @ p["W"] + x), s), h, length=K)
    b, zs = rounds(lambda s, y: (s + y * a, s), x, ys, reverse=True)
    return np.tanh(a + b), (ys + zs)


@case({"W": F(H, H)}, F(B, H), F(T, B, H))
def computed_again(p, h, x):
    """A checkpoint in a round, and a round in a checkpoint."""
    body = tg.checkpoint(lambda s, z: (np.tanh(s @ p["W"] + z), s))
    h, ys = tg.checkpoint(lambda h: rounds(body, h, np.stack([x, h])))(h)
    return h, ys


@case({"W": F(H, H)}, F(B, H), F(T, K, B, H))
def mapped(p, h, x):
    """Rounds for each row, mapped over the rows."""
    one = lambda s, zs: rounds(lambda s, z: (np.tanh(s @ p["W"] + z), s), s, zs)  # noqa: E731
    h, ys = tg.vmap(one, (0, 1))(h, x)
    return h, ys


@case({"W": F(H, H)}, F(B, H), F(T, K, B, H))
def ending_early(p, h, x):
    """Rows with rounds of their own number, and some that begin anew."""
    lengths, reset = np.arange(B) % (K + 1), np.arange(K * B).reshape(K, B) % 4 == 0
    h, ys = rounds(lambda s, z: (np.tanh(s @ p["W"] + z), s), h, x, lengths=lengths, reset=reset)
    return h, ys


# ---- few rounds ----
@case({"W": F(H, H)}, F(B, H), F(T, 1, B, H))
def one_round(p, h, x):
    h, ys = rounds(lambda s, z: (np.tanh(s @ p["W"] + z), s), h, x)
    return h, ys


@case({"W": F(H, H)}, F(B, H), F(T, B, H))
def no_round(p, h, x):
    a, _ = rounds(lambda s, _: (np.tanh(s @ p["W"]), None), h, length=0)
    return np.tanh(a @ p["W"] + x), a


# ---- a single row ----
@case({"W": F(H, H)}, F(B, H), F(T, B, H), rows=1)
def mean_of_rows(p, h, x):
    h, _ = rounds(lambda s, _: (np.tanh(s @ p["W"] + np.mean(s, axis=0) + x), None), h, length=K)
    return h, np.sum(h)


@case(F(H, H), F(H), F(T, H), rows=1)
def vector(w, s, x):
    s, ys = rounds(lambda s, _: (np.tanh(w @ s + x), s[0]), s, length=K)
    return s, ys


@case(F(), F(), F(T), rows=1)
def scalar(w, s, x):
    return rounds(lambda s, _: (np.sin(w * s + x), s), s, length=K)
