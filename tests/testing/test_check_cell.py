"""check_cell: what passes, what is left out and why, what is refused."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.cells import LSTM, Cell, Elman, Input, State, variants
from tapegrad.errors import DtypeError, NonFiniteError, OptionError, ShapeError, TracingError
from tapegrad.testing import cells, check_cell
from tapegrad.testing.cell_masks import drawn_masks
from tapegrad.testing.cell_problem import CellProblem
from tests.strategies.effort import few
from tests.testing.odd_cells import ODD, Anything, Mixing, OneHot, Tokens

EVERY = pytest.mark.parametrize("variant", [*variants(), *variants("readout")], ids=str)
MASKS = "lengths, reset and reverse"
QUICK = ("tape", "sympy", "reference", "rtrl", "differences")
RNG = np.random.default_rng(0)


@EVERY
def test_every_registered_cell_by_every_oracle(variant):
    report = check_cell(variant.build(np.random.default_rng(0)))
    assert report.skipped == {}
    assert len(report.pairs) == 15
    assert all(pair.count > 20 and pair.rough == 0 for pair in report.pairs)
    # Differences of a gradient, which give second derivatives, are less exact than the complex step.
    assert all(pair.worst < (1e-10 if pair.second == "differences" else 1e-13) for pair in report.pairs)


@EVERY
@pytest.mark.parametrize(("dtype", "seed"), [(np.float64, 1), (np.float32, 2)])
def test_every_registered_cell_on_other_data(variant, dtype, seed):
    check_cell(variant.build(np.random.default_rng(seed)), oracles=QUICK, seed=seed, dtype=dtype)


@pytest.mark.parametrize("cell", ODD, ids=lambda cell: type(cell).__name__)
def test_cells_of_the_less_usual_kinds(cell):
    report = check_cell(cell, oracles=QUICK)
    assert set(report.skipped) == ({"sympy", MASKS} if isinstance(cell, Mixing) else set())


@few()
@given(cells(smooth=False), st.integers(0, 2**32 - 1))
def test_random_cells(cell, seed):
    assert check_cell(cell, oracles=QUICK, seed=seed).skipped == {}


def test_what_the_report_says():
    report = check_cell(Mixing(), oracles=("tape", "sympy", "differences"), seed=5, steps=4, batch=2)
    assert str(report).split("\n")[:2] == [
        "check_cell: Mixing(input_size=2), 4 steps of 2 rows, float64, seed 5:", "all oracles that apply agree"
    ]  # fmt: skip
    # Three times the final state (2, 2) and ys (4, 2, 2); gradients by w, state and xs; tangents; second order.
    count = 3 * (4 + 16) + (2 + 4 + 16) + (4 + 16) + (2 + 4 + 16)
    assert f"    tape - differences    {count} numbers, largest difference " in str(report)
    assert "    sympy: derive: the step computes across the rows of a batch" in str(report)
    assert "    lengths, reset and reverse: what a row of this cell gives depends on the other rows" in str(report)
    assert report.summary() == "all oracles that apply agree"


def test_masks_and_second_order_on_request():
    """What they add: under masks one value of a result, a gradient and a tangent, in both directions; an hvp."""
    cell, oracles = Elman(1, 2), ("tape", "reference")
    full = check_cell(cell, oracles=oracles, steps=4, batch=2)
    counts = [
        check_cell(cell, oracles=oracles, steps=4, batch=2, **options).pairs[0].count
        for options in ({"masks": False, "order": 1}, {"masks": False}, {"order": 1})
    ]
    results, leaves = 2 * 2 + 4 * 2 * 2, 2 + 4 + 2 + 2 * 2 + 4 * 2
    assert counts[0] == 4 * results + leaves
    assert counts[1] - counts[0] == leaves
    assert counts[2] - counts[0] == 2 * counts[0]
    assert full.pairs[0].count == counts[1] + counts[2] - counts[0]
    assert "\n\nmasked: lengths [" in str(full)
    assert full.snippet().endswith("seed=0, steps=4, batch=2)")
    bare = check_cell(cell, oracles=oracles, masks=False, order=1)
    assert "masked" not in str(bare)
    assert ", masks=False, order=1)" in bare.snippet()


@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 4))
def test_drawn_masks_show_what_they_do(seed, steps, batch):
    masks = drawn_masks(seed, steps, batch)
    assert masks.lengths.shape == (batch,)
    assert ((masks.lengths >= 0) & (masks.lengths <= steps)).all()
    if steps > 1:
        assert (masks.lengths < steps).any()
        assert masks.lengths.any()
    if steps > 2:
        runs = [masks._replace(reverse=reverse).runs(b, steps) for b in range(batch) for reverse in (False, True)]
        assert max(map(len, runs[::2])) > 1
        assert max(map(len, runs[1::2])) > 1


class FirstOrderOnly(Cell):
    """A rule of the user's own that cannot be differentiated again."""

    input_size: int = 2

    def state(self):
        return State((self.input_size,))

    def step(self, params, s, x):
        s = 0.5 * s + once(x)
        return s, s


once = tg.primitive(np.cosh, shape=lambda x: x.shape, name="cosh once")
once.defvjp(lambda g, ans, x: g * sinh_once(x))
sinh_once = tg.primitive(np.sinh, shape=lambda x: x.shape, name="sinh once")


def test_a_rule_for_one_order_is_checked_for_one():
    report = check_cell(FirstOrderOnly(), oracles=("tape", "reference", "rtrl"))
    assert set(report.skipped) == {"tape to second order", "reference to second order"}
    assert "sinh once" in report.skipped["tape to second order"]


