"""ONNX models read: their recurrent nodes as layers with parameters."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import FileError, OptionError, ShapeError, StructureError
from ...files import one_line
from ..libraries import library
from .attributes import node_of
from .cells import OPERATORS
from .node import OnnxNode
from .weights import unpack

__all__ = ["Recurrence", "from_arrays", "load"]

# The inputs of the three operators, in order.
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
WEIGHTS = ("W", "R", "B", "P")


@dataclass(frozen=True)
class Recurrence:
    """A recurrent node of a model.

    Attributes
    ----------
    name : str
        Of the node, or if it has none of its first output.
    node : OnnxNode
    params : pytree as ``node.parameters()``
    constants : dict
        Values that the model has for ``sequence_lens``, ``initial_h`` and ``initial_c``.
    wanted : dict
        Those of these three that the model computes or is given, by the name that they have there.
    """

    __pytree_leaf__ = True

    name: str
    node: OnnxNode
    params: Any
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    wanted: dict[str, str] = field(default_factory=dict)

    def __call__(self, X: Any, *, backend: str = "auto", **given: Any) -> tuple[Any, ...]:
        """What the node gives: Y, Y_h and of an LSTM Y_c, in the shapes and the layout of the standard.

        Parameters
        ----------
        X : array (T, B, input_size); with layout 1 (B, T, input_size)
        backend : str
        **given
            ``sequence_lens``, ``initial_h``, ``initial_c``: see :meth:`OnnxNode.run`. They go before the model's own.

        Raises
        ------
        StructureError
            The node has an input that the model computes, and it was not given.
        """
        for key, name in self.wanted.items():
            if key not in given:
                raise StructureError(
                    f"{self.name}: {key} is {name!r} of the model, which is no constant; call with {key}=..."
                )
        return self.node.run(self.params, X, backend=backend, **{**self.constants, **given})


def from_arrays(
    operator: str,
    W: Any,
    R: Any,
    B: Any = None,
    P: Any = None,
    *,
    name: str = "",
    initial: Mapping[str, float] | None = None,
    **attributes: Any,
) -> tuple[OnnxNode, Any]:
    """A node from its arrays and attributes; for this nothing needs to be installed.

    Parameters
    ----------
    operator : {"RNN", "LSTM", "GRU"}
    W : array (D, gates * hidden_size, input_size)
        Gates in the order of the standard, i, o, f, c or z, r, h. D is the number of directions.
    R : array (D, gates * hidden_size, hidden_size)
    B : array (D, 2 * gates * hidden_size), optional
    P : array (D, 3 * hidden_size), optional
        Peepholes of an LSTM, in the order i, o, f.
    name : str
        What the node is called in messages.
    initial : dict, optional
        ``initial_h`` and ``initial_c`` as numbers, where the states do not start from 0.
    **attributes
        Those of the standard.

    Returns
    -------
    node : OnnxNode
    params : pytree as ``node.parameters()``

    Raises
    ------
    UnsupportedPrimitive, OptionError, StructureError, ShapeError, DtypeError
        The operator, an attribute or an array is not as the standard has it; the message names it.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> node, params = from_arrays("GRU", rng.normal(size=(1, 9, 2)), rng.normal(size=(1, 9, 3)), linear_before_reset=1)
    >>> params["W_z"].shape
    (2, 3)
    """
    name = name or operator
    arrays = {key: np.asarray(array) for key, array in zip(WEIGHTS, (W, R, B, P), strict=True) if array is not None}
    for key in "WR":
        if arrays[key].ndim != 3:
            raise ShapeError(
                f"{name}: {key} is of shape {arrays[key].shape}, expected three axes: directions, gates * hidden_size, "
                f"{'input_size' if key == 'W' else 'hidden_size'}"
            )
    _check_not_transposed(name, operator, arrays["W"], arrays["R"])
    options = {"bias": "B" in arrays, **(initial or {})}
    if operator == "LSTM":
        options["peepholes"] = "P" in arrays
    node = node_of(operator, attributes, arrays["W"].shape[2], arrays["R"].shape[2], name, **options)
    return node, unpack(node, arrays, name)


def _check_not_transposed(name: str, operator: str, W: np.ndarray, R: np.ndarray) -> None:
    """Sizes are read off the last axes; when those are the gates', say so and not that all else is wrong."""
    gates = len(OPERATORS[operator].gates) if operator in OPERATORS else 1
    rows = max(R.shape[1:])
    for key, array in (("R", R), ("W", W)):
        if gates > 1 and array.shape[2] == rows == gates * min(R.shape[1:]) and array.shape[1] != rows:
            wanted = (array.shape[0], *array.shape[:0:-1])
            raise ShapeError(
                f"{name}: {key} is of shape {array.shape}, expected {wanted}; it is transposed: give "
                "array.swapaxes(1, 2)"
            )


