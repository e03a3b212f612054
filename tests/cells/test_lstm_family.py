"""Each descendant of the LSTM against its equations, unit by unit, and against the others where they coincide."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.cells import LSTM, LSTM2000, CoupledLSTM, FullPeepholeLSTM, PeepholeLSTM, VanillaLSTM
from tapegrad.errors import OptionError
from tapegrad.testing import check_cell
from tests.cells.drawing import random_inputs, random_params, random_state, unroll
from tests.cells.lstm_equations import check, net, sigma
from tests.strategies.effort import few

sizes = st.integers(1, 4)
seeds = st.integers(0, 2**32)
SUBSETS = ["", "i", "f", "o", "if", "io", "fo", "ifo"]
VARIANTS = ["V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR"]


@pytest.mark.parametrize("peepholes", SUBSETS)
@given(m=sizes, n=sizes, seed=seeds)
def test_peepholes(peepholes, m, n, seed):
    def one_step(p, state, x):
        h, c = state
        new_h, new_c = [], []
        for j in range(n):
            nets = {k: net(j, p, f"b_{k}", (x, f"W_x{k}"), (h, f"W_h{k}")) for k in "ifgo"}
            through = {k: p[f"p_{k}"][j] if k in peepholes else 0.0 for k in "ifo"}
            i, f = (sigma(nets[k] + through[k] * c[j]) for k in "if")
            new_c.append(f * c[j] + i * math.tanh(nets["g"]))
            new_h.append(sigma(nets["o"] + through["o"] * new_c[j]) * math.tanh(new_c[j]))
        return new_h, new_c

    cell = PeepholeLSTM(m, n, peepholes[::-1])
    assert cell == PeepholeLSTM(m, n, peepholes)  # in whatever order the gates are named
    check(cell, seed, one_step)


@given(m=sizes, n=sizes, seed=seeds)
def test_full_peepholes(m, n, seed):
    def one_step(p, state, x):
        h, c = state
        nets = {
            k: [net(j, p, f"b_{k}", (x, f"W_x{k}"), (h, f"W_h{k}"), *([(c, f"W_c{k}")] if k in "if" else []))
                for j in range(n)] for k in "ifgo"
        }  # fmt: skip
        i, f = ([sigma(a) for a in nets[k]] for k in "if")
        c = [f[j] * c[j] + i[j] * math.tanh(nets["g"][j]) for j in range(n)]
        o = [sigma(nets["o"][j] + sum(c[k] * p["W_co"][k][j] for k in range(n))) for j in range(n)]
        return [o[j] * math.tanh(c[j]) for j in range(n)], c

    check(FullPeepholeLSTM(m, n), seed, one_step)


@given(m=sizes, n=sizes, seed=seeds)
def test_coupled_gates(m, n, seed):
    def one_step(p, state, x):
        h, c = state
        new_h, new_c = [], []
        for j in range(n):
            nets = {k: net(j, p, f"b_{k}", (x, f"W_x{k}"), (h, f"W_h{k}")) for k in "igo"}
            i = sigma(nets["i"])
            new_c.append(c[j] + i * (math.tanh(nets["g"]) - c[j]))
            new_h.append(sigma(nets["o"]) * math.tanh(new_c[j]))
        return new_h, new_c

    check(CoupledLSTM(m, n), seed, one_step)


@pytest.mark.parametrize("variant", VARIANTS)
@given(m=sizes, n=sizes, seed=seeds)
def test_vanilla_and_its_ablations(variant, m, n, seed):
    def one_step(p, state, x):
        y, c, *last = state
        gates = {"i": [], "f": [], "o": []}
        new_y, new_c = [], []

        def gate(k, j, seen):
            if variant == {"i": "NIG", "f": "NFG", "o": "NOG"}[k]:
                return 1.0
            if variant == "CIFG" and k == "f":
                return 1.0 - gates["i"][j]
            a = net(j, p, f"b_{k}", (x, f"W_x{k}"), (y, f"W_y{k}"))
            if variant != "NP":
                a += p[f"p_{k}"][j] * seen
            if variant == "FGR":
                a += net(j, p, "none", *[(values, f"W_{g}{k}") for g, values in zip("ifo", last, strict=True)])
            return sigma(a)

        for j in range(n):
            z = net(j, p, "b_z", (x, "W_xz"), (y, "W_yz"))
            z = z if variant == "NIAF" else math.tanh(z)
            gates["i"].append(gate("i", j, c[j]))
            gates["f"].append(gate("f", j, c[j]))
            new_c.append(z * gates["i"][j] + c[j] * gates["f"][j])
            gates["o"].append(gate("o", j, new_c[j]))
            new_y.append((new_c[j] if variant == "NOAF" else math.tanh(new_c[j])) * gates["o"][j])
        return (new_y, new_c, *gates.values()) if variant == "FGR" else (new_y, new_c)

    check(VanillaLSTM(m, n, variant), seed, one_step)


@pytest.mark.parametrize(("size", "biased"), [(1, "ifoc"), (2, "ifo"), (3, ""), (2, "c")])
@given(m=sizes, count=st.integers(1, 3), seed=seeds)
def test_the_lstm_of_2000(size, biased, m, count, seed):
    def one_step(p, state, x):
        y, s = state
        gates = {k: [sigma(net(j, p, f"b_{k}", (x, f"W_x{k}"), (y, f"W_y{k}"))) for j in range(count)] for k in "ifo"}
        new_y, new_s = [], []
        for j in range(count):
            for v in range(j * size, (j + 1) * size):
                z = net(v, p, "b_c", (x, "W_xc"), (y, "W_yc"))
                new_s.append(gates["f"][j] * s[v] + gates["i"][j] * (4 * sigma(z) - 2))
                new_y.append(gates["o"][j] * math.tanh(new_s[v]))
        return new_y, new_s

    check(LSTM2000(m, count, size, biased), seed, one_step)


# ---- where they coincide
def same(one, params, two, renamed, seed, exact=True):
    """Values, and gradients of a sum, of two cells with states of the same form."""
    rng = np.random.default_rng(seed)
    state, xs = random_state(one, rng, 2), random_inputs(one, rng, 4, 2)
    (last, ys), (other, outputs) = unroll(one, params, state, xs), unroll(two, renamed, state, xs)
    tolerance = 0 if exact else 1e-13
    for a, b in zip([*last, ys], [*other, outputs], strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    weights = rng.standard_normal(ys.shape)
    gradient, other = (
        tg.grad(lambda xs, cell=cell, p=p: np.sum(cell(p, xs, state, backend="reference")[1] * weights))(xs)
        for cell, p in ((one, params), (two, renamed))
    )
    np.testing.assert_allclose(gradient, other, rtol=1e-12, atol=1e-13)


@few()
@given(m=sizes, n=sizes, seed=seeds)
def test_peepholes_of_zero_are_none(m, n, seed):
    params = random_params(LSTM(m, n), np.random.default_rng(seed))
    same(LSTM(m, n), params, PeepholeLSTM(m, n), params | {f"p_{k}": np.zeros(n) for k in "ifo"}, seed)
    same(LSTM(m, n), params, PeepholeLSTM(m, n, ""), params, seed)


@few()
@given(m=sizes, n=sizes, seed=seeds)
def test_diagonal_matrices_are_peepholes(m, n, seed):
    params = random_params(PeepholeLSTM(m, n), np.random.default_rng(seed))
    full = {name: value for name, value in params.items() if not name.startswith("p_")}
    full |= {f"W_c{k}": np.diag(params[f"p_{k}"]) for k in "ifo"}
    same(PeepholeLSTM(m, n), params, FullPeepholeLSTM(m, n), full, seed, exact=False)


def vanilla(params, peepholes=True):
    """Parameters with the letters of Greff's paper."""
    renamed = {"W_x": "W_x", "W_h": "W_y", "b_": "b_", "p_": "p_"}
    found = {renamed[k[:-1]] + k[-1].replace("g", "z"): value for k, value in params.items()}
    if peepholes:
        found |= {f"p_{k}": np.zeros_like(params["b_o"]) for k in "ifo" if f"b_{k}" in found}
    return found


