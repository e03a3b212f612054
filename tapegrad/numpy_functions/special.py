"""The error function and GELU; and the ufuncs of ``scipy.special`` that arrive through NumPy's protocol.

They are found by their names. Most are a primitive of :mod:`tapegrad.primitives.special`; the others are compositions
that are as exact.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..primitives import elementwise as ew
from ..primitives import special as rows

LN2, LN10 = float(np.log(2.0)), float(np.log(10.0))
HOMES = ("scipy.special", "scipy.special._ufuncs")


def origin(ufunc: Any) -> str:
    """The package that a ufunc comes from. SciPy is not imported: if it is not there yet, its ufunc cannot arrive."""
    name = ufunc.__name__
    return "scipy.special" if any(getattr(sys.modules.get(home), name, None) is ufunc for home in HOMES) else "numpy"


def found(ufunc: Any) -> Callable | None:
    """What carries out a ufunc of ``scipy.special`` on Tensors, None if there is no rule for it."""
    return HANDLERS.get(ufunc.__name__) if origin(ufunc) == "scipy.special" else None


def erf(x: Any) -> Any:
    """The error function 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x, of any shape, without SciPy.

    At most 2 units in the last place from the true value in float32 and float64. ``scipy.special.erf`` of a Tensor is
    the same.

    >>> float(erf(0.0)), float(erf(-np.inf)), float(erf(30.0))
    (0.0, -1.0, 1.0)
    """
    return rows.erf(x)


def gelu(x: Any, approximate: bool = False) -> Any:
    """x times the probability that a standard normal number is below x, of any shape.

    Parameters
    ----------
    x : array, any shape
    approximate : bool
        Whether x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 is given instead, as in GPT-2; it is off by less
        than 0.001. Hendrycks & Gimpel 2016, "Gaussian Error Linear Units".

    Examples
    --------
    >>> gelu(np.array([-1.0, 0.0, 1.0]))
    array([-0.15865525,  0.        ,  0.84134475])
    """
    if approximate:
        return 0.5 * x * (1.0 + np.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))
    return 0.5 * x * rows.erfc(x * -0.7071067811865476)


# ---- compositions ----
def entr(x):
    return np.where(x < 0, -np.inf, -rows.xlogy(x, x))


def rel_entr(x, y):
    return _divergence(x, y, lambda x, y: 0.0)


def kl_div(x, y):
    return _divergence(x, y, lambda x, y: y - x)


def _divergence(x, y, rest):
    """x log(x / y) + rest(x, y) where x >= 0 and y > 0 or both are 0, elsewhere infinite."""
    kind = np.result_type(x, y)
    x, y = (np.asarray(v, kind) if isinstance(v, (int, float)) else v for v in (x, y))
    outside = (np.less(x, 0) | np.less(y, 0)) | (np.equal(y, 0) & np.greater(x, 0))
    x_in, y_in = np.where(outside, 0.0, x), np.where(outside, 1.0, y)
    share = x_in / np.where(np.equal(y_in, 0), 1.0, y_in)
    value = np.where(outside, np.inf, rows.xlogy(x_in, share) + rest(x_in, y_in))
    return np.where(np.isnan(x) | np.isnan(y), np.nan, value)


def loggamma(x):
    return np.where(x < 0, np.nan, rows.gammaln(x))


def exp1(x):
    return np.where(x < 0, np.nan, -rows.expi(-np.where(x < 0, 1.0, x)))


def logit(x):
    return np.log(x) - np.log1p(-x)


def cosm1(x):
    half = np.sin(0.5 * x)
    return -2.0 * half * half


HANDLERS: dict[str, Callable] = {
    row.where: row for row in vars(rows).values() if isinstance(row, rows.SciPyFunction)
} | {
    "_zeta": rows.zeta,
    "psi": rows.digamma,
    "erf": rows.erf,
    "erfc": rows.erfc,
    "erfcinv": lambda x: rows.ndtri(0.5 * x) * (-1.0 / rows.ROOT_2),
    "ndtr": lambda x: 0.5 * rows.erfc(x * (-1.0 / rows.ROOT_2)),
    "loggamma": loggamma,
    "entr": entr,
    "rel_entr": rel_entr,
    "kl_div": kl_div,
    "expit": ew.logistic,
    "logit": logit,
    "log_expit": lambda x: -np.logaddexp(-x, 0),
    "expm1": ew.expm1,
    "log1p": ew.log1p,
    "exp2": lambda x: np.exp(x * LN2),
    "exp10": lambda x: np.exp(x * LN10),
    "cosm1": cosm1,
    "exp1": exp1,
    "i0": lambda x: rows.iv(0.0, x),
    "i1": lambda x: rows.iv(1.0, x),
    "i0e": lambda x: rows.ive(0.0, x),
    "i1e": lambda x: rows.ive(1.0, x),
    "j0": lambda x: rows.jv(0.0, x),
    "j1": lambda x: rows.jv(1.0, x),
    "y0": lambda x: rows.yv(0.0, x),
    "y1": lambda x: rows.yv(1.0, x),
    "yn": rows.yv,
}  # fmt: skip
