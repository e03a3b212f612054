"""The public strategies: what they draw is valid, varied, and shrinks to something small."""

import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.cells import Cell, State
from tapegrad.testing import GradientMismatch, arrays, cells, check_grads, programs, shapes
from tapegrad.testing.program_templates import BINARY, UNARY
from tapegrad.testing.random_cells import ADDRESSES, READS, WRITES
from tapegrad.testing.strategies import LAYOUTS, laid_out

TABLES = {"UNARY": UNARY, "BINARY": BINARY}
QUIET = settings(database=None, suppress_health_check=list(HealthCheck), max_examples=500, deadline=None)


def simplest(strategy, condition=lambda drawn: True):
    # Not to be explained: for that parts are varied again, and what `find` returns is the last that it saw.
    return find(strategy, condition, settings=settings(QUIET, phases=[Phase.generate, Phase.shrink]))


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


@pytest.mark.parametrize("place", [(table, i) for table in ("UNARY", "BINARY") for i in range(len(TABLES[table]))])
def test_every_family_of_lines_is_drawn(place):
    """Its first line, which is its simplest, and its last."""
    table, number = place
    for template in (TABLES[table][number].templates[0], TABLES[table][number].templates[-1]):
        pieces = [piece for piece in re.split(r"\{\w+\}", template) if piece.strip(" (),*+-/")]
        reached(programs(max_length=10), lambda p, pieces=pieces: any(
            all(piece in line for piece in pieces) for line in p.source.split("\n")))  # fmt: skip


@pytest.mark.parametrize("family", [*UNARY, *BINARY], ids=lambda family: family.templates[0])
def test_every_line_of_the_table_is_smooth_and_right(family):
    """A line that does not run would be found late, by chance."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1.5, 1.5, (2, 3, 3))
    for template in family.templates:
        for half in (0, 1):
            text = template.format(x="x", y="y", axis=1, half=half)
            f = eval(f"lambda x, y: {text} + 0.0 * np.sum(y)", {"np": np, "tg": tg})
            check_grads(f, (x, y), order=1)


def test_a_line_that_is_wrong_is_found(monkeypatch):
    wrong = tg.custom_vjp(np.tanh)
    wrong.defvjp(lambda g, ans, x: 0.0 * g)  # its derivative is forgotten
    monkeypatch.setattr(tg, "softplus", wrong)

    def fails(program):
        try:
            check_grads(program, program.args, order=1)
        except GradientMismatch:
            return True
        return False

    assert "tg.softplus" in reached(programs(max_length=2), fails).source


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
    assert [s.shape for s in tg.tree_leaves(state)] == [(3, *s.shape) for s in tg.tree_leaves(cell.state())]
    assert cell.text in repr(cell)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_random_cells_have_several_states(count):
    reached(cells(max_memories=0), lambda cell: len(tg.tree_leaves(cell.state())) == count)


@pytest.mark.parametrize("template", [*READS, *WRITES, *ADDRESSES])
def test_every_way_to_read_and_write_a_memory_is_drawn(template):
    words = template.format("", M="m1", k="k1", v="v1", r="r1").removesuffix(")")
    cell = reached(cells(), lambda cell: words in cell.text and "m1" in cell.text)
    assert State((cell.slots_size, cell.hidden_size)) in cell.state()


def test_random_cells_shrink_to_one_state():
    cell = simplest(cells())
    assert cell.state() == State((1,))
    assert cell.text.count(" = ") <= 6
    memory = simplest(cells(), lambda cell: "m1" in cell.text)
    assert memory.state() == (State((1,)), State((1, 1)))
    assert memory.text.count(" = ") <= 10
    assert len(reached(cells(max_memories=2), lambda cell: "m2" in cell.text).state()) > 2


def test_hypothesis_is_imported_on_first_use_only():
    program = (
        "import sys, tapegrad.testing as t; assert 'hypothesis' not in sys.modules; t.check_grads; "
        "assert 'hypothesis' not in sys.modules; t.arrays; assert 'hypothesis' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'check_everything'"):
        tg.testing.check_everything  # noqa: B018
