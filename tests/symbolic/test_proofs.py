"""Every printed equation is proven: evaluated on numbers, it gives what the tape gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapegrad.cells import variants
from tapegrad.symbolic import PRESETS, Notation, derive
from tapegrad.testing import cells
from tests.strategies.effort import some
from tests.symbolic.proving import EXACT, Problem, worst

EVERY = pytest.mark.parametrize("variant", variants(), ids=str)


@EVERY
@pytest.mark.parametrize("seed", [0, 1])
def test_every_registered_cell(variant, seed):
    rng = np.random.default_rng(seed)
    cell = variant.build(rng)
    what, error = worst(derive(cell), Problem(cell, rng))
    assert error < EXACT, f"{what} differs by {error}"


@EVERY
def test_a_notation_changes_no_number(variant):
    rng = np.random.default_rng(2)
    cell = variant.build(rng)
    for notation in PRESETS:
        what, error = worst(derive(cell, notation=notation), Problem(cell, rng))
        assert error < EXACT, f"{notation}: {what} differs by {error}"


@some()
@given(cells(smooth=False), st.integers(0, 2**32 - 1), st.booleans())
def test_random_cells(cell, seed, inline):
    notation = Notation(inline=inline)
    what, error = worst(derive(cell, notation=notation), Problem(cell, np.random.default_rng(seed)))
    assert error < EXACT, f"{what} differs by {error}"
