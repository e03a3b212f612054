"""The numbers of weights that the papers print, from the networks that give them.

A network is a cell and output units. The papers count each connection once; which units have a bias, and whether the
input is connected to the output units, is in the text of some experiments and was found from the number in others.
Two figures are left out: the 119 to 198 weights of recurrent cascade correlation, which depend on how many units a run
installed, and are given as "about".
"""

import pytest

from tapegrad.cells import LSTM, LSTM1997, LSTM2000, CoupledLSTM, Elman, SigmoidReadout, VanillaLSTM


def network(cell, outputs, output_biases=False, shortcuts=False):
    """A cell and output units that see its output, and the input too where there are shortcuts."""
    seen = cell.output_size + (cell.input_size if shortcuts else 0)
    return cell.parameter_count + outputs * (seen + output_biases)


def test_embedded_reber_grammar():
    """Experiment 1: 7 symbols in and out, biases for the gates alone."""
    assert network(LSTM1997(7, 4, 1, "io"), 7) == 264
    assert network(LSTM1997(7, 3, 2, "io"), 7) == 276


def test_its_rivals():
    """No biases. In the fully recurrent networks every unit, output units too, sees the input and every unit."""
    fully = [Elman(7, hidden + 7) for hidden in (3, 12)]
    assert [cell.parameter_count - cell.hidden_size for cell in fully] == [170, 494]
    elman = Elman(7, 15)
    assert network(elman, 7) - elman.hidden_size == 435


@pytest.mark.parametrize(("p", "weights"), [(50, 364), (100, 664), (200, 1264), (500, 3064), (1000, 6064)])
def test_very_long_time_lags(p, weights):
    """Experiment 2c: p + 4 symbols, 2 output units, two blocks of one cell, no biases at all."""
    assert network(LSTM1997(p + 4, 2, 1, ""), 2) == weights


def test_long_time_lags():
    """Experiment 2a: 101 symbols in and out, one cell with an input gate, no output gate, nothing recurrent, no biases.

    :class:`LSTM1997` always has both gates and a recurrent layer, so this network is counted from parts: the input is
    connected to the output units, to the cell and to its gate, and the cell to the output units.
    """
    symbols = 101
    to_cell_and_gate = 2 * symbols
    assert symbols * symbols + to_cell_and_gate + symbols == 10504
    recurrent = LSTM1997(symbols, 1, 1, "")
    for kept_weights_of_cell_and_gates in (recurrent.parameter_count, recurrent.parameter_count - symbols - 3):
        assert kept_weights_of_cell_and_gates + symbols * (1 + symbols) != 10504


def test_two_sequence_problem():
    """Experiment 3: one input, one output unit; all hidden units have a bias, and the output unit has none."""
    assert network(LSTM1997(1, 3), 1) == 102


@pytest.mark.parametrize(
    ("inputs", "outputs", "blocks", "weights"),
    [
        (2, 1, 2, 93),  # experiments 4 and 5, adding and multiplication
        (8, 4, 2, 156),  # 6a, temporal order with two symbols
        (8, 8, 3, 308),  # 6b, with three
    ],
)
def test_adding_multiplying_and_temporal_order(inputs, outputs, blocks, weights):
    """All units but the inputs have a bias; blocks of two cells."""
    cell = LSTM1997(inputs, blocks, 2)
    assert network(cell, outputs, output_biases=True) == weights
    assert cell.parameter_count + SigmoidReadout(cell.output_size, outputs).parameter_count == weights


def test_continual_embedded_reber_grammar():
    """Gers, Schmidhuber & Cummins 2000: cells without biases, gates and output units with, shortcuts to the outputs."""
    cell = LSTM2000(7, 4, 2)
    assert cell.parameter_count == 8 * 15 + 12 * 16
    assert network(cell, 7, output_biases=True, shortcuts=True) == 424


@pytest.mark.parametrize(
    "wrong",
    [
        network(LSTM1997(7, 4, 1, "ioc"), 7),
        network(LSTM1997(7, 4, 1, "io"), 7, output_biases=True),
        network(LSTM1997(7, 4, 1, "io"), 7, shortcuts=True),
        network(LSTM1997(7, 2, 2, "io"), 7),
        network(LSTM2000(7, 4, 1, "io"), 7),
    ],
)
def test_other_networks_have_other_numbers(wrong):
    assert wrong not in (264, 276, 424)


@pytest.mark.parametrize(("m", "n"), [(1, 100), (28, 100), (128, 128)])
def test_the_descendants_beside_the_lstm(m, n):
    block = n * n + n * m + n
    assert LSTM(m, n).parameter_count == 4 * block
    assert CoupledLSTM(m, n).parameter_count == 3 * block
    counts = {v: VanillaLSTM(m, n, v).parameter_count for v in ("V", "NP", "NIG", "NFG", "NOG", "CIFG", "NOAF", "FGR")}
    assert counts["NP"] == 4 * block
    assert counts["V"] == counts["NOAF"] == 4 * block + 3 * n
    assert counts["NIG"] == counts["NFG"] == counts["NOG"] == counts["CIFG"] == 3 * block + 2 * n
    assert counts["FGR"] == counts["V"] + 9 * n * n
