"""The graph of a step, what flows along it, and the picture of both, for every registered cell."""

import re

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import pytree
from tapegrad.analysis import draw, drawing, flows, layout
from tapegrad.analysis.flows import Flow
from tapegrad.analysis.graphs import INPUT, OLD, OUTPUT, STATE, VALUE, StepGraph
from tapegrad.analysis.labels import GRADIENT_TEXT, VALUE_TEXT
from tapegrad.analysis.pictures import mathematical
from tapegrad.analysis.problem import Problem
from tapegrad.cells import GRU, LSTM, Elman, Linear, variants
from tapegrad.errors import OptionError
from tests.analysis.problems import drawn, trajectory
from tests.cells.drawing import at, steps_of
from tests.numeric import assert_close

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from matplotlib import pyplot as plt  # noqa: E402 - after the choice of Agg
from matplotlib.patches import Circle, FancyArrowPatch  # noqa: E402

from tests.analysis.pictures import assert_nothing_overlaps  # noqa: E402

EVERY = pytest.mark.parametrize("variant", variants(), ids=str)


def graph_of(variant_or_cell):
    if hasattr(variant_or_cell, "build"):
        arguments = drawn(variant_or_cell)
    else:
        rng = np.random.default_rng(0)
        cell = variant_or_cell
        arguments = cell, cell.init(rng, np.float64), rng.standard_normal((5, 3, cell.input_size)), None
    problem = Problem("test", *arguments, None, False, carries=False)
    return problem, StepGraph(problem)


def edges_of(graph):
    return {(e.source.kind, e.source.name, e.target.kind, e.target.name): e.params for e in graph.edges}


# ---- the graph ----
def test_the_graph_of_an_lstm():
    expected = {(kind, name, VALUE, gate): (f"W_{name}{gate}",) for gate in "ifgo"
                for kind, name in ((INPUT, "x"), (OLD, "h"))}  # fmt: skip
    expected |= {(VALUE, gate, STATE, "c"): () for gate in "ifg"}
    expected |= {(OLD, "c", STATE, "c"): (), (VALUE, "o", STATE, "h"): (), (STATE, "c", STATE, "h"): ()}
    expected |= {(STATE, "h", OUTPUT, "y"): ()}
    assert edges_of(graph_of(LSTM(2, 3))[1]) == expected


def test_the_graph_of_both_gru():
    before, after = (edges_of(graph_of(GRU(2, 3, reset_after=flag))[1]) for flag in (False, True))
    assert before.keys() == after.keys()
    assert before[VALUE, "r", VALUE, "n"] == ("W_hn",)  # the reset gate stands before the weight
    assert after[VALUE, "r", VALUE, "n"] == ()
    assert before[OLD, "h", VALUE, "n"] == after[OLD, "h", VALUE, "n"] == ("W_hn",)


@EVERY
def test_every_state_output_and_input_is_there(variant):
    problem, graph = graph_of(variant)
    kinds = [vertex.kind for vertex in graph.vertices]
    states = len(pytree.leaves(problem.state))
    assert kinds.count(OLD) == kinds.count(STATE) == states
    assert kinds.count(INPUT) == len(pytree.leaves(problem.xs))
    assert kinds.count(OUTPUT) == 1
    seen = set()
    for vertex in graph.vertices:  # each behind those that it is computed from
        assert all(edge.source in seen for edge in graph.edges if edge.target == vertex)
        seen.add(vertex)


def inner_output(params, state, x):
    gate = np.tanh(params["w"] * x)
    unused = np.sin(gate)  # noqa: F841 - what nobody reads is not drawn
    state = gate * state + params["p"]
    return state, (gate, 3.0, state)


