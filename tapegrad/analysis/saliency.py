"""Which inputs a loss feels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import pytree
from ..errors import DtypeError
from ..primitives.registry import is_inexact
from ..scan import scan
from ..transforms import grad
from .problem import Problem
from .walking import Progress


def input_saliency(
    cell: Any,
    params: Any,
    xs: Any,
    state: Any = None,
    *,
    loss: Callable | None = None,
    per_feature: bool = False,
    checkpoint: int | str | None = None,
    rows: bool = True,
    backend: str = "auto",
    progress: bool | None = None,
) -> Any:
    """||dL / dx_t||, how much a loss feels the input of each step.

    Parameters
    ----------
    cell, params, xs, state, rows, backend, progress
        As for :func:`step_jacobians`. ``rows=False`` gives one norm for all rows together. The bar is a single step:
        there is one forward and one backward loop.
    loss : callable, optional
        L, from the outputs ``ys`` of all steps to a scalar. By default the sum of the last output, which asks what
        the cell still knows at the end.
    per_feature : bool
        Return abs(dL / dx_t) for each feature instead of the norm.
    checkpoint : int or "sqrt", optional
        As for :func:`tapegrad.scan`: less memory for very long sequences.

    Returns
    -------
    array (T, B), or with ``per_feature`` (T, B, ...) like ``xs``
        Of the dtype of ``xs``; for a pytree of inputs, one such array for each of its leaves. Integer leaves have no
        gradient: their place holds zeros.

    Raises
    ------
    DtypeError
        When no input is floating: embed tokens before the cell, and ask for the saliency of the vectors.
    ShapeError
        When ``loss`` does not return a scalar; and as :func:`step_jacobians`.

    References
    ----------
    Simonyan, Vedaldi & Zisserman 2014, "Deep inside convolutional networks: visualising image classification models and
    saliency maps", section 3.

    Examples
    --------
    >>> input_saliency(lambda p, s, x: (p * s + x, p * s + x), 0.5, np.ones((3, 1, 1)), np.zeros((1, 1))).ravel()
    array([0.25, 0.5 , 1.  ])
    """
    problem = Problem("input_saliency", cell, params, xs, state, None, rows, carries=False)
    leaves, structure = pytree.flatten(problem.xs)
    moving = [k for k, leaf in enumerate(leaves) if leaf.dtype.kind == "f"]
    if not moving:
        raise DtypeError(
            f"input_saliency: xs has dtype {', '.join(sorted({str(leaf.dtype) for leaf in leaves}))}, which has no "
            "gradient; embed tokens before the cell, and give the vectors as xs"
        )

    def total(moved: list[Any]) -> Any:
        full = list(leaves)
        for k, value in zip(moving, moved, strict=True):
            full[k] = value
        ys = scan(problem.step, problem.params, problem.state, structure.unflatten(full), checkpoint=checkpoint,
                  backend=backend)[1]  # fmt: skip
        if loss is not None:
            return loss(ys)
        return sum([np.sum(y[-1:]) for y in pytree.leaves(ys) if is_inexact(y)], 0.0)

    with Progress("input_saliency", 1, progress) as update:
        found = dict(zip(moving, grad(total)([leaves[k] for k in moving]), strict=True))
        update(1)
    gradients = [np.abs(found[k]) if k in found else np.zeros(leaf.shape) for k, leaf in enumerate(leaves)]
    if not per_feature:
        kept = 2 if problem.by_rows else 1
        gradients = [np.sqrt(np.sum(g**2, axis=tuple(range(kept, g.ndim)))) for g in gradients]
        gradients = [g if problem.by_rows else g[:, None] for g in gradients]
    return structure.unflatten(gradients)