def load(model: Any, inputs: Mapping[str, Any] | None = None) -> dict[str, Recurrence]:
    """The recurrent nodes of an ONNX model, each with its parameters.

    Parameters
    ----------
    model : str, path, bytes, ModelProto, GraphProto or NodeProto
    inputs : mapping, optional
        Values of inputs of the graph by name, for weights that are no constants of the model; of a NodeProto all of
        its weights.

    Returns
    -------
    dict
        From the name of each RNN, LSTM or GRU node, in the order of the graph, to a :class:`Recurrence`. All of them
        are read, or none.

    Raises
    ------
    MissingLibrary
        onnx is not installed.
    FileError
        The file cannot be read, or the model has no such node.
    UnsupportedPrimitive, OptionError, StructureError, ShapeError, DtypeError
        A node is not as the standard has it, or a weight is no constant; the message names both.
    """
    onnx = library("onnx", "tapegrad.interop.onnx.load")
    nodes, values, starts = _parts(onnx, model)
    values.update({name: np.asarray(value) for name, value in (inputs or {}).items()})
    starts = {name: start for name, start in starts.items() if name not in values}
    found: dict[str, Recurrence] = {}
    for proto in nodes:
        if proto.op_type in OPERATORS and proto.domain in ("", "ai.onnx"):
            made = _recurrence(onnx, proto, values, starts)
            if made.name in found:
                raise StructureError(f"load: two nodes of the model are called {made.name!r}; rename one")
            found[made.name] = made
    if not found:
        present = ", ".join(sorted({proto.op_type for proto in nodes})) or "nothing"
        raise FileError(f"load: the model has no RNN, LSTM or GRU at its top level; it has {present}")
    return found


def _parts(onnx: Any, model: Any) -> tuple[list[Any], dict[str, np.ndarray], dict[str, float]]:
    """The nodes of a model, its constants by name, and by name what is filled with one number at run time."""
    if isinstance(model, onnx.NodeProto):
        return [model], {}, {}
    if isinstance(model, (bytes, str, os.PathLike)):
        try:
            model = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(os.fspath(model))
        except Exception as error:  # protobuf's own exceptions have no common base
            text = "the bytes are" if isinstance(model, bytes) else f"{os.fspath(model)!r} is"
            raise FileError(f"load: {text} no ONNX model that can be read: {one_line(error)}") from error
    graph = model.graph if isinstance(model, onnx.ModelProto) else model
    if not isinstance(graph, onnx.GraphProto):
        raise OptionError(f"load: model is a {type(model).__name__}, expected a path, bytes, or a proto of onnx")
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    starts = {}
    for proto in graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
        if proto.op_type == "Constant" and "value" in attributes:
            values[proto.output[0]] = onnx.numpy_helper.to_array(attributes["value"])
        elif proto.op_type == "ConstantOfShape":
            filling = attributes.get("value")
            number = 0.0 if filling is None else onnx.numpy_helper.to_array(filling).item()
            starts[proto.output[0]] = float(number)
        elif proto.op_type == "Expand":  # as exporters write a state of zeros for a batch of any size
            number = _number(proto.input[0], values, starts)
            if number is not None:
                starts[proto.output[0]] = number
    return list(graph.node), values, starts


def _number(name: str, values: Mapping[str, np.ndarray], starts: Mapping[str, float]) -> float | None:
    """The number that an array is made of; None when there are several, or they are not known."""
    array = values.get(name)
    if array is None:
        return starts.get(name)
    return float(array.flat[0]) if array.size and np.all(array == array.flat[0]) else None


def _recurrence(onnx: Any, proto: Any, values: Mapping[str, np.ndarray], starts: Mapping[str, float]) -> Recurrence:
    name = proto.name or next(filter(None, proto.output), proto.op_type)
    most = len(INPUTS) if proto.op_type == "LSTM" else INPUTS.index("initial_c")
    if len(proto.input) > most:
        raise StructureError(f"{name}: {len(proto.input)} inputs came, {proto.op_type} has {', '.join(INPUTS[:most])}")
    names = dict(zip(INPUTS, proto.input, strict=False))
    names = {key: source for key, source in names.items() if source}
    missing = [key for key in ("X", "W", "R") if key not in names]
    if missing:
        raise StructureError(f"{name}: input {missing[0]} is missing")
    weights, constants, wanted, initial = {}, {}, {}, {}
    for key, source in names.items():
        if key in WEIGHTS:
            if source not in values:
                raise StructureError(
                    f"{name}: {key} is {source!r}, which is no constant of the model; give its value, "
                    f"load(model, {{{source!r}: array}})"
                )
            weights[key] = values[source]
        elif key == "X":
            continue
        elif source in values:
            constants[key] = values[source]
        elif source in starts and key != "sequence_lens":
            initial[key] = starts[source]
        else:
            wanted[key] = source
    attributes = {a.name: _plain(onnx.helper.get_attribute_value(a)) for a in proto.attribute}
    node, params = from_arrays(proto.op_type, **weights, name=name, initial=initial, **attributes)
    return Recurrence(name, node, params, constants, wanted)


def _plain(value: Any) -> Any:
    """An attribute's value with text in the place of bytes."""
    if isinstance(value, bytes):
        return value.decode()
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value
