"""A cell with whole numbers in it, tensors and modules: what the tests of modules of torch share."""

import numpy as np
import pytest

from tapegrad.cells import Cell, Input, Parameter, State
from tapegrad.interop.torch import module

torch = pytest.importorskip("torch")
DOUBLE = torch.float64
TIGHT = {"atol": 1e-6, "rtol": 1e-5}  # of gradcheck; torch lets pass what is 0.1 % off


class Tokens(Cell):
    """Takes token numbers and a bonus, has a state of floats and of whole numbers, and gives two outputs."""

    hidden_size: int

    def parameters(self):
        n = self.hidden_size
        return {"E": Parameter((5, n)), "inner": {"W": Parameter((n, n))}, "forward": {"b": Parameter((n,), init=0.5)}}

    def state(self):
        return {"h": State((self.hidden_size,)), "count": State((), dtype=np.int64)}

    def inputs(self):
        return {"token": Input((), dtype=np.int64), "bonus": Input((self.hidden_size,))}

    def step(self, params, state, x):
        h = np.tanh(params["E"][x["token"]] + state["h"] @ params["inner"]["W"] + params["forward"]["b"] * x["bonus"])
        return {"h": h, "count": state["count"] + 1}, (h, h * h)


def drawn(*shape, grad=True, seed=0, dtype=DOUBLE):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)).requires_grad_(grad)


def made(layer, seed=0, **options):
    return module(layer, rng=np.random.default_rng(seed), **({"dtype": DOUBLE} | options))
