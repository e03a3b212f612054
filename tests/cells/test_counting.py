"""Numbers of parameters as formulas in the sizes."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from tapegrad.cells import GRU, LSTM, LSTM2000, Cell, Elman, Parameter, Stacked, State, variants
from tapegrad.cells.counting import counts, letters_of, polynomial_text, sizes_of, sum_of_parts
from tapegrad.errors import OptionError, TapegradError

EVERY = pytest.mark.parametrize("variant", [*variants(), *variants("readout")], ids=str)


def evaluated(text, sizes):
    """The value of a formula such as ``4(n^2 + mn + n)``, read letter by letter."""
    made, before = "", ""
    for c in text.replace("^", "**"):
        if (c.isalpha() or c == "(") and (before.isalnum() or before == ")"):
            made += "*"
        made, before = made + c, c
    return eval(made, {}, dict(sizes))


@EVERY
def test_formulas_hold_at_other_sizes(variant):
    """At sizes like those that a builder draws, which it knows to fit together, and at larger ones."""
    tried = 0
    for seed in range(5):
        cell = variant.build(np.random.default_rng(seed))
        found = counts(cell)
        if found is None:
            assert sum_of_parts(cell) or not sizes_of(cell) or variant.label
            return
        for scale in (1, 24):
            sizes = {name: scale * getattr(cell, name) for name in found.letters}
            try:
                other = dataclasses.replace(cell, **sizes)
            except TapegradError:
                continue
            at = {letter: sizes[name] for name, letter in found.letters.items()}
            assert evaluated(found.total, at) == other.parameter_count
            tried += 1
    assert tried >= 5


@pytest.mark.parametrize(
    ("cell", "total"),
    [
        (Elman(2, 3), "n^2 + mn + n"),
        (LSTM(2, 3), "4(n^2 + mn + n)"),
        (GRU(2, 3), "3(n^2 + mn + n)"),
        (GRU(2, 3, reset_after=True), "3n^2 + 3mn + 4n"),
    ],
)
def test_counts_of_textbooks(cell, total):
    found = counts(cell)
    assert found.total == total
    assert found.letters == {"input_size": "m", "hidden_size": "n"}


class Odd(Cell):
    """Blocks, a triangle of weights, and a size that may not be small."""

    hidden_size: int
    block_size: int
    head_size: int = 2

    def __post_init__(self):
        super().__post_init__()
        if self.hidden_size % 2:
            raise OptionError("hidden_size has to be even")

    def parameters(self):
        n, s = self.hidden_size, self.block_size
        return {"W": Parameter((n // 2, s, s), init=0.0), "T": Parameter((n * (n + 1) // 2,), init=0.0)}

    def state(self):
        return {"a": State((self.hidden_size // 2,)), "b": State((self.block_size, 7))}


class Bent(Cell):
    hidden_size: int

    def parameters(self):
        return {"W": Parameter((2 ** min(self.hidden_size, 9),), init=0.0)}


class Growing(Cell):
    hidden_size: int

    def parameters(self):
        return {f"W{i}": Parameter((i + 1,), init=0.0) for i in range(self.hidden_size)}


class Blocks(Cell):
    """Integers that are lengths, one that is a number of arrays, one that changes nothing, and a truth value."""

    input_size: int
    block_count: int
    order: int = 2
    layers: int = 2
    seed: int = 0
    biased: bool = True

    def parameters(self):
        arrays = {f"W{i}": Parameter((self.input_size, self.block_count, self.order), init=0.0)
                  for i in range(self.layers)}  # fmt: skip
        return arrays | ({"b": Parameter((3,), init=0.0)} if self.biased else {})

    def state(self):
        return State((self.block_count,))


def test_integers_that_change_the_numbers_are_sizes():
    found = counts(Blocks(4, 3))
    assert found.letters == {"input_size": "m", "block_count": "c", "order": "o"}
    assert found.total == "2cmo + 3"
    assert found.states == ["(c,)"]
    of_blocks = counts(LSTM2000(2, 3, 2, truncated=False))
    assert of_blocks.letters == {"input_size": "m", "block_size": "b", "block_count": "c"}
    assert of_blocks.total == "b^2c^2 + 3bc^2 + bcm + 3cm + 3c"
    assert of_blocks.shapes["W_yi"] == "(bc, c)"


def test_fractions_letters_and_sizes_that_are_even():
    found = counts(Odd(2, 3))
    assert found.letters == {"hidden_size": "n", "block_size": "b", "head_size": "h"}
    assert found.total == "(1/2)nb^2 + (1/2)n^2 + (1/2)n".replace("nb^2", "b^2n")
    assert found.shapes == {"T": "((1/2)n^2 + (1/2)n,)", "W": "((1/2)n, b, b)"}
    assert found.states == ["((1/2)n,)", "(b, 7)"]


@pytest.mark.parametrize("cell", [Bent(3), Growing(3), Stacked((Elman(2, 3), Elman(3, 3)))], ids=repr)
def test_what_is_no_polynomial_has_no_formula(cell):
    assert counts(cell) is None


def test_sums_of_parts():
    assert sum_of_parts(Stacked((Elman(2, 3), Elman(3, 3))))
    assert not sum_of_parts(Elman(2, 3))


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ({}, "0"),
        ({(0, 0): 7}, "7"),
        ({(1, 0): 1}, "m"),
        ({(2, 1): 6, (0, 0): -3}, "3(2m^2n - 1)"),
        ({(1, 1): -1, (0, 2): 1}, "n^2 - mn"),
        ({(1, 1): Fraction(3, 2), (0, 0): 2}, "(3/2)mn + 2"),
    ],
)
def test_polynomials_as_text(formula, text):
    made = {powers: Fraction(value) for powers, value in formula.items()}
    assert polynomial_text(made, ["m", "n"]) == text


def test_every_size_has_a_letter_of_its_own():
    names = ["mass_size", "input_size", "hidden_size", "nose_size", "m_size"]
    found = letters_of(names)
    assert len(set(found.values())) == len(names)
    assert (found["input_size"], found["hidden_size"]) == ("m", "n")
