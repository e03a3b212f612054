"""A folder to work in, and the program run in it."""

import sys

import pytest

from tapegrad.cli import main

TEXT = "the quick brown fox jumps over the lazy dog.\n" * 40
SMALL = ["--hidden", "8", "--embedding", "4", "--batch", "4", "--sequence", "8", "--sample", "20", "--seed", "3"]

OWN_CELL = """
import numpy as np
from tapegrad.cells import Cell, Parameter, State

class Mine(Cell):
    input_size: int
    hidden_size: int

    def parameters(self):
        m, n = self.input_size, self.hidden_size
        return {"U": Parameter((m, n)), "W": Parameter((n, n)), "b": Parameter((n,), init="zeros")}

    def state(self):
        return State((self.hidden_size,))

    def step(self, params, state, x):
        h = np.tanh(x @ params["U"] + state @ params["W"] + params["b"])
        return h, np.concatenate([h, -h], axis=-1)

class Exploding(Mine):
    def step(self, params, state, x):
        h = 1.3 * state + x @ params["U"]
        return h, h

class NoCell: pass

class Odd(Cell):
    width: int

class Broken(Mine):
    def step(self, params, state, x):
        raise RuntimeError("two\\nlines")
"""


def train(*arguments):
    return ["train", "--text", "text.txt", *SMALL, *arguments]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a text and a cell in it, in which the program runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "own_cells.py").write_text(OWN_CELL)
    return tmp_path


@pytest.fixture
def program(here, capsys):
    """Run the program in this process: its exit status and what it wrote."""

    def run(*arguments):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code
        written = capsys.readouterr()
        return status, written.out, written.err

    yield run
    sys.modules.pop("own_cells", None)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The bytes of a small model, made once."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "text.txt").write_text(TEXT)
        assert main([str(argument) for argument in train("--steps", 3, "--save", "model", "--quiet")]) == 0
    return (folder / "model").read_bytes()


@pytest.fixture
def model(trained, here):
    """That model, after three steps, in the file `model`."""
    (here / "model").write_bytes(trained)
    return here / "model"