def test_outputs_that_are_inner_values_constants_and_states():
    ones = np.ones((1, 2))
    problem = Problem("test", inner_output, {"w": 0.5, "p": 0.1}, np.ones((2, 1, 2)), ones, None, False)
    graph = StepGraph(problem)
    assert edges_of(graph) == {
        (INPUT, "x", VALUE, "gate"): ("w",),
        (VALUE, "gate", STATE, "state"): (),
        (OLD, "state", STATE, "state"): (),
        (VALUE, "gate", OUTPUT, "y[0]"): (),
        (STATE, "state", OUTPUT, "y[2]"): (),
    }
    assert [v.name for v in graph.vertices if v.kind == OUTPUT] == ["y[1]", "y[0]", "y[2]"]
    assert flows.flows(problem, graph, lambda ys: np.sum(ys[0]))[0].values[graph.vertices[2]] == 3.0


def named_output(params, h, x):
    h = np.tanh(params["W"] * h + x)
    o = params["V"] * h
    yhat = np.exp(o)  # noqa: F841 - what nobody reads does not make of o more than the output
    return h, (o, np.sin(h))


def test_an_output_is_called_as_in_the_code():
    problem = Problem("test", named_output, {"W": 0.5, "V": 2.0}, np.ones((2, 1, 2)), np.ones((1, 2)), None, False)
    assert edges_of(StepGraph(problem)) == {
        (OLD, "h", STATE, "h"): ("W",),
        (INPUT, "x", STATE, "h"): (),
        (STATE, "h", OUTPUT, "o"): ("V",),
        (STATE, "h", OUTPUT, "y[1]"): (),
    }


# ---- what flows ----
def losing(ys):
    return np.sum(np.sin(3 * ys)) + ys[-1, 0, 0] ** 2


def assert_flows(problem, graph, found):
    """Against gradients of the compiled-from-nothing loop: of the inputs, and of the state at every time."""
    cell, params, xs, state = problem.step, problem.params, problem.xs, problem.state

    def rest(state, xs, before):
        ys = list(before)
        for x in steps_of(xs):
            state, y = cell(params, state, x)
            ys.append(y)
        return losing(np.stack(ys))

    states = [state]
    outputs = []
    for x in steps_of(xs):
        new, y = cell(params, states[-1], x)
        states.append(new)
        outputs.append(y)
    for t, flow in enumerate(found):
        by_state, by_x = tg.grad(lambda s, x, t=t: rest(s, x, outputs[:t]), (0, 1))(states[t], at(xs, np.s_[t:]))
        old = sorted((v for v in graph.vertices if v.kind == OLD), key=lambda v: v.number)
        assert_close([flow.gradients[v] for v in old], pytree.leaves(by_state), 1e-11)
        inputs = sorted((v for v in graph.vertices if v.kind == INPUT), key=lambda v: v.number)
        assert_close([flow.gradients[v] for v in inputs], [leaf[0] for leaf in pytree.leaves(by_x)], 1e-11)
        assert_close([flow.values[v] for v in old], pytree.leaves(states[t]), 1e-14)


@EVERY
def test_gradients_in_the_graph_are_those_of_the_loop(variant):
    problem, graph = graph_of(variant)
    found = flows.flows(problem, graph, losing)
    assert_flows(problem, graph, found)
    for flow in found:  # what arrives at a value came along the arrows
        for vertex in graph.vertices:
            out = [flow.shares[edge] for edge in graph.edges if edge.source == vertex and edge in flow.shares]
            if out and vertex.kind in (OLD, INPUT, VALUE):
                assert_close(sum(out), flow.gradients[vertex], 1e-12)


@pytest.mark.parametrize("fault", ["a share is lost", "0.1 % off", "values of another step"])
def test_planted_faults_are_caught(fault, monkeypatch):
    right_shares, right_forwards = flows._shares, flows._forwards
    if fault == "values of another step":
        monkeypatch.setattr(flows, "_forwards", lambda *given: [right_forwards(*given)[0]] * 5)
    else:
        change = {"a share is lost": lambda s: [0 * s[0], *s[1:]], "0.1 % off": lambda s: [1.001 * s[0], *s[1:]]}[fault]
        monkeypatch.setattr(flows, "_shares", lambda *given: change(right_shares(*given)))
    problem, graph = graph_of(LSTM(2, 3))
    with pytest.raises(AssertionError):
        assert_flows(problem, graph, flows.flows(problem, graph, losing))


