"""torch on the CPU: its own layers, ``nn.LSTM``, ``nn.GRU`` and ``nn.RNN``."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .contenders import Contender
from .recipes import Recipe
from .torch_peers import loaded
from .work import Results, Work


class Layer(NamedTuple):
    """A layer of torch, and which of a cell's parameters stand in its arrays, in this order.

    torch has two biases where a cell has one; the second is 0 and no gradient is asked for it, but for the places named
    in ``second``.
    """

    name: str
    inputs: tuple[str, ...]
    recurrent: tuple[str, ...]
    first: tuple[str, ...]
    second: tuple[str | None, ...] = ()


LAYERS = {
    "lstm": Layer(
        "LSTM", ("W_xi", "W_xf", "W_xg", "W_xo"), ("W_hi", "W_hf", "W_hg", "W_ho"), ("b_i", "b_f", "b_g", "b_o")
    ),
    "gru_after": Layer(
        "GRU", ("W_xr", "W_xz", "W_xn"), ("W_hr", "W_hz", "W_hn"), ("b_r", "b_z", "b_n"), (None, None, "b_hn")
    ),
    "elman": Layer("RNN", ("W_xh",), ("W_hh",), ("b_h",)),
}


def contenders(work: Work, recipe: type[Recipe] | None, layer: str, threads: int) -> list[Contender]:
    """The layer of torch that is this cell, if there is one."""
    if layer not in LAYERS:
        return []
    torch, found = loaded(), LAYERS[layer]
    torch.set_num_threads(threads)
    arrays = [torch.tensor(a) for a in _arrays(found, work)]
    module = getattr(torch.nn, found.name)(work.shape.I, work.shape.H, dtype=arrays[0].dtype)
    held = [module.weight_ih_l0, module.weight_hh_l0, module.bias_ih_l0, module.bias_hh_l0]
    with torch.no_grad():
        for parameter, array in zip(held, arrays, strict=True):
            parameter.copy_(array)
    if not found.second:
        module.bias_hh_l0.requires_grad_(False)
        held.pop()
    xs, cotangent = torch.tensor(work.xs, requires_grad=work.with_inputs), torch.tensor(work.cotangent)
    asked = [*held, xs] if work.with_inputs else held

    def forward() -> Any:
        with torch.no_grad():
            return module(xs)[0]

    def both() -> Any:
        ys = module(xs)[0]
        return ys, torch.autograd.grad(ys, asked, cotangent)

    def read(outcome: Any) -> Results:
        ys, gradients = outcome
        return Results([ys.detach().numpy()], _named(found, work, [g.numpy() for g in gradients]))

    return [Contender(f"torch nn.{found.name}", False, forward, both, lambda ys: [np.asarray(ys)], read)]


def _arrays(layer: Layer, work: Work) -> list[np.ndarray]:
    """The layer's four arrays; torch's weights are (out, in), gates one below the other."""
    params, zero = work.params, np.zeros(work.shape.H, work.dtype)
    weights = [
        np.ascontiguousarray(np.concatenate([params[name].T for name in names]))
        for names in (layer.inputs, layer.recurrent)
    ]
    second = [zero if name is None else params[name] for name in layer.second or (None,) * len(layer.first)]
    return [*weights, np.concatenate([params[name] for name in layer.first]), np.concatenate(second)]


def _named(layer: Layer, work: Work, gradients: list[np.ndarray]) -> dict[str, np.ndarray]:
    groups = [layer.inputs, layer.recurrent, layer.first, *([layer.second] if layer.second else [])]
    named: dict[str, np.ndarray] = {}
    for names, gradient in zip(groups, gradients, strict=False):
        for name, part in zip(names, np.split(gradient, len(names)), strict=True):
            if name is not None:
                named[name] = part.T
    if work.with_inputs:
        named["xs"] = gradients[-1]
    return named
