"""The public strategies: what they draw is valid, varied, and shrinks to something small."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.cells import Cell
from tapegrad.testing import arrays, cells, programs, shapes
from tapegrad.testing.strategies import LAYOUTS, laid_out

QUIET = settings(database=None, suppress_health_check=list(HealthCheck), max_examples=500, deadline=None)


def simplest(strategy, condition=lambda drawn: True):
    return find(strategy, condition, settings=QUIET)


def reached(strategy, condition):
    """One that is drawn, without the search for the simplest."""
    return find(strategy, condition, settings=settings(QUIET, phases=[Phase.generate], max_examples=5000))


@given(shapes(min_dims=1, max_dims=2, min_side=0, max_side=3))
def test_shapes_keep_their_bounds(shape):
    assert 1 <= len(shape) <= 2
    assert all(0 <= n <= 3 for n in shape)


def test_shapes_reach_their_bounds():
    assert simplest(shapes()) == ()
    assert simplest(shapes(min_side=0), lambda s: 0 in s) == (0,)
    assert simplest(shapes(), lambda s: len(s) == 3) == (1, 1, 1)


@given(st.data())
def test_arrays_keep_their_bounds_dtypes_and_layouts(data):
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    x = data.draw(arrays(dtype=dtype, low=-1.0, high=3.0, away_from=(0.0, 1.0), margin=0.1, layouts=LAYOUTS))
    assert x.dtype == dtype
    assert isinstance(x, np.ndarray)
    assert (np.abs(x) >= 0.0999).all()
    assert (np.abs(x - 1) >= 0.0999).all()
    assert ((x >= -1.01) & (x <= 3.01)).all()


@pytest.mark.parametrize(("dtype", "kinds"), [(np.int32, {0, 1, 2}), (bool, {False, True})])
def test_arrays_of_integers_and_booleans(dtype, kinds):
    x = simplest(arrays((40,), dtype=dtype, low=0, high=3))
    assert x.dtype == dtype
    assert set(x.tolist()) == kinds


@given(arrays(shapes(min_side=0)), st.sampled_from(LAYOUTS))
def test_a_layout_changes_no_element(x, layout):
    made = laid_out(x, layout)
    assert made.shape == x.shape
    np.testing.assert_array_equal(made, x)


def test_layouts_are_what_they_are_called():
    x = np.arange(6.0).reshape(2, 3)
    assert laid_out(x, "F").flags.f_contiguous
    assert laid_out(x, "reversed").strides[0] < 0
    assert laid_out(x, "strided").strides[1] == 16


@given(programs(smooth=False))
def test_programs_run_and_are_moderate_and_depend_on_every_argument(program):
    value = program(*program.args)
    assert np.isfinite(value).all()
    grads = tg.vjp(program, *program.args)[1](np.ones_like(value))
    assert [g.shape for g in grads] == [x.shape for x in program.args]
    held = {"np": np, "tg": tg}
    exec(program.source, held)
    np.testing.assert_array_equal(held["program"](*program.args), value)
    assert program.source in repr(program)


@given(programs(scalar=True, inputs=[(3,), (2, 3)]))
def test_programs_of_given_shapes_with_a_scalar_result(program):
    assert [x.shape for x in program.args] == [(3,), (2, 3)]
    assert np.shape(program(*program.args)) == ()


def test_programs_shrink_to_one_line():
    assert simplest(programs()).source == "def program(a):\n    b = np.tanh(a)\n    return b\n"


@pytest.mark.parametrize("word", ["tg.scan", "tg.vmap", "tg.checkpoint", "@", "np.concatenate", "np.take", "[::-1]"])
def test_programs_reach_everything(word):
    assert word in reached(programs(), lambda p: word in p.source).source


def test_programs_shrink_to_what_is_needed():
    program = simplest(programs(), lambda p: "np.concatenate" in p.source)
    assert program.source.count("\n") <= 4


def test_kinks_only_on_request():
    reached(programs(smooth=False), lambda p: "np.abs" in p.source)


@given(programs(max_length=10))
def test_smooth_programs_have_no_kinks(program):
    assert not any(word in program.source for word in ("abs", "maximum", "clip"))


@given(cells())
def test_random_cells_are_cells(cell):
    assert isinstance(cell, Cell)
    params = cell.init(np.random.default_rng(0), np.float64)
    state, ys = cell(params, np.ones((2, 3, cell.input_size)))
    assert ys.shape == (2, 3, cell.hidden_size)
    assert np.isfinite(ys).all()
    assert [s.shape for s in tg.tree_leaves(state)] == [(3, cell.hidden_size)] * len(tg.tree_leaves(cell.state()))
    assert cell.text in repr(cell)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_random_cells_have_several_states(count):
    reached(cells(), lambda cell: len(tg.tree_leaves(cell.state())) == count)


def test_hypothesis_is_imported_on_first_use_only():
    program = (
        "import sys, tapegrad.testing as t; assert 'hypothesis' not in sys.modules; t.check_grads; "
        "assert 'hypothesis' not in sys.modules; t.arrays; assert 'hypothesis' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'check_everything'"):
        tg.testing.check_everything  # noqa: B018
