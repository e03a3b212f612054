"""checkpoint, custom rules, user primitives and stop_gradient: alone, in each other, and inside scan."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.errors import StructureError, TapegradError, UnsupportedPrimitive
from tapegrad.testing import check_grads, programs

X = np.array([0.5, -1.5, 0.9])


# ---- one function, x^2 sin x, with its derivative given in every way ----
def plain(x):
    return x * x * np.sin(x)


def slope(x):
    return 2 * x * np.sin(x) + x * x * np.cos(x)


def by_vjp():
    f = tg.custom_vjp(plain)
    f.defvjp(lambda g, ans, x: g * slope(x))
    return f


def by_jvp():
    f = tg.custom_jvp(plain)
    f.defjvp(lambda tangents, ans, x: tangents[0] * slope(x))
    return f


def by_primitive_vjp():
    return tg.primitive(plain, shape=lambda x: x.shape, name="plain").defvjp(lambda g, ans, x: g * slope(x))


def by_primitive_jvp():
    return tg.primitive(plain, shape=lambda x: x.shape, name="plain").defjvp(lambda t, ans, x: t * slope(x))


WAYS = {
    "checkpoint": lambda: tg.checkpoint(plain),
    "custom_vjp": by_vjp,
    "custom_jvp": by_jvp,
    "primitive, vjp": by_primitive_vjp,
    "primitive, jvp": by_primitive_jvp,
    "checkpoint of checkpoint": lambda: tg.checkpoint(tg.checkpoint(plain)),
    "checkpoint of custom_vjp": lambda: tg.checkpoint(by_vjp()),
    "checkpoint of primitive": lambda: tg.checkpoint(by_primitive_jvp()),
    "custom_vjp of custom_jvp": lambda: _wrapped(tg.custom_vjp, by_jvp()),
    "custom_jvp of checkpoint": lambda: _wrapped(tg.custom_jvp, tg.checkpoint(plain)),
    "custom_jvp of primitive": lambda: _wrapped(tg.custom_jvp, by_primitive_vjp()),
}


def _wrapped(kind, inner):
    f = kind(lambda x: inner(x))
    if kind is tg.custom_vjp:
        f.defvjp(lambda g, ans, x: g * slope(x))
    else:
        f.defjvp(lambda tangents, ans, x: tangents[0] * slope(x))
    return f


EVERY = pytest.mark.parametrize("way", WAYS)


@EVERY
def test_derivatives_to_third_order_in_every_nesting(way):
    check_grads(WAYS[way](), (X,), order=3, rtol=1e-6)


@EVERY
def test_values_and_both_modes_agree_with_the_plain_function(way):
    f = WAYS[way]()
    np.testing.assert_array_equal(f(X), plain(X))
    assert f(0.5) == plain(0.5)
    np.testing.assert_allclose(tg.elementwise_grad(f)(X), slope(X))
    np.testing.assert_allclose(tg.jvp(f, (X,), (X,))[1], X * slope(X))
    np.testing.assert_allclose(tg.jacobian(f, mode="rev")(X), np.diag(slope(X)), atol=1e-14)
    np.testing.assert_allclose(tg.jacobian(f, mode="fwd")(X), np.diag(slope(X)), atol=1e-14)
    single = X.astype(np.float32)
    value, pullback = tg.vjp(f, single)
    assert value.dtype == pullback(np.ones_like(value))[0].dtype == np.float32


@EVERY
def test_inside_scan(way):
    f, xs = WAYS[way](), np.stack([X, 2 * X])
    looped = lambda f: lambda w, xs: tg.scan(lambda w, s, x: (0.5 * f(s * w) + x, s), w, X, xs)  # noqa: E731
    run, expected = looped(f), looped(plain)
    check_grads(run, (0.7, xs), order=2)
    found, wanted = (tg.jacobian(lambda w, r=r: r(w, xs)[0])(0.7) for r in (run, expected))
    np.testing.assert_allclose(found, wanted)


@EVERY
def test_under_vmap(way):
    f, rows = WAYS[way](), np.stack([X, 2 * X])
    np.testing.assert_allclose(tg.vmap(f)(rows), plain(rows))
    np.testing.assert_allclose(tg.vmap(tg.elementwise_grad(f))(rows), slope(rows))
    np.testing.assert_allclose(tg.elementwise_grad(tg.vmap(f))(rows), slope(rows))


@pytest.mark.parametrize("way", ["custom_vjp", "custom_jvp", "primitive, vjp", "primitive, jvp"])
def test_the_given_rule_is_used_everywhere(way):
    """A rule that is wrong on purpose shows wherever the function stands."""
    f = {
        "custom_vjp": lambda: _with(tg.custom_vjp(plain), "defvjp", lambda g, ans, x: g * 7.0),
        "custom_jvp": lambda: _with(tg.custom_jvp(plain), "defjvp", lambda t, ans, x: t[0] * 7.0),
        "primitive, vjp": lambda: tg.primitive(plain, shape=lambda x: x.shape).defvjp(lambda g, ans, x: g * 7.0),
        "primitive, jvp": lambda: tg.primitive(plain, shape=lambda x: x.shape).defjvp(lambda t, ans, x: t * 7.0),
    }[way]()
    for wrap in (lambda f: f, tg.checkpoint, lambda f: lambda x: tg.vmap(f)(x),
                 lambda f: lambda x: tg.scan(lambda p, s, v: (s, f(v)), None, 0.0, x)[1]):  # fmt: skip
        np.testing.assert_array_equal(tg.elementwise_grad(wrap(f))(X), np.full(3, 7.0))
        np.testing.assert_array_equal(tg.jvp(wrap(f), (X,), (np.ones(3),))[1], np.full(3, 7.0))


def _with(f, name, rule):
    getattr(f, name)(rule)
    return f


# ---- several arguments and results, pytrees ----
def test_custom_vjp_of_pytrees():
    @tg.custom_vjp
    def f(t, n, y):
        return {"a": t["x"] * y * n, "b": np.sum(t["x"])}

    @f.defvjp
    def rule(g, ans, t, n, y):
        return {"x": g["a"] * y * n + g["b"]}, None, np.sum(g["a"] * t["x"]) * n

    check_grads(lambda t, y: f(t, 3, y), ({"x": X}, 2.0))


def test_custom_jvp_of_pytrees():
    @tg.custom_jvp
    def f(t, y):
        return t["x"] * y, np.sum(t["x"])

    @f.defjvp
    def rule(tangents, ans, t, y):
        dt, dy = tangents
        return dt["x"] * y + t["x"] * dy, np.sum(dt["x"])

    check_grads(f, ({"x": X}, 2.0))


def test_a_primitive_of_two_arguments_with_one_rule():
    f = tg.primitive(lambda x, n: x**n, shape=lambda x, n: x.shape)
    f.defvjp(lambda g, ans, x, n: g * n * x ** (n - 1), None)
    check_grads(lambda x: f(x, 3), (X,))
    check_grads(lambda x: f(x, np.array([1, 2, 3])), (X,))


def test_a_rule_may_broadcast():
    f = tg.primitive(np.multiply, shape=lambda x, y: np.broadcast_shapes(x.shape, y.shape))
    f.defvjp(lambda g, ans, x, y: g * y, lambda g, ans, x, y: g * x)
    check_grads(f, (X, np.ones((2, 1))))


def test_numpy_code_that_the_engine_cannot_look_into():
    def sort(x):
        out = np.empty_like(x)
        for i, j in enumerate(np.argsort(x)):
            out[i] = x[j]
        return out

    sorted_ = tg.primitive(sort, shape=lambda x: x.shape).defjvp(lambda t, ans, x: t[np.argsort(x)])
    np.testing.assert_array_equal(sorted_(X), np.sort(X))
    np.testing.assert_array_equal(tg.jacobian(sorted_)(X), np.eye(3)[np.argsort(X)])


# ---- stop_gradient ----
def test_stop_gradient():
    np.testing.assert_array_equal(tg.elementwise_grad(lambda x: x * tg.stop_gradient(x))(X), X)
    np.testing.assert_array_equal(tg.jvp(lambda x: x * tg.stop_gradient(x), (X,), (np.ones(3),))[1], X)
    tree = {"a": X, "b": [3, None, "text"]}
    assert tg.stop_gradient(tree)["b"] == [3, None, "text"]
    straight_through = lambda x: x + tg.stop_gradient(np.rint(x) - x)  # noqa: E731
    np.testing.assert_array_equal(straight_through(X), np.rint(X))
    np.testing.assert_array_equal(tg.elementwise_grad(straight_through)(X), np.ones(3))


def test_stop_gradient_stops_every_level():
    f = lambda x: np.sum(tg.stop_gradient(x**3) + x)  # noqa: E731
    np.testing.assert_array_equal(tg.grad(f)(X), np.ones(3))
    np.testing.assert_array_equal(tg.hessian(f)(X), np.zeros((3, 3)))
    inner = lambda x: tg.grad(lambda y: tg.stop_gradient(x) * y * y * x)(2.0)  # noqa: E731
    assert tg.grad(inner)(3.0) == 12.0


@pytest.mark.parametrize("wrap", [tg.checkpoint, lambda f: lambda x: tg.vmap(f)(x),
                                  lambda f: lambda x: tg.scan(lambda p, s, v: (s, f(v)), None, 0.0, x)[1]])  # fmt: skip
def test_stop_gradient_survives_tracing(wrap):
    f = wrap(lambda x: x * tg.stop_gradient(np.sin(x)))
    np.testing.assert_allclose(tg.elementwise_grad(f)(X), np.sin(X))


def test_truncated_backpropagation_by_stop_gradient():
    step = lambda w, s, x: ((lambda h: (tg.stop_gradient(h), h))(np.tanh(s * w + x)))  # noqa: E731
    f = lambda w: np.sum(tg.scan(step, w, 0.3, X)[1])  # noqa: E731
    s, expected = 0.3, 0.0
    for x in X:
        h = np.tanh(s * 0.8 + x)
        expected, s = expected + (1 - h * h) * s, h
    assert tg.grad(f)(0.8) == pytest.approx(expected)


# ---- checkpoint ----
@given(programs(), st.integers(0, 9))
def test_checkpoint_changes_nothing(program, seed):
    check_grads(tg.checkpoint(program), program.args, order=1, seed=seed)
    value, pullback = tg.vjp(program, *program.args)
    other, again = tg.vjp(tg.checkpoint(program), *program.args)
    np.testing.assert_allclose(other, value, rtol=1e-12, atol=1e-13)
    for a, b in zip(again(np.ones_like(value)), pullback(np.ones_like(value)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


def test_checkpoint_keeps_the_arguments_only():
    f = lambda x: np.tanh(np.sin(np.exp(np.tanh(x))))  # noqa: E731
    _, pullback = tg.vjp(tg.checkpoint(f), X)
    assert [node.primitive.name for node in pullback.tape.nodes if node] == ["call"]


def test_checkpoint_passes_on_what_is_no_array():
    f = tg.checkpoint(lambda x, name, n, flag: {"y": x * n if flag else x, "name": name})
    found = f(X, "text", 3, True)
    assert found["name"] == "text"
    np.testing.assert_array_equal(found["y"], 3 * X)
    check_grads(lambda x: f(x, "text", 3, True)["y"], (X,))


# ---- what is refused ----
def test_a_function_without_its_rule():
    for f in (tg.custom_vjp(plain), tg.custom_jvp(plain)):
        with pytest.raises(UnsupportedPrimitive, match=r"plain has no rule yet; set one with plain\.defvjp"):
            f(X)
    bare = tg.primitive(plain, name="bare")
    np.testing.assert_array_equal(bare(X), plain(X))
    with pytest.raises(UnsupportedPrimitive, match=r"^bare cannot be differentiated.*\.defvjp\(lambda g, ans, x"):
        tg.elementwise_grad(bare)(X)
    with pytest.raises(UnsupportedPrimitive, match=r"^bare cannot be differentiated.*\.defjvp\(lambda tangent, ans, x"):
        tg.jvp(bare, (X,), (X,))
    with pytest.raises(UnsupportedPrimitive, match=r"bare cannot be traced .*: give primitive\(\.\.\., shape=rule\)"):
        tg.trace(bare)(X)


def test_a_wrong_number_of_rules_or_cotangents():
    f = tg.primitive(np.multiply, name="times").defvjp(lambda g, ans, x, y: g * y)
    with pytest.raises(UnsupportedPrimitive, match="times cannot .*it has 1 rules and was called with 2 arguments"):
        tg.elementwise_grad(f)(X, X)

    @tg.custom_vjp
    def h(x, y):
        return x * y

    h.defvjp(lambda g, ans, x, y: g * y)
    with pytest.raises(StructureError, match="custom_vjp of h: the rule returned 1 cotangents for 2 arguments"):
        tg.elementwise_grad(h)(X, X)


def test_a_registered_name_twice():
    from tapegrad.primitives import Primitive

    with pytest.raises(TapegradError, match="primitive 'add' is registered twice; choose another name"):
        Primitive("add")
    assert tg.primitive(plain, name="add") is not tg.primitive(plain, name="add"), "a notebook runs its cells again"
