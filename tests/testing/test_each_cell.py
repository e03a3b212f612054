"""The cells of a user's module as one parametrised test."""

import sys
import types
from importlib import metadata

import numpy as np
import pytest

import tapegrad.cells
from tapegrad.cells import GRU, LSTM, Cell, Elman
from tapegrad.errors import OptionError
from tapegrad.testing import cells_of, check_cell, each_cell

pytest_plugins = ["pytester"]

CELLS = '''
import numpy as np

import tapegrad as tg
from tapegrad.cells import LSTM, Cell, Parameter, State


class Base(Cell):
    """Without a step: a base of others."""

    input_size: int
    hidden_size: int
    rate: float = 0.5

    def parameters(self):
        return {"U": Parameter((self.input_size, self.hidden_size))}

    def state(self):
        return State((self.hidden_size,))


class Leaky(Base):
    def step(self, params, s, x):
        s = (1 - self.rate) * s + self.rate * np.tanh(x @ params["U"])
        return s, s


class Faulty(Base):
    def step(self, params, s, x):
        bent = tg.custom_vjp(np.tanh)
        bent.defvjp(lambda g, ans, x: g * (1 - ans))
        s = 0.5 * s + bent(x @ params["U"])
        return s, s


class _Private(Leaky):
    pass
'''

TEST = '''
from tapegrad.testing import check_cell, each_cell


@each_cell("my_package.cells"{options})
def test_cell(cell):
    check_cell(cell, oracles=("tape", "differences"))
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of that text, under a name that no other test has."""

    def make(text, name):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        return name

    yield make
    for name in [name for name in sys.modules if name.startswith("users_")]:
        del sys.modules[name]


def test_a_faulty_cell_fails_and_the_others_pass(pytester):
    """In processes of its own, by two workers, beside a test file whose module of cells cannot be imported."""
    package = pytester.mkpydir("my_package")
    (package / "cells.py").write_text(CELLS)
    (package / "broken.py").write_text("import nothing_of_that_name")
    pytester.makepyfile(
        test_cells=TEST.replace("{options}", ', sizes={"Leaky": [{}, {"rate": 0.1}, {"rate": 0.2}]}'),
        test_broken=TEST.replace("{options}", "").replace("my_package.cells", "my_package.broken"),
    )
    done = pytester.runpytest_subprocess("-v", "-n", "2", "-k", "not 0.2", "--continue-on-collection-errors")
    assert done.ret == 1
    done.assert_outcomes(passed=2, failed=1, errors=2)  # what cannot be imported, by either worker
    for line in ("*PASSED*test_cell[[]Leaky[]]*", "*PASSED*test_cell[[]Leaky-rate=0.1[]]*",
                 "*FAILED*test_cell[[]Faulty[]]*"):  # fmt: skip
        done.stdout.fnmatch_lines([line])
    text = done.stdout.str()
    assert "the gradient of params.U" in text
    assert "each_cell: my_package.broken: cannot import it: ModuleNotFoundError: No module named 'nothing_of" in text


def test_there_is_no_plugin_that_other_projects_would_load():
    assert not [entry for entry in metadata.entry_points(group="pytest11") if entry.value.startswith("tapegrad")]


# ---- what a module's cells are
def test_what_counts_as_a_cell(module):
    found = cells_of(module(CELLS, "users_1"))
    assert list(found) == ["Leaky", "Faulty"], "no base without a step, nothing private, nothing imported"
    assert (found["Leaky"].input_size, found["Leaky"].hidden_size, found["Leaky"].rate) == (3, 4, 0.5)


def test_a_package_with_the_cells_of_its_modules():
    assert set(cells_of(tapegrad.cells, leave_out={"DeepTransition", "Stacked"})) >= {"Elman", "GRU", "LSTM"}
    with pytest.raises(OptionError, match="cannot be made: TypeError: .*; give its options as sizes={'"):
        cells_of(tapegrad.cells)


def test_what_is_imported_counts_when_it_is_listed(module):
    assert list(cells_of(module(CELLS + '\n__all__ = ["LSTM"]\n', "users_2"))) == ["LSTM", "Leaky", "Faulty"]


def test_a_path(tmp_path, monkeypatch):
    (tmp_path / "users_3.py").write_text(CELLS)
    monkeypatch.chdir(tmp_path)
    assert list(cells_of("users_3.py", leave_out="Faulty")) == ["Leaky"]
    with pytest.raises(OptionError, match="users_4.py: cannot import it: FileNotFoundError: there is no file"):
        cells_of("users_4.py")


def test_sizes_and_instances():
    sizes = {"GRU": [{}, {"reset_after": True}, GRU(1, 1), GRU(2, 2)], "LSTM": LSTM(5, 6), "Elman": {"hidden_size": 9}}
    found = cells_of("tapegrad.cells", sizes=sizes, leave_out=["DeepTransition", "Stacked"])
    gru = GRU(3, 4)
    assert {name: cell for name, cell in found.items() if name.startswith("GRU")} == {
        "GRU": gru, "GRU-reset_after=True": GRU(3, 4, True), "GRU-2": GRU(1, 1), "GRU-3": GRU(2, 2)
    }  # fmt: skip
    assert found["LSTM"] == LSTM(5, 6)
    assert found["Elman"] == Elman(3, 9)


def test_of_a_cell_that_draws_the_same_twice_the_labels_differ():
    assert list(cells_of("tapegrad.cells.gated.gru", sizes={"GRU": [{}, {}]})) == ["GRU", "GRU-1"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"module": types.ModuleType("empty")}, "each_cell: empty has no cells; expected subclasses of tapegrad.cells"),
        ({"module": "no.such.module"}, "each_cell: no.such.module: cannot import it: ModuleNotFoundError"),
        ({"sizes": {"Gru": {}}}, "tapegrad.cells.gated.gru has no cell 'Gru'; it has GRU"),
        ({"leave_out": {"GRU"}}, "leave_out leaves no cell of tapegrad.cells.gated.gru; it has GRU"),
        ({"sizes": {"GRU": 3}}, r"sizes\['GRU'\] has 3; give a dict of its options, or an instance"),
        ({"sizes": {"GRU": {"depth": 3}}}, "GRU cannot be made: TypeError: .*'depth'"),
        ({"sizes": {"GRU": {"hidden_size": 0}}}, "hidden_size=0, expected an integer of at least 1"),
    ],
)
def test_what_is_refused(options, words):
    with pytest.raises(OptionError, match=words):
        each_cell(**{"module": "tapegrad.cells.gated.gru", **options})


@each_cell(tapegrad.cells, leave_out={"DeepTransition", "Stacked"})
def test_the_decorator_gives_cells(cell, request):
    assert isinstance(cell, Cell)
    assert request.node.name == f"test_the_decorator_gives_cells[{type(cell).__name__}]"
    assert check_cell(cell, oracles=("tape", "reference"), steps=2, batch=1, dtype=np.float32).ok
