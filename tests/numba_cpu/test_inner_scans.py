"""A step that holds scans is one compiled loop, and gives what the reference gives."""

import re
from itertools import takewhile

import numpy as np
import pytest
from hypothesis import given

import tapegrad as tg
from tapegrad.backends import inlining, plan, reference, source
from tapegrad.backends.graph import Unlowered
from tapegrad.backends.numba_cpu import backend as numba_backend
from tapegrad.backends.plan import make_plan
from tapegrad.backends.shown import steps_of
from tapegrad.scan_primitive import Step, scan_primitive
from tapegrad.tensor import apply, aval_of
from tapegrad.tracing import trace_flat
from tests.numba_cpu import emulated
from tests.numba_cpu.compared import assert_same, compare, differentiable, loss_of
from tests.numba_cpu.inner_drawn import inner_cases
from tests.numba_cpu.inner_steps import INNER, K, rounds
from tests.numba_cpu.steps import B, H
from tests.strategies.effort import some

# Those that, together, have every kind of border, in dtypes and depths.
COMPILED = {
    "states_that_change_places": "float64", "attention": "float32", "decoder": "float64", "layers": "float32",
    "loops_in_loops": "float64", "halting": "float32",
}  # fmt: skip


@pytest.fixture(scope="module")
def emulation():
    with emulated.installed() as made:
        yield made


@pytest.fixture
def by_numpy(monkeypatch):
    """The lengths of the loops that NumPy carries out operation by operation."""
    found = []
    run = reference.ReferenceBackend.run

    def watched(self, step, args, length, reverse):
        found.append(length)
        return run(self, step, args, length, reverse)

    monkeypatch.setattr(reference.ReferenceBackend, "run", watched)
    return found


def scanned(step, **options):
    return lambda params, state, xs, backend: tg.scan(step, params, state, xs, backend=backend, **options)


def gradient(step, args, backend, **options):
    loss = lambda *a: loss_of(tg.scan(step, *a, backend=backend, **options))  # noqa: E731
    return tg.grad(loss, tuple(range(len(args))))(*args)


# ---- what is computed ----
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", INNER)
def test_checked_source_gives_what_the_reference_gives(name, dtype, emulation):
    """In both directions, in values and derivatives of first and second order, on rows in many parts."""
    args = INNER[name].arguments(dtype)
    for reverse in (False, True):
        compare(scanned(INNER[name].step, reverse=reverse), args, "emulated", dtype == "float64" and not reverse)


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_code_gives_what_the_reference_gives(name):
    for reverse in (False, True):  # by the same code
        compare(scanned(INNER[name].step, reverse=reverse), INNER[name].arguments(COMPILED[name], 1), "numba")


def test_compiled_code_to_second_order():
    """The source of every other step is checked to second order."""
    step = lambda w, s, x: (rounds(lambda s, _: (np.tanh(s * w + x), None), s, length=K)[0], s)  # noqa: E731
    args = [np.random.default_rng(1).normal(size=shape) for shape in ((H,), (B, H), (3, B, H))]
    compare(scanned(step), tuple(args), "numba", second=True)


@some()
@given(case=inner_cases())
def test_drawn_steps_with_loops(case, emulation):
    """Scans in scans and behind each other, of any length, over all kinds of xs."""
    compare(scanned(case.step), case.arguments("float64"), "emulated", second=True)


@pytest.mark.parametrize("name", ["layers", "inputs_without_rows", "ending_early", "weights_that_change"])
def test_rounds_over_parameters_may_be_a_loop_too(name, emulation, monkeypatch):
    """As they are where they would be too many operations to be written out."""
    monkeypatch.setattr(inlining, "UNROLLED", 0)
    with emulated.installed():
        compare(scanned(INNER[name].step), INNER[name].arguments("float64"), "emulated", second=True)


@pytest.mark.parametrize(
    "summands",
    [
        lambda p, s: np.sin(p),  # the same in every round
        lambda p, s: np.sum(s, axis=0) + np.sum(p, axis=0),  # so that the rows cannot be added up behind the loop
        lambda p, s: 0.5 * np.sum(s * p, axis=0),
        lambda p, s: s * p,
        lambda p, s: 2.0,
    ],
)
def test_sums_over_rounds(summands, emulation):
    """What is added up in the rounds is added up over the steps too, or read in them."""
    state, given = np.random.default_rng(3).normal(size=(2, 4, 3))
    avals = aval_of(given), aval_of(state)
    inner = Step(trace_flat(lambda v: [v[1] * 0.5, summands(*v)], avals), 1, 1, 0, 0, 1)
    options = {"step": inner, "length": K, "reverse": False, "backend": "reference"}

    def outer(v, read):
        new, total = apply(scan_primitive, [v[1], v[0]], options)
        return [np.tanh(new), new * total if read else total]

    xs = np.stack([given, 2 * given, -given])
    for ys, sums in ((1, 0), (0, 1)):
        step = Step(trace_flat(lambda v, read=ys: outer(v, read), avals[::-1]), 0, 1, 1, ys, sums)
        assert emulation.missing(step) is None
        found, expected = (made.run(step, (state, xs), 3, False) for made in (emulation, reference.ReferenceBackend()))
        assert_same(found, expected, 1e-12)


