"""grad, vjp, jvp, vmap and scan of functions of drawn pytrees: containers change nothing about the numbers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import pytree
from tapegrad.testing import arrays, check_adjoint, check_grads, pytrees

TREES = pytrees()
ROWS = pytrees(arrays((3, 2)), kinds=("dict", "list", "tuple", "namedtuple", "dataclass", "None"))


def total(tree):
    """A function in which every leaf has a share of its own."""
    leaves = pytree.leaves(tree)
    return sum((i + 1) * np.sum(np.sin((i + 1) * leaf)) for i, leaf in enumerate(leaves))


def slopes(tree):
    return [(i + 1) ** 2 * np.cos((i + 1) * leaf) for i, leaf in enumerate(pytree.leaves(tree))]


def assert_like(found, tree, expected):
    """Of the structure of a tree, each leaf of the shape and dtype of its own."""
    assert pytree.structure(found) == pytree.structure(tree)
    for a, b, leaf in zip(pytree.leaves(found), expected, pytree.leaves(tree), strict=True):
        assert np.shape(a) == np.shape(leaf)
        assert np.asarray(a).dtype == np.asarray(leaf).dtype
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@given(pytrees(kinds=("float", "list", "dict")))
def test_python_floats_are_reduced_as_arrays_are(tree):
    """A Python float is an array without axes in every mode, also where nothing elementwise comes before."""
    for reduce in (np.sum, np.mean, np.max, np.min, np.prod, np.var, tg.logsumexp, lambda x: np.sum(np.pad(x, 1))):
        f = lambda tree, reduce=reduce: sum(reduce(leaf) for leaf in pytree.leaves(tree))  # noqa: E731
        arrays_alone = tg.tree_map(np.asarray, tree)
        assert_like(tg.grad(f)(tree), tree, pytree.leaves(tg.grad(f)(arrays_alone)))
        np.testing.assert_allclose(*[tg.jvp(f, (t,), (t,))[1] for t in (tree, arrays_alone)], rtol=1e-12, atol=1e-14)


@given(TREES)
def test_grad(tree):
    value, found = tg.value_and_grad(total)(tree)
    np.testing.assert_allclose(value, total(tree), rtol=1e-12, atol=1e-14)
    assert_like(found, tree, slopes(tree))


@given(TREES, TREES)
def test_grad_of_two_arguments(one, two):
    f = lambda a, b: total(a) * total(b)  # noqa: E731
    first, second = tg.grad(f, (0, 1))(one, two)
    assert_like(first, one, [total(two) * s for s in slopes(one)])
    assert_like(second, two, [total(one) * s for s in slopes(two)])
    assert_like(tg.grad(f, 1)(one, two), two, [total(one) * s for s in slopes(two)])


@given(TREES)
def test_vjp_and_jvp_of_a_tree_to_a_tree(tree):
    """The function keeps the containers: so do its cotangents and tangents."""
    f = lambda tree: tg.tree_map(np.sin, tree)  # noqa: E731
    value, pull = tg.vjp(f, tree)
    cotangents = tg.tree_map(lambda leaf: np.asarray(np.cos(3 * leaf)), value)
    expected = [np.cos(leaf) * np.cos(3 * np.sin(leaf)) for leaf in pytree.leaves(tree)]
    assert_like(pull(cotangents)[0], tree, expected)
    moved, tangents = tg.jvp(f, (tree,), (tree,))
    assert pytree.structure(moved) == pytree.structure(tangents) == pytree.structure(tree)
    for tangent, leaf in zip(pytree.leaves(tangents), pytree.leaves(tree), strict=True):
        np.testing.assert_allclose(tangent, leaf * np.cos(leaf), rtol=1e-12, atol=1e-14)
    check_adjoint(f, (tree,))


@given(TREES, st.integers(0, 99))
def test_check_grads_takes_any_tree(tree, seed):
    check_grads(total, (tree,), seed=seed)


@given(TREES)
def test_second_derivatives(tree):
    leaves = pytree.leaves(tree)
    found = tg.hvp(total, tree, tree)
    assert_like(found, tree, [-((i + 1) ** 3) * leaf * np.sin((i + 1) * leaf) for i, leaf in enumerate(leaves)])
    nested = tg.grad(lambda t: total(tg.grad(total)(t)))(tree)
    assert pytree.structure(nested) == pytree.structure(tree)


@given(ROWS)
def test_vmap(tree):
    """Mapped over the first axis of every leaf, out of a tree into a tree."""
    f = lambda tree: tg.tree_map(lambda leaf: np.cumsum(leaf) * total(tree), tree)  # noqa: E731
    found = tg.vmap(f)(tree)
    rows = [f(tg.tree_map(lambda leaf, i=i: leaf[i], tree)) for i in range(3)]
    assert_like(found, tree, [np.stack(parts) for parts in zip(*map(pytree.leaves, rows), strict=True)])
    gradients = tg.vmap(tg.grad(total))(tree)
    assert_like(gradients, tree, slopes(tree))


@given(ROWS, ROWS, TREES)
def test_scan(xs, state, params):
    """All its ports are trees at once."""
    state = tg.tree_map(lambda leaf: leaf[0], state)

    def step(params, state, x):
        new = tg.tree_map(lambda s: np.tanh(0.5 * s + total(x) + 0.1 * total(params)), state)
        return new, tg.tree_map(lambda leaf: leaf * total(new), x)

    def loop(params, state, xs):
        ys = []
        for t in range(3):
            state, y = step(params, state, tg.tree_map(lambda leaf, t=t: leaf[t], xs))
            ys.append(y)
        return state, tg.tree_map(lambda *parts: np.stack(parts), *ys)

    def loss(run):
        return tg.value_and_grad(lambda *given: sum(total(part) for part in run(*given)), (0, 1, 2))(params, state, xs)

    found, expected = loss(lambda p, s, x: tg.scan(step, p, s, x)), loss(loop)
    assert pytree.structure(found[1]) == pytree.structure((params, state, xs))
    assert_like(found, expected, pytree.leaves(expected))
