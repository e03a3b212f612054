"""Arrays that are seen as tensors, and tensors as arrays; torch is imported with this module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ... import pytree
from ...errors import DtypeError, StructureError, TracingError
from ...tensor import Lent

FLOATS = frozenset((torch.float32, torch.float64))
WHOLE = frozenset((torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64))
TAKEN = FLOATS | WHOLE
pytree.LEAVES.update((torch.Tensor, torch.nn.Parameter))


def lent(tensor: Any) -> np.ndarray:
    """The memory of a tensor as an array that nobody may write into by way of the array.

    The engine does not copy it: torch notices a tensor that is changed before its derivative has been taken, since it
    counts the versions of all that a backward pass will read.
    """
    held = tensor.detach()
    try:
        return np.asarray(Lent(held.numpy(), held))
    except (RuntimeError, TypeError) as error:
        raise TracingError(
            f"interop.torch: a {type(tensor).__name__} has no memory that NumPy could see ({error}); torch.export and "
            "torch.jit cannot take functions of tapegrad: keep them out of what is exported"
        ) from None


def returned(results: Sequence[Any]) -> list[Any]:
    """Results as tensors, in the memory of the arrays wherever that can be written into, no two in the same.

    torch does not know that two such tensors share memory: writing into one would change the other unnoticed.
    """
    taken: dict[int, list[np.ndarray]] = {}  # by the array that owns the memory
    tensors = []
    for value in results:
        array = owner = np.asarray(value)
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        others = taken.setdefault(id(owner), [])
        shared = any(np.shares_memory(array, other) for other in others)
        if shared or not array.flags.writeable or min(array.strides, default=0) < 0:
            array = array.copy()
        else:
            others.append(array)
        tensors.append(torch.from_numpy(array))
    return tensors


def check_taken(name: str, tensor: Any, path: str) -> None:
    """Raise unless tapegrad can see the tensor's memory and compute with its dtype."""
    if tensor.device.type != "cpu":
        raise StructureError(
            f"{name}: {path} is on the device {str(tensor.device)!r}, and loops run on the CPU; move it with .cpu(), a "
            "whole module with module.cpu()"
        )
    if tensor.layout != torch.strided:
        raise StructureError(f"{name}: {path} has the layout {tensor.layout}; give a dense tensor: .to_dense()")
    if tensor.dtype not in TAKEN:
        remedy = "take real and imaginary parts" if tensor.is_complex() else "convert it with .float() or .double()"
        raise DtypeError(
            f"{name}: {path} has dtype {tensor.dtype}, and loops compute with float32 and float64; {remedy}"
            + (", a whole module with module.float()" if tensor.is_floating_point() else "")
            + (", and leave torch.autocast for this call" if tensor.dtype in (torch.float16, torch.bfloat16) else "")
        )
