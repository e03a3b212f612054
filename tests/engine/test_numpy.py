"""NumPy's functions, operators and methods on Tensors: NumPy's values, shapes and dtypes, and right derivatives.

What holds for each function is tested in ``tests/surface``; here are operators, methods, indices, and what is refused.
"""

import operator

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.numpy_protocols import FUNCTIONS, UFUNCS
from tapegrad.testing import check_grads
from tests.surface.tables import EVERY

X = np.array([[0.31, 1.72, 0.93], [1.21, 0.43, 2.34]])  # no whole numbers, and no whole quotients
Y = np.array([[0.83, 0.52, 1.13], [0.24, 1.94, 0.71]])
MASK = np.array([[True, False, True], [False, False, True]])
CUBE = np.linspace(0.1, 2.4, 24).reshape(2, 3, 4)

UNLISTED = {"nonzero", "flatnonzero", "argwhere", "eig", "eigvals"}  # positions, see below; the last two are refused


def test_every_function_with_a_rule_has_rows_in_the_surface():
    there_are = {f.__name__ for f in FUNCTIONS} | {ufunc.__name__ for ufunc in UFUNCS}
    assert there_are - {row.name.rpartition(".")[2] for row in EVERY} == UNLISTED


def test_every_other_name_of_a_function_leads_to_its_rule():
    """``np.abs`` is ``np.absolute``; and what has a rule of its own is reached under its name."""
    for name in ("abs", "acos", "asinh", "atan2", "pow", "concat", "permute_dims", "true_divide", "around", "amax"):
        assert getattr(np, name) in FUNCTIONS or getattr(np, name) in UFUNCS


def test_positions():
    for f in (np.nonzero, np.flatnonzero, np.argwhere, np.where):
        found = tg.vjp(lambda x, f=f: x * np.sum(f(x > 1)), X)[0]
        np.testing.assert_array_equal(found, X * np.sum(f(X > 1)))
        with pytest.raises(tg.errors.TracingError, match="not known"):
            tg.trace(lambda x, f=f: f(x > 1))(X)


