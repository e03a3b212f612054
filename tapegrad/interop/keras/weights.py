"""The weights of Keras' recurrent layers, and the parameters of cells: the same numbers, gate by gate.

For this nothing needs to be installed: weights are arrays, in the order of ``layer.get_weights()`` or by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tapegrad.cells import GRU, LSTM, Bidirectional, Cell, Elman

from ...errors import DtypeError, OptionError, ShapeError, StructureError
from ..named import checked_params

__all__ = ["from_weights", "to_weights"]

# The gates of kernel, recurrent_kernel and bias from left to right, by the letters that the cells have for them:
# https://keras.io/api/layers/recurrent_layers, where they are i, f, c, o and z, r, h.
GATES: dict[type[Cell], str] = {Elman: "h", LSTM: "ifgo", GRU: "zrn"}
NAMES = ("kernel", "recurrent_kernel", "bias")
SIDES = ("forward", "backward")


def from_weights(layer: Any, weights: Sequence[Any] | Mapping[str, Any]) -> Any:
    """The parameters of a cell from the weights of the Keras layer that it is.

    Parameters
    ----------
    layer : Elman, LSTM, GRU, or Bidirectional of two of these
        SimpleRNN, LSTM, and GRU with its option ``reset_after``.
    weights : sequence or mapping of arrays
        As ``layer.get_weights()`` gives them: ``kernel`` (input_size, gates * hidden_size), ``recurrent_kernel``
        (hidden_size, gates * hidden_size) and, unless the layer was made with ``use_bias=False``, ``bias`` (gates *
        hidden_size,), of a GRU with ``reset_after`` (2, gates * hidden_size); of Bidirectional those of both
        directions. Or by these names; what stands before the last ``/`` of a name tells the directions apart.

    Returns
    -------
    pytree as ``layer.parameters()``
        Without a bias it is 0; of two biases for one gate it is their sum.

    Raises
    ------
    OptionError
        The layer is none of these.
    StructureError, ShapeError, DtypeError
        A weight is missing, unknown, of another shape or of another dtype than the others; the message names it.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> weights = [rng.normal(size=shape) for shape in [(2, 12), (3, 12), (12,)]]
    >>> params = from_weights(LSTM(2, 3), weights)
    >>> np.array_equal(params["W_xf"], weights[0][:, 3:6])
    True
    """
    named = _by_name(layer, weights)
    if type(layer) is Bidirectional:
        sides = {side: _params(getattr(layer, side), named[side], f"{side}/") for side in SIDES}
        _one_dtype(array for side in named.values() for array in side.values())
        return sides
    return _params(layer, named, "")


def to_weights(layer: Any, params: Any, *, use_bias: bool = True) -> list[np.ndarray]:
    """The weights of the Keras layer that a cell is, as ``layer.set_weights()`` takes them.

    Parameters
    ----------
    layer, params
        As :func:`from_weights` takes and gives them.
    use_bias : bool
        False for a Keras layer without biases.

    Returns
    -------
    list of array
        kernel, recurrent_kernel and bias, of Bidirectional those of both directions. The gates z and r of a GRU with
        ``reset_after`` have their bias on the side of the input, and 0 on that of the state.

    Raises
    ------
    OptionError
        The layer is none of these, or ``use_bias`` is False and a bias is not 0.
    StructureError, ShapeError, DtypeError
        The parameters are not those of the layer.
    """
    _check_layer(layer, "to_weights")
    checked_params(layer, params, "to_weights")
    if type(layer) is Bidirectional:
        return [array for side in SIDES for array in _weights(getattr(layer, side), params[side], use_bias)]
    return _weights(layer, params, use_bias)


def _weights(cell: Any, params: Any, use_bias: bool) -> list[np.ndarray]:
    gates = GATES[type(cell)]
    signed = {name: -array if _negated(cell, name) else array for name, array in params.items()}
    made = [np.concatenate([signed[f"W_{side}{gate}"] for gate in gates], axis=1) for side in "xh"]
    bias = np.concatenate([signed[f"b_{gate}"] for gate in gates])
    if _two_biases(cell):
        state = np.zeros_like(bias)
        state[-cell.hidden_size :] = params["b_hn"]
        bias = np.stack([bias, state])
    if use_bias:
        return [*made, bias]
    if np.any(bias):
        raise OptionError("to_weights: use_bias=False, but the biases are not 0; a layer without them is another one")
    return made


def _params(cell: Any, weights: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The parameters of one cell from its two or three weights by name."""
    gates, m, n = GATES[type(cell)], cell.input_size, cell.hidden_size
    width, both = len(gates) * n, _two_biases(cell)
    shapes = {"kernel": (m, width), "recurrent_kernel": (n, width), "bias": (2, width) if both else (width,)}
    for name, shape in shapes.items():
        if name in weights:
            _check(cell, f"{prefix}{name}", weights[name], shape)
        elif name != "bias":
            raise StructureError(f"from_weights: {prefix}{name} is missing, expected an array {shape} for {cell!r}")
    _one_dtype(weights.values())
    bias = weights.get("bias")
    if bias is None:
        bias = np.zeros(shapes["bias"], weights["kernel"].dtype)
    made = {}
    for side, name in (("x", "kernel"), ("h", "recurrent_kernel")):
        for gate, part in zip(gates, np.split(weights[name], len(gates), axis=1), strict=True):
            made[f"W_{side}{gate}"] = np.array(part)
    if both:
        made["b_hn"] = np.array(bias[1, -n:])
        bias = np.concatenate([bias[0, :-n] + bias[1, :-n], bias[0, -n:]])
    made.update({f"b_{gate}": np.array(part) for gate, part in zip(gates, np.split(bias, len(gates)), strict=True)})
    return {name: -array if _negated(cell, name) else array for name, array in made.items()}


