"""What is refused: status 2, one line on standard error, and nothing changed."""

import re

import numpy as np
import pytest
from safetensors.numpy import save_file

from tapegrad.commands.models import load_model
from tapegrad.training import load_checkpoint, save_checkpoint
from tests.commands.conftest import TEXT, train


def write_files(here):
    """Texts and models that are none."""
    (here / "empty.txt").write_bytes(b"")
    (here / "nul.txt").write_bytes(b"abc\0" * 99)
    (here / "latin.txt").write_bytes("größe".encode("latin-1") * 99)
    (here / "one.txt").write_text("a" * 500)
    (here / "short.txt").write_text("abc")
    (here / "novel.txt").write_text("Call me Ishmael.")
    (here / "folder").mkdir()
    content = (here / "model").read_bytes()
    (here / "cut").write_bytes(content[: len(content) // 2])
    save_file({"w": np.zeros(3)}, here / "foreign")
    save_checkpoint(here / "other_kind", {"w": np.zeros(3)}, {"kind": "something else"})
    config = load_checkpoint(here / "model").config
    arrays = {"params": {"E": np.zeros(3, np.float32)}}
    save_checkpoint(here / "hollow", arrays, config)
    params = load_model(here / "model").params
    save_checkpoint(here / "no_last", {"params": params}, {**config, "best": {"held_out": 1.5, "step": 2}})
    save_checkpoint(here / "odd_best", {"params": params}, {**config, "best": {"held_out": 1.5}})
    save_checkpoint(here / "no_settings", arrays, {**config, "settings": {"cell": "lstm"}})
    save_checkpoint(here / "odd_settings", arrays, {**config, "settings": {**config["settings"], "hidden": -3}})
    save_checkpoint(here / "own", arrays, {**config, "settings": {**config["settings"], "cell": "own_cells:Mine"}})


REFUSED = [
    # texts
    (["train", "--text", "missing.txt"], "cannot read the text 'missing.txt': No such file"),
    (["train", "--text", "folder"], "cannot read the text 'folder'"),
    (["train", "--text", "empty.txt"], "'empty.txt' is empty"),
    (["train", "--text", "text.txt", "empty.txt"], "'empty.txt' is empty"),
    (["train", "--text", "nul.txt"], "'nul.txt' is not text: byte 3 is NUL"),
    (["train", "--text", "latin.txt"], "'latin.txt' is not UTF-8 text: byte 2 is 0xf6"),
    (["train", "--text", "one.txt"], "one character only, 'a'"),
    (["train", "--text", "short.txt"], "3 characters; at least 10"),
    # options
    (train("--hidden", 0), "argument --hidden: 0 is below 1"),
    (train("--hidden", 1_000_000), "--hidden: 1000000 is above 65536"),
    (train("--hidden", 65536, "--layers", 100), "GB to train, the machine has .* smaller"),
    (train("--hidden", "many"), "--hidden: 'many' is not a whole number"),
    (train("--layers", -1), "--layers: -1 is below 1"),
    (train("--batch", 0), "--batch: 0 is below 1"),
    (train("--batch", 5000), "batch 5,000 is too long for 1,620 characters"),
    (train("--sequence", 5000), "sequence length 5,000 is too long for 1,620 characters; at most 1,619 fits"),
    (train("--steps", 0), "--steps: 0 is below 1"),
    (train("--minutes", 0), "--minutes: 0 is not above 0"),
    (train("--minutes", "nan"), "--minutes: nan is not a finite number"),
    (train("--learning-rate", -1), "--learning-rate: -1.0 is below 0"),
    (train("--learning-rate", "x\ny"), r"'x\\ny' is not a number"),
    (train("--clip", 0), "--clip: 0 is not above 0"),
    (train("--seed", -1), "--seed: -1 is below 0"),
    (train("--backend", "abacus"), "abacus"),
    # cells
    (train("--cell", "lstmm"), "cell 'lstmm' is unknown; choose one of .*gru.*lstm.*, or give module:Class"),
    (train("--cell", "nowhere:Cell"), "cell nowhere:Cell: cannot import it: ModuleNotFoundError"),
    (train("--cell", "own_cells:Gone"), "cell own_cells:Gone: cannot import it: AttributeError"),
    (train("--cell", "own_cells:NoCell"), "NoCell is not a subclass of tapegrad.cells.Cell"),
    (train("--cell", "own_cells:Odd"), "expected options input_size and hidden_size"),
    (train("--cell", "own_cells:Broken"), "its step fails on zeros: RuntimeError: two lines"),
    # places to save
    (train("--save", "folder"), "cannot save to 'folder': it is a folder"),
    (train("--save", "no/where"), "cannot save to 'no/where': there is no folder"),
    (train("--save", "novel.txt"), "'novel.txt' exists and is no tapegrad model; not overwritten"),
    (train("--save", "text.txt"), "'text.txt' exists and is no tapegrad model; not overwritten"),
    (train("--save", "foreign"), "'foreign' exists and is no tapegrad model; not overwritten"),
    # resuming
    (["train", "--resume", "missing"], "cannot read the model 'missing': No such file"),
    (["train", "--resume", "cut", "--save", "cut"], "'cut' is not a tapegrad model, or is damaged"),
    (["train", "--resume", "hollow"], "'hollow' lacks an array: params/"),
    (["train", "--resume", "no_last"], "'no_last' lacks an array: last/"),
    (["train", "--resume", "odd_best"], "'odd_best' is damaged: its configuration lacks or misstates 'step'"),
    (["train", "--resume", "model", "--hidden", 9], "--hidden 9: the run in 'model' has 8"),
    (["train", "--resume", "model", "--cell", "elman"], "--cell elman: the model in 'model' has the cell"),
    (
        ["train", "--resume", "model", "--text", "novel.txt"],
        "not the one that the model in 'model' was trained on",
    ),
    (["train", "--resume", "model", "--steps", 3], "--steps 3: the run in 'model' has made 3 already"),
    # models
    (["sample", "--model", "missing"], "cannot read the model 'missing': No such file"),
    (["sample", "--model", "folder"], "cannot read the model 'folder'"),
    (["sample", "--model", "empty.txt"], "'empty.txt' is empty, not a tapegrad model"),
    (["sample", "--model", "novel.txt"], "'novel.txt' is not a tapegrad model, or is damaged"),
    (["sample", "--model", "cut"], "'cut' is not a tapegrad model, or is damaged"),
    (["sample", "--model", "foreign"], "'foreign' is a safetensors file without a tapegrad configuration"),
    (["sample", "--model", "other_kind"], "'other_kind' is no character model but a checkpoint of another kind"),
    (["sample", "--model", "hollow"], "'hollow' lacks an array: params/"),
    (["sample", "--model", "no_settings"], "'no_settings' is damaged: its configuration lacks or misstates 'layers'"),
    (["sample", "--model", "odd_settings"], "'odd_settings' is damaged: its configuration lacks or misstates hidden"),
    (["sample", "--model", "own"], "give --cell own_cells:Mine to let it be imported"),
    (["sample", "--model", "model", "--prompt", "Ün 中\udcff"], r"does not know '\\xdc', '\\u4e2d', '\\udcff':"),
    (["sample", "--model", "model", "--temperature", -1], "--temperature: -1.0 is below 0"),
    (["sample", "--model", "model", "--top-p", 1.5], "--top-p: 1.5 is above 1"),
    (["sample", "--model", "model", "--top-p", 0], "--top-p: 0 is not above 0"),
    (["sample", "--model", "model", "--top-k", 0], "--top-k: 0 is below 1"),
    (["sample", "--model", "model", "--length", -5], "--length: -5 is below 0"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED, ids=[ascii(arguments)[1:60] for arguments, _ in REFUSED])
def test_refusals(program, here, model, arguments, words):
    write_files(here)
    before = {path.name: path.read_bytes() for path in here.iterdir() if path.is_file()}
    status, out, err = program(*arguments)
    assert status == 2
    assert out == ""
    assert re.search(words, err), err
    assert err.count("\n") == 1
    assert err.startswith("tapegrad")
    assert {path.name: path.read_bytes() for path in here.iterdir() if path.is_file()} == before


def test_a_text_that_changed_is_refused(program, here, model):
    (here / "text.txt").write_text(TEXT + "more and more")
    status, _, err = program("train", "--resume", "model", "--steps", 5)
    assert status == 2
    assert "the text is not the one that the model in 'model' was trained on" in err
