"""The LSTM of 1997: its equations, and its truncated gradient against the recurrences that the paper prints.

The recurrences run forward in time and know nothing of derivatives: each weight into an input gate or a cell carries a
trace, and the error of a step is multiplied by it. They are written out here from appendix A.1, online, with the output
layer; only the learning rate is left out.
"""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.cells import LSTM1997, SigmoidReadout
from tapegrad.errors import OptionError
from tapegrad.testing import check_cell
from tests.cells.drawing import random_inputs, random_params, random_state
from tests.cells.lstm_equations import check, net, sigma
from tests.strategies.effort import few

sizes = st.integers(1, 3)
seeds = st.integers(0, 2**32)


@pytest.mark.parametrize("biased", ["ioc", "io", ""])
@pytest.mark.parametrize("truncated", [True, False])
@given(m=sizes, count=sizes, size=sizes, seed=seeds)
def test_the_equations(biased, truncated, m, count, size, seed):
    def one_step(p, state, x):
        y, i, o, s = state
        seen = {"x": x, "y": y, "i": i, "o": o}
        a = {
            unit: [net(j, p, f"b_{unit}", *[(v, f"W_{u}{unit}") for u, v in seen.items()]) for j in range(width)]
            for unit, width in {"i": count, "o": count, "c": count * size}.items()
        }
        i, o = [sigma(v) for v in a["i"]], [sigma(v) for v in a["o"]]
        new_y, new_s = [], []
        for j in range(count):
            for v in range(j * size, (j + 1) * size):
                new_s.append(s[v] + i[j] * (4 * sigma(a["c"][v]) - 2))
                new_y.append(o[j] * (2 * sigma(new_s[v]) - 1))
        return new_y, i, o, new_s

    check(LSTM1997(m, count, size, biased, truncated=truncated), seed, one_step)


# ---- the truncated gradient, as published
def f(a):
    return 1 / (1 + np.exp(-a))


def df(a):
    return f(a) * (1 - f(a))


def g(a):
    return 4 * f(a) - 2


def h(a):
    return 2 * f(a) - 1


def published(cell, params, readout, state, xs, targets):
    """What the paper adds to each weight of the hidden layer and of the output units, summed over an online run.

    ``d`` has minus the sums of equations 26, 28 and 22: gradients of the error, half the squared differences.
    """
    count, size = cell.block_count, cell.block_size
    y, i, o, s = state
    block = np.repeat(np.arange(count), size)  # of each cell
    first = np.arange(0, count * size, size)  # cells of the blocks
    sources = sum(params[f"W_{u}i"].shape[0] for u in "xyio") + 1  # inputs, cells, gates, and one for the bias
    trace_in = np.zeros((count * size, sources))  # ds_jv / dw_in_j,m
    trace_c = np.zeros((count * size, sources))  # ds_jv / dw_c_jv,m
    d = {unit: np.zeros((sources, params[f"W_x{unit}"].shape[1])) for unit in "ioc"}
    d_out = {name: np.zeros_like(value) for name, value in readout.items()}
    weights = {unit: np.concatenate([params[f"W_{u}{unit}"] for u in "xyio"]) for unit in "ioc"}
    for x, target in zip(xs, targets, strict=True):
        before = np.concatenate([x, y, i, o])  # y^m(t-1): all that the hidden layer sees
        a = {unit: before @ weights[unit] + params.get(f"b_{unit}", 0.0) for unit in "ioc"}
        with_bias = np.append(before, 1.0)
        i, o = f(a["i"]), f(a["o"])
        s = s + i[block] * g(a["c"])
        y = o[block] * h(s)
        trace_in += (g(a["c"]) * df(a["i"])[block])[:, None] * with_bias  # 25
        trace_c += (4 * df(a["c"]) * i[block])[:, None] * with_bias  # 27: g' = 4 f'
        a_k = y @ readout["W_hy"] + readout["b_y"]
        e_k = df(a_k) * (target - f(a_k))  # 19, output units
        back = readout["W_hy"] @ e_k  # sum_k w_k,cjv e_k, for each cell
        e_out = df(a["o"]) * np.add.reduceat(h(s) * back, first)  # 21
        e_s = o[block] * 2 * df(s) * back  # 23: h' = 2 f'
        d["o"] -= np.outer(with_bias, e_out)  # 22
        d["i"] -= np.add.reduceat(e_s[:, None] * trace_in, first).T  # 26
        d["c"] -= (e_s[:, None] * trace_c).T  # 28
        d_out["W_hy"] -= np.outer(y, e_k)
        d_out["b_y"] -= e_k
    found = {}
    for unit in "ioc":
        parts = np.split(d[unit][:-1], np.cumsum([params[f"W_{u}{unit}"].shape[0] for u in "xyi"]))
        found |= {f"W_{u}{unit}": part for u, part in zip("xyio", parts, strict=True)}
        if f"b_{unit}" in params:
            found[f"b_{unit}"] = d[unit][-1]
    return found, d_out


def drawn(cell, outputs, seed, steps=6):
    rng = np.random.default_rng(seed)
    readout = SigmoidReadout(cell.output_size, outputs)
    params, weights = random_params(cell, rng), random_params(readout, rng)
    state = random_state(cell, rng, 1)
    xs, targets = random_inputs(cell, rng, steps, 1), rng.uniform(0, 1, (steps, 1, outputs))
    return readout, params, weights, state, xs, targets


def by_tape(cell, readout, params, weights, state, xs, targets, backend="reference"):
    def error(params, weights):
        ys = cell(params, xs, state, backend=backend)[1]
        return 0.5 * np.sum((targets - readout(weights, ys)) ** 2)

    return tg.grad(error, (0, 1))(params, weights)


