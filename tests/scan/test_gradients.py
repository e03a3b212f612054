"""A scan and the same Python loop: equal values and derivatives of both orders, in both modes, batched or not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg


def lstm_like(params, state, x):
    h, c = state
    i = 1 / (1 + np.exp(-(x @ params["Wi"] + h @ params["Ui"])))
    g = np.tanh(x @ params["Wg"] + h @ params["Ug"] + params["b"])
    c = 0.9 * c + i * g
    h = np.tanh(c)
    return (h, c), {"h": h, "gate": i}


def loop(step, params, state, xs, reverse=False):
    """The scan, spelled out."""
    length = len(xs)
    ys = [None] * length
    for t in reversed(range(length)) if reverse else range(length):
        state, ys[t] = step(params, state, xs[t])
    return state, tg.tree_map(lambda *rows: np.stack(rows), *ys)


def draw(rng, T=5, B=3, features=2, H=4):
    shapes = {"Wi": (features, H), "Ui": (H, H), "Wg": (features, H), "Ug": (H, H), "b": (H,)}
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    return params, (rng.normal(size=(B, H)), rng.normal(size=(B, H))), rng.normal(size=(T, B, features))


def row(tree, i):
    return tg.tree_map(lambda a: a[i], tree)


def close(a, b, tolerance=1e-12):
    tg.tree_map(lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance), a, b)


def inner(a, b):
    return sum(np.sum(x * y) for x, y in zip(tg.tree_leaves(a), tg.tree_leaves(b), strict=True))


def losses(rng, reverse, **options):
    """The same loss through scan and through a loop; it reads final states and every output."""
    weight = rng.normal(size=(3, 4))

    def score(state, ys):
        return np.sum(ys["h"] * weight) + np.sum(ys["gate"] ** 2) + np.sum(np.sin(state[1]))

    scanned = lambda p, s, xs: score(*tg.scan(lstm_like, p, s, xs, reverse=reverse, **options))  # noqa: E731
    looped = lambda p, s, xs: score(*loop(lstm_like, p, s, xs, reverse))  # noqa: E731
    return scanned, looped


@pytest.mark.parametrize("reverse", [False, True])
def test_every_derivative_equals_that_of_the_loop(rng, reverse):
    scanned, looped = losses(rng, reverse)
    args = draw(rng)
    moves = tg.tree_map(lambda a: rng.normal(size=a.shape), args)
    every = (0, 1, 2)
    close(tg.value_and_grad(scanned, every)(*args), tg.value_and_grad(looped, every)(*args))
    close(tg.jvp(scanned, args, moves), tg.jvp(looped, args, moves))
    for outer in (
        lambda f: tg.jvp(tg.grad(f, every), args, moves)[1],  # forward over reverse
        lambda f: tg.grad(lambda p: inner(tg.grad(f, every)(p, *args[1:]), moves))(args[0]),  # reverse over reverse
        lambda f: tg.grad(lambda p: tg.jvp(lambda q: f(q, *args[1:]), (p,), (moves[0],))[1])(args[0]),  # over forward
        lambda f: tg.hessian(lambda b: f(args[0] | {"b": b}, *args[1:]))(args[0]["b"]),
        lambda f: tg.jacobian(lambda s: f(args[0], s, args[2]), mode="fwd")(args[1]),
    ):
        close(outer(scanned), outer(looped), 1e-10)


def test_third_order(rng):
    scanned, looped = losses(rng, False)
    args = draw(rng, T=3)
    one = lambda f: lambda z: f(args[0] | {"b": args[0]["b"] + z}, *args[1:])  # noqa: E731
    third = lambda f: tg.grad(tg.grad(tg.grad(one(f))))(0.3)  # noqa: E731
    np.testing.assert_allclose(third(scanned), third(looped), rtol=1e-9)


@pytest.mark.parametrize("checkpoint", [1, 2, 5, 9, "sqrt"])
@pytest.mark.parametrize("reverse", [False, True])
def test_checkpoints_change_nothing_but_memory(rng, checkpoint, reverse):
    scanned, looped = losses(rng, reverse, checkpoint=checkpoint)
    args = draw(rng)
    close(tg.value_and_grad(scanned, (0, 1, 2))(*args), tg.value_and_grad(looped, (0, 1, 2))(*args))
    close(tg.hvp(lambda p: scanned(p, *args[1:]), args[0], args[0]),
          tg.hvp(lambda p: looped(p, *args[1:]), args[0], args[0]), 1e-10)  # fmt: skip


@pytest.mark.parametrize("mapped", [(0, None, None), (None, 0, None), (None, None, 0), (0, None, 0), (0, 0, 0)])
def test_vmap_equals_a_loop_over_the_batch(rng, mapped):
    scanned, _ = losses(rng, False)
    args = draw(rng)
    size = 4
    spread = [
        tg.tree_map(lambda a: rng.normal(size=(size, *a.shape)), arg) if axis == 0 else arg
        for arg, axis in zip(args, mapped, strict=True)
    ]
    for f in (scanned, tg.grad(scanned, (0, 1, 2)), lambda *a: tg.scan(lstm_like, *a)):
        whole = tg.vmap(f, in_axes=mapped)(*spread)
        for i in range(size):
            one = f(*[row(arg, i) if axis == 0 else arg for arg, axis in zip(spread, mapped, strict=True)])
            close(row(whole, i), one)


def test_jacobian_of_a_scan_is_the_same_in_both_modes(rng):
    params, state, xs = draw(rng, T=3)
    f = lambda s: tg.scan(lstm_like, params, s, xs)[1]["h"]  # noqa: E731
    close(tg.jacobian(f, mode="fwd")(state), tg.jacobian(f, mode="rev")(state))


def test_scan_inside_scan(rng):
    weight = rng.normal(size=(3, 3))

    def step(params, state, x):
        inner_state, ys = tg.scan(lambda p, s, z: (np.tanh(s @ p + z), s), params, state, x)
        return inner_state, np.sum(ys, axis=0)

    def looped(params, state, x):
        return loop(lambda p, s, xs: loop(lambda p, s, z: (np.tanh(s @ p + z), s), p, s, xs), params, state, x)

    xs, start = rng.normal(size=(4, 2, 5, 3)), rng.normal(size=(5, 3))
    nested = lambda w: np.sum(tg.scan(step, w, start, xs)[1] ** 2)  # noqa: E731
    plain = lambda w: np.sum(np.sum(looped(w, start, xs)[1], axis=1) ** 2)  # noqa: E731
    close(tg.value_and_grad(nested)(weight), tg.value_and_grad(plain)(weight))
    close(tg.hvp(nested, weight, weight), tg.hvp(plain, weight, weight), 1e-9)


def test_gradient_inside_the_step(rng):
    """A step that itself takes a gradient: a learner inside the loop."""
    targets = rng.normal(size=(6, 3))

    def step(rate, w, target):
        error = lambda v: np.sum((np.tanh(v) - target) ** 2)  # noqa: E731
        value, g = tg.value_and_grad(error)(w)
        return w - rate * g, value

    def by_loop(rate):
        w, values = loop(step, rate, np.zeros(3), targets)
        return np.sum(values) + np.sum(w)

    def by_scan(rate):
        w, values = tg.scan(step, rate, np.zeros(3), targets)
        return np.sum(values) + np.sum(w)

    np.testing.assert_allclose(tg.grad(by_scan)(0.1), tg.grad(by_loop)(0.1), rtol=1e-12)


def test_closure_over_traced_values_and_arrays(rng):
    params, state, xs = draw(rng)
    by_closure = lambda p: np.sum(tg.scan(lambda _, s, x: lstm_like(p, s, x), None, state, xs)[1]["h"])  # noqa: E731
    by_params = lambda p: np.sum(tg.scan(lstm_like, p, state, xs)[1]["h"])  # noqa: E731
    close(tg.value_and_grad(by_closure)(params), tg.value_and_grad(by_params)(params))


@given(st.integers(0, 2**32 - 1), st.integers(0, 4), st.integers(0, 3), st.booleans())
def test_random_sizes_zero_included(seed, T, B, reverse):
    rng = np.random.default_rng(seed)
    args = draw(rng, T, B)
    f = lambda p, s, xs: sum(np.sum(a) for a in tg.tree_leaves(tg.scan(lstm_like, p, s, xs, reverse=reverse)))  # noqa: E731
    grads = tg.grad(f, (0, 1, 2))(*args)
    assert [g.shape for g in tg.tree_leaves(grads)] == [a.shape for a in tg.tree_leaves(args)]
    if T:
        g = lambda p, s, xs: sum(np.sum(a) for a in tg.tree_leaves(loop(lstm_like, p, s, xs, reverse)))  # noqa: E731
        close(grads, tg.grad(g, (0, 1, 2))(*args))


def test_integer_and_boolean_states_pass_through(rng):
    def step(w, state, x):
        h, count, seen = state
        h = np.where(seen, np.tanh(h * w + x), h)
        return (h, count + 1, np.logical_or(seen, x > 0)), (h * count, count)

    xs = rng.normal(size=(6, 2))
    start = (np.ones(2), np.array([0, 5]), np.array([False, True]))

    def both(run):
        def f(w, h):
            (final, count, _), (ys, counts) = run(step, w, (h, *start[1:]), xs)
            assert count.dtype == counts.dtype == np.int64
            return np.sum(ys) + np.sum(final * count)

        return f

    args = (rng.normal(size=2), start[0])
    a, b = (tg.value_and_grad(both(run), (0, 1))(*args) for run in (tg.scan, loop_of_tuples))
    close(a, b)


def loop_of_tuples(step, params, state, xs):
    return loop(step, params, state, xs)


def test_nothing_is_computed_for_an_input_that_was_not_asked_for(rng):
    params, state, xs = draw(rng)
    _, pullback = tg.vjp(lambda b: tg.scan(lstm_like, params | {"b": b}, state, xs)[1], params["b"])
    node = next(n for n in pullback.tape.nodes if n)
    linear = node.options["linear"]
    everything = linear.backward(linear.pattern([True] * 4))
    assert len(everything.outer) == 1, "one parameter was asked for"
    assert not everything.inner, "the inputs were not"


def test_residuals_are_the_activations_not_every_intermediate(rng):
    params, state, xs = draw(rng)
    _, pullback = tg.vjp(lambda p: tg.scan(lstm_like, p, state, xs)[1], params)
    node = next(n for n in pullback.tape.nodes if n)
    # i, g, tanh(c), and h and c on entry: nothing that follows cheaply from these
    assert len(node.options["saved"]) <= 5


@pytest.mark.parametrize(("divided", "kept"), [(True, 1), (False, 2)])
def test_a_quotient_is_computed_again_where_an_exponential_is_kept(rng, divided, kept):
    """Of x / w and h, or exp(x w) and h, by which the gradients are multiplied."""
    step = lambda w, h, x: (np.tanh(h) * (x / w if divided else np.exp(x * w)), h * h)  # noqa: E731
    _, pullback = tg.vjp(lambda w: tg.scan(step, w, rng.normal(size=(2, 3)), rng.normal(size=(4, 2, 3)))[1], np.ones(3))
    node = next(n for n in pullback.tape.nodes if n)
    found = [saved.shape for saved in node.options["saved"]]
    assert found == [(4, 2, 3)] * (kept + 1), "and tanh(h)"


@pytest.mark.parametrize(("choose", "asked"), [
    (lambda z: np.where(z <= 0, 0, z), True),
    (tg.relu, True),
    (lambda z: np.where(z <= 0, 1, z), False),  # other choices keep their truth values
    (lambda z: np.where(z <= -0.5, 0, z), False),
    (lambda z: np.where(z <= 0, 0, 2 * z), False),
    (lambda z: np.where(z < 0, 0, z), False),
    (lambda z: np.where(z <= 0, z, 0), False),
])  # fmt: skip
def test_a_choice_between_zero_and_what_is_positive_asks_its_result(rng, choose, asked):
    def step(params, h, x):
        h = choose(x * params["w"] + h * params["u"])
        return h, h

    params = {"w": rng.normal(size=3), "u": rng.normal(size=3)}
    h, xs = rng.normal(size=(2, 3)), rng.normal(size=(6, 2, 3))
    xs[1, 0], h[0] = 0, 0
    h[1, 0] = 0
    xs[0, 1, 0] = 0  # exactly at the kink
    weights = rng.normal(size=xs.shape)
    _, pullback = tg.vjp(lambda p: tg.scan(step, p, h, xs)[1], params)
    saved = next(n for n in pullback.tape.nodes if n).options["saved"]
    assert not asked or all(np.asarray(each).dtype.kind == "f" for each in saved)
    found = tg.grad(lambda p: np.sum(weights * tg.scan(step, p, h, xs)[1]))(params)
    wanted = tg.grad(lambda p: np.sum(weights * loop(step, p, h, xs)[1]))(params)
    for name in params:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-12, err_msg=name)
