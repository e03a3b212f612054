"""Parameters of which some are held as they are: whole arrays, subtrees, or single elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import pytree
from .errors import DtypeError, ShapeError, StructureError
from .primitives.registry import shape_of
from .rules import stop_gradient
from .tensor import Tensor


def freeze(params: Any, mask: Any) -> Any:
    """The same parameters, of which some are held constant by every derivative.

    Parameters
    ----------
    params : pytree of arrays
    mask : pytree of bool and boolean arrays
        True where a parameter is frozen. It has the structure of ``params``, or ends earlier: one bool stands for
        all that is below it. An array has the shape of its parameter, or can be broadcast to it.

    Returns
    -------
    pytree
        Of the values of ``params``. What is frozen has a gradient, tangent and second derivative of exactly zero.

    Raises
    ------
    StructureError, ShapeError, DtypeError
        When the mask does not fit the parameters, or is not boolean.

    Examples
    --------
    >>> from tapegrad import grad
    >>> params = {"W": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": np.array([5.0, 6.0])}
    >>> lower = {"W": np.tril(np.ones((2, 2), bool)), "b": True}
    >>> grad(lambda p: sum(np.sum(leaf**2) for leaf in freeze(p, lower).values()))(params)
    {'W': array([[0., 4.],
           [0., 0.]]), 'b': array([0., 0.])}
    """
    return pytree.map(_frozen, params, mask_of(params, mask, "freeze"))


def _frozen(leaf: Any, mask: np.ndarray) -> Any:
    if not isinstance(leaf, Tensor) or not mask.any():
        return leaf
    held = stop_gradient(leaf)
    return held if mask.all() else np.where(mask, held, leaf)


def mask_of(params: Any, mask: Any, name: str) -> Any:
    """A boolean array of each parameter's shape, from a mask that may end earlier; ``name`` is who asks."""
    structure = pytree.structure(params)
    avals = iter(zip(pytree.leaves(params), pytree.paths(params), strict=True))
    masks: list[np.ndarray] = []
    _collect(structure, mask, "mask", name, avals, masks)
    return structure.unflatten(masks)


def _collect(structure: Any, mask: Any, path: str, name: str, leaves: Any, masks: list[np.ndarray]) -> None:
    given = pytree.structure(mask)
    if given.kind == pytree.LEAF:
        array = mask if isinstance(mask, np.ndarray) else np.asarray(mask)
        if isinstance(mask, Tensor) or array.dtype != bool:
            raise DtypeError(
                f"{name}: {path} is {mask!r}; a mask holds True, False and arrays of bool, with True for what is frozen"
            )
        if array.ndim and structure.kind != pytree.LEAF:
            raise StructureError(
                f"{name}: {path} is an array of shape {array.shape}, and stands for the parameters {structure!r}; give "
                "one bool for all of them, or a mask for each"
            )
        for _ in range(structure.size):
            leaf, at = next(leaves)
            try:
                masks.append(np.broadcast_to(array, shape_of(leaf)))
            except ValueError:
                raise ShapeError(
                    f"{name}: the mask of {at} has the shape {array.shape}, the parameter {shape_of(leaf)}; give a "
                    "mask of the parameter's shape"
                ) from None
        return
    if (given.kind, given.type, given.keys) != (structure.kind, structure.type, structure.keys) or len(
        given.children
    ) != len(structure.children):
        raise StructureError(
            f"{name}: {path} has the structure {given!r}, the parameters have {structure!r}; a mask has the containers "
            "and keys of the parameters, and one bool stands for a whole container; lists are containers: give np.array"
        )
    for i, (child, part) in enumerate(zip(structure.children, _parts(mask, given), strict=True)):
        key = f"[{given.keys[i]!r}]" if given.kind == pytree.DICT else f".{given.keys[i]}" if given.keys else f"[{i}]"
        _collect(child, part, path + key, name, leaves, masks)


def _parts(mask: Any, structure: Any) -> list[Any]:
    """The children of a mask, in the order of its structure."""
    if structure.kind == pytree.DICT:
        return [mask[key] for key in structure.keys]
    if structure.kind == pytree.DATACLASS:
        return [getattr(mask, key) for key in structure.keys]
    return list(mask) if structure.kind != pytree.NONE else []
