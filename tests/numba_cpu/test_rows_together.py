"""What rows need between two products is done row by row, in one loop; what is only there has memory of one row."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.backends.numba_cpu.lower import lower
from tapegrad.backends.numba_cpu.schedule import Schedule
from tapegrad.backends.plan import make_plan
from tapegrad.backends.shown import steps_of
from tapegrad.cells import LSTM
from tests.numba_cpu import emulated
from tests.numba_cpu.compared import compare
from tests.numba_cpu.steps import CASES

ROWS = "for i in range(r0, r1):"


def lowered(step, *args, gradient=True):
    """The lowering of the loops of a step, forward and backward."""
    scan = lambda *given: tg.scan(step, *given)  # noqa: E731
    return [lower(make_plan(made)) for made in steps_of(scan, *args, gradient=gradient)]


def scanned(step):
    return lambda params, state, xs, backend: tg.scan(step, params, state, xs, backend=backend)


def test_all_between_two_products_is_one_loop_over_the_rows():
    """A softmax behind a norm: sums, extrema and passes over 37, 5 and 1 elements."""
    case = CASES["norm_upon_norm"]
    (forward,) = lowered(case.step, *case.arguments("float64"), gradient=False)
    text = forward.source[forward.source.index("# loop") :]
    products = [line.strip() for line in text.splitlines() if line.strip().startswith(("multiply", ROWS))]
    assert products[0].startswith("multiply")
    assert [line for line in products if line.startswith(ROWS)] == 2 * [ROWS], "one loop behind each of two products"
    assert text.count("fold_sum") + text.count("dot(") >= 3
    assert "fold_max" in text


def test_what_no_other_loop_reads_lies_in_memory_of_one_row():
    case = CASES["norm_upon_norm"]
    (forward,) = lowered(case.step, *case.arguments("float64"), gradient=False)
    shared = {base for base, place in forward.places.items() if place.array == "work_shared"}
    assert len(shared) >= 5
    assert all("i" not in forward.places[base].start for base in shared)
    operands = {base for op in forward.plan.loop if op.kind == "gemm" for base in (*op.reads, op.out)}
    assert not shared & operands, "products read and write all rows at once"
    results = {i for i, value in enumerate(forward.graph.values) if value.source != "op"}
    assert not shared & results
    assert not shared & forward.plan.crossing, "the sections behind the loop see many steps"


def test_an_lstm_has_no_memory_of_one_row():
    """Its gates come from a product, and what is made of them stays in registers."""
    cell, rng = LSTM(3, 20), np.random.default_rng(0)
    steps = steps_of(lambda p: cell(p, np.ones((4, 2, 3)))[1], cell.init(rng, np.float64))
    for each in [lower(make_plan(step)) for step in steps]:
        assert not [place for place in each.places.values() if place.array == "work_shared"]
        assert each.source.count(ROWS) == 1


def too_much(self):
    """Memory of one row for all scratch, what products read included."""
    every = [i for i, value in enumerate(self.graph.values) if value.source == "op" and value.rowed]
    for base in every:
        if base in self.places and base not in self.chunked:
            place = self.places[base]
            self.places[base] = type(place)(place.array, place.first, place.first, 0)


@pytest.mark.parametrize("name", ["norm_upon_norm", "layer_norm", "gates_of_blocks"])
def test_rows_that_share_what_others_read_are_caught(monkeypatch, name):
    args = CASES[name].arguments("float64")
    with emulated.installed():
        compare(scanned(CASES[name].step), args, "emulated")
        monkeypatch.setattr(Schedule, "_place_in_rows", too_much)
        with pytest.raises((AssertionError, emulated.Fault)):
            compare(scanned(lambda *given: CASES[name].step(*given)), args, "emulated")


@pytest.mark.parametrize("rows", [1, 7, 40])
def test_norms_compiled_on_several_threads_are_those_of_the_reference(rows, monkeypatch):
    monkeypatch.setenv("TAPEGRAD_NUM_THREADS", "2")
    monkeypatch.setattr("tapegrad.backends.numba_cpu.run.SMALL", 0)
    rng = np.random.default_rng(rows)
    params = {"W": rng.normal(size=(37, 37)), "g": rng.normal(size=37), "V": rng.normal(size=(37, 5))}
    args = params, rng.normal(size=(rows, 37)), rng.normal(size=(6, rows, 5))
    compare(scanned(CASES["norm_upon_norm"].step), args, "numba")
