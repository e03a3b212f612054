"""One piece of work: a cell at one shape, with its data and the results that everybody has to reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tapegrad.cells import Cell, State

from .. import pytree
from ..errors import OptionError
from ..transforms import vjp

#: How many roundings are allowed to the result of one step. Most cells come within 4; drawn2, some of whose steps
#: expand, is 36 off at (784, 64, 1, 128), as are other libraries.
ROUNDINGS = 64
#: Whatever the length, a gradient that is 0.1 % off is found.
COARSEST = 5e-4


class Shape(NamedTuple):
    """Steps, rows, input width and hidden units."""

    T: int
    B: int
    I: int  # noqa: E741 - the name of the field
    H: int

    def __str__(self) -> str:
        return f"({self.T}, {self.B}, {self.I}, {self.H})"


class Results(NamedTuple):
    """Outputs (T, B, ...), and the gradients of their weighted sum by name; no gradients for a forward pass."""

    ys: list[np.ndarray]
    gradients: dict[str, np.ndarray]


@dataclass
class Work:
    """A cell, its parameters and a sequence.

    The derivative that is asked for is that of the sum of all outputs, each multiplied by a fixed random number. These
    numbers are handed to each library as the cotangent of the outputs, as a layer above the cell would: nobody
    computes the sum, and nobody is spared an array of ones.

    Attributes
    ----------
    name : str
        Of the cell, in the table.
    cell : Cell
    shape : Shape
    params : pytree of array
    xs : pytree of array (T, B, ...)
    cotangent : pytree of array (T, B, ...)
    with_inputs : bool
        Whether the gradients of xs are asked for beside those of the parameters.
    """

    name: str
    cell: Cell
    shape: Shape
    params: Any
    xs: Any
    cotangent: Any
    with_inputs: bool = False

    @classmethod
    def draw(
        cls, name: str, cell: Cell, shape: Shape, dtype: Any = np.float32, with_inputs: bool = False, seed: int = 0
    ) -> Work:
        """Random data for a cell; biases and other vectors are moved away from the constants they start from."""
        rng, dtype = np.random.default_rng(seed), np.dtype(dtype)

        def moved(a: np.ndarray) -> np.ndarray:
            return a if a.ndim > 1 else np.asarray(a + 0.1 * rng.standard_normal(a.shape), dtype)

        params = pytree.map(moved, cell.init(rng, dtype))
        xs = sequence(cell, shape, dtype, rng)
        try:
            _, y = cell.step(params, cell.initial_state(shape.B, dtype), pytree.map(lambda x: x[0], xs))
        except Exception as error:  # a user's step can raise anything
            raise OptionError(f"cell {name}: its step fails: {type(error).__name__}: {error}") from error
        cotangent = pytree.map(lambda a: rng.standard_normal((shape.T, *a.shape)).astype(dtype), y)
        return cls(name, cell, shape, params, xs, cotangent, with_inputs)

    @property
    def dtype(self) -> np.dtype:
        """Of the outputs, and of everything that has a gradient."""
        return pytree.leaves(self.cotangent)[0].dtype

    def forward(self, backend: str) -> Any:
        """The outputs, by a backend of this project."""
        return self.cell(self.params, self.xs, backend=backend)[1]

    def both(self, backend: str) -> tuple[Any, tuple[Any, ...]]:
        """The outputs and the gradients, by a backend of this project."""
        return self.derivative(backend)(self.params, self.xs, self.cotangent)

    def derivative(self, backend: str) -> Callable[[Any, Any, Any], tuple[Any, tuple[Any, ...]]]:
        """The function ``(params, xs, cotangent) -> (ys, gradients)`` that is timed."""
        cell = self.cell

        def of_params(params: Any, xs: Any, cotangent: Any) -> Any:
            ys, pull = vjp(lambda params: cell(params, xs, backend=backend)[1], params)
            return ys, pull(cotangent)

        def of_both(params: Any, xs: Any, cotangent: Any) -> Any:
            ys, pull = vjp(lambda params, xs: cell(params, xs, backend=backend)[1], params, xs)
            return ys, pull(cotangent)

        return of_both if self.with_inputs else of_params

    def results(self, outcome: tuple[Any, tuple[Any, ...]]) -> Results:
        """What :meth:`both` gave, taken apart."""
        ys, gradients = outcome
        found = dict(zip(pytree.paths(self.params), pytree.leaves(gradients[0]), strict=True))
        if self.with_inputs:
            found["xs"] = gradients[1]
        return Results(list(pytree.leaves(ys)), found)

    def truth(self) -> Results:
        """The results in float64, by the backend ``reference``."""

        def wide(tree: Any) -> Any:
            return pytree.map(lambda a: a.astype(np.float64) if a.dtype.kind == "f" else a, tree)

        exact = Work(
            self.name, self.cell, self.shape, wide(self.params), wide(self.xs), wide(self.cotangent), self.with_inputs
        )
        return exact.results(exact.both("reference"))


def sequence(cell: Cell, shape: Shape, dtype: np.dtype, rng: np.random.Generator) -> Any:
    """Inputs of the kind that the cell declares: normal numbers, or token numbers below ``input_size``."""

    def array(declared: Any) -> np.ndarray:
        kind = np.dtype(declared.dtype or dtype)
        size = (shape.T, shape.B, *declared.shape)
        if kind.kind in "iu":
            return rng.integers(0, shape.I, size).astype(kind)
        return rng.standard_normal(size).astype(kind) if kind.kind == "f" else rng.random(size) < 0.5

    declared = cell.inputs()
    return pytree.map(array, State((shape.I,)) if declared is None else declared)


def parse_shapes(text: str) -> list[Shape]:
    """Shapes from "T,B,I,H;T,B,I,H".

    Raises
    ------
    OptionError
        When the text is something else.
    """
    shapes = []
    for part in text.split(";"):
        numbers = part.split(",")
        if len(numbers) != 4 or not all(n.strip().isdigit() and int(n) > 0 for n in numbers):
            raise OptionError(f"shape {part.strip()!r}: expected four whole numbers T,B,I,H; separate shapes by ';'")
        shapes.append(Shape(*map(int, numbers)))
    return shapes


def tolerance(dtype: Any, steps: int) -> float:
    """How far results may lie from those in float64, relative to the largest entry of each array.

    The roundings of the steps are independent, so that what they add up to grows with the square root of their number,
    as a random walk does. Measured from 8 to 2,000 steps, gradients of gated cells do grow so.
    """
    return min(ROUNDINGS * float(np.finfo(dtype).eps) * steps**0.5, COARSEST)


def deviation(found: Results, expected: Results) -> dict[str, float]:
    """The largest error of the outputs and of the gradients, relative to the largest entry of each array.

    It is infinite where something is missing, has another shape or is not finite.
    """
    ys = [_error(a, b) for a, b in zip(found.ys, expected.ys, strict=True)] if len(found.ys) == len(expected.ys) else []
    gradients = [_error(found.gradients.get(name), b) for name, b in expected.gradients.items()]
    return {"ys": max(ys, default=float("inf")), "gradients": max(gradients, default=0.0)}


def _error(a: Any, b: np.ndarray) -> float:
    if a is None or np.shape(a) != b.shape:
        return float("inf")
    error = float(np.max(np.abs(np.asarray(a, np.float64) - b), initial=0.0))
    scale = float(np.max(np.abs(b), initial=0.0)) or 1.0
    return error / scale if np.isfinite(error) else float("inf")
