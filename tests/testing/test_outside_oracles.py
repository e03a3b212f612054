"""Cells against the layers of PyTorch, where it is installed: gates, gradients, initial states and inputs."""

import numpy as np
import pytest

from tapegrad.cells import GRU, LSTM
from tapegrad.testing import CellMismatch, check_cell

torch = pytest.importorskip("torch")


def by_torch(layer, gates):
    """An oracle: a recurrent layer of torch with the cell's weights, gate by gate in the layer's order."""

    def run(params, state, xs, weights):
        tensors = {name: torch.tensor(p, requires_grad=True) for name, p in params.items()}
        starts = [torch.tensor(s, requires_grad=True) for s in (state if isinstance(state, tuple) else (state,))]
        x = torch.tensor(xs, requires_grad=True)
        zero = torch.zeros_like(tensors[f"b_{gates[0]}"])
        held = {
            "weight_ih_l0": torch.cat([tensors[f"W_x{gate}"] for gate in gates], 1).T,
            "weight_hh_l0": torch.cat([tensors[f"W_h{gate}"] for gate in gates], 1).T,
            "bias_ih_l0": torch.cat([tensors[f"b_{gate}"] for gate in gates]),
            "bias_hh_l0": torch.cat([tensors.get(f"b_h{gate}", zero) for gate in gates]),
        }
        made = layer(xs.shape[2], starts[0].shape[1], dtype=x.dtype)
        first = tuple(s[None] for s in starts)
        ys, last = torch.func.functional_call(made, held, (x, first if len(starts) > 1 else first[0]))
        ends = [s[0] for s in (last if len(starts) > 1 else (last,))]
        d_ends = weights[0] if isinstance(weights[0], tuple) else (weights[0],)
        asked = [*tensors.values(), *starts, x]
        found = torch.autograd.grad([*ends, ys], asked, [torch.tensor(w) for w in (*d_ends, weights[1])])
        arrays = [g.numpy() for g in found]
        n = len(tensors)
        pack = tuple if isinstance(state, tuple) else lambda parts: parts[0]
        grads = dict(zip(tensors, arrays[:n], strict=True)), pack(arrays[n:-1]), arrays[-1]
        return (pack([e.detach().numpy() for e in ends]), ys.detach().numpy()), grads

    return run


CELLS = pytest.mark.parametrize(
    ("cell", "layer", "gates"), [(LSTM(3, 4), torch.nn.LSTM, "ifgo"), (GRU(3, 4, True), torch.nn.GRU, "rzn")],
    ids=["LSTM", "GRU"],
)  # fmt: skip


@CELLS
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_layers_of_torch(cell, layer, gates, dtype):
    report = check_cell(cell, oracles=("tape", "sympy", "rtrl"), others={"torch": by_torch(layer, gates)}, dtype=dtype)
    assert [pair.second for pair in report.pairs].count("torch") == 3


@CELLS
def test_gates_in_the_wrong_order_are_caught(cell, layer, gates):
    others = {"torch": by_torch(layer, gates[::-1])}
    with pytest.raises(CellMismatch) as error:
        check_cell(cell, oracles=("tape", "sympy"), others=others)
    assert error.value.report.suspects() == ["torch"]
