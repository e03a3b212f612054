"""NumPy's functions, operators and methods on Tensors: NumPy's values, shapes and dtypes, and right derivatives.

One entry for each function that has a rule; a test fails for a function without an entry.
"""

import operator

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.numpy_protocols import FUNCTIONS, UFUNCS
from tapegrad.testing import check_grads
from tests.surface.tables import ROWS as SURFACE

X = np.array([[0.31, 1.72, 0.93], [1.21, 0.43, 2.34]])  # no whole numbers, and no whole quotients
Y = np.array([[0.83, 0.52, 1.13], [0.24, 1.94, 0.71]])
MASK = np.array([[True, False, True], [False, False, True]])
CUBE = np.linspace(0.1, 2.4, 24).reshape(2, 3, 4)

BY_NAME = {
    "all": [lambda x: np.all(x > 0.5, axis=1) * np.sum(x, 1), lambda x: np.all(x[:0] > 0) * x,
            lambda x: np.all(x > 9) * x],
    "any": [lambda x: np.any(x > 1, axis=0, keepdims=True) * x, lambda x: np.any(x[:0] > 0, axis=0) * x],
    "argmax": [lambda x: x * np.argmax(x), lambda x: x[np.arange(2), np.argmax(x, axis=1)],
               lambda x: x[:, np.argmax(x[0])]],
    "argmin": [lambda x: x * np.argmin(x, axis=0), lambda x: np.argmin(x, 1, keepdims=True) * x],
    "array_split": [lambda x: np.array_split(x, 2, axis=1), lambda x: np.array_split(x, [1], axis=-1)],
    "astype": [lambda x: np.astype(x, np.float64) * 2, lambda x: np.astype(x > 1, np.float64) * x],
    "atleast_1d": [lambda x: np.atleast_1d(x[0, 0]), lambda x: np.atleast_1d(x)],
    "atleast_2d": [lambda x: np.atleast_2d(x[0]), lambda x: np.atleast_2d(x[0, 0]),
                   lambda x: np.atleast_2d(x[0], x)[1]],
    "broadcast_to": [lambda x: np.broadcast_to(x, (4, 2, 3)), lambda x: np.broadcast_to(x[0, 0], 3)],
    "clip": [lambda x: np.clip(x, 0.5, 1.5), lambda x: np.clip(x, None, 1.0), lambda x: np.clip(x, 0.5, None),
             lambda x: np.clip(x, 0.5 * x[0], 2.0)],
    "concatenate": [lambda x: np.concatenate([x, x * x]), lambda x: np.concatenate((x, Y), axis=-1),
                    lambda x: np.concatenate([x, x], axis=None), lambda x: np.concatenate([Y, [[1, 2, 3]], x])],
    "copy": [lambda x: np.copy(x) * x],
    "cumsum": [lambda x: np.cumsum(x), lambda x: np.cumsum(x, axis=1), lambda x: np.cumsum(x, -2)],
    "diagonal": [lambda x: np.diagonal(x), lambda x: np.diagonal(x, 1), lambda x: np.diagonal(x, -1),
                 lambda x: np.diagonal(x, 5), lambda x: np.diagonal(x * CUBE.reshape(4, 2, 3), 0, 2, 0)],
    "dot": [lambda x: np.dot(x, Y.T), lambda x: np.dot(Y.T, x), lambda x: np.dot(x, 3.0), lambda x: np.dot(x, Y[0]),
            lambda x: np.dot(x[0], x[1]), lambda x: np.dot(CUBE, x[:, :2].reshape(4))],
    "einsum": [lambda x: np.einsum("ij,kj->ik", x, Y), lambda x: np.einsum("ij->ji", x), lambda x: np.einsum("ij->", x),
               lambda x: np.einsum("ij,ij->i", x, Y), lambda x: np.einsum("ij,jk,kl->il", Y.T, x, Y.T),
               lambda x: np.einsum("...j,j->...", x, x[0]), lambda x: np.einsum("ii->i", x[:, :2]),
               lambda x: np.einsum("ij,j", x, Y[0]), lambda x: np.einsum("i,j->ij", x[0], x[1]),
               lambda x: np.einsum("...ij,...j->...i", CUBE.reshape(4, 2, 3), x[0]),
               lambda x: np.einsum("ij,kl->j", x, Y), lambda x: np.einsum("i i", x[:, :2])],
    "empty_like": [lambda x: 0.0 * np.ones(np.empty_like(x).shape) * x],
    "expand_dims": [lambda x: np.expand_dims(x, 0), lambda x: np.expand_dims(x, (1, -1))],
    "flip": [lambda x: np.flip(x), lambda x: np.flip(x, 1), lambda x: np.flip(x, (0, -1))],
    "full_like": [lambda x: np.full_like(x, x[0, 0]) * x, lambda x: np.full_like(x, 2.0) * x],
    "hstack": [lambda x: np.hstack([x, Y]), lambda x: np.hstack([x[0], x[0, 0]])],
    "inner": [lambda x: np.inner(x, Y), lambda x: np.inner(x[0], x[1]), lambda x: np.inner(x, 2.0)],
    "iscomplexobj": [lambda x: x * np.iscomplexobj(x)],
    "isrealobj": [lambda x: x * np.isrealobj(x)],
    "max": [lambda x: np.max(x), lambda x: np.max(x, axis=1), lambda x: np.max(x, (0, 1), keepdims=True)],
    "mean": [lambda x: np.mean(x), lambda x: np.mean(x, axis=0), lambda x: np.mean(x, (0, 1), keepdims=True),
             lambda x: np.mean(x > 1) * x],
    "min": [lambda x: np.min(x), lambda x: np.min(x, axis=-1)],
    "amin": [lambda x: np.amin(x, 0)],
    "amax": [lambda x: np.amax(x, axis=1, keepdims=True)],
    "moveaxis": [lambda x: np.moveaxis(x, 0, 1), lambda x: np.moveaxis(x * CUBE.reshape(4, 2, 3), (0, 2), (1, 0))],
    "ndim": [lambda x: np.ndim(x) * x],
    "norm": [lambda x: np.linalg.norm(x), lambda x: np.linalg.norm(x, axis=1), lambda x: np.linalg.norm(x[0], 2),
             lambda x: np.linalg.norm(x, "fro"), lambda x: np.linalg.norm(x, axis=0, keepdims=True)],
    "ones_like": [lambda x: np.ones_like(x) * x],
    "outer": [lambda x: np.outer(x, Y), lambda x: np.outer(x[0], x[1])],
    "pad": [lambda x: np.pad(x, 1), lambda x: np.pad(x, ((1, 0), (0, 2))), lambda x: np.pad(x, (1, 2))],
    "prod": [lambda x: np.prod(x), lambda x: np.prod(x, axis=1), lambda x: np.prod(x, (0, 1), keepdims=True),
             lambda x: np.prod(x[:, :0], axis=1) + np.sum(x, 1), lambda x: np.prod(x - X[0, 0], axis=1)],
    "ravel": [lambda x: np.ravel(x), lambda x: np.ravel(x[0, 0])],
    "repeat": [lambda x: np.repeat(x, 2), lambda x: np.repeat(x, [1, 0, 3], axis=1)],
    "reshape": [lambda x: np.reshape(x, (3, 2)), lambda x: np.reshape(x, -1), lambda x: np.reshape(x, (-1, 3, 1))],
    "result_type": [lambda x: x.astype(np.result_type(x, np.float32))],
    "roll": [lambda x: np.roll(x, 1), lambda x: np.roll(x, -2, axis=1), lambda x: np.roll(x, 5, 0)],
    "shape": [lambda x: np.ones(np.shape(x)) * x],
    "size": [lambda x: np.size(x) * x, lambda x: np.size(x, 0) * x],
    "split": [lambda x: np.split(x, 3, axis=1), lambda x: np.split(x, [1, 2], axis=1)[1]],
    "squeeze": [lambda x: np.squeeze(x[:1]), lambda x: np.squeeze(x[:, :1], 1),
                lambda x: np.squeeze(x[None, :1], (0, 1))],
    "stack": [lambda x: np.stack([x, Y]), lambda x: np.stack([x[0, 0], x[0, 1]]), lambda x: np.stack((x, x), axis=-1)],
    "std": [lambda x: np.std(x), lambda x: np.std(x, axis=1, ddof=1)],
    "sum": [lambda x: np.sum(x), lambda x: np.sum(x, axis=(0, -1)), lambda x: np.sum(x, 1, keepdims=True),
            lambda x: np.sum(x > 1) * x, lambda x: np.sum(x, dtype=np.float64)],
    "swapaxes": [lambda x: np.swapaxes(x, 0, 1), lambda x: np.swapaxes(x[None], -1, 0)],
    "take": [lambda x: np.take(x, [0, 0, 2], axis=1), lambda x: np.take(x, 4),
             lambda x: np.take(x, np.array([[0], [5]])),
             lambda x: np.take(x, -1, axis=-1)],
    "take_along_axis": [lambda x: np.take_along_axis(x, np.array([[1], [0]]), axis=1),
                        lambda x: np.take_along_axis(x, np.array([5, 0]), axis=None)],
    "tensordot": [lambda x: np.tensordot(x, Y, ((0, 1), (0, 1))), lambda x: np.tensordot(x, Y.T, 1),
                  lambda x: np.tensordot(x, Y, 0), lambda x: np.tensordot(CUBE, x, ((1,), (1,)))],
    "tile": [lambda x: np.tile(x, 2), lambda x: np.tile(x, (2, 1, 3)), lambda x: np.tile(x[0, 0], 3)],
    "trace": [lambda x: np.trace(x), lambda x: np.trace(x, 1)],
    "transpose": [lambda x: np.transpose(x), lambda x: np.transpose(x * CUBE.reshape(4, 2, 3), (1, -1, 0))],
    "tril": [lambda x: np.tril(x), lambda x: np.tril(x, -1)],
    "triu": [lambda x: np.triu(x), lambda x: np.triu(x, 1)],
    "var": [lambda x: np.var(x), lambda x: np.var(x, axis=0, ddof=1, keepdims=True)],
    "vstack": [lambda x: np.vstack([x, Y]), lambda x: np.vstack([x[0], Y[0]])],
    "where": [lambda x: np.where(MASK, x, Y), lambda x: np.where(x > 1, x, 0.0), lambda x: np.where(MASK, 1, x)],
    "zeros_like": [lambda x: np.zeros_like(x) + x],
    # ---- windows, and what is real ----
    "convolve": [lambda x: np.convolve(x[0], x[1]), lambda x: np.convolve(x[0, :2], Y[0], "same")],
    "correlate": [lambda x: np.correlate(x[0], x[1]), lambda x: np.correlate(x[0, :2], Y[0], "full")],
    "sliding_window_view": [lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 2))],
    "linspace": [lambda x: np.linspace(x, 2.0, 3), lambda x: np.linspace(x[0], x[1], 4, endpoint=False, axis=1)],
    "real": [lambda x: np.real(x) * x],
    "imag": [lambda x: np.imag(x) * x],
    "conjugate": [lambda x: np.conjugate(x), lambda x: x.conj() * x],
    "angle": [lambda x: np.angle(-x) * x, lambda x: np.angle(-x, deg=True) + x],
    "real_if_close": [lambda x: np.real_if_close(x)],
    "isreal": [lambda x: np.isreal(x) * x],
    "iscomplex": [lambda x: np.iscomplex(x) * x],
    # ---- functions of elements ----
    "arccosh": [lambda x: np.arccosh(x + 1)],
    "arcsin": [lambda x: np.arcsin(x / 3)],
    "arccos": [lambda x: np.arccos(x / 3)],
    "arctanh": [lambda x: np.arctanh(x / 3)],
    "bitwise_and": [lambda x: np.bitwise_and(x > 1, MASK) * x],
    "bitwise_or": [lambda x: ((x > 1) | MASK) * x],
    "invert": [lambda x: ~(x > 1) * x],
    "logical_and": [lambda x: np.logical_and(x > 1, MASK) * x],
    "logical_or": [lambda x: np.logical_or(x, MASK) * x],
    "logical_not": [lambda x: np.logical_not(x > 1) * x],
    "matmul": [lambda x: np.matmul(x, Y.T), lambda x: x @ Y[0], lambda x: Y[:, 0] @ x, lambda x: x[0] @ x[1],
               lambda x: CUBE.reshape(4, 2, 3) @ x.T, lambda x: x @ CUBE.reshape(4, 3, 2),
               lambda x: CUBE.reshape(2, 2, 2, 3) @ x.reshape(2, 3, 1),
               lambda x: x[:, None] @ CUBE.reshape(4, 1, 3, 2)],
}  # fmt: skip

