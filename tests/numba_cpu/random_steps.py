"""Random steps over values of many kinds: matrices and vectors for each row, integers, truth values, states of each.

Each kind of value has templates that make it of values of other kinds. With ``mixed`` some look from one row into
another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.testing.strategies import LAYOUTS, laid_out

# Kinds: f2 (B, H), f3 (B, N, H), fn (B, N), fc (B, 1) and f1 (B,) of floats, i1 (B,) and i2 (B, H) of integers, b1 (B,)
# and b2 (B, H) of truth values; and without rows HH, NH, HN, VH, H and s, a scalar.
MADE = {
    "f2": (
        "np.tanh({f2})", "{f2} + {f2}", "{f2} * {f2}", "{f2} @ {HH}", "{f2} - {fc}", "{fn} @ {NH}", "-{f2}",
        "np.einsum('bh,kh->bk', {f2}, {HH})", *["x['f'] @ p['IH'] + {f2} @ {HH} + {H}"] * 5,
        "np.where({b2}, {f2}, {f2})", "np.where({b2}, {f2}, 0.0)", "np.where({b1}[:, None], {f2}, {f2})",
        "{VH}[{i1} % V]", "{VH}[{i1} % V] @ {HH}", "np.sum({f3}, axis=1)", "np.max({f3}, axis=1)",
        "np.einsum('bnh,bn->bh', {f3}, {fn})", "{f2}[:, ::-1]", "np.roll({f2}, 1, axis=1)",
        "np.concatenate([{f2}[:, 1:], {f2}[:, :1]], axis=1)", "np.cumsum({f2}, axis=1)", "{f3}[:, 0]", "{f3}[:, -1]",
        "np.reshape({f3}, (B, -1))[:, :H]", "tg.softmax({f2})", "tg.log_softmax({f2})", "tg.sigmoid({f2})",
        "np.exp(-np.abs({f2}))", "{f2} + {H}", "{f2} * {H}", "{f2} * p['BH']", "0.5 * {f2}", "np.maximum({f2}, {f2})",
        "{f2} * {s}", "np.clip({f2}, -0.5, 0.5)", "{f2} + {i2}", "{f2} * {b2}", "{f2} * {i1}[:, None]",
        "np.broadcast_to({fc}, (B, H)) + 0.1", "np.take({f2}, [0] * H, axis=1)",
        "tg.checkpoint(lambda a, b: np.tanh(a) * b)({f2}, {f2})", "np.pad({f2}[:, 1:], ((0, 0), (1, 0)))",
        "np.repeat({fc}, H, axis=1)", "np.stack([{f2}, {f2}], axis=2)[:, :, 1]", "np.tile({fc}, (1, H))",
        "np.logaddexp({f2}, {f2})", "np.where({i1}[:, None] == np.arange(H), {f2}, 1.0)", "np.abs({f2})",
        "{f2}.astype(np.float32).astype(F)", "np.squeeze({f2}[:, None], 1) * np.float32(0.3)", "tg.stop_gradient({f2})",
        "{f2} + np.outer({f1}, {H})", "{f2} / (1.5 + {f2} ** 2)", "np.min({f3}, axis=1)",
        "np.concatenate([{f2}, {f2}], axis=1) @ p['GH']", "({f2} @ p['HG'])[:, ::2]", "np.transpose({f2}.T)",
        "(lambda a, b: tg.sigmoid(a) * b)(*np.split({f2} @ p['HG'], 2, axis=1))", "{f2} ** 2", "{f2} % 1.0",
        "np.floor({f2} * 3) * {f2}", "np.sign({f2}) * {f2}", "np.arctan2({f2}, 1.5 + {f2} ** 2)", "{f2} * np.arange(H)",
        "tg.vmap(lambda v: np.tanh(v) * np.sum(v))({f2})", "tg.grad(lambda v: np.sum(np.tanh(v) ** 3))({f2})",
        "(np.swapaxes({f3}, 1, 2) @ {fn}[:, :, None])[:, :, 0]", "{f2} / np.sqrt(0.5 + np.var({f2}, axis=1))[:, None]",
        "tg.index_update({f2}, (slice(None), 0), {f1})", "tg.index_add({f2}, (slice(None), slice(None, None, 2)), 0.5)",
        "np.where({i2} < {f2}, {f2}, {i2})", "{f2} * ({b2} + {b2})", "np.flip({f2}, axis=1) - {f2}[:, [0] * H]",
        "np.mean(np.stack([{f2}, {f2}]), axis=0)", "np.swapaxes(np.swapaxes({f2}, 0, 1) * {f1}, 0, 1)", "x['w'].T",
        "{f2} * K", "np.cumsum({f2}.T, axis=0).T", "({f2}.T[::-1] + {f1}).T",
    ),
    "fc": ("np.sum({f2}, axis=1, keepdims=True)", "{f2}[:, :1]", "{f1}[:, None]", "x['c']", "np.tanh({fc})",
           "np.max({f2}, axis=1, keepdims=True)", "np.take_along_axis({f2}, {i1}[:, None] % H, axis=1)"),
    "f1": ("np.mean({f2}, axis=1)", "{f2}[:, 0]", "{f2} @ {H}", "np.einsum('bh,bh->b', {f2}, {f2})",
           "np.max({fn}, axis=1)", "np.prod({f2}, axis=1)", "tg.logsumexp({f2}, axis=1)", "{i1} / 3",
           "np.where({b1}, {i1}, {f1})", "np.mean({i2}, axis=1)",
           "tg.scan(lambda w, s, v: (np.tanh(s * w + v).astype(F), s), 0.5, {f1}.astype(F), {f2}.T)[0]"),
    "f3": ("{f2}[:, None, :] * {fn}[:, :, None]", "{f3} @ {HH}", "np.tanh({f3})", "{f3} + {NH}", "0.5 * {f3} + {f3}",
           "{f3} * {f2}[:, None]", "{f3} - np.mean({f3}, axis=1, keepdims=True)", "np.cumsum({f3}, axis=1)",
           "0.1 * ({f3} @ (np.swapaxes({f3}, 1, 2) @ {f3}))", "np.einsum('nm,bmh->bnh', p['NN'], {f3})",
           "np.concatenate([{f3}[:, 1:], {f2}[:, None]], axis=1)", "tg.softmax({f3}, axis=1)", "np.flip({f3}, 1)",
           "np.where({f3} > 0, {f3}, 0.1 * {f3})", "{VH}[np.stack([{i1} % V] * N, axis=1)]",
           "np.where(np.arange(N)[:, None] == {i1}[:, None, None], {f2}[:, None], {f3})"),
    "fn": ("{f2} @ {HN}", "np.einsum('bnh,bh->bn', {f3}, {f2})", "tg.softmax({fn})", "np.sum({f3}, axis=2)",
           "{f3}[:, :, 0]", "{fn} @ p['NN']"),
    "i1": ("np.argmax({f2}, axis=1)", "{i1} + {i1}", "{i1} * 3 % 5", "-{i1} // 3", "np.where({b1}, {i1}, {i1})",
           "x['t']", "np.minimum({i1}, 4)", "{b1}.astype(np.int64)", "np.sum({b2}, axis=1)", "np.max({i2}, axis=1)",
           "np.argmin({fn}, axis=1)", "p['table'][{i1} % V]", "{i1} * 0 + n", "{i2}[:, 0]",
           "np.argmax({b2}, axis=1)", "np.sign({i1})", "np.abs({i1}) ** 2 % 7", "np.cumsum({i2}, axis=1)[:, -1]"),
    "i2": ("np.rint({f2} * 3).astype(np.int32)", "{i2} % 3", "{i2} * {i1}[:, None] % 5", "{b2}.astype(np.int8)",
           "np.where({b2}, {i2}, 0)", "{i2}[:, ::-1]", "{i2}.astype(np.int8) * 100",
           "{i2}.astype(np.uint8) // 3", "np.cumsum({b2}, axis=1)", "{b2} * {i2}", "np.maximum({i2}, {i1}[:, None])"),
    "b2": ("{f2} > {f2}", "np.logical_and({b2}, {b2})", "np.logical_or({b2}, {b1}[:, None])", "np.logical_not({b2})",
           "np.isfinite({f2})", "{i2} > {i1}[:, None]", "{b2}[:, ::-1]", "np.where({b1}[:, None], {b2}, {b2})"),
    "b1": ("{f1} > 0", "x['m']", "{i1} % 2 == 0", "np.any({b2}, axis=1)", "{b2}[:, 0]", "np.max({b2}, axis=1)"),
    "s": ("p['s']", "0.7", "np.sum(p['H']) * 0.1", "(n % 3)", "np.tanh(p['s'])"),
    "HH": ("p['HH']", "p['HH'].T", "(p['HH'] * p['H'])"),
    "H": ("p['H']", "np.tanh(p['H'])", "p['HH'][0]", "np.sum(p['HH'], axis=0)", "x['v']"),
    "NH": ("p['NH']", "np.tanh(p['NH'])"),
    "HN": ("p['NH'].T", "p['HN']"),
    "VH": ("p['VH']",),
}  # fmt: skip
MIXED = {
    "H": ("np.mean({f2}, axis=0)", "{f2}[0]"),
    "HH": ("(0.1 * ({f2}.T @ {f2}))",),
    "f2": ("{f2}[::-1]", "np.cumsum({f2}, axis=0)", "{f2}[np.arange(B)[::-1]]", "0.1 * ({f2} @ {f2}.T @ {f2})",
           "np.reshape(np.reshape({f2}, (-1,)), (B, H))", "tg.softmax({f2}, axis=0)"),
    "f1": ("{f1}[::-1]", "{f2}[np.arange(B), {i1} % H]"),
    "s": ("np.sum({f2})", "np.max({f1})"),
}  # fmt: skip
FIRST = {"f2": "(x['f'] @ p['IH'])", "fc": "x['c']", "f1": "x['c'][:, 0]", "f3": "(x['c'][:, None] * p['NH'])",
         "fn": "(x['f'] @ p['IH'] @ p['HN'])", "i1": "x['t']", "i2": "(x['t'][:, None] * np.arange(H))",
         "b1": "x['m']", "b2": "(x['c'] > p['H'])"}  # fmt: skip
STATES = {"h": ("f2", "np.tanh({f2} + {f2}).astype(F)"), "M": ("f3", "np.tanh({f3} - 0.5 * {f3}).astype(F)"),
          "c": ("fc", "np.tanh({fc} - {fc}).astype(F)"), "token": ("i1", "({i1} + {i1}) % 100"),
          "mask": ("b2", "np.broadcast_to({b2} != {b2}, (B, H))"), "n": ("", "n + 1"),
          "g": ("f2", "np.tanh({f2} * {f2}).astype(F).T")}  # fmt: skip
SIDES = {"B": (*range(1, 10), 19), "H": (*range(1, 10), 17, 33), "N": (1, 2, 3, 4), "I": (1, 2, 3, 4),
         "V": range(1, 7), "T": (3, 2, 1, 4, 5, 7, 0)}  # fmt: skip
SIZES = st.fixed_dictionaries({name: st.sampled_from(lengths) for name, lengths in SIDES.items()})
ALIKE = st.integers(1, 5).map(lambda n: dict.fromkeys(SIDES, n))  # rows, features and steps of one length
F8, F4 = np.float64, np.float32


class RandomStep:
    """A step, random arguments for it, and the options with which to scan it.

    Attributes
    ----------
    source : str
    sizes : dict of str to int
    states : tuple of str
    dtypes : tuple of dtype
        Of params and states, and of the inputs.
    layout : str
        How the float arrays lie in memory.
    options : dict
    """

    def __init__(self, source: str, sizes: dict[str, int], states: Sequence[str], dtypes: tuple[Any, Any],
                 layout: str = "C", options: dict[str, Any] | None = None):  # fmt: skip
        self.source, self.sizes, self.states, self.dtypes = source, sizes, tuple(states), dtypes
        self.layout, self.options = layout, options or {}
        K = np.linspace(-1, 1, sizes["H"], dtype=dtypes[0])  # an array that the step captures
        held: dict[str, Any] = {"np": np, "tg": tg, "F": dtypes[0], "K": K, **sizes}
        exec(source, held)
        self.step = held["step"]

    def arguments(self) -> tuple[dict, tuple, dict]:
        """Params, states and xs; only those inputs that the step reads, since a masked scan takes none without rows."""
        rng = np.random.default_rng(0)
        B, H, N, I, V, T = (self.sizes[k] for k in "BHNIVT")  # noqa: E741

        def floats(*shape: int, dtype: Any = self.dtypes[0]) -> np.ndarray:
            return laid_out(np.asarray(0.5 * rng.normal(size=shape), dtype), self.layout)

        params = {"HH": floats(H, H), "H": floats(H), "NH": floats(N, H), "HN": floats(H, N), "IH": floats(I, H),
                  "VH": floats(V, H), "BH": floats(B, H), "NN": floats(N, N), "GH": floats(2 * H, H),
                  "HG": floats(H, 2 * H), "s": floats(), "table": rng.integers(0, V, V)}  # fmt: skip
        state = {"h": floats(B, H), "M": floats(B, N, H), "c": floats(B, 1), "token": rng.integers(0, 9, B),
                 "mask": rng.random((B, H)) < 0.5, "n": np.int64(1), "g": floats(H, B)}  # fmt: skip
        xs = {"f": floats(T, B, I, dtype=self.dtypes[1]), "c": floats(T, B, 1), "v": floats(T, H), "w": floats(T, H, B),
              "t": rng.integers(-5, 9, (T, B)), "m": rng.random((T, B)) < 0.5}  # fmt: skip
        read = {key: value for key, value in xs.items() if f"x['{key}']" in self.source or key == "c"}
        return params, tuple([state[name] for name in self.states]), read

    def scan(self, params: Any, state: Any, xs: Any, backend: str, **options: Any) -> tuple:
        return tg.scan(self.step, params, state, xs, backend=backend, **{**self.options, **options})

    def __repr__(self) -> str:
        dtypes = ", ".join(np.dtype(dtype).name for dtype in self.dtypes)
        return f"<random step, {self.sizes}, {dtypes}, {self.layout}, {self.options}\n{self.source}>"


class _Writer:
    """The lines of a step being drawn, and the values of each kind that a line can read."""

    def __init__(self, draw: Any, states: list[str], mixed: bool, masked: bool):
        self.draw, self.mixed, self.masked = draw, mixed, masked
        self.lines: list[str] = []
        self.held: dict[str, list[str]] = {kind: [] for kind in FIRST}
        self.unread: list[str] = []
        for name in states:
            self._keep("g.T" if name == "g" else name, STATES[name][0])  # whose rows come last

    def _keep(self, name: str, kind: str) -> None:
        if kind:
            self.held[kind].append(name)
            self.unread.append(name)

    def value(self, kind: str) -> str:
        """A value that is there; what nothing has read comes first, so that most lines matter."""
        if kind not in self.held:
            return self.made(kind)
        newest = self.held[kind][::-1][:4]
        order = [*[name for name in newest if name in self.unread], *newest, FIRST[kind]]
        name = self.draw(st.sampled_from(order))
        if name in self.unread:
            self.unread.remove(name)
        return name

    def made(self, kind: str) -> str:
        """A template of a kind, with values in it."""
        templates = MADE[kind] + (MIXED.get(kind, ()) * 3 if self.mixed else ())
        if self.masked:
            templates = tuple([text for text in templates if text not in ("x['v']", "x['w'].T")])
        return self.filled(self.draw(st.sampled_from(templates)))

    def filled(self, template: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda m: self.value(m[1]), template)

    def line(self) -> None:
        kind = self.draw(st.sampled_from(["f2"] * 5 + list(self.held)))
        self.lines.append(f"v{len(self.lines)} = {self.made(kind)}")
        self._keep(f"v{len(self.lines) - 1}", kind)

    def written(self, states: list[str]) -> str:
        """The definition, without lines that nothing reads."""
        new = [self.filled(STATES[name][1]) for name in states]
        outs = [name for name in self.unread[::-1] if self.draw(st.booleans())][:3]
        kept = [f"return ({', '.join(new)},), ({''.join(f'{out}, ' for out in outs)})"]
        for line in [*([] if "n" in states else ["n = 2"]), *self.lines][::-1]:
            if any(re.search(rf"\b{line.split()[0]}\b", later) for later in kept):
                kept.append(line)
        return "def step(p, s, x):\n" + "".join(f"    {line}\n" for line in [f"{', '.join(states)}, = s", *kept[::-1]])


@st.composite
def steps(draw: Any, *, mixed: Any = None, max_length: int = 12) -> RandomStep:
    """Random steps, which shrink to few lines and one state.

    Parameters
    ----------
    mixed : bool, optional
        Whether rows may depend on each other; drawn by default.
    """
    sizes = draw(st.one_of(SIZES, ALIKE))
    mixed = draw(st.booleans()) if mixed is None else mixed
    options = draw(_options(sizes["T"], sizes["B"]))
    masked = "lengths" in options or "reset" in options
    possible = [name for name in STATES if name not in ("n", "g") or not masked]
    states = draw(st.lists(st.sampled_from(possible), min_size=1, max_size=4, unique=True))
    writer = _Writer(draw, states, mixed, masked)
    for _ in range(draw(st.integers(1, max_length))):
        writer.line()
    dtypes = draw(st.sampled_from([(F8, F8), (F8, F8), (F4, F4), (F8, F4), (F4, F8)]))
    return RandomStep(writer.written(states), sizes, states, dtypes, draw(st.sampled_from(LAYOUTS)), options)


@st.composite
def _options(draw: Any, T: int, B: int) -> dict[str, Any]:
    """Options of a scan, most of them left out."""
    options: dict[str, Any] = {}
    if draw(st.booleans()):
        options["reverse"] = True
    if draw(st.integers(0, 3)) == 3:
        options["lengths"] = np.asarray(draw(st.lists(st.integers(0, T), min_size=B, max_size=B)))
    if draw(st.integers(0, 3)) == 3:
        options["reset"] = np.random.default_rng(draw(st.integers(0, 9))).random((T, B)) < 0.4
    if draw(st.integers(0, 3)) == 3:
        options["checkpoint"] = draw(st.sampled_from([2, "sqrt"]))
    elif draw(st.integers(0, 3)) == 3:
        options["record"] = True
    return options
