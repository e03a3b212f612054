"""Numbers of parameters that papers print, from the cells that they print them of.

What cannot be derived from a table is said where the table stands.
"""

import math

import pytest

from tapegrad.cells import GRU, GRU1, GRU2, GRU3, GRUD, LSTM, MGU, UGRNN, Elman, FullyRecurrent, IndRNN, Linear, MinGRU

SIZES = [(1, 100), (28, 100), (128, 128), (5, 7)]


def weights(cell):
    """Without biases."""
    return sum(math.prod(p.shape) for p in cell.parameters().values() if len(p.shape) > 1)


# Dey & Salem 2017: MNIST pixel by pixel and row by row, and IMDB behind an embedding. Of the recurrent layer alone.
DEY_SALEM = {
    (1, 100): {GRU: 30600, GRU1: 30400, GRU2: 30200, GRU3: 10400},
    (28, 100): {GRU: 38700, GRU1: 33100, GRU2: 32900, GRU3: 13100},
    (128, 128): {GRU: 98688, GRU1: 65920, GRU2: 65664, GRU3: 33152},
}


@pytest.mark.parametrize(("m", "n"), DEY_SALEM)
@pytest.mark.parametrize("cell", [GRU, GRU1, GRU2, GRU3])
def test_dey_and_salem(cell, m, n):
    assert cell(m, n).parameter_count == DEY_SALEM[m, n][cell]


@pytest.mark.parametrize(("m", "n"), SIZES)
def test_parameters_of_the_gates_of_dey_and_salem(m, n):
    candidate = n * n + n * m + n
    gates = {GRU: 2 * (n * n + n * m + n), GRU1: 2 * (n * n + n), GRU2: 2 * n * n, GRU3: 2 * n}
    for cell, count in gates.items():
        assert cell(m, n).parameter_count == count + candidate


@pytest.mark.parametrize(("m", "n"), SIZES)
def test_blocks(m, n):
    """A block is what computes n numbers from input and state: four in an LSTM, three in a GRU, two in an MGU."""
    block = Elman(m, n).parameter_count
    assert block == n * n + n * m + n
    assert 3 * LSTM(m, n).parameter_count == 4 * GRU(m, n).parameter_count
    for cell, blocks in ((LSTM, 4), (GRU, 3), (MGU, 2), (UGRNN, 2)):
        assert cell(m, n).parameter_count == blocks * block
    # PyTorch's and Keras' GRU: the candidate has two biases.
    assert GRU(m, n, reset_after=True).parameter_count == 3 * block + n
    # GRU-D: the mask is an input beside the series, and what decays has its weights.
    assert GRUD(m, n).parameter_count == 3 * (block + n * m) + (n * m + n) + 2 * m
    assert IndRNN(m, n).parameter_count == n * m + 2 * n


@pytest.mark.parametrize(("expansion", "percent"), [(1, 33), (2, 22), (3, 17), (4, 13)])
def test_min_gru_against_a_gru(expansion, percent):
    """Feng et al. 2024: the share of a GRU's weights that are left where the state is so many times the input."""
    m, n = 60, 60 * expansion
    assert weights(MinGRU(m, n)) == 2 * n * m
    assert round(100 * weights(MinGRU(m, n)) / weights(GRU(m, n))) == percent


# Chung et al. 2014, table 1, in thousands. The numbers are those of the recurrent layer with its biases, without what
# stands behind it, and of an LSTM with three diagonal peepholes, as the paper defines it. The speech models then see 20
# inputs, which are the 20 samples that the paper feeds in, and all three counts follow to the last digit. Of music the
# counts follow for 100 inputs. That number is not in the paper (a piano has 88 keys), and 20,286 for the GRU is printed
# as 20.2, so the table has that count cut off, where it rounds the others.
CHUNG = [
    (20, LSTM, 195, 169.1),
    (20, GRU, 227, 168.9),
    (20, Elman, 400, 168.4),
    (100, LSTM, 36, 19.8),
    (100, GRU, 46, 20.2),
    (100, Elman, 100, 20.1),
]


@pytest.mark.parametrize(("inputs", "cell", "units", "thousands"), CHUNG)
def test_chung(inputs, cell, units, thousands):
    peepholes = 3 * units if cell is LSTM else 0
    count = (cell(inputs, units).parameter_count + peepholes) / 1000
    if (cell, units) == (GRU, 46):
        assert math.floor(10 * count) / 10 == thousands
    else:
        assert round(count, 1) == thousands


@pytest.mark.parametrize("inputs", range(80, 121))
def test_no_number_of_inputs_gives_all_of_chungs_music_models_by_rounding(inputs):
    """What the note on the table says is all that can be said."""
    found = [
        round((cell(inputs, units).parameter_count + (3 * units if cell is LSTM else 0)) / 1000, 1) == thousands
        for m, cell, units, thousands in CHUNG
        if m == 100
    ]
    assert not all(found)
    assert (sum(found) == 2) == (inputs == 100)


# Hochreiter & Schmidhuber 1997, table 1: networks for the embedded Reber grammar, with 7 inputs and 7 outputs. The
# counts of others are given there as approximate; they are those of weights without biases.


@pytest.mark.parametrize(("hidden", "count"), [(3, 170), (12, 494)])
def test_real_time_recurrent_learning_of_smith_and_zipser(hidden, count):
    """Hidden units and outputs are units alike, and each sees all."""
    assert weights(FullyRecurrent(7, hidden + 7, outputs=7)) == count


def test_the_elman_network():
    assert weights(Elman(7, 15)) + weights(Linear(15, 7)) == 435
