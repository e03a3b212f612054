"""``tapegrad cells``."""

import json

import pytest

from tapegrad.cells import cells, registry
from tapegrad.cli import main
from tapegrad.commands.cells import cut
from tapegrad.commands.family import Member, family
from tests.commands.test_derive import own  # noqa: F401 - a fixture

EVERY = pytest.mark.parametrize("member", family(), ids=lambda member: member.name)


def listed(capsys, *arguments):
    status = main(["cells", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_table_has_every_cell_and_fits(capsys):
    status, out, err = listed(capsys)
    assert (status, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 100
    named = [line.split()[0] for line in out.splitlines() if line.startswith("  ") and line[2] != " "]
    assert sorted(named) == sorted(cls.__name__ for kind in registry.KINDS for cls in cells(kind))
    assert "LSTM" in named
    assert "  4(n^2 + mn + n) " in out
    assert " 1997  Hochreiter & Schmidhuber 1997" in out
    assert "      c_t = f_t * c_{t-1} + i_t * g_t; h_t = o_t * tanh(c_t)\n" in out


def test_what_does_not_fit_ends_with_a_whole_word_and_leaves_no_room(capsys):
    lines = {line.split()[0]: line for line in listed(capsys)[1].splitlines() if line[:3].strip() and line[0] == " "}
    cut_off = 0
    for member in family():
        line = lines.get(member.name, "")
        if line.endswith("..."):
            kept = line[line.index(f" {member.year}  ") + 7 : -3]
            assert member.source.startswith(kept)
            rest = member.source[len(kept) :]
            assert not rest[0].isalnum()
            word = next(word for word in rest.split() if word[0].isalnum())
            assert len(line) + len(word) + 3 > 100
            cut_off += 1
    assert cut_off


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (30, "one, two & three words"),
        (21, "one, two & three..."),
        (14, "one, two..."),
        (11, "one, two..."),
        (10, "one..."),
    ],
)
def test_cut(width, text):
    assert cut("one, two & three words", width) == text


@EVERY
def test_of_every_cell_there_is_something_to_say(capsys, member):
    assert member.year is not None
    assert member.source
    assert member.formula()
    assert member.equations
    out = listed(capsys, member.name.lower())[1]
    assert out.startswith(f"{member.name}: {member.summary}\n")
    for line in member.equations:
        assert f"    {line}".rstrip() in out
    for label in member.ways:
        for name, shape, init in member.parameters(label):
            assert name in out
            assert shape in out
            assert init in out


def test_one_cell(capsys):
    out = listed(capsys, "gru")[1]
    assert "\noption      input_size (m)\n" in out
    assert "\noption      reset_after = False\n" in out
    assert "\nstate       (n,), 0 at first\n" in out
    assert "\nparameters of reset_before: 3(n^2 + mn + n)\n    W_hn            (n, n)          orthogonal\n" in out
    assert "\nparameters of reset_after: 3n^2 + 3mn + 4n\n    b_hn            (n,)            zeros\n" in out


def test_json(capsys):
    every = json.loads(listed(capsys, "--json")[1])
    (lstm,) = [cell for cell in every if cell["name"] == "LSTM"]
    assert lstm == json.loads(listed(capsys, "LSTM", "--json")[1])
    assert (lstm["year"], lstm["letters"]) == (1997, {"input_size": "m", "hidden_size": "n"})
    assert lstm["variants"][""]["parameters"] == "4(n^2 + mn + n)"
    assert {"name": "W_xi", "shape": "(m, n)", "init": "glorot_uniform"} in lstm["variants"][""]["arrays"]
    assert lstm["options"]["forget_bias"] == "1.0"


@pytest.mark.parametrize("module", ["derived_cells", "derived_cells.py"])
def test_a_module_of_ones_own(capsys, own, module):  # noqa: F811
    status, out, _ = listed(capsys, module)
    assert status == 0
    assert "  Leaky  mn" in out
    assert "  Picky  ?" in out, "it cannot be made, and is listed all the same"
    assert listed(capsys, f"{module}:Leaky")[1].startswith("Leaky: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lsdm"], "no cell is called 'lsdm'; near it is LSTM; `tapegrad cells` lists them all"),
        (["zzz"], "no cell is called 'zzz'; give one of "),
        (["gone.cells"], "cannot import it: ModuleNotFoundError"),
        (["json"], "cells json: it has no cells"),
        (["derived_cells:Gone"], "cannot import it: AttributeError"),
        (["derived_cells:NoCell"], "NoCell is not a subclass"),
    ],
)
def test_refusals(capsys, own, arguments, message):  # noqa: F811
    status, out, err = listed(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("tapegrad cells: ")
    assert message in err
    assert err.count("\n") == 1


def test_equations_are_the_docstrings_block_or_its_first_equation():
    class Block:
        """A cell.

        ::

            a_t = x_t W      said of it

            h_t = a_t + b
            c_t = h_t
            h_t = a_t - b    the other way round

        More text, d = 3.
        """

    class Inline:
        """A unit h_t = tanh(x_t): the simplest. Its e = 4."""

    class Bare(Inline):
        pass

    block, inline, bare = (Member(cls, "", {}) for cls in (Block, Inline, Bare))
    assert block.equations == [
        "a_t = x_t W      said of it", "", "h_t = a_t + b", "c_t = h_t", "h_t = a_t - b    the other way round",
    ]  # fmt: skip
    assert [block.line(width) for width in (8, 9, 24, 37)] == [
        "", "c_t = h_t", "h_t = a_t + b; c_t = h_t", "a_t = x_t W; h_t = a_t + b; c_t = h_t"
    ]  # fmt: skip
    assert inline.equations == bare.equations == ["h_t = tanh(x_t)"]