def apart(found, wanted):
    """The largest difference of any weight, beside the largest of its array."""
    assert found.keys() == wanted.keys()
    return max(float(np.max(np.abs(found[k] - wanted[k])) / np.max(np.abs(wanted[k]))) for k in wanted)


@pytest.mark.parametrize("biased", ["ioc", "io", ""])
@few()
@given(m=sizes, count=sizes, size=sizes, outputs=sizes, seed=seeds)
def test_the_truncated_gradient_is_the_recurrences_of_the_paper(biased, m, count, size, outputs, seed):
    cell = LSTM1997(m, count, size, biased)
    readout, params, weights, state, xs, targets = drawn(cell, outputs, seed)
    gradients = by_tape(cell, readout, params, weights, state, xs, targets)
    rows = [leaf[0] for leaf in state]
    for found, wanted in zip(gradients, published(cell, params, weights, rows, xs[:, 0], targets[:, 0]), strict=True):
        assert apart(found, wanted) < 1e-11


def test_it_is_that_of_the_compiled_loop_too():
    cell = LSTM1997(3, 2, 2)
    data = drawn(cell, 2, 0)
    compiled = by_tape(cell, *data, backend="numba")
    for found, wanted in zip(compiled, by_tape(cell, *data), strict=True):
        assert apart(found, wanted) < 1e-12


def test_a_batch_is_the_sum_of_its_rows():
    cell = LSTM1997(2, 2, 2)
    rng = np.random.default_rng(1)
    params, state, xs = random_params(cell, rng), random_state(cell, rng, 3), random_inputs(cell, rng, 4, 3)
    readout = SigmoidReadout(cell.output_size, 2)
    weights, targets = random_params(readout, rng), rng.uniform(0, 1, (4, 3, 2))
    found = by_tape(cell, readout, params, weights, state, xs, targets)
    rows = [published(cell, params, weights, [leaf[b] for leaf in state], xs[:, b], targets[:, b]) for b in range(3)]
    for part, shares in zip(found, zip(*rows, strict=True), strict=True):
        assert apart(part, {k: sum(share[k] for share in shares) for k in part}) < 1e-11


class Leaking(LSTM1997):
    """A cell with its own tapes: those of the library's cells are kept, whatever becomes of its functions."""

    leak: str = ""


@pytest.mark.parametrize("leak", ["y", "i", "o", "all"])
def test_a_path_that_is_not_stopped_is_seen(leak, monkeypatch):
    """The recurrences know which paths are cut: with any one of the three open the gradient is another."""
    cell = LSTM1997(2, 2, 2)
    data = drawn(cell, 2, 3)
    readout, params, weights, state, xs, targets = data
    wanted = published(cell, params, weights, [leaf[0] for leaf in state], xs[:, 0], targets[:, 0])[0]
    assert apart(by_tape(cell, *data)[0], wanted) < 1e-11
    module = sys.modules[LSTM1997.__module__]
    stop = module.stop_gradient
    open_path = lambda tree: tree if leak == "all" else stop(tree) | {leak: tree[leak]}  # noqa: E731
    monkeypatch.setattr(module, "stop_gradient", open_path)
    assert apart(by_tape(Leaking(2, 2, 2, leak=leak), *data)[0], wanted) > 1e-3


def test_the_full_gradient_is_another_and_is_not_truncated():
    cell, full = LSTM1997(2, 2, 2), LSTM1997(2, 2, 2, truncated=False)
    data = drawn(cell, 2, 3)
    assert apart(by_tape(full, *data)[0], by_tape(cell, *data)[0]) > 1e-2
    names = [node.primitive.name for node in tg.trace(full.step)(*step_data(full)).nodes if node is not None]
    assert "stop_gradient" not in names


def step_data(cell):
    rng = np.random.default_rng(0)
    return random_params(cell, rng), random_state(cell, rng, 2), random_inputs(cell, rng, 1, 2)[0]


# ---- options
@pytest.mark.parametrize(
    "options",
    [
        {"block_size": 3},
        {"biased": ""},
        {"truncated": False, "g": "sigmoid", "h": "identity"},
        {"g": "tanh", "h": "tanh"},
    ],
)
def test_other_options_by_other_oracles(options):
    report = check_cell(LSTM1997(2, 2, **options), oracles=("tape", "sympy", "reference", "rtrl", "differences"))
    assert report.skipped == {}


def test_where_biases_start():
    params = LSTM1997(7, 3, 2, "io", input_bias=-2, output_bias=(-1.0, -2.0, -3.0)).init(np.random.default_rng(0))
    assert params["b_i"].tolist() == [-2, -2, -2]
    assert params["b_o"].tolist() == [-1, -2, -3]
    assert "b_c" not in params
    assert max(float(np.max(np.abs(v))) for k, v in params.items() if k.startswith("W")) < 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LSTM1997(2, 3, biased="f"), "LSTM1997: biased='f', expected letters"),
        (lambda: LSTM1997(2, 3, h="relu"), "h='relu', expected one of '4 sigmoid - 2'"),
        (lambda: LSTM1997(2, 3, output_bias=(1.0,)), "a tuple of 3, one for each block"),
        (lambda: LSTM1997(2, 3, input_bias="low"), "input_bias='low'"),
        (lambda: LSTM1997(2, 0), "block_count=0"),
        (lambda: LSTM1997(2, 2, 0), "block_size=0"),
        (lambda: LSTM1997(2, 2, truncated="yes"), "truncated='yes', expected True or False"),
    ],
)
def test_options_that_make_no_sense(make, message):
    with pytest.raises(OptionError, match=message):
        make()
