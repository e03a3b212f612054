"""The cell of this project as a module of torch, which torch differentiates: ``tapegrad.interop.torch.module``."""

from __future__ import annotations

from typing import Any

from .. import pytree
from ..interop.torch import module
from .contenders import Contender
from .recipes import Recipe
from .torch_peers import EAGER, loaded
from .work import Results, Work


def contenders(work: Work, recipe: type[Recipe] | None, layer: str, threads: int) -> list[Contender]:
    """The cell as a module; its time is that of the compiled loop, and what the way through torch costs."""
    torch = loaded()
    torch.set_num_threads(threads)
    made = module(work.cell, work.params)
    weights, structure = list(made.parameters()), pytree.structure(work.params)
    xs, cotangent = pytree.map(torch.tensor, work.xs), pytree.leaves(pytree.map(torch.tensor, work.cotangent))
    asked = list(weights)
    if work.with_inputs:
        asked.append(xs.requires_grad_())

    def forward() -> Any:
        with torch.no_grad():
            return pytree.leaves(made(xs)[1])

    def both() -> Any:
        ys = pytree.leaves(made(xs)[1])
        return ys, torch.autograd.grad(ys, asked, cotangent)

    def read(outcome: Any) -> Results:
        ys, gradients = outcome
        arrays = [g.numpy() for g in gradients]
        of_params = structure.unflatten(arrays[: len(weights)])
        return work.results(([y.detach().numpy() for y in ys], (of_params, arrays[-1])))

    return [Contender("torch module", True, forward, both, lambda ys: [y.numpy() for y in ys], read, EAGER)]
