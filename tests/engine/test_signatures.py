"""What is known of the arguments of a loop before their values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.errors import DtypeError, ShapeError
from tapegrad.signatures import flat
from tapegrad.tensor import Aval

DTYPES = st.sampled_from([np.float32, np.float64, np.int64, np.bool_])
ARRAYS = st.builds(np.ones, st.lists(st.integers(0, 3), max_size=3), DTYPES)
TREES = st.recursive(ARRAYS | st.floats() | st.integers(0, 3), lambda t: st.dictionaries(st.text(max_size=2), t))


@given(TREES)
def test_equal_arguments_have_one_signature(tree):
    one, other = flat(tree, "xs"), flat(tg.tree_map(lambda x: x, tree), "xs")
    assert one.signature is other.signature
    assert one.leaves == tg.tree_leaves(tree) or all(a is b for a, b in zip(one.leaves, other.leaves, strict=True))
    shapes = [np.shape(leaf) for leaf in tg.tree_leaves(tree)]
    assert [aval.shape for aval in one.signature.avals] == shapes
    assert [aval.dtype for aval in one.signature.avals] == [np.asarray(leaf).dtype for leaf in tg.tree_leaves(tree)]


@given(TREES, TREES)
def test_signatures_are_equal_when_structures_shapes_and_dtypes_are(one, other):
    a, b = flat(one, "xs").signature, flat(other, "xs").signature
    assert (a == b) == ((a.structure, a.avals) == (b.structure, b.avals))
    assert a != b or hash(a) == hash(b)


def test_shapes_and_dtypes_are_not_mixed_up():
    trees = [
        np.ones(2), np.ones((2, 1)), np.ones(2, np.float32), [np.ones(2)], (np.ones(2),), {"a": np.ones(2)}, 1.0, 1,
        True, np.ones(()), [np.ones(2), np.ones(3)], [np.ones(3), np.ones(2)], None, [np.ones(2), None],
    ]  # fmt: skip
    assert len({flat(tree, "xs").signature for tree in trees}) == len(trees)


def test_a_tensor_has_the_signature_of_what_it_holds():
    def f(x, k):
        assert flat({"x": x}, "xs").signature == flat({"x": np.ones((2, 3))}, "xs").signature
        assert flat(k, "xs").signature == flat(2.0, "xs").signature
        assert flat(k, "xs").signature.weak
        return np.sum(x) * k

    tg.grad(f, (0, 1))(np.ones((2, 3)), 1.0)
    tg.jvp(f, (np.ones((2, 3)), 1.0), (np.ones((2, 3)), 1.0))
    tg.trace(f)(np.ones((2, 3)), 1.0)
    inside = tg.grad(lambda y, x: f(x * y, x))
    tg.grad(lambda x: np.sum(inside(np.ones((2, 3)), x)))(1.0)


def test_scalars_of_numpy_become_arrays():
    for scalar in (np.float32(2), np.int8(2), np.bool_(True)):
        (leaf,) = flat(scalar, "state").leaves
        assert type(leaf) is np.ndarray
        assert (leaf.shape, leaf.dtype) == ((), scalar.dtype)
    assert not flat(np.float32(2), "state").signature.weak


def test_one_step():
    signature = flat((np.ones((5, 2)), np.ones((5,), np.int32)), "xs").signature
    assert signature.length == 5
    assert signature.step().avals == (Aval((2,), np.float64), Aval((), np.int32))
    assert signature.step() is signature.step()
    assert signature.step() == flat((np.ones((4, 2)), np.ones((4,), np.int32)), "xs").signature.step()
    for tree in ((np.ones((5, 2)), np.ones(4)), None, 1.0, np.ones(())):
        assert flat(tree, "xs").signature.length is None


@pytest.mark.parametrize("leaf", ["text", np.array(["a"]), np.array([None]), object(), b"x", np.datetime64("2020")])
def test_what_is_no_array_of_numbers_is_refused_each_time(leaf):
    for _ in range(2):
        with pytest.raises(DtypeError, match=r"scan: params\.w\[1\] is a .*; traced functions take arrays and numbers"):
            flat({"w": [np.ones(2), leaf]}, "params")


def test_the_number_of_steps_is_checked_each_time():
    step = lambda p, s, x: (s, s)  # noqa: E731
    for _ in range(2):
        tg.scan(step, None, 1.0, {"a": np.ones(3), "b": np.ones(3)})
        with pytest.raises(ShapeError, match="3 in a, 4 in b"):
            tg.scan(step, None, 1.0, {"a": np.ones(3), "b": np.ones(4)})
        with pytest.raises(ShapeError, match="3 in a, 4 in length="):
            tg.scan(step, None, 1.0, {"a": np.ones(3)}, length=4)
