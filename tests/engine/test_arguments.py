"""What grad and its relatives take and give: argnums, has_aux, pytrees; and what they refuse."""

from collections import namedtuple
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import DtypeError, OptionError, ShapeError, StructureError

X = np.array([0.5, 1.5])
Pair = namedtuple("Pair", ["first", "second"])


@dataclass
class Weights:
    w: object
    b: object


@dataclass(frozen=True)
class Frozen:
    w: object
    name: object = None


# ---- argnums and has_aux ----
def test_argnums():
    f = lambda x, y, z: np.sum(x * y**2 + z)  # noqa: E731
    args = X, X + 1, X + 2
    dx, dy, dz = args[1] ** 2, 2 * X * args[1], np.ones(2)
    np.testing.assert_allclose(tg.grad(f)(*args), dx)
    np.testing.assert_allclose(tg.grad(f, 1)(*args), dy)
    np.testing.assert_allclose(tg.grad(f, -1)(*args), dz)
    for argnums, expected in (((0, 2), (dx, dz)), ([2, 1], (dz, dy)), ((1,), (dy,)), (range(3), (dx, dy, dz))):
        found = tg.grad(f, argnums)(*args)
        assert isinstance(found, tuple)
        np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(tg.grad(f, np.int64(1))(*args), dy)
    np.testing.assert_allclose(tg.grad(lambda x, *, scale: np.sum(scale * x))(X, scale=3.0), [3.0, 3.0])
    assert tg.grad(f, ())(*args) == ()


def test_has_aux():
    f = lambda x: (np.sum(x**2), {"double": 2 * x, "text": "kept", "n": 3})  # noqa: E731
    (value, aux), g = tg.value_and_grad(f, has_aux=True)(X)
    assert value == np.sum(X**2)
    np.testing.assert_array_equal(aux["double"], 2 * X)
    assert type(aux["double"]) is np.ndarray
    assert (aux["text"], aux["n"]) == ("kept", 3)
    again, aux = tg.grad(f, has_aux=True)(X)
    np.testing.assert_array_equal(again, g)
    assert type(aux["double"]) is np.ndarray


def test_aux_of_an_inner_gradient_carries_the_outer_one():
    def outer(x):
        g, aux = tg.grad(lambda y: (np.sum(y**2), y * x), has_aux=True)(x)
        return np.sum(g * aux)

    np.testing.assert_allclose(tg.grad(outer)(X), 6 * X**2)


def test_methods_partials_and_callables():
    class Model:
        def __call__(self, x):
            return np.sum(x * 2)

        def method(self, x):
            return np.sum(x * 3)

    np.testing.assert_array_equal(tg.grad(Model())(X), [2.0, 2.0])
    np.testing.assert_array_equal(tg.grad(Model().method)(X), [3.0, 3.0])
    np.testing.assert_array_equal(tg.grad(partial(lambda a, x: np.sum(a * x), 4.0))(X), [4.0, 4.0])
    np.testing.assert_array_equal(tg.grad(np.sum)(X), [1.0, 1.0])

    def documented(x):
        """Text."""
        return np.sum(x)

    assert tg.grad(documented).__doc__ == "Text."
    assert tg.grad(documented).__name__ == "documented"


# ---- pytrees ----
TREES = {
    "dict": lambda a, b: {"a": a, "b": b},
    "nested": lambda a, b: {"layers": [{"w": a}, {"b": (b,)}]},
    "list": lambda a, b: [a, b],
    "tuple": lambda a, b: (a, b),
    "namedtuple": lambda a, b: Pair(a, b),
    "dataclass": lambda a, b: Weights(a, b),
    "frozen": lambda a, b: [Frozen(a), Frozen(b)],
    "None inside": lambda a, b: {"a": a, "b": None, "c": b},
    "unsortable keys": lambda a, b: {"w": a, 3: b},
    "empty inside": lambda a, b: [a, {}, (), b],
}


@pytest.mark.parametrize("name", TREES)
def test_pytrees(name):
    make = TREES[name]
    tree = make(X, np.array(2.0))

    def f(tree):
        a, b = tg.tree_leaves(tree)
        return np.sum(a**2) * b

    g = tg.grad(f)(tree)
    assert tg.pytree.structure(g) == tg.pytree.structure(tree)
    assert type(g) is type(tree)
    expected = make(2 * X * 2.0, np.sum(X**2))
    tg.tree_map(np.testing.assert_allclose, g, expected)
    y, pullback = tg.vjp(lambda t: {"out": tg.tree_map(lambda leaf: leaf * 3, t)}, tree)
    tg.tree_map(lambda a, b: np.testing.assert_allclose(a, 3 * b), pullback(y)[0], y["out"])
    tangent = tg.jvp(lambda t: t, (tree,), (tree,))[1]
    tg.tree_map(np.testing.assert_array_equal, tangent, tree)
    mapped = tg.vmap(lambda t: tg.tree_map(lambda leaf: leaf * 2, t))(make(np.stack([X, X]), np.ones(2)))
    tg.tree_map(np.testing.assert_array_equal, mapped, make(np.stack([2 * X, 2 * X]), 2 * np.ones(2)))
    checkpointed = tg.grad(tg.checkpoint(f))(tree)
    tg.tree_map(np.testing.assert_allclose, checkpointed, expected)


