"""Products of joined operands: taken apart in the tape of a step, the same in values, derivatives and names."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import backends
from tapegrad.simplify import simplified
from tapegrad.tape import run
from tests.numba_cpu import emulated
from tests.numba_cpu.compared import compare

RNG = np.random.default_rng(0)
X, H, W, V = (RNG.normal(size=shape) for shape in ((3, 2), (3, 4), (6, 5), (4, 5)))
JOINED = {
    "x and h": (lambda x, h, W: np.concatenate([x, h], axis=1) @ W, (X, H, W)),
    "in the right operand": (lambda x, h, W: W.T @ np.concatenate([x.T, h.T]), (X, H, W)),
    "both joined alike": (lambda x, h, W: np.concatenate([x, h], 1) @ np.concatenate([W[:2] * 2, V]), (X, H, W)),
    "both, otherwise": (lambda x, h, W: np.concatenate([x, h], 1) @ np.concatenate([W[:3] * 2, W[:3]]), (X, H, W)),
    "einsum": (lambda x, h, W: np.einsum("jb,jk->bk", np.concatenate([x.T, h.T]), W), (X, H, W)),
    "read elsewhere": (lambda x, h, W: (z := np.concatenate([x, h], 1)) @ W + z[:, :5], (X, H, W)),
}
KEPT = {
    "along a free axis": (lambda x, h, W: np.concatenate([x, h[:, :2]]) @ W[:2], (X, H, W)),
    "five": (lambda x, h, W: np.concatenate([x, h[:, :1], h[:, 1:2], x[:, :1], x[:, 1:]], 1) @ W, (X, H, W)),
    "of two dtypes": (lambda x, h, W: np.concatenate([x.astype(np.float32), h], 1) @ W, (X, H, W)),
}


def primitives(tape):
    return [node.primitive.name for node in tape.nodes if node is not None]


@pytest.mark.parametrize("name", JOINED)
def test_a_product_of_what_was_joined_is_a_sum_of_products(name):
    f, args = JOINED[name]
    tape = simplified(tg.trace(f)(*args))
    assert primitives(tape).count("contract") == primitives(tg.trace(f)(*args)).count("contract") + 1
    assert ("concatenate" in primitives(tape)) == (name in ("both, otherwise", "read elsewhere"))
    np.testing.assert_allclose(run(tape, list(args))[0], f(*args), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", KEPT)
def test_what_would_not_gain_or_would_round_otherwise_stays(name):
    f, args = KEPT[name]
    assert primitives(simplified(tg.trace(f)(*args))) == primitives(tg.trace(f)(*args))


def test_inputs_are_multiplied_before_the_loop_and_nothing_is_joined_in_it():
    def step(w, h, x):
        both = np.concatenate([x, h], axis=1)
        z = both @ w
        return np.tanh(z), z

    xs = RNG.normal(size=(6, 3, 5))
    w = RNG.normal(size=(9, 4))
    before, loop = backends.plan(lambda w: tg.scan(step, w, H, xs)[1], w).split("in the loop, step by step:")[:2]
    assert before.count("x @ ") == 1
    assert "both" not in loop.split("after the loop")[0]
    with emulated.installed():
        compare(lambda *args, backend: tg.scan(step, *args, backend=backend), (w, H, xs), "emulated", second=True)
    compare(lambda *args, backend: tg.scan(step, *args, backend=backend), (w, H, xs), "numba")
    _, _, recorded = tg.scan(step, w, H, xs, record=True)
    np.testing.assert_array_equal(recorded["both"][0], np.concatenate([xs[0], H], axis=1))
    assert set(recorded) == {"both", "z"}
