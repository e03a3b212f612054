"""Levels: derivatives of derivatives are not confused, and a Tensor does not outlive its trace."""

import threading

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import TracingError


# ---- perturbation confusion ----
def test_the_standard_example():
    assert tg.grad(lambda x: x * tg.grad(lambda y: x + y)(1.0))(1.0) == 1.0


def derivative(mode):
    return tg.grad if mode == "rev" else lambda f: lambda x: tg.jvp(f, (x,), (np.ones_like(x),))[1]


@pytest.mark.parametrize("inner", ["rev", "fwd"])
@pytest.mark.parametrize("outer", ["rev", "fwd"])
def test_it_holds_in_every_pair_of_modes(outer, inner):
    d_outer, d_inner = derivative(outer), derivative(inner)
    assert d_outer(lambda x: x * d_inner(lambda y: x + y)(1.0))(1.0) == 1.0
    assert d_outer(lambda x: x * d_inner(lambda y: x * y)(x))(3.0) == 6.0
    assert d_outer(lambda x: d_inner(lambda y: x * y * y)(x))(3.0) == pytest.approx(12.0)
    assert d_outer(lambda x: d_inner(lambda y: 5.0 * x)(1.0))(2.0) == 0.0, "the inner function ignores its argument"
    assert d_outer(lambda x: d_inner(lambda y: y * y)(2.0))(1.0) == 0.0, "the outer function ignores its argument"


@pytest.mark.parametrize("modes", [("rev", "fwd", "rev"), ("fwd", "rev", "fwd"), ("rev",) * 3, ("fwd",) * 3])
def test_three_deep(modes):
    a, b, c = map(derivative, modes)
    f = a(lambda x: x * b(lambda y: y * x * c(lambda z: x * y * z**2)(y))(x))
    # c: 2xyz at z = y gives 2xy^2; b of 2x^2y^3 is 6x^2y^2 at y = x, so 6x^4; a of 6x^5 is 30x^4
    assert f(1.5) == pytest.approx(30 * 1.5**4)


def test_the_argument_of_one_level_as_the_constant_of_another():
    f = lambda x: tg.grad(lambda y: x**3 * y)(2.0)  # noqa: E731
    assert tg.grad(f)(2.0) == pytest.approx(12.0)
    assert tg.grad(tg.grad(f))(2.0) == pytest.approx(12.0)


def test_a_higher_order_function_with_a_shared_closure():
    """The example of Manzyuk et al. 2019: a curried function whose derivative is taken at each application."""
    d = lambda f: lambda x: tg.jvp(f, (x,), (1.0,))[1]  # noqa: E731
    s = lambda u: lambda f: lambda x: f(x + u)  # noqa: E731
    dhat = lambda f: lambda x: tg.jvp(lambda u: s(u)(f)(x), (0.0,), (1.0,))[1]  # noqa: E731
    assert dhat(dhat(np.exp))(1.0) == pytest.approx(np.e)
    assert d(dhat(np.exp))(1.0) == pytest.approx(np.e)


@pytest.mark.parametrize("wrap", [tg.checkpoint, lambda f: tg.vmap(f, in_axes=0)])
def test_levels_through_checkpoint_and_vmap(wrap):
    x = np.array([1.0, 2.0])
    f = lambda x: np.sum(x * wrap(lambda y: tg.grad(lambda z: np.sum(z * z * np.sum(x)))(y))(x))  # noqa: E731
    # the inner derivative is 2 y sum(x); f = 2 sum(x^2) sum(x)
    np.testing.assert_allclose(tg.grad(f)(x), 4 * x * x.sum() + 2 * (x * x).sum())


def test_a_gradient_under_vmap_over_a_closure():
    rows = np.arange(3.0)
    found = tg.vmap(lambda a: tg.grad(lambda x: a * x**3)(2.0))(rows)
    np.testing.assert_allclose(found, 12.0 * rows)


# ---- closures over traced values ----
def test_closures_over_traced_values():
    def f(x):
        inner = lambda y: np.sin(x * y)  # noqa: E731
        return inner(2.0) + inner(x)

    assert tg.grad(f)(0.5) == pytest.approx(2 * np.cos(1.0) + np.cos(0.25))


@pytest.mark.parametrize("wrap", [lambda f: f, tg.checkpoint, lambda f: tg.vmap(f, in_axes=(0,))])
def test_every_transform_sees_what_is_closed_over(wrap):
    w, x = np.array([2.0, 3.0]), np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    f = lambda w: np.sum(wrap(lambda row: np.tanh(row * w))(x))  # noqa: E731
    np.testing.assert_allclose(tg.grad(f)(w), np.sum(x / np.cosh(x * w) ** 2, axis=0))
    np.testing.assert_allclose(tg.jvp(f, (w,), (w,))[1], np.sum(x * w / np.cosh(x * w) ** 2))


