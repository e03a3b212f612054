"""The attributes of a recurrent node, as the options of its cells; and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import OptionError, UnsupportedPrimitive
from .activations import FUNCTIONS, Activation, proper
from .cells import OPERATORS, OnnxCell
from .node import OnnxNode

__all__ = ["attributes_of", "node_of"]

COMMON = (
    "activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size", "layout",
)  # fmt: skip
OWN = {"RNN": (), "LSTM": ("input_forget",), "GRU": ("linear_before_reset",)}


def node_of(
    operator: str, attributes: Mapping[str, Any], input_size: int, hidden_size: int, name: str = "", **options: Any
) -> OnnxNode:
    """The node of an operator with these attributes.

    Parameters
    ----------
    operator : {"RNN", "LSTM", "GRU"}
    attributes : mapping
        The attributes of the standard by name, as Python values. What is left out has the standard's default.
    input_size, hidden_size : int
        As the shapes of its arrays say.
    name : str
        What the node is called in messages.
    **options
        What is no attribute: ``bias``, ``peepholes``, ``initial_h``, ``initial_c``.

    Raises
    ------
    OptionError
        An attribute has a value that it cannot have.
    UnsupportedPrimitive
        The operator or an attribute is not one of these.
    """
    name = name or operator
    if operator not in OPERATORS:
        raise UnsupportedPrimitive(f"{name}: the operator is {operator!r}, expected one of {', '.join(OPERATORS)}")
    known = (*COMMON, *OWN[operator])
    for key in attributes:
        if key not in known:
            raise UnsupportedPrimitive(
                f"{name}: attribute {key!r} is unknown; those of {operator} are {', '.join(known)}"
            )
    declared = attributes.get("hidden_size", hidden_size)
    if declared != hidden_size:
        raise OptionError(f"{name}: attribute hidden_size is {declared}, but R is for a hidden_size of {hidden_size}")
    direction = attributes.get("direction", "forward")
    kind = OPERATORS[operator]
    common: dict[str, Any] = {"clip": attributes.get("clip"), **options}
    common.update({key: _flag(name, key, attributes[key]) for key in OWN[operator] if key in attributes})
    directions = 2 if direction == "bidirectional" else 1
    activations = _activations(name, kind, directions, attributes)
    try:
        cells = [kind(input_size, hidden_size, **{**common, **chosen}) for chosen in activations]
        return OnnxNode(tuple(cells), direction, attributes.get("layout", 0))
    except OptionError as error:
        raise OptionError(f"{name}: {error}") from None


def _flag(name: str, key: str, value: Any) -> bool:
    if key == "input_forget" and value not in (0, 1):
        raise OptionError(f"{name}: attribute {key} is {value!r}, expected 0 or 1")
    return bool(value)  # linear_before_reset: whatever is not 0


def _activations(
    name: str, kind: type[OnnxCell], directions: int, attributes: Mapping[str, Any]
) -> list[dict[str, Activation]]:
    """The activations of each direction, by the letter of the equations.

    Values of alpha and beta are consumed in the order of the functions, by those that take one.
    """
    count = directions * len(kind.activations)
    names = attributes.get("activations")
    if names is None:
        names = [getattr(kind, letter).name for letter in kind.activations] * directions
    if len(names) != count:
        raise OptionError(
            f"{name}: attribute activations is {list(names)}, expected {count} names: {', '.join(kind.activations)} "
            f"for each of {directions} direction{'s' * (directions > 1)}"
        )
    alphas, betas = _Queue(attributes.get("activation_alpha")), _Queue(attributes.get("activation_beta"))
    made = []
    for text in names:
        try:
            row = FUNCTIONS[proper(text)]
            alpha = alphas.next() if row.alpha is not None else None
            made.append(Activation(text, alpha, betas.next() if row.beta is not None else None))
        except OptionError as error:
            raise OptionError(f"{name}: attribute activations: {error}") from None
    for key, queue in (("activation_alpha", alphas), ("activation_beta", betas)):
        if queue.left:
            raise OptionError(
                f"{name}: attribute {key} has {queue.left} values more than the activations {list(names)} take; they "
                "are consumed in order, by the functions that take one"
            )
    letters = kind.activations
    return [dict(zip(letters, made[k : k + len(letters)], strict=True)) for k in range(0, count, len(letters))]


class _Queue:
    """Values that are taken one after the other; None when there are no more."""

    def __init__(self, values: Sequence[float] | None):
        self.values = list(values or ())

    @property
    def left(self) -> int:
        return len(self.values)

    def next(self) -> float | None:
        return self.values.pop(0) if self.values else None


def attributes_of(node: OnnxNode) -> dict[str, Any]:
    """The attributes of a node, in the standard's names; those that have their default are left out."""
    cell = node.cells[0]
    attributes: dict[str, Any] = {"hidden_size": node.hidden_size}
    if node.direction != "forward":
        attributes["direction"] = node.direction
    if node.layout:
        attributes["layout"] = int(node.layout)
    if cell.clip is not None:
        attributes["clip"] = float(cell.clip)
    attributes.update({key: 1 for key in OWN[node.operator] if getattr(cell, key)})
    used = [getattr(one, letter) for one in node.cells for letter in one.activations]
    if used != [getattr(type(cell), letter) for letter in cell.activations] * len(node.cells):
        attributes["activations"] = [activation.name for activation in used]
        for key in ("alpha", "beta"):
            values = [value for activation in used if (value := getattr(activation, key)) is not None]
            if values:
                attributes[f"activation_{key}"] = values
    return attributes