def test_the_order_in_which_a_dictionary_was_filled_does_not_matter():
    one, other = {"a": X, "b": 2 * X}, {"b": 2 * X, "a": X}
    tg.tree_map(np.testing.assert_array_equal, tg.jvp(lambda t: t, (one,), (other,))[1], one)


def test_jacobian_and_hessian_of_pytrees():
    f = lambda t: {"y": t["w"] * t["b"], "z": np.sum(t["w"])}  # noqa: E731
    tree = {"w": X, "b": np.array(3.0)}
    for mode in ("rev", "fwd", "auto"):
        j = tg.jacobian(f, mode=mode)(tree)
        np.testing.assert_allclose(j["y"]["w"], 3 * np.eye(2))
        np.testing.assert_allclose(j["y"]["b"], X)
        np.testing.assert_allclose(j["z"]["w"], np.ones(2))
        assert j["z"]["b"] == 0.0
    h = tg.hessian(lambda t: np.sum(t["w"] ** 2) * t["b"])(tree)
    np.testing.assert_allclose(h["w"]["w"], 6 * np.eye(2))
    np.testing.assert_allclose(h["w"]["b"], 2 * X)
    np.testing.assert_allclose(h["b"]["w"], 2 * X)
    assert h["b"]["b"] == 0.0


def test_a_python_float_and_a_numpy_scalar():
    for x in (2.0, np.float64(2.0), np.array(2.0)):
        g = tg.grad(lambda x: x**3)(x)
        assert g == 12.0
        assert np.shape(g) == ()
    assert tg.grad(lambda x: x**3)(np.float32(2.0)).dtype == np.float32


def test_an_argument_that_is_not_used_and_a_constant_result():
    np.testing.assert_array_equal(tg.grad(lambda x: 1.0)(X), np.zeros(2))
    g = tg.grad(lambda x, y: np.sum(x), (0, 1))(X, np.float32(1.0))
    assert g[1] == 0.0
    assert g[1].dtype == np.float32
    np.testing.assert_array_equal(tg.jacobian(lambda x: np.ones(3))(X), np.zeros((3, 2)))
    value, tangent = tg.jvp(lambda x: (7, "text", np.ones(2)), (X,), (X,))
    assert value[1] == "text"
    np.testing.assert_array_equal(tangent[2], np.zeros(2))


def test_a_subclass_of_ndarray_is_taken_as_an_array():
    x = np.array(X).view(np.matrix) if hasattr(np, "matrix") else X
    assert tg.grad(np.sum)(np.asarray(x)).shape == (1, 2)


# ---- what is refused ----
@pytest.mark.parametrize(
    ("argument", "words"),
    [
        (np.arange(3), r"argument \[0\], which is an array of dtype int64; convert it with \.astype\(float\)"),
        (3, r"which is a int; convert it with"),
        (np.array([True]), r"an array of dtype bool; .*leave masks out"),
        (True, "which is a bool"),
        (np.uint8(3), "dtype uint8"),
        (X + 1j, "dtype complex128; complex derivatives are not supported: compute with real and imaginary parts"),
        (1j, "complex"),
        ("text", "which is a str; only floating arrays and Python floats"),
        (np.array(["a"]), "only floating arrays"),
        (np.array([None, 1.0]), "dtype object"),
        ({"w": X, "n": np.arange(2)}, r"argument \[0\]\.n, which is an array of dtype int64"),
        ([X, {"deep": (X, 1)}], r"argument \[0\]\[1\]\.deep\[1\]"),
        (object(), "which is a object"),
    ],
)
@pytest.mark.parametrize("transform", ["grad", "vjp", "jvp"])
def test_arguments_without_a_derivative(argument, words, transform):
    run = {
        "grad": lambda: tg.grad(lambda x: 1.0)(argument),
        "vjp": lambda: tg.vjp(lambda x: 1.0, argument),
        "jvp": lambda: tg.jvp(lambda x: 1.0, (argument,), (argument,)),
    }[transform]
    with pytest.raises(DtypeError, match=rf"^{transform}: the derivative is asked for with respect to.*{words}"):
        run()


