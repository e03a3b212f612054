"""Every primitive has a row, and every row a primitive."""

from collections import Counter

from tests.specs import PRIMITIVES, SPECS


def test_every_primitive_has_a_row():
    missing = sorted(set(PRIMITIVES) - set(SPECS))
    assert not missing, f"tests/specs.py has no row for {missing}: add one to the table of the family"


def test_every_row_has_a_primitive():
    assert not set(SPECS) - set(PRIMITIVES)


def test_there_are_about_sixty():
    """Sixty for the equations of cells, nine of linear algebra, whose results no composition gives in O(n^3).

    And those that SciPy computes, of which each needs a row of its own.
    """
    by_family = Counter(primitive.family for primitive in PRIMITIVES.values() if primitive.family != "special")
    linear = by_family.pop("linalg")
    assert by_family.total() <= 67, "a new NumPy function should be a composition of the primitives that there are"
    assert linear <= 9, "as inv is solve, and eigvalsh is eigh"


def test_a_primitive_without_derivative_says_so():
    for name, row in SPECS.items():
        if row.order:
            assert PRIMITIVES[name].differentiable, name
