"""Drawn sequences: what they hold, what they shrink to, and that faults of masks are found with them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapegrad import masks, pytree
from tapegrad.cells import GRU, Elman, Input
from tapegrad.errors import OptionError
from tapegrad.testing import Sequence, cells, sequences
from tapegrad.testing.cell_masks import Masks, row_by_row
from tests.meta.test_strategies import reached, simplest
from tests.testing.odd_cells import Anything, OneHot, Tokens

CELL = Elman(2, 3)
PARAMS = CELL.init(np.random.default_rng(0), np.float64)


def alone(cell, params, state, s):
    """What the masks of a sequence mean: each row by itself."""
    like = pytree.map(lambda y: np.zeros((s.steps, *y.shape), y.dtype), cell.step(params, state, _first(cell, s))[1])
    return row_by_row(cell.step, Masks(s.lengths, s.reset, s.reverse), s.batch, like)(params, state, s.xs)


def _first(cell, s):
    return pytree.map(lambda i: np.zeros((s.batch, *i.shape), i.dtype or np.float64), cell.inputs())


@given(sequences(CELL, max_steps=4, max_batch=2))
def test_a_sequence_fits_its_cell(s):
    assert isinstance(s, Sequence)
    assert s.xs.shape == (s.steps, s.batch, 2)
    assert s.xs.dtype == np.float64
    assert s.steps <= 4
    assert 1 <= s.batch <= 2
    padding = np.zeros((s.steps, s.batch), bool) if s.lengths is None else np.arange(s.steps)[:, None] >= s.lengths
    assert np.isnan(s.xs[padding]).all()
    assert np.isfinite(s.xs[~padding]).all()
    state, ys = CELL(PARAMS, s.xs, **s.options)
    assert np.isfinite(ys).all()
    assert not ys[padding].any()


SEQUENCES = {
    "no steps": lambda s: s.steps == 0,
    "one step": lambda s: s.steps == 1,
    "one row": lambda s: s.batch == 1,
    "no masks": lambda s: s.lengths is None and s.reset is None and not s.reverse,
    "an empty row": lambda s: s.steps and s.lengths is not None and (s.lengths == 0).any(),
    "only empty rows": lambda s: s.steps > 1 and s.batch > 1 and s.lengths is not None and not s.lengths.any(),
    "whole rows": lambda s: s.steps and s.lengths is not None and (s.lengths == s.steps).all(),
    "different rows": lambda s: s.lengths is not None and len(set(s.lengths.tolist())) == 3,
    "reset before the first step": lambda s: s.reset is not None and s.reset[:1].any(),
    "several resets in a row": lambda s: s.reset is not None and (s.reset.sum(axis=0) > 1).any(),
    "no resets but a mask": lambda s: s.steps and s.reset is not None and not s.reset.any(),
    "reset in reverse under lengths": lambda s: s.reverse and s.lengths is not None and s.reset is not None,
}


@pytest.mark.parametrize("kind", SEQUENCES)
def test_every_kind_is_drawn(kind):
    reached(sequences(CELL), SEQUENCES[kind])


def test_sequences_shrink_to_one_step_of_one_row():
    s = simplest(sequences(CELL))
    assert (s.steps, s.batch, s.lengths, s.reset, s.reverse) == (1, 1, None, None, False)
    s = simplest(sequences(CELL), lambda s: s.lengths is not None and (s.lengths < s.steps).any())
    assert (s.steps, s.batch, s.lengths.tolist(), s.reset, s.reverse) == (1, 1, [0], None, False)


def test_masks_and_padding_on_request():
    @given(sequences(3, lengths=False, reset=False, reverse=False, dtype=np.float32))
    def bare(s):
        assert s.options == {"lengths": None, "reset": None, "reverse": False}
        assert s.xs.shape[2:] == (3,)
        assert s.xs.dtype == np.float32

    bare()
    reached(sequences(2, padding=-1e300), lambda s: (s.xs == -1e300).any())


@given(sequences(Tokens()))
def test_sequences_of_trees_and_tokens(s):
    assert set(s.xs) == {"token", "v", "keep"}
    valid = np.ones((s.steps, s.batch), bool) if s.lengths is None else np.arange(s.steps)[:, None] < s.lengths
    assert ((s.xs["token"][valid] >= 0) & (s.xs["token"][valid] < 7)).all()
    assert (s.xs["token"][~valid] == np.iinfo(np.int64).max).all()


def test_all_tokens_are_drawn():
    for token in range(5):
        reached(sequences(OneHot(vocabulary_size=5), lengths=False), lambda s, t=token: (s.xs == t).any())
    reached(sequences(Input((), np.int64), tokens=9, lengths=False), lambda s: (s.xs == 8).any())


def test_inputs_that_are_not_known():
    with pytest.raises(OptionError, match="Anything does not say what it takes; let its inputs"):
        simplest(sequences(Anything()))


# ---- planted faults are found
def finds(monkeypatch, name, wrong):
    """The simplest sequence on which a GRU with a fault in its masks is not each row alone."""
    cell, params = GRU(1, 2), GRU(1, 2).init(np.random.default_rng(0), np.float64)
    monkeypatch.setattr(masks.Masks, name, wrong)

    def breaks(s):
        state = np.ones((s.batch, 2))
        expected = alone(cell, params, state, s)
        found = cell(params, s.xs, state, **s.options)
        return not all(np.allclose(a, b) for a, b in zip(pytree.leaves(found), pytree.leaves(expected), strict=True))

    return simplest(sequences(cell), breaks)


def test_a_scan_that_ignores_lengths_is_found(monkeypatch):
    s = finds(monkeypatch, "_checked", lambda self, lengths: np.full(self.rows, self.time))
    assert (s.steps, s.batch, s.lengths.tolist(), s.reset, s.reverse) == (1, 1, [0], None, False)


def test_a_scan_that_ignores_resets_is_found(monkeypatch):
    s = finds(monkeypatch, "_checked_reset", lambda self, reset: np.zeros_like(reset))
    assert (s.steps, s.batch, s.lengths) == (2, 1, None)
    assert s.reset.tolist() == [[s.reverse], [not s.reverse]], "one reset, before the second step that is done"


@settings(max_examples=20)
@given(st.data())
def test_drawn_cells_and_sequences_fit(data):
    """Any cell, any sequence of it; and without a fault nothing is found."""
    cell = data.draw(cells(smooth=False))
    s = data.draw(sequences(cell))
    rng = np.random.default_rng(0)
    params, state = cell.init(rng, np.float64), pytree.map(
        lambda x: rng.standard_normal((s.batch, *x.shape)), cell.state())  # fmt: skip
    for a, b in zip(pytree.leaves(cell(params, s.xs, state, **s.options)), pytree.leaves(alone(cell, params, state, s)),
                    strict=True):  # fmt: skip
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
