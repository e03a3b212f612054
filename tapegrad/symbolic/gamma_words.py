"""What the gamma analysis says in words: sufficient, necessary, conventions, and the direct paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sympy import S, oo

from .constants import is_zero
from .expressions import TIME
from .gamma_scalars import Writer
from .intervals import Interval
from .norms import finite
from .paths import Path

if TYPE_CHECKING:
    from .gamma import Bound


def between(text: str, limits: Interval, w: Writer) -> str:
    return f"{w.scalar(limits.low)} {w.le} {text} {w.le} {w.scalar(limits.high)}"


def convention(bound: Bound, w: Writer) -> str:
    partial = bound.gamma_step.jacobian
    old, new = w.m(w.p(partial.by)), w.m(w.p(partial.value))
    return (
        f"Convention: step t makes {new} from {old}, so its Jacobian has the slopes of step t. The product from k to t "
        "has those of steps k+1, ..., t, which are t-k factors, and in the gradient of a recurrent weight the error "
        f"of step k stands beside the state of step k-1. Texts that write {w.m(w.later)} have the slopes of steps "
        "k, ..., t-1 in the product from k to t, and the state of step k beside that error."
    )


# ---- vanishing ----


def vanishing(bound: Bound, w: Writer) -> str:
    """What is sufficient for it."""
    if not bound.blocks:
        return "No gradient flows from one step to another."
    if bound.gamma == oo:
        return endless(bound, w)
    below, power, least = w.m(f"{w.gamma()} < 1"), w.m(w.power("t-k")), at_least(bound)
    if bound.constant and bound.gamma == 1 and all(p.is_identity for p in bound.paths):
        return "The Jacobian is the identity: the gradient goes back over any number of steps as it is."
    if least >= 1:
        return (
            f"{below} would be sufficient for vanishing, but no weights bring this bound below "
            f"{w.m(w.scalar(least))}{because(bound, w)}: it never shows that the gradient vanishes. The gradient may "
            "do so all the same, where factors stay below their suprema."
        )
    if not bound.gamma.free_symbols:
        value = w.m(f"{w.gamma()} = {w.scalar(bound.gamma)} < 1")
        return f"{value}: the gradient vanishes at least as fast as {power}, whatever inputs and weights are."
    enough = w.m(condition(bound, w, "<"))
    if bound.constant:
        return (
            f"The cell is linear in its state: the Jacobian {w.m('J')} is the same at all times, and {w.m(w.j_power)} "
            f"goes to 0 if and only if its spectral radius {w.m(w.rho('J'))}, the largest absolute value of an "
            f"eigenvalue, is below 1; spectral_radius(params) gives it. {enough} is sufficient for that, since "
            f"{w.m(w.rho_below)}."
        )
    inputs = "all inputs of this size" if bound.rests_on_inputs else "all inputs"
    return (
        f"{below} is sufficient: the gradient then vanishes for {inputs}, at least as fast as {power}. {enough} "
        "ensures it. It is not necessary: where units are saturated or switched off, slopes are far below their "
        "suprema, and the gradient vanishes with larger weights too."
    )


def endless(bound: Bound, w: Writer) -> str:
    """Where no gamma holds for all times: what is responsible."""
    reasons = []
    for what in bound.unbounded:
        terms = [
            w.m(w.p(term)) for block in [*bound.inner, *bound.blocks.values()] for term, b in block.terms
            if contains(bound, b, what)
        ]  # fmt: skip
        name = w.m(w.elements(what) if what in bound.old else w.p(what))
        reason = f"{name} has no bound for all times" if what in bound.old else f"no bound is known of {name}"
        reasons.append(reason + (f" (in {', '.join(terms)})" if terms else ""))
    each = f" At each step the bound of {w.m(w.gamma('step'))} holds with the values of that step."
    return (
        f"No {w.m(w.gamma() + ' < 1')} can be given, which would be sufficient for vanishing: {'; '.join(reasons)}."
        f"{each if bound.gamma_step.bound != oo else ''} Whether the gradient vanishes depends on what the factors are "
        "at each step; see the direct paths."
    )


def contains(bound: Bound, term: Any, what: Any) -> bool:
    if what in bound.old:
        return any(bound.ranges.norms[s].of == what for s in term.free_symbols)
    return not finite(term)


def at_least(bound: Bound) -> Any:
    """What gamma is if all weights are zero."""
    made = bound.gamma.xreplace({symbol: S.Zero for symbol in bound.gamma.free_symbols})
    if made.func.__name__ == "SpectralNorm":
        found = float(np.linalg.norm(np.array(made.args[0].tolist(), np.float64), 2))
        return S(round(found)) if abs(found - round(found)) < 1e-12 else S(float(f"{found:.6g}"))
    return made


def because(bound: Bound, w: Writer) -> str:
    found = [w.m(w.p(p.direct)) for p in bound.paths if p.exists and not is_zero(p.direct)]
    return f", since the direct path {', '.join(found)} may pass the gradient on in full" if found else ""


def condition(bound: Bound, w: Writer, sign: str) -> str:
    """gamma < 1, solved for a norm if there is only one."""
    symbols = list(bound.gamma.free_symbols)
    if len(symbols) == 1 and bound.gamma.is_polynomial(symbols[0]):
        factor, rest = bound.gamma.coeff(symbols[0]), bound.gamma.subs(symbols[0], 0)
        if bound.gamma == factor * symbols[0] + rest:
            return f"{w.scalar(symbols[0])} {sign} {w.scalar((1 - rest) / factor)}"
    whole = w.gamma() if bound.gamma.func.__name__ == "SpectralNorm" else w.scalar(bound.gamma)
    return f"{whole} {sign} 1"


# ---- exploding ----


def exploding(bound: Bound, w: Writer) -> str:
    """What is necessary for it, and why that is not sufficient."""
    step = w.gamma("step")
    if not bound.blocks:
        return ""
    if bound.gamma != oo and not bound.gamma.free_symbols and bound.gamma <= 1:
        return f"The gradient cannot explode: {w.m(f'{step} {w.le} {w.scalar(bound.gamma)}')} at each step."
    example = bound.counterexample
    powers = {n: w.scalar(example.product_norm(n).evalf(2)) for n in (10, 40)}
    norms = ", ".join(w.m(f"{w.norm(w.raised('W', n))} = {made}") for n, made in powers.items())
    each = w.m(f"{step} = {w.sigma('W')} = {w.scalar(example.sigma_max.evalf(3))}")
    needed = f", and so {w.m(condition(bound, w, '>'))}," if bound.gamma != oo and at_least(bound) < 1 else ""
    decided = f" Here {w.m(w.rho('J') + ' > 1')} is what decides." if bound.constant else ""
    return (
        f"{w.m(f'{step} > 1')} at some steps{needed} is necessary for the gradient to explode, not sufficient: a "
        f"product can be much smaller than the product of the norms. An example: {w.m(w.linear)} with "
        f"{w.m('W = ' + w.table(example.W))} has {each} at each step, but its eigenvalues are "
        f"{w.m(w.scalar(example.spectral_radius))}, and {norms}: the gradient vanishes.{decided}"
    )


# ---- direct paths ----


def path_remark(p: Path, w: Writer) -> str:
    """What the direct path of a state does to the gradient."""
    old, new = w.m(w.p(p.state)), w.m(w.p(p.state.at(TIME)))
    through = ", ".join(w.m(w.p(v.at(None))) for v in p.through)
    if not p.exists:
        ways = f"weights, functions or other states ({through})" if through else "weights and functions"
        return f"{new} has none: every way from {old} to {new} goes through {ways}."
    others = f" Other ways from {old} to later values of itself lead through {through}." if through else ""
    factor = w.m(w.p(p.factor))
    if p.is_identity:
        return (
            f"{new} takes over {old} as it is: the direct path is the identity, over any number of steps, and along it "
            f"the gradient neither vanishes nor explodes.{others}"
        )
    over = f"{new} takes over {old} times {factor}, unit by unit"
    if not p.range.bounded:
        return f"{over}; this factor may be of any size.{others}"
    if p.range.low == p.range.high:
        return f"{over}: from k to t the direct path multiplies the gradient by the power t-k of this number.{others}"
    sizes = w.m(between(w.p(p.factor), p.range, w))
    if p.range.magnitude <= 1:
        return (
            f"{over}, with {sizes}; no weight matrix is on this path. From k to t it multiplies the gradient of a unit "
            "by the product of these factors: along it the gradient cannot explode, is kept while they stay near 1, "
            f"and is lost where one is near 0.{others}"
        )
    return f"{over}, with {sizes}: along it the gradient may shrink or grow.{others}"
