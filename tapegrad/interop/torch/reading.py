"""The arrays of a state dict of torch, and whether they are those of a recurrent layer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import DtypeError, OptionError, ShapeError, StructureError
from .layouts import KINDS, Kind, Sizes

LOAD = "interop.torch.load"
ARRAYS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
KEY = re.compile(rf"({'|'.join(ARRAYS)})_l(\d+)(_reverse)?")


# ---- what came ----


def arrays_of(source: Any, prefix: str) -> dict[str, np.ndarray]:
    """The arrays under the prefix, by their names without it."""
    if not isinstance(source, Mapping):
        raise OptionError(
            f"{LOAD}: source is a {type(source).__name__}, expected a state dict or a recurrent layer of torch; a file "
            "of torch.save is read by torch.load(path, weights_only=True)"
        )
    start = prefix and prefix.rstrip(".") + "."
    source = {str(key): value for key, value in source.items()}
    chosen = {key[len(start) :]: value for key, value in source.items() if key.startswith(start)}
    unknown = [key for key in chosen if not KEY.fullmatch(key)]
    if unknown or not chosen:
        rooms = sorted({key.rpartition(".")[0] for key in source if KEY.fullmatch(key.rpartition(".")[2])})
        rooms = [room for room in rooms if room != prefix.rstrip(".")]
        remedy = f"; give prefix= one of {', '.join(map(repr, rooms))}" if rooms else ""
        said = f"no key starts with {start!r}"
        if unknown:
            said = f"keys are unknown: {_list(start, {key: chosen[key] for key in unknown})}"
        raise StructureError(
            f"{LOAD}: {said}; expected those of nn.RNN, nn.LSTM or nn.GRU, such as 'weight_ih_l0', 'bias_hh_l1' and "
            f"'weight_hr_l0_reverse'{remedy}"
        )
    arrays = {key: _array(start + key, value) for key, value in chosen.items()}
    first = next(iter(arrays))
    for key, array in arrays.items():
        if array.dtype != arrays[first].dtype:
            raise DtypeError(
                f"{LOAD}: {key!r} has dtype {array.dtype} and {first!r} has {arrays[first].dtype}, expected one dtype; "
                "convert all to it"
            )
    return arrays


def _array(key: str, value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        if value.is_meta:
            raise DtypeError(f"{LOAD}: {key!r}, {tuple(value.shape)}, is on the device 'meta' and has no numbers")
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()  # NumPy has no bfloat16
    array = np.asarray(value)
    if array.dtype.kind != "f":
        raise DtypeError(f"{LOAD}: {key!r} has dtype {array.dtype}, expected floating point; write .astype(np.float32)")
    return array


def _list(start: str, found: Mapping[str, Any]) -> str:
    """The first names, with shapes."""
    first = [f"{start + key!r} of shape {tuple(np.shape(value))}" for key, value in list(found.items())[:8]]
    return ", ".join(first) + (f" and {len(found) - 8} more" if len(found) > 8 else "")


# ---- what was expected ----


def declared(module: Any) -> tuple[Sizes, bool]:
    """The sizes that a layer of torch was made with."""
    if module.mode not in KINDS:
        raise OptionError(f"{LOAD}: kind is a {type(module).__name__}, expected nn.RNN, nn.LSTM or nn.GRU")
    sizes = Sizes(
        KINDS[module.mode], module.input_size, module.hidden_size, module.proj_size, module.num_layers,
        2 if module.bidirectional else 1,
    )  # fmt: skip
    return sizes, bool(module.bias)


def told(found: dict[str, np.ndarray], kind: Any) -> tuple[Sizes, bool]:
    """The sizes that the arrays tell, and whether there are biases."""
    for key in ("weight_ih_l0", "weight_hh_l0"):
        if key not in found:
            raise StructureError(f"{LOAD}: keys are missing: {key!r}, from whose shape sizes are read")
        if found[key].ndim != 2:
            raise ShapeError(f"{LOAD}: {key!r} has shape {found[key].shape}, expected (gates * hidden, inputs)")
    matched = [match for match in map(KEY.fullmatch, found) if match]
    layers = 1 + max(int(match[2]) for match in matched)
    if layers > len(found):  # also lest a file make us count to any number
        raise StructureError(
            f"{LOAD}: there is a key of layer {layers - 1}, but keys of layers below it are missing; nothing was loaded"
        )
    directions = 2 if any(match[3] for match in matched) else 1
    bias = any(match[1].startswith("bias") for match in matched)
    projections = [key for key in found if key.startswith("weight_hr")]
    small, large = sorted(found["weight_hh_l0"].shape)
    projection, hidden = sorted(found[projections[0]].shape) if projections else (0, small)
    count = large // hidden if hidden and large % hidden == 0 else 0
    chosen = _kind(kind, count, bool(projections), found["weight_hh_l0"].shape)
    if chosen.name != "LSTM":
        projection = 0  # the keys are then unknown
    rows = len(chosen.gates) * hidden
    shape = found["weight_ih_l0"].shape
    wide = shape[0] if shape[1] == rows != shape[0] else shape[1]
    return Sizes(chosen, wide, hidden, projection, layers, directions), bias


def _kind(kind: Any, count: int, projected: bool, shape: tuple[int, ...]) -> Kind:
    if kind is None:
        name = {3: "GRU", 4: "LSTM"}.get(4 if projected else count)
        if name is None and count == 1:
            raise OptionError(
                f"{LOAD}: 'weight_hh_l0' has shape {shape}, as in nn.RNN, whose activation is not in a state dict; "
                "give kind='RNN_TANH' or kind='RNN_RELU'"
            )
        if name is None:
            raise ShapeError(
                f"{LOAD}: 'weight_hh_l0' has shape {shape}, expected (H, H) of nn.RNN, (3 H, H) of nn.GRU or (4 H, H) "
                "of nn.LSTM"
            )
        return KINDS[name]
    name = "RNN_TANH" if kind == "RNN" else kind
    if name not in KINDS:
        raise OptionError(f"{LOAD}: kind={kind!r}, expected RNN, {', '.join(KINDS)}, or a recurrent layer of torch")
    return KINDS[name]


def check(found: dict[str, np.ndarray], wanted: dict[str, tuple[int, ...]]) -> None:
    """Raise unless exactly these arrays came, in these shapes."""
    missing = [f"{key!r} of shape {shape}" for key, shape in wanted.items() if key not in found]
    extra = [f"{key!r} of shape {array.shape}" for key, array in found.items() if key not in wanted]
    if missing or extra:
        said = [f"keys are missing: {', '.join(missing)}"] if missing else []
        said += [f"keys are unknown: {', '.join(extra)}"] if extra else []
        raise StructureError(
            f"{LOAD}: {'; '.join(said)}. Expected are {len({key.rpartition('_l')[2] for key in wanted})} layers and "
            "directions, with the same arrays in each; nothing was loaded"
        )
    wrong = {key: shape for key, shape in wanted.items() if found[key].shape != shape}
    if wrong:
        key, shape = next(iter(wrong.items()))
        came = found[key].shape
        transposed = len(came) == 2 and came == shape[::-1]
        remedy = (
            "it looks transposed: torch's weights are (gates * hidden, inputs); give its .T"
            if transposed
            else "give the arrays of one layer of torch, and the kind that it is of"
        )
        rest = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise ShapeError(f"{LOAD}: {key!r} has shape {came}, expected {shape}{rest}; {remedy}; nothing was loaded")
