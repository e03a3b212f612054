"""``tapegrad bench family``: what it prints and writes, and what it refuses."""

import json

import pytest

from tapegrad.benchmarks import roofline
from tapegrad.cli import main


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("tapegrad.benchmarks.timing.PAUSE", 0.0)
    monkeypatch.setattr("tapegrad.benchmarks.timing.SHORT", 0.0)
    monkeypatch.setattr(roofline, "fma_peak", lambda dtype, threads: 4e9)
    monkeypatch.setattr(roofline, "_rate", lambda measured, name, dtype: 1e9)
    monkeypatch.setattr(roofline, "_bandwidth", lambda threads, size: 10.0)


def test_the_command_prints_and_writes(here, tmp_path, capsys):
    path = tmp_path / "figures.json"
    options = ["--quick", "--cells", "Elman[tanh]", "--cell", "own_cells:Mine", "--json", str(path)]
    assert main(["bench", "family", *options]) == 0
    printed = capsys.readouterr().out
    assert "\n    Elman[tanh]     8, 4, 6, 16 " in printed
    assert "\n    own_cells:Mine  8, 4, 6, 16 " in printed
    lines = [line for line in printed.splitlines() if " 8, 4, 6, 16 " in line]
    assert len({line.index(" 8, 4, 6, 16 ") for line in lines}) == 1
    assert printed.count("LSTM's / its") == 1
    first, second = json.loads(path.read_text())["results"]["family"]
    assert (first["cell"], second["cell"]) == ("Elman[tanh]", "own_cells:Mine")
    parts = [first[name] for name in ("products", "functions", "simple", "memory")]
    assert first["roof"] == pytest.approx(sum(parts))
    assert min(parts) > 0


def test_an_unknown_cell_is_refused(capsys):
    assert main(["bench", "family", "--cells", "LSTN"]) == 2
    assert "--cells LSTN: unknown; choose from" in capsys.readouterr().err


def test_a_row_is_printed_when_it_is_measured(monkeypatch, capsys):
    from tapegrad.benchmarks import family

    printed, measure = [], family.measure

    def watched(*args):
        printed.append(capsys.readouterr().out)
        return measure(*args)

    monkeypatch.setattr(family, "measure", watched)
    assert main(["bench", "family", "--quick", "--cells", "Elman[tanh],Elman[relu]"]) == 0
    assert "Elman[tanh]" not in printed[0]
    assert "Elman[tanh]" in printed[1]
    assert "Elman[relu]" in capsys.readouterr().out
