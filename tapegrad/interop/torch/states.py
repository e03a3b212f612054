"""The states of torch's recurrent layers, which are arrays of all layers and directions, and those of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ... import pytree
from ...errors import ShapeError, StructureError
from .layouts import parts, sizes_of
from .needed import torch_for

if TYPE_CHECKING:
    from ...cells import Layer


def to_state(layer: Layer, hx: Any) -> Any:
    """The state of a network of cells, from torch's ``h_0`` or ``(h_0, c_0)``.

    Parameters
    ----------
    layer : Layer
    hx : array or tensor (layers * directions, B, H), or a pair of them for an LSTM

    Returns
    -------
    pytree as ``layer.state()``, of views of what came
    """
    name = "interop.torch.to_state"
    sizes = sizes_of(name, layer)
    pair = sizes.kind.name == "LSTM"
    if pair != isinstance(hx, (tuple, list)) or (pair and len(hx) != 2):
        raise StructureError(
            f"{name}: hx is a {type(hx).__name__}, expected {'the pair (h_0, c_0)' if pair else 'the array h_0'}, as "
            f"nn.{sizes.kind.name} takes it"
        )
    wide = (sizes.output, sizes.hidden) if pair else (sizes.hidden,)
    for label, one, size in zip("hc", hx if pair else [hx], wide, strict=False):
        wanted = sizes.layers * sizes.directions
        if len(one.shape) != 3 or (one.shape[0], one.shape[2]) != (wanted, size):
            raise ShapeError(f"{name}: {label}_0 has shape {tuple(one.shape)}, expected ({wanted}, B, {size})")
    structure = pytree.structure(layer.state())
    cells = [(hx[0][k], hx[1][k]) if pair else (hx[k],) for k in range(sizes.layers * sizes.directions)]
    return structure.unflatten([leaf for cell in cells for leaf in cell])


def from_state(layer: Layer, state: Any) -> Any:
    """torch's ``h_n``, for an LSTM ``(h_n, c_n)``, from the state of a network of cells; see :func:`to_state`."""
    sizes = sizes_of("interop.torch.from_state", layer)
    wanted = pytree.structure(layer.state())
    if pytree.structure(state) != wanted:
        raise StructureError(f"interop.torch.from_state: state has the structure {pytree.structure(state)}, expected "
                             f"{wanted}, as a call of the layer gives it")  # fmt: skip
    held = [part.state(state) for part in parts(layer)]
    if sizes.kind.name == "LSTM":
        return _stacked([h for h, _ in held]), _stacked([c for _, c in held])
    return _stacked(held)


def _stacked(leaves: list[Any]) -> Any:
    if all(hasattr(leaf, "detach") for leaf in leaves):
        return torch_for("interop.torch.from_state").stack(leaves)
    return np.stack([np.asarray(leaf) for leaf in leaves])
