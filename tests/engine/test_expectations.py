"""What users of autograd, JAX and PyTorch expect: containers, closures, in-place writes, Python's own protocols."""

import copy
import operator
import pickle
from dataclasses import dataclass
from typing import Any, NamedTuple

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import DtypeError, TracingError, UnsupportedPrimitive

X = np.array([0.5, 1.5, 2.5])
Y = np.array([[1.0, -2.0, 0.5], [0.3, 0.7, -1.1]])


class Pair(NamedTuple):
    a: Any
    b: Any


@dataclass(frozen=True)
class Layer:
    weight: Any
    bias: Any = None


# ---- containers ----
def use(np, a, b):
    return np.sum(np.sin(np.dot(b, a)) * np.sum(a * a)) * np.exp(b[0, 0])


SHARED = {  # what autograd takes as well
    "dict": (lambda a, b: {"a": a, "b": b}, lambda t: (t["a"], t["b"])),
    "list": (lambda a, b: [a, b], lambda t: (t[0], t[1])),
    "tuple": (lambda a, b: (a, b), lambda t: t),
    "dict of lists of tuples": (lambda a, b: {"x": [(a,), 1.5], "y": {"z": b}}, lambda t: (t["x"][0][0], t["y"]["z"])),
    "numbers beside arrays": (lambda a, b: [2.0, a, b], lambda t: (t[0] * t[1], t[2])),
    "the same array twice": (lambda a, b: [a, b, a], lambda t: (t[0] + t[2], t[1])),
    "integer keys": (lambda a, b: {0: a, 1: b}, lambda t: (t[0], t[1])),
}
OWN = {
    "namedtuple": (Pair, lambda t: (t.a, t.b)),
    "dataclass": (Layer, lambda t: (t.weight, t.bias)),
    "dataclass without a part": (lambda a, b: [Layer(a), Layer(b, None)], lambda t: (t[0].weight, t[1].weight)),
    "nested": (lambda a, b: {"p": Pair([Layer(a, 1.0)], (None, b))}, lambda t: (t["p"].a[0].weight, t["p"].b[1])),
}


@pytest.mark.parametrize("name", [*SHARED, *OWN])
def test_gradients_have_the_containers_of_the_argument(name):
    pack, unpack = (SHARED | OWN)[name]
    tree = pack(X, Y)
    found = tg.grad(lambda t: use(np, *unpack(t)))(tree)
    if name in OWN or name in ("dict", "list", "tuple"):
        expected = tg.grad(lambda a, b: use(np, a, b), (0, 1))(X, Y)
        for g, other in zip(unpack(found), expected, strict=True):
            np.testing.assert_array_equal(g, other)
    assert tg.pytree.structure(found) == tg.pytree.structure(tree)
    for g, leaf in zip(tg.tree_leaves(found), tg.tree_leaves(tree), strict=True):
        assert np.shape(g) == np.shape(leaf)
    if name in SHARED:
        theirs = autograd.grad(lambda t: use(anp, *unpack(t)))(tree)
        for g, other in zip(tg.tree_leaves(found), tg.tree_leaves(theirs), strict=True):
            np.testing.assert_allclose(g, other, rtol=1e-12)


@pytest.mark.parametrize("name", [*SHARED, *OWN])
def test_an_argument_that_is_ignored_has_zeros(name):
    tree = (SHARED | OWN)[name][0](X.astype(np.float32), np.zeros((0, 3)))
    for transform in (tg.grad(lambda t: 1.0), tg.grad(lambda t: np.float64(2.0)), tg.grad(lambda t: np.array(3.0)),
                      lambda t: tg.vjp(lambda t: 1.0, t)[1](1.0)[0]):  # fmt: skip
        g = transform(tree)
        assert tg.pytree.structure(g) == tg.pytree.structure(tree)
        for part, leaf in zip(tg.tree_leaves(g), tg.tree_leaves(tree), strict=True):
            assert np.shape(part) == np.shape(leaf)
            assert np.asarray(part).dtype == np.asarray(leaf).dtype
            assert not np.any(part)


