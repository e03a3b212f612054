"""Real and imaginary parts of what is always real, since Tensors are never complex."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitives import elementwise as ew


def real(val: Any) -> Any:
    return val


def imag(val: Any) -> Any:
    return np.zeros(val.shape, val.dtype)


def conjugate(x: Any) -> Any:
    return x


def angle(z: Any, deg: bool = False) -> Any:
    """0, or pi for negative numbers; constant wherever it has a derivative."""
    turned = ew.arctan2(0, ew.stop_gradient(z))
    return turned * (180 / np.pi) if deg else turned


def real_if_close(a: Any, tol: float = 100) -> Any:
    return a


def isreal(x: Any) -> Any:
    return np.ones(x.shape, bool)


def iscomplex(x: Any) -> Any:
    return np.zeros(x.shape, bool)
