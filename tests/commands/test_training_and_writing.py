"""What ``train`` and ``sample`` print."""

import re

import pytest

from tests.commands.conftest import TEXT, train


def test_training_prints_losses_speed_and_a_sample(program):
    status, out, err = program(*train("--steps", 6, "--evaluate-every", 2))
    assert (status, err) == (0, "")
    assert re.search(r"text: 1,620 characters for training, 180 held out, 29 different", out)
    assert len(re.findall(r"^step +\d+ +training \d\.\d{3} +held out \d\.\d{3} bits per character", out, re.M)) == 3
    result = re.search(
        r"held out after 6 steps: (\S+) bits per character; "
        r"Witten-Bell, one character of context: (\S+), three: (\S+) +\(\S+ characters/s\)",
        out,
    )
    ours, one, three = map(float, result.groups())
    assert 0 < three < one < ours < 6
    assert len(out.split("written by the model")[1].split(":\n\n")[1]) == 21


def test_quiet_prints_the_result_only(program):
    status, out, err = program(*train("--steps", 2, "--quiet"))
    assert (status, err, out.count("\n")) == (0, "", 1)
    assert out.startswith("held out after 2 steps")


def test_unknown_characters_are_told(program, here):
    (here / "text.txt").write_text(TEXT + "é" * 50)
    assert "; 50 of those held out count as unknown" in program(*train("--steps", 1))[1]


def test_a_seed_reproduces_everything(program):
    runs = [re.sub(r"\S+ characters/s", "", program(*train("--steps", 4, "--evaluate-every", 1))[1]) for _ in range(2)]
    assert runs[0] == runs[1]
    assert re.sub(r"\S+ characters/s", "", program(*train("--steps", 4, "--seed", 4))[1]) != runs[0]


def test_it_learns(program):
    *_, out, _ = program(*train("--steps", 200, "--hidden", 32, "--learning-rate", 0.01, "--quiet"))
    ours, one, _ = (float(x) for x in re.findall(r"(\d\.\d{3})", out))
    assert ours < one - 0.5


@pytest.mark.parametrize("cell", ["lstm", "GRU", "elman", "own_cells:Mine"])
def test_cells_layers_saving_and_writing(program, here, cell):
    assert program(*train("--cell", cell, "--layers", 2, "--steps", 2, "--save", "m"))[0] == 0
    own = ["--cell", cell] if ":" in cell else []
    status, out, err = program("sample", "--model", "m", "--prompt", "the ", "--length", 30, "--seed", 1, *own)
    assert (status, err) == (0, "")
    assert out.startswith("the ")
    assert len(out) == 4 + 30 + 1
    assert program("sample", "--model", "m", "--prompt", "the ", "--length", 30, "--seed", 1, *own)[1] == out


def test_a_prompt_with_line_ends_and_no_prompt(program, model):
    assert program("sample", "--model", model, "--prompt", "dog.\n", "--length", 0)[1] == "dog.\n\n"
    assert len(program("sample", "--model", model, "--length", 5)[1]) == 6


def test_filters_reach_the_sampler(program, model):
    greedy = program("sample", "--model", model, "--temperature", 0)
    assert greedy == program("sample", "--model", model, "--top-k", 1)
    assert greedy == program("sample", "--model", model, "--top-p", 1e-9)
    assert greedy != program("sample", "--model", model, "--seed", 5)
