"""A module of torch made of a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import OptionError
from .needed import torch_for

if TYPE_CHECKING:
    from ...cells import Layer


def module(
    layer: Layer,
    params: Any = None,
    *,
    rng: np.random.Generator | None = None,
    dtype: Any = None,
    batch_first: bool = False,
    backend: str = "auto",
) -> Any:
    """A ``torch.nn.Module`` of a cell or layer: it trains under torch's optimisers, through tapegrad's loops.

    Parameters
    ----------
    layer : Cell or Layer
    params : pytree as ``layer.parameters()``, of arrays or tensors, optional
        What the parameters start from; copied. ``layer.init(rng)`` by default.
    rng : numpy.random.Generator, optional
        By default one that is seeded from torch's own, so that ``torch.manual_seed`` settles the parameters.
    dtype : torch.dtype, optional
        float32 or float64; torch's default dtype by default, or that of ``params``.
    batch_first : bool
        Whether xs and ys are (B, T, ...) instead of (T, B, ...); states are (B, ...) in both.
    backend : str
        As for a call of the layer.

    Returns
    -------
    torch.nn.Module
        ``module(xs, state=None, *, lengths=None, **options) -> (state, ys)``, with the arguments and results of a call
        of the layer: **the state comes first**, as everywhere here, and not last, as from ``torch.nn.LSTM``. Tensors
        stand for arrays, in pytrees too.

        The parameters are called by their paths in the pytree (``"layer0.W_xi"``), in ``named_parameters`` and in
        ``state_dict``. ``module.layer`` is the layer, ``module.params()`` gives its parameters as arrays,
        ``module.reset_parameters(rng)`` draws new ones.

    Raises
    ------
    MissingLibrary
        When torch is not installed.
    OptionError, StructureError, ShapeError, DtypeError
        When ``layer`` is no layer, or the parameters do not fit it.

    Notes
    -----
    Arrays are the tensors' own memory, in both directions. Only what asks for a gradient gets one: parameters with
    ``requires_grad=False``, and inputs without, cost nothing in the backward pass. Under ``torch.no_grad`` nothing is
    kept. What else holds for :func:`function` holds here. Modules can be copied, pickled and moved between float32 and
    float64; half precision and other devices are refused at the call. Of a ``PackedSequence`` the ys are one
    too; with ``lengths`` no sorting and packing is needed.

    A cell with noise takes it in xs, from ``layer.noise``, and ``module.training`` says which kind is wanted: ``own((x,
    layer.noise(rng, T, B, np.float32, own.training)))``. With ``batch_first`` it is (B, T, ...) like all of xs.

    Examples
    --------
    >>> import torch
    >>> from tapegrad.cells import LSTM
    >>> lstm = module(LSTM(3, 4))
    >>> optimizer = torch.optim.Adam(lstm.parameters())
    >>> (h, c), ys = lstm(torch.randn(5, 2, 3), lengths=[5, 3])
    >>> ys.square().mean().backward()
    >>> optimizer.step()
    >>> ys.shape, [name for name, _ in lstm.named_parameters()][:3]
    (torch.Size([5, 2, 4]), ['W_hf', 'W_hg', 'W_hi'])
    """
    from ...cells import Layer

    name = "interop.torch.module"
    torch_for(name)
    if not isinstance(layer, Layer):
        raise OptionError(f"{name}: layer={layer!r}, expected a cell or layer such as LSTM(8, 32)")
    from .layer_module import LayerModule

    return LayerModule(layer, params, rng, dtype, batch_first, backend)
