"""A printed plan can be followed: each name that is read is defined, given, or kept under that name."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import assume, given

import tapegrad as tg
from tapegrad.backends import plan
from tapegrad.backends.plan import make_plan
from tapegrad.backends.shown import steps_of
from tapegrad.cells import LSTM, Elman, Stacked, variants
from tapegrad.errors import UnsupportedPrimitive
from tapegrad.printing import letters, slot_names
from tapegrad.scan_primitive import Scan
from tapegrad.testing import cells
from tests.backends.printed_plans import carried_out, printed
from tests.cells.drawing import random_inputs, random_params
from tests.numba_cpu.inner_steps import INNER
from tests.numba_cpu.steps import CASES
from tests.strategies.effort import some


def names_of_inputs(step):
    names = slot_names(step.tape)
    return {names[slot] for slot in step.tape.inputs}


def assert_readable(f, *args):
    """The two plans of a scan and of its backward loop, as printed."""
    steps = steps_of(f, *args)
    try:
        texts = plan(f, *args).split("\n\n")
    except UnsupportedPrimitive:
        return None  # a part without elements
    assert len(texts) == len(steps) == 2
    inputs = names_of_inputs(steps[0])
    forward = printed(texts[0], inputs)
    assert forward.given <= inputs
    kept = {name for name, _ in forward.kinds.get("keep", [])}
    results = {name for kind in ("next", "output") for pair in forward.kinds.get(kind, []) for name in pair}
    cotangents = {f"d{name}{origin}" for name in results for origin in ("", " here")}
    backward = printed(texts[1], inputs | kept | cotangents)
    assert backward.given <= inputs | kept | cotangents, "read, and nowhere explained"
    assert kept <= backward.read, "kept in vain"
    # A name of the step's own code, or of what is kept, means in the backward plan what it means in the forward plan.
    shared = {*steps[0].tape.names.values(), *kept}
    for name in shared & set(backward.made):
        assert backward.made[name] == forward.made[name]
    return texts


CELLS = [*[variant.build(np.random.default_rng(3)) for variant in variants()], Stacked((Elman(2, 3), LSTM(3, 4)))]


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_registered_cells(cell):
    rng = np.random.default_rng(3)
    params, xs = random_params(cell, rng), random_inputs(cell, rng, 4, 3)
    assert_says_what_is_done(cell, params, xs, assert_readable(cell, params, xs))


@some()
@given(cells(smooth=False, max_memories=0))  # products within a row are written element by element
def test_drawn_cells(cell):
    rng = np.random.default_rng(3)
    params, xs = random_params(cell, rng), random_inputs(cell, rng, 4, 3)
    texts = assert_readable(cell, params, xs)
    assume(texts)
    if "np.concatenate" in cell.text:
        return  # parts of vectors are written
    # With three features or more: where there are fewer, weights too are read by their elements.
    cell = type(cell)(cell.input_size + 2, cell.hidden_size + 2)
    params, xs = random_params(cell, rng), random_inputs(cell, rng, 4, 3)
    assert_says_what_is_done(cell, params, xs, assert_readable(cell, params, xs))


def assert_says_what_is_done(cell, params, xs, texts):
    """Carried out line by line, with what is kept handed over by its name, the plans give outputs and gradients."""
    rng = np.random.default_rng(4)
    (final, ys), pull = tg.vjp(cell, params, xs)
    g = tg.tree_map(lambda a: rng.normal(size=a.shape), (final, ys))
    wanted = pull(g)
    forward, backward = steps_of(cell, params, xs)
    names = [slot_names(step.tape) for step in (forward, backward)]
    inputs = [
        [found[slot] for slot in step.tape.inputs] for found, step in zip(names, (forward, backward), strict=True)
    ]
    cut = forward.params, forward.params + forward.state
    leaves = tg.tree_leaves(params)
    fixed = dict(zip(inputs[0][: cut[0]], [*leaves, *captured(cell, params, xs)], strict=True))
    state = dict(zip(inputs[0][cut[0] : cut[1]], tg.tree_leaves(cell.initial_state(3, np.float64)), strict=True))
    given = dict(zip(inputs[0][cut[1] :], tg.tree_leaves(xs), strict=True))
    made = carried_out(texts[0], fixed, state, given, range(len(ys)))
    for name, leaf in zip(inputs[0][cut[0] : cut[1]], tg.tree_leaves(final), strict=True):
        np.testing.assert_allclose(state[name], leaf, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(next(v for k, v in made.items() if k.startswith("output ")), ys, rtol=1e-10, atol=1e-12)

    given |= {key.removeprefix("keep "): values for key, values in made.items() if key.startswith("keep ")}
    first, last = backward.params, backward.params + backward.state
    given |= {name: g[1] for name in inputs[1][last:] if name not in given}  # the cotangent of the output
    state = dict(zip(inputs[1][first:last], tg.tree_leaves(g[0]), strict=True))
    made = carried_out(texts[1], fixed, state, given, range(len(ys) - 1, -1, -1))
    for name, leaf in zip(inputs[0][: len(leaves)], tg.tree_leaves(wanted[0]), strict=True):
        np.testing.assert_allclose(sum(made.get(f"d{name}", [0.0 * leaf])), leaf, rtol=1e-9, atol=1e-11)


def captured(cell, params, xs):
    """The arrays that the step itself makes: further params of its loop."""
    tape = tg.trace(cell)(params, xs)
    (node,) = [node for node in tape.nodes if node is not None and isinstance(node.primitive, Scan)]
    given = [tape.consts.get(slot, value) for slot, value in zip(node.slots, node.args, strict=True)]
    return given[len(tg.tree_leaves(params)) : node.options["step"].params]


def second_order(case, args):
    """The tape of a derivative of a gradient, by all arguments that hold floating numbers only."""
    floats = [i for i, arg in enumerate(args) if all(np.asarray(a).dtype.kind == "f" for a in tg.tree_leaves(arg))]

    def loss(*chosen):
        given = list(args)
        for i, value in zip(floats, chosen, strict=True):
            given[i] = value
        return sum(np.sum(np.sin(1.0 * leaf)) for leaf in tg.tree_leaves(tg.scan(case.step, *given)) if leaf.size)

    def whole(*chosen):
        gradients, pull = tg.vjp(tg.grad(loss, range(len(chosen))), *chosen)
        return pull(gradients)

    return tg.trace(whole)(*[args[i] for i in floats])


@pytest.mark.parametrize("case", [*CASES.values(), *[c for name, c in INNER.items() if name != "no_round"]], ids=str)
def test_what_a_loop_keeps_has_one_name_in_every_loop_that_reads_it(case):
    """From the ports of the scans, not from the text: in first and second derivatives."""
    made, followed = {}, 0
    for slot, node in enumerate(second_order(case, case.arguments("float64")).nodes):
        if node is None or not isinstance(node.primitive, Scan):
            continue
        step = node.options["step"]
        text, names = str(make_plan(step)), slot_names(step.tape)
        inputs = names_of_inputs(step)
        assert len(inputs) == len(step.tape.inputs), "one name for two inputs"
        assert printed(text, inputs).given <= inputs
        for place, source in enumerate(node.slots):
            if source in made and place in step.kept:
                name, lines = made[source]
                assert names[step.tape.inputs[place]] == name
                said = f"keep {name} = ", f"keep {name}[", f"{name} = "  # the last: from the parameters alone
                assert any(line.startswith(said) for line in lines)
                followed += 1
        lines = [line.strip() for line in text.splitlines()]
        cut = step.state + step.ys
        for port in range(cut - step.residuals, cut):
            made[slot + port] = names[step.tape.outputs[port][0]], lines
    assert followed


def test_what_the_code_does_not_name_keeps_its_letter():
    def step(p, s, x):
        return np.tanh(np.exp(s * p["w"]) * (x - s)), np.sin(x @ p["U"])

    p = {"w": np.ones(3), "U": np.ones((3, 4))}
    forward, backward = assert_readable(lambda p: tg.scan(step, p, np.ones((2, 3)), np.ones((4, 2, 3))), p)
    for line in ("keep b = b", "c = subtract(x, s)", "output g = g"):
        assert f"    {line}\n" in forward
    for line in ("c = subtract(x, s)", "next ds = "):
        assert f"    {line}" in backward
    assert "dg" in backward


def test_an_array_of_one_number_is_shown_as_that_number():
    step = lambda p, s, x: (np.tanh(x), np.tanh(x))  # noqa: E731
    _, backward = assert_readable(lambda x: tg.scan(step, None, np.ones((2, 3)), x), np.ones((4, 2, 3)))
    assert "next ds = 0.0\n" in backward, "the cotangent of a state that no step reads"


def test_keywords_are_no_letters():
    assert {"as", "if", "in", "is", "or"}.isdisjoint(islice(letters(()), 800))
