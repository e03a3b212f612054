"""Special functions: the error function, and those that SciPy computes.

SciPy is no dependency. A row names the function in ``scipy.special``, which is loaded when the row is first computed:
a Tensor meets one only where the user has called SciPy, or along a derivative of what the user called there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np

from ..errors import UnsupportedPrimitive
from .elementwise import Elementwise
from .error_function import erf_function, erfc_function
from .registry import is_inexact

ROOT_PI, ROOT_2 = math.sqrt(math.pi), math.sqrt(2.0)


class SciPyFunction(Elementwise):
    """A function of ``scipy.special``; a derivative of None is unknown, and refused where it is asked for.

    ``where`` names it in SciPy if that differs from ``name``.
    """

    family = "special"

    def __init__(self, name: str, *derivatives: Callable | None, where: str = ""):
        super().__init__(name, self._computed, *derivatives)
        self.where = where or name
        if None in derivatives:  # of the instance: its rules are the table's, as those of every elementwise row
            self.pull, self.push = self._guarded_pull, self._guarded_push  # type: ignore[method-assign]

    @cached_property
    def scipy_function(self) -> Callable:
        return getattr(import_module("scipy.special"), self.where)

    def _computed(self, *args: Any) -> Any:
        if len(args) > 1 and any(type(arg) in (int, float) for arg in args):
            # Python's numbers are weak (NEP 50), which not all of SciPy's functions respect.
            kind = np.result_type(*args)
            if kind.kind == "f":
                args = tuple([kind.type(arg) if type(arg) in (int, float) else arg for arg in args])
        with np.errstate(all="ignore"):
            return self.scipy_function(*args)

    def _guarded_pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        self._check([slot >= 0 and is_inexact(arg) for slot, arg in zip(slots, args, strict=True)])
        return super().pull(g, ans, args, options, slots)

    def _guarded_push(self, tangents: Sequence[Any], ans: Any, args: Sequence[Any], options: dict) -> Any:
        self._check([tangent is not None for tangent in tangents])
        return super().push(tangents, ans, args, options)

    def _check(self, moving: Sequence[bool]) -> None:
        for place, (rule, asked) in enumerate(zip(self.derivatives, moving, strict=True)):
            if asked and rule is None:
                raise UnsupportedPrimitive(
                    f"scipy.special.{self.where}: the derivative by argument {place} is not known; keep it constant, "
                    "with tapegrad.stop_gradient if it is traced, or give the function a rule: "
                    "f = tapegrad.primitive(function), then f.defvjp(...)"
                )


def ratio(x, y):
    """x / y, and 0 where both are 0."""
    return x / np.where(np.logical_and(np.equal(x, 0), np.equal(y, 0)), 1.0, y)


# ---- the error function and the normal distribution ----
erf = Elementwise("erf", erf_function, lambda g, ans, x: g * (2.0 / ROOT_PI) * np.exp(-x * x))
erfc = Elementwise("erfc", erfc_function, lambda g, ans, x: -g * (2.0 / ROOT_PI) * np.exp(-x * x))
erfcx = SciPyFunction("erfcx", lambda g, ans, x: g * (2.0 * x * ans - 2.0 / ROOT_PI))
erfinv = SciPyFunction("erfinv", lambda g, ans, x: g * (0.5 * ROOT_PI) * np.exp(ans * ans))
ndtri = SciPyFunction("ndtri", lambda g, ans, x: g * (ROOT_2 * ROOT_PI) * np.exp(0.5 * ans * ans))
log_ndtr = SciPyFunction("log_ndtr", lambda g, ans, x: g * (ROOT_2 / ROOT_PI) / erfcx(x * (-1.0 / ROOT_2)))

# ---- the gamma function ----
zeta: SciPyFunction = SciPyFunction("zeta", None, lambda g, ans, s, q: -g * s * zeta(s + 1.0, q))
digamma = SciPyFunction("digamma", lambda g, ans, x: g * zeta(2.0, x))
gammaln = SciPyFunction("gammaln", lambda g, ans, x: g * digamma(x))
gamma = SciPyFunction("gamma", lambda g, ans, x: g * (ans * digamma(x)))
betaln = SciPyFunction(
    "betaln",
    lambda g, ans, a, b: g * (digamma(a) - digamma(a + b)),
    lambda g, ans, a, b: g * (digamma(b) - digamma(a + b)),
)
beta = SciPyFunction(
    "beta",
    lambda g, ans, a, b: g * (ans * (digamma(a) - digamma(a + b))),
    lambda g, ans, a, b: g * (ans * (digamma(b) - digamma(a + b))),
)


def gamma_density(g, a, x):
    """g times the density x^(a-1) exp(-x) / gamma(a)."""
    return g * np.exp(xlogy(a - 1.0, x) - x - gammaln(a))


gammainc = SciPyFunction("gammainc", None, lambda g, ans, a, x: gamma_density(g, a, x))
gammaincc = SciPyFunction("gammaincc", None, lambda g, ans, a, x: -gamma_density(g, a, x))
betainc = SciPyFunction(
    "betainc",
    None,
    None,
    lambda g, ans, a, b, x: g * np.exp(xlogy(a - 1.0, x) + xlog1py(b - 1.0, -x) - betaln(a, b)),
)

# ---- products with logarithms, exact at 0 ----
xlogy: SciPyFunction = SciPyFunction("xlogy", lambda g, ans, x, y: g * np.log(y), lambda g, ans, x, y: g * ratio(x, y))
xlog1py: SciPyFunction = SciPyFunction(
    "xlog1py", lambda g, ans, x, y: g * np.log1p(y), lambda g, ans, x, y: g * ratio(x, y + 1.0)
)

# ---- Bessel functions and the exponential integral ----
iv: SciPyFunction = SciPyFunction("iv", None, lambda g, ans, n, x: g * (0.5 * (iv(n - 1.0, x) + iv(n + 1.0, x))))
ive: SciPyFunction = SciPyFunction(
    "ive", None, lambda g, ans, n, x: g * (0.5 * (ive(n - 1.0, x) + ive(n + 1.0, x)) - ans * np.sign(x))
)
jv: SciPyFunction = SciPyFunction("jv", None, lambda g, ans, n, x: g * (0.5 * (jv(n - 1.0, x) - jv(n + 1.0, x))))
yv: SciPyFunction = SciPyFunction("yv", None, lambda g, ans, n, x: g * (0.5 * (yv(n - 1.0, x) - yv(n + 1.0, x))))
expi = SciPyFunction("expi", lambda g, ans, x: g * np.exp(x) / x)

__all__ = [
    "SciPyFunction", "beta", "betainc", "betaln", "digamma", "erf", "erfc", "erfcx", "erfinv", "expi", "gamma",
    "gammainc", "gammaincc", "gammaln", "iv", "ive", "jv", "log_ndtr", "ndtri", "xlog1py", "xlogy", "yv", "zeta",
]  # fmt: skip
