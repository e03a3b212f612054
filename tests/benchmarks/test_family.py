"""Cells against their own rooflines: what is counted, the roofline made of it, and the rows."""

from collections import Counter

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.backends import base
from tapegrad.backends.reference import ReferenceBackend
from tapegrad.benchmarks import family, roofline
from tapegrad.benchmarks.cells import PeepholeLSTM
from tapegrad.benchmarks.demand import Demand, demand
from tapegrad.benchmarks.family import Sizes, measure, members, sized
from tapegrad.benchmarks.flops import of_work
from tapegrad.benchmarks.roofline import Roof, roof
from tapegrad.benchmarks.work import Shape, Work
from tapegrad.cells import GRU, LSTM, Cell, Elman, Parameter, State, Variant, variants
from tapegrad.errors import OptionError

SHAPE = Shape(7, 5, 3, 4)


def asked(cell, shape=SHAPE):
    return demand(Work.draw("", cell, shape))


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("tapegrad.benchmarks.timing.PAUSE", 0.0)
    monkeypatch.setattr("tapegrad.benchmarks.timing.SHORT", 0.0)
    monkeypatch.setattr(roofline, "fma_peak", lambda dtype, threads: 4e9)
    monkeypatch.setattr(roofline, "_rate", lambda measured, name, dtype: 1e9)
    monkeypatch.setattr(roofline, "_bandwidth", lambda threads, size: 10.0)


# ---- what is counted
@pytest.mark.parametrize("kind", [LSTM, GRU, Elman, PeepholeLSTM], ids=lambda kind: kind.__name__)
def test_products_are_those_of_the_tape(kind):
    cell = kind(3, 4)
    assert asked(cell).products == of_work(Work.draw("", cell, SHAPE))[1]


def test_an_lstms_functions_arithmetic_and_memory():
    T, B, I, H = SHAPE  # noqa: E741
    found = asked(LSTM(I, H))
    each = T * B * H
    assert found.functions == Counter(logistic=3 * each, tanh=2 * each)
    # Forward: a bias for each gate, then f c + i g and o tanh c: 8. Backward: dh + dh here, dc by h and by c, for
    # each of four gates a slope and the products with it, and four sums for the biases.
    assert 8 * each + 30 * each < found.simple < 8 * each + 40 * each
    forward, backward = I + H + 7 * H, H + I + 7 * H
    assert found.bytes == 4 * T * B * (forward + backward)
    assert found.whole


class Masked(Cell):
    """Work on the parameters alone, before and behind the loop; a square; and a step that mixes rows, if it is told."""

    input_size: int
    hidden_size: int
    mixing: bool = False

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {"W": Parameter((n, n)), "U": Parameter((m, n))}

    def state(self):
        return State((self.hidden_size,))

    def step(self, params, state, x):
        W = np.where(np.eye(self.hidden_size) == 0, np.tanh(params["W"]), 0)
        h = (state @ W + x @ params["U"]) ** 2
        return (h - np.mean(h, axis=0) if self.mixing else h), h


def test_what_follows_from_the_parameters_is_not_counted_at_each_step():
    T, B, I, H = SHAPE  # noqa: E741
    found = asked(Masked(I, H))
    assert found.functions == Counter(), "tanh of the weights, and its derivative"
    assert found.products == 2 * T * B * H * (2 * I + 3 * H)
    # Forward the square; backward dh + dh here, twice the value, and their product.
    assert found.simple <= 5 * T * B * H


def test_a_step_that_mixes_rows_is_told():
    assert asked(Masked(3, 4)).whole
    assert not asked(Masked(3, 4, mixing=True)).whole


# ---- the roofline
def test_the_roof_is_the_sum_of_its_parts(quick):
    made = roof(Demand(8_000, 600, Counter(tanh=20, exp=30), 5_000), np.float32, 2)
    assert (made.products, made.functions) == pytest.approx((2e-6, 25e-9))
    assert (made.simple, made.memory) == pytest.approx((300e-9, 500e-9))
    assert made.seconds == pytest.approx(2e-6 + 25e-9 + 300e-9 + 500e-9)