# ---- the picture ----
def parts(ax):
    circles = [patch for patch in ax.patches if isinstance(patch, Circle)]
    arrows = [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
    return circles, arrows


def texts(ax, colour=None):
    return [text.get_text() for text in ax.texts if colour is None or text.get_color() == colour]


@EVERY
def test_folded(variant):
    cell = drawn(variant)[0]
    graph = graph_of(variant)[1]
    ax = draw(cell)
    circles, arrows = parts(ax)
    recurrent = {edge.source for edge in graph.edges if edge.source.kind == OLD}
    assert len(circles) == len([v for v in graph.vertices if v.kind != OLD])
    assert len([patch for patch in ax.patches if patch.get_gid() == "delay"]) == len(recurrent)
    assert len(arrows) == len(graph.edges) + len(recurrent)
    names = [mathematical(v.name, "t") for v in graph.vertices if v.kind != OLD]
    weights = [", ".join(map(mathematical, edge.params)) for edge in graph.edges if edge.params]
    assert sorted(texts(ax)) == sorted([*names, *weights])
    ax.figure.canvas.draw()
    assert not set(weights) & set(texts(draw(cell, weights=False)))


@EVERY
def test_unfolded(variant):
    cell, params, xs, state = drawn(variant)
    problem = Problem("test", cell, params, at(xs, np.s_[:3]), state, None, False)
    graph = StepGraph(problem)
    ax = draw(cell, 3, params, xs, state, loss=losing)
    circles, arrows = parts(ax)
    states = len(pytree.leaves(state))
    assert len(arrows) == 3 * len(graph.edges)
    assert len(circles) == 3 * (len(graph.vertices) - states) + states
    expected: list[Flow] = flows.flows(problem, graph, losing)
    # Nothing comes back from a state that no output reads any more: that of the last step, if it is no output itself.
    assert all(set(graph.edges) == set(flow.shares) for flow in expected[:-1])
    assert all(edge.target.kind == STATE for edge in set(graph.edges) - set(expected[-1].shares))
    shares = [drawing.shown(flow.shares.get(edge, np.zeros(1))) for flow in expected for edge in graph.edges]
    values = [drawing.shown(flow.values[edge.source]) for flow in expected for edge in graph.edges]
    assert sorted(texts(ax, GRADIENT_TEXT)) == sorted(shares)
    assert sorted(texts(ax, VALUE_TEXT)) == sorted(values)
    states = trajectory(cell, params, at(xs, np.s_[:3]), state)[:-1]
    norms = [np.linalg.norm(leaf) for s in states for leaf in pytree.leaves(s)]
    assert {drawing.shown(np.array([n])) for n in norms} <= set(values)
    bare = draw(cell, 3, params, xs, state, numbers=False)
    assert texts(bare, GRADIENT_TEXT) == texts(bare, VALUE_TEXT) == []
    ax.figure.canvas.draw()


@EVERY
@pytest.mark.parametrize("steps", [None, 3])
def test_nothing_lies_on_anything_else(variant, steps):
    assert_nothing_overlaps(drawn(variant)[0], steps)


def test_lines_without_places_of_their_own_are_caught(monkeypatch):
    """The check above can fail."""
    right = layout._columns
    values = lambda item: not isinstance(item, tuple)  # noqa: E731
    monkeypatch.setattr(layout, "_keep_off", lambda *given: None)
    assert_nothing_overlaps(GRU(2, 3), None)
    monkeypatch.setattr(layout, "_by_rail", lambda edge, depth: False)
    monkeypatch.setattr(layout, "_columns", lambda *given: {k: [*filter(values, v)] for k, v in right(*given).items()})
    with pytest.raises(AssertionError):
        assert_nothing_overlaps(GRU(2, 3), None)


@pytest.mark.parametrize("cell", [Elman(2, 3), GRU(2, 3), LSTM(2, 3)], ids=lambda cell: type(cell).__name__)
@pytest.mark.parametrize("steps", [None, 2, 3])
def test_labels_do_not_overlap(cell, steps):
    ax = draw(cell, steps)
    ax.figure.canvas.draw()
    placed = []
    for text in ax.texts:
        points = np.array(text.get_position())
        if text.get_color() in (VALUE_TEXT, GRADIENT_TEXT) or re.match(r"^\$W", text.get_text()):
            placed.append(points)
    placed = np.array(placed)
    apart = np.linalg.norm(placed[:, None] - placed, axis=-1) + 9 * np.eye(len(placed))
    assert apart.min() > 0.09


def test_axes_that_are_given_come_back():
    ax = plt.subplots()[1]
    assert draw(LSTM(2, 3), ax=ax) is ax
    assert draw(LSTM(2, 3)).figure is not ax.figure


def test_the_same_random_numbers_each_time():
    first, second = (texts(draw(LSTM(2, 3), T=2)) for _ in range(2))
    assert first == second
    assert first != texts(draw(LSTM(2, 3), T=2, rng=np.random.default_rng(1)))


def test_scalars_are_shown_with_their_sign():
    step = lambda p, s, x: (p * s, p * s)  # noqa: E731
    ax = draw(step, 2, -0.5, np.ones((2, 1, 1)), np.ones((1, 1)), loss=lambda ys: ys[-1, 0, 0])
    assert "-0.5" in texts(ax, VALUE_TEXT)
    assert "0.25" in texts(ax, GRADIENT_TEXT)


def test_cells_without_a_state():
    ax = draw(Linear(2, 3), T=2)
    assert len(parts(ax)[0]) == 4
    draw(Linear(2, 3)).figure.canvas.draw()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("h", "$h_{t}$"),
        ("W_xi", "$W_{xi,t}$"),
        ("alpha", r"$\alpha_{t}$"),
        ("0.h", "$h^{(0)}_{t}$"),
        ("state[1]", r"$\mathrm{state}_{1,t}$"),
        ("h_new", r"$h_{\mathrm{new},t}$"),
        ("forget", r"$\mathrm{forget}_{t}$"),
        ("__x", r"$\mathrm{\_\_x}_{t}$"),
        ("größe", r"$\mathrm{größe}_{t}$"),
    ],
)
def test_names_as_mathematics(name, text):
    assert mathematical(name, "t") == text
    ax = plt.subplots()[1]
    ax.text(0, 0, text)
    ax.figure.canvas.draw()


@pytest.mark.parametrize(("value", "text"), [
    (0.0, "0"), (-0.0, "0"), (1.0, "1"), (-0.123456, "-0.12"), (123.4, "123"), (1e-7, "1e-7"), (-2.5e9, "-2e9"),
    ([3.0, 4.0], "5"), (np.nan, "nan"), (np.inf, "inf"), (0.0099, "1e-2"),
])  # fmt: skip
def test_numbers_as_text(value, text):
    assert drawing.shown(value) == text


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: draw(LSTM(2, 3), T=0), "from 1, or None"),
        (lambda: draw(LSTM(2, 3), T=1.5), "from 1, or None"),
        (lambda: draw(lambda p, s, x: (s, s), 2), "give params, xs and state"),
        (lambda: draw(LSTM(2, 3), 4, xs=np.zeros((3, 1, 2))), "fewer than T=4"),
    ],
)
def test_refusals_say_what_to_do(call, words):
    with pytest.raises(OptionError, match=words):
        call()


def test_the_layout_is_compact():
    """A line along a rail takes no place in a column."""
    found = layout.laid_out(graph_of(GRU(2, 3))[1])
    assert found.columns == 3
    assert found.top - found.bottom < 4
