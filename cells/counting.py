"""How many numbers a cell learns, as a formula in its sizes: found from the counts of cells of some sizes."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from tapegrad import pytree
from tapegrad.errors import TapegradError

from .checks import specification
from .layer import Layer

LETTERS = {"input_size": "m", "hidden_size": "n", "output_size": "k", "projection_size": "p", "block_count": "c"}
DEGREE = 3  # the highest power of a size that is looked for
SCALES = (1, 2, 12)  # sizes are multiples of these: some cells want them even, or divisible by one another
FURTHER = ((5, 9, 7, 8, 6), (8, 5, 11, 6, 9), (13, 12, 10, 7, 5))  # where a formula is tried


class Counts(NamedTuple):
    """Formulas in the sizes of a cell.

    Attributes
    ----------
    letters : dict of str to str
        The letter of each option that is a size.
    total : str
        How many numbers are learned.
    shapes : dict of str to str
        The shape of each parameter.
    states : list of str
        The shape of each state, without the batch.
    """

    letters: dict[str, str]
    total: str
    shapes: dict[str, str]
    states: list[str]


def counts(cell: Layer) -> Counts | None:
    """The numbers of a cell's parameters as formulas in its sizes, all other options as they are.

    Sizes are the options that are called so, and other integers that change the numbers, such as a count of blocks.

    The formulas are polynomials through the counts at small sizes, in exact fractions, and hold at larger sizes and at
    those of the cell.

    Parameters
    ----------
    cell : Layer

    Returns
    -------
    Counts or None
        None when the sizes cannot be changed one by one, or no polynomial of degree 3 in each of them holds.

    Examples
    --------
    >>> from tapegrad.cells import LSTM
    >>> found = counts(LSTM(2, 3))
    >>> found.total, found.shapes["W_xi"], found.letters
    ('4(n^2 + mn + n)', '(m, n)', {'input_size': 'm', 'hidden_size': 'n'})
    """
    called = sizes_of(cell)
    for names in (called + counted(cell, called), called):
        if names and (found := _formulas(cell, names)) is not None:
            return found
    return None


def _formulas(cell: Layer, names: Sequence[str]) -> Counts | None:
    for scale in SCALES:
        try:
            grid = itertools.product(range(1, DEGREE + 2), repeat=len(names))
            values = [_numbers(cell, names, scale, at) for at in grid]
            formulas = _through(values, len(names), scale)
            places = [[scale * size for size in at[: len(names)]] for at in FURTHER]
            places.append([getattr(cell, name) for name in names])
            tried = [(at, _numbers(cell, names, 1, at)) for at in places]
        except TapegradError:
            continue
        if formulas is None:
            return None
        if all(_at(formulas, at) == found for at, found in tried):
            return _named(cell, letters_of(names), formulas)
    return None


def sizes_of(cell: Layer) -> list[str]:
    """The options of a cell that are sizes."""
    named = [field.name for field in dataclasses.fields(cell) if field.name.endswith("_size")]  # type: ignore[arg-type]
    return [name for name in named if isinstance(getattr(cell, name), int)]


def counted(cell: Layer, sizes: Sequence[str]) -> list[str]:
    """The options that are integers and no sizes by name, and that change the numbers of a cell, not how many."""
    found = []
    for name in [field.name for field in dataclasses.fields(cell) if field.name not in sizes]:  # type: ignore[arg-type]
        value = getattr(cell, name)
        if isinstance(value, int) and not isinstance(value, bool):
            try:
                here, there = (_numbers(cell, [name], 1, [at]) for at in (value, value + 1))
            except TapegradError:
                continue
            if here != there and len(here) == len(there):
                found.append(name)
    return found


def letters_of(names: Sequence[str]) -> dict[str, str]:
    """A letter for each size."""
    found: dict[str, str] = {}
    for name in names:
        wanted = [LETTERS.get(name, ""), *name, *"abcdefghijklmnopqrstuvwxyz"]
        reserved = {LETTERS[other] for other in names if other in LETTERS and other != name}
        found[name] = next(c for c in wanted if c.isalpha() and c not in found.values() and c not in reserved)
    return found


# ---- what is counted ----
def _numbers(cell: Layer, names: Sequence[str], scale: int, at: Sequence[int]) -> list[int]:
    """The count, and then all lengths of parameters and states, at some sizes."""
    sizes = {name: scale * size for name, size in zip(names, at, strict=True)}
    other: Layer = dataclasses.replace(cell, **sizes)  # type: ignore[type-var]
    shapes = [parameter.shape for parameter in specification(other).parameters]
    shapes += [state.shape for state in pytree.leaves(other.state())]
    return [other.parameter_count, *itertools.chain.from_iterable(shapes)]


def _named(cell: Layer, letters: Mapping[str, str], formulas: Sequence[Polynomial]) -> Counts:
    texts = iter([polynomial_text(formula, list(letters.values())) for formula in formulas])
    total, spec = next(texts), specification(cell)

    def shape(of: Any) -> str:
        return f"({', '.join(next(texts) for _ in of.shape)}{',' * (len(of.shape) == 1)})"

    shapes = {name: shape(parameter) for name, parameter in zip(spec.names, spec.parameters, strict=True)}
    return Counts(dict(letters), total, shapes, [shape(state) for state in pytree.leaves(cell.state())])


# ---- polynomials: from exponents to coefficients ----
Polynomial = dict[tuple[int, ...], Fraction]


def _through(values: Sequence[Sequence[int]], count: int, scale: int) -> list[Polynomial] | None:
    """The polynomials through values on a grid of 1 to ``DEGREE + 1`` times ``scale`` in each of the variables.

    None where the number of values is not the same everywhere.
    """
    if len(set(map(len, values))) > 1:
        return None
    points = DEGREE + 1
    grid = np.array(values, object).reshape(*[points] * count, -1)
    inverse = _inverse([[Fraction(scale * i) ** power for power in range(points)] for i in range(1, points + 1)])
    for axis in range(count):
        grid = np.moveaxis(np.tensordot(inverse, grid, (1, axis)), 0, axis)
    found = []
    for number in range(grid.shape[-1]):
        terms = {powers: grid[(*powers, number)] for powers in itertools.product(range(points), repeat=count)}
        found.append({powers: Fraction(value) for powers, value in terms.items() if value})
    return found


def _inverse(matrix: list[list[Fraction]]) -> np.ndarray:
    """The inverse of a small matrix of fractions, by elimination."""
    n = len(matrix)
    rows = [[*row, *[Fraction(i == j) for j in range(n)]] for i, row in enumerate(matrix)]
    for i in range(n):
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(n):
            if k != i:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i], strict=True)]
    return np.array([row[n:] for row in rows], object)


def _at(formulas: Sequence[Polynomial], point: Sequence[int]) -> list[Fraction]:
    def term(powers: tuple[int, ...]) -> int:
        return math.prod(x**power for x, power in zip(point, powers, strict=True))

    return [sum((value * term(powers) for powers, value in f.items()), Fraction(0)) for f in formulas]


def polynomial_text(formula: Polynomial, letters: Sequence[str]) -> str:
    """A polynomial with its common factor in front: ``3(n^2 + mn + n)``."""
    if not formula:
        return "0"
    shared = [math.gcd(*[value.numerator for value in formula.values()])] if len(formula) > 1 else [1]
    whole = all(value.denominator == 1 for value in formula.values())
    factor = shared[0] if whole and len(formula) > 1 else 1
    order = sorted(formula, key=lambda powers: (-sum(powers), -max(powers), powers))
    parts: list[str] = []
    for powers in order:
        value = formula[powers] / factor
        named = "".join(c if p == 1 else f"{c}^{p}" for c, p in sorted(zip(letters, powers, strict=True)) if p)
        size = abs(value)
        number = "" if size == 1 and named else f"({size})" if size.denominator > 1 and named else f"{size}"
        sign = "-" if value < 0 else ""
        parts.append((f" {sign or '+'} " if parts else sign) + number + named)
    text = "".join(parts)
    return f"{factor}({text})" if factor != 1 else text


def sum_of_parts(cell: Layer) -> bool:
    """Whether a cell learns what the cells among its options learn, and nothing else."""
    held: list[Layer] = []
    for field in dataclasses.fields(cell):  # type: ignore[arg-type]
        value = getattr(cell, field.name)
        held += [part for part in (value if isinstance(value, tuple) else (value,)) if isinstance(part, Layer)]
    return bool(held) and cell.parameter_count == sum(part.parameter_count for part in held)