@pytest.mark.parametrize(
    ("f", "error", "words"),
    [
        (lambda x: x, ShapeError, r"array of shape \(2,\).*sum it, or use tapegrad\.jacobian, tapegrad\.vjp"),
        (lambda x: x[None, :1], ShapeError, r"shape \(1, 1\)"),
        (lambda x: (np.sum(x), x), StructureError, r"returned a tuple.*has_aux=True"),
        (lambda x: [np.sum(x)], StructureError, "returned a list"),
        (lambda x: {"loss": np.sum(x)}, StructureError, "returned a dict"),
        (lambda x: None, StructureError, "returned a NoneType"),
        (lambda x: "text", StructureError, "returned a str"),
        (lambda x: np.argmax(x), DtypeError, "dtype int64, and must return a real float"),
        (lambda x: np.sum(x > 0), DtypeError, "dtype int64"),
        (lambda x: x[0] > 0, DtypeError, "dtype bool"),
        (lambda x: 3, DtypeError, "must return a real float"),
        (lambda x: np.complex128(1j), DtypeError, "dtype complex128"),
    ],
)
@pytest.mark.parametrize("transform", [tg.grad, tg.value_and_grad, tg.hessian])
def test_results_that_are_not_one_number(f, error, words, transform):
    with pytest.raises(error, match=words):
        transform(f)(X)


@pytest.mark.parametrize("argnums", [1, -2, (0, 1), 5])
def test_argnums_out_of_range(argnums):
    with pytest.raises(OptionError, match=r"grad: argnums=.*called with 1 argument"):
        tg.grad(np.sum, argnums)(X)


@pytest.mark.parametrize("argnums", ["0", 1.5, None, (0, "1")])
def test_argnums_that_are_no_numbers(argnums):
    with pytest.raises(OptionError, match="argnums"):
        tg.grad(np.sum, argnums)(X)


@pytest.mark.parametrize("transform", [tg.jacobian, tg.hessian, tg.elementwise_grad])
def test_argnums_of_the_others(transform):
    with pytest.raises(OptionError, match=r"argnums=2.*1 argument"):
        transform(np.sum, 2)(X)


@pytest.mark.parametrize("result", [lambda x: np.sum(x), lambda x: (np.sum(x), 1, 2), lambda x: [np.sum(x), 1]])
def test_has_aux_without_a_pair(result):
    with pytest.raises(StructureError, match=r"has_aux=True, and the function returned a .*; return \(scalar, aux\)"):
        tg.grad(result, has_aux=True)(X)


def test_f_that_is_no_function():
    for transform in (tg.grad, tg.vmap, tg.jacobian, tg.trace, tg.checkpoint):
        with pytest.raises(TypeError):
            transform(3.0)(X)


def test_the_pullback_checks_its_cotangent():
    _, pullback = tg.vjp(lambda x: {"y": x}, X)
    with pytest.raises(ShapeError, match=r"cotangent of shape \(3,\) for a result of shape \(2,\)"):
        pullback({"y": np.ones(3)})
    with pytest.raises(StructureError, match=r"cotangent has the structure \*, the function returned \{'y': \*\}"):
        pullback(np.ones(2))


def test_jvp_checks_its_tangents():
    with pytest.raises(StructureError, match="the primals have the structure"):
        tg.jvp(lambda x: x, (X,), ([X],))
    with pytest.raises(StructureError, match="the primals have the structure"):
        tg.jvp(lambda x, y: x, (X, X), (X,))
    with pytest.raises(ShapeError, match=r"tangent of shape \(3,\) for argument \[0\] of shape \(2,\)"):
        tg.jvp(lambda x: x, (X,), (np.ones(3),))


def test_vmap_checks_its_axes():
    for in_axes, args, error, words in (
        (0, (1.0,), ShapeError, r"axis 0 is mapped over, and an argument has the shape \(\)"),
        (2, (np.ones((2, 2)),), ShapeError, "axis 2"),
        ((0, 0), (X, np.ones(3)), ShapeError, r"lengths \[2, 3\]; they must be equal"),
        ((0, 0), (X,), StructureError, "in_axes has 2 entries for 1 arguments"),
        (None, (X,), ShapeError, "give in_axes an axis for at least one"),
        (({"a": 0, "b": 0},), ({"a": X},), StructureError, "names 2 axes for an argument of 1 arrays"),
    ):
        with pytest.raises(error, match=words):
            tg.vmap(lambda *a: a, in_axes)(*args)


def test_jacobian_checks_its_mode():
    with pytest.raises(OptionError, match="mode='both'; choose 'auto', 'rev' or 'fwd'"):
        tg.jacobian(np.sin, mode="both")


def test_trace_refuses_what_is_no_array():
    with pytest.raises(DtypeError, match=r"trace: argument x is a str; traced functions take arrays and numbers"):
        tg.trace(lambda x: x)("text")
