"""mygrad: its GRU, whose loop is compiled by Numba. It is the form with the reset before the product."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from .contenders import Contender
from .recipes import Recipe
from .work import Results, Work

#: The arguments of ``mygrad.nnet.layers.gru`` behind the sequence, under the names of this project's cell.
ARGUMENTS = ("W_xz", "W_hz", "b_z", "W_xr", "W_hr", "b_r", "W_xn", "W_hn", "b_n")


def contenders(work: Work, recipe: type[Recipe] | None, layer: str, threads: int) -> list[Contender]:
    """mygrad's GRU, for the cell that it is. Its products are NumPy's, with NumPy's threads."""
    if layer != "gru":
        return []
    mygrad, gru = import_module("mygrad"), import_module("mygrad.nnet.layers.gru").gru
    params = {name: mygrad.tensor(work.params[name]) for name in ARGUMENTS}
    xs = mygrad.tensor(work.xs, constant=not work.with_inputs)
    # Its outputs begin with the initial state.
    shape = work.cotangent.shape
    cotangent = np.concatenate([np.zeros((1, *shape[1:]), work.dtype), work.cotangent])

    def forward() -> Any:
        with mygrad.no_autodiff:
            return gru(xs, *params.values())

    def both() -> Any:
        ys = gru(xs, *params.values())
        ys.backward(cotangent.copy())  # it adds into what it is given
        return ys

    def read(ys: Any) -> Results:
        found = {name: np.array(value.grad) for name, value in params.items()}
        return Results([np.array(ys)[1:]], found | ({"xs": np.array(xs.grad)} if work.with_inputs else {}))

    return [Contender("mygrad gru", False, forward, both, lambda ys: [np.array(ys)[1:]], read)]
