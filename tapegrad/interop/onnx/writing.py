"""ONNX models written: cells and networks of them as RNN, LSTM and GRU nodes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from tapegrad.cells import Sequential, Stacked

from ... import __version__
from ...errors import OptionError
from ...files import write_atomically
from ..libraries import library
from ..named import checked_params
from .attributes import attributes_of
from .equivalents import to_node
from .node import OnnxNode
from .weights import pack

__all__ = ["save", "to_model"]

# The first with `layout` is 14, the first with the attributes of Shape 15; older readers than these are rare.
OPSET, IR_VERSION = 17, 8


def to_model(
    layer: Any, params: Any, *, layout: int = 0, direction: str = "forward", lengths: bool = False, state: bool = False
) -> Any:
    """A cell, a bidirectional layer or layers one after the other as an ONNX model.

    Parameters
    ----------
    layer : Cell, Bidirectional, Sequential, Stacked or OnnxNode
        Elman, LSTM, PeepholeLSTM, CoupledLSTM and GRU cells, the cells of :mod:`tapegrad.interop.onnx`, and layers made
        of these.
    params : pytree as ``layer.parameters()``
    layout : {0, 1}
        Whether the batch comes first in the inputs and outputs. An OnnxNode has a layout of its own.
    direction : {"forward", "reverse"}
        Of cells.
    lengths : bool
        Whether the model has an input ``sequence_lens``.
    state : bool
        Whether the model has inputs for the initial states.

    Returns
    -------
    onnx.ModelProto
        That onnx's checker accepts. Inputs: X, then ``sequence_lens``, ``initial_h``, ``initial_c``. Outputs: Y, Y_h
        and of an LSTM Y_c, in the standard's shapes. Of several layers each node is called "layer0" and so on, which
        also comes before the names of its states ("layer0.Y_h"); Y is that of the last.

    Raises
    ------
    MissingLibrary
        onnx is not installed.
    OptionError
        The standard has no such layer; the message names what it lacks.
    StructureError, ShapeError, DtypeError
        The parameters are not those of the layer.
    """
    onnx = library("onnx", "tapegrad.interop.onnx.to_model")
    checked_params(layer, params, "to_model")
    parts = [
        (name, *to_node(part, own, direction=direction, layout=layout)) for name, part, own in _parts(layer, params, "")
    ]
    if len({node.layout for _, node, _ in parts}) > 1:
        raise OptionError("to_model: the layers are nodes of layout 0 and of layout 1; make all of them with one")
    graph = _Graph(onnx, parts, lengths, state)
    opset = [onnx.helper.make_opsetid("", OPSET)]
    model = onnx.helper.make_model(graph.proto(), opset_imports=opset, ir_version=IR_VERSION)
    model.producer_name, model.producer_version = "tapegrad", __version__
    onnx.checker.check_model(model, full_check=True)
    return model


def save(path: str | os.PathLike[str], layer: Any, params: Any, **options: Any) -> None:
    """Write what :func:`to_model` makes to a file, atomically.

    Parameters
    ----------
    path : str or path
    layer, params, **options
        As for :func:`to_model`.

    Raises
    ------
    FileError
        The file cannot be written; what was there before is untouched.
    MissingLibrary, OptionError, StructureError, ShapeError, DtypeError
        As for :func:`to_model`.
    """
    write_atomically(path, to_model(layer, params, **options).SerializeToString())


def _parts(layer: Any, params: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    """The layers that are nodes, from the bottom up, with their names and parameters."""
    if type(layer) not in (Sequential, Stacked):
        yield name, layer, params
        return
    (parts, _), *others = [(field.name, field.default) for field in dataclasses.fields(layer)]
    for option, usual in others:
        if getattr(layer, option) != usual:
            raise OptionError(
                f"to_model: {type(layer).__name__} has {option}={getattr(layer, option)!r}; only plain layers one "
                "after the other are written"
            )
    for number, part in enumerate(getattr(layer, parts)):
        below = f"layer{number}"
        yield from _parts(part, params[below], f"{name}.{below}" if name else below)


class _Graph:
    """A graph that is filled node by node."""

    def __init__(self, onnx: Any, parts: list[tuple[str, OnnxNode, Any]], lengths: bool, state: bool):
        self.onnx, self.lengths, self.state = onnx, lengths, state
        self.layout = int(parts[0][1].layout)
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.constants: list[Any] = []
        self.dtype = pack(parts[0][1], parts[0][2])["W"].dtype
        lead = ("batch", "steps") if self.layout else ("steps", "batch")
        self.inputs.append(self.value("X", (*lead, parts[0][1].input_size)))
        if lengths:
            self.inputs.append(self.value("sequence_lens", ("batch",), np.dtype(np.int32)))
        x = "X"
        for number, (name, node, params) in enumerate(parts):
            last = number == len(parts) - 1
            y = self.recurrent(name, node, params, x, "Y" if last else f"{name}.Y")
            x = y if last else self.joined(name, node, y)
        top = parts[-1][1]
        shape = ("batch", "steps", len(top.cells)) if self.layout else ("steps", len(top.cells), "batch")
        self.outputs.insert(0, self.value("Y", (*shape, top.hidden_size)))

    def proto(self) -> Any:
        return self.onnx.helper.make_graph(self.nodes, "tapegrad", self.inputs, self.outputs, self.constants)

    def value(self, name: str, shape: tuple[Any, ...], dtype: np.dtype | None = None) -> Any:
        """An input or output."""
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(dtype or self.dtype)
        return self.onnx.helper.make_tensor_value_info(name, kind, shape)

    def constant(self, name: str, array: np.ndarray) -> str:
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [output], **attributes))
        return output

    def recurrent(self, name: str, node: OnnxNode, params: Any, x: str, y: str) -> str:
        """The node of a layer; returns the name of its outputs."""
        prefix = f"{name}." if name else ""
        arrays = {key: self.constant(f"{prefix}{key}", array) for key, array in pack(node, params).items()}
        sides = [f"initial_{letter}" for letter in ("hc" if node.operator == "LSTM" else "h")]
        starts = [self.start(prefix, side, node, x) for side in sides]
        inputs = [x, arrays["W"], arrays["R"], arrays.get("B", ""), "sequence_lens" if self.lengths else "", *starts]
        inputs.append(arrays.get("P", ""))
        while not inputs[-1]:
            inputs.pop()
        finals = [f"{prefix}Y_{side[-1]}" for side in sides]
        attributes = attributes_of(node)
        made = self.onnx.helper.make_node(
            node.operator, inputs, [y, *finals], name=name or node.operator, **attributes
        )
        self.nodes.append(made)
        self.outputs += [self.value(final, self.state_shape(node)) for final in finals]
        return y

    def state_shape(self, node: OnnxNode) -> tuple[Any, ...]:
        directions = len(node.cells)
        return (*(("batch", directions) if self.layout else (directions, "batch")), node.hidden_size)

    def start(self, prefix: str, side: str, node: OnnxNode, x: str) -> str:
        """The name of an initial state: an input, an array of one number, or none where it is 0."""
        if self.state:
            self.inputs.append(self.value(f"{prefix}{side}", self.state_shape(node)))
            return f"{prefix}{side}"
        number = getattr(node.cells[0], side)
        if not number:
            return ""
        at = 0 if self.layout else 1
        batch = self.add("Shape", [x], f"{prefix}{side}.batch", start=at, end=at + 1)
        ones = [self.constant(f"{prefix}{side}.{k}", np.array([size], np.int64)) for k, size in (
            ("directions", len(node.cells)), ("units", node.hidden_size))]
        order = [batch, ones[0], ones[1]] if self.layout else [ones[0], batch, ones[1]]
        shape = self.add("Concat", order, f"{prefix}{side}.shape", axis=0)
        filling = self.onnx.numpy_helper.from_array(np.array([number], self.dtype))
        return self.add("ConstantOfShape", [shape], f"{prefix}{side}", value=filling)

    def joined(self, name: str, node: OnnxNode, y: str) -> str:
        """The outputs of both directions side by side, as the next layer takes them."""
        if not self.layout:
            y = self.add("Transpose", [y], f"{name}.turned", perm=[0, 2, 1, 3])
        shape = self.constant(f"{name}.shape", np.array([0, 0, len(node.cells) * node.hidden_size], np.int64))
        return self.add("Reshape", [y, shape], f"{name}.joined")
