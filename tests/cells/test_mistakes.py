"""Mistakes that users of networks make: each is refused by name, with what came, what was expected and the remedy."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import (
    GRU,
    GRUD,
    LSTM,
    Bidirectional,
    Cell,
    CoupledLSTM,
    Dropout,
    Feedback,
    FullyRecurrent,
    IndRNN,
    Jordan,
    Linear,
    RecurrentDropoutLSTM,
    Sampled,
    Sequential,
    Stacked,
    Zoneout,
    observations,
)
from tapegrad.errors import OptionError, ShapeError, StructureError, TracingError

XS = np.zeros((5, 2, 3), np.float32)
BOTH = Bidirectional(GRU(3, 4), GRU(3, 4))
RNG = np.random.default_rng(0)


def call(layer, xs=XS, **options):
    return layer(layer.init(np.random.default_rng(0)), xs, **options)


# ---- options ----


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LSTM(2, 3, "one"), "LSTM: forget_bias='one', expected a number"),
        (lambda: LSTM(2, 3, None), "LSTM: forget_bias=None, expected a number"),
        (lambda: CoupledLSTM(2, 3, (1.0, 2.0)), r"CoupledLSTM: forget_bias=\(1.0, 2.0\), expected a number"),
        (lambda: Jordan(2, 3, 1, mu="0.5"), "Jordan: mu='0.5', expected a number"),
        (lambda: Jordan(2, 3, 1, mu=True), "Jordan: mu=True, expected a number"),
        (lambda: IndRNN(2, 3, steps="10"), "IndRNN: steps='10', expected an integer or None"),
        (lambda: FullyRecurrent(2, 3, outputs="2"), "FullyRecurrent: outputs='2', expected an integer or None"),
        (lambda: FullyRecurrent(2, 3, outputs=2.5), "outputs=2.5, expected an integer or None"),
        (lambda: FullyRecurrent(2, 3, outputs=True), "outputs=True, expected an integer or None"),
        (lambda: GRUD(3, 4, ("a", "b", "c")), r"GRUD: means=\('a', 'b', 'c'\), expected 3 numbers"),
        (lambda: observations(["a", "b"], np.zeros((2, 1, 3))), r"observations: times=\['a', 'b'\], expected numbers"),
        (lambda: Feedback(GRU(4, 4), 3, feed=Sampled), r"feed=<class .*expected a function.*instance such as Sampled"),
    ],
)
def test_options(make, words):
    with pytest.raises(OptionError, match=words):
        make()


class Decaying(Cell):
    rate: float = 0.5
    count: "int | None" = None
    shift: float = None


def test_options_that_are_numbers_become_those_of_python():
    """An np.float64 among them would make float64 of a state in float32."""
    cell = Decaying(np.float64(0.25), np.int64(3))
    assert (type(cell.rate), type(cell.count), cell.shift) == (float, int, None)
    assert cell == Decaying(0.25, 3)
    assert Decaying(1).rate == 1
    layer = Jordan(3, 4, 2, mu=np.float64(0.5))
    assert call(layer)[1].dtype == np.float32


# ---- parts ----


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Stacked((LSTM, LSTM)), "layer 0 is <class .*expected a cell such as .*, made with its sizes"),
        (lambda: Bidirectional(LSTM, LSTM), "forward is <class .*expected a cell or layer such as .* with its sizes"),
        (lambda: Stacked(LSTM(3, 4), LSTM(4, 4)), r"expected a tuple of at least one cell, such as Stacked\(\(LSTM\("),
        (lambda: Sequential(LSTM(3, 4)), r"expected a tuple of at least one layer, such as Sequential\(\(LSTM\("),
        (lambda: Stacked((BOTH, GRU(8, 4))), "layer 0 is Bidirectional.*that are no cells, as this one, go into a Seq"),
    ],
)
def test_parts(make, words):
    with pytest.raises(OptionError, match=words):
        make()


# ---- noise ----


@pytest.mark.parametrize(
    "layer",
    [Zoneout(LSTM(3, 4)), RecurrentDropoutLSTM(3, 4), Stacked((LSTM(3, 4), Dropout(4))),
     Sequential((GRU(3, 4), Dropout(4))), Bidirectional(Zoneout(GRU(3, 4)), GRU(3, 4))],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_noise_that_is_forgotten_or_of_another_size(layer):
    with pytest.raises(StructureError, match=r"\(xs, noise\).*noise\(rng, steps, batch\).*training=False"):
        call(layer)
    with pytest.raises(StructureError, match=r"noise\(rng, steps, batch\)"):
        call(layer, (XS, [0.0, (XS, XS, XS)]))
    with pytest.raises(ShapeError, match=r"\(5, 3, 4\), the first of xs has \(T, B\) = \(5, 2\).*noise\(rng, 5, 2\)"):
        call(layer, (XS, layer.noise(RNG, 5, 3)))


@pytest.mark.parametrize("layer", [Sequential((GRU(3, 4), Dropout(4))), Bidirectional(Zoneout(GRU(3, 4)), GRU(3, 4))])
def test_noise_of_another_number_of_parts(layer):
    noise = layer.noise(RNG, 5, 2)
    for other in (None, noise[:1], (*noise, None), XS):
        with pytest.raises(StructureError, match="the noise has the structure .*expected a tuple .*of 2 parts; draw"):
            call(layer, (XS, other))


def test_noise_for_a_cell_that_takes_none():
    with pytest.raises(StructureError, match="it takes no noise: give the first of the pair alone"):
        call(LSTM(3, 4), (XS, None))


def test_samples_of_another_number_of_classes():
    layer = Feedback(Stacked((GRU(5, 4), Linear(4, 5))), 3, feed=Sampled(4))
    with pytest.raises(ShapeError, match=r"Sampled\(size=4.*logits have shape \(2, 5\), expected \(B, 4\); write"):
        call(layer, (np.zeros((1, 2, 5), np.float32), layer.noise(RNG, 1, 2)))


# ---- inputs and masks ----


@pytest.mark.parametrize("cell", [GRUD(3, 4), FullyRecurrent(3, 4, teacher_forcing=True)], ids=["GRUD", "forcing"])
def test_an_array_in_the_place_of_a_dict(cell):
    keys = ", ".join(sorted(cell.inputs()))
    with pytest.raises(StructureError, match=rf"give a dict of arrays \(T, B, ...\) with the keys {keys}"):
        call(cell)


@pytest.mark.parametrize("layer", [LSTM(3, 4), BOTH, Sequential((BOTH, GRU(8, 2)))], ids=["cell", "both", "sequence"])
def test_resets_of_every_layer(layer):
    mask = np.random.default_rng(0).random((5, 2)) < 0.5
    for wrong in (True, mask[0], mask[:, 0], mask.astype(int)):
        with pytest.raises(ShapeError, match=r"reset= has the shape .* give booleans of the shape \(5, 2\)"):
            call(layer, reset=wrong)
    with pytest.raises(TracingError, match="reset= is a traced value; give a plain array"):
        tg.grad(lambda xs: np.sum(call(layer, xs, reset=xs[:, :, 0] > 0)[1]))(XS)
    listed, array = call(layer, reset=mask.tolist()), call(layer, reset=mask)
    np.testing.assert_array_equal(listed[1], array[1])