METHODS = {
    "sum": lambda x: x.sum(axis=0), "mean": lambda x: x.mean(1, keepdims=True), "max": lambda x: x.max(),
    "min": lambda x: x.min(1),
    "prod": lambda x: x.prod(axis=1), "var": lambda x: x.var(), "std": lambda x: x.std(axis=0),
    "cumsum": lambda x: x.cumsum(1), "cumprod": lambda x: x.cumprod(), "round": lambda x: x.round(1) + x,
    "argsort": lambda x: x * x.argsort(), "argpartition": lambda x: x * np.sum(x[0].argpartition(1)[1]),
    "searchsorted": lambda x: x * np.sort(x[1]).searchsorted(0.7), "nonzero": lambda x: x[x.nonzero()],
    "choose": lambda x: (x > 1).choose([x, x * x]),
    "argmax": lambda x: x * x.argmax(), "argmin": lambda x: x * x.argmin(axis=0), "any": lambda x: (x > 1).any() * x,
    "all": lambda x: (x > 1).all(axis=0) * x, "ravel": lambda x: x.ravel(), "flatten": lambda x: x.flatten(),
    "reshape": lambda x: x.reshape(3, 2), "reshape tuple": lambda x: x.reshape((3, -1)),
    "transpose": lambda x: x.transpose(),
    "transpose axes": lambda x: x.transpose(1, 0), "T": lambda x: x.T, "swapaxes": lambda x: x.swapaxes(0, 1),
    "squeeze": lambda x: x[:1].squeeze(), "repeat": lambda x: x.repeat(2, axis=0), "take": lambda x: x.take([0, 1], 1),
    "dot": lambda x: x.dot(Y.T), "astype": lambda x: x.astype(np.float64), "clip": lambda x: x.clip(0.5, 1.5),
    "diagonal": lambda x: x.diagonal(), "trace": lambda x: x.trace(), "copy": lambda x: x.copy() * 2,
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    np.testing.assert_allclose(tg.vjp(METHODS[name], X)[0], METHODS[name](X), rtol=1e-14)
    check_grads(METHODS[name], (X,), order=1)


INDICES = {
    "integer": lambda x: x[1], "negative": lambda x: x[-1, -2], "slice": lambda x: x[:, 1:],
    "step": lambda x: x[::-1, ::2],
    "ellipsis": lambda x: x[..., 0], "None": lambda x: x[None, :, None], "tuple": lambda x: x[(0, slice(None))],
    "integer array": lambda x: x[np.array([0, 0, 1])], "list": lambda x: x[[1, 0, 1]], "empty list": lambda x: x[[]],
    "two arrays": lambda x: x[np.array([0, 1, 0]), np.array([2, 2, 2])], "array and slice": lambda x: x[:, [0, 2, 0]],
    "array and integer": lambda x: x[1, [0, 2, 0]], "integer and array": lambda x: x[[0, 1, 0], 1],
    "broadcast arrays": lambda x: x[np.array([[0], [1]]), np.array([0, 2])],
    "np.ix_": lambda x: x[np.ix_([0, 1], [2, 0])],
    "array and None": lambda x: x[np.array([0, 1]), None],
    "separated": lambda x: (x[:, None] * CUBE[:, :, :3])[[0, 1], :, [1, 2]],
    "mask": lambda x: x[MASK], "row mask": lambda x: x[np.array([True, False])],
    "mask and slice": lambda x: x[:, [True, False, True]],
    "comparison": lambda x: x[x > 1], "np.int64": lambda x: x[np.int64(1)],
    "zero-dimensional": lambda x: x[np.array(1)],
    "nothing": lambda x: x[()], "all": lambda x: x[...], "beyond": lambda x: x[:10, 2:1],
    "twice": lambda x: x[0][1:] * x[1][:2],
}  # fmt: skip


@pytest.mark.parametrize("name", INDICES)
def test_indices(name):
    f = INDICES[name]
    value, _ = tg.vjp(f, X)
    np.testing.assert_array_equal(value, f(X))
    assert value.shape == f(X).shape
    check_grads(f, (X,))
    if name != "comparison":
        np.testing.assert_array_equal(tg.vmap(f)(np.stack([X, Y])), np.stack([f(X), f(Y)]))
        (_, aval), = tg.trace(f)(X).outputs
        assert aval.shape == f(X).shape


@pytest.mark.parametrize("name", [n for n in INDICES if n not in ("comparison", "twice", "separated")])
def test_index_add_and_index_update_are_what_numpy_does_in_place(name):
    """With the keys of the table above, read off a recorder."""

    class Recorder:
        def __getitem__(self, key):
            return key

    key = INDICES[name](Recorder())
    values = np.full(X[key].shape, 0.7)
    added, updated = X.copy(), X.copy()
    np.add.at(added, key, values)
    updated[key] = values
    np.testing.assert_allclose(tg.index_add(X, key, values), added)
    np.testing.assert_allclose(tg.index_update(X, key, values), updated)
    check_grads(lambda x, v: tg.index_add(x, key, v), (X, values), order=1)
    check_grads(lambda x, v: tg.index_update(x, key, v), (X, values), order=1)


@pytest.mark.parametrize(
    "symbol",
    [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod, operator.floordiv,
     divmod],
)  # fmt: skip
@pytest.mark.parametrize("other", [2, 1.5, np.float32(1.5), np.float64(1.5), Y, Y[0], [1, 2, 3], True], ids=repr)
def test_operators_on_both_sides(symbol, other):
    for f in (lambda x: symbol(x, other), lambda x: symbol(other, x)):
        value, expected = tg.vjp(f, X)[0], f(X)
        np.testing.assert_allclose(value, expected, rtol=1e-14)
        assert np.asarray(value).dtype == np.asarray(expected).dtype
        if symbol is not operator.floordiv:
            check_grads(f, (X,), order=1)


BINARY = [u for u in UFUNCS if u.nin == 2 and u.signature is None and any(t.startswith("ff->") for t in u.types)]


@pytest.mark.parametrize("ufunc", BINARY, ids=lambda u: u.__name__)
@pytest.mark.parametrize("number", [2.5, 2, np.float64(2.5)], ids=repr)
def test_numbers_beside_single_precision_in_every_ufunc(ufunc, number):
    """Python's are weak, those of NumPy are not."""
    x = X.astype(np.float32)
    for f in (lambda x: ufunc(x, number), lambda x: ufunc(number, x)):
        value = tg.vjp(f, x)[0]
        for a, b in zip(tg.tree_leaves(value), tg.tree_leaves(f(x)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
            assert np.asarray(a).dtype == np.asarray(b).dtype


def test_grids_between_a_number_and_single_precision():
    x = np.float32(0.5)
    for f in (lambda x: np.linspace(x, 2, 4), lambda x: np.linspace(1.5, x, 4), lambda x: np.sinc(x)):
        assert tg.vjp(f, x)[0].dtype == f(x).dtype == np.float32


def test_whole_numbers_are_taken_as_numpy_takes_them():
    whole = np.array([[3, 1, 2], [2, 0, 1]], np.int8)
    for name in ("sinc", "exp2", "cbrt", "mean", "var", "prod", "cumprod", "cumsum", "median", "ptp", "fabs"):
        f = getattr(np, name)
        found, expected = tg.vmap(f)(whole[None])[0], f(whole)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-12)


def test_lists_of_tensors_where_numpy_takes_lists():
    for f in (lambda x: np.concatenate([x[0], [x[1, 0], 2.0]]), lambda x: np.stack([x[0, 0], 1.0]),
              lambda x: [1.0, 2.0, 3.0] * x, lambda x: np.maximum([x[0, 0], 0.5], x[0, :2])):  # fmt: skip
        check_grads(f, (X,), order=1)


def test_product_with_zeros():
    """The tree of products divides by nothing."""
    x = np.array([0.0, 2.0, 3.0])
    np.testing.assert_array_equal(tg.grad(np.prod)(x), [6.0, 0.0, 0.0])
    assert tg.hessian(np.prod)(x)[0, 1] == 3.0
    check_grads(np.prod, (np.array([0.0, 0.0, 3.0, 1.5]),), order=3)
