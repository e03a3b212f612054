"""Every primitive of the registry is lowered, or is listed here with the reason why it is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.backends.graph import Empty, Unlowered
from tapegrad.backends.plan import make_plan
from tapegrad.errors import UnsupportedPrimitive
from tapegrad.primitives.special import SciPyFunction
from tests.numba_cpu import emulated
from tests.numba_cpu.compared import assert_same, loss_of
from tests.primitives.flat import FlatCall, batches
from tests.specs import PRIMITIVES, SPECS
from tests.strategies.effort import few

LINALG = [name for name, primitive in PRIMITIVES.items() if primitive.family == "linalg"]
EXCEPTIONS = {
    "scan": "a step that holds a loop is carried out by the reference, and the loop within it is compiled",
    "argsort": "sorting within a step is left to NumPy",
}
EXCEPTIONS |= {name: "SciPy computes it" for name, p in PRIMITIVES.items() if isinstance(p, SciPyFunction)}


@pytest.fixture(scope="module", autouse=True)
def _emulation():
    with emulated.installed():
        yield


def over_time(flat, T, B, seed):
    """A step that makes the call on its inputs, and the inputs: of B rows, or without any if B is 0."""
    moving = [i for i, leaf in enumerate(flat.leaves) if isinstance(leaf, np.ndarray)]
    made = batches(flat, T * max(B, 1), seed)
    xs = [made[i].reshape((T, B) + made[i].shape[1:] if B else made[i].shape) for i in moving]

    def call(*given):
        leaves = list(flat.leaves)
        for i, value in zip(moving, given, strict=True):
            leaves[i] = value
        return flat(*leaves)

    def step(w, s, x):
        return s * w, (tg.vmap(call) if B else call)(*x)

    return step, (1.5, np.ones(B) if B else 1.0, xs)


def traced(step, args):
    """The step as backends get it."""
    tape = tg.trace(lambda *given: tg.scan(step, *given, backend="reference"))(*args)
    return next(node.options["step"] for node in tape.nodes if node and node.primitive.name == "scan")


def not_lowered(step, B):
    """What a step cannot be compiled for; its rows must be found."""
    try:
        plan = make_plan(step)
    except Empty:
        return None
    except Unlowered as missing:
        return missing.primitive
    assert B in (0, plan.graph.rows.count)
    return None


@pytest.mark.parametrize("name", [name for name in PRIMITIVES if name not in LINALG])
@few()
@given(data=st.data(), B=st.sampled_from([0, 4]), seed=st.integers(0, 99))
def test_a_primitive_is_lowered(name, data, B, seed):
    """For rows and for a single one, in values and gradients."""
    spec = SPECS[name]
    flat = FlatCall(spec, data.draw(spec.calls))
    step, (w, s, xs) = over_time(flat, 2, B, seed)
    missing = not_lowered(traced(step, (w, s, xs)), B)
    assert missing in (None, name if name in EXCEPTIONS else None)
    if isinstance(PRIMITIVES[name], SciPyFunction):
        return
    floats = [i for i, x in enumerate(xs) if x.dtype.kind == "f"]

    def run(backend):
        def results(*given):
            filled = dict(zip(floats, given, strict=True))
            return tg.scan(step, w, s, [filled.get(i, x) for i, x in enumerate(xs)], backend=backend)

        loss = lambda *given: loss_of(results(*given))  # noqa: E731
        given = [xs[i] for i in floats]
        return results(*given), tg.grad(loss, tuple(range(len(given))))(*given) if given else ()

    if missing == "argsort":
        with pytest.raises(UnsupportedPrimitive, match="argsort"):
            run("emulated")
        return
    assert_same(run("emulated"), run("reference"), 1e-9)


@pytest.mark.parametrize("name", LINALG)
@few()
@given(data=st.data(), B=st.sampled_from([0, 4]))
def test_linear_algebra_is_left_to_the_reference(name, data, B):
    """It is LAPACK's, and there is no loop over elements to compile; the refusal names the primitive."""
    flat = FlatCall(SPECS[name], data.draw(SPECS[name].calls.filter(lambda call: all(x.size for x in call.args))))
    step, args = over_time(flat, 2, B, 0)
    assert not_lowered(traced(step, args), B) == name
