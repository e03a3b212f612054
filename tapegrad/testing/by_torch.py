"""A cell in PyTorch; the library is imported with this module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ..primitives.contract import Spec
from ..primitives.indexing import filled
from ..tape import Node
from .cell_problem import CellProblem
from .cell_readings import Readings
from .elsewhere import Library, one_triangle, places, read_in

SAME = """add subtract multiply divide remainder negative absolute maximum minimum exp expm1 log log1p sqrt logaddexp
sin cos tan arcsin arccos arctan arctan2 sinh cosh arcsinh arccosh arctanh tanh where sign floor floor_divide isfinite
logical_and logical_or logical_not hypot""".split()
SPECIAL = "digamma erf erfc erfcx erfinv gammainc gammaincc gammaln log_ndtr ndtri xlog1py xlogy zeta".split()


class Torch(Library):
    name = "torch"
    functions = {name: getattr(torch, name) for name in SAME} | {
        "power": torch.pow, "logistic": torch.sigmoid, "stop_gradient": torch.detach, "rint": torch.round,
        "equal": torch.eq, "less": torch.lt, "less_equal": torch.le,
    }  # fmt: skip
    functions |= {name: getattr(torch.special, name) for name in SPECIAL}

    def array(self, value: Any) -> Any:
        return value if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))

    def operand(self, value: Any, node: Node) -> Any:
        """Several of torch's functions take no Python numbers; a number has the dtype of what it meets."""
        if isinstance(value, np.ndarray) or node.primitive.multiple:
            return self.array(value)
        met = [v.dtype for v, slot in zip(node.args, node.slots, strict=True) if slot >= 0 and v.dtype.kind != "b"]
        made = node.ans.dtype if node.ans.dtype.kind == "f" or not met else met[0]
        return self.array(np.asarray(value, None if isinstance(value, bool) else made))

    def stack(self, parts: list[Any]) -> Any:
        return torch.stack(parts)

    def do_cast(self, x: Any, dtype: Any) -> Any:
        return x.to(torch.from_numpy(np.zeros(0, dtype)).dtype)

    def do_contract(self, x: Any, y: Any, spec: Spec) -> Any:
        return torch.einsum(spec.text, x, y)

    def do_getitem(self, x: Any, *arrays: Any, template: tuple) -> Any:
        at = places(template, tuple(x.shape))  # torch has no slices with negative steps
        return x[filled(template, arrays)] if at is None else x.reshape(-1)[self.array(at)]

    def do_scatter(self, g: Any, *arrays: Any, template: tuple, shape: tuple[int, ...]) -> Any:
        zeros, at = torch.zeros(shape, dtype=g.dtype), places(template, shape)
        if at is None:
            numbers = torch.arange(zeros.numel()).reshape(shape)[filled(template, arrays)]
        else:
            numbers = self.array(at)
        return zeros.reshape(-1).index_put((numbers,), g, accumulate=True).reshape(shape)

    def do_sum(self, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        return torch.sum(x, axis, keepdims) if axis else x

    def do_max(self, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        return _extremum(torch.amax, x, axis, keepdims)

    def do_min(self, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        return _extremum(torch.amin, x, axis, keepdims)

    def do_argmax(self, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        return torch.argmax(x, axis[0], keepdims)

    def do_argmin(self, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        return torch.argmin(x, axis[0], keepdims)

    def do_argsort(self, x: Any, axis: int, kind: Any, kth: tuple[int, ...] | None) -> Any:
        return torch.argsort(x, dim=axis, stable=True) if kth is None else self.partitioned()

    def do_solve(self, a: Any, b: Any) -> Any:
        if b.ndim < a.ndim:  # torch would take a stack of vectors where the shapes allow it
            b = b.reshape((1,) * (a.ndim - b.ndim) + tuple(b.shape))
        return torch.linalg.solve(a, b)

    def do_det(self, a: Any) -> Any:
        return torch.linalg.det(a)

    def do_slogdet(self, a: Any) -> list[Any]:
        return list(torch.linalg.slogdet(a))

    def do_pinv(self, a: Any, rcond: float) -> Any:
        return torch.linalg.pinv(a, rtol=rcond)

    def do_cholesky(self, a: Any, upper: bool) -> Any:
        return torch.linalg.cholesky(one_triangle(torch, a, upper), upper=upper)

    def do_eigh(self, a: Any, upper: bool) -> list[Any]:
        return list(torch.linalg.eigh(one_triangle(torch, a, upper)))

    def do_svd(self, a: Any) -> list[Any]:
        return list(torch.linalg.svd(a, full_matrices=False))

    def do_qr(self, a: Any) -> list[Any]:
        return list(torch.linalg.qr(a))

    def do_cumsum(self, x: Any, axis: int) -> Any:
        return torch.cumsum(x, axis)

    def do_reshape(self, x: Any, shape: tuple[int, ...]) -> Any:
        return torch.reshape(x, shape)

    def do_transpose(self, x: Any, axes: tuple[int, ...]) -> Any:
        return torch.permute(x, axes)

    def do_broadcast_to(self, x: Any, shape: tuple[int, ...]) -> Any:
        return torch.broadcast_to(x, shape)

    def do_flip(self, x: Any, axes: tuple[int, ...]) -> Any:
        return torch.flip(x, axes)

    def do_pad(self, x: Any, widths: tuple[tuple[int, int], ...]) -> Any:
        return torch.nn.functional.pad(x, [n for pair in reversed(widths) for n in pair])

    def do_concatenate(self, *arrays: Any, axis: int) -> Any:
        return torch.cat(arrays, axis)


def _extremum(function: Callable, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    if x.dtype == torch.bool:  # any and all
        return function(x.to(torch.uint8), axis, keepdims).to(torch.bool) if axis else x
    return function(x, axis, keepdims) if axis else x


def by_torch(problem: CellProblem) -> Readings:
    """The results of the cell, and its gradients by PyTorch's own rules."""
    return read_in(Torch(), problem, _differentiate)


def _differentiate(loop: Callable, leaves: Sequence[Any], floating: Sequence[int], weights: Sequence[Any]) -> Any:
    every = [torch.from_numpy(np.array(leaf)) for leaf in leaves]
    for i in floating:
        every[i].requires_grad_(True)
    results = loop(every)
    total = sum(torch.sum(y * torch.from_numpy(u)) for y, u in zip(results, weights, strict=True) if y.requires_grad)
    asked = [every[i] for i in floating]
    if isinstance(total, int):  # nothing depends on them
        gradients = [torch.zeros_like(a) for a in asked]
    else:
        gradients = [
            torch.zeros_like(a) if g is None else g
            for a, g in zip(asked, torch.autograd.grad(total, asked, allow_unused=True), strict=True)
        ]
    return [y.detach().numpy() for y in results], [g.numpy() for g in gradients]
