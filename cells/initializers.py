"""Initial values of parameters, under their names in the literature.

An initialiser is any callable ``(rng, shape, dtype) -> array``. :class:`~tapegrad.cells.Parameter` takes one,
or a name of :data:`BY_NAME`, or a number for a constant::

    Parameter((n, n), init="orthogonal")
    Parameter((n, n), init=Normal(std=0.1))
    Parameter((n,), init=1.0)                      # a forget bias of 1

Weights are (in, out), since the cells write ``x @ W``: fan-in is the length of the first axis. Values are drawn in
float64 and then rounded, so that one seed gives the same network in every dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapegrad.errors import OptionError, ShapeError

Shape = tuple[int, ...]


class Initializer:
    """Base of the initialisers here: a subclass says in ``draw`` what it draws, in float64."""

    def __call__(self, rng: np.random.Generator, shape: Shape, dtype: Any = np.float32) -> np.ndarray:
        """An array of the shape and dtype asked for.

        Raises
        ------
        ShapeError
            When the initialiser makes no sense for the shape.
        """
        return np.asarray(self.draw(rng, tuple(shape)), dtype)

    def draw(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        raise NotImplementedError


@dataclass(frozen=True)
class Constant(Initializer):
    """Every element is ``value``: 0 for most biases, 1 for a forget gate's (Gers et al. 2000)."""

    value: float

    def draw(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        return np.full(shape, self.value, np.float64)


@dataclass(frozen=True)
class Uniform(Initializer):
    """U[low, high); by default U[-0.1, 0.1) (Hochreiter & Schmidhuber 1997, experiments 3 to 6)."""

    low: float = -0.1
    high: float = 0.1

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise OptionError(f"Uniform: low={self.low} is above high={self.high}; exchange them")

    def draw(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        return rng.uniform(self.low, self.high, shape)


@dataclass(frozen=True)
class Normal(Initializer):
    """N(mean, std^2); by default N(0, 0.01^2) (Pascanu et al. 2013, for sigmoid units)."""

    std: float = 0.01
    mean: float = 0.0

    def __post_init__(self) -> None:
        if not self.std >= 0:
            raise OptionError(f"Normal: std={self.std}, expected at least 0; give the standard deviation")

    def draw(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        return rng.normal(self.mean, self.std, shape)


@dataclass(frozen=True)
class VarianceScaling(Initializer):
    """Mean 0 and variance gain / fan, uniform or normal: the family of LeCun's, Glorot's and He's.

    Parameters
    ----------
    gain : float
        1 for LeCun's and Glorot's, 2 for He's (relu halves the variance).
    fan : {"in", "mean", "out"}
        The number of inputs of a unit, of outputs, or the mean of both.
    distribution : {"uniform", "normal"}
    """

    gain: float = 1.0
    fan: str = "in"
    distribution: str = "normal"

    def __post_init__(self) -> None:
        if not self.gain > 0:
            raise OptionError(f"VarianceScaling: gain={self.gain}, expected above 0")
        if self.fan not in ("in", "mean", "out"):
            raise OptionError(f"VarianceScaling: fan={self.fan!r}, expected 'in', 'mean' or 'out'")
        if self.distribution not in ("uniform", "normal"):
            raise OptionError(f"VarianceScaling: distribution={self.distribution!r}, expected 'uniform' or 'normal'")

    def draw(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        fan_in, fan_out = fans(shape)
        fan = {"in": fan_in, "out": fan_out, "mean": (fan_in + fan_out) / 2}[self.fan]
        std = math.sqrt(self.gain / max(fan, 1))
        if self.distribution == "normal":
            return rng.normal(0.0, std, shape)
        limit = math.sqrt(3.0) * std
        return rng.uniform(-limit, limit, shape)


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """``gain`` times a random orthogonal matrix, uniform over the group (Saxe et al. 2014; Mezzadri 2007).

    A matrix that is not square gets orthonormal rows or columns, whichever are fewer.
    """

    gain: float = 1.0

    def draw(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        rows, columns = fans(shape)
        normal = rng.standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(normal)
        q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)  # QR alone favours some orthogonal matrices over others
        return self.gain * (q if rows >= columns else q.T)


@dataclass(frozen=True)
class Identity(Initializer):
    """``gain`` times the identity, for recurrent weights of relu networks (Le, Jaitly & Hinton 2015)."""

    gain: float = 1.0

    def draw(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        rows, columns = fans(shape)
        if rows != columns:
            raise ShapeError(
                f"Identity: shape {shape} is not square; use it for weights from a state to itself, and 'orthogonal' "
                "elsewhere"
            )
        return self.gain * np.eye(rows)


def fans(shape: Shape) -> tuple[int, int]:
    """Numbers of inputs and outputs of the units that weights of this shape, (in, out), connect.

    Raises
    ------
    ShapeError
        When ``shape`` is not that of a matrix.
    """
    if len(shape) != 2:
        raise ShapeError(
            f"initialiser: shape {shape} has no fan-in and fan-out, expected (in, out); for a bias write init='zeros' "
            "or a number, for other vectors and tensors 'normal', 'uniform' or a callable (rng, shape, dtype) -> array"
        )
    return shape[0], shape[1]


zeros = Constant(0.0)
ones = Constant(1.0)
uniform = Uniform()
normal = Normal()
lecun_uniform = VarianceScaling(1.0, "in", "uniform")  # LeCun et al. 1998, equation 16
lecun_normal = VarianceScaling(1.0, "in", "normal")
glorot_uniform = VarianceScaling(1.0, "mean", "uniform")  # Glorot & Bengio 2010, equation 16
glorot_normal = VarianceScaling(1.0, "mean", "normal")  # the same, equation 12
he_uniform = VarianceScaling(2.0, "in", "uniform")
he_normal = VarianceScaling(2.0, "in", "normal")  # He et al. 2015, equation 10
orthogonal = Orthogonal()
identity = Identity()

#: The initialisers that a Parameter can name.
BY_NAME: dict[str, Initializer] = {
    "zeros": zeros,
    "ones": ones,
    "uniform": uniform,
    "normal": normal,
    "lecun_uniform": lecun_uniform,
    "lecun_normal": lecun_normal,
    "glorot_uniform": glorot_uniform,
    "glorot_normal": glorot_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "orthogonal": orthogonal,
    "identity": identity,
}


def initializer(init: str | float | Callable[..., Any]) -> Callable[..., Any]:
    """The initialiser that a name, a number or a callable stands for.

    Raises
    ------
    OptionError
        When it is none of these, or the name is unknown.

    Examples
    --------
    >>> initializer("he_normal")
    VarianceScaling(gain=2.0, fan='in', distribution='normal')
    >>> initializer(1)
    Constant(value=1.0)
    """
    if isinstance(init, str) and init in BY_NAME:
        return BY_NAME[init]
    if isinstance(init, (int, float, np.number)) and not isinstance(init, bool):
        return Constant(float(init))
    if isinstance(init, str) or not callable(init):
        hint = "write init=initializers.Constant(value); otherwise " if init == "constant" else ""
        raise OptionError(
            f"init={init!r}: {hint}expected one of the names {', '.join(BY_NAME)}, a number, or a callable "
            "(rng, shape, dtype) -> array"
        )
    if isinstance(init, type):
        raise OptionError(f"init={init.__name__} is a class; make an instance, such as {init.__name__}()")
    return init
