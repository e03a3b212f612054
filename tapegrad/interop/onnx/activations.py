"""The activation functions that the standard lists for its recurrent operators."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...errors import OptionError
from ...functions import relu, sigmoid, softplus

__all__ = ["FUNCTIONS", "Activation"]


class Function(NamedTuple):
    """An activation of the standard, ``of(x, alpha, beta)``, and the defaults of alpha and beta.

    None stands for a value that it does not take, NaN for one that must be given.
    """

    of: Callable[[Any, Any, Any], Any]
    alpha: float | None = None
    beta: float | None = None


# Equations: the section "Activation functions" of the operators. The defaults are those of the operators of the same
# name: https://github.com/onnx/onnx/blob/main/docs/Operators.md. Affine and ScaledTanh are operators no more.
FUNCTIONS = {
    "Relu": Function(lambda x, alpha, beta: relu(x)),
    "Tanh": Function(lambda x, alpha, beta: np.tanh(x)),
    "Sigmoid": Function(lambda x, alpha, beta: sigmoid(x)),
    "Affine": Function(lambda x, alpha, beta: alpha * x + beta, math.nan, math.nan),
    "LeakyRelu": Function(lambda x, alpha, beta: np.where(x >= 0, x, alpha * x), 0.01),
    "ThresholdedRelu": Function(lambda x, alpha, beta: np.where(x >= alpha, x, 0), 1.0),
    "ScaledTanh": Function(lambda x, alpha, beta: alpha * np.tanh(beta * x), math.nan, math.nan),
    "HardSigmoid": Function(lambda x, alpha, beta: np.minimum(np.maximum(alpha * x + beta, 0), 1), 0.2, 0.5),
    "Elu": Function(lambda x, alpha, beta: np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0))), 1.0),
    "Softsign": Function(lambda x, alpha, beta: x / (1 + np.abs(x))),
    "Softplus": Function(lambda x, alpha, beta: softplus(x)),
}
_BY_LOWER = {name.lower(): name for name in FUNCTIONS}


def proper(name: str) -> str:
    """The name of an activation as the standard writes it."""
    found = _BY_LOWER.get(str(name).lower())
    if found is None:
        raise OptionError(f"activation {name!r}: expected one of {', '.join(FUNCTIONS)}")
    return found


@dataclass(frozen=True)
class Activation:
    """An activation function of the standard with its values of alpha and beta.

    Parameters
    ----------
    name : str
        One of those that the standard lists, in whatever case: Relu, Tanh, Sigmoid, Affine, LeakyRelu,
        ThresholdedRelu, ScaledTanh, HardSigmoid, Elu, Softsign, Softplus.
    alpha, beta : float, optional
        For the functions that take them; by default those of the operator of the same name; Affine and ScaledTanh
        have no defaults. They are rounded to single precision, which attributes of the standard have.

    Raises
    ------
    OptionError
        The name is not one of these, or alpha or beta is no finite number, is missing or is not taken.

    Examples
    --------
    >>> Activation("LeakyRelu", 0.5)(np.array([-2.0, 3.0]))
    array([-1.,  3.])
    """

    __pytree_leaf__ = True

    name: str
    alpha: float | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        name = proper(self.name)
        object.__setattr__(self, "name", name)
        for option in ("alpha", "beta"):
            default, value = getattr(FUNCTIONS[name], option), getattr(self, option)
            if default is None and value is not None:
                raise OptionError(f"activation {name}: {option}={value!r} came, but {name} takes no {option}; leave it")
            try:
                number = default if value is None else float(value)
                number = None if number is None else float(np.float32(number))  # as attributes are
                usable = number is None or math.isfinite(number)
            except (TypeError, ValueError):
                usable = False
            if not usable:
                raise OptionError(f"activation {name}: {option}={value!r}, expected a finite number")
            object.__setattr__(self, option, number)

    def __call__(self, x: Any) -> Any:
        """The function of an array of any shape."""
        return FUNCTIONS[self.name].of(x, self.alpha, self.beta)
