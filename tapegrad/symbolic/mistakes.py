"""Mistakes that are made in an equation: the equation with one thing in it changed, and what to call that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sympy import Basic, DiagMatrix, HadamardPower, HadamardProduct, MatAdd, MatMul, S, Transpose

from . import algebra as al
from .constants import MINUS_ONE, zeros
from .expressions import TIME, Applied, Named, Scaled, Value, replaced, values_in
from .text import TextPrinter

ORDER = ("term", "later", "sign", "twice", "factor", "pairs", "instead", "exchanged")


class Mistake(NamedTuple):
    """An equation as it may have been taken.

    Attributes
    ----------
    kind : {"term", "later", "sign", "twice", "factor", "pairs", "instead", "exchanged"}
        A term that is missing, all terms of t + 1, a term with the wrong sign, or counted twice; a factor that is
        missing; another vector in an outer product; something in the place of something else; two values exchanged
        everywhere.
    old, new : expression
        What is missing or stands wrong, and what stands there.
    term : expression or None
        The term of the sum in which it stands, if there are several.
    right : expression
        The right-hand side with the mistake.
    """

    kind: str
    old: Any
    new: Any
    term: Any
    right: Any

    def text(self, printer: TextPrinter) -> str:
        """What is wrong, as the rest of a sentence that starts with the quantity."""
        old = printer(self.old)
        where = "" if self.term is None or self.term == self.old else f" in the term {printer(self.term)}"
        if self.kind == "term":
            return f"lacks the term {old}"
        if self.kind == "later":
            return f"lacks the terms of t + 1, {old}"
        if self.kind == "sign":
            return f"has the term {old} with the wrong sign"
        if self.kind == "twice":
            return f"counts the term {old} twice"
        if self.kind == "factor":
            return f"lacks the factor {printer(self.old, 2)}{where}"
        if self.kind == "pairs":
            (left, right), (_, other) = self.old.args, self.new.args
            return f"pairs {printer(left)} with {printer(other.args[0])} instead of {printer(right.args[0])}{where}"
        if self.kind == "exchanged":
            return f"has {old} and {printer(self.new)} exchanged"
        return f"has {printer(self.new)} instead of {old}{where}"


def mistakes(right: Any, values: Sequence[Value]) -> list[Mistake]:
    """The ways in which an equation may have been taken, the plainest first.

    Parameters
    ----------
    right : expression
        The right-hand side.
    values : sequence of Value
        What may have been taken one for another: those of the same shape and role.
    """
    terms = list(right.args) if isinstance(right, MatAdd) else [right]
    found = []
    for k, term in enumerate(terms):

        def with_term(new: list[Any], k: int = k) -> Any:
            parts = [*terms[:k], *new, *terms[k + 1 :]]
            return MatAdd(*parts) if len(parts) > 1 else parts[0] if parts else zeros(tuple(right.shape))

        several = term if len(terms) > 1 else None
        found.append(Mistake("term", term, None, several, with_term([])))
        found.append(Mistake("sign", term, None, several, with_term([al.scaled(MINUS_ONE, term)])))
        found.append(Mistake("twice", term, None, several, with_term([al.scaled(S(2), term)])))
        for kind, old, new, changed in _changes(term, values):
            found.append(Mistake(kind, old, new, several, with_term([changed])))
    later = [term for term in terms if is_later(term)]
    if 1 < len(later) < len(terms):
        rest = [term for term in terms if term not in later]
        found.append(Mistake("later", MatAdd(*later), None, None, MatAdd(*rest) if len(rest) > 1 else rest[0]))
    found.extend(_exchanges(right, values))
    return sorted(found, key=lambda m: ORDER.index(m.kind))


def is_later(x: Any) -> bool:
    """Whether an expression contains an adjoint of t + 1."""
    return any(v.role == "adjoint" and v.time == TIME + 1 for v in values_in(x))


def _rebuilt(x: Any, k: int, new: Any) -> Any:
    return Basic.__new__(type(x), *x.args[:k], new, *x.args[k + 1 :])


def _changes(x: Any, values: Sequence[Value]) -> Iterator[tuple[str, Any, Any, Any]]:
    """Changes within a term: the kind, what was there, what is there now, and the term with it."""
    if isinstance(x, Value):
        for other in _others(x, values):
            yield "instead", x, other, other
        if x.role == "value":
            yield "instead", x, _complement(x), _complement(x)
        return
    for old, new in _own(x):
        if new is None:
            continue
        yield ("instead", x, new, new) if old is None else ("factor", old, None, new)
    for k, part in enumerate(x.args):
        if not getattr(part, "is_Matrix", False) or (isinstance(x, Named) and part not in x.operands):
            continue
        for kind, old, new, changed in _changes(part, values):
            if isinstance(x, Transpose) and kind == "instead" and old == part:
                yield kind, x, _rebuilt(x, 0, changed), _rebuilt(x, 0, changed)
            elif kind == "instead" and old == part and _is_outer(x) and k == 1:
                yield "pairs", x, _rebuilt(x, k, changed), _rebuilt(x, k, changed)
            else:
                yield kind, old, new, _rebuilt(x, k, changed)


def _is_outer(x: Any) -> bool:
    """Whether an expression is u v', of two vectors."""
    if not isinstance(x, MatMul) or len(x.args) != 2 or not isinstance(x.args[1], Transpose):
        return False
    return x.args[0].is_Matrix and x.args[0].shape[1:] == (1,)


