"""jacobian, hessian, hvp and elementwise_grad against each other, and nestings of all transforms with each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.testing import RoughDerivative, arrays, check_grads, programs, shapes
from tapegrad.testing.differences import directional


def close(a, b, tolerance=1e-9):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, np.max(np.abs(b), initial=0.0)))


@given(programs())
def test_jacobians_in_both_modes_are_stacked_gradients(program):
    args = program.args
    value = np.asarray(program(*args))
    for number, x in enumerate(args):
        rows = [
            tg.grad(lambda *a, i=i: np.ravel(program(*a))[i], number)(*args).ravel() for i in range(value.size)
        ]
        expected = np.reshape(rows, value.shape + x.shape) if rows else np.zeros(value.shape + x.shape)
        for mode in ("rev", "fwd", "auto"):
            found = tg.jacobian(program, number, mode)(*args)
            close(found, expected)
            assert found.dtype == x.dtype


@given(programs(scalar=True, inputs=[(2,), (2, 2)]))
def test_hessians_are_symmetric_and_agree_with_hvp(program):
    x, y = program.args
    h = tg.hessian(program)(x, y)
    close(h, np.swapaxes(h, 0, 1))
    close(h, tg.jacobian(tg.grad(program), mode="rev")(x, y))
    close(h, tg.jacobian(tg.jacobian(program, mode="fwd"), mode="fwd")(x, y))
    v = np.array([0.7, -0.4])
    close(tg.hvp(lambda x: program(x, y), x, v), h @ v)
    assert tg.hessian(program, 1)(x, y).shape == (2, 2, 2, 2)


@given(arrays(shapes(min_side=0)))
def test_elementwise_grad_is_the_diagonal(x):
    close(tg.elementwise_grad(np.tanh)(x), 1 - np.tanh(x) ** 2)
    second = tg.elementwise_grad(tg.elementwise_grad(np.sin))(x)
    close(second, -np.sin(x))
    close(tg.elementwise_grad(lambda a, b: a * b**2, 1)(x, x + 1), 2 * x * (x + 1))


def test_jacobians_of_float32_and_of_empty_arrays():
    x = np.ones((2, 3), np.float32)
    for mode in ("rev", "fwd"):
        assert tg.jacobian(lambda x: x * 2, mode=mode)(x).dtype == np.float32
        assert tg.jacobian(lambda x: x[:0], mode=mode)(x).shape == (0, 3, 2, 3)
        assert tg.jacobian(lambda x: np.sum(x), mode=mode)(x[:0]).shape == (0, 3)
    assert tg.jacobian(lambda x: x)(2.0) == 1.0


# ---- nestings drawn at random ----
def through_grad(f):
    """The directional derivative by reverse mode."""
    return lambda x: np.sum(tg.grad(f)(x) * DIRECTION)


def through_jvp(f):
    return lambda x: tg.jvp(f, (x,), (DIRECTION,))[1]


def through_vjp(f):
    def derived(x):
        _, pullback = tg.vjp(f, x)
        return np.sum(pullback(1.5)[0] * DIRECTION)

    return derived


def through_jacobian(mode):
    return lambda f: lambda x: np.sum(tg.jacobian(f, mode=mode)(x) * DIRECTION)


def through_vmap(f):
    """A sum over a batch of shifted arguments."""
    return lambda x: np.sum(tg.vmap(lambda shift: f(x + shift * DIRECTION))(SHIFTS))


def through_vmap_of_grad(f):
    return lambda x: np.sum(tg.vmap(lambda shift, d: d * np.sum(tg.grad(f)(x * shift)), (0, 0))(SHIFTS, SHIFTS))


def through_scan(f):
    """Two steps of x <- x + 0.1 f(x) direction, and the sum of what was seen."""

    def derived(x):
        end, seen = tg.scan(lambda p, s, shift: (s + 0.1 * p * DIRECTION, f(s) * shift), 0.5 * f(x), x, SHIFTS)
        return np.sum(seen) + np.sum(end * end)

    return derived


def through_scan_of_grad(f):
    """Gradient descent inside the loop."""

    def derived(x):
        end, _ = tg.scan(lambda _, s, rate: (s - 0.1 * rate * tg.grad(f)(s), None), None, x, SHIFTS)
        return f(end)

    return derived


SHIFTS, DIRECTION = np.array([0.3, -0.2]), np.array([0.6, -0.8])
WRAPPERS = {
    "grad": through_grad,
    "jvp": through_jvp,
    "vjp": through_vjp,
    "vmap": through_vmap,
    "vmap of grad": through_vmap_of_grad,
    "jacobian rev": through_jacobian("rev"),
    "jacobian fwd": through_jacobian("fwd"),
    "checkpoint": tg.checkpoint,
    "checkpoint of grad": lambda f: tg.checkpoint(through_grad(f)),
    "scan": through_scan,
    "scan of grad": through_scan_of_grad,
}


@given(programs(inputs=[(2,)], scalar=True, max_length=3), st.lists(st.sampled_from(list(WRAPPERS)), max_size=2))
def test_nestings_of_transforms(program, names):
    """Each wrapper makes a scalar function of the same argument; its derivatives are checked by evaluating it."""
    f = program
    for name in names:
        f = WRAPPERS[name](f)
    try:
        check_grads(f, program.args, order=1, rtol=1e-6)
    except RoughDerivative:  # up to three derivatives may grow large
        return


PLAIN = {
    "grad": lambda f: lambda x: slope(f, x),
    "jvp": lambda f: lambda x: slope(f, x),
    "vjp": lambda f: lambda x: 1.5 * slope(f, x),
    "jacobian rev": lambda f: lambda x: slope(f, x),
    "jacobian fwd": lambda f: lambda x: slope(f, x),
    "vmap": lambda f: lambda x: sum(f(x + shift * DIRECTION) for shift in SHIFTS),
    "checkpoint": lambda f: f,
    "checkpoint of grad": lambda f: lambda x: slope(f, x),
    "scan": lambda f: lambda x: by_loop(f, x),
}


def slope(f, x):
    return directional(lambda x: [np.asarray(f(x))], [x], [DIRECTION]).value[0]


def by_loop(f, x):
    s, seen, p = x, 0.0, 0.5 * f(x)
    for shift in SHIFTS:
        seen, s = seen + f(s) * shift, s + 0.1 * p * DIRECTION
    return seen + np.sum(s * s)


@pytest.mark.parametrize("outer", PLAIN)
@given(programs(inputs=[(2,)], scalar=True, max_length=2), st.sampled_from(list(PLAIN)))
def test_every_pair_has_the_value_it_stands_for(outer, program, inner):
    """The inner transform on Tensors of the outer one, against both spelled out without differentiation."""
    (x,) = program.args
    found = WRAPPERS[outer](WRAPPERS[inner](program))(x)
    exact = WRAPPERS[inner](program)
    close(found, PLAIN[outer](exact)(x), 1e-6)
    close(exact(x), PLAIN[inner](program)(x), 1e-6)


def test_four_levels():
    f = lambda x: np.sum(np.sin(x) ** 3)  # noqa: E731
    x = np.array([0.4, 0.9])
    along = lambda f: lambda x: tg.jvp(f, (x,), (np.ones(2),))[1]  # noqa: E731
    forward = along(along(along(along(f))))(x)
    reverse = through = f
    for _ in range(4):
        reverse = (lambda g: lambda x: np.sum(tg.grad(g)(x)))(reverse)
    for wrap in (along, lambda g: lambda x: np.sum(tg.grad(g)(x))) * 2:
        through = wrap(through)
    # d^4 sin^3 = 60 sin cos^2 ... written by the identity sin^3 = (3 sin x - sin 3x) / 4
    expected = np.sum((3 * np.sin(x) - 81 * np.sin(3 * x)) / 4)
    for found in (forward, reverse(x), through(x)):
        assert found == pytest.approx(expected, rel=1e-12)


# ---- vmap ----
def test_vmap_axes():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(4, 3, 2)), rng.normal(size=(2, 5))
    f = lambda x, w: np.tanh(x @ w)  # noqa: E731
    for axis in (0, 1, -2):
        for out in (0, 1, -1):
            found = tg.vmap(f, (axis, None), out)(x, w)
            rows = [f(np.take(x, i, axis), w) for i in range(x.shape[axis])]
            close(found, np.stack(rows, out), 1e-13)
    found = tg.vmap(tg.vmap(f, (0, None)), (1, None))(x, w)
    close(found, np.swapaxes(f(x, w), 0, 1), 1e-13)
    found = tg.vmap(lambda t: t["a"] * t["b"], ({"a": 0, "b": None},))({"a": np.arange(3.0), "b": 2.0})
    close(found, 2.0 * np.arange(3.0))
    close(tg.vmap(lambda x: 3.0)(np.ones(2)), [3.0, 3.0])
    close(tg.vmap(lambda x, y: y, (0, None))(np.ones(2), np.arange(3.0)), np.broadcast_to(np.arange(3.0), (2, 3)))


def test_vmap_of_vmap_of_random_axes():
    x = np.arange(24.0).reshape(2, 3, 4)
    inner = lambda row: np.sum(row * row)  # noqa: E731
    close(tg.vmap(tg.vmap(inner, 1), 0)(x), np.sum(x * x, axis=1))
    close(tg.grad(lambda x: np.sum(tg.vmap(tg.vmap(inner, 0), 2)(x)))(x), 2 * x)


def test_per_example_gradients():
    rng = np.random.default_rng(0)
    w, xs, ys = rng.normal(size=3), rng.normal(size=(5, 3)), rng.normal(size=5)
    loss = lambda w, x, y: (np.tanh(x @ w) - y) ** 2  # noqa: E731
    found = tg.vmap(tg.grad(loss), (None, 0, 0))(w, xs, ys)
    close(found, np.stack([tg.grad(loss)(w, x, y) for x, y in zip(xs, ys, strict=True)]))


def test_a_pullback_of_leaves_takes_none_for_zero():
    point = {"x": np.array(3.0), "y": np.array(5.0)}
    result, pullback = tg.vjp(lambda p: {"a": p["x"] ** 2, "b": p["x"] * p["y"]}, point)
    assert sorted(result) == ["a", "b"]
    one = np.array(1.0)
    assert [float(g) for g in pullback.of_leaves([one, one])] == [11.0, 3.0]
    assert [float(g) for g in pullback.of_leaves([None, one])] == [5.0, 3.0]
    assert [float(g) for g in pullback.of_leaves([one, None])] == [6.0, 0.0]
    assert [float(g) for g in pullback.of_leaves([None, None])] == [0.0, 0.0]
