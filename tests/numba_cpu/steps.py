"""Steps that need each kind of compiled code, with what their params, state and xs are drawn as."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tapegrad as tg

B, H, T, N, V, I = 6, 5, 4, 3, 9, 4  # noqa: E741 - all different, so that no axis can be taken for another


class F:
    """A float array of a shape."""

    def __init__(self, *shape: int, dtype: Any = None):
        self.shape, self.dtype = shape, dtype

    def draw(self, rng: np.random.Generator, dtype: Any) -> np.ndarray:
        return np.asarray(0.5 * rng.normal(size=self.shape), self.dtype or dtype)


class Z(F):
    """An integer array."""

    def __init__(self, *shape: int, low: int = 0, high: int = V, dtype: Any = np.int64):
        super().__init__(*shape, dtype=dtype)
        self.low, self.high = low, high

    def draw(self, rng: np.random.Generator, dtype: Any) -> np.ndarray:
        return np.asarray(rng.integers(self.low, self.high, self.shape), self.dtype)


@dataclass(frozen=True)
class Case:
    """A step and its arguments; ``rows`` says how many independent rows it has."""

    step: Callable
    drawn: tuple
    rows: int

    def arguments(self, dtype: Any, seed: int = 0) -> tuple:
        rng = np.random.default_rng(seed)
        return tg.tree_map(lambda leaf: leaf.draw(rng, dtype) if isinstance(leaf, F) else leaf, self.drawn)

    def __str__(self) -> str:
        return self.step.__name__


CASES: dict[str, Case] = {}


def case(params: Any, state: Any, xs: Any, rows: int = B) -> Callable:
    def added(step: Callable) -> Callable:
        CASES[step.__name__] = Case(step, (params, state, xs), rows)
        return step

    return added


# ---- sums of elementwise products ----
@case(F(H), F(B, N, H), F(T, B, N))
def sums_of_products(w, s, x):
    spread = x[:, :, None] * np.ones((1, 1, H), x.dtype)
    ends = np.sum(s[:, :, ::-1] * spread, axis=1), np.sum(s * w, axis=2), np.sum(x * np.tanh(x), axis=1)
    return 0.5 * np.tanh(s * w + np.sum(s * s, axis=(1, 2), keepdims=True)), ends


# ---- products ----
@case({"U": F(I, H), "W": F(H, H), "V": F(H, H)}, F(B, H), F(T, B, I))
def inputs_apart(w, s, x):
    return x @ w["U"] + s @ w["W"], x @ w["U"] + s @ w["V"]


@case(F(H, H), F(B, H), F(T, B, H))
def output_alone(w, s, x):
    return s, np.tanh(x @ w)


@case(F(H, H), F(B, H), F(T, B, H))
def no_inputs(w, s, x):
    return np.tanh(s @ w), None


@case({"U": F(3, 4 * H), "W": F(H, 4 * H), "b": F(4 * H)}, (F(B, H), F(B, H)), F(T, B, 3))
def merged_gates(p, s, x):
    h, c = s
    i, f, g, o = np.split(x @ p["U"] + h @ p["W"] + p["b"], 4, axis=1)
    c = tg.sigmoid(f) * c + tg.sigmoid(i) * np.tanh(g)
    h = tg.sigmoid(o) * np.tanh(c)
    return (h, c), h


@case(F(I + H, H), F(B, H), F(T, B, I))
def joined_input(w, s, x):
    return np.tanh(np.concatenate([x, s], 1) @ w), s


MASK = np.random.default_rng(3).random((I + H, H)) < 0.6


@case({"W": F(I + H, H), "V": F(I + H, H)}, F(B, H), F(T, B, I))
def masked_weights(p, s, x):
    joined = np.concatenate([x, s], 1)
    return np.tanh(joined @ np.where(MASK, p["W"], 0) + joined @ (MASK * p["V"])), s


@case(F(H, H), F(B, H), F(T, B, H))
def transposed_weights(w, s, x):
    return np.tanh(np.einsum("ij,bj->bi", w, s) + x @ w.T), s


@case({"W": F(37, 37), "U": F(13, 37), "O": F(37, 11), "c": F(11)}, F(B, 37), F(T, B, 13))
def wide(w, s, x):
    return np.tanh(0.3 * (s @ w["W"] + x @ w["U"])), s @ w["O"] + w["c"]


@case(F(H, H), F(B, H), F(T, B, H))
def derived_weights(w, s, x):
    return np.tanh(s * np.sum(w, axis=0) + x @ (w @ w.T)), s


@case({"W": F(H, H), "V": F(2, N)}, F(B, N, H), F(T, B, H))
def matrix_rows(p, s, x):
    return np.tanh(s @ p["W"] + x[:, None, :]), (p["V"] @ s, np.sum(s, axis=(1, 2)))


@case(F(H), F(B, N, H), F(T, B, N, H))
def products_of_rows(w, s, x):
    return np.tanh(s @ np.swapaxes(s, 1, 2) @ s * 0.3 + x * w), None


@case({"K": F(I, H), "V": F(I, N), "W": F(H, H)}, (F(B, N, H), F(B, H)), F(T, B, I))
def fast_weights(p, s, x):
    memory, h = s
    key, value = np.tanh(x @ p["K"]), x @ p["V"]
    memory = 0.9 * memory + 0.5 * value[:, :, None] * key[:, None, :]
    read = np.einsum("bn,bnm->bm", tg.softmax(np.einsum("bnm,bm->bn", memory, h)), memory)
    return (memory, np.tanh(read @ p["W"])), read


@case({"W": F(6, 6), "M": F(2, 3, 3)}, F(B, 6), F(T, B, 6))
def heads(p, s, x):
    q = np.reshape(s @ p["W"], (s.shape[0], 2, 3))
    k = np.einsum("bhd,hde->bhe", q, p["M"])
    return np.tanh(np.reshape(k, (s.shape[0], 6)) + x), q


# ---- reductions ----
@case(F(H, H), F(B, H), F(T, B, H))
def softmax_state(w, s, x):
    return tg.softmax(s @ w + x), tg.log_softmax(s @ w)


@case(F(H), F(B, H), F(T, B, H))
def extrema(w, s, x):
    new = s - np.max(s, axis=-1, keepdims=True) + np.min(s * w, axis=1)[:, None] + x
    return new, (np.max(s, axis=1), np.min(x[:, :, None] * s[:, None], axis=1))


@case({"W": F(H, H), "g": F(H), "b": F(H)}, F(B, H), F(T, B, H))
def layer_norm(p, s, x):
    z = s @ p["W"] + x
    z = (z - np.mean(z, axis=1, keepdims=True)) / np.sqrt(np.var(z, axis=1, keepdims=True) + 1e-5)
    return np.tanh(z * p["g"] + p["b"]), s


@case({"W": F(37, 37), "g": F(37), "V": F(37, H)}, F(B, 37), F(T, B, H))
def norm_upon_norm(p, s, x):
    z = s @ p["W"]
    z = z - np.mean(z, axis=1, keepdims=True)
    z = p["g"] * z / np.sqrt(np.mean(z * z, axis=1, keepdims=True) + 0.1)
    y = tg.softmax(z @ p["V"] + x)
    return np.tanh(z / np.max(np.abs(z) + 1, axis=1, keepdims=True) + np.sum(y * x, axis=1, keepdims=True)), (y, z)


@case(F(H), F(B, H), F(T, B, H))
def running(w, s, x):
    return np.tanh(np.cumsum(s, axis=1) * w + x), (np.prod(s, axis=1), np.cumsum(s[:, None], axis=1))


@case(F(H, H), F(B, H), F(T, B, H))
def positions(w, s, x):
    return np.tanh(s @ w + x), (np.argmax(s, axis=1), np.argmin(x, axis=1, keepdims=True))


# ---- moving elements ----
@case(F(H), F(B, H), F(T, B, H))
def shifted(w, s, x):
    return np.concatenate([s[:, 1:], x[:, :1]], axis=1) * w, s[:, ::2]


@case(F(H), F(B, H), F(T, B, H))
def rolled(w, s, x):
    return np.tanh(np.roll(s, 2, axis=1) * w + s[:, ::-1] + x), s.T


@case(F(H), F(B, H), F(T, B, H))
def tiled(w, s, x):
    new = np.tanh(np.repeat(s[:, :2], 3, axis=1)[:, :H] * w + np.tile(x[:, :1], (1, H)))
    return new, np.stack([s, x, s * x], axis=1)


@case(F(H), F(B, H), F(T, B, H))
def padded(w, s, x):
    return np.tanh(np.pad(s[:, 1:] * w[1:], ((0, 0), (1, 0))) + x), np.pad(s, ((0, 0), (2, 1)))


@case(F(H, H), F(H, B), F(T, H, B))
def batch_last(w, s, x):
    return np.tanh(w @ s + x), s


@case({"G": F(6, 2), "W": F(6, 6), "U": F(I, 6)}, F(B, 6), F(T, B, I))
def gates_of_blocks(p, s, x):
    gate = tg.sigmoid(s @ p["G"])
    apart = np.reshape(s, (s.shape[0], 2, 3)) * gate[:, :, None]
    return np.tanh(np.repeat(gate, 3, axis=1) * (s @ p["W"] + x @ p["U"])) + np.reshape(apart, s.shape), gate


# ---- indices, integers, truth values ----
@case({"W": F(H, H), "E": F(V, H), "G": F(V, I), "U": F(I, H)}, F(B, H), Z(T, B, low=-V))
def embedded(w, s, x):
    return np.tanh(s @ w["W"] + w["E"][x] + w["G"][x] @ w["U"]), s


@case(F(H, H), F(B, H), Z(T, B, high=H))
def one_hot(w, s, x):
    return np.tanh(s @ w + (np.arange(H) == x[:, None])), s


@case({"W": F(H, H), "E": F(V, H), "O": F(H, V)}, (F(B, H), Z(B)), F(T, B, H))
def greedy(p, s, x):
    h, token = s
    h = np.tanh(h @ p["W"] + p["E"][token] + x)
    return (h, np.argmax(h @ p["O"], axis=1)), token


@case(F(H, H), F(B, H), F(T, B, H), rows=1)
def picked(w, s, x):
    return np.tanh(s @ w + x), np.take_along_axis(s, np.argmax(s, axis=1)[:, None], axis=1)


@case(F(H, H), (F(B, H), np.int64(0)), F(T, B, H))
def counter(p, s, x):
    h, n = s
    return (np.tanh(h @ p + x * (n % 2 == 0)), n + 1), n


@case(F(H, H), (F(B, H), np.zeros((B, 1), bool)), F(T, B, H))
def flags(p, s, x):
    h, m = s
    m = np.logical_or(m, x[:, :1] > 0.3)
    return (np.where(m, h, np.tanh(h @ p + x)), m), (np.logical_not(m), np.where(x > 0, m, x < h))


@case(F(H, H), F(B, H), Z(T, B, H, low=-3, high=4, dtype=np.int32))
def whole_numbers(w, s, x):
    return np.tanh(s @ w + x / 3).astype(s.dtype), (
        x * 2 + 1,
        x // 2,
        x % 3,
        np.sum(x, axis=1),
        np.max(x, axis=1),
        np.sign(x),
    )


# ---- elementwise ----
@case(F(H, H), F(B, H), F(T, B, H))
def kinks(w, s, x):
    return np.clip(s @ w + x, -0.5, 0.5) ** 2 + np.maximum(s, 0) * 0.1, np.abs(s) ** 1.5


@case(F(H, H), F(B, H), F(T, B, H))
def powers(w, s, x):
    new = np.tanh(s @ w + x) ** 2 - 0.5 * np.tanh(s) ** 3
    return new, (x**2.0, np.power(s, 4), np.power(x, 3.0), (np.abs(s) + 1) ** -1.0)


@case(F(H), F(B, H), F(T, B, H))
def chosen(w, s, x):
    return s * np.where(x > 0, w, -1.0) + x, (np.sign(s), np.isfinite(s), np.where(s > 0, 1.0, 2.0))


@case(F(H, H), F(B, H), F(T, B, H, dtype=np.float32))
def narrow_inputs(w, s, x):
    return np.tanh(s @ w + x).astype(s.dtype), (s.astype(np.float64) * 2 + x).sum(1)


@case(F(H, H, dtype=np.float32), F(B, H, dtype=np.float64), F(T, B, H))
def narrow_weights(w, s, x):
    return np.tanh(s @ w + x), s.astype(np.float32) @ w


@case(F(H, H), F(B, H), F(T, B, H))
def checkpointed(w, s, x):
    return tg.checkpoint(lambda a, k: np.tanh(k * a @ w + x))(s, 0.5), s


@case({"P": F(B, H), "W": F(H, H)}, F(B, H), F(T, B, H))
def parameters_of_rows(w, s, x):
    return np.tanh(s * w["P"] + x @ w["W"]), s


# ---- a single row ----
@case(F(H, H), F(H), F(T, H), rows=1)
def vector(w, s, x):
    return np.tanh(w @ s + x), s[0]


@case(F(), F(), F(T), rows=1)
def scalar(w, s, x):
    return np.sin(w * s + x), s


@case(F(H, H), F(B, H), F(T, B, H), rows=1)
def mean_of_rows(w, s, x):
    return np.tanh(s @ w + np.mean(s, axis=0) + x), np.sum(s)


@case(F(H, H), F(B, H), F(T, B, H), rows=1)
def gram(w, s, x):
    return np.tanh(s @ (s.T @ s) * 0.1 + x @ w), None
