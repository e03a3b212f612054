"""The arrays of a node, W, R, B and P, and the parameters of its cells: the same numbers, gate by gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import DtypeError, ShapeError, StructureError
from .cells import OnnxCell
from .node import OnnxNode

__all__ = ["pack", "unpack"]

PEEPHOLES = "iof"


def shapes(cell: OnnxCell, directions: int) -> dict[str, tuple[int, ...]]:
    """The shapes that the standard gives the arrays of a node of such cells."""
    m, n, gates = cell.input_size, cell.hidden_size, len(cell.gates)
    wanted: dict[str, tuple[int, ...]] = {"W": (directions, gates * n, m), "R": (directions, gates * n, n)}
    if cell.bias:
        wanted["B"] = (directions, 2 * gates * n)
    if getattr(cell, "peepholes", False):
        wanted["P"] = (directions, len(PEEPHOLES) * n)
    return wanted


def unpack(node: OnnxNode, arrays: Mapping[str, Any], name: str = "") -> Any:
    """The parameters of a node from the arrays of the standard.

    Parameters
    ----------
    node : OnnxNode
    arrays : mapping
        W and R, with biases B, with peepholes P, in the standard's shapes and order of gates.
    name : str
        What the node is called in messages.

    Returns
    -------
    pytree as ``node.parameters()``

    Raises
    ------
    StructureError, ShapeError, DtypeError
        An array is missing, unknown, of another shape, or of another dtype than the others; the message names it.
    """
    name = name or node.operator
    wanted = shapes(node.cells[0], len(node.cells))
    odd = sorted(wanted.keys() ^ arrays.keys())
    if odd:
        raise StructureError(
            f"{name}: {odd[0]} is {'missing' if odd[0] in wanted else 'unknown'}; the arrays of {node.cells[0]!r} are "
            f"{', '.join(f'{key} {shape}' for key, shape in wanted.items())}"
        )
    found = {key: np.asarray(arrays[key]) for key in wanted}
    for key, shape in wanted.items():
        check(name, key, found[key], shape, found["W"].dtype)
    each = []
    for number, cell in enumerate(node.cells):
        here = {key: array[number] for key, array in found.items()}
        each.append({key: np.array(value) for key, value in _gates(cell, here)})
    return each[0] if len(each) == 1 else {"forward": each[0], "backward": each[1]}


def check(name: str, key: str, array: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Raise when an array of a node is not what it must be."""
    if array.shape != shape:
        raise ShapeError(f"{name}: {key} is of shape {array.shape}, expected {shape}")
    if array.dtype.kind != "f" or array.dtype != dtype:
        expected = f"{dtype}, as W has" if dtype.kind == "f" else "a floating dtype of NumPy"
        remedy = dtype if dtype.kind == "f" else "float32"
        raise DtypeError(f"{name}: {key} has dtype {array.dtype}, expected {expected}; write .astype(np.{remedy})")


def _gates(cell: OnnxCell, here: Mapping[str, np.ndarray]) -> Any:
    """The parameters of one direction, by name."""
    count = len(cell.gates)
    for letter in "WR":
        for gate, part in zip(cell.gates, np.split(here[letter], count), strict=True):
            yield f"{letter}_{gate}", part.T
    if "B" in here:
        names = [f"{side}_{gate}" for side in ("Wb", "Rb") for gate in cell.gates]
        yield from zip(names, np.split(here["B"], 2 * count), strict=True)
    if "P" in here:
        yield from zip([f"P_{gate}" for gate in PEEPHOLES], np.split(here["P"], len(PEEPHOLES)), strict=True)


def pack(node: OnnxNode, params: Any) -> dict[str, np.ndarray]:
    """The arrays of the standard from the parameters of a node; the inverse of :func:`unpack`.

    Parameters
    ----------
    node : OnnxNode
    params : pytree as ``node.parameters()``

    Returns
    -------
    dict
        W and R, and B and P where the node has them.
    """
    sides = []
    for cell, own in zip(node.cells, node.of_directions(params), strict=True):
        one = {letter: np.concatenate([own[f"{letter}_{gate}"].T for gate in cell.gates]) for letter in "WR"}
        if cell.bias:
            one["B"] = np.concatenate([own[f"{side}_{gate}"] for side in ("Wb", "Rb") for gate in cell.gates])
        if getattr(cell, "peepholes", False):
            one["P"] = np.concatenate([own[f"P_{gate}"] for gate in PEEPHOLES])
        sides.append(one)
    return {key: np.stack([one[key] for one in sides]) for key in sides[0]}
