"""A plan goes by dependence: what the next state needs, what it does not, and what needs no state at all."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.backends.graph import Access
from tapegrad.backends.plan import SECTIONS, make_plan
from tapegrad.backends.shown import steps_of
from tapegrad.cells import LSTM
from tests.numba_cpu.inner_steps import INNER
from tests.numba_cpu.steps import CASES


def plans_of(f, *args):
    """The plans of the scans of a function and of its pullback."""
    return [make_plan(step) for step in steps_of(f, *args)]


def kinds(plan, section):
    return Counter(op.kind for op in getattr(plan, section))


def scanned(step):
    return lambda *args: tg.scan(step, *args)


def test_an_lstm_keeps_only_what_is_recurrent_in_the_loop():
    rng = np.random.default_rng(0)
    cell = LSTM(4, 3)
    params = cell.init(rng, dtype=np.float64)
    forward, backward = plans_of(lambda p: cell(p, np.ones((6, 5, 4)))[1], params)
    assert kinds(forward, "before") == {"gemm": 4}, "the inputs' products"
    assert kinds(forward, "loop")["gemm"] == 4, "the state's products"
    assert not forward.after
    assert not backward.before
    assert kinds(backward, "loop")["gemm"] == 4, "the cotangents' products"
    assert kinds(backward, "loop")["total"] == 4, "the gradients of the biases"
    assert kinds(backward, "after") == {"accumulate": 8}, "the gradients of the weights"
    assert len({op.out for op in backward.loop if op.kind == "gemm"}) == 1, "the state's cotangent is one sum"


def test_narrow_inputs_stay_in_the_loop():
    """A product that sums one or two terms is elementwise work there, and is not stored for every step."""
    cell = LSTM(1, 3)
    plan = plans_of(lambda p: cell(p, np.ones((6, 5, 1)))[1], cell.init(np.random.default_rng(0), dtype=np.float64))[0]
    assert not plan.before
    assert kinds(plan, "loop")["gemm"] == 4


def test_what_follows_from_the_parameters_is_done_once():
    step = lambda w, s, x: (np.tanh(s * np.exp(w[0]) + x @ (w @ w.T)), None)  # noqa: E731
    plan = make_plan(steps_of(scanned(step), np.ones((3, 3)), np.ones((2, 3)), np.ones((4, 2, 3)), gradient=False)[0])
    made = [plan.graph.tape.nodes[slot].primitive.name for slot in plan.graph.once]
    assert sorted(made) == ["contract", "exp", "getitem", "transpose"]
    assert not {op.name for section in SECTIONS for op in getattr(plan, section)} & {"exp", "getitem", "transpose"}


def test_what_the_state_does_not_need_is_done_behind_the_loop():
    step = lambda w, s, x: (np.tanh(s @ w["W"] + x), s @ w["O"])  # noqa: E731
    args = {"W": np.ones((3, 3)), "O": np.ones((3, 9))}, np.ones((2, 3)), np.ones((4, 2, 3))
    plan = make_plan(steps_of(scanned(step), *args, gradient=False)[0])
    assert kinds(plan, "loop")["gemm"] == 1
    assert kinds(plan, "after")["gemm"] == 1
    state = plan.loop[0]
    assert (state.name, plan.graph.values[state.args[0].base].source) == ("copy", "state"), "kept for each step"
    assert state.out in plan.crossing


@pytest.mark.parametrize("case", [*CASES.values(), *[c for name, c in INNER.items() if name != "no_round"]], ids=str)
def test_every_value_is_there_when_it_is_read(case):
    """In every plan of every step: written before, in the same section or in an earlier one, and read by someone."""
    args = case.arguments("float64")
    floats = [i for i, arg in enumerate(args) if all(np.asarray(a).dtype.kind == "f" for a in tg.tree_leaves(arg))]

    def second(*given):
        return tg.grad(lambda *a: np.sum(np.sin(tg.tree_leaves(tg.scan(case.step, *a))[0] * 1.0)), floats)(*given)

    for step in [*steps_of(scanned(case.step), *args), *steps_of(second, *args)]:
        plan = make_plan(step)
        assert_sound(plan)


def assert_sound(plan):
    values = plan.graph.values
    section_of: dict[int, set[str]] = {}
    crossing, read = set(), set()
    for section in SECTIONS:
        for op in getattr(plan, section):
            for base in op.reads:
                assert base in section_of or values[base].source in ("fixed", "state", "x")
                read.add(base)
                crossing |= {base} if section_of.get(base, {section}) != {section} else set()
            crossing |= {op.out} if section_of.get(op.out, {section}) != {section} else set()
            section_of.setdefault(op.out, set()).add(section)
            for access in [*[a for a in op.args if isinstance(a, Access)], op.store]:
                assert_inside(access, values[access.base], plan.graph)
    for carry in plan.graph.carries:
        assert {carry.new, carry.state} <= set(section_of)
        read |= {carry.new}
    assert crossing == plan.crossing
    assert all(base in read or values[base].source in ("next", "y", "sum") for base in section_of), "nothing is in vain"
    wanted = {i for i, value in enumerate(values) if value.source in ("next", "y", "sum")}
    assert wanted <= set(section_of)
    states = {op.out for op in plan.after} & {i for i, value in enumerate(values) if value.source == "next"}
    assert not states, "the next state is made in the loop"


def assert_inside(access, value, graph):
    ways = list(zip(access.strides, access.shape, strict=True))
    if access.rounds is not None:
        ways.append((access.rounds[1], graph.loops[access.rounds[0]].length))
    ends = [access.offset + sum(pick((n - 1) * s, 0) for s, n in ways) for pick in (min, max)]
    assert ends[0] >= 0
    assert ends[1] < value.size


def names(plan):
    return Counter(op.name for section in SECTIONS for op in getattr(plan, section))


@pytest.mark.parametrize(
    ("exponent", "products"), [(2, 1), (2.0, 1), (np.float64(2), 1), (3, 2), (4, 0), (0.5, 0), (-1, 0)]
)
def test_a_power_of_few_factors_is_a_product(exponent, products):
    f = scanned(lambda w, s, x: (np.tanh(s @ w), x**exponent))
    plan = make_plan(steps_of(f, np.ones((3, 3)), np.ones((2, 3)), np.ones((4, 2, 3)), gradient=False)[0])
    assert (names(plan)["multiply"], names(plan)["power"]) == (products, not products)


def test_a_repeated_axis_takes_no_indices():
    """It is broadcast, and its gradient is a sum; what is not repeated alike is gathered."""
    for repeats, gathered in ((3, False), (np.array([3]), False), ([1, 3], True)):
        step = lambda w, s, x, repeats=repeats: (s * np.repeat(x, repeats, axis=1)[:, :4], s)  # noqa: E731
        plans = plans_of(scanned(step), None, np.ones((2, 4)), np.ones((3, 2, 2)))
        assert all(bool(names(plan)["getitem"] + names(plan)["scatter"]) == gathered for plan in plans)


TERMS = ("s @ w['W']", "x @ w['U']", "w['b']", "q @ w['V']")


def test_the_order_of_a_sum_does_not_matter():
    """Products that are terms of one sum add into one value, however the sum is written."""
    args = {"W": np.ones((5, 5)), "U": np.ones((4, 5)), "V": np.ones((5, 5)), "b": np.ones(5)}
    found = set()
    for order in permutations(TERMS):
        for text in ("{} + {} + {} + {}", "({} + {}) + ({} + {})", "{} + ({} + ({} + {}))"):
            space = {"np": np}
            exec(
                f"def step(w, state, x):\n s, q = state\n a = np.tanh({text.format(*order)})\n return (a, s * a), a",
                space,
            )
            step = steps_of(scanned(space["step"]), args, (np.ones((2, 5)),) * 2, np.ones((3, 2, 4)), gradient=False)[0]
            plan = make_plan(step)
            products = [op for section in SECTIONS for op in getattr(plan, section) if op.kind == "gemm"]
            adds = sum(op.name == "add" for op in plan.loop)
            found.add((len(products), len({op.out for op in products}), adds, len(plan.before)))
    assert found == {(3, 1, 1, 1)}


def test_a_sum_of_a_product_is_one_operation():
    """So is the cotangent of what was broadcast; the axis that was put in leaves no copy behind."""
    step = lambda w, s, x: (0.5 * s + x[:, :, None] * np.tanh(x)[:, None, :], np.sum(s * s, axis=(0, 2)))  # noqa: E731
    f = lambda s, x: tg.scan(step, None, s, x)  # noqa: E731
    forward, backward = plans_of(f, np.ones((2, 5, 5)), np.ones((3, 2, 5)))
    for plan, contractions in ((forward, 1), (backward, 2)):
        assert kinds(plan, "loop")["contract"] == contractions
        assert not kinds(plan, "loop")["reduce"]
    copies = [op for op in backward.loop if op.name == "copy" and backward.graph.values[op.out].source == "op"]
    assert not copies


@pytest.mark.parametrize("shared", [True, False])
def test_a_product_that_is_read_twice_is_kept(shared):
    def step(w, s, x):
        product = s * x
        return s + np.sum(product, axis=1, keepdims=True), product if shared else s

    args = None, np.ones((2, 5)), np.ones((3, 2, 5))
    plan = make_plan(steps_of(scanned(step), *args, gradient=False)[0])
    assert kinds(plan, "loop")["reduce"] == shared


def test_a_plan_can_be_read():
    step = lambda w, h, x: (np.tanh(h @ w["W"] + x @ w["U"]), h)  # noqa: E731
    args = {"W": np.ones((3, 3)), "U": np.ones((4, 3))}, np.ones((2, 3)), np.ones((5, 2, 4))
    forward, backward = (str(plan) for plan in plans_of(scanned(step), *args))
    assert forward.splitlines()[0] == "once, from the parameters:"
    before, loop = (forward.index(title) for title in ("before the loop", "in the loop"))
    assert before < forward.index("= x @ U") < loop < forward.index("+= h @ W") < forward.index("next h = ")
    after = backward.index("after the loop")
    assert backward.index("dW += h.T @ ") > after
    assert backward.index("dU += x.T @ ") > after


def test_two_precisions_have_one_that_leads():
    narrow = make_plan(steps_of(scanned(lambda w, s, x: (np.tanh(s @ w + x).astype(s.dtype), s @ w)),
                                np.ones((3, 3), np.float32), np.ones((2, 3), np.float32), np.ones((4, 2, 3)),
                                gradient=False)[0])  # fmt: skip
    assert narrow.graph.dtype == np.float32
    assert {op.kind for section in SECTIONS for op in getattr(narrow, section)} >= {"gemm", "map"}
    wide = make_plan(steps_of(scanned(lambda w, s, x: (np.tanh(np.exp(s @ w + x) - 1.0).astype(s.dtype), None)),
                              np.ones((3, 3), np.float32), np.ones((2, 3), np.float32), np.ones((4, 2, 3)),
                              gradient=False)[0])  # fmt: skip
    assert wide.graph.dtype == np.float64
    assert "gemm" not in {op.kind for section in SECTIONS for op in getattr(wide, section)}, "packed in one dtype only"
