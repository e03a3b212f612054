"""Which cells are which operators: the same function under other names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tapegrad.cells import GRU, LSTM, Bidirectional, Cell, Elman

from ...errors import OptionError
from ..named import checked_params
from .cells import OnnxCell, OnnxGRU, OnnxLSTM, OnnxRNN, options_of
from .node import OnnxNode

__all__ = ["to_layer", "to_node"]


class Equivalent(NamedTuple):
    """How the cells of a class are written in an operator.

    Attributes
    ----------
    operator : type of OnnxCell
    gates : dict
        From the letter in the names of the cell, W_x?, W_h? and b_?, to the standard's.
    options : callable
        From a cell to those options of the operator that it sets.
    cell : callable
        From an operator to the cell of this class that may be the same.
    renamed : dict
        Further parameters, from the name in the cell to that in the operator. Biases among them leave Wb alone in the
        bias of their gate.
    negated : callable
        From a cell to the letters of the gates that are one minus the standard's: sigmoid(-a) = 1 - sigmoid(a).
    """

    operator: type[OnnxCell]
    gates: Mapping[str, str]
    options: Callable[[Any], dict[str, Any]]
    cell: Callable[[Any], Cell]
    renamed: Mapping[str, str] = {}
    negated: Callable[[Any], str] = lambda cell: ""


EQUIVALENTS: dict[type[Cell], Equivalent] = {
    Elman: Equivalent(
        OnnxRNN,
        {"h": "i"},
        lambda cell: {"f": cell.activation, "initial_h": cell.state().init},
        lambda node: Elman(node.input_size, node.hidden_size, node.f.name.lower()),
    ),
    LSTM: Equivalent(
        OnnxLSTM,
        {"i": "i", "f": "f", "g": "c", "o": "o"},
        lambda cell: {},
        lambda node: LSTM(node.input_size, node.hidden_size),
    ),
    GRU: Equivalent(
        OnnxGRU,
        {"r": "r", "z": "z", "n": "h"},
        lambda cell: {"linear_before_reset": cell.reset_after},
        lambda node: GRU(node.input_size, node.hidden_size, node.linear_before_reset),
        {"b_hn": "Rb_h"},
        lambda cell: "z" if cell.update_writes else "",
    ),
}


def to_node(layer: Any, params: Any, *, direction: str = "forward", layout: int = 0) -> tuple[OnnxNode, Any]:
    """The node that is a cell or a bidirectional layer, and its parameters.

    Parameters
    ----------
    layer : Cell or Bidirectional
        Of a class that has an operator; two directions of one class and size, merged by "concatenate".
    params : pytree as ``layer.parameters()``
    direction : {"forward", "reverse"}
        Of a cell.
    layout : {0, 1}
        As for :class:`OnnxNode`.

    Returns
    -------
    node : OnnxNode
    params : pytree as ``node.parameters()``
        Where the standard has two biases and the layer has one, the second is 0.

    Raises
    ------
    OptionError
        The standard has no such node; the message names what it lacks.
    StructureError, ShapeError, DtypeError
        The parameters are not those of the layer.
    """
    if isinstance(layer, OnnxNode):
        return layer, checked_params(layer, params, "to_node")
    if isinstance(layer, Bidirectional):
        if layer.merge != "concatenate":
            raise OptionError(f"to_node: merge={layer.merge!r}; a node of ONNX only concatenates its two directions")
        checked_params(layer, params, "to_node")
        sides = [_to_cell(getattr(layer, side), params[side]) for side in ("forward", "backward")]
        return OnnxNode(tuple(cell for cell, _ in sides), "bidirectional", layout), {
            side: own for side, (_, own) in zip(("forward", "backward"), sides, strict=True)
        }
    cell, own = _to_cell(layer, checked_params(layer, params, "to_node"))
    return OnnxNode((cell,), direction, layout), own


def _to_cell(cell: Any, params: Any) -> tuple[OnnxCell, Any]:
    if isinstance(cell, OnnxCell):
        return cell, params
    row = EQUIVALENTS.get(type(cell))
    if row is None:
        known = ", ".join(kind.__name__ for kind in EQUIVALENTS)
        raise OptionError(f"to_node: {cell!r} is no operator of ONNX; those that are: {known}, Bidirectional of these")
    operator = row.operator(cell.input_size, cell.hidden_size, **row.options(cell))
    made = {}
    for name, parameter in operator.parameters().items():
        made[name] = np.zeros(parameter.shape, params[next(iter(params))].dtype)
    for own, gate in row.gates.items():
        for name, ours in ((f"W_{gate}", f"W_x{own}"), (f"R_{gate}", f"W_h{own}"), (f"Wb_{gate}", f"b_{own}")):
            made[name] = -params[ours] if own in row.negated(cell) else params[ours]
    made.update({name: params[own] for own, name in row.renamed.items() if own in params})
    return operator, made


def to_layer(layer: OnnxNode | OnnxCell, params: Any) -> tuple[Any, Any]:
    """The cell, or the bidirectional layer, that a node of the standard is, and its parameters.

    Parameters
    ----------
    layer : OnnxNode or OnnxCell
        A node is forward or bidirectional; of one that is "reverse" give ``node.cells[0]``, and call the result with
        ``reverse=True``.
    params : pytree as ``layer.parameters()``

    Returns
    -------
    layer : Cell or Bidirectional
    params : pytree as ``layer.parameters()``
        Where the standard has two biases and the cell has one, it is their sum.

    Raises
    ------
    OptionError
        No cell is this node; the message names what is different. The node itself runs in any case.
    StructureError, ShapeError, DtypeError
        The parameters are not those of the node.
    """
    checked_params(layer, params, "to_layer")
    if isinstance(layer, OnnxCell):
        return _from_cell(layer, params)
    if layer.direction == "reverse":
        raise OptionError(
            "to_layer: direction is 'reverse'; give node.cells[0], and call the cell that it is with reverse=True"
        )
    sides = [_from_cell(cell, own) for cell, own in zip(layer.cells, layer.of_directions(params), strict=True)]
    if len(sides) == 1:
        return sides[0]
    (forward, p), (backward, q) = sides
    return Bidirectional(forward, backward), {"forward": p, "backward": q}


def _from_cell(cell: OnnxCell, params: Any) -> tuple[Cell, Any]:
    differences = []
    for kind, row in EQUIVALENTS.items():
        if row.operator is not type(cell):
            continue
        try:
            made = row.cell(cell)
        except OptionError as error:
            differences.append(str(error))
            continue
        wanted = options_of(row.operator(cell.input_size, cell.hidden_size, **row.options(made)))
        have = options_of(cell)
        other = [name for name in wanted if name != "bias" and wanted[name] != have[name]]
        if not other:
            return made, _native(made, row, params)
        differences.append(f"{kind.__name__} has {other[0]} {wanted[other[0]]!r}, it has {have[other[0]]!r}")
    raise OptionError(f"to_layer: {cell!r} is none of the cells: {'; '.join(differences)}; run it as it is")


def _native(cell: Cell, row: Equivalent, params: Any) -> Any:
    """The parameters of a cell from those of its operator."""
    declared, made = cell.parameters(), {}
    split = [name for own, name in row.renamed.items() if own in declared]
    for own, gate in row.gates.items():
        made[f"W_x{own}"], made[f"W_h{own}"] = params[f"W_{gate}"], params[f"R_{gate}"]
        biases = [params[name] for name in (f"Wb_{gate}", f"Rb_{gate}") if name in params and name not in split]
        made[f"b_{own}"] = sum(biases[1:], biases[0]) if biases else np.zeros_like(made[f"W_x{own}"][0])
    for own, name in row.renamed.items():
        if own in declared:
            made[own] = params[name] if name in params else np.zeros(declared[own].shape, made[next(iter(made))].dtype)
    return made
