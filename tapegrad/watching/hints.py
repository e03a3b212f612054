"""The usual causes of values that are not finite, by operation, and what to do about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

OVERFLOW = (
    "the numbers grow beyond what {dtype} holds: smaller weights or learning rate, clipped gradients, or an operation "
    "that normalises"
)
TWICE = (
    "np.where takes the other branch at such an element, but this branch is computed and differentiated too, and "
    "0 * inf is NaN. Make the argument harmless first: safe = np.where(ok, x, 1.0), then np.where(ok, f(safe), other)"
)

# Of the operation itself.
RESULT = {
    "sqrt": "the square root of a negative number; rounding can bring a variance or 1 - x * x below 0: "
    "np.sqrt(np.maximum(x, 0) + 1e-12)",
    "log": "the logarithm of 0 or of a negative number: tapegrad.log_softmax or softmax_cross_entropy for the "
    "logarithm of a softmax, -tapegrad.softplus(-x) for that of a sigmoid, else np.log(np.maximum(x, 1e-12))",
    "log1p": "log1p of -1 or less: np.log1p(np.maximum(x, -1 + 1e-7))",
    "divide": "a division by 0: np.where(y == 0, 0.0, x / np.where(y == 0, 1.0, y)), or a small number added to y",
    "floor_divide": "a division by 0",
    "remainder": "a remainder by 0",
    "power": "0 to a negative power, a negative number to a fraction, or a power that overflows",
    "exp": "exp overflows above 88.7 in float32 and 709.8 in float64: tapegrad.softmax, logsumexp, sigmoid and "
    "softplus do not",
    "expm1": "expm1 overflows above 88.7 in float32 and 709.8 in float64",
    "sinh": "sinh overflows as exp does, above 89 in float32 and 710 in float64",
    "cosh": "cosh overflows as exp does, above 89 in float32 and 710 in float64",
    "arcsin": "an argument outside [-1, 1]: np.clip(x, -1, 1)",
    "arccos": "an argument outside [-1, 1]: np.clip(x, -1, 1)",
    "arctanh": "an argument of -1, 1, or outside: np.clip(x, -1 + 1e-7, 1 - 1e-7)",
    "arccosh": "an argument below 1: np.maximum(x, 1)",
    "cast": "a number that the dtype cannot hold",
}
# Of its derivative.
SLOPE = {
    "sqrt": "the square root has an infinite slope at 0: np.sqrt(x + 1e-12), or keep 0 out of it",
    "log": "1 / x of an argument near 0: np.log(np.maximum(x, 1e-12))",
    "divide": "the derivative divides by y, and by y once more: keep y away from 0",
    "power": "x ** p has an infinite slope at 0 for p < 1, and none for a negative x and a fraction p: "
    "(x + 1e-12) ** p",
    "arcsin": "the slope is infinite at -1 and 1: clip the argument a little inside",
    "arccos": "the slope is infinite at -1 and 1: clip the argument a little inside",
    "arccosh": "the slope is infinite at 1: keep the argument above it",
    "arctan2": "at the origin an angle has no derivative: keep one of the arguments away from 0",
    "exp": "exp(x) is near overflow, and the cotangent times it overflows",
}
NORM = (
    "the length of a vector has no derivative where the vector is 0: np.sqrt(np.sum(x * x, axis=-1) + 1e-12), or keep "
    "vectors of length 0 out with np.where before the norm is taken"
)


def hint(name: str, rule: str, rules: Sequence[tuple[str, str]], through: str,
         operands: Sequence[Any], dead: bool) -> str:  # fmt: skip
    """What is usually wrong.

    Parameters
    ----------
    name : str
        The operation.
    rule : str
        "" for the operation itself, the mode of its derivative rule, or "sum".
    rules : sequence of (str, str)
        The rules of which the operation is a part.
    through : str
        The function that did the operation.
    operands : sequence
    dead : bool
        Whether the cotangent is 0 at the bad element.
    """
    inside = [op for _, op in rules]
    of = inside[0] if inside and rule == "" else name  # a division in the rule of sqrt is a matter of sqrt
    if through == "numpy.linalg.norm" and (rule or rules):
        found = NORM
    elif rule or rules:
        found = SLOPE.get(of, "")
    else:
        found = RESULT.get(of, "")
    if of.startswith("the custom rule"):
        found = "what the rule computes: look at it at these arguments"
    if dead and rule == "backward":
        found = f"{found + '; ' if found else ''}the cotangent is 0 there: {TWICE}"
    if found:
        return found
    dtypes = [x.dtype for x in operands if isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind == "f"]
    return OVERFLOW.format(dtype=dtypes[0] if dtypes else "float64")
