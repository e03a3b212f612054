"""A cell in JAX; the library is imported with this module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..primitives import elementwise
from ..primitives.contract import Spec
from ..primitives.indexing import filled
from .cell_problem import CellProblem
from .cell_readings import Readings
from .elsewhere import Library, read_in


class Jax(Library):
    name = "jax"
    functions = {
        row.name: getattr(jnp, row.function.__name__)
        for row in vars(elementwise).values()
        if isinstance(row, elementwise.Elementwise) and hasattr(jnp, getattr(row.function, "__name__", "-"))
    } | {"logistic": jax.nn.sigmoid, "stop_gradient": jax.lax.stop_gradient, "where": jnp.where}

    def array(self, value: Any) -> Any:
        return jnp.asarray(value)

    def stack(self, parts: list[Any]) -> Any:
        return jnp.stack(parts)

    def do_cast(self, x: Any, dtype: Any) -> Any:
        return jnp.asarray(x).astype(dtype)

    def do_contract(self, x: Any, y: Any, spec: Spec) -> Any:
        return jnp.einsum(spec.text, x, y, precision="highest")

    def do_getitem(self, x: Any, *arrays: Any, template: tuple) -> Any:
        return x[filled(template, arrays)]

    def do_scatter(self, g: Any, *arrays: Any, template: tuple, shape: tuple[int, ...]) -> Any:
        return jnp.zeros(shape, g.dtype).at[filled(template, arrays)].add(g)

    def do_argmax(self, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        return jnp.argmax(x, axis[0], keepdims=keepdims)

    def do_argmin(self, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        return jnp.argmin(x, axis[0], keepdims=keepdims)

    def do_pad(self, x: Any, widths: tuple) -> Any:
        return jnp.pad(x, widths) if widths else x

    def do_flip(self, x: Any, axes: tuple[int, ...]) -> Any:
        return jnp.flip(x, axes)

    def do_concatenate(self, *arrays: Any, axis: int) -> Any:
        return jnp.concatenate(arrays, axis)


for _name in ("sum", "max", "min", "cumsum", "reshape", "transpose", "broadcast_to"):  # JAX names their options alike
    setattr(Jax, f"do_{_name}", staticmethod(getattr(jnp, _name)))


def by_jax(problem: CellProblem) -> Readings:
    """The results of the cell, and its gradients by JAX's own rules."""
    with jax.enable_x64(True):  # for this oracle alone
        return read_in(Jax(), problem, _differentiate)


def _differentiate(loop: Callable, leaves: Sequence[Any], floating: Sequence[int], weights: Sequence[Any]) -> Any:
    def of_floating(*given: Any) -> list[Any]:
        every = [jnp.asarray(leaf) for leaf in leaves]
        for i, value in zip(floating, given, strict=True):
            every[i] = value
        return loop(every)

    results, pull = jax.vjp(of_floating, *[jnp.asarray(leaves[i]) for i in floating])
    seeds = [
        jnp.asarray(u, y.dtype) if jnp.issubdtype(y.dtype, jnp.floating) else np.zeros(y.shape, jax.dtypes.float0)
        for u, y in zip(weights, results, strict=True)
    ]
    return results, pull(seeds)