STATIC = {
    "int": (3, r"which is a int; .*leave integers out"),
    "numpy int": (np.int64(3), "dtype int64"),
    "int array": (np.arange(2), r"dtype int64; convert it with \.astype\(float\)"),
    "bool": (True, "which is a bool"),
    "mask": (np.array([True]), "leave masks out"),
    "str": ("relu", "which is a str; .*give it as an argument of its own"),
    "function": (np.tanh, "which is a ufunc"),
}


@pytest.mark.parametrize("kind", STATIC)
@pytest.mark.parametrize("pack", [lambda a, s: {"a": a, "s": s}, lambda a, s: [a, s], Layer], ids=range(3))
def test_what_has_no_derivative_is_refused_in_every_container_and_transform(kind, pack):
    """One rule: as when it is asked for alone. JAX does so too; autograd gives arrays of integers zeros."""
    value, words = STATIC[kind]
    tree = pack(X, value)
    f = lambda t: np.sum(tg.tree_leaves(t)[0] ** 2)  # noqa: E731
    for run in (lambda: tg.grad(f)(tree), lambda: tg.value_and_grad(f)(tree), lambda: tg.vjp(f, tree),
                lambda: tg.jvp(f, (tree,), (tree,)), lambda: tg.jacobian(f)(tree),
                lambda: tg.hessian(f)(tree)):  # fmt: skip
        with pytest.raises(DtypeError, match=words):
            run()


@pytest.mark.parametrize("kind", STATIC)
def test_what_has_no_derivative_passes_beside_the_differentiated_argument(kind):
    value = STATIC[kind][0]
    config = {"a": [value, None], "b": Layer(value)}

    def f(x, config):
        assert config["a"][0] is value
        assert config["b"].weight is value
        return np.sum(x**2)

    np.testing.assert_array_equal(tg.grad(f)(X, config), 2 * X)
    np.testing.assert_array_equal(tg.grad(lambda x: f(x, config))(X), 2 * X)


def test_closures():
    def outer(x):
        held = {"x": x, "scale": [2.0]}
        square = lambda y: np.sum(y * held["x"]) * held["scale"][0]  # noqa: E731
        inner = tg.grad(square)(Y[0])  # 2 x, by the closure
        return np.sum(inner * x)

    np.testing.assert_allclose(tg.grad(outer)(X), 4 * X)
    counter = [0.0]

    def counting(x):
        counter[0] += 1.0
        return np.sum(x) * counter[0]

    assert [tg.grad(counting)(X)[0] for _ in range(3)] == [1.0, 2.0, 3.0]


# ---- containers of Tensors and arrays ----
MIXED = {
    "stack": lambda np, x: np.stack([x[0], X[1], 1.0]),
    "stack of arrays": lambda np, x: np.stack([x, X, [1.0, 2.0, 3.0]]),
    "concatenate": lambda np, x: np.concatenate([x, X, x[:1]]),
    "vstack": lambda np, x: np.vstack([x, X]),
    "hstack": lambda np, x: np.hstack([x, X]),
    "where": lambda np, x: np.where(X > 1, x, X * 2) + np.where(x > 1, 0.5, x),
    "a list on the right": lambda np, x: x + [1.0, 2.0, 3.0],
    "a list on the left": lambda np, x: [1.0, 2.0, 3.0] * x,
    "a tuple on the right": lambda np, x: x - (1.0, 2.0, 3.0),
    "a tuple on the left": lambda np, x: (1.0, 2.0, 3.0) / x,
    "a list of Tensors": lambda np, x: x * [x[0], 1.0, x[2]],
    "maximum with a list": lambda np, x: np.maximum(x, [1.0, 1.0, 3.0]),
    "dot with a list": lambda np, x: np.dot([1.0, 2.0, 3.0], x),
    "a matrix product with nested lists": lambda np, x: [[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]] @ x,
    "einsum with a list": lambda np, x: np.einsum("i,i->i", x, [1.0, 2.0, 3.0]),
    "sum of a list": lambda np, x: sum([x, X, 1.0]),
    "dicts of both": lambda np, x: sum(v for v in {"t": x * x, "a": X, "n": 1.0}.values()),
    "tapegrad.array": lambda np, x: tg.array([[x[0], 1.0], [X[1], x[2]]]),
}


