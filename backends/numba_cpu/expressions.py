"""Elementwise primitives as source text: over vectors of the loop's dtype, and for single numbers of any dtype."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .maths import FUNCTIONS

BINARY = ("arctan2", "floor_divide", "logaddexp", "maximum", "minimum", "power", "remainder")

VECTOR = {
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "divide": "{0} / {1}",
    "negative": "-{0}",
    "absolute": "absolute({0})",
    "sqrt": "sqrt({0})",
    "floor": "floor({0})",
    "rint": "rint({0})",
    "copy": "{0}",
    "cast": "{0}",
} | {name: f"{f.__name__}({'{0}, {1}' if name in BINARY else '{0}'})" for name, f in FUNCTIONS.items()}

COMPARISONS = {
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "equal": "{0} == {1}",
    "isfinite": "absolute({0}) < {inf}",
}

TRUTH = {"logical_and": "mask_and({0}, {1})", "logical_or": "mask_or({0}, {1})", "logical_not": "mask_not({0})"}

SCALAR = {
    "copy": "{0}",
    "logistic": "1.0 / (1.0 + np.exp(-{0}))",
    "rint": "np.rint({0})",
}
# Numba has one type for Python's numbers, and NumPy's functions promote to what is common to their arguments: so
# operators are written out, of operands that have been brought to the dtype in which NumPy computes.
OPERATORS = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "less": "<",
    "less_equal": "<=",
    "equal": "==",
}
INTEGER = {
    "floor_divide": "quotient({0}, {1})",
    "remainder": "modulo({0}, {1})",
    "power": "{0} ** {1}",
    "sign": "int({0} > 0) - int({0} < 0)",
}
BOOLEAN = {
    "add": "{0} or {1}",
    "multiply": "{0} and {1}",
    "maximum": "{0} or {1}",
    "minimum": "{0} and {1}",
    "absolute": "{0}",
}


def scalar_expression(name: str, args: Sequence[str], dtype: np.dtype) -> str:
    """The text of an operation on single numbers: what NumPy's function gives, in the dtype of the result."""
    kind = scalar_type(dtype)
    if name == "cast":
        return f"{args[0]} != 0" if dtype.kind == "b" else f"{kind}({args[0]})"
    if name == "where":
        return f"({kind}({args[1]}) if {args[0]} else {kind}({args[2]}))"
    if name in ("less", "less_equal", "equal"):
        return f"({args[0]} {OPERATORS[name]} {args[1]})"
    if name in TRUTH or name == "isfinite":
        return f"np.{name}({', '.join(args)})"
    given = [f"{kind}({arg})" for arg in args]
    if dtype.kind == "b" and name in BOOLEAN:
        text = BOOLEAN[name].format(*given)
    elif dtype.kind in "iu" and name in INTEGER:
        text = INTEGER[name].format(*given)
    elif name in SCALAR:
        text = SCALAR[name].format(*given)
    elif name in OPERATORS:
        text = f"{given[0]} {OPERATORS[name]} {given[1]}"
    else:
        text = f"np.{name}({', '.join(given)})"
    return f"{kind}({text})"


def scalar_type(dtype: np.dtype) -> str:
    """How compiled code calls a dtype."""
    return "bool" if dtype.kind == "b" else f"np.{dtype}"
