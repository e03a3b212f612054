"""What has to hold of the cell."""

import math

import numpy as np
import pytest
from cfn import CFN

from tapegrad import tree_map
from tapegrad.testing import check_cell, each_cell


@each_cell("cfn")
def test_all_ways_to_differentiate_it_agree(cell):
    check_cell(cell)


def drawn(seed, m=2, n=3):
    """A cell, and parameters of which no two are alike."""
    rng = np.random.default_rng(seed)
    cell = CFN(m, n)
    params = tree_map(lambda p: p + rng.normal(size=p.shape), cell.init(rng, np.float64))
    return cell, params, rng


@pytest.mark.parametrize("seed", range(5))
def test_a_step_is_the_equations_of_the_paper(seed):
    """Written out for one unit after the other, with nothing of the cell's code."""
    cell, params, rng = drawn(seed)
    m, n = cell.input_size, cell.hidden_size
    x, h = rng.normal(size=m).tolist(), rng.normal(size=n).tolist()

    def net(k, gate):
        total = sum(params[f"W_x{gate}"][j, k] * x[j] for j in range(m))
        if gate == "v":
            return total
        return total + sum(params[f"W_h{gate}"][j, k] * h[j] for j in range(n)) + params[f"b_{gate}"][k]

    def logistic(z):
        return 1 / (1 + math.exp(-z))

    expected = [
        logistic(net(k, "f")) * math.tanh(h[k]) + logistic(net(k, "i")) * math.tanh(net(k, "v")) for k in range(n)
    ]
    found, _ = cell.step(params, np.array([h]), np.array([x]))
    np.testing.assert_allclose(found[0], expected, rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_without_input_the_state_fades_away(seed):
    """The claim of the paper's title: |h_t| < |h_{t-1}|, whatever the weights are."""
    cell, params, rng = drawn(seed)
    state, ys = cell(params, np.zeros((500, 4, 2)), rng.normal(size=(4, 3)), backend="reference")
    assert np.all(np.diff(np.abs(ys), axis=0) <= 0)
    assert np.all(np.abs(state) < 0.1)
