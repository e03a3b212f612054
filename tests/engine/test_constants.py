"""Constants that meet a Tensor: what cannot be differentiated is refused, never silently changed."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import DtypeError, OptionError, ShapeError, StructureError, TracingError


@pytest.mark.parametrize("value", [1 + 1j, np.complex64(1j), np.array([1j, 2.0])])
@pytest.mark.parametrize(
    "run",
    [
        lambda f: tg.grad(f)(np.ones(2)),
        lambda f: tg.jvp(f, (np.ones(2),), (np.ones(2),)),
        lambda f: tg.trace(f)(np.ones(2)),
    ],
)
def test_complex_constants_are_refused(run, value):
    with pytest.raises(DtypeError, match="real and imaginary parts"):
        run(lambda x: np.sum(np.abs(x * value)))


def test_complex_conversions_and_cotangents_are_refused():
    with pytest.raises(DtypeError, match="real and imaginary parts"):
        tg.grad(lambda x: np.sum(np.abs(x.astype(complex))))(np.ones(2))
    _, pullback = tg.vjp(lambda x: 2 * x, np.ones(2))
    with pytest.raises(DtypeError, match="real and imaginary parts"):
        pullback(np.ones(2) * 1j)


def test_masked_arrays_and_matrices_are_refused():
    masked = np.ma.masked_array([1.0, 2.0, 3.0], [0, 1, 0])
    with pytest.raises(DtypeError, match="MaskedArray.*filled"):
        tg.grad(lambda x: np.sum(x * masked))(np.ones(3))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(x[x > 0]),
        lambda x: x if np.sum(x) > 0 else -x,
        lambda x: tg.index_update(x, np.sum(x > 0), 1.0),
    ],
)
def test_what_differs_over_a_mapped_axis_steers_nothing(f):
    with pytest.raises(TracingError, match=r"inside vmap.*np\.where"):
        tg.vmap(f)(np.ones((2, 4)))


@pytest.mark.parametrize("argnums", [(0, 0), (1, -1)])
def test_an_argument_named_twice(argnums):
    with pytest.raises(OptionError, match="twice"):
        tg.grad(lambda x, y: x * y, argnums)(2.0, 3.0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint64])
def test_small_integers_index_large_tables(dtype):
    table = np.zeros((300, 2))
    tokens = np.array([3, 100, 3], dtype)
    g = tg.grad(lambda E: np.sum(E[tokens]))(table)
    assert g[3].tolist() == [2, 2]
    assert g.sum() == 6
    assert tg.grad(lambda E: np.sum(E[tokens]))(np.zeros((300, 0))).shape == (300, 0)


def test_index_add_to_integers():
    np.testing.assert_array_equal(tg.index_add(np.zeros(3, int), np.array([0, 0]), 2), [4, 0, 0])
    with pytest.raises(DtypeError, match="floating arrays only"):
        tg.grad(lambda x: np.sum(tg.index_add(np.zeros(3, int), 0, x)))(1.0)


@pytest.mark.parametrize(
    ("f", "error"),
    [
        (lambda x: np.transpose(x, (0, 3)), ValueError),
        (lambda x: np.transpose(x, (0, 0)), ValueError),
        (lambda x: np.transpose(x, (0,)), ShapeError),
        (lambda x: np.sum(x, axis=0.7), TypeError),
        (lambda x: np.reshape(x, (2.9, 3)), TypeError),
        (lambda x: np.einsum("...i->i", x), StructureError),
    ],
)
def test_what_numpy_refuses_is_refused(f, error):
    with pytest.raises(error):
        tg.trace(f)(np.ones((2, 3)))


def test_the_mean_of_half_precision_does_not_overflow():
    assert tg.value_and_grad(np.mean)(np.full(2000, 1000, np.float16))[0] == 1000
