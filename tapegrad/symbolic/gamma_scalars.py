"""Bounds as text: scalar expressions in norms, in LaTeX or as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sympy import Float, Pow, Rational, S, factor_terms, oo

from .constants import is_scalar
from .latex import LatexPrinter
from .printing import ATOM, POWER, PRODUCT, SUM
from .text import TextPrinter

if TYPE_CHECKING:
    from .gamma import Block, Bound

SUBSCRIPTS = {"elements": "∞", "rows": "∞", "columns": "1"}
LONGEST = 10**6  # a denominator beyond which a number is printed as a decimal fraction


class Writer:
    """Writes the formulas of an analysis.

    Parameters
    ----------
    bound : Bound
    latex : bool
        LaTeX, or plain text.
    """

    def __init__(self, bound: Bound, latex: bool):
        self.latex, self.norms = latex, bound.ranges.norms
        notation = bound.derivation.notation
        self.printer: Any = LatexPrinter(notation) if latex else TextPrinter(notation)
        self.le, self.infinity, self.arrow = (r"\le", r"\infty", r"\to") if latex else ("≤", "∞", "→")
        self.gap = r"\quad " if latex else ""
        self.space = r" \, " if latex else " "
        self.indent = r"\qquad " if latex else "    "
        self.supremum = r"\sup_u" if latex else "sup"
        self.rho_below = r"\rho(J) \le \sigma_{\max}(J)" if latex else "ρ(J) ≤ σ_max(J)"
        self.linear = "h_t = W h_{t-1}"
        self.later = r"z_t = W h_t,\ h_{t+1} = f(z_t)" if latex else "z_t = W h_t, h_{t+1} = f(z_t)"
        self.j_power = "J^{t-k}" if latex else "J^(t-k)"

    # ---- pieces ----
    def p(self, x: Any) -> str:
        """A matrix expression."""
        return self.printer(x)

    def plain(self, value: Any) -> str:
        """A name in words."""
        return TextPrinter(self.printer.notation).value(value.at(None))

    def m(self, text: str) -> str:
        """A formula within a sentence."""
        return f"${text}$" if self.latex else text

    def text(self, text: str) -> str:
        """Words within a formula."""
        return rf"\text{{{text}}}" if self.latex else text

    def norm(self, text: str, which: str = "") -> str:
        if self.latex:
            return rf"\left\lVert {text} \right\rVert" + (f"_{{{which}}}" if which else "").replace("∞", r"\infty")
        return f"‖{text}‖{which}"

    def elements(self, value: Any) -> str:
        """The largest absolute value of an element."""
        if is_scalar(value):
            return f"|{self.p(value)}|"
        return self.norm(self.p(value), "∞")

    def gamma(self, which: str = "") -> str:
        if self.latex:
            return r"\gamma" + (f"_{{{which}}}" if len(which) == 1 else rf"_{{\mathrm{{{which}}}}}" if which else "")
        return f"γ_{which}" if which else "γ"

    def power(self, exponent: str) -> str:
        return rf"\gamma^{{{exponent}}}" if self.latex else f"γ^({exponent})"

    def raised(self, base: str, exponent: int) -> str:
        return f"{base}^{{{exponent}}}" if self.latex else f"{base}^{exponent}"

    def sigma(self, text: str) -> str:
        return rf"\sigma_{{\max}}({text})" if self.latex else f"σ_max({text})"

    def rho(self, text: str) -> str:
        return rf"\rho({text})" if self.latex else f"ρ({text})"

    def under(self, text: str, note: str) -> str:
        return rf"\underbrace{{{text}}}_{{\text{{{note}}}}}" if self.latex else f"{text} [{note}]"

    def call(self, function: str, args: list[str]) -> str:
        return rf"\{function}({', '.join(args)})" if self.latex else f"{function}({', '.join(args)})"

    def table(self, matrix: Any) -> str:
        return self.printer.blocks([[self.scalar(entry) for entry in row] for row in matrix.tolist()])

    def entry(self, block: Block | None) -> str:
        """A block in the matrix of blocks: its bound if it is a number, else its norm."""
        if block is None:
            return "0"
        return self.scalar(block.bound) if block.bound.is_number else self.norm(self.p(block.partial))

    # ---- scalars ----
    def total(self, terms: list[Any], whole: Any) -> str:
        """A sum, in the order of its terms if these are known."""
        if not terms or whole.is_number:
            return self.scalar(whole)
        return " + ".join(self.scalar(term, SUM) for term in terms if term != 0)

    def scalar(self, x: Any, least: int = SUM) -> str:
        text, strength = self._scalar(factor_terms(x) if x.is_Mul else x)
        return text if strength >= least else self.printer.brackets(text)

    def _scalar(self, x: Any) -> tuple[str, int]:
        if x == oo:
            return self.infinity, ATOM
        if x == -oo:
            return f"-{self.infinity}", SUM
        if x.is_Symbol:
            return self._symbol(x), ATOM
        if x.is_Rational or isinstance(x, Float):
            return self._number(x), ATOM if x >= 0 else SUM
        if x.is_Add:
            terms = sorted(x.args, key=lambda a: (bool(a.is_number), self.scalar(a)))
            return " + ".join(self.scalar(term, SUM) for term in terms), SUM
        if x.is_Mul:
            return self._product(x), PRODUCT
        if x.func.__name__ == "SpectralNorm":
            return self.norm(self.table(x.args[0])), ATOM
        if isinstance(x, Pow):
            return self._power(x)
        names = {"Max": "max", "exp": "exp", "log": "log"}
        name = names.get(x.func.__name__, x.func.__name__)
        return self.call(name, [self.scalar(a) for a in x.args]), ATOM

    def _product(self, x: Any) -> str:
        number, rest = x.as_coeff_Mul()
        factors = rest.args if rest.is_Mul else (rest,)
        order = {"elements": 1, "rows": 2, "columns": 2, "sigma": 3, "of": 4}
        ranked = sorted(factors, key=lambda f: (order[self.norms[f].kind] if f in self.norms else 0, str(f)))
        front = [self._number(number)] if number != 1 else []
        return self.space.join([*front, *[self.scalar(f, POWER) for f in ranked]])

    def _power(self, x: Any) -> tuple[str, int]:
        if x.exp == S.Half:
            inner = self.scalar(x.base)
            return (rf"\sqrt{{{inner}}}" if self.latex else f"sqrt({inner})"), ATOM
        return self.printer.power(self.scalar(x.base, ATOM), self.scalar(x.exp)), POWER

    def _number(self, x: Any) -> str:
        if isinstance(x, Float) or (isinstance(x, Rational) and x.q > LONGEST):
            text = f"{float(x):.3g}"
            digits, exponential, exponent = text.partition("e")
            return rf"{digits} \cdot 10^{{{int(exponent)}}}" if self.latex and exponential else text
        return str(self.printer.number(x))

    def _symbol(self, x: Any) -> str:
        if x not in self.norms:
            return str(x)
        kind, of = self.norms[x]
        text = self.p(of)
        if kind == "sigma":
            return self.sigma(text) if 1 not in of.shape else self.norm(text, "2")
        if kind == "of":
            return self.norm(text)
        if kind == "elements":
            return self.elements(of)
        return self.norm(text, SUBSCRIPTS[kind])
