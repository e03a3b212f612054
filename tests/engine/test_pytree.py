"""Pytrees: taken apart, put together, compared, named."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import pytree
from tapegrad.errors import StructureError

Point = namedtuple("Point", ["x", "y"])


@dataclass
class Layer:
    w: object
    b: object = None
    more: list = field(default_factory=list)


@dataclass(frozen=True)
class Leaf:
    __pytree_leaf__ = True
    w: float


LEAVES = st.integers() | st.floats(allow_nan=False) | st.text(max_size=2) | st.just(Leaf(1.0))
TREES = st.recursive(
    LEAVES | st.none(),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=2), inner, max_size=3),
        st.dictionaries(st.integers() | st.text(max_size=2), inner, max_size=3),
        st.tuples(inner, inner).map(lambda pair: Point(*pair)),
        st.tuples(inner, inner).map(lambda pair: Layer(*pair)),
    ),
    max_leaves=8,
)


@given(TREES)
def test_what_is_taken_apart_is_put_together(tree):
    leaves, structure = pytree.flatten(tree)
    assert structure.unflatten(leaves) == tree
    assert structure.size == len(leaves) == len(pytree.paths(tree))
    assert pytree.leaves(tree) == leaves
    assert pytree.map(lambda leaf: leaf, tree) == tree
    assert isinstance(repr(structure), str)


@given(TREES, TREES)
def test_structures_are_equal_when_the_containers_are(one, other):
    a, b = pytree.structure(one), pytree.structure(other)
    blank = lambda tree: repr(pytree.structure(tree))  # noqa: E731
    assert a == pytree.structure(pytree.map(lambda leaf: 0, one))
    assert hash(a) == hash(pytree.structure(pytree.map(lambda leaf: 0, one)))
    if a == b:
        assert blank(one) == blank(other)
        assert pytree.map(lambda x, y: y, one, other) == other


def test_paths_are_unique_and_readable():
    tree = {"layers": [Layer(1.0, (2.0, 3.0)), Point(4.0, {"k": 5.0})], "z": Leaf(6.0)}
    assert pytree.paths(tree) == [
        "layers[0].w", "layers[0].b[0]", "layers[0].b[1]", "layers[1].x", "layers[1].y.k", "z",
    ]  # fmt: skip
    assert pytree.paths(3.0) == ["value"]
    assert pytree.paths([None, {}]) == []


def test_containers_keep_their_types():
    tree = [OrderedDict(b=1.0, a=2.0), Point(1.0, 2.0), Layer(3.0), (4.0,)]
    doubled = tg.tree_map(lambda x: 2 * x, tree)
    assert doubled == [{"b": 2.0, "a": 4.0}, Point(2.0, 4.0), Layer(6.0), (8.0,)]
    assert type(doubled[1]) is Point
    assert type(doubled[2]) is Layer


def test_a_dataclass_is_rebuilt_without_its_constructor():
    @dataclass
    class Checked:
        w: object

        def __post_init__(self):
            assert isinstance(self.w, np.ndarray)

    assert isinstance(tg.grad(lambda c: np.sum(c.w))(Checked(np.ones(2))), Checked)


def test_what_does_not_fit_is_refused():
    with pytest.raises(StructureError, match="tree 2 has the structure .*; give trees with the same containers"):
        tg.tree_map(lambda x, y: x, [1.0], (1.0,))
    with pytest.raises(StructureError, match="tree 3"):
        tg.tree_map(lambda *x: x, {"a": 1.0}, {"a": 2.0}, {"b": 1.0})
    structure = pytree.structure([1.0, 2.0])
    for leaves in ([], [1.0], [1.0, 2.0, 3.0]):
        with pytest.raises(StructureError, match=rf"{len(leaves)} leaves came for \[\*, \*\], which holds 2"):
            structure.unflatten(leaves)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [("ShapeError", ValueError), ("DtypeError", TypeError), ("StructureError", ValueError), ("TracingError", TypeError),
     ("UnsupportedPrimitive", NotImplementedError), ("UnsupportedPrimitive", TypeError), ("BackendError", RuntimeError),
     ("NonFiniteError", FloatingPointError), ("OptionError", ValueError), ("FileError", OSError),
     ("MissingLibrary", ImportError)],
)  # fmt: skip
def test_errors_are_those_that_a_numpy_user_catches(error, builtin):
    made = getattr(tg.errors, error)
    assert issubclass(made, builtin)
    assert issubclass(made, tg.errors.TapegradError)