@few()
@given(m=sizes, n=sizes, seed=seeds)
def test_vanilla_without_peepholes_is_the_lstm(m, n, seed):
    params = random_params(LSTM(m, n), np.random.default_rng(seed))
    same(LSTM(m, n), params, VanillaLSTM(m, n, "NP"), vanilla(params, False), seed, exact=False)
    same(LSTM(m, n), params, VanillaLSTM(m, n), vanilla(params), seed, exact=False)
    params = random_params(PeepholeLSTM(m, n), np.random.default_rng(seed))
    same(PeepholeLSTM(m, n), params, VanillaLSTM(m, n), vanilla(params, False), seed, exact=False)


@few()
@given(m=sizes, n=sizes, seed=seeds)
def test_cifg_without_peepholes_has_coupled_gates(m, n, seed):
    params = random_params(CoupledLSTM(m, n), np.random.default_rng(seed))
    same(CoupledLSTM(m, n), params, VanillaLSTM(m, n, "CIFG"), vanilla(params), seed, exact=False)
    params |= {f"{a}_{b}f": -params[f"{a}_{b}i"] for a, b in (("W", "x"), ("W", "h"), ("b", ""))}
    # f = sigmoid(-a) is 1 - sigmoid(a): the same network as an LSTM with that forget gate
    same(CoupledLSTM(m, n), {k: v for k, v in params.items() if k[-1] != "f"}, LSTM(m, n), params, seed, exact=False)


