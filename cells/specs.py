"""What a cell declares about its parameters, its state and its inputs."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapegrad.errors import DtypeError, ShapeError

from .initializers import initializer


@dataclass(frozen=True)
class Parameter:
    """A learned array of a cell.

    Parameters
    ----------
    shape : tuple of int
        Weights are (in, out), biases (out,).
    init : str, float or callable
        A name of :mod:`tapegrad.cells.initializers`, a number for a constant, or
        ``(rng, shape, dtype) -> array``. The default needs a matrix.

    Raises
    ------
    ShapeError, OptionError
        When the shape is not one, or ``init`` is unknown.
    """

    __pytree_leaf__ = True

    shape: tuple[int, ...]
    init: str | float | Callable[..., Any] = "glorot_uniform"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", checked_shape("Parameter", self.shape))
        initializer(self.init)

    def draw(self, rng: np.random.Generator, dtype: np.dtype, name: str) -> np.ndarray:
        """An initial value; ``name`` is for the message when the initialiser gives something else."""
        try:
            value = np.asarray(initializer(self.init)(rng, self.shape, dtype))
        except ShapeError as error:
            raise ShapeError(f"parameter {name!r}: {error}") from None
        if value.shape != self.shape:
            raise ShapeError(
                f"parameter {name!r}: init={self.init!r} gave shape {value.shape}, expected {self.shape}; "
                "let it return an array of the shape that it is called with"
            )
        if value.dtype.kind not in "biuf":
            raise DtypeError(f"parameter {name!r}: init={self.init!r} gave dtype {value.dtype}, expected real numbers")
        return np.array(value, dtype)  # a copy: the initialiser may have returned an array that it keeps


@dataclass(frozen=True)
class State:
    """An array that a cell carries from step to step.

    Parameters
    ----------
    shape : tuple of int
        Without the batch axis, which comes first.
    dtype : dtype, optional
        None follows the parameters; integers and booleans pass through without a gradient.
    init : float
        What it holds before the first step.
    """

    __pytree_leaf__ = True

    shape: tuple[int, ...]
    dtype: Any = None
    init: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", checked_shape("State", self.shape))
        object.__setattr__(self, "dtype", checked_dtype("State", self.dtype))


@dataclass(frozen=True)
class Input:
    """An array that a cell is given at each step.

    Parameters
    ----------
    shape : tuple of int
        Without the axes of time and batch, which come first: (input_size,) for vectors, () for token numbers.
    dtype : dtype, optional
        None follows the parameters. An integer dtype admits every integer dtype.
    """

    __pytree_leaf__ = True

    shape: tuple[int, ...]
    dtype: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", checked_shape("Input", self.shape))
        object.__setattr__(self, "dtype", checked_dtype("Input", self.dtype))


def checked_shape(name: str, shape: Any) -> tuple[int, ...]:
    """``shape`` as a tuple of Python integers."""
    try:
        sizes = tuple([operator.index(size) for size in shape])
    except TypeError:
        raise ShapeError(f"{name}: shape={shape!r}, expected a tuple of integers such as (8, 32) or (32,)") from None
    if any(size < 0 for size in sizes):
        raise ShapeError(f"{name}: shape={shape!r} has a negative length; give lengths of 0 or more")
    return sizes


def checked_dtype(name: str, dtype: Any) -> np.dtype | None:
    """``dtype`` as a NumPy dtype; None stays."""
    try:
        return None if dtype is None else np.dtype(dtype)
    except TypeError:
        raise DtypeError(f"{name}: dtype={dtype!r} is no dtype; give one of NumPy's, such as np.float32") from None
