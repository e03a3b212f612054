"""torch on the CPU: cells written in eager torch."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from .contenders import Contender
from .recipes import Recipe
from .work import Results, Work

EAGER = "torch custom"


@cache
def loaded() -> Any:
    """The package torch."""
    return import_module("torch")


class TorchFunctions:
    """What a recipe is written in, for torch: the call that does most at once."""

    def __init__(self, torch: Any):
        self.torch = torch
        self.sigmoid, self.tanh, self.softplus = torch.sigmoid, torch.tanh, torch.nn.functional.softplus
        self.sin, self.cos, self.arctan = torch.sin, torch.cos, torch.arctan
        self.addcmul, self.lerp, self.zeros_like = torch.addcmul, torch.lerp, torch.zeros_like

    def softmax(self, x: Any) -> Any:
        return self.torch.softmax(x, -1)

    def mean(self, x: Any) -> Any:
        return self.torch.mean(x, -1, keepdim=True)

    def affine(self, a: Any, x: Any, w: Any) -> Any:
        """a + x @ w; for a whole sequence all rows in one product."""
        if x.ndim == 3:
            return self.torch.addmm(a, x.reshape(-1, x.shape[-1]), w).view(*x.shape[:2], -1)
        return self.torch.addmm(a, x, w)

    def split(self, x: Any, parts: int) -> Any:
        return x.chunk(parts, -1)

    def concat(self, xs: Any) -> Any:
        return self.torch.cat(xs, -1)

    def decayed_outer(self, A: Any, a: Any, v: Any, decay: float) -> Any:
        """decay A + a (outer) v, for each row."""
        return self.torch.baddbmm(A, a.unsqueeze(2), v.unsqueeze(1), beta=decay)

    def attend(self, A: Any, q: Any, scale: float) -> Any:
        """softmax(scale A q) A, for each row."""
        p = self.torch.softmax(self.torch.bmm(A, q.unsqueeze(2)).squeeze(2) * scale, -1)
        return self.torch.bmm(p.unsqueeze(1), A).squeeze(1)


def run(recipe: Recipe, xp: TorchFunctions, w: dict[str, Any], xs: Any) -> Any:
    """All steps: products of the inputs in one call, one ``unbind`` for each of their parts, a loop in Python."""
    torch = xp.torch
    w = w | recipe.derived(xp, w)
    hoisted = recipe.inputs(xp, w, xs)
    state: Any = [torch.zeros(xs.shape[1], *shape, dtype=xs.dtype) for shape in recipe.state_shapes()]
    ys = []
    for parts in zip(*[part.unbind(0) for part in hoisted], strict=True):
        state, y = recipe.step(xp, w, state, parts)
        ys.append(y)
    if isinstance(ys[0], tuple):
        return recipe.finish(xp, [torch.stack(part) for part in zip(*ys, strict=True)])
    return recipe.finish(xp, torch.stack(ys))


def contenders(work: Work, recipe: type[Recipe] | None, layer: str, threads: int) -> list[Contender]:
    """The cell in eager torch."""
    if recipe is None:
        return []
    torch, written = loaded(), recipe(work.cell)
    torch.set_num_threads(threads)
    xp = TorchFunctions(torch)
    w = {name: torch.tensor(a, requires_grad=True) for name, a in written.pack(work.params).items()}
    xs, cotangent = torch.tensor(work.xs, requires_grad=work.with_inputs), torch.tensor(work.cotangent)
    asked = [*w.values(), xs] if work.with_inputs else list(w.values())

    def forward() -> Any:
        with torch.no_grad():
            return run(written, xp, w, xs)

    def both() -> Any:
        ys = run(written, xp, w, xs)
        return ys, torch.autograd.grad(ys, asked, cotangent)

    def read(outcome: Any) -> Results:
        ys, gradients = outcome
        arrays = [g.numpy() for g in gradients]
        found = written.unpack(dict(zip(w, arrays, strict=False)))
        return Results([ys.detach().numpy()], found | ({"xs": arrays[-1]} if work.with_inputs else {}))

    return [Contender(EAGER, False, forward, both, lambda ys: [np.asarray(ys)], read)]
