"""Traps in arrays, and pytrees: what is drawn, what it shrinks to, and that it finds the faults it is made for."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given

import tapegrad as tg
from tapegrad import pytree
from tapegrad.errors import OptionError
from tapegrad.testing import arrays, pytrees
from tapegrad.testing.random_trees import Frozen, Gates, Layer
from tapegrad.testing.traps import KINDS
from tests.meta.test_strategies import reached, simplest

SMALLEST = {dtype: np.finfo(dtype).tiny for dtype in (np.float32, np.float64)}


# ---- traps
FOUND = {
    "ties": lambda x: len(np.unique(x)) < x.size,
    "zeros": lambda x: (x == 0).any(),
    "integers": lambda x: (x == np.rint(x)).any(),
    "tiny": lambda x: (np.abs(x) == SMALLEST[x.dtype.type]).any(),
    "huge": lambda x: (np.abs(x) == np.finfo(x.dtype).max).any(),
    "denormals": lambda x: ((x != 0) & (np.abs(x) < SMALLEST[x.dtype.type])).any(),
    "infinities": lambda x: np.isinf(x).any(),
    "nan": lambda x: np.isnan(x).any(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_trap_is_drawn_alone_and_among_all(kind, dtype):
    assert reached(arrays((3,), dtype=dtype, traps=True), FOUND[kind]).dtype == dtype
    reached(arrays((3,), dtype=dtype, traps=(kind,)), FOUND[kind])


@given(arrays((4,), low=0.1, traps=("infinities",)))
def test_only_the_kinds_that_were_asked_for(x):
    assert not any(FOUND[kind](x) for kind in ("zeros", "tiny", "huge", "denormals", "nan"))


def test_negative_zero_is_drawn():
    reached(arrays((2,), traps=("zeros",)), lambda x: ((x == 0) & np.signbit(x)).any())


def test_arrays_without_traps_are_what_they_were():
    """The seed alone decides."""
    x = simplest(arrays((2, 2)))
    np.testing.assert_array_equal(x, np.random.default_rng(0).uniform(-2.0, 2.0, (2, 2)))
    np.testing.assert_array_equal(simplest(arrays((2, 2), traps=True)), x)
    np.testing.assert_array_equal(simplest(arrays((2, 2), traps=())), x)


@pytest.mark.parametrize(
    ("breaks", "kind", "count"),
    [
        (lambda x: ~np.isfinite(np.log(x * x)), "zeros", 1),
        (lambda x: np.isnan(np.sin(x)), "infinities", 1),
        (lambda x: np.sign(np.sort(x)[1:] - np.sort(x)[:-1]) == 0, "ties", 2),
        (lambda x: np.isinf(np.float64(2.0) * x) & np.isfinite(x), "huge", 1),
    ],
)
def test_what_fails_shrinks_to_the_trap_that_it_needs(breaks, kind, count):
    """The rest of the array is that of the simplest seed."""
    with np.errstate(all="ignore"):
        x = simplest(arrays((4,), traps=True), lambda x: breaks(x).any())
    plain = np.random.default_rng(0).uniform(-2.0, 2.0, 4)
    assert FOUND[kind](x)
    assert (x != plain).sum() == 1


def test_a_layout_keeps_its_traps():
    x = reached(arrays((2, 2), traps=("nan",), layouts=("strided",)), lambda x: np.isnan(x).any())
    assert x.strides[1] == 16


@pytest.mark.parametrize(("dtype", "ends"), [(np.int8, {-128, 127}), (np.uint16, {0, 65535})])
def test_traps_of_integers(dtype, ends):
    for end in ends:
        assert reached(arrays((3,), dtype=dtype, low=1, high=5, traps=True), lambda x, e=end: e in x).dtype == dtype
    assert simplest(arrays((3,), dtype=bool, traps=True)).dtype == bool


def test_an_unknown_trap():
    with pytest.raises(OptionError, match="there is no 'nans'; choose from ties, zeros"):
        simplest(arrays((3,), traps=("nans",)))


def test_a_rule_that_breaks_at_a_trap_is_found():
    """A derivative with 0 / 0 at zero, planted: general arrays miss it."""
    rule = tg.custom_vjp(lambda x: x * x)
    rule.defvjp(lambda g, ans, x: g * 2.0 * x * x / x)

    def broken(x):
        with np.errstate(all="ignore"):
            return not np.isfinite(tg.grad(lambda x: np.sum(rule(x)))(x)).all()

    assert 0.0 in simplest(arrays(traps=("zeros",)), broken).ravel()
    with pytest.raises(Exception, match="NoSuchExample|No examples"):
        simplest(arrays(), broken)


# ---- pytrees
def containers(tree):
    """All containers of a tree, with itself."""
    found = [tree]
    if isinstance(tree, dict):
        tree = list(tree.values())
    elif dataclasses.is_dataclass(tree):
        tree = [getattr(tree, field.name) for field in dataclasses.fields(tree)]
    if isinstance(tree, (list, tuple)):
        found += [inner for part in tree for inner in containers(part)]
    return found


KINDS_OF_TREES = {
    "dict": lambda part: isinstance(part, dict) and part,
    "list": lambda part: isinstance(part, list) and part,
    "tuple": lambda part: type(part) is tuple and part,
    "namedtuple": lambda part: isinstance(part, Gates),
    "dataclass": lambda part: isinstance(part, Layer),
    "frozen dataclass": lambda part: isinstance(part, Frozen),
    "None": lambda part: part is None,
    "float": lambda part: type(part) is float,
    "empty": lambda part: isinstance(part, (list, tuple, dict)) and not part,
    "unsorted keys": lambda part: isinstance(part, dict) and list(part) != sorted(part),
}


@pytest.mark.parametrize("kind", KINDS_OF_TREES)
def test_every_container_is_drawn(kind):
    reached(pytrees(), lambda tree: any(KINDS_OF_TREES[kind](part) for part in containers(tree)))


def test_trees_are_nested():
    reached(pytrees(), lambda tree: max(path.count("[") + path.count(".") for path in pytree.paths(tree)) >= 3)


@given(pytrees(max_leaves=4, min_leaves=2))
def test_the_number_of_leaves(tree):
    leaves = tg.tree_leaves(tree)
    assert 2 <= len(leaves) <= 4
    assert all(isinstance(leaf, (np.ndarray, float)) for leaf in leaves)


def test_trees_shrink_to_a_bare_leaf():
    leaf = simplest(pytrees())
    assert isinstance(leaf, np.ndarray)
    assert leaf.shape == ()
    pair = simplest(pytrees(arrays((2,))), lambda tree: len(tg.tree_leaves(tree)) == 2)
    assert max(map(str.count, pytree.paths(pair), "[.")) <= 1, "no deeper than it needs to be"
    assert simplest(pytrees(min_leaves=0), lambda tree: not tg.tree_leaves(tree)) is None


def test_kinds_on_request():
    @given(pytrees(kinds=("list", "dict")))
    def only_these(tree):
        assert all(type(part) in (list, dict, np.ndarray) for part in containers(tree))

    only_these()
    assert type(simplest(pytrees(kinds=("tuple",)), lambda tree: not isinstance(tree, np.ndarray))) is tuple
    with pytest.raises(OptionError, match="there is no 'lists'; choose from dict, list"):
        simplest(pytrees(kinds=("lists",)))


@pytest.mark.parametrize(
    ("doubled", "kind"),
    [
        (lambda tree: type(tree)([2 * leaf for leaf in tree]), Gates),
        (lambda tree: dict(zip(sorted(tree), [2 * tree[key] for key in tree], strict=True)), dict),
    ],
    ids=["a namedtuple taken for a tuple", "keys taken for sorted"],
)
def test_a_function_that_breaks_for_a_container_is_found(doubled, kind):
    def breaks(tree):
        if not isinstance(tree, kind) or not tree or any(not isinstance(part, np.ndarray) for part in
                                                         (tree.values() if kind is dict else tree)):  # fmt: skip
            return False
        try:
            found = doubled(tree)
        except TypeError:
            return True
        return any(not np.array_equal(found[k], 2 * tree[k]) for k in (tree if kind is dict else range(len(tree))))

    found = simplest(pytrees(arrays((1,)), kinds=("dict", "namedtuple")), breaks)
    assert len(found) == 2
