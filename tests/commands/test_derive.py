"""``tapegrad derive``."""

import pytest

from tapegrad.cli import main

OWN = """
import numpy as np
from tapegrad.cells import Cell, Parameter, State

class Leaky(Cell):
    input_size: int
    hidden_size: int
    rate: float = 0.25

    def parameters(self):
        return {"U": Parameter((self.input_size, self.hidden_size))}

    def state(self):
        return State((self.hidden_size,))

    def step(self, params, h, x):
        h = (1 - self.rate) * h + self.rate * np.tanh(x @ params["U"])
        return h, h

class Picky(Leaky):
    def __post_init__(self):
        raise ValueError("two\\nlines")

class NoCell:
    pass
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "derived_cells.py").write_text(OWN)


def derive(capsys, *arguments):
    status = main(["derive", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_text_is_the_default(capsys):
    status, out, err = derive(capsys, "lstm")
    assert (status, err) == (0, "")
    assert "    c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t\n" in out
    assert "    δc_t = δc_{t+1} ⊙ f_{t+1} + δh_t ⊙ o_t ⊙ (1 - tanh(c_t)^2)\n" in out


def test_formats_notations_and_options(capsys):
    latex = derive(capsys, "elman", "--notation", "goodfellow", "--format", "latex")[1]
    assert r"\nabla_{W} L &= \sum_{t=1}^{T}" in latex
    assert derive(capsys, "Elman", "--format", "markdown")[1].startswith("**Forward, for t = 1 to T**\n\n$$\n")
    assert "r_t ⊙ (W_hn h_{t-1} + b_hn)" in derive(capsys, "gru", "--set", "reset_after=True")[1]
    assert "h_t = relu(a_t)" in derive(capsys, "elman", "--set", "activation=relu")[1]
    assert "s_t = tanh(a_t)" in derive(capsys, "elman", "--rename", "h=s")[1]


@pytest.mark.parametrize("name", ["derived_cells:Leaky", "derived_cells.py:Leaky"])
def test_a_cell_of_ones_own(capsys, own, name):
    status, out, _ = derive(capsys, name, "--set", "rate=0.5")
    assert status == 0
    assert "∂h_t/∂h_{t-1} = 0.5 I" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lsdm"], "no cell is called 'lsdm'; near it is LSTM"),
        (["stacked"], "derive each of its cells"),
        (["lstm", "--set", "bias=1"], "--set bias: LSTM has no such option; it has input_size, hidden_size"),
        (["lstm", "--set", "bias"], "--set bias: expected NAME=VALUE"),
        (["lstm", "--rename", "=W"], "--rename =W: expected NAME=VALUE"),
        (["lstm", "--notation", "greek"], "expected one of default, goodfellow"),
        (["lstm", "--set", "hidden_size=0"], "hidden_size=0, expected an integer of at least 1"),
        (["derived_cells:NoCell"], "NoCell is not a subclass of tapegrad.cells.Cell"),
        (["derived_cells:Gone"], "cannot import it: AttributeError"),
        (["derived_cells:Picky"], "cell derived_cells:Picky: cannot be made: ValueError: two lines"),
    ],
)
def test_refusals(capsys, own, arguments, message):
    status, out, err = derive(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("tapegrad derive: ")
    assert message in err
    assert err.count("\n") == 1
