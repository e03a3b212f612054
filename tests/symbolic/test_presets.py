"""The letters of books, and cells that use these letters for something else."""

import pytest

from tapegrad.cells import Elman, IndRNN, SoftmaxRNN
from tapegrad.errors import OptionError
from tapegrad.symbolic import PRESETS, Notation, derive


def test_a_letter_that_the_cell_uses_is_not_given_to_something_else():
    """Greff's y is h, and here the output beside h is y; the other letters of the preset are used."""
    found = derive(SoftmaxRNN(2, 3, 4), notation="greff").forward.text()
    assert "h_t = tanh(a_t)" in found
    assert "y_t = softmax(o_t)" in found
    assert "y_t = " in derive(Elman(2, 3), notation="greff").forward.text()


def test_what_keeps_its_name_gives_its_letter_to_nothing():
    """Pascanu's u is the input and x the state; u is a weight here, so the input stays x, and the state h."""
    found = derive(IndRNN(2, 3), notation="pascanu").forward.text()
    assert "h_t = relu(W_in x_t + u ⊙ h_{t-1} + b)" in found


@pytest.mark.parametrize("notation", [PRESETS["greff"], Notation(rename={"h": "y"})])
def test_letters_of_ones_own_are_refused_instead(notation):
    with pytest.raises(OptionError, match="h and y would both be printed as y; rename one of them"):
        derive(SoftmaxRNN(2, 3, 4), notation=notation)