def test_the_bandwidth_is_that_of_arrays_as_large_as_what_is_touched(monkeypatch):
    seen = []
    monkeypatch.setattr(roofline, "memory_bandwidth", lambda threads, size: seen.append((threads, size)) or 1.0)
    monkeypatch.setattr(roofline, "fma_peak", lambda dtype, threads: 1.0)
    for moved, threads in ((0, 1), (1 << 20, 1), (1 << 24, 2), (3 << 22, 1), (1 << 40, 1)):
        roof(Demand(bytes=moved), np.float32, threads)
    assert seen == [(1, 1 << 16), (1, 1 << 18), (2, 1 << 21), (1, 1 << 21), (1, 1 << 26)]


# ---- cells and their sizes
def test_every_variant_can_be_made_at_a_benchmarks_size():
    shape = Shape(2, 3, 6, 8)
    chosen = members(None, [])
    assert list(chosen) == [str(variant) for variant in variants()]
    for name, make in chosen.items():
        work = Work.draw(name, make(shape), shape)
        assert max(max(np.shape(leaf), default=0) for leaf in tg.tree_leaves(work.params)) >= 6, name
        widest = max((np.size(leaf) for leaf in tg.tree_leaves(work.cell.initial_state(1))), default=0)
        assert 4 <= widest <= 8, name


def test_the_first_size_that_is_drawn_is_the_inputs():
    assert Sizes(3, 4).permutation(np.arange(1, 6))[:3].tolist() == [3, 4, 4]


class Blocks(Masked):
    """As many units as two sizes multiplied."""

    def state(self):
        return State((self.hidden_size, self.hidden_size)), State((2,))


def test_sizes_that_are_multiplied_are_smaller():
    way = Variant(Blocks, "", lambda rng: Blocks(*rng.permutation(np.arange(1, 4))[:2].tolist()))
    assert sized(way, Shape(2, 3, 5, 100)) == Blocks(5, 6)
    assert sized(way, Shape(2, 3, 5, 1)) == Blocks(5, 1)


def test_names_are_of_variants_or_of_classes():
    assert list(members("gru[reset_after],elman[relu]", [])) == ["GRU[reset_after]", "Elman[relu]"]
    assert set(members("gru", [])) == {str(v) for v in variants() if v.cell is GRU}
    assert members("LSTM", [])["LSTM"](SHAPE) == LSTM(3, 4)
    found = members("LSTM1997[blocks, full gradient], Stacked[LSTM,GRU,softmax],elman[relu],", [])
    assert list(found) == ["LSTM1997[blocks, full gradient]", "Stacked[LSTM,GRU,softmax]", "Elman[relu]"]
    with pytest.raises(OptionError, match="--cells lstn: unknown; choose from .*LSTM"):
        members("lstn", [])


def test_blocks_of_cells_have_the_size_that_they_have_in_papers():
    for name in ("LSTM1997[blocks, full gradient]", "LSTM2000[blocks, truncated]"):
        cell = members(name, [])[name](Shape(100, 32, 64, 128))
        assert (cell.block_count, cell.block_size) == (64, 2)


# ---- rows
def test_a_row_compares_fractions_of_rooflines(quick, monkeypatch):
    """Twice as long for twice the work is as near; the ratio is the median of those of the rounds."""
    times, of_lstm = [2.0, 4.0, 9.0], [1.0, 2.0, 1.0]
    mine, known = Roof(1.0, 0.0, 0.0, 0.0), Roof(0.25, 0.125, 0.125, 0.0)
    row = family._row("x", SHAPE, times, of_lstm, [mine, known], Demand(whole=False), 5, "")
    assert row["LSTM's / its"] == pytest.approx(1.0)
    assert (row["of it"], row["LSTM's"], row["ms"]) == ("25 %", "50 %", 4000.0)
    assert row["notes"] == "rows not shown independent"


def test_a_wrong_result_is_told(quick, monkeypatch):
    assert not measure("LSTM", lambda shape: LSTM(shape.I, shape.H), SHAPE, 2, 1)["notes"]

    class Wrong(ReferenceBackend):
        def run(self, step, args, length, reverse):
            return tuple([1.01 * np.asarray(a) for a in super().run(step, args, length, reverse)])

    monkeypatch.setitem(base._LOADED, "numba", Wrong())
    assert measure("LSTM", lambda shape: LSTM(shape.I, shape.H), SHAPE, 2, 1)["notes"].startswith("WRONG: ")
