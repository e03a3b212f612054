"""State dicts of torch's recurrent layers, read into cells and written from them. torch itself is not needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import pytree
from ...errors import DtypeError, OptionError, ShapeError, StructureError
from .layouts import KINDS, Kind, Sizes, from_cell, parts, sizes_of, to_cell
from .needed import torch_for

if TYPE_CHECKING:
    from ...cells import Layer

LOAD, SAVE = "interop.torch.load", "interop.torch.state_dict"
KEY = re.compile(r"(weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)_l(\d+)(_reverse)?")


def load(source: Any, kind: Any = None, *, prefix: str = "") -> tuple[Layer, Any]:
    """A network of cells and its parameters, from the arrays of torch's ``nn.RNN``, ``nn.LSTM`` or ``nn.GRU``.

    Parameters
    ----------
    source : mapping of str to array or tensor, or torch.nn.Module
        A state dict, or the recurrent layer itself.
    kind : {"RNN_TANH", "RNN_RELU", "LSTM", "GRU"} or torch.nn.Module, optional
        What the arrays belong to; "RNN" is "RNN_TANH". LSTM and GRU are told by their shapes. A module is held against
        the arrays: its layers, directions, sizes and biases.
    prefix : str
        Where the layer is in the state dict of a larger model: ``"encoder.lstm"``. Other keys are not looked at.

    Returns
    -------
    layer : Layer
        One layer in one direction: Elman, LSTM, ProjectedLSTM or GRU(reset_after=True). Several layers: Stacked of these.
        Both directions: Bidirectional, for several layers in Sequential.
    params : pytree
        As ``layer.parameters()``, of arrays of their own.

    Raises
    ------
    StructureError
        When keys are missing or unknown.
    ShapeError
        When a shape does not fit the others; the message has the key, its shape and the expected one.
    DtypeError
        When the arrays are not of one floating dtype.
    OptionError
        When the kind cannot be told, or is unknown.

    Notes
    -----
    torch has two biases, b_ih and b_hh, where the equations have one: their sum is taken, but for the candidate of a
    GRU, where b_hn stands inside the reset. With ``bias=False`` they are zeros. Dropout between layers is left out, as
    in ``module.eval()``. All is checked before anything is made.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> arrays = {"weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,), "bias_hh_l0": (16,)}
    >>> layer, params = load({name: rng.normal(size=shape) for name, shape in arrays.items()})
    >>> layer, params["W_xf"].shape
    (LSTM(input_size=3, hidden_size=4, forget_bias=1.0), (3, 4))
    """
    if kind is None and hasattr(source, "mode"):
        kind = source
    found = _arrays(source.state_dict() if hasattr(source, "state_dict") else source, prefix)
    sizes, bias = _declared(kind) if hasattr(kind, "mode") else _told(found, kind)
    _check(found, sizes.shapes(bias))
    params: Any = {}
    network = sizes.network()
    leaf: dict[tuple[str, ...], Any] = {}
    for part in parts(network):
        own = {key.removesuffix(part.suffix): array for key, array in found.items() if KEY_END(key) == part.suffix}
        leaf[part.keys] = to_cell(sizes, own)
    for keys, one in leaf.items():
        params = one if not keys else _put(params, keys, one)
    return network, params


def state_dict(layer: Layer, params: Any, *, bias: bool = True, prefix: str = "", tensors: bool = False) -> dict:
    """The state dict of torch's recurrent layer that computes what a network of cells does.

    Parameters
    ----------
    layer : Layer
        What :func:`load` returns, or equal to it: one kind of cell, in layers of one size.
    params : pytree as ``layer.parameters()``, of arrays
    bias : bool
        False for a layer of torch with ``bias=False``; the biases must then be zero.
    prefix : str
        Put before each key, with a dot.
    tensors : bool
        Whether to give tensors (torch must be installed) instead of arrays.

    Returns
    -------
    dict of str to array or tensor
        ``torch_layer.load_state_dict`` takes it, with ``tensors=True``. A bias that is one here is written as
        ``bias_ih``, with zeros in ``bias_hh``. So :func:`load` of it gives ``params`` to the last bit, and the state dict
        of a loaded layer computes the same with other biases.

    Raises
    ------
    OptionError
        When torch has no such layer, or ``bias=False`` and a bias is not zero.
    StructureError, ShapeError, DtypeError
        When the parameters do not fit the layer.
    """
    from ...cells.checks import check_params

    sizes = sizes_of(SAVE, layer)
    check_params(layer, params)
    saved = {}
    for part in parts(layer):
        own = part.params(params)
        wrong = [name for name, value in own.items() if name.startswith("b_") and np.any(value)]
        if wrong and not bias:
            raise OptionError(
                f"{SAVE}: bias=False, and {'.'.join((*part.keys, wrong[0]))} is not zero; write bias=True, for a layer "
                "of torch with biases"
            )
        saved.update({key + part.suffix: array for key, array in from_cell(sizes, own, bias).items()})
    prefix = prefix and prefix.rstrip(".") + "."
    ordered = {prefix + key: saved[key] for key in sizes.shapes(bias)}
    if not tensors:
        return ordered
    torch = torch_for(SAVE)
    return {key: torch.from_numpy(array) for key, array in ordered.items()}


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
    held = [part.state(state) for part in parts(layer)]
    if sizes.kind.name == "LSTM":
        return _stacked([h for h, _ in held]), _stacked([c for _, c in held])
    return _stacked(held)


def _stacked(leaves: list[Any]) -> Any:
    if all(hasattr(leaf, "detach") for leaf in leaves):
        return torch_for("interop.torch.from_state").stack(leaves)
    return np.stack([np.asarray(leaf) for leaf in leaves])


# ---- what came ----


def _arrays(source: Any, prefix: str) -> dict[str, np.ndarray]:
    """The arrays under the prefix, by their names without it."""
    if not isinstance(source, Mapping):
        raise OptionError(
            f"{LOAD}: source is a {type(source).__name__}, expected a state dict or a recurrent layer of torch; a file "
            "of torch.save is read by torch.load(path, weights_only=True)"
        )
    start = prefix and prefix.rstrip(".") + "."
    chosen = {key[len(start) :]: value for key, value in source.items() if key.startswith(start)}
    unknown = [key for key in chosen if not KEY.fullmatch(key)]
    if unknown or not chosen:
        rooms = sorted({key.rpartition(".")[0] for key in source if KEY.fullmatch(key.rpartition(".")[2])})
        remedy = f"; give prefix= one of {', '.join(map(repr, rooms))}" if rooms and rooms != [prefix.rstrip(".")] else ""
        said = f"keys are unknown: {_list(start + key for key in unknown)}" if unknown else f"no key starts with {start!r}"
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
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()  # NumPy has no bfloat16
    array = np.asarray(value)
    if array.dtype.kind != "f":
        raise DtypeError(f"{LOAD}: {key!r} has dtype {array.dtype}, expected floating point; write .astype(np.float32)")
    return array


def _list(names: Any) -> str:
    names = list(names)
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


# ---- what was expected ----


def _declared(module: Any) -> tuple[Sizes, bool]:
    """The sizes that a layer of torch was made with."""
    if module.mode not in KINDS:
        raise OptionError(f"{LOAD}: kind is a {type(module).__name__}, expected nn.RNN, nn.LSTM or nn.GRU")
    sizes = Sizes(
        KINDS[module.mode], module.input_size, module.hidden_size, module.proj_size, module.num_layers,
        2 if module.bidirectional else 1,
    )  # fmt: skip
    return sizes, bool(module.bias)


def _told(found: dict[str, np.ndarray], kind: Any) -> tuple[Sizes, bool]:
    """The sizes that the arrays tell, and whether there are biases."""
    for key in ("weight_ih_l0", "weight_hh_l0"):
        if key not in found:
            raise StructureError(f"{LOAD}: keys are missing: {key!r}; a layer of torch has it, and sizes are read from it")
        if found[key].ndim != 2:
            raise ShapeError(f"{LOAD}: {key!r} has shape {found[key].shape}, expected (gates * hidden, inputs)")
    matched = [match for match in map(KEY.fullmatch, found) if match]
    layers = 1 + max(int(match[2]) for match in matched)
    directions = 2 if any(match[3] for match in matched) else 1
    bias = any(match[1].startswith("bias") for match in matched)
    projections = [key for key in found if key.startswith("weight_hr")]
    small, large = sorted(found["weight_hh_l0"].shape)
    projection = 0
    if projections:
        projection, hidden = sorted(found[projections[0]].shape)[:1][0], max(found[projections[0]].shape)
        count = large // hidden if hidden else 0
    else:
        hidden, count = small, large // small if small else 0
    chosen = _kind(kind, count, bool(projections), found["weight_hh_l0"].shape)
    rows = len(chosen.gates) * hidden
    shape = found["weight_ih_l0"].shape
    wide = shape[0] if shape[1] == rows != shape[0] else shape[1]
    return Sizes(chosen, wide, hidden, projection, layers, directions), bias


def _kind(kind: Any, count: int, projected: bool, shape: tuple[int, ...]) -> Kind:
    if kind is None:
        name = {3: "GRU", 4: "LSTM"}.get(4 if projected else count)
        if name is None and count == 1:
            raise OptionError(
                f"{LOAD}: 'weight_hh_l0' has shape {shape}, as in nn.RNN, whose activation is not in a state dict; give "
                "kind='RNN_TANH' or kind='RNN_RELU'"
            )
        if name is None:
            raise ShapeError(
                f"{LOAD}: 'weight_hh_l0' has shape {shape}, expected (H, H) of nn.RNN, (3 H, H) of nn.GRU or (4 H, H) of "
                "nn.LSTM"
            )
        return KINDS[name]
    name = "RNN_TANH" if kind == "RNN" else kind
    if name not in KINDS:
        raise OptionError(f"{LOAD}: kind={kind!r}, expected RNN, {', '.join(KINDS)}, or a recurrent layer of torch")
    return KINDS[name]


def _check(found: dict[str, np.ndarray], wanted: dict[str, tuple[int, ...]]) -> None:
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