@few()
@given(m=sizes, n=sizes, seed=seeds)
def test_blocks_of_one_cell_are_the_lstm_up_to_the_squashing_functions(m, n, seed):
    params = random_params(LSTM(m, n), np.random.default_rng(seed))
    renamed = {k.replace("W_h", "W_y")[:-1] + k[-1].replace("g", "c"): value for k, value in params.items()}
    cell = LSTM2000(m, n, biased="ifoc", truncated=False, g="tanh", h="tanh")
    same(LSTM(m, n), params, cell, renamed, seed, exact=False)


# ---- what is not registered
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_ablation_by_other_oracles(variant):
    report = check_cell(VanillaLSTM(2, 3, variant), oracles=("tape", "sympy", "reference", "rtrl", "differences"))
    assert report.skipped == {}


@pytest.mark.parametrize("peepholes", SUBSETS)
def test_every_subset_of_peepholes_by_other_oracles(peepholes):
    assert check_cell(PeepholeLSTM(2, 3, peepholes), oracles=("tape", "reference", "differences")).skipped == {}


@pytest.mark.parametrize(
    "options", [{"truncated": False, "h": "identity"}, {"biased": "", "g": "sigmoid", "h": "tanh"}]
)
def test_other_options_of_the_lstm_of_2000(options):
    cell = LSTM2000(2, 2, 3, **options)
    assert check_cell(cell, oracles=("tape", "sympy", "reference", "rtrl", "differences")).skipped == {}


def test_where_biases_start():
    rng = np.random.default_rng(0)
    assert PeepholeLSTM(2, 3, forget_bias=2.0).init(rng)["b_f"].tolist() == [2, 2, 2]
    assert CoupledLSTM(2, 3).init(rng)["b_i"].tolist() == [-1, -1, -1]
    params = LSTM2000(7, 2, 2, input_bias=(-0.5, -1.0), forget_bias=(0.5, 1), output_bias=-2).init(rng)
    assert [params[f"b_{k}"].tolist() for k in "ifo"] == [[-0.5, -1], [0.5, 1], [-2, -2]]
    assert "b_c" not in params


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PeepholeLSTM(2, 3, "ig"), "peepholes='ig', expected letters of the gates i, f and o"),
        (lambda: PeepholeLSTM(2, 3, True), "peepholes=True"),
        (lambda: VanillaLSTM(2, 3, "NIFG"), "variant='NIFG', expected one of V, NIG"),
        (lambda: LSTM2000(2, 3, g="relu"), "LSTM2000: g='relu', expected one of '4 sigmoid - 2'"),
        (lambda: LSTM2000(2, 3, biased="x"), "biased='x', expected letters"),
        (lambda: LSTM2000(2, 3, forget_bias=(1.0, 2.0)), r"forget_bias=\(1.0, 2.0\).*a tuple of 3"),
        (lambda: LSTM2000(2, 0), "block_count=0, expected an integer of at least 1"),
    ],
)
def test_options_that_make_no_sense(make, message):
    with pytest.raises(OptionError, match=message):
        make()