def test_lengths_resets_and_records(emulation):
    """Of the loop around the inner ones: as checked source, and all at once compiled."""
    case, rng = INNER["runge_kutta"], np.random.default_rng(2)
    params, state, xs = case.arguments("float64")
    options = {"lengths": np.array([0, 4, 3, 1, 4, 2]), "reset": rng.random((len(xs), B)) < 0.3}
    for more in ({}, {"record": "h"}, {"reverse": True}):
        compare(scanned(case.step, **options, **more), (params, state, xs), "emulated")
    compare(scanned(case.step, **options, record="h", reverse=True), (params, state, xs), "numba")


def test_a_hundred_rounds_on_several_threads(monkeypatch):
    """More rows than a chunk takes at once, rows for both threads, and a tail behind whole vectors."""
    monkeypatch.setenv("TAPEGRAD_NUM_THREADS", "2")
    rng, rows, wide = np.random.default_rng(0), 37, 41

    def step(p, h, x):
        body = lambda s, k: (s + 0.02 * (np.tanh(s @ p["W"] + x * k) - s), s[:, :3])  # noqa: E731
        h, ys = rounds(body, h, np.linspace(0, 1, 100))
        return h, (h, np.mean(ys, axis=0))

    monkeypatch.setattr(inlining, "UNROLLED", 0)
    args = {"W": rng.normal(size=(wide, wide)) / 6}, rng.normal(size=(rows, wide)), rng.normal(size=(5, rows, wide))
    found, expected = (
        (tg.scan(step, *args, backend=name), gradient(step, args, name)) for name in ("numba", "reference")
    )
    assert_same(found, expected, 1e-12)


def test_one_step_at_a_time_gives_the_same_bits():
    case = INNER["attention"]
    params, state, xs = case.arguments("float32")
    final, ys = tg.scan(case.step, params, state, xs, backend="numba")
    for t in range(len(xs)):
        state, y = tg.scan(case.step, params, state, xs[t : t + 1], backend="numba")
        np.testing.assert_array_equal(y[0], ys[t])
    np.testing.assert_array_equal(state, final)


def test_an_index_that_is_out_of_range_in_a_round_is_reported():
    step = lambda w, s, x: (rounds(lambda s, z: (s * w[z], None), s, x)[0], None)  # noqa: E731
    xs = np.zeros((2, K, 3), int)
    xs[1, 2, 0] = 4
    with pytest.raises(IndexError, match="index 4 is out of range for an axis of length 4"):
        tg.scan(step, np.ones((4, 2)), np.ones((3, 2)), xs, backend="numba")


# ---- that it is compiled ----
@pytest.mark.parametrize("name", [name for name in INNER if name not in ("no_round", "known_beforehand")])
def test_no_part_of_a_step_is_left_to_numpy(name, by_numpy, emulation):
    """Forward and backward."""
    case = INNER[name]
    with emulated.installed() as made, tg.backend("emulated"):
        gradient_of_floats(case)
        assert not [str(p) for p in made.programs.values() if isinstance(p, Unlowered)]
    assert not by_numpy


def gradient_of_floats(case):
    args = case.arguments("float64")
    floats = [i for i, arg in enumerate(args) if differentiable(arg)]

    def loss(*given):
        held = dict(zip(floats, given, strict=True))
        return loss_of(tg.scan(case.step, *[held.get(i, arg) for i, arg in enumerate(args)]))

    tg.grad(loss, tuple(range(len(floats))))(*[args[i] for i in floats])


def test_the_check_sees_what_numpy_does(by_numpy):
    """A loop over chunks of time is carried out by NumPy, chunk by chunk; the chunks are compiled."""
    step = lambda w, s, x: (np.tanh(s @ w + x), s)  # noqa: E731
    args = np.ones((2, 2)), np.ones((3, 2)), np.ones((12, 3, 2))
    gradient(step, args, "numba", checkpoint=4)
    assert by_numpy == [3, 3]


