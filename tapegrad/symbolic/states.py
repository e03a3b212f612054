"""Ranges of states over all times, by induction over the steps."""

from __future__ import annotations

from typing import Any, NamedTuple

from sympy import Poly, PolynomialError, S, oo

from .expressions import Value
from .intervals import Interval, image
from .ranges import Ranges

WRITTEN_OUT = 4  # how many values that are computed from each other are written out


class StateRange(NamedTuple):
    """What is known of a state for all times.

    Attributes
    ----------
    state : Value
        At t - 1.
    limit : SymPy number
        No element is larger in absolute value from t = 1 on, if none is at t = 0; infinity where there is no such
        number.
    kind : {"function", "induction", "growth", "none"}
        Why: the new state is the result of a bounded function, whatever the old one was; or a step does not lead out of
        the range; or, without a limit, each step adds at most ``growth``; or nothing is known.
    growth : SymPy number
    needs : tuple of Value
        Other states that this rests on: they must not start outside of their ranges.
    """

    state: Value
    limit: Any
    kind: str
    growth: Any = oo
    needs: tuple[Value, ...] = ()


def state_ranges(steps: dict[Value, Any], equations: dict[Value, Any], constants: Any = None) -> list[StateRange]:
    """The range of each state.

    Parameters
    ----------
    steps : dict of Value to expression
        The new state for each old one, at t - 1.
    equations : dict of Value to expression
        What stands in them.
    """
    plain = Ranges(equations, {}, constants)
    alone = {s: _one(s, new, plain) for s, new in steps.items()}
    found = {s: r for s, r in alone.items() if r.limit != oo}
    while True:
        given = {s: Interval(-r.limit, r.limit) for s, r in found.items()}
        ranges = Ranges(equations, given, constants)
        made = None
        for state in [s for s in steps if s not in found]:
            made = _one(state, steps[state], ranges)._replace(needs=tuple(found))
            if made.limit != oo:
                found[state] = made
                break
        else:
            rest = {s: _one(s, steps[s], ranges)._replace(needs=tuple(found)) for s in steps if s not in found}
            rest = {s: alone[s] if alone[s].kind == r.kind else r for s, r in rest.items()}
            return [{**found, **rest}[state] for state in steps]


def _written_out(state: Value, made: Any, ranges: Ranges) -> Any:
    """An element of the new state, in which values without a range of their own are what they are computed from.

    So a state that decays before it is read, k_t = g_t * h_{t-1}, is found to be a multiple of the old one.
    """
    for _ in range(WRITTEN_OUT):
        open_values = {
            symbol: ranges.scalar(ranges.equations[atom])
            for symbol, atom in ranges._atoms(made).items()
            if atom != state and atom in ranges.equations and not ranges.of(atom).bounded
        }
        if not open_values:
            break
        made = made.subs(open_values)
    return made


def _one(state: Value, new: Any, ranges: Ranges) -> StateRange:
    by_function = ranges.of(new)
    if by_function.bounded:
        return StateRange(state, by_function.magnitude, "function")
    made = ranges.scalar(new)
    if isinstance(new, Value) and new in ranges.equations:
        made = ranges.scalar(ranges.equations[new])
    made = _written_out(state, made, ranges)
    atoms = ranges._atoms(made)
    symbol = next((s for s, atom in atoms.items() if atom == state), None)
    others = {s: ranges.of(atom) for s, atom in atoms.items() if s is not symbol}
    if symbol is None or not all(interval.bounded for interval in others.values()):
        return StateRange(state, oo, "none")
    try:
        polynomial = Poly(made, symbol)
    except PolynomialError:
        return StateRange(state, oo, "none")
    if polynomial.degree() > 1:
        return StateRange(state, oo, "none")
    # new = A old + B. The largest |new| over |old| <= M is a convex function of M, of slope |A| at last: if |A| <= 1
    # and no |new| is above M for one M, then for no larger M either.
    factor, added = (image(polynomial.coeff_monomial(m), others).magnitude for m in (symbol, 1))
    if factor > 1:
        return StateRange(state, oo, "none")
    candidates = sorted({S.Zero, added, *([added / (1 - factor)] if factor < 1 else [])})
    for limit in candidates:
        if image(made, {**others, symbol: Interval(-limit, limit)}).magnitude <= limit:
            return StateRange(state, limit, "induction")
    return StateRange(state, oo, "growth", added)
