"""A run that is stopped, goes on, fails on the way, or loses its reader."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tapegrad.training import load_checkpoint
from tapegrad.training.char_model import CharModel
from tests.commands.conftest import train


def start(*arguments, **options):
    command = [sys.executable, "-m", "tapegrad", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_interrupted_and_resumed_is_as_never_interrupted(here):
    saving = train("--minutes", 5, "--evaluate-every", 10, "--save", "part")
    process = start(*saving, cwd=here)
    wait_for((here / "part").exists)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    step = int(
        re.fullmatch(r"tapegrad train: stopped at step (\d+); part holds step \1, go on with --resume part\n", err)[1]
    )
    assert load_checkpoint(here / "part").config["step"] == step

    more = "--steps", step + 7, "--evaluate-every", 10, "--sample", 20
    rest = start("train", "--resume", "part", "--save", "part", *more, cwd=here)
    whole = start(*train("--save", "whole", *more), cwd=here)
    (rest_out, rest_err), (whole_out, _) = rest.communicate(timeout=60), whole.communicate(timeout=60)
    assert (rest.returncode, rest_err) == (0, "")
    assert f"going on after step {step:,}" in rest_out
    assert rest_out.split("written by the model")[1] == whole_out.split("written by the model")[1]
    assert_same_run(here / "part", here / "whole")


def assert_same_run(a, b):
    a, b = load_checkpoint(a), load_checkpoint(b)
    assert a.config == b.config
    assert a.arrays.keys() == b.arrays.keys()
    assert all(a.arrays[name].tobytes() == b.arrays[name].tobytes() for name in a.arrays)


@pytest.mark.parametrize("cell", ["lstm", "own_cells:Mine"])
def test_resumed_in_parts_is_bit_for_bit_one_run(program, here, cell):
    program(*train("--cell", cell, "--steps", 9, "--save", "whole", "--evaluate-every", 2))
    program(*train("--cell", cell, "--steps", 2, "--save", "part"))
    for steps in (5, 9):
        assert program("train", "--resume", "part", "--cell", cell, "--steps", steps, "--save", "part")[0] == 0
    assert_same_run(here / "part", here / "whole")


@pytest.fixture
def judged(monkeypatch):
    """Let evaluations give certain values: best after 4 steps."""
    values = {2: 5.0, 4: 1.5, 6: 3.0, 8: 2.0}

    def judge(steps):
        left = [values[step] for step in steps]
        monkeypatch.setattr(CharModel, "bits_per_character", lambda *_, **__: left.pop(0))

    return judge


def test_the_best_parameters_are_the_model_and_training_goes_on_from_the_last(program, judged):
    often, written = ("--learning-rate", 0.3, "--evaluate-every", 2), []
    for name, steps in {"four": (2, 4), "six": (2, 4, 6), "eight": (2, 4, 6, 8)}.items():
        judged(steps)
        status, out, _ = program(*train("--steps", steps[-1], "--save", name, *often))
        assert status == 0
        written.append(out.split("written by the model")[1])
    assert re.search("^the best on the held-out text: what there was after 4 steps, which is kept$", out, re.M)
    assert "\nheld out after 4 of 8 steps: 1.500 bits per character; " in out
    four, six, eight = map(load_checkpoint, ("four", "six", "eight"))
    assert not any(key.startswith("last/") for key in four.arrays), "the best is the last"
    for key in four.arrays:
        if key.startswith("params/"):
            last = key.replace("params/", "last/")
            assert four.arrays[key].tobytes() == six.arrays[key].tobytes() != six.arrays[last].tobytes()
    greedy = ["sample", "--temperature", 0, "--length", 40, "--model"]
    assert program(*greedy, "six") == program(*greedy, "four")
    judged([8])
    status, rest, _ = program("train", "--resume", "six", "--steps", 8, "--save", "six", "--sample", 20)
    assert (status, "held out after 4 of 8 steps: 1.500" in rest) == (0, True)
    assert {*written} == {rest.split("written by the model")[1]}
    assert_same_run("six", "eight")


def test_what_a_resumed_run_may_change(program, model):
    assert (
        program("train", "--resume", model, "--steps", 5, "--learning-rate", 0.1, "--save", "other", "--quiet")[0] == 0
    )
    assert load_checkpoint("other").config["settings"]["learning_rate"] == 0.1
    assert load_checkpoint(model).config["step"] == 3


def test_a_reader_that_goes_away_is_no_error(here, model):
    process = start("sample", "--model", "model", "--length", 100_000, cwd=here)
    assert process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) == 0


def test_a_terminal_that_cannot_show_the_text(program, here):
    (here / "text.txt").write_text("größe " * 200, encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = start(*train("--steps", 2, "--save", "m"), cwd=here, env=environment)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "?" in out


def test_a_run_that_diverges_says_where_and_what_is_kept(program, here):
    diverging = train("--cell", "own_cells:Exploding", "--steps", 100, "--evaluate-every", 5, "--save", "m")
    status, _, err = program(*diverging)
    assert status == 1
    words = r"tapegrad train: fit: step \d+: .*--learning-rate, --clip\); m holds step (\d+), go on with --resume m\n"
    assert load_checkpoint("m").config["step"] == int(re.fullmatch(words, err)[1]) > 0


def test_a_disk_that_fills_up_during_training(program, here, monkeypatch):
    (here / "gone").mkdir()
    from tapegrad.training import checkpoints

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.os, "fsync", fail)
    status, _, err = program(*train("--steps", 2, "--save", "gone/model"))
    assert status == 2
    assert re.search("tapegrad train: cannot save to .*gone/model': No space left on device", err)
    assert os.listdir(here / "gone") == []
