"""A function of NumPy as a function of torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from .needed import torch_for


def function(f: Callable) -> Callable:
    """A function in plain NumPy as one that takes and gives torch tensors, and that torch differentiates.

    Parameters
    ----------
    f : callable
        From pytrees of arrays to a pytree of arrays, of what tapegrad differentiates: NumPy's functions, scans, cells,
        gradients of other functions. It is called anew at each call, and may look at the values of arrays only where
        ``tapegrad.grad`` lets it.

    Returns
    -------
    callable
        It takes pytrees in which tensors stand for arrays, and gives tensors. Arguments that are no tensors are handed
        on as they are, keywords too.

    Raises
    ------
    MissingLibrary
        When torch is not installed.
    DtypeError, StructureError
        At a call, for a tensor of another dtype than float32, float64, bool and integers, or on another device than the
        CPU.

    Notes
    -----
    Tensors are not copied, and neither are results. What a tensor holds must not change before the backward pass; torch
    raises if it does. Backward passes can be differentiated (``create_graph=True``), in any order; they are then
    computed anew from the arguments. Forward mode and torch.func (grad, jvp, vmap and their compositions) work, and
    torch.compile leaves the call as it is.

    Examples
    --------
    >>> import numpy as np, torch
    >>> norm = function(lambda x: np.sqrt(np.sum(x**2)))
    >>> x = torch.tensor([3.0, 4.0], requires_grad=True)
    >>> norm(x).backward()
    >>> x.grad
    tensor([0.6000, 0.8000])
    """
    torch = torch_for("interop.torch.function")
    from .applied import applied

    name = f"interop.torch.function of {getattr(f, '__name__', type(f).__name__)}"

    @torch.compiler.disable  # which leaves the call as it is, between what is compiled before and behind it
    @wraps(f)
    def of_tensors(*args: Any, **kwargs: Any) -> Any:
        return applied(name, (), f, args, kwargs)

    return of_tensors