def test_chunks_of_any_length_are_one_program(monkeypatch):
    """Loops over time keep their length as an argument, also where a chunk's own step holds rounds."""
    made, sources = [], []
    compiled = numba_backend.Program
    monkeypatch.setattr(numba_backend, "Program", lambda plan: made.append(compiled(plan)) or made[-1])
    case = INNER["solver"]
    params, state, xs = case.arguments("float64")
    args = params, state, np.tile(xs, (3, 1, 1))
    expected = gradient(case.step, args, "reference")
    for every in (2, 3, 4):
        with tg.backend("numba"):
            assert_same(gradient(case.step, args, "numba", checkpoint=every), expected, 1e-11)
        sources.append({program.source for program in made})
    assert sources[0] == sources[-1]
    assert all("for round1 in" in text for text in sources[0])


# ---- how ----
def steps(step, *args):
    return steps_of(scanned_by_default(step), *args)


def scanned_by_default(step):
    return lambda *args: tg.scan(step, *args)


def test_the_rounds_are_a_loop_in_the_source_however_many_there_are():
    lines = set()
    for length in (2, 50):
        step = lambda w, s, x, n=length: (rounds(lambda s, _: (np.tanh(s @ w + x), None), s, length=n)[0], s)  # noqa: E731
        text = source(scanned_by_default(step), np.ones((H, H)), np.ones((B, H)), np.ones((4, B, H)))
        assert re.search(rf"for round1 in range\({length}\):", text)
        assert re.search(rf"for round1 in range\({length - 1}, -1, -1\):", text), "backwards in the backward step"
        lines.add(len(text.splitlines()))
    assert len(lines) == 1


def test_what_no_round_changes_is_done_outside():
    """The input's product once and for many steps together, and so its cotangent's; sums take all rounds at once."""
    case = INNER["solver"]
    forward, backward = (make_plan(step) for step in steps(case.step, *case.arguments("float64")))
    assert [op.kind for op in forward.before] == ["gemm"]
    assert sum(op.kind == "gemm" for op in forward.loop) == 1
    sums = [op for op in backward.after if op.kind == "accumulate"]
    assert sorted(op.options["lead"] for op in sums) == [1, K], "of the input's weights; of the state's"
    assert [op.kind for op in backward.after].count("gemm") == 1, "the input's cotangent"
    assert all(op.loop == 0 for section in (forward.before, backward.before, backward.after) for op in section)


def test_a_state_is_made_where_it_lies_if_nobody_reads_it_later():
    kept = source(scanned_by_default(INNER["solver"].step), *INNER["solver"].arguments("float64"), gradient=False)
    case = INNER["state_read_after_it_is_made"]
    moved = source(scanned_by_default(case.step), *case.arguments("float64"), gradient=False)
    assert copies_at_the_end_of_rounds(kept) == 0
    assert copies_at_the_end_of_rounds(moved) == 1


def copies_at_the_end_of_rounds(text):
    """The copies in the last pass of the rounds, if nothing else is done in it."""
    within = text.split("for round1 in ")[1].splitlines()
    body = list(takewhile(lambda line: line.startswith(" " * 16), within[1:]))
    last = body[max(i for i, line in enumerate(body) if line.strip().startswith("for i in ")) + 1 :]
    made = [line for line in last if not re.search(r"load|store|j = |at\d+ = ", line)]
    return len(made) if all(re.fullmatch(r"\s*v\d+ = l\d+", line) for line in made) else 0


def test_weights_of_the_rounds_are_packed_and_their_gradients_are_sums():
    case = INNER["layers"]
    forward, backward = (make_plan(step) for step in steps(case.step, *case.arguments("float64")))
    assert len({op.options["weight"] for op in forward.loop if op.kind == "gemm"}) == K
    assert sum(op.kind == "accumulate" for op in backward.after) == K
    assert backward.graph.rows.axis, "the rows are independent"


def test_a_plan_shows_the_rounds():
    case = INNER["loops_in_loops"]
    text = plan(scanned_by_default(case.step), *case.arguments("float64"))
    assert "\n    2 times:\n" in text
    assert f"\n        {K} times:\n" in text
    assert f"\n        {K} times, backwards:\n" in text


def test_a_primitive_of_ones_own_beside_the_rounds_leaves_them_compiled(by_numpy):
    cube = tg.primitive(lambda x: x**3, name="cube_beside_rounds", shape=lambda x: x.shape)
    step = lambda w, s, x: (cube(rounds(lambda s, _: (s * w, None), s, length=K)[0]), s)  # noqa: E731
    args = 0.5, np.ones((2, 3)), np.ones((4, 2, 3))
    with tg.backend("numba"):
        found = tg.scan(step, *args)
    assert by_numpy == [4]
    assert_same(found, tg.scan(step, *args, backend="reference"), 1e-12)