def test_custom_rules_stop_what_is_closed_over():
    def f(w):
        @tg.custom_vjp
        def times(x):
            return x * w

        times.defvjp(lambda g, ans, x: g * 10.0)
        return times(w)

    assert tg.grad(f)(3.0) == 10.0, "the rule speaks for the argument, and nothing flows to the closure"


# ---- escaped tracers ----
def kept_by(transform):
    """A Tensor that a transformed function leaves behind."""
    kept = []

    def f(x):
        kept.append(x * 1.0)
        return np.sum(x)

    transform(f)
    return kept[-1]


X = np.ones(2)
ESCAPES = {
    "gradient": lambda f: tg.grad(f)(X),
    "jvp": lambda f: tg.jvp(f, (X,), (X,)),
    "vmap": lambda f: tg.vmap(f)(np.ones((3, 2))),
    "trace": lambda f: tg.trace(f)(X),
}
MORE = ESCAPES | {
    "checkpoint": lambda f: tg.checkpoint(f)(X),
    "step": lambda f: tg.scan(lambda p, s, x: (s, f(x)), None, 0.0, np.ones((3, 2))),
    "hessian": lambda f: tg.hessian(f)(X),
}


@pytest.mark.parametrize("name", MORE)
@pytest.mark.parametrize(
    "use",
    [lambda t: t + 1, lambda t: np.sin(t), lambda t: t[0], lambda t: np.stack([t]), lambda t: t @ np.ones(2),
     lambda t: tg.grad(lambda x: np.sum(x * t))(X), lambda t: tg.vmap(lambda x: x * t)(np.ones((3, 2))),
     lambda t: tg.checkpoint(lambda x: x * t)(X),
     lambda t: tg.stop_gradient(t), lambda t: bool(np.all(t > 0))],
)  # fmt: skip
def test_an_escaped_tensor_raises(name, use):
    with pytest.raises(TracingError, match="must not be kept|kept beyond|return it instead|not known while"):
        use(kept_by(MORE[name]))


@pytest.mark.parametrize(("name", "purpose"), [(name, name) for name in ESCAPES])
def test_the_message_names_the_transformation_and_the_remedy(name, purpose):
    with pytest.raises(TracingError, match=rf"^multiply: .* whose {purpose} has ended.*: return it instead"):
        kept_by(ESCAPES[name]) * 2


def test_a_tensor_that_escapes_by_an_exception():
    kept = []

    def f(x):
        kept.append(x)
        raise RuntimeError("stop here")

    with pytest.raises(RuntimeError, match="stop here"):
        tg.grad(f)(1.0)
    with pytest.raises(TracingError, match="has ended"):
        kept[0] + 1.0
    assert tg.grad(np.sin)(0.0) == 1.0, "the levels are what they were"


def test_an_escaped_tensor_meets_one_of_the_same_level():
    old = kept_by(ESCAPES["gradient"])
    with pytest.raises(TracingError, match=r"unrelated traces|has ended"):
        tg.grad(lambda x: np.sum(x * old))(X)


def test_a_pullback_may_outlive_its_function_and_be_called_again():
    y, pullback = tg.vjp(lambda x: x**3, np.array([1.0, 2.0]))
    for _ in range(2):
        np.testing.assert_array_equal(pullback(np.ones(2))[0], [3.0, 12.0])


# ---- threads ----
def in_thread(f):
    found = []

    def run():
        try:
            found.append(f())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def test_threads_have_levels_of_their_own():
    def f(x):
        inside = in_thread(lambda: tg.grad(lambda z: z * z)(3.0))
        return x * inside

    assert tg.grad(f)(1.0) == 6.0


def test_many_threads_at_once():
    barrier, found = threading.Barrier(4), [None] * 4

    def run(i):
        barrier.wait()
        for _ in range(50):
            found[i] = tg.hessian(lambda x: np.sum(np.sin(x * i)))(np.array([0.3, 0.4]))

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, h in enumerate(found):
        np.testing.assert_allclose(h, np.diag(-(i**2) * np.sin(i * np.array([0.3, 0.4]))), atol=1e-14)


def test_a_tensor_of_another_thread_meets_one_of_this():
    def f(x):
        return in_thread(lambda: tg.grad(lambda y: y * x)(2.0))

    with pytest.raises(TracingError, match="another thread|unrelated traces"):
        tg.grad(f)(1.0)
