"""The library itself, which not everybody has."""

from __future__ import annotations

from typing import Any

from ...errors import MissingLibrary


def torch_for(name: str) -> Any:
    """The package torch.

    Raises
    ------
    MissingLibrary
        When it is not installed; ``name`` is what asked for it.
    """
    try:
        import torch
    except ImportError:
        raise MissingLibrary(
            f"{name}: it needs PyTorch, which is not installed; pip install torch (https://pytorch.org). Cells and "
            "state dicts of arrays do without it"
        ) from None
    return torch
