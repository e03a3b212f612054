"""Random steps that hold scans, as text that is drawn line by line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

import tapegrad as tg
from tests.numba_cpu.steps import Case, F

LINES = (
    "np.tanh({a} @ p['W'] + {b})", "{a} * {b}", "{a} + 0.5 * {b}", "np.sin({a}) * p['b']", "{a} @ p['V'] @ p['U']",
    "{a} - np.mean({b}, axis=1, keepdims=True)", "np.where({a} > 0, {b}, 0.1 * {a})", "np.roll({a}, 1, axis=1)",
    "tg.softmax({a} + {b}, axis=1)", "np.concatenate([{a}[:, 1:], {b}[:, :1]], axis=1)", "x @ p['W'] + {a}",
    "{a} * np.max({b}, axis=1, keepdims=True)", "p['W'][np.argmax({a}, axis=1)]", "np.tanh({a})[:, ::-1]",
    "{a} * p['b'][0]", "np.einsum('bi,bj,bj->bi', {a}, {b}, {b})",
)  # fmt: skip
READS = ("{ys}[0]", "{ys}[-1] * x", "np.sum({ys}, axis=0)", "np.flip({ys}, 0)[0]", "np.max({ys}, axis=0)")


class _Writer:
    """A step written line by line, with the rowed values that can be read at each place."""

    def __init__(self, draw: Callable):
        self.draw, self.lines, self.number = draw, ["def step(p, state, x):", "    h, g = state"], 0

    def fresh(self, letter: str) -> str:
        self.number += 1
        return f"{letter}{self.number}"

    def values(self, held: list[str], depth: int, most: int) -> list[str]:
        held = list(held)
        for _ in range(self.draw(st.integers(1, most))):
            name = self.fresh("v")
            line = self.draw(st.sampled_from(LINES)).format(a=self.one(held), b=self.one(held))
            self.lines.append(f"{'    ' * depth}{name} = {line}")
            held.append(name)
        return held

    def one(self, held: list[str]) -> str:
        return self.draw(st.sampled_from(held[::-1]))

    def scan(self, held: list[str], depth: int) -> list[str]:
        """An inner scan of two states; what can be read behind it."""
        pad, (body, a, b, z, ys) = "    " * depth, (self.fresh(letter) for letter in "fabzy")
        length = self.draw(st.integers(1, 4))
        stacked = ", ".join(self.one(held) for _ in range(length))
        kinds = [
            ("None", []),
            (f"np.stack([{stacked}])", [z]),
            (f"np.arange({length}.0)[:, None] * {self.one(held)}[0]", []),
            (f"p['L'][:{length}]", []),
            (f"np.sin(np.arange({length}.0))", []),
        ]
        xs, row = self.draw(st.sampled_from(kinds))
        given = self.draw(st.booleans())  # else what the body reads is outside of it
        names = ", ".join(["p", *held])
        self.lines += [f"{pad}def {body}(q, s, {z}):", f"{pad}    {a}, {b} = s"]
        self.lines += [f"{pad}    {names} = q"] if given else []
        inside = [*held, a, b, *row]
        if not row and xs != "None":
            self.lines.append(f"{pad}    {a} = {a} * {z}")
        inside = self.values(inside, depth + 1, 3)
        if depth < 2 and self.draw(st.integers(0, 2)) == 2:
            inside = self.values(self.scan(inside, depth + 1), depth + 1, 1)
        self.lines.append(f"{pad}    return ({self.one(inside)}, {self.one(inside)}), {self.one(inside)}")
        new = self.fresh("a"), self.fresh("b")
        self.lines.append(
            f"{pad}({new[0]}, {new[1]}), {ys} = tg.scan({body}, {f'({names})' if given else None}, "
            f"({self.one(held)}, {self.one(held)}), {xs}, length={length}, reverse={self.draw(st.booleans())})"
        )
        read = self.fresh("v")
        self.lines.append(f"{pad}{read} = {self.draw(st.sampled_from(READS)).format(ys=ys)}")
        return [*held, *new, read]


@st.composite
def inner_cases(draw: Callable) -> Case:
    """Steps with an inner scan of any of these kinds, or two behind each other, and scans in scans."""
    writer = _Writer(draw)
    held = writer.values(["x", "h", "g"], 1, 2)
    for _ in range(draw(st.integers(1, 2))):
        held = writer.scan(held, 1)
    held = writer.values(held, 1, 2)
    results = [f"np.tanh({writer.one(held)})" for _ in range(2)]
    writer.lines.append(f"    return ({', '.join(results)}), ({writer.one(held)}, {writer.one(held)})")
    text = "\n".join(writer.lines)
    space: dict[str, Any] = {"np": np, "tg": tg}
    exec(text, space)
    space["step"].__doc__ = text
    rows, wide = draw(st.integers(1, 4)), draw(st.integers(2, 9))
    weights = {"W": F(wide, wide), "V": F(wide, 3), "U": F(3, wide), "b": F(wide), "L": F(4, wide)}
    return Case(space["step"], (weights, (F(rows, wide), F(rows, wide)), F(draw(st.integers(1, 3)), rows, wide)), rows)
