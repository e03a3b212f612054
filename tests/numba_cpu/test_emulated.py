"""What checks generated source is checked itself: each kind of mistake in a source is found."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.backends.numba_cpu import binding, lower, products
from tests.numba_cpu import emulated
from tests.numba_cpu.emulated import EmulatedBackend, Fault


def ran(body):
    """Run a source on arrays: scratch, an input, an output, and scratch in single precision."""
    backend = EmulatedBackend()
    backend.watched, backend.done = {}, 0
    (loop,) = backend.functions(f"{lower.HEAD}def loop(work, x0, y0, work_single):\n    {body}\n", ("loop",))
    y = np.zeros(8)
    loop(np.empty(8), np.arange(8.0), y, np.empty(64, np.float32))
    return y


def test_a_right_source_runs():
    body = "store_part(work, 1, load_part(x0, 2, 3) + spread(x0, 1), 3); store_part(y0, 0, load_part(work, 1, 3), 3)"
    np.testing.assert_array_equal(ran(body)[:3], [3, 4, 5])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("load_part(x0, 6, 3)", "read x0: element 8 or 6 of 8"),
        ("load_part(x0, -1, 2)", "read x0: element 0 or -1 of 8"),
        ("x0[8]", "read x0: element 8 or 8 of 8"),
        ("x0[0.5]", "read x0: an index of dtype float64"),
        ("store_strided_part(y0, 0, 3, load_part(x0, 0, 4), 4)", "write y0: element 9 or 0 of 8"),
        ("work[0]", "read work: element 0 was never written"),
        ("store_part(work, 0, load_part(x0, 0, 2), 2); load_part(work, 0, 3)", "was never written"),
        ("x0[0] = 1.0", "write x0: it is an input"),
        ("store_part(y0, 0, load_part(x0, 0, 2).astype(np.float32), 2)", "a vector of float32"),
        ("multiply(x0, 0, 4, 1, 2, 5, x0, 0, 1, y0, 0, 1, False)", "read x0: element 8"),
        ("multiply(x0, 0, 2, 1, 2, 2, work_single, 0, 1, y0, 0, 1, False)", "of different dtypes"),
    ],
)
def test_mistakes_are_found(body, message):
    with pytest.raises(Fault, match=message):
        ran(body)


def test_threads_that_meet_are_found():
    """Memory that one thread reads and another one writes."""
    backend = EmulatedBackend()
    backend.watched, backend.done = {}, 0
    (loop,) = backend.functions(f"{lower.HEAD}def loop(mine, other, s0):\n    s0[mine] = s0[other] + 1\n", ("loop",))
    array = np.arange(6.0)
    loop(0, 1, array)
    loop(2, 3, array)
    with pytest.raises(Fault, match="write s0: element 1 belongs to another thread"):
        loop(1, 5, array)
    with pytest.raises(Fault, match="read s0: element 0 was written by another thread"):
        loop(4, 0, array)


@pytest.mark.parametrize(
    ("H", "owner", "name", "spoil", "message"),
    [
        (3, products, "packed_size", lambda f: lambda K, N, dtype: f(K, N, dtype) - 1, "packed: element"),
        (4, lower.Lowering, "_stored", lambda f: lambda self: set(), "was never written|was not written in full"),
    ],
)
def test_mistakes_in_the_generator_are_found(monkeypatch, H, owner, name, spoil, message):
    step = lambda w, s, x: (np.tanh(s @ w + x), s * x)  # noqa: E731
    monkeypatch.setattr(owner, name, spoil(getattr(owner, name)))
    with emulated.installed(), pytest.raises(Fault, match=message):
        tg.scan(step, np.ones((H, H)), np.ones((5, H)), np.ones((4, 5, H)), backend="emulated")


def test_output_that_is_missing_is_found(monkeypatch):
    program = binding.Program.__init__

    def shortened(self, plan):
        plan.loop = [op for op in plan.loop if plan.graph.values[op.out].source != "y"]
        program(self, plan)

    monkeypatch.setattr(binding.Program, "__init__", shortened)
    with emulated.installed(), pytest.raises(Fault, match="y0 was not written in full"):
        tg.scan(lambda w, s, x: (s * w, s + 0.25 * x), 0.5, np.ones(5), np.ones((4, 5)), backend="emulated")
