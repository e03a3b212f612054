"""Elementwise primitives as source text: over vectors of the loop's dtype, and for single numbers of any dtype."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .maths import FUNCTIONS

BINARY = ("arctan2", "floor_divide", "hypot", "logaddexp", "maximum", "minimum", "power", "remainder")

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
    "erf": "number_erf({0})",
    "erfc": "number_erfc({0})",
    "floor_divide": "floor_quotient({0}, {1})",
    "remainder": "floor_modulo({0}, {1})",
    "sign": "(1.0 if {0} > 0 else -1.0 if {0} < 0 else np.absolute({0}) * 0.0)",
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
# Of a signed integer and one that no signed integer holds, all by one function.
WHOLE = {
    "less": "whole_less({0}, {1})",
    "less_equal": "not whole_less({1}, {0})",
    "equal": "not (whole_less({0}, {1}) or whole_less({1}, {0}))",
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


def scalar_expression(name: str, args: Sequence[str], dtype: np.dtype, given: Sequence[np.dtype] = ()) -> str:
    """The text of an operation on single numbers: what NumPy's function gives, in the dtype of the result.

    ``given`` holds the dtypes of the operands.
    """
    kind = scalar_type(dtype)
    if name == "cast":
        return f"{args[0]} != 0" if dtype.kind == "b" else f"{kind}({args[0]})"
    if name == "where":
        return f"({kind}({args[1]}) if {args[0]} else {kind}({args[2]}))"
    if name in WHOLE and np.uint64 in given and any(d.kind == "i" for d in given):
        return f"({WHOLE[name].format(*args)})"
    if name in ("less", "less_equal", "equal"):
        return f"({args[0]} {OPERATORS[name]} {args[1]})"
    if name in TRUTH or name == "isfinite":
        return f"np.{name}({', '.join(args)})"
    args = [f"{kind}({arg})" for arg in args]
    if dtype.kind == "b" and name in BOOLEAN:
        text = BOOLEAN[name].format(*args)
    elif dtype.kind in "iu" and name in INTEGER:
        text = INTEGER[name].format(*args)
    elif name in SCALAR:
        text = SCALAR[name].format(*args)
    elif name in OPERATORS:
        text = f"{args[0]} {OPERATORS[name]} {args[1]}"
    else:
        text = f"np.{name}({', '.join(args)})"
    return f"{kind}({text})"


def scalar_type(dtype: np.dtype) -> str:
    """How compiled code calls a dtype."""
    return "bool" if dtype.kind == "b" else f"np.{dtype}"
