"""Arrays made of Tensors: array, full and linspace."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.errors import DtypeError, OptionError, ShapeError, UnsupportedPrimitive
from tapegrad.testing import check_grads

SINGLE = np.array([1.0, 2.0], np.float32)


def value(f, *args):
    """What a function gives while it is differentiated."""
    return tg.vjp(f, *args)[0]


# ---- array ----
def test_nested_lists_of_tensors_arrays_and_numbers():
    def made(x, y):
        return tg.array([[x[0], 2.0, y], [np.float64(3.0), x[1] * y, 0]])

    x, y = np.array([0.5, 1.5]), np.array(2.5)
    np.testing.assert_array_equal(value(made, x, y), [[0.5, 2.0, 2.5], [3.0, 3.75, 0.0]])
    check_grads(made, (x, y))
    check_grads(lambda x: tg.array(((x, 2 * x), [[1, 2], x[::-1]])), (x,))


@pytest.mark.parametrize(
    ("items", "dtype"),
    [
        (lambda x: [x[0], 2.0], np.float32),
        (lambda x: [x[0], 2], np.float32),
        (lambda x: [x[0], np.float64(2.0)], np.float64),
        (lambda x: [x, np.ones(2)], np.float64),
        (lambda x: [x > 1, [True, False]], np.bool_),
        (lambda x: [[x[0]], [1]], np.float32),
        (lambda x: x, np.float32),
        (lambda x: [], np.float64),
    ],
)
def test_numbers_of_python_are_weak(items, dtype):
    assert value(lambda x: (tg.array(items(x)), x), SINGLE)[0].dtype == dtype
    assert tg.array(items(SINGLE)).dtype == dtype
    assert value(lambda x: tg.array(items(x), np.float64) * x[0], SINGLE).dtype == np.float64


def test_a_weak_tensor_is_weak():
    assert tg.trace(lambda x, s: tg.array([x[0], s]))(SINGLE, 2.0).outputs[0][1].dtype == np.float32


def test_parts_of_different_shapes_are_refused():
    with pytest.raises(ShapeError, match=r"array: parts of one list have the shapes \(\), \(2,\)"):
        tg.grad(lambda x: np.sum(tg.array([x, x[0]])))(np.ones(2))


# ---- full ----
def test_full_of_a_traced_value():
    assert value(lambda x: tg.full((3, 2), x), SINGLE).dtype == np.float32
    assert value(lambda x: tg.full((3, 2), x, np.float64), SINGLE).dtype == np.float64
    check_grads(lambda x: tg.full((3, 2), [x[0], 2.0]) * x, (np.array([0.3, 0.7]),))
    np.testing.assert_array_equal(value(lambda x: tg.full(3, x[1]), SINGLE), [2.0, 2.0, 2.0])
    with pytest.raises(ShapeError, match="broadcast_to"):
        value(lambda x: tg.full(3, x), SINGLE)


@pytest.mark.parametrize("given", [3, 2.5, True, np.float32(1.5), [1, 2]])
def test_full_of_plain_values_is_numpys(given):
    assert tg.full((2, 2), given).dtype == np.full((2, 2), given).dtype
    np.testing.assert_array_equal(tg.full((2, 2), given, np.float32), np.full((2, 2), given, np.float32))


# ---- linspace ----
ENDS = st.floats(-3, 3) | st.sampled_from([0.0, 1.0, 5e-324])


@given(ENDS, ENDS, st.integers(0, 7), st.booleans(), st.sampled_from([None, np.float32, np.int64]),
       st.sampled_from([np.float32, np.float64]), st.sampled_from([0, 1, -1]))  # fmt: skip
def test_linspace_is_numpys_to_the_bit(start, stop, num, endpoint, dtype, given, axis):
    start, stop = np.asarray([start, stop, 1.0], given), np.asarray([stop, 2.0, 1.0], given)
    options = {"num": num, "endpoint": endpoint, "dtype": dtype, "axis": axis}
    expected = np.linspace(start, stop, **options)
    for f in (tg.linspace, np.linspace):
        found = value(lambda a, b, f=f: f(a, b, **options), start, stop)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(tg.linspace(start, stop, **options), expected)


def test_derivatives_of_linspace():
    for options in ({"num": 4}, {"num": 4, "endpoint": False}, {"num": 1}):
        check_grads(lambda a, b, o=options: tg.linspace(a, b, **o), (np.array(0.5), np.array([2.0, 3.0])))
        check_grads(lambda b, o=options: tg.linspace(0.0, b, **o), (np.array(0.7),))


def test_linspace_in_the_dtype_of_its_ends():
    assert value(lambda a: tg.linspace(0, a, 3), np.float32(2)).dtype == np.float32
    assert value(lambda a: tg.linspace(a, np.float64(1), 3), np.float32(2)).dtype == np.float64


def test_what_linspace_does_not_take():
    with pytest.raises(OptionError, match="linspace: num=2.5"):
        value(lambda a: tg.linspace(0.0, a, 2.5), np.array(1.0))
    with pytest.raises(UnsupportedPrimitive, match="retstep"):
        value(lambda a: np.linspace(0.0, a, 3, retstep=True), np.array(1.0))
    with pytest.raises(DtypeError, match="complex"):
        value(lambda a: tg.linspace(1j, a, 3), np.array(1.0))