@pytest.mark.parametrize("name", MIXED)
def test_tensors_and_arrays_mix(name):
    f = MIXED[name]
    plain = (lambda np, x: np.array([[x[0], 1.0], [X[1], x[2]]])) if name == "tapegrad.array" else f
    value, pullback = tg.vjp(lambda x: f(np, x), X)
    if name not in ("a list of Tensors",):
        np.testing.assert_array_equal(value, plain(np, X))
    tg.testing.check_grads(lambda x: f(np, x), (X,))


# ---- writes ----
def append(x):
    rows = []
    for i in range(3):
        rows.append(x[i] * 2)  # noqa: PERF401
    return np.array(rows)


def written(f):
    """A buffer, after ``f(buffer, x)``."""
    return lambda x: f(np.ones(3), x)


def augmented(symbol):
    return written(lambda buffer, x: symbol(buffer, x))


WRITES = {
    "x[0] =": (lambda x: operator.setitem(x, 0, 1.0), r"index_update\(x, index, value\)"),
    "x[mask] =": (lambda x: operator.setitem(x, x > 1, 0.0), r"np\.where\(mask, value, x\)"),
    "buffer[:] =": (written(lambda b, x: operator.setitem(b, slice(None), x)), r"index_update for buf\[0\] = t"),
    "buffer[mask] =": (written(lambda b, x: operator.setitem(b, X > 1, x[1:])), "index_update"),
    "buffer +=": (augmented(operator.iadd), r"make a new array: x = x \+ t"),
    "buffer @=": (augmented(operator.imatmul), "make a new array"),
    "out=": (written(lambda b, x: np.multiply(x, x, out=b)), "make a new array"),
    "out= of a function": (written(lambda b, x: np.sum(x[None], axis=0, out=b)), r"out=.*x = f\(x\)"),
    "out= a Tensor": (lambda x: np.add(X, 1.0, out=x), "make a new array"),
    "np.add.at": (written(lambda b, x: np.add.at(b, [0, 0], x[0])), "index_add"),
    "np.add.at of a Tensor": (lambda x: np.add.at(x, [0], 1.0), "index_add"),
    "np.put": (written(lambda b, x: np.put(b, [0], x[0])), "index_update"),
    "np.put into a Tensor": (lambda x: np.put(x, [0], 1.0), "index_update"),
    "buffer.put": (written(lambda b, x: b.put(0, x[0])), "index_update"),
    "np.copyto": (written(lambda b, x: np.copyto(b, x)), r"tapegrad\.full"),
    "np.fill_diagonal": (lambda x: np.fill_diagonal(np.outer(x, x), 0.0), r"np\.where with a mask from np\.eye"),
    "np.fill_diagonal with a number": (lambda x: np.fill_diagonal(np.eye(3), x[0]), "index_update"),
    "np.array of a list": (append, r"Use np\.stack for np\.array\(\[t\]\)"),
    "x.sort()": (lambda x: x.sort(), r"np\.sort\(x\), which gives a new array"),
    "x.partition()": (lambda x: x.partition(1), r"np\.partition\(x, k\)"),
    "x.fill()": (lambda x: x.fill(0.0), r"tapegrad\.full\(x\.shape, value\)"),
    "x.put()": (lambda x: x.put(0, 1.0), r"index_update\(x, index, value\)"),
    "x.resize()": (lambda x: x.resize(2), r"np\.reshape"),
    "np.putmask": (lambda x: np.putmask(x, X > 1, 0.0), r"np\.where\(mask, values, x\)"),
    "np.place": (lambda x: np.place(x, X > 1, 0.0), r"np\.where\(mask, values, x\)"),
}  # fmt: skip