def _negated(cell: Any, name: str) -> bool:
    """Whether a parameter has the other sign in Keras, where the update gate keeps: sigmoid(-a) = 1 - sigmoid(a)."""
    return name.endswith("z") and getattr(cell, "update_writes", False)


def _two_biases(cell: Any) -> bool:
    return bool(getattr(cell, "reset_after", False))


def _check(cell: Any, name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.dtype.kind != "f":
        raise DtypeError(f"from_weights: {name} has dtype {array.dtype}, expected float32 or float64 of shape {shape}")
    if array.shape == shape:
        return
    hint = ""
    if array.ndim == 2 and array.shape[::-1] == shape:
        hint = "; it is transposed: give array.T"
    elif name.endswith("bias") and isinstance(cell, GRU) and array.ndim == 3 - len(shape):
        hint = f"; this is the bias of a GRU with reset_after={not cell.reset_after}, make the cell so"
    raise ShapeError(f"from_weights: {name} is of shape {array.shape}, expected {shape} for {cell!r}{hint}")


def _one_dtype(arrays: Any) -> None:
    found = sorted({str(array.dtype) for array in arrays})
    if len(found) > 1:
        raise DtypeError(f"from_weights: the weights have dtypes {' and '.join(found)}, expected one")


def _check_layer(layer: Any, function: str) -> None:
    cells = [getattr(layer, side) for side in SIDES] if type(layer) is Bidirectional else [layer]
    for cell in cells:
        if type(cell) not in GATES:
            known = ", ".join(kind.__name__ for kind in GATES)
            raise OptionError(f"{function}: {cell!r} is no layer of Keras; those that are: {known}, Bidirectional")


def _by_name(layer: Any, weights: Any) -> dict[str, Any]:
    """The weights by name, in Bidirectional by direction and name."""
    _check_layer(layer, "from_weights")
    sides = SIDES if type(layer) is Bidirectional else ("",)
    found: dict[str, dict[str, np.ndarray]] = {side: {} for side in sides}
    if isinstance(weights, Mapping):
        for key, array in weights.items():
            before, _, name = str(key).rpartition("/")
            side = next((side for side in sides if any(part.startswith(side) for part in before.split("/"))), None)
            if name not in NAMES or side is None or name in found[side]:
                wanted = "forward/kernel and so on, and backward/kernel" if len(sides) > 1 else ", ".join(NAMES)
                raise StructureError(
                    f"from_weights: {key!r}, {np.shape(array)}, is unknown or there twice; expected {wanted}"
                )
            found[side][name] = np.asarray(array)
    else:
        if not isinstance(weights, (list, tuple)):
            raise StructureError(
                f"from_weights: weights are a {type(weights).__name__}, expected a list of arrays, layer.get_weights()"
            )
        each, odd = divmod(len(weights), len(sides))
        if odd or each not in (2, 3):
            raise StructureError(
                f"from_weights: {len(weights)} arrays came, expected {3 * len(sides)}, or {2 * len(sides)} without "
                f"biases: {', '.join(NAMES)}{' of both directions' * (len(sides) > 1)}"
            )
        for k, side in enumerate(sides):
            own = [np.asarray(array) for array in weights[k * each : (k + 1) * each]]
            found[side] = dict(zip(NAMES, own, strict=False))
    return dict(found) if len(sides) > 1 else found[""]
