"""Memory cell blocks: cells that share their gates."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from tapegrad.errors import OptionError

from ..layer import checked_size


@dataclass(frozen=True)
class Listed:
    """The initial values of a vector, one by one."""

    values: tuple[float, ...]

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
        return np.asarray(self.values, dtype)


def per_block(cell: Any, option: str) -> float | Callable[..., Any]:
    """What the biases of the gates start from, of an option that is a number, or one for each block.

    Raises
    ------
    OptionError
        When it is neither, or ``block_count`` is no number of blocks.
    """
    name, value = type(cell).__name__, getattr(cell, option)
    count = checked_size(name, "block_count", cell.block_count)
    if isinstance(value, Real):
        return float(value)
    if not isinstance(value, tuple) or len(value) != count or not all(isinstance(v, Real) for v in value):
        raise OptionError(f"{name}: {option}={value!r}, expected a number, or a tuple of {count}, one for each block")
    return Listed(tuple(map(float, value)))


def check_biased(cell: Any, gates: str) -> None:
    """Raises an OptionError when ``biased`` holds other letters than those of the gates and c."""
    if not isinstance(cell.biased, str) or not set(cell.biased) <= {*gates, "c"}:
        raise OptionError(
            f"{type(cell).__name__}: biased={cell.biased!r}, expected letters of the units that have a bias: "
            f"{', '.join(gates[:-1])} and {gates[-1]} for the gates, c for the cells"
        )


def spread(gates: Any, size: int) -> Any:
    """A gate for each cell, from one for each block of ``size`` cells: (B, count) to (B, count * size)."""
    return np.repeat(gates, size, axis=-1) if size > 1 else gates
