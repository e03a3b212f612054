"""Every primitive has a row, and every row a primitive."""

from tests.specs import PRIMITIVES, SPECS


def test_every_primitive_has_a_row():
    missing = sorted(set(PRIMITIVES) - set(SPECS))
    assert not missing, f"tests/specs.py has no row for {missing}: add one to the table of the family"


def test_every_row_has_a_primitive():
    assert not set(SPECS) - set(PRIMITIVES)


def test_there_are_about_sixty():
    """Besides those that SciPy computes, of which each needs a row of its own."""
    own = [name for name, primitive in PRIMITIVES.items() if primitive.family != "special"]
    assert len(own) <= 67, "a new NumPy function should be a composition of the primitives that there are"


def test_a_primitive_without_derivative_says_so():
    for name, row in SPECS.items():
        if row.order:
            assert PRIMITIVES[name].differentiable, name