def _own(x: Any) -> Iterator[tuple[Any, Any]]:
    """Changes at the top of an expression: a factor with the expression without it, or None with another expression."""
    if isinstance(x, MatAdd):
        for k, term in enumerate(x.args):
            rest = [*x.args[:k], *x.args[k + 1 :]]
            kept = MatAdd(*rest) if len(rest) > 1 else rest[0]
            yield None, kept
            yield None, al.scaled(MINUS_ONE, kept)  # z for 1 - z
            yield None, _rebuilt(x, k, al.scaled(MINUS_ONE, term))
        for v in values_in(x):  # 1 - v^2, the derivative of tanh, for that of the logistic function
            if v.shape == x.shape and al.add(x, al.raised(v, S(2))) == al.constant(1, tuple(x.shape)):
                yield None, HadamardProduct(v, _complement(v))
    elif isinstance(x, HadamardProduct):
        for k, factor in enumerate(x.args):
            rest = [*x.args[:k], *x.args[k + 1 :]]
            yield factor, HadamardProduct(*rest) if len(rest) > 1 else rest[0]
            if _complement(factor) in rest:  # v (1 - v) for 1 - v^2
                rest.remove(_complement(factor))
                tanh = al.add(al.constant(1, tuple(x.shape)), al.scaled(MINUS_ONE, al.raised(factor, S(2))))
                yield None, HadamardProduct(*rest, tanh) if rest else tanh
    elif isinstance(x, HadamardPower):
        yield None, x.args[0]
    elif isinstance(x, Scaled):
        yield x.args[0], x.args[1]
    elif isinstance(x, Applied) and len(x.operands) == 1:
        yield None, x.operands[0]
    elif isinstance(x, MatMul):
        yield from _of_product(x)


def _of_product(x: MatMul) -> Iterator[tuple[Any, Any]]:
    for k, factor in enumerate(x.args):
        rest = [*x.args[:k], *x.args[k + 1 :]]
        square = factor.is_Matrix and factor.shape[0] == factor.shape[1]
        if square and factor.shape[0] != 1 and not isinstance(factor, DiagMatrix):
            turned = factor.args[0] if isinstance(factor, Transpose) else Transpose(factor)
            yield None, _rebuilt(x, k, turned)
        if not factor.is_Matrix and factor != MINUS_ONE:
            yield None, MatMul(*rest) if len(rest) > 1 else rest[0]
        if square and any(f.is_Matrix for f in rest):
            yield factor, MatMul(*rest) if len(rest) > 1 else rest[0]


def _complement(v: Any) -> Any:
    return al.add(al.constant(1, tuple(v.shape)), al.scaled(MINUS_ONE, v))


def _others(x: Value, values: Sequence[Value]) -> Iterator[Value]:
    """What may stand in the place of a value: the same at another time, or another like it."""
    if x.time is not None:
        yield x.at(x.time - 1)
        yield x.at(x.time + 1)
    if x.role == "adjoint":
        yield x.as_role("direct")
    for other in values:
        alike = other.shape == x.shape and _group(other) == _group(x) and other.name != x.name
        if alike and x.time is None and other.time is None:
            yield other
        elif alike and x.time is not None and other.time is not None:
            yield other.at(x.time)
            if x.role == "value":  # a state is read at t - 1, and a gate at t
                yield other.at(x.time - 1)
                yield other.at(x.time + 1)


def _group(x: Value) -> str:
    return "value" if x.role in ("value", "input", "output") else x.role


def _exchanges(right: Any, values: Sequence[Value]) -> Iterator[Mistake]:
    """Two values of a kind, each in the place of the other."""
    held = values_in(right)
    for i, x in enumerate(held):
        for y in held[i + 1 :]:
            if x.shape == y.shape and _group(x) == _group(y) and x.time == y.time and x.role != "direct":
                yield Mistake("exchanged", x, y, None, replaced(right, {x: y, y: x}))
