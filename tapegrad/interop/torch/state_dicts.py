"""State dicts of torch's recurrent layers, read into cells and written from them. torch itself is not needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ... import pytree
from ...errors import OptionError
from .layouts import from_cell, parts, sizes_of, to_cell
from .needed import torch_for
from .reading import ARRAYS, arrays_of, check, declared, told

if TYPE_CHECKING:
    from ...cells import Layer

SAVE = "interop.torch.state_dict"


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
        One layer in one direction: Elman, LSTM, ProjectedLSTM or GRU(reset_after=True). Several layers: Stacked of
        these. Both directions: Bidirectional, for several layers in Sequential.
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
    found = arrays_of(source.state_dict() if hasattr(source, "state_dict") else source, prefix)
    sizes, bias = declared(kind) if hasattr(kind, "mode") else told(found, kind)
    check(found, sizes.shapes(bias))
    network = sizes.network()
    tree: dict[str, Any] = {}
    for part in parts(network):
        own = {key: found[key + part.suffix] for key in ARRAYS if key + part.suffix in found}
        _within(tree, part.keys).update(to_cell(sizes, own))
    return network, tree


def _within(tree: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """The dictionary below these keys, made where it is not there yet."""
    for key in keys:
        tree = tree.setdefault(key, {})
    return tree


def state_dict(layer: Layer, params: Any, *, bias: bool = True, prefix: str = "", tensors: bool = False) -> dict:
    """The state dict of torch's recurrent layer that computes what a network of cells does.

    Parameters
    ----------
    layer : Layer
        What :func:`load` returns, or equal to it: one kind of cell, in layers of one size.
    params : pytree as ``layer.parameters()``, of arrays or tensors
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
        ``bias_ih``, with zeros in ``bias_hh``. So :func:`load` of it gives ``params`` to the last bit, and the state
        dict of a loaded layer computes the same with other biases.

    Raises
    ------
    OptionError
        When torch has no such layer, or ``bias=False`` and a bias is not zero.
    StructureError, ShapeError, DtypeError
        When the parameters do not fit the layer.
    """
    from ...cells.checks import check_params

    sizes = sizes_of(SAVE, layer)
    params = pytree.map(lambda leaf: leaf.detach().cpu().numpy() if hasattr(leaf, "detach") else leaf, params)
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