REAL_UFUNCS = {ufunc.__name__: ufunc for ufunc in UFUNCS}
for _name, _ufunc in REAL_UFUNCS.items():
    if _name not in BY_NAME and _ufunc.signature is None:
        if _ufunc.nin == 1:
            BY_NAME[_name] = [lambda x, u=_ufunc: u(x) * x,
                    lambda x, u=_ufunc: u(1.3 - x) * x if u(-1.5) == u(-1.5) else x]
        else:
            BY_NAME[_name] = [
                lambda x, u=_ufunc: u(x, Y) * x, lambda x, u=_ufunc: u(Y, x) * x,
                lambda x, u=_ufunc: u(x, x[:, :1] + 0.11) * x,
                lambda x, u=_ufunc: u(x, 1.1) * x, lambda x, u=_ufunc: u(2, x) * x,
                lambda x, u=_ufunc: u(x, [1, 2, 3]) * x,
            ]  # fmt: skip

ROWS = [pytest.param(f, id=f"{name}-{i}") for name, found in BY_NAME.items() for i, f in enumerate(found)]


def test_every_function_with_a_rule_has_an_entry():
    there_are = {f.__name__ for f in FUNCTIONS} | set(REAL_UFUNCS)
    elsewhere = {row.name.rpartition(".")[2] for row in SURFACE} | {"eig", "eigvals"}  # those two are refused by name
    assert there_are - set(BY_NAME) - elsewhere == set()
    assert set(BY_NAME) - there_are == set()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("f", ROWS)
