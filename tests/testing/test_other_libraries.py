"""The oracles that carry a cell out in JAX and in PyTorch, where these are installed."""

import importlib.util
import sys
from contextlib import nullcontext
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import pytree
from tapegrad.cells import LSTM, Cell, State, variants
from tapegrad.testing import CellMismatch, cells, check_cell
from tapegrad.testing.cell_oracles import Inapplicable
from tests.primitives.flat import FlatCall, assert_same
from tests.specs import SPECS
from tests.testing.odd_cells import ODD

INSTALLED = [name for name in ("jax", "torch") if importlib.util.find_spec(name) is not None]
LIBRARY = pytest.mark.parametrize(
    "library",
    [
        pytest.param(n, marks=pytest.mark.skipif(n not in INSTALLED, reason=f"{n} is not installed"))
        for n in ("jax", "torch")
    ],
)


@LIBRARY
@pytest.mark.parametrize("variant", variants(), ids=str)
def test_every_registered_cell(library, variant):
    report = check_cell(variant.build(np.random.default_rng(0)), oracles=("tape", library))
    assert not report.skipped
    assert report.pairs[0].worst < 1e-13


@LIBRARY
@pytest.mark.parametrize("cell", ODD, ids=lambda cell: type(cell).__name__)
def test_cells_of_the_less_usual_kinds(library, cell):
    assert library not in check_cell(cell, oracles=("tape", library)).skipped


@LIBRARY
@settings(max_examples=10)
@given(cells(), st.integers(0, 999))
def test_random_cells(library, cell, seed):
    assert not check_cell(cell, oracles=("tape", library), seed=seed).skipped


class Bent(Cell):
    """A step with a rule of its own, a loop inside, and a checkpoint."""

    factor: float
    input_size: int = 3

    def state(self):
        return State((self.input_size,))

    def step(self, params, s, x):
        bent = tg.custom_vjp(np.sin)
        bent.defvjp(lambda g, ans, x: g * self.factor * np.cos(x))
        inner, _ = tg.scan(lambda w, c, v: (np.tanh(c + w * v), None), 0.3, s[:, 0], np.swapaxes(x, 0, 1))
        return tg.checkpoint(np.tanh)(s + bent(x)) + inner[:, None], s[:, ::-1]


@LIBRARY
def test_a_wrong_rule_is_caught(library):
    assert not check_cell(Bent(1.0), oracles=("tape", "reference", library)).skipped
    with pytest.raises(CellMismatch) as error:
        check_cell(Bent(1.001), oracles=("tape", "reference", library))
    assert error.value.report.suspects() == [library]
    wrong = {m.name for m in error.value.report.mismatches if m.what == "gradient"}
    assert "xs" in wrong


@LIBRARY
def test_what_it_cannot_spell_is_left_out_with_a_reason(library):
    double = tg.primitive(lambda x: 2 * x, shape=lambda x: x.shape, name="double").defvjp(lambda g, ans, x: 2 * g)

    class Own(Cell):
        def state(self):
            return State((2,))

        def step(self, params, s, x):
            return np.tanh(double(s) + x), s

    xs = np.random.default_rng(0).normal(size=(3, 2, 2))
    report = check_cell(Own(), oracles=("tape", "reference", library), xs=xs)
    assert report.skipped == {library: f"the step uses double, which is not spelled in {library} here"}


@pytest.mark.parametrize("library", ["jax", "torch"])
def test_without_the_library_it_is_left_out(library, monkeypatch):
    monkeypatch.setitem(sys.modules, f"tapegrad.testing.by_{library}", None)
    report = check_cell(LSTM(1, 2), oracles=("tape", "reference", library))
    assert f"pip install {library}" in report.skipped[library]


UNSPELLED = {"scan"}  # a loop of no steps; other lengths stand in a cell above


@LIBRARY
@pytest.mark.parametrize("row", [row for row in SPECS.values() if row.name not in UNSPELLED], ids=str)
@settings(max_examples=15)
@given(st.data())
def test_every_primitive_means_there_what_it_means_here(library, row, data):
    module = import_module(f"tapegrad.testing.by_{library}")
    flat = FlatCall(row, data.draw(row.calls))
    arrays = [i for i, leaf in enumerate(flat.leaves) if isinstance(leaf, np.ndarray)]

    def of_arrays(*given):
        leaves = list(flat.leaves)
        for i, value in zip(arrays, given, strict=True):
            leaves[i] = value
        return flat(*leaves)

    given = [flat.leaves[i] for i in arrays]
    tape = tg.trace(of_arrays)(*given)
    with module.jax.enable_x64(True) if library == "jax" else nullcontext():
        engine = module.Jax() if library == "jax" else module.Torch()
        try:
            found = engine.run(tape, [engine.array(x) for x in pytree.leaves(given)])
        except Inapplicable as reason:
            if "not spelled" not in str(reason):  # this call of it
                reject()
            pytest.skip(str(reason))
        assert_same([np.asarray(y) for y in found], [np.asarray(y) for y in of_arrays(*given)], 1e-12)
