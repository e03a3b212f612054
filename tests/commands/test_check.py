"""``tapegrad check``."""

import re
import shlex

import pytest

from tapegrad.cli import main

OWN = """
import numpy as np
import tapegrad as tg
from tapegrad.cells import Cell, Input, Parameter, State

class Leaky(Cell):
    input_size: int
    hidden_size: int
    factor: float = 1.0

    def parameters(self):
        return {"U": Parameter((self.input_size, self.hidden_size)), "b": Parameter((self.hidden_size,), init=0.1)}

    def state(self):
        return State((self.hidden_size,))

    def step(self, params, h, x):
        bent = tg.custom_vjp(np.tanh)
        bent.defvjp(lambda g, ans, x: g * self.factor * (1 - ans**2))
        h = 0.5 * h + bent(x @ params["U"]) + params["b"]
        return h, h

class Mixing(Leaky):
    def step(self, params, h, x):
        h = 0.5 * h + np.mean(x @ params["U"], axis=0) + params["b"]
        return h, h

class Typo(Leaky):
    def step(self, params, h, x):
        return h, params["W"]

class Silent(Leaky):
    def inputs(self):
        return None

class Overflowing(Leaky):
    def step(self, params, h, x):
        h = np.exp(1000 + h * h) + x @ params["U"]
        return h, h
"""
QUICK = "tape,sympy,reference,rtrl,differences"


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checked_cells.py").write_text(OWN)


def check(capsys, *arguments):
    status = main(["check", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_a_registered_cell_by_every_oracle(capsys):
    status, out, err = check(capsys, "elman", "--set", "activation=sigmoid")
    assert (status, err) == (0, "")
    assert out.startswith("check_cell: Elman(input_size=3, hidden_size=4, activation='sigmoid'), 5 steps of 3 rows, ")
    assert "all oracles agree\n" in out
    for name in ("tape", "sympy", "reference", "numba", "rtrl", "differences"):
        assert f" {name} " in out


@pytest.mark.parametrize("name", ["checked_cells:Leaky", "checked_cells.py:Leaky"])
def test_a_cell_of_ones_own(capsys, own, name):
    options = ["--oracles", QUICK, "--seed", "3", "--steps", "2", "--batch", "4", "--dtype", "float32"]
    status, out, _ = check(capsys, name, *options)
    assert status == 0
    assert "2 steps of 4 rows, float32, seed 3:\nall oracles agree" in out


def test_several_rounds(capsys, own):
    status, out, _ = check(capsys, "checked_cells:Leaky", "--oracles", "tape,rtrl", "--rounds", "3", "--seed", "5")
    assert status == 0
    assert [f"seed {seed}:\nall" in out for seed in (4, 5, 6, 7, 8)] == [False, True, True, True, False]


def test_a_wrong_cell_fails_and_the_printed_command_fails_again(capsys, own):
    status, out, err = check(capsys, "checked_cells:Leaky", "--set", "factor=1.001", "--oracles", QUICK, "--seed", "2")
    assert status == 1
    assert "pairs of oracles disagree.\nEvaluation alone says otherwise" in out
    assert "    the gradient of params.U, xs\n" in out
    assert re.fullmatch(
        r"tapegrad check: checked_cells:Leaky fails: the gradient of (params\.U|xs): tape, sympy, reference, rtrl "
        r"against differences\n",
        err,
    )
    command = out.split("Repeat it with\n")[1].strip()
    assert command.startswith("tapegrad check checked_cells:Leaky --seed 2 --oracles ")
    assert check(capsys, *shlex.split(command)[2:]) == (status, out, err)


def test_what_does_not_apply_is_said(capsys, own):
    status, out, _ = check(capsys, "checked_cells:Mixing", "--oracles", QUICK)
    assert status == 0
    assert "not used\n    sympy: derive: the step computes across the rows of a batch" in out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["lsdm"], 2, "no cell is called 'lsdm'; give one of Additive, Elman"),
        (["stacked"], 2, "check each of its cells"),
        (["lstm", "--set", "bias=1"], 2, "--set bias: LSTM has no such option"),
        (["lstm", "--oracles", "tape,theano"], 2, "there is no 'theano'; choose from tape, sympy"),
        (["lstm", "--oracles", "tape"], 2, "give at least two"),
        (["checked_cells:Gone"], 2, "cannot import it: AttributeError"),
        (["checked_cells:Typo"], 2, "cell checked_cells:Typo: its step fails: KeyError: 'W'"),
        (["checked_cells:Silent"], 2, "Silent takes any input"),
        (["checked_cells:Mixing", "--oracles", "tape,sympy"], 2, "fewer than two apply: sympy"),
        (["checked_cells:Overflowing"], 1, "are not finite on random data"),
    ],
)
def test_refusals(capsys, own, arguments, status, message):
    found, out, err = check(capsys, *arguments)
    assert (found, out) == (status, "")
    assert err.startswith("tapegrad check: ")
    assert message in err
    assert err.count("\n") == 1