@pytest.mark.parametrize("transform", ["grad", "jvp", "vmap", "trace", "scan"])
@pytest.mark.parametrize("name", WRITES)
def test_writes_are_refused_with_the_remedy(name, transform):
    use, remedy = WRITES[name]
    if name == "x[mask] =" and transform == "vmap":
        pytest.skip("the mask itself is refused there")
    run = {
        "grad": lambda: tg.grad(lambda x: (use(x), np.sum(x))[1])(X),
        "jvp": lambda: tg.jvp(use, (X,), (X,)),
        "vmap": lambda: tg.vmap(use)(np.stack([X, X])),
        "trace": lambda: tg.trace(use)(X),
        "scan": lambda: tg.scan(lambda p, s, x: (s, (use(x), x)[1]), None, 0.0, X[None]),
    }[transform]
    with pytest.raises((TracingError, UnsupportedPrimitive), match=remedy):
        run()


def test_a_number_written_into_a_buffer_names_the_remedy_as_its_cause():
    """NumPy asks the Tensor for a float, and puts an error of its own before the answer."""
    for write in (lambda b, t: operator.setitem(b, 0, t), lambda b, t: b.fill(t)):
        for run in (lambda w: tg.grad(lambda x: (w(np.ones(3), x[0]), np.sum(x))[1])(X),
                    lambda w: tg.trace(lambda x: (w(np.ones(3), np.sum(x)), x)[1])(X)):  # fmt: skip
            with pytest.raises(ValueError, match="setting an array element") as caught:
                run(write)
            assert "tapegrad.index_update(buf, i, t)" in str(caught.value.__cause__)


# ---- Python's own protocols ----
def test_copies_are_the_tensor_itself():
    def f(x):
        held = copy.deepcopy({"a": [x], "b": Layer(x)})
        return np.sum(copy.copy(x) * held["a"][0] * copy.deepcopy(held)["b"].weight)

    np.testing.assert_allclose(tg.grad(f)(X), 3 * X**2)
    np.testing.assert_allclose(tg.jvp(f, (X,), (np.ones(3),))[1], np.sum(3 * X**2))
    np.testing.assert_allclose(tg.vmap(f)(np.stack([X, X])), [np.sum(X**3)] * 2)
    np.testing.assert_allclose(tg.grad(tg.checkpoint(f))(X), 3 * X**2)


def test_a_tensor_cannot_be_pickled():
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TracingError, match=r"cannot be pickled.*pickle the result, or read t\.value"):
            tg.grad(lambda x, p=protocol: (pickle.dumps([x], p), np.sum(x))[1])(X)


PROTOCOLS = {
    "float": (float, TracingError), "int": (int, TracingError), "complex": (complex, TracingError),
    "index": (operator.index, TypeError), "percent": (lambda t: "%.2f" % t, TracingError),  # noqa: UP031
    "item": (lambda t: t.item(), TracingError), "len": (len, TypeError), "iter": (lambda t: list(t), TypeError),
    "bytes": (memoryview, TypeError),
}  # fmt: skip


@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_would_cut_a_number_from_its_gradient_is_refused(name):
    use, error = PROTOCOLS[name]
    with pytest.raises(error):
        tg.grad(lambda x: (use(x[0]), x[0])[1])(X)


def test_what_python_may_ask():
    def f(x):
        assert f"{x[1]:.1f}" == "1.5"
        assert f"{x[1]}" == "Tensor(np.float64(1.5))"
        assert len(x) == 3
        assert {x: 1}[x] == 1
        assert x[0] < x[1]
        assert not x[0] > x[1]
        assert x[0] in [0.5, 1.0]
        assert (x == None) is False  # noqa: E711 - as for any object
        assert [v.shape for v in x] == [()] * 3
        assert max(x) is not None
        assert isinstance(sorted(x, reverse=True)[0], tg.Tensor)
        return sum(sorted(x)[1:]) + max(x)

    np.testing.assert_array_equal(tg.grad(f)(X), [0.0, 1.0, 2.0])
