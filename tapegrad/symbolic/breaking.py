"""Long equations over several lines: LaTeX does not break them by itself."""

from __future__ import annotations

import re

WIDTH = 84  # what fits a page of text, in units of about half an em
_FRACTION = re.compile(r"\\frac\{((?:[^{}]|\{[^{}]*\})*)\}\{((?:[^{}]|\{[^{}]*\})*)\}")
_UNSEEN = re.compile(r"\\(?:left|right|mathrm|operatorname|mathbf|displaystyle|,)(?![A-Za-z])")
_SYMBOL = re.compile(r"\\[A-Za-z]+|[^\s{}^_\\]")
_WORDS = {r"\tanh", r"\exp", r"\log", r"\sin", r"\cos", r"\max", r"\min"}
_WIDE = {r"\odot", "=", "+"}
_STEP = re.compile(r"\\left|\\right|\\begin|\\end|[{}]| [+-] ")
_DEEPER = {r"\left": 1, r"\begin": 1, "{": 1, r"\right": -1, r"\end": -1, "}": -1}


def width(formula: str) -> int:
    """About how wide a formula is printed."""
    formula = _FRACTION.sub(lambda m: max(m.groups(), key=len), formula)
    symbols = _SYMBOL.findall(_UNSEEN.sub("", formula))
    return sum(len(s) - 1 if s in _WORDS else 2 if s in _WIDE else 1 for s in symbols)


def terms(formula: str) -> list[str]:
    """The terms of a sum, from the second on with their signs."""
    found, start, depth = [], 0, 0
    for match in _STEP.finditer(formula):
        sign = match[0]
        depth += _DEEPER.get(sign, 0)
        if sign.startswith(" ") and depth == 0:
            found.append(formula[start : match.start()])
            start = match.start() + 1
    return [*found, formula[start:]]


def broken(left: str, right: str, limit: int = WIDTH) -> list[str]:
    """The lines of an equation whose right-hand side is a sum, aligned at its sign.

    A term is never broken, however wide it is.
    """
    lines, room = [f"{left} &="], limit - width(left)
    used = 0
    for term in terms(right):
        wide = width(term)
        if used and used + wide > room:
            lines.append(r"&\quad {}")
            used = 2
        lines[-1] += f" {term}"
        used += wide
    return lines
