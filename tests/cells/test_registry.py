"""The registry: what is in it, what it builds, and what it refuses."""

import dataclasses

import numpy as np
import pytest

import tapegrad.cells
from tapegrad.cells import (
    GRU,
    LSTM,
    Cell,
    Elman,
    Layer,
    Linear,
    SigmoidReadout,
    SoftmaxReadout,
    Stacked,
    cells,
    find,
    register,
    registry,
    variants,
)
from tapegrad.cells.readout import Readout
from tapegrad.errors import OptionError


@pytest.fixture
def restored(monkeypatch):
    """Whatever a test registers is forgotten after it."""
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))


def test_the_first_cells_are_registered():
    assert {Elman, GRU, LSTM, Stacked} <= set(cells())
    assert {Linear, SigmoidReadout, SoftmaxReadout} <= set(cells("readout"))
    assert not set(cells()) & set(cells("readout"))


def test_every_public_cell_is_registered():
    public = {value for value in vars(tapegrad.cells).values() if isinstance(value, type) and issubclass(value, Cell)}
    layers = {cls for cls in cells("layer") if issubclass(cls, Cell)}
    assert public - {Cell, Readout} == {*cells(), *cells("readout"), *layers}


def test_every_public_layer_is_registered():
    public = {value for value in vars(tapegrad.cells).values() if isinstance(value, type) and issubclass(value, Layer)}
    assert {cls for cls in public if not issubclass(cls, Cell)} - {Layer} == {
        cls for cls in cells("layer") if not issubclass(cls, Cell)
    }


def test_options_of_the_cells_are_covered():
    built = [variant.build(np.random.default_rng(0)) for variant in variants()]
    assert {cell.activation for cell in built if isinstance(cell, Elman)} == {"tanh", "sigmoid", "relu"}
    assert {cell.reset_after for cell in built if isinstance(cell, GRU)} == {False, True}
    assert len({cell.forget_bias for cell in built if isinstance(cell, LSTM)}) > 1


@pytest.mark.parametrize("variant", variants() + variants("readout"), ids=str)
def test_variants_build_small_cells_of_different_sizes(variant):
    built = [variant.build(np.random.default_rng(seed)) for seed in range(8)]
    assert all(type(cell) is variant.cell for cell in built)
    assert len(set(built)) > 1
    for cell in built:
        assert cell.parameter_count < 500
        sizes = [getattr(cell, field.name) for field in dataclasses.fields(cell) if field.name.endswith("_size")]
        assert len(set(sizes)) == len(sizes)


def test_labels_are_unique():
    labels = [str(variant) for variant in variants() + variants("readout")]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("name", ["GRU", "gru", "Gru"])
def test_find_in_whatever_case(name):
    assert find(name) is GRU


@pytest.mark.usefixtures("restored")
def test_a_class_of_ones_own_enters_every_list():
    @register(variants={"one": {"hidden_size": 1}, "wide": lambda rng: Own(2, 30)})
    class Own(Cell):
        input_size: int
        hidden_size: int

    assert Own in cells()
    assert find("own") is Own
    one, wide = (variant.build(np.random.default_rng(0)) for variant in variants() if variant.cell is Own)
    assert one.hidden_size == 1
    assert wide == Own(2, 30)


@pytest.mark.usefixtures("restored")
def test_a_definition_that_is_run_again_replaces_itself():
    def define():
        @register()
        class Again(Cell):
            hidden_size: int

        return Again

    define()
    second = define()
    assert find("again") is second


@pytest.mark.usefixtures("restored")
def test_another_class_of_the_same_name_is_refused():
    with pytest.raises(OptionError, match=r"name of tapegrad\.cells\.lstm\.lstm\.LSTM already; rename the class"):

        @register()
        class LSTM(Cell):
            hidden_size: int


@pytest.mark.parametrize("name", ["transformer", "", None])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(OptionError, match="Elman, .*GRU, .*LSTM"):
        find(name)


def test_an_unknown_kind_is_refused():
    with pytest.raises(OptionError, match="expected 'cell' or 'readout' or 'layer'"):
        register(kind="network")
    with pytest.raises(OptionError, match="expected 'cell' or 'readout' or 'layer'"):
        variants("readouts")


def test_a_layer_is_no_cell_to_be_found():
    with pytest.raises(OptionError, match="no cell is called 'bidirectional'"):
        find("bidirectional")