def test_what_a_backend_cannot_run_is_left_out():
    cube = tg.primitive(lambda x: x**3, shape=lambda x: x.shape, name="cube")
    cube.defvjp(lambda g, ans, x: g * 3 * x**2)

    class Cubic(Elman):
        def step(self, params, h, x):
            h = cube(np.tanh(x @ params["W_xh"] + h))
            return h, h

    report = check_cell(Cubic(2, 3), oracles=(*QUICK, "numba"))
    assert report.skipped["numba"].startswith("backend 'numba' cannot run the primitive 'cube' in this step")
    assert list(report.skipped) == ["numba"]


def test_of_large_cells_a_random_choice_is_looked_at():
    report = check_cell(Elman(30, 40), oracles=("tape", "rtrl", "differences"), steps=3, batch=2)
    counts = {(pair.first, pair.second): pair.count for pair in report.pairs}
    # At most 80 of each of W_hh, W_xh, the state and xs, all of b_h; under masks 4 of each, in two directions.
    assert counts["tape", "rtrl"] == 4 * 80 + 40 + 2 * 5 * 4


def test_data_do_not_depend_on_the_oracles_or_the_dtype():
    one, two = (CellProblem(LSTM(2, 3), 7, None, None, dtype, None, None, None) for dtype in (np.float64, np.float32))
    assert (one.steps, one.batch) == (two.steps, two.batch)
    for a, b in zip(one.leaves, two.leaves, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
        assert len(np.unique(a)) == a.size, "no two numbers are alike"


@pytest.mark.parametrize(("cell", "size"), [(Tokens(), 7), (OneHot(), 5), (OneHot(vocabulary_size=11), 11)])
def test_tokens_are_drawn_from_the_whole_table(cell, size):
    problem = CellProblem(cell, 0, 50, 4, np.float64, None, None, None)
    (tokens,) = [leaf for name, leaf in zip(problem.names, problem.leaves, strict=True) if "xs" in name
                 and leaf.dtype.kind == "i"]  # fmt: skip
    assert set(np.unique(tokens)) == set(range(size))


def test_data_of_ones_own():
    xs = RNG.standard_normal((4, 2, 3))
    report = check_cell(Anything(), xs=xs, oracles=("tape", "sympy", "rtrl"))
    assert (report.steps, report.batch) == (4, 2)
    cell = Elman(2, 3)
    params, state = cell.init(RNG), np.ones((5, 3))
    report = check_cell(cell, params=params, state=state, oracles=("tape", "sympy"))
    assert report.batch == 5
    assert report.dtype == np.float64, "what is given is taken in the dtype of the check"


class Unfinished(Cell):
    input_size: int = 2

    def state(self):
        return State((2,), init=-1.0)

    def step(self, params, s, x):
        return np.sqrt(s - 9.0), s


class Nothing(Cell):
    def inputs(self):
        return Input((), np.int64)

    def step(self, params, s, x):
        return s, x


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((Elman,), {}, OptionError, "is no Cell; give an instance, made with its sizes"),
        ((np.tanh,), {}, OptionError, "is no Cell"),
        ((Elman(2, 3),), {"oracles": ("tape", "theano")}, OptionError, "there is no 'theano'; choose from tape"),
        ((Elman(2, 3),), {"oracles": "tape"}, OptionError, "give at least two"),
        ((Elman(2, 3),), {"order": 3}, OptionError, "order=3; give 1, or 2 for second derivatives too"),
        ((Elman(2, 3),), {"steps": 0}, OptionError, "steps=0, expected an integer of at least 1"),
        ((Elman(2, 3),), {"dtype": np.int64}, DtypeError, "give np.float32 or np.float64"),
        ((Elman(2, 3),), {"xs": np.ones((2, 4, 2)), "batch": 3}, OptionError, "batch=3, and the data .* have 4"),
        ((Elman(2, 3),), {"xs": np.ones((2, 4, 5))}, ShapeError, r"xs is of shape \(2, 4, 5\)"),
        ((Anything(),), {}, OptionError, "Anything takes any input; give xs="),
        ((Mixing(),), {"oracles": ("tape", "sympy")}, OptionError, "fewer than two apply: sympy: derive: the step"),
        ((Unfinished(),), {}, NonFiniteError, "give data on which they are, as params=, state= and xs="),
        ((Nothing(),), {}, OptionError, "has no floating parameter, state or input"),
    ],
)
def test_what_is_refused(arguments, options, error, words):
    with pytest.raises(error, match=words), np.errstate(invalid="ignore"):
        check_cell(*arguments, **options)


def test_an_error_of_the_cell_says_which_oracle_and_seed():
    class Detached(Cell):
        input_size: int = 2

        def state(self):
            return State((2,))

        def step(self, params, s, x):
            s = s + np.array([float(x[0, 0]), 1.0])
            return s, s

    with pytest.raises(TracingError) as error:
        check_cell(Detached(), seed=4)
    assert error.value.__notes__ == ["check_cell: raised by the oracle 'tape', with seed=4"]


def test_heavy_libraries_are_loaded_by_the_oracles_that_need_them():
    program = (
        "import sys; from tapegrad.cells import Elman; from tapegrad.testing import check_cell\n"
        "check_cell(Elman(2, 3), oracles=('tape', 'reference', 'rtrl', 'differences'))\n"
        "print(*sorted({'numba', 'sympy', 'matplotlib', 'hypothesis'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).split() == []
