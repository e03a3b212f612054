"""check_grads: the derivatives of a function, in both modes and every nesting of them, against its evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import OptionError, TapegradError
from ..transforms import jvp, vjp
from .differences import Difference, directional
from .flat import Flat, flattened, function_name, general, repeated

MODES = {"rev": "reverse mode", "fwd": "forward mode"}
RTOL, ATOL = 1e-7, 1e-9
CANCELLED, TURNS = 1e-2, 4  # a projection this small beside its terms hides what is wrong with them: another direction


class GradientMismatch(TapegradError, AssertionError):
    """A derivative is not what evaluating the function says."""


class RoughDerivative(GradientMismatch):
    """The function could not be differentiated by evaluation as accurately as the comparison needs."""


class _Settings(NamedTuple):
    modes: tuple[str, ...]
    rtol: float
    atol: float
    seed: int
    name: str
    function: Callable
    args: Sequence[Any]


def check_grads(
    f: Callable,
    args: Sequence[Any],
    *,
    modes: Sequence[str] = ("rev", "fwd"),
    order: int = 2,
    rtol: float = RTOL,
    atol: float = ATOL,
    seed: int = 0,
) -> None:
    """Compare the derivatives of ``f`` with ones found by evaluating it, and with each other.

    For each argument a random direction v and random weights u of the result are drawn, such that <J'u, v> does not
    nearly vanish by chance. Then

    * the tangent J v that forward mode gives, element by element,
    * the projection <J'u, v> of the cotangent that reverse mode gives, and
    * the adjoint identity <J v, u> = <v, J'u> between the two

    are held against J v by complex step, or by extrapolated central differences where ``f`` is not analytic. Values,
    shapes and dtypes of what the modes return are compared too. For the second order the same is done
    to J v and to J'u as functions of the arguments, in each nesting of the modes; and so on.

    What ``f`` gives to ``stop_gradient`` keeps, in all evaluations, the value that it has at the point: derivatives
    take it for a constant, so they are those of ``f`` with these values held. What a derivative rule gives to
    ``stop_gradient`` is no part of ``f``, and is not held. Loops whose step calls ``stop_gradient`` are evaluated by
    the reference backend.

    Parameters
    ----------
    f : callable
        From pytrees of arrays to a pytree of arrays, in NumPy functions. It is called with ndarrays, complex
        ones too, and with Tensors.
    args : sequence of pytrees
        The point. Floating arrays are taken as float64 and differentiated; integers, booleans and all else are
        passed on.
    modes : sequence of {"rev", "fwd"}
    order : int
        How often to differentiate, 1 or more.
    rtol, atol : float
        What is allowed, relative to the size of the terms of the projection, and absolutely.
    seed : int
        Of the directions and weights.

    Raises
    ------
    GradientMismatch
        With the argument, mode, order, both numbers, the error and a call that repeats it. It is an AssertionError.
    RoughDerivative
        When evaluation gives no derivative good enough to tell: near a kink, a pole, or with large values.
    DtypeError
        When no argument is floating.

    Examples
    --------
    >>> check_grads(lambda w, x: np.tanh(x @ w), (np.ones((3, 2)), np.arange(3.0)))
    """
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown or not modes:
        raise OptionError(f"check_grads: modes={tuple(modes)!r}; give one or both of 'rev' and 'fwd'")
    if not isinstance(order, int) or order < 1:
        raise OptionError(f"check_grads: order={order!r}; give 1 for first derivatives, 2 for second, and so on")
    settings = _Settings(tuple(modes), rtol, atol, seed, function_name(f), f, args)
    flat = flattened("check_grads", f, args)
    _check_values(flat, settings)
    _check(flat, settings, order, (), np.random.default_rng(seed))


def _check_values(flat: Flat, settings: _Settings) -> None:
    """What the modes say of the value must be the value."""
    plain = flat.function(*flat.args)
    found = {
        "rev": lambda: vjp(flat.function, *flat.args)[0],
        "fwd": lambda: jvp(flat.function, flat.args, [np.ones_like(x) for x in flat.args])[0],
    }
    for mode in settings.modes:
        for place, (expected, value) in enumerate(zip(plain, found[mode](), strict=True)):
            if np.shape(value) != np.shape(expected) or not np.allclose(value, expected, 1e-9, 1e-12, equal_nan=True):
                raise GradientMismatch(
                    f"check_grads: under {MODES[mode]} result {place} of {settings.name} is\n{value}\nand without "
                    f"differentiation it is\n{expected}"
                )


def _check(flat: Flat, settings: _Settings, order: int, path: tuple[str, ...], rng: np.random.Generator) -> None:
    directions = [general(rng, x.shape) for x in flat.args]
    weights = [general(rng, np.shape(y)) for y in flat.function(*flat.args)]
    pulled = _pulled(flat, weights, settings, path) if "rev" in settings.modes else None
    truths = []
    for i in range(len(directions)):
        v, truth = directions[i], _along(flat, i, directions[i])
        for _ in range(TURNS if pulled is not None else 0):
            if not _cancels(truth, weights):
                break
            v = directions[i] = general(rng, v.shape)
            truth = _along(flat, i, v)
        truths.append(truth)
        report = _Report(flat, settings, path, [i], truths[i])
        if pulled is not None:
            report.projection(np.sum(pulled[i] * v), truths[i], weights)
        if "fwd" in settings.modes:
            pushed = report.tangents([v])
            report.elementwise(pushed, truths[i])
            if pulled is not None:
                report.adjoint(pushed, weights, np.sum(pulled[i] * v))
    if "fwd" in settings.modes and len(truths) > 1:
        whole = _sum(truths)
        report = _Report(flat, settings, path, range(len(truths)), whole)
        report.elementwise(report.tangents(directions), whole)
    if order > 1:
        for mode in settings.modes:
            derived = _derivative(flat, mode, directions, weights)
            _check(derived, settings, order - 1, (*path, mode), rng)


def _along(flat: Flat, i: int, v: np.ndarray) -> Difference:
    """The derivative along one argument."""
    along = [v if k == i else np.zeros_like(x) for k, x in enumerate(flat.args)]
    return directional(flat.function, flat.args, along)


def _cancels(truth: Difference, weights: list) -> bool:
    """Whether the terms of the projection cancel each other nearly, as those of one direction in a hundred do."""
    terms = [u * y for u, y in zip(weights, truth.value, strict=True)]
    return abs(sum(float(np.sum(t)) for t in terms)) < CANCELLED * sum(float(np.sum(np.abs(t))) for t in terms)


def _sum(truths: Sequence[Difference]) -> Difference:
    """The derivative along all arguments at once."""
    value = [np.sum(parts, axis=0) for parts in zip(*[t.value for t in truths], strict=True)]
    error = [np.sum(parts, axis=0) for parts in zip(*[t.error for t in truths], strict=True)]
    return Difference(value, error, " and ".join(sorted({t.method for t in truths})))


def _pulled(flat: Flat, weights: list, settings: _Settings, path: tuple[str, ...]) -> Sequence[np.ndarray]:
    cotangents = vjp(flat.function, *flat.args)[1](list(weights))
    for x, g, name in zip(flat.args, cotangents, flat.names, strict=True):
        if np.shape(g) != x.shape or g.dtype != x.dtype:
            raise GradientMismatch(
                f"check_grads: reverse mode, order {len(path) + 1}: {name} has shape {x.shape} and dtype {x.dtype}, "
                f"and its cotangent shape {np.shape(g)} and dtype {g.dtype} (function {settings.name})"
            )
    return cotangents


def _derivative(flat: Flat, mode: str, directions: list, weights: list) -> Flat:
    """The first derivative, contracted with fixed directions or weights, as a function of the same arguments."""
    if mode == "rev":
        return flat._replace(function=lambda *given: list(vjp(flat.function, *given)[1](list(weights))))
    return flat._replace(function=lambda *given: list(jvp(flat.function, given, directions)[1]))


class _Report:
    """The comparisons for some of the arguments, and their message when one fails."""

    def __init__(
        self, flat: Flat, settings: _Settings, path: tuple[str, ...], which: Sequence[int], truth: Difference
    ):
        self.flat, self.settings, self.path, self.which, self.truth = flat, settings, path, which, truth

    def tangents(self, directions: Sequence[np.ndarray]) -> list[np.ndarray]:
        """J v, along these arguments alone: the others stay outside of the differentiation."""
        args = self.flat.args

        def of_some(*given: Any) -> list[Any]:
            filled: list[Any] = list(args)
            for i, value in zip(self.which, given, strict=True):
                filled[i] = value
            return self.flat.function(*filled)

        pushed = jvp(of_some, [args[i] for i in self.which], directions)[1]
        for place, (tangent, expected) in enumerate(zip(pushed, self.truth.value, strict=True)):
            if np.shape(tangent) != expected.shape:
                raise GradientMismatch(
                    f"{self._where('fwd')}: the tangent of result {place} has shape {np.shape(tangent)}, the result "
                    f"has {expected.shape}"
                )
        return pushed

    def projection(self, found: Any, truth: Difference, weights: list) -> None:
        """<J'u, v> against <u, J v> by evaluation."""
        terms = [u * y for u, y in zip(weights, truth.value, strict=True)]
        expected = sum(float(np.sum(t)) for t in terms)
        doubt = sum(float(np.sum(np.abs(u) * e)) for u, e in zip(weights, truth.error, strict=True))
        self._judge("rev", found, expected, sum(float(np.sum(np.abs(t))) for t in terms), doubt)

    def elementwise(self, pushed: list, truth: Difference) -> None:
        """J v against evaluation: the worst element of each result."""
        for place, (found, expected, doubt) in enumerate(zip(pushed, truth.value, truth.error, strict=True)):
            if expected.size:
                gap = np.abs(found - expected)
                worst = np.unravel_index(np.argmax(np.where(np.isnan(gap), np.inf, gap)), gap.shape)
                scale = np.max(np.abs(expected))
                at = f"at element {tuple(map(int, worst))} of result {place}"
                self._judge("fwd", found[worst], expected[worst], scale, doubt[worst], at)

    def adjoint(self, pushed: list, weights: list, pulled: Any) -> None:
        """<J v, u> against <v, J'u>: both are exact, so this is as sharp as rounding allows."""
        terms = [u * y for u, y in zip(weights, pushed, strict=True)]
        scale = sum(float(np.sum(np.abs(t))) for t in terms)
        found = sum(float(np.sum(t)) for t in terms)
        if not abs(found - pulled) <= self.settings.atol * 1e-2 + 1e-10 * scale:
            raise GradientMismatch(
                f"{self._where('fwd')}: the adjoint identity fails: <J v, u> = {found!r} by forward mode, "
                f"<v, J'u> = {float(pulled)!r} by reverse mode\n{self._snippet()}"
            )

    def _judge(self, mode: str, found: Any, expected: Any, scale: float, doubt: float, at: str = "") -> None:
        found, expected = float(found), float(expected)
        allowed = self.settings.atol + self.settings.rtol * scale
        gap = abs(found - expected)
        if gap <= allowed:
            return
        text = (
            f"{self._where(mode)}{' ' + at if at else ''}:\n"
            f"  found                   {found!r}\n"
            f"  by {self.truth.method:<20} {expected!r}, off by at most {doubt:.1e}\n"
            f"  relative error          {gap / scale if scale else np.inf:.2e}, allowed {self.settings.rtol:.0e}"
        )
        if doubt > allowed and not (doubt < 1e-3 * scale and gap > 100 * doubt):
            raise RoughDerivative(
                f"{text}\nEvaluation is no judge here: choose a point farther from kinks, poles and large values, or a "
                f"larger rtol\n{self._snippet()}"
            )
        raise GradientMismatch(f"{text}\n{self._snippet()}")

    def _where(self, mode: str) -> str:
        nesting = " of ".join(MODES[m] for m in (mode, *reversed(self.path)))
        names = ", ".join(self.flat.names[i] for i in self.which)
        return (
            f"check_grads: the derivative of {self.settings.name} with respect to {names} "
            f"is wrong in {nesting} (order {len(self.path) + 1})"
        )

    def _snippet(self) -> str:
        given = self.settings
        return repeated(
            "check_grads", given.function, given.args, modes=given.modes, order=len(self.path) + 1, seed=given.seed
        )
