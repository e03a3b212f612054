"""check_vjp, check_jvp, check_adjoint: one mode, or a rule written by hand, element by element."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import pytree
from ..errors import OptionError
from ..transforms import jvp, vjp
from .agreement import Gap, largest, worst_gap
from .differences import Difference, directional
from .flat import Flat, flattened, function_name, general, is_floating, is_inexact, repeated
from .gradients import ATOL, RTOL, GradientMismatch, RoughDerivative

MOST = 200  # elements of one argument that are compared; of larger arguments a random choice
SHARP = 1e-10  # for identities in which nothing is found by evaluation


def check_vjp(
    f: Callable,
    args: Sequence[Any],
    rule: Callable | None = None,
    *,
    rtol: float = RTOL,
    atol: float = ATOL,
    seed: int = 0,
) -> None:
    """Compare cotangents, element by element, with derivatives found by evaluating ``f``.

    Random weights u of the result are drawn. Each element of J'u, for each floating argument, is held against
    <u, J e>, where e is the unit vector of the element, by complex step or extrapolated central differences. Of
    arguments with more than 200 elements a random choice is compared.

    Parameters
    ----------
    f : callable
        From pytrees of arrays to a pytree of arrays.
    args : sequence of pytrees
        The point; floating arrays are taken as float64.
    rule : callable (g, ans, *args), optional
        A backward pass of your own, as :func:`tapegrad.custom_vjp` takes it: it returns the cotangent of each
        argument, or of the only one, None where there is none. By default reverse mode.
    rtol, atol : float
        What is allowed, relative to the largest element of the cotangent, and absolutely.
    seed : int

    Raises
    ------
    GradientMismatch
        With the argument, the element, both numbers, the relative error and a call that repeats it.
    RoughDerivative
        When evaluation gives no derivative good enough to tell.
    DtypeError
        When no argument is floating.

    Examples
    --------
    >>> check_vjp(np.tanh, (np.arange(3.0),), lambda g, ans, x: g * (1 - ans**2))
    """
    flat, rng = flattened("check_vjp", f, args), np.random.default_rng(seed)
    weights = [general(rng, np.shape(y)) for y in flat.function(*flat.args)]
    if rule is None:
        found = list(vjp(flat.function, *flat.args)[1](list(weights)))
    else:
        found = _ruled_cotangents(flat, f, rule, weights)
    snippet = repeated("check_vjp", f, args, {"rule": rule}, seed=seed)
    for i, (name, x, g) in enumerate(zip(flat.names, flat.args, found, strict=True)):
        if np.shape(g) != x.shape:
            raise GradientMismatch(
                f"check_vjp: the cotangent of {name} has shape {np.shape(g)}, expected {x.shape}\n{snippet}"
            )
        places = chosen(rng, x.size)
        truth = by_elements(flat, weights, i, places)
        g = np.asarray(g, np.float64).reshape(-1)[places]
        _judge(f"check_vjp: the cotangent of {name} is wrong", g, truth, places, x.shape, (rtol, atol), snippet)


def check_jvp(
    f: Callable,
    args: Sequence[Any],
    rule: Callable | None = None,
    *,
    rtol: float = RTOL,
    atol: float = ATOL,
    seed: int = 0,
) -> None:
    """Compare tangents, element by element, with derivatives found by evaluating ``f``.

    A random direction is drawn for each floating argument. J v along each argument alone, and along all at once, is
    held against complex step or extrapolated central differences.

    Parameters
    ----------
    f, args, rtol, atol, seed
        As for :func:`check_vjp`.
    rule : callable (tangents, ans, *args), optional
        A forward rule of your own, as :func:`tapegrad.custom_jvp` takes it: it returns the tangent of the result. The
        tangent of what is not floating is None. By default forward mode.

    Raises
    ------
    GradientMismatch, RoughDerivative, DtypeError
        As from :func:`check_vjp`; the element is one of the result.

    Examples
    --------
    >>> check_jvp(np.tanh, (np.arange(3.0),), lambda tangents, ans, x: tangents[0] * (1 - ans**2))
    """
    flat, rng = flattened("check_jvp", f, args), np.random.default_rng(seed)
    snippet = repeated("check_jvp", f, args, {"rule": rule}, seed=seed)
    directions = [general(rng, x.shape) for x in flat.args]
    for which in alone_and_together(len(directions)):
        moves = [v if i in which else np.zeros_like(v) for i, v in enumerate(directions)]
        truth = directional(flat.function, flat.args, moves)
        if rule is None:
            found = list(jvp(flat.function, flat.args, moves)[1])
        else:
            found = _ruled_tangents(flat, f, rule, moves)
        names = ", ".join(flat.names[i] for i in which)
        for place, (t, expected, doubt) in enumerate(zip(found, truth.value, truth.error, strict=True)):
            text = f"check_jvp: the tangent of result {place} along {names}"
            if np.shape(t) != expected.shape:
                raise GradientMismatch(f"{text} has shape {np.shape(t)}, expected {expected.shape}\n{snippet}")
            one = Difference([expected.reshape(-1)], [doubt.reshape(-1)], truth.method)
            t, every = np.asarray(t, np.float64).reshape(-1), np.arange(expected.size)
            _judge(f"{text} is wrong", t, one, every, expected.shape, (rtol, atol), snippet)


def check_adjoint(
    f: Callable,
    args: Sequence[Any],
    *,
    vjp: Callable | None = None,
    jvp: Callable | None = None,
    rtol: float = SHARP,
    seed: int = 0,
) -> None:
    """Check that reverse mode is the transpose of forward mode: <J v, u> = <v, J'u>.

    Nothing is found by evaluation, so this is as sharp as rounding allows, and it takes kinks, float32 and functions
    of millions of elements. It holds the modes against each other only: it does not see what is wrong in both.

    Parameters
    ----------
    f, args, seed
        As for :func:`check_vjp`.
    vjp, jvp : callable, optional
        Rules of your own, as for :func:`check_vjp` and :func:`check_jvp`.
    rtol : float
        What the two sides may differ by, beside the sum of the magnitudes of their terms.

    Raises
    ------
    GradientMismatch
        With the argument, both numbers, the relative error and a call that repeats it.
    DtypeError
        When no argument is floating.

    Examples
    --------
    >>> check_adjoint(lambda w, x: np.tanh(x @ w), (np.ones((3, 2)), np.arange(3.0)))
    """
    if rtol <= 0:
        raise OptionError(f"check_adjoint: rtol={rtol!r}; give a number above 0")
    flat, rng = flattened("check_adjoint", f, args), np.random.default_rng(seed)
    weights = [general(rng, np.shape(y)) for y in flat.function(*flat.args)]
    directions = [general(rng, x.shape) for x in flat.args]
    pulled = _pulled(flat, weights) if vjp is None else _ruled_cotangents(flat, f, vjp, weights)
    snippet = repeated("check_adjoint", f, args, {"vjp": vjp, "jvp": jvp}, rtol=rtol, seed=seed)
    _same_shapes([f"the cotangent of {name}" for name in flat.names], pulled, directions, snippet)
    results = [f"the tangent of result {k}" for k in range(len(weights))]
    for which in alone_and_together(len(directions)):
        moves = [v if i in which else np.zeros_like(v) for i, v in enumerate(directions)]
        pushed = _pushed(flat, moves) if jvp is None else _ruled_tangents(flat, f, jvp, moves)
        _same_shapes(results, pushed, weights, snippet)
        left = [np.sum(t * u) for t, u in zip(pushed, weights, strict=True)]
        right = [np.sum(v * g) for v, g in zip(moves, pulled, strict=True)]
        scale = _terms(pushed, weights) + _terms(moves, pulled)
        one, two = float(sum(left)), float(sum(right))
        # An infinite scale would allow everything.
        if not (np.isfinite(scale) and abs(one - two) <= rtol * scale):
            names = ", ".join(flat.names[i] for i in which)
            relative = abs(one - two) / scale if np.isfinite(scale) else np.inf
            raise GradientMismatch(
                f"check_adjoint: forward and reverse mode of {function_name(f)} are not each other's transpose with "
                f"respect to {names}:\n"
                f"  <J v, u>        {one!r}\n"
                f"  <v, J'u>        {two!r}\n"
                f"  relative error  {relative:.2e}, allowed {rtol:.0e}\n"
                f"{snippet}"
            )


def _same_shapes(names: Sequence[str], found: Sequence[Any], expected: Sequence[Any], snippet: str) -> None:
    for name, a, b in zip(names, found, expected, strict=True):
        if np.shape(a) != np.shape(b):
            raise GradientMismatch(f"check_adjoint: {name} has shape {np.shape(a)}, expected {np.shape(b)}\n{snippet}")


def alone_and_together(count: int) -> list[list[int]]:
    """Each argument by itself, then all."""
    return [[i] for i in range(count)] + ([list(range(count))] if count > 1 else [])


def _terms(a: Sequence[Any], b: Sequence[Any]) -> float:
    return sum(float(np.sum(np.abs(x * y))) for x, y in zip(a, b, strict=True))


def _pulled(flat: Flat, weights: list) -> list[Any]:
    return list(vjp(flat.function, *flat.args)[1](list(weights)))


def _pushed(flat: Flat, moves: list) -> list[Any]:
    return list(jvp(flat.function, flat.args, moves)[1])


# ---- elements by evaluation ----
def chosen(rng: np.random.Generator, size: int, most: int = MOST) -> np.ndarray:
    """The elements to look at: all, or so many of them."""
    return np.arange(size) if size <= most else np.sort(rng.choice(size, most, replace=False))


def by_elements(flat: Flat, weights: Sequence[np.ndarray], position: int, places: np.ndarray) -> Difference:
    """<u, J e> for unit vectors e of an argument, by evaluation: one number for each of ``places``."""
    value, error, methods = np.zeros(len(places)), np.zeros(len(places)), set()
    for k, place in enumerate(places):
        unit = [np.zeros_like(x) for x in flat.args]
        unit[position].flat[place] = 1.0  # not through reshape, which copies an array in another order
        along = directional(flat.function, flat.args, unit)
        value[k] = sum(float(np.sum(u * t)) for u, t in zip(weights, along.value, strict=True))
        error[k] = sum(float(np.sum(np.abs(u) * e)) for u, e in zip(weights, along.error, strict=True))
        methods.add(along.method)
    return Difference([value], [error], " and ".join(sorted(methods)))


def _judge(
    text: str, found: np.ndarray, truth: Difference, places: np.ndarray, shape: tuple[int, ...],
    tolerance: tuple[float, float], snippet: str,
) -> None:  # fmt: skip
    """Raise when the elements at ``places`` differ by more than is allowed."""
    (expected,), (doubt,) = truth.value, truth.error
    scale = largest(expected)
    allowed = tolerance[1] + tolerance[0] * scale
    gap = worst_gap(found, expected, allowed)
    if gap is None:
        return
    at = gap.index[0]
    element = tuple(map(int, np.unravel_index(places[at], shape))) if shape else ()
    text = f"{text} at element {element}:\n{_numbers(gap, truth.method, doubt[at], allowed, len(places))}"
    if doubt[at] > allowed and not (doubt[at] < 1e-3 * scale and abs(gap.first - gap.second) > 100 * doubt[at]):
        raise RoughDerivative(
            f"{text}\nEvaluation is no judge here: choose a point farther from kinks, poles and large values, or a "
            f"larger rtol\n{snippet}"
        )
    raise GradientMismatch(f"{text}\n{snippet}")


def _numbers(gap: Gap, method: str, doubt: float, allowed: float, count: int) -> str:
    return (
        f"  found                   {gap.first!r}\n"
        f"  by {method:<20} {gap.second!r}, off by at most {doubt:.1e}\n"
        f"  relative error          {gap.relative:.2e}; allowed is a difference of {allowed:.1e}; {gap.count} of "
        f"{count} elements differ by more"
    )


# ---- rules written by hand ----
def _ruled_cotangents(flat: Flat, f: Callable, rule: Callable, weights: list) -> list[Any]:
    """What a backward rule says of each floating argument; zeros where it says None."""
    args = flat.structure.unflatten(flat.filled(flat.args))
    ans = f(*args)
    leaves, structure = pytree.flatten(ans)
    left = iter(weights)
    g = structure.unflatten([next(left) if is_inexact(y) else np.zeros(np.shape(y)) for y in leaves])
    given = rule(g, ans, *args)
    given = given if isinstance(given, tuple) and (len(args) > 1 or len(given) == 1) else (given,)
    if len(given) != len(args):
        raise GradientMismatch(
            f"the rule returned {len(given)} cotangents for {len(args)} arguments; return a tuple with one for each, "
            "None where there is none"
        )
    found: list[Any] = []
    for part, arg in zip(given, args, strict=True):
        kept = [is_floating(leaf) for leaf in pytree.leaves(arg)]
        parts = [None] * len(kept) if part is None else pytree.leaves(part)
        if len(parts) != len(kept):
            raise GradientMismatch(
                f"the rule returned a cotangent of {len(parts)} arrays for an argument of {len(kept)}"
            )
        found.extend([p for p, keep in zip(parts, kept, strict=True) if keep])
    return [np.zeros_like(x) if g is None else g for g, x in zip(found, flat.args, strict=True)]


def _ruled_tangents(flat: Flat, f: Callable, rule: Callable, moves: list) -> list[Any]:
    """What a forward rule says of each floating result."""
    args = flat.structure.unflatten(flat.filled(flat.args))
    left = iter(moves)
    tangents = [next(left) if is_floating(leaf) else None for leaf in pytree.leaves(args)]
    ans = f(*args)
    found = pytree.leaves(rule(flat.structure.unflatten(tangents), ans, *args))
    results = pytree.leaves(ans)
    if len(found) != len(results):
        raise GradientMismatch(f"the rule returned {len(found)} tangents for {len(results)} results")
    return [t for t, y in zip(found, results, strict=True) if is_inexact(y)]