def test_the_value_is_that_of_numpy(f):
    expected = f(X)
    for found in (tg.vjp(f, X)[0], tg.jvp(f, (X,), (X,))[0], tg.vmap(f, out_axes=0)(X[None])):
        for a, b in zip(tg.tree_leaves(found), tg.tree_leaves(expected), strict=True):
            a = np.asarray(a)[0] if np.ndim(a) > np.ndim(b) else a
            assert np.shape(a) == np.shape(b)
            assert np.asarray(a).dtype == np.asarray(b).dtype
            np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-15)
    for (_, aval), b in zip(tg.trace(f)(X).outputs, tg.tree_leaves(expected), strict=True):
        assert (aval.shape, aval.dtype) == (np.shape(b), np.asarray(b).dtype)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("f", ROWS)
def test_the_derivatives_are_right(f):
    check_grads(f, (X,))


METHODS = {
    "sum": lambda x: x.sum(axis=0), "mean": lambda x: x.mean(1, keepdims=True), "max": lambda x: x.max(),
    "min": lambda x: x.min(1),
    "prod": lambda x: x.prod(axis=1), "var": lambda x: x.var(), "std": lambda x: x.std(axis=0),
    "cumsum": lambda x: x.cumsum(1),
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
    [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod, operator.floordiv],
)
@pytest.mark.parametrize("other", [2, 1.5, np.float32(1.5), np.float64(1.5), Y, Y[0], [1, 2, 3], True], ids=repr)
def test_operators_on_both_sides(symbol, other):
    for f in (lambda x: symbol(x, other), lambda x: symbol(other, x)):
        value = tg.vjp(f, X)[0]
        np.testing.assert_allclose(value, f(X), rtol=1e-14)
        assert value.dtype == f(X).dtype
        if symbol is not operator.floordiv:
            check_grads(f, (X,), order=1)


def test_reductions_of_ufuncs():
    for f in (lambda x: np.add.reduce(x), lambda x: np.multiply.reduce(x, axis=1),
    lambda x: np.maximum.reduce(x, axis=None),
              lambda x: np.minimum.reduce(x, keepdims=True), lambda x: np.add.accumulate(x, 1),
              lambda x: np.multiply.outer(x, Y[0]), lambda x: np.subtract.outer(Y[0], x)):  # fmt: skip
        np.testing.assert_allclose(tg.vjp(f, X)[0], f(X))
        check_grads(f, (X,), order=1)


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
