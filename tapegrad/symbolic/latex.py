"""Expressions as LaTeX."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Any

from sympy import latex as sympy_latex

from .expressions import Value
from .letters import GREEK, Letters, in_subscript
from .printing import POWER, SUM, Printer, decimal

FUNCTIONS = {
    "logistic": r"\sigma", "tanh": r"\tanh", "exp": r"\exp", "log": r"\log", "sin": r"\sin", "cos": r"\cos",
    "tan": r"\tan", "sinh": r"\sinh", "cosh": r"\cosh", "arctan": r"\arctan", "maximum": r"\max", "minimum": r"\min",
    "max": r"\max", "min": r"\min", "diag": r"\operatorname{diag}",
}  # fmt: skip
AROUND = {"sqrt": r"\sqrt{{{}}}", "absolute": r"\left|{}\right|", "floor": r"\left\lfloor {}\right\rfloor"}
ACCENTS = {"hat": r"\hat", "tilde": r"\tilde", "bar": r"\bar", "dot": r"\dot"}


class LatexPrinter(Printer):
    fraction = POWER
    inside = SUM
    signs = {"<": "<", "<=": r"\le", ">": ">", ">=": r"\ge", "==": "=", "!=": r"\ne"}
    circle, dot, ones, identity, zero = r" \odot ", r" \, ", r"\mathbf{1}", "I", r"\mathbf{0}"

    def value(self, x: Value) -> str:
        return self.written(x.name, x.time)

    def written(self, name: str, time: Any, mark: str = "", over: str = "") -> str:
        """A name with its subscript, layer and time; ``mark`` is one more superscript, ``over`` an accent."""
        letters = Letters(self.notation.name(name))
        base = self.word(letters.base, letters.accent)
        base = f"{over}{{{base}}}" if over else base
        below, above = [self.word(*in_subscript(w)) for w in letters.below.split("_") if w], []
        if letters.above:
            above.append(f"({letters.above})")
        if time is not None:
            when = sympy_latex(time).replace(" ", "")
            if self.notation.time == "subscript":
                below.append(when)
            else:
                above.append(f"({when})")
        if mark:
            above.append(mark)
        return base + (f"_{{{','.join(below)}}}" if below else "") + (f"^{{{','.join(above)}}}" if above else "")

    def word(self, text: str, accent: str = "", greek: bool = True) -> str:
        """A word, with its accent; Greek letters as such."""
        if greek and text in GREEK:
            text = "\\" + text
        elif len(text) > 2 or not text.isalnum():
            text = rf"\mathrm{{{text}}}".replace("_", r"\_")
        return text if not accent else f"{text}'" if accent == "prime" else f"{ACCENTS[accent]}{{{text}}}"

    def derivative(self, x: Value) -> str:
        of, loss = self.written(x.name, x.time), self.notation.loss
        if x.role == "tangent":
            return rf"\mathrm{{d}}{of}"
        if x.role in ("direct", "carried"):
            # What the loss at t, or all later ones, say of the value, apart from other ways.
            when = ("" if x.role == "direct" else ">") + sympy_latex(x.time).replace(" ", "")
            which = f"{loss}_{{{when}}}" if self.notation.time == "subscript" else f"{loss}^{{({when})}}"
            if self.notation.adjoints == "nabla":
                return rf"\nabla_{{{of}}} {which}"
            return rf"\frac{{\partial {which}}}{{\partial {of}}}"
        if x.role == "gradient" and self.notation.adjoints in ("delta", "bar"):
            return rf"\frac{{\partial {loss}}}{{\partial {of}}}"
        if self.notation.adjoints == "nabla":
            return rf"\nabla_{{{of}}} {loss}"
        if self.notation.adjoints == "partial" or x.role == "gradient":
            return rf"\frac{{\partial {loss}}}{{\partial {of}}}"
        if self.notation.adjoints == "bar":
            return self.written(x.name, x.time, over=r"\bar")
        return rf"\delta {of}"

    def number(self, x: Any) -> str:
        mantissa, _, exponent = (decimal(x) or sympy_latex(x)).partition("e")
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa

    def part(self, base: str, places: str) -> str:
        return rf"{self.marked(base, '_')}_{{[{places}]}}"

    def indicator(self, condition: str) -> str:
        return rf"\left[{condition}\right]"

    def cases(self, condition: str, one: str, other: str) -> str:
        return rf"\begin{{cases}} {one} & {condition} \\ {other} & \text{{else}} \end{{cases}}"

    def brackets(self, text: str) -> str:
        return rf"\left({text}\right)"

    def call(self, function: str, args: list[str], note: str = "") -> str:
        if function == "one_hot":
            return rf"\mathbf{{1}}_{{{args[0]}}}"
        if function == "element":
            return rf"\left({args[0]}\right)_{{{args[1]}}}"
        if function in AROUND and len(args) == 1:
            return AROUND[function].format(args[0])
        name = FUNCTIONS.get(function) or rf"\operatorname{{{function}}}".replace("_", r"\_")
        note = note.replace("_", r"\_")
        return rf"{name}{f'_{{{note}}}' if note else ''}\left({', '.join(args)}\right)"

    def squared(self, function: str, arg: str, exponent: str) -> str | None:
        return rf"{FUNCTIONS[function]}^{{{exponent}}}\left({arg}\right)" if function in FUNCTIONS else None

    def power(self, base: str, exponent: str) -> str:
        # A second superscript goes on brackets.
        exponent = exponent.replace(r"\odot", r"\odot ")
        return f"{self.marked(base, '^')}^{{{exponent}}}"

    def marked(self, base: str, mark: str) -> str:
        """What gets one more subscript or superscript: in brackets if it has one, and no brackets yet."""
        inner = base.removeprefix(r"\left(").removesuffix(r"\right)")
        depths = accumulate([1 if side == "left" else -1 for side in re.findall(r"\\(left|right)\b", inner)])
        whole = len(inner) == len(base) - 13 and min(depths, default=0) >= 0
        return base if whole or mark not in base else rf"\left({base}\right)"

    def ratio(self, above: str, below: str) -> str:
        return rf"\frac{{{above}}}{{{below}}}"

    def transpose(self, base: str) -> str:
        return rf"{{{base}}}^{{\top}}"

    def total(self, term: str, index: str, first: str, last: str) -> str:
        return rf"\sum_{{{index}={first}}}^{{{last}}} {term}"

    def chain(self, term: str, index: str, first: str, last: str) -> str:
        return rf"\prod_{{{index}={last}}}^{{{first}}} {term}"

    def partial(self, above: str, below: str) -> str:
        return rf"\frac{{\partial {above}}}{{\partial {below}}}"

    def blocks(self, rows: list[list[str]]) -> str:
        body = r" \\ ".join(" & ".join(row) for row in rows)
        return rf"\begin{{bmatrix}} {body} \end{{bmatrix}}"
