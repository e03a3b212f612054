"""JAX on the CPU: ``jax.lax.scan`` under ``jit``."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from .contenders import Contender
from .recipes import Recipe
from .work import Results, Work


@cache
def loaded() -> Any:
    """The package jax, on the CPU."""
    jax = import_module("jax")
    jax.config.update("jax_platforms", "cpu")
    return jax


class JaxFunctions:
    """What a recipe is written in, for JAX: plain expressions, which XLA fuses."""

    def __init__(self, jax: Any):
        jnp = jax.numpy
        self.jax, self.jnp = jax, jnp
        self.sigmoid, self.softmax, self.softplus = jax.nn.sigmoid, jax.nn.softmax, jax.nn.softplus
        self.tanh, self.sin, self.cos, self.arctan = jnp.tanh, jnp.sin, jnp.cos, jnp.arctan
        self.zeros_like = jnp.zeros_like

    def mean(self, x: Any) -> Any:
        return self.jnp.mean(x, -1, keepdims=True)

    def addcmul(self, a: Any, x: Any, y: Any) -> Any:
        return a + x * y

    def lerp(self, a: Any, b: Any, weight: Any) -> Any:
        return (1.0 - weight) * a + weight * b

    def affine(self, a: Any, x: Any, w: Any) -> Any:
        return a + x @ w

    def split(self, x: Any, parts: int) -> Any:
        return self.jnp.split(x, parts, -1)

    def concat(self, xs: Any) -> Any:
        return self.jnp.concatenate(xs, -1)

    def decayed_outer(self, A: Any, a: Any, v: Any, decay: float) -> Any:
        """decay A + a (outer) v, for each row."""
        return decay * A + a[:, :, None] * v[:, None, :]

    def attend(self, A: Any, q: Any, scale: float) -> Any:
        """softmax(scale A q) A, for each row; sums of products, which XLA does faster here than small products."""
        p = self.jax.nn.softmax((A * q[:, None, :]).sum(-1) * scale, -1)
        return (p[:, :, None] * A).sum(1)


def run(recipe: Recipe, xp: JaxFunctions, w: dict[str, Any], xs: Any, hoisted: bool) -> Any:
    """All steps under ``jax.lax.scan``, with the products of the inputs before the loop or in it."""
    w = w | recipe.derived(xp, w)
    zeros = [xp.jnp.zeros((xs.shape[1], *shape), xs.dtype) for shape in recipe.state_shapes()]

    def step(state: Any, given: Any) -> Any:
        state, y = recipe.step(xp, w, state, given if hoisted else recipe.inputs(xp, w, given))
        return tuple(state), y

    _, ys = xp.jax.lax.scan(step, tuple(zeros), tuple(recipe.inputs(xp, w, xs)) if hoisted else xs)
    return recipe.finish(xp, ys)


def contenders(work: Work, recipe: type[Recipe] | None, layer: str, threads: int) -> list[Contender]:
    """The cell under ``scan``, in two ways: which is faster depends on the shape.

    JAX takes the number of threads from the processors that the process may use when it starts.
    """
    if recipe is None:
        return []
    return [_contender(work, recipe(work.cell), hoisted) for hoisted in (True, False)]


def _contender(work: Work, recipe: Recipe, hoisted: bool) -> Contender:
    jax = loaded()
    xp, wide = JaxFunctions(jax), work.dtype == np.float64

    def precision() -> Any:
        return jax.enable_x64(True) if wide else nullcontext()

    def loop(w: Any, xs: Any) -> Any:
        return run(recipe, xp, w, xs, hoisted)

    def derivative(w: Any, xs: Any, cotangent: Any) -> Any:
        if work.with_inputs:
            ys, pull = jax.vjp(loop, w, xs)
        else:
            ys, pull = jax.vjp(lambda w: loop(w, xs), w)
        return ys, pull(cotangent)

    with precision():
        w = {name: jax.numpy.asarray(a) for name, a in recipe.pack(work.params).items()}
        xs, cotangent = jax.numpy.asarray(work.xs), jax.numpy.asarray(work.cotangent)
    compiled, compiled_both = jax.jit(loop), jax.jit(derivative)

    def forward() -> Any:
        with precision():
            return jax.block_until_ready(compiled(w, xs))

    def both() -> Any:
        with precision():
            return jax.block_until_ready(compiled_both(w, xs, cotangent))

    def read(outcome: Any) -> Results:
        ys, gradients = outcome
        found = recipe.unpack({name: np.asarray(g) for name, g in gradients[0].items()})
        return Results([np.asarray(ys)], found | ({"xs": np.asarray(gradients[1])} if work.with_inputs else {}))

    name = "jax scan" if hoisted else "jax scan, x in loop"
    return Contender(name, False, forward, both, lambda ys: [np.asarray(ys)], read)
