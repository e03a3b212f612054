"""What the lines of a random program can be: a table of families. Add a line here to have a function drawn.

A template is an expression of ``{x}``, for binary families also of ``{y}``; ``{axis}`` is an axis of x, and ``{half}``
is 0 or 1. It must be smooth, unless it stands in ``kinked``, and take any values up to ``LIMIT`` in size: give it
``2.0 + {x} * {x}`` where it needs positive numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Family(NamedTuple):
    """Lines of one kind.

    Attributes
    ----------
    fits : callable
        Whether it takes these values: ``fits(x)``, of binary families ``fits(x, y)``.
    templates : tuple of str
        The first is what programs shrink to.
    kinked : tuple of str
        Templates with kinks.
    """

    fits: Callable[..., bool]
    templates: tuple[str, ...]
    kinked: tuple[str, ...] = ()


def broadcastable(x: np.ndarray, y: np.ndarray) -> bool:
    try:
        return np.broadcast(x, y).size < 60
    except ValueError:
        return False


SCAN = "tg.scan(lambda w, s, v: (np.tanh(0.5 * s + w * v), s * v), 0.7, np.zeros({x}.shape[1:]), {x}"

UNARY = (
    Family(  # elementwise
        lambda x: True,
        (
            "np.tanh({x})", "np.sin({x})", "np.cos({x})", "tg.sigmoid({x})", "-{x}", "{x} * {x}", "0.3 * {x}",
            "{x} - 0.5", "np.exp(0.2 * {x})", "np.arctan({x})", "np.sqrt(1.0 + {x} ** 2)", "np.log1p({x} * {x})",
            "1.0 / (2.0 + np.cos({x}))", "np.logaddexp({x}, 0.0)", "np.arcsinh({x})", "(2.0 + np.sin({x})) ** 1.5",
            "np.sinh(0.3 * {x})", "np.expm1(0.2 * {x})", "np.exp2(0.3 * {x})", "np.log2(2.0 + {x} * {x})",
            "np.arccosh(1.5 + {x} * {x})", "np.arcsin(0.8 * np.sin({x}))", "np.reciprocal(2.0 + {x} * {x})",
            "np.square({x}) * np.deg2rad({x})", "tg.checkpoint(np.tanh)({x})", "tg.softplus({x})",
            "tg.grad(lambda v: np.sum(np.sin(v) * v))({x})", "tg.jvp(np.arctan, ({x},), (0.5 * {x},))[1]",
        ),
        ("np.abs({x})", "np.maximum({x}, 0.1)", "np.clip({x}, -0.7, 0.7)", "np.where({x} > 0, {x}, 0.1 * {x})"),
    ),
    Family(  # along an axis
        lambda x: x.ndim > 0,
        (
            "np.sum({x}, axis={axis})", "np.mean({x}, axis={axis})", "np.sum(np.tanh({x}), axis={axis}, keepdims=True)",
            "np.cumsum({x}, axis={axis})", "np.flip({x}, axis={axis})", "tg.logsumexp({x}, axis={axis})",
            "np.concatenate([{x}, {x} * {x}], axis={axis})", "np.expand_dims({x}, {axis})",
            "np.take({x}, [0, -1, 0], axis={axis})", "tg.softmax({x}, axis={axis})",
            "tg.log_softmax({x}, axis={axis})", "np.prod({x}, axis={axis})", "np.var({x}, axis={axis})",
            "np.roll({x}, 1, axis={axis})", "np.repeat({x}, 2, axis={axis})", "np.moveaxis({x}, {axis}, 0)",
            "np.take_along_axis({x}, np.zeros({x}.shape, int), axis={axis})",
        ),
        ("np.max({x}, axis={axis})", "np.min({x}, axis={axis}, keepdims=True)"),
    ),
    Family(  # moved, copied, cut
        lambda x: 0 < x.ndim < 4 and x.size < 40,
        (
            "{x}.T", "np.ravel({x})", "{x}[..., None]", "np.pad({x}, 1)", "{x}[::-1]", "{x}[0]",
            "np.stack([{x}, np.sin({x})])", "np.broadcast_to({x}, (2,) + {x}.shape)", "np.tile({x}, 2)",
            "np.array_split({x}, 2)[0]", "{x}[np.array([0, -1, 0])]", "np.swapaxes({x}, 0, -1)",
        ),
    ),
    Family(  # loops and maps
        lambda x: x.ndim > 0,
        (
            SCAN + ")[{half}]", "tg.vmap(lambda v: np.tanh(v) * np.sum(v))({x})", SCAN + ", reverse=True)[{half}]",
            SCAN + ", checkpoint=2)[{half}]",
        ),
    ),
    Family(  # of matrices
        lambda x: x.ndim == 2,
        (
            "0.5 * ({x} @ {x}.T)", "0.5 * np.einsum('ij,ik->jk', {x}, {x})", "np.outer({x}[:, 0], {x}[0])",
            "np.trace({x})", "np.diagonal({x})", "np.triu({x})", "0.5 * np.inner({x}, {x})",
        ),
    ),
)  # fmt: skip

BINARY = (
    Family(
        broadcastable,
        (
            "{x} + {y}", "{x} - {y}", "{x} * {y}", "{x} / (1.5 + {y} * {y})", "np.logaddexp({x}, {y})",
            "np.arctan2({x}, 2.0 + {y} * {y})", "np.where(np.arange(1) > 0, {x}, {y})",
            "(1.5 + np.sin({x})) ** np.tanh({y})", "tg.checkpoint(np.multiply)({x}, {y})",
        ),
        ("np.maximum({x}, {y})", "np.where({x} > {y}, {x} * {y}, {y})"),
    ),
    Family(
        lambda x, y: x.ndim == 2 and y.ndim in (1, 2) and x.shape[1] == y.shape[0],
        ("0.5 * ({x} @ {y})", "0.5 * np.tensordot({x}, {y}, 1)", "tg.checkpoint(np.matmul)({x}, {y})"),
    ),
)  # fmt: skip
