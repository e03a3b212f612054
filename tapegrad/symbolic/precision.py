"""mpmath's floats, of any precision, as numbers for a tape."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import sympy

from .scalar_expressions import Expressions
from .scalars import Scalars, literal


class Precision(Scalars):
    """mpmath's floats.

    Parameters
    ----------
    dps : int
        Decimal digits.
    """

    def __init__(self, dps: int = 50):
        from mpmath import MPContext

        self.context = mp = MPContext()
        mp.dps = dps
        self.functions = {
            **Expressions.functions,
            **{name: getattr(mp, name) for name in "exp expm1 log log1p sqrt sin cos tan sinh cosh tanh floor".split()},
            **{name: getattr(mp, name) for name in ("erf", "erfc")},
            **{f"arc{name}": getattr(mp, "a" + name) for name in "sin cos tan sinh cosh tanh".split()},
            "divide": lambda x, y: mp.mpf(x) / y,
            "power": lambda x, y: mp.mpf(x) ** y,
            "remainder": lambda x, y: x - y * mp.floor(mp.mpf(x) / y),
            "absolute": abs,
            "maximum": max,
            "minimum": min,
            "logistic": lambda x: 1 / (1 + mp.exp(-x)),
            "logaddexp": lambda x, y: mp.log(mp.exp(x) + mp.exp(y)),
            "arctan2": mp.atan2,
            "where": lambda c, x, y: x if c else y,
            "stop_gradient": lambda x: x,
            "sign": mp.sign,
            "rint": mp.nint,
            "floor_divide": lambda x, y: mp.floor(mp.mpf(x) / y),
            "equal": lambda x, y: x == y,
            "less": lambda x, y: x < y,
            "less_equal": lambda x, y: x <= y,
            "isfinite": mp.isfinite,
            "logical_and": lambda x, y: bool(x and y),
            "logical_or": lambda x, y: bool(x or y),
            "logical_not": lambda x: not x,
        }

    def number(self, value: Any) -> Any:
        """Exactly what a literal of a step says; numbers of mpmath and SymPy, to the precision."""
        if isinstance(value, self.context.mpf):
            return value
        if not isinstance(value, sympy.Rational):
            value = literal(value)
        if value.is_Rational:
            return self.context.mpf(value.p) / value.q
        return self.context.mpf(sympy.Float(value, self.context.dps + 5)._mpf_)

    def data(self, array: Any) -> np.ndarray:
        """Floats of an array as they are, without the rounding to what a step would have said."""
        array = np.asarray(array, float)
        return np.array([self.context.mpf(float(v)) for v in array.ravel()], object).reshape(array.shape)

    def largest(self, values: Sequence[Any]) -> Any:
        return reduce(max, values)
