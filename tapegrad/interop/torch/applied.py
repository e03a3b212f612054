"""A function of arrays as an operation of torch, with its derivatives of every order; torch comes in with this module.

The derivative of such an operation is the operation of the derivative: backward passes, forward mode and batches are
again functions of arrays, which tapegrad derives, and torch is told of each in the same way.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch.autograd import forward_ad

from ... import pytree
from ...batching import vmap
from ...errors import TracingError
from ...transforms import jvp, vjp
from .memory import TAKEN, check_taken, lent, returned

Flat = Callable[[Sequence[Any]], list[Any]]  # from arrays to arrays


class Kept(NamedTuple):
    """What a forward pass leaves for the backward pass, and for which of the arguments."""

    pull: Callable[[Sequence[Any]], list[Any]]
    active: tuple[bool, ...]


def _by(f: Flat, arrays: Sequence[Any], active: Sequence[bool]) -> tuple[Callable, list[Any]]:
    """``f`` as a function of some of its arguments, and these."""
    chosen = [i for i, flag in enumerate(active) if flag]

    def of_active(*given: Any) -> list[Any]:
        filled = list(arrays)
        for i, value in zip(chosen, given, strict=True):
            filled[i] = value
        return f(filled)

    return of_active, [arrays[i] for i in chosen]


def _recorded(f: Flat, arrays: Sequence[Any], active: Sequence[bool]) -> tuple[list[Any], Callable]:
    """The results, and the function from cotangents (None for zero) to those of the active arguments."""
    of_active, primals = _by(f, arrays, active)
    results, pullback = vjp(of_active, *primals)
    return results, pullback.of_leaves  # type: ignore[attr-defined]


def _pulled(f: Flat, active: Sequence[bool], given: Sequence[bool]) -> Flat:
    """The backward pass: from arguments and cotangents to the cotangents of the active arguments."""

    def backward(arrays: Sequence[Any]) -> list[Any]:
        _, pull = _recorded(f, arrays[: len(active)], active)
        cotangents = iter(arrays[len(active) :])
        return pull([next(cotangents) if flag else None for flag in given])

    return backward


def _pushed(f: Flat, active: Sequence[bool]) -> Flat:
    """Forward mode: from arguments and the tangents of the active ones to the tangents of the results."""

    def forward(arrays: Sequence[Any]) -> list[Any]:
        of_active, primals = _by(f, arrays[: len(active)], active)
        return jvp(of_active, primals, arrays[len(active) :])[1]

    return forward


class Applied(torch.autograd.Function):
    """``Applied.apply(f, active, *tensors)``: the results of ``f`` as tensors, and last what was kept."""

    @staticmethod
    def forward(f: Flat, active: tuple[bool, ...], *tensors: Any) -> tuple[Any, ...]:
        arrays = [lent(tensor) for tensor in tensors]
        if not any(active):
            return (*returned(f(arrays)), None)
        results, pull = _recorded(f, arrays, active)
        return (*returned(results), Kept(pull, active))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        ctx.f, _, *tensors = inputs
        *results, kept = output
        # What was kept hangs on a saved tensor, so that it lives as long as torch keeps what it saves for this node.
        holder = torch.empty(0)
        holder.kept = kept
        ctx.save_for_backward(*tensors, holder)
        if getattr(forward_ad, "_current_level", 0) >= 0:
            ctx.save_for_forward(*tensors, holder)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*[result for result in results if not result.is_floating_point()])

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> tuple[Any, ...]:
        *tensors, holder = ctx.saved_tensors  # raises if one of them was changed in place
        active, cotangents = ctx.needs_input_grad[2:], cotangents[:-1]
        if torch.is_grad_enabled():  # this pass will be differentiated in turn
            given = [g is not None for g in cotangents]
            f = _pulled(ctx.f, active, given)
            found = apply_flat(f, [*tensors, *[g for g in cotangents if g is not None]])
        else:
            kept = getattr(holder, "kept", None)  # hooks on saved tensors, as of checkpoints, give another tensor back
            if kept is None or kept.active != active:
                kept = Kept(_recorded(ctx.f, [lent(tensor) for tensor in tensors], active)[1], active)
            found = returned(kept.pull([None if g is None else lent(g) for g in cotangents]))
        gradients = iter(found)
        return (None, None, *[next(gradients) if flag else None for flag in active])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Any, ...]:
        *tensors, _ = ctx.saved_tensors
        given = [t for t in tangents[2:] if t is not None]
        moved = apply_flat(_pushed(ctx.f, [t is not None for t in tangents[2:]]), [*tensors, *given])
        return (*[t if t.is_floating_point() else None for t in moved], None)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], f: Flat, active: tuple[bool, ...], *tensors: Any) -> Any:
        axes = in_dims[2:]

        def batched(arrays: Sequence[Any]) -> list[Any]:
            return vmap(lambda *given: f(given), in_axes=axes)(*arrays)

        results = apply_flat(batched, tensors)
        return (*results, None), (*[0] * len(results), None)


def apply_flat(f: Flat, tensors: Sequence[Any]) -> list[Any]:
    """The results of a function of arrays, as tensors of torch's graph."""
    recording = torch.is_grad_enabled()
    *results, _ = Applied.apply(f, tuple([recording and tensor.requires_grad for tensor in tensors]), *tensors)
    return results


def applied(name: str, labels: Sequence[str], f: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
    """The result of ``f(*args, **kwargs)``, in which tensors stand for arrays, as a pytree of tensors.

    ``labels`` are names of the arguments, for messages; what is no tensor is handed on as it is.
    """
    if torch.jit.is_tracing():  # which would take the results for constants
        raise TracingError(f"{name}: torch.jit cannot take it; keep the call out of what is traced")
    leaves, structure = pytree.flatten((args, kwargs))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
    tensors = [leaves[i] for i in places]
    for i, tensor in zip(places, tensors, strict=True):
        if tensor.dtype not in TAKEN or tensor.device.type != "cpu" or tensor.layout != torch.strided:
            check_taken(name, tensor, _path(labels, args, kwargs, i))
        leaves[i] = None  # the graph keeps the function, and must not keep the tensors by it
    made: list[pytree.Structure] = []

    def flat(arrays: Sequence[Any]) -> list[Any]:
        filled = list(leaves)
        for i, array in zip(places, arrays, strict=True):
            filled[i] = array
        args, kwargs = structure.unflatten(filled)
        results, found = pytree.flatten(f(*args, **kwargs))
        made[:] = [found]
        return results

    results = apply_flat(flat, tensors)
    return made[0].unflatten(results)


def _path(labels: Sequence[str], args: tuple, kwargs: dict[str, Any], number: int) -> str:
    """What the leaf of this number is called."""
    named = [labels[i] if i < len(labels) else f"argument {i}" for i in range(len(args))]
    paths = []
    for label, arg in [*zip(named, args, strict=True), *sorted(kwargs.items())]:
        paths += [label if path == "value" else label + ("" if path[0] == "[" else ".") + path
                  for path in pytree.paths(arg)]  # fmt: skip
    return paths[number]


Applied.forward.__signature__ = inspect.signature(Applied.forward)  # type: ignore[attr-defined] # read at each call
