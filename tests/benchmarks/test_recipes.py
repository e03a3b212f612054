"""What is handed to torch and JAX computes the cells: run in NumPy, where neither is needed."""

import numpy as np
import pytest

from tapegrad.benchmarks.catalogue import CELLS
from tapegrad.benchmarks.work import Shape, Work
from tapegrad.functions import sigmoid, softmax, softplus


class NumpyFunctions:
    sigmoid, softmax, softplus = staticmethod(sigmoid), staticmethod(softmax), staticmethod(softplus)
    tanh, sin, cos, arctan = np.tanh, np.sin, np.cos, np.arctan
    zeros_like = staticmethod(np.zeros_like)

    def mean(self, x):
        return np.mean(x, -1, keepdims=True)

    def addcmul(self, a, x, y):
        return a + x * y

    def lerp(self, a, b, weight):
        return a + weight * (b - a)

    def affine(self, a, x, w):
        return a + x @ w

    def split(self, x, parts):
        return np.split(x, parts, -1)

    def concat(self, xs):
        return np.concatenate(xs, -1)

    def decayed_outer(self, A, a, v, decay):
        return decay * A + np.einsum("bn,bm->bnm", a, v)

    def attend(self, A, q, scale):
        return np.einsum("bn,bnm->bm", softmax(np.einsum("bnm,bm->bn", A, q) * scale), A)


def outputs(recipe, params, xs, hoisted):
    xp, w = NumpyFunctions(), recipe.pack(params)
    w = w | recipe.derived(xp, w)
    state = [np.zeros((xs.shape[1], *shape)) for shape in recipe.state_shapes()]
    ys = []
    before = recipe.inputs(xp, w, xs) if hoisted else None
    for t, x in enumerate(xs):
        parts = [part[t] for part in before] if hoisted else recipe.inputs(xp, w, x)
        state, y = recipe.step(xp, w, state, parts)
        ys.append(y)
    pair = isinstance(ys[0], tuple)
    return recipe.finish(xp, [np.stack(part) for part in zip(*ys, strict=True)] if pair else np.stack(ys))


@pytest.mark.parametrize("hoisted", [True, False])
@pytest.mark.parametrize("entry", CELLS.values(), ids=lambda entry: entry.name)
def test_a_recipe_is_its_cell(entry, hoisted):
    rng = np.random.default_rng(sum(map(ord, entry.name)))
    for _ in range(3):
        shape = Shape(*rng.integers([1, 1, 1, 2], 7).tolist())
        work = Work.draw(entry.name, entry.build(shape), shape, np.float64, seed=int(rng.integers(1000)))
        ys = outputs(entry.recipe(work.cell), work.params, work.xs, hoisted)
        np.testing.assert_allclose(ys, work.forward("reference"), rtol=1e-10, atol=1e-12, err_msg=str(shape))


@pytest.mark.parametrize("entry", CELLS.values(), ids=lambda entry: entry.name)
def test_every_parameter_is_handed_over_once_and_comes_back(entry):
    work = Work.draw(entry.name, entry.build(Shape(1, 1, 3, 5)), Shape(1, 1, 3, 5))
    recipe = entry.recipe(work.cell)
    names = [name for parts in recipe.layout.values() for name in parts]
    assert sorted(names) == sorted(work.params)
    back = recipe.unpack(recipe.pack(work.params))
    for name, value in work.params.items():
        np.testing.assert_array_equal(back[name], value)
