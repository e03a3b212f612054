"""Every property of every primitive, on calls that are drawn once for all properties of a row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.primitives.__main__ import table
from tests.primitives.flat import FlatCall
from tests.primitives.properties import PROPERTIES, Property, properties_of
from tests.specs import SPECS


@pytest.mark.parametrize("spec", SPECS.values(), ids=str)
@given(st.data())
def test_every_property(spec, data):
    call = data.draw(spec.calls)
    for made in properties_of(spec):
        try:
            made.holds(spec, FlatCall(spec, call), data)
        except Exception as error:
            error.add_note(f"The property: {made}, of {spec}")
            raise


def test_every_row_is_held_to_every_property_that_applies():
    """Those of all rows; and either those of derivatives, or that there is none."""
    always = [p for p in PROPERTIES if all(map(p.applies, SPECS.values()))]
    assert len(always) >= 5
    for spec in SPECS.values():
        found = properties_of(spec)
        assert set(always) < set(found)
        names = [p.holds.__name__ for p in found]
        assert ("derivatives_of_both_orders_in_both_modes" in names) == (spec.order > 0)
        assert ("without_a_derivative_the_gradient_is_zero" in names) == (spec.order == 0)


def test_a_property_that_fails_is_named(monkeypatch):
    def fails(spec, flat, data):
        raise AssertionError("as it should")

    monkeypatch.setattr("tests.primitives.properties.PROPERTIES", [Property(fails, lambda spec: True)])
    with pytest.raises(AssertionError, match="as it should") as raised:
        test_every_property(SPECS["tanh"])
    assert "The property: fails, of tanh" in raised.value.__notes__


def test_the_table_counts_them():
    text = table()
    assert f"{sum(len(properties_of(spec)) for spec in SPECS.values())} pairs" in text
    assert all(str(p) in text for p in PROPERTIES)
