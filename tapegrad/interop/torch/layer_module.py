"""The module of torch that runs a layer; torch is imported with this module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn.utils import rnn

from ... import pytree
from ...cells import Layer
from ...cells.checks import check_params, specification
from ...errors import DtypeError, OptionError
from .applied import applied
from .memory import FLOATS, lent

NAME = "interop.torch.module"


class Room(torch.nn.Module):
    """A part of the parameters of a module, under its key.

    A part may be called "forward", as in Bidirectional, and torch finds parts as attributes (``functional_call``,
    ``get_submodule``). So the part hides the method of that name, and calling it calls what it hides.
    """

    def __init__(self, hidden: Callable | None = None):
        super().__init__()
        self._hidden = hidden

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self._hidden is None:
            raise NotImplementedError(f"{NAME}: this part holds parameters; call the module that it is a part of")
        return self._hidden(*args, **kwargs)


class LayerModule(torch.nn.Module):
    """A cell or layer as a module: see :func:`tapegrad.interop.torch.module`.

    Attributes
    ----------
    layer : Layer
    batch_first : bool
    backend : str
    """

    def __init__(
        self, layer: Layer, params: Any, rng: np.random.Generator | None, dtype: Any, batch_first: bool, backend: str
    ):
        super().__init__()
        if not isinstance(batch_first, bool):
            raise OptionError(f"{NAME}: batch_first={batch_first!r}, expected True or False")
        self.layer, self.batch_first, self.backend = layer, batch_first, backend
        spec = specification(layer)
        if params is None:
            leaves = _drawn(layer, rng, torch.get_default_dtype() if dtype is None else dtype)
        else:
            params = pytree.map(_array, params)
            check_params(layer, params)
            leaves = [torch.from_numpy(np.array(leaf)) for leaf in pytree.leaves(params)]
            if dtype is not None:
                leaves = [leaf.to(_checked(dtype)) for leaf in leaves]
        # Where each parameter is: the module that holds it and its name there, in the order of the pytree.
        self._places = [self._placed(path, leaf) for path, leaf in zip(spec.names, leaves, strict=True)]

    def _placed(self, path: str, leaf: Any) -> tuple[torch.nn.Module, str]:
        owner: torch.nn.Module = self
        *rooms, name = path.split(".")
        for room in rooms:
            # Not add_module: a part of the parameters may be called as a method is ("forward").
            if room not in owner._modules:
                hides = owner.forward if room == "forward" else None
                owner._modules[room] = Room(hides)
                if hides is not None:
                    owner.__dict__[room] = owner._modules[room]
            owner = owner._modules[room]
        owner._parameters[name] = torch.nn.Parameter(leaf)
        return owner, name

    def _tensors(self) -> list[Any]:
        found = []
        for owner, name in self._places:
            tensor = owner._parameters.get(name)
            found.append(getattr(owner, name) if tensor is None else tensor)  # a parametrisation is an attribute
        return found

    def params(self) -> Any:
        """The parameters as a pytree of arrays of their own."""
        return specification(self.layer).structure.unflatten([np.array(lent(tensor)) for tensor in self._tensors()])

    @torch.no_grad()
    def reset_parameters(self, rng: np.random.Generator | None = None) -> None:
        """Draw the parameters anew, in their dtype."""
        tensors = self._tensors()
        if tensors:
            for tensor, value in zip(tensors, _drawn(self.layer, rng, tensors[0].dtype), strict=True):
                tensor.copy_(value)

    @torch.compiler.disable  # which leaves the call as it is, between what is compiled before and behind it
    def forward(self, xs: Any, state: Any = None, *, lengths: Any = None, **options: Any) -> Any:
        """Run over sequences: ``(state, ys)``, as the layer does."""
        if isinstance(xs, rnn.PackedSequence):
            if lengths is not None:
                raise OptionError(f"{NAME}: lengths= came, and a PackedSequence has its own; leave lengths")
            xs, lengths = rnn.pad_packed_sequence(xs, self.batch_first)
            final, ys = self.forward(xs, state, lengths=lengths, **options)
            return final, rnn.pack_padded_sequence(ys, lengths, self.batch_first, enforce_sorted=False)
        options = {"lengths": lengths, "backend": self.backend} | options
        if self.batch_first:
            xs = _exchanged(xs)
            if options.get("reset") is not None:
                options["reset"] = _exchanged(options["reset"])
        params = specification(self.layer).structure.unflatten(self._tensors())
        final, *rest = applied(NAME, ("params", "xs", "state"), self.layer, (params, xs, state), options)
        if self.batch_first:
            rest = _exchanged(rest)
        return (final, *rest)

    def extra_repr(self) -> str:
        return f"{self.layer!r}" + (", batch_first=True" if self.batch_first else "")


def _drawn(layer: Layer, rng: np.random.Generator | None, dtype: Any) -> list[Any]:
    if rng is None:
        rng = np.random.default_rng(torch.randint(2**63 - 1, ()).item())
    width = np.float64 if _checked(dtype) is torch.float64 else np.float32
    return [torch.from_numpy(leaf) for leaf in pytree.leaves(layer.init(rng, width))]


def _array(leaf: Any) -> Any:
    """A parameter that came as a tensor, as an array."""
    if not isinstance(leaf, torch.Tensor):
        return leaf
    _checked(leaf.dtype)
    return leaf.detach().cpu().numpy()


def _checked(dtype: Any) -> Any:
    if dtype not in FLOATS:
        raise DtypeError(f"{NAME}: dtype={dtype!r}, expected torch.float32 or torch.float64")
    return dtype


def _exchanged(tree: Any) -> Any:
    """Tensors with the first two axes exchanged."""
    return pytree.map(lambda leaf: leaf.swapaxes(0, 1) if hasattr(leaf, "swapaxes") else leaf, tree)
