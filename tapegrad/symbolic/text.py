"""Expressions as plain text, one line each."""

from __future__ import annotations

from typing import Any
from unicodedata import normalize

from sympy import Rational

from .expressions import Value
from .letters import Letters, in_subscript
from .printing import Printer, decimal

SIGNS = dict(zip(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega".split(),
    "αβγδεζηθικλμνξπρστφχψωΓΔΘΛΞΠΣΦΨΩ", strict=True,
))  # fmt: skip
ACCENTS = {"hat": "\u0302", "tilde": "\u0303", "bar": "\u0304", "dot": "\u0307", "prime": "'"}


FUNCTIONS = {"logistic": "σ", "absolute": "abs"}


class TextPrinter(Printer):
    circle, dot, ones, identity, zero = " ⊙ ", " ", "1", "I", "0"

    signs = {"<": "<", "<=": "≤", ">": ">", ">=": "≥", "==": "=", "!=": "≠"}

    def value(self, x: Value) -> str:
        letters = Letters(self.notation.name(x.name))
        base = self.word(letters.base, letters.accent)
        below = "_" + "_".join([self.word(*in_subscript(w)) for w in letters.below.split("_")]) if letters.below else ""
        if letters.above:
            below += f"^({letters.above})"
        if x.time is None:
            return base + below
        when = str(x.time).replace(" ", "")
        if below:
            return f"{base}{below}[{when}]"
        return f"{base}_{when}" if when.isalnum() else f"{base}_{{{when}}}"

    def word(self, text: str, accent: str = "", greek: bool = True) -> str:
        """A word, with its accent; Greek letters as such."""
        return normalize("NFC", (SIGNS.get(text, text) if greek else text) + ACCENTS.get(accent, ""))

    def derivative(self, x: Value) -> str:
        of, loss = self.value(x), self.notation.loss
        if x.role == "tangent":
            return f"d{of}"
        if x.role in ("direct", "carried"):
            when = ("" if x.role == "direct" else ">") + str(x.time).replace(" ", "")
            which = f"{loss}_{when}" if len(when) < 3 else f"{loss}_{{{when}}}"
            return f"∇{of} {which}" if self.notation.adjoints == "nabla" else f"∂{which}/∂{of}"
        if self.notation.adjoints == "nabla":
            return f"∇{of} {loss}"
        if self.notation.adjoints == "partial" or x.role == "gradient":
            return f"∂{loss}/∂{of}"
        return f"{'δ' if self.notation.adjoints == 'delta' else 'bar '}{of}"

    def number(self, x: Any) -> str:
        return decimal(x) or (f"({x})" if isinstance(x, Rational) and not x.is_Integer else str(x))

    def part(self, base: str, places: str) -> str:
        return f"{base}[{places}]"

    def indicator(self, condition: str) -> str:
        return f"[{condition}]"

    def cases(self, condition: str, one: str, other: str) -> str:
        return f"({one} if {condition} else {other})"

    def brackets(self, text: str) -> str:
        return f"({text})"

    def call(self, function: str, args: list[str], note: str = "") -> str:
        if function == "one_hot":
            return f"1[{args[0]}]"
        if function == "element":
            return f"({args[0]})[{args[1]}]"
        name = FUNCTIONS.get(function, function)
        return f"{name}{'{' + note + '}' if note else ''}({', '.join(args)})"

    def squared(self, function: str, arg: str, exponent: str) -> str | None:
        return self.power(self.call(function, [arg]), exponent)

    def power(self, base: str, exponent: str) -> str:
        return f"{base}^{exponent}" if exponent[0] != "-" else f"{base}^({exponent})"

    def ratio(self, above: str, below: str) -> str:
        return f"{above}/{below}"

    def transpose(self, base: str) -> str:
        return f"{base}ᵀ"

    def total(self, term: str, index: str, first: str, last: str) -> str:
        return f"Σ_{{{index}={first}..{last}}} {term}"

    def chain(self, term: str, index: str, first: str, last: str) -> str:
        return f"Π_{{{index}={last}..{first}}} {term}"

    def partial(self, above: str, below: str) -> str:
        return f"∂{above}/∂{below}"

    def blocks(self, rows: list[list[str]]) -> str:
        return "[" + "; ".join(", ".join(row) for row in rows) + "]"
