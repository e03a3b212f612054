"""The program as a whole: its help, its version, and how it starts."""

import subprocess
import sys

import pytest

import tapegrad as tg
from tapegrad.cli import main


def ends(arguments):
    """The exit status of a run that argparse ends."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return end.value.code


def test_version(capsys):
    assert ends(["--version"]) == 0
    assert capsys.readouterr() == (f"tapegrad {tg.__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["sample", "--help"]])
def test_help_says_what_there_is(capsys, arguments):
    assert ends(arguments) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: tapegrad")
    assert "--help" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: COMMAND"),
        (["practise"], "invalid choice: 'practise'"),
        (["train", "--hid", "8"], "unrecognized arguments: --hid 8"),
        (["train", "--hidden"], "argument --hidden: expected one argument"),
        (["sample"], "required: --model"),
    ],
)
def test_a_wrong_command_line_is_one_line(capsys, arguments, words):
    assert ends(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


def test_help_is_fast_and_leaves_heavy_libraries_alone():
    program = (
        "import sys, time; begun = time.perf_counter(); from tapegrad.cli import parser; parser().format_help()\n"
        "print(time.perf_counter() - begun, *sorted({'safetensors', 'tqdm', 'numba', 'sympy'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(3)]
    assert [run[1:] for run in runs] == [[]] * 3
    assert min(float(run[0]) for run in runs) < 1.5


def test_the_package_is_a_program():
    command = [sys.executable, "-m", "tapegrad", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("tapegrad ")
