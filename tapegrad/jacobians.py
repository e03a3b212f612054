"""Matrices of derivatives, and derivatives of second order."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from . import pytree
from .batching import vmap
from .errors import OptionError
from .primitives.registry import shape_of
from .transforms import check_positions, grad, jvp, positions, vjp


def jacobian(f: Callable, argnums: int = 0, mode: str = "auto") -> Callable:
    """The matrix of all partial derivatives.

    Parameters
    ----------
    f : callable
        From pytrees of arrays to a pytree of arrays.
    argnums : int
        The argument to differentiate.
    mode : {"auto", "rev", "fwd"}
        One backward walk for each element of the result, or one forward pass for each element of the argument, in
        one batch; "auto" takes the fewer.

    Returns
    -------
    callable
        For an array argument x and an array result y, an array of shape ``y.shape + x.shape``; for pytrees, the
        structure of the result with the structure of the argument in each leaf.

    Examples
    --------
    >>> jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    if mode not in ("auto", "rev", "fwd"):
        raise OptionError(f"jacobian: mode={mode!r}; choose 'auto', 'rev' or 'fwd'")

    several, numbers = positions("jacobian", argnums)
    if several:
        raise OptionError(f"jacobian: argnums={argnums!r}; one argument at a time, give its position")

    @wraps(f)
    def matrix(*args: Any) -> Any:
        check_positions("jacobian", numbers, args)
        at = numbers[0] % len(args)

        def of_one(x: Any) -> Any:
            return f(*args[:at], x, *args[at + 1 :])

        x = args[at]
        chosen = mode
        if mode == "auto":
            y, pullback = vjp(of_one, x)
            chosen = "rev" if _size(y) <= _size(x) else "fwd"
            if chosen == "rev":
                return _rows(y, pullback, x)
        if chosen == "rev":
            return _rows(*vjp(of_one, x), x)
        return _columns(of_one, x)

    return matrix


def _size(tree: Any) -> int:
    return sum(int(np.prod(shape_of(leaf), dtype=np.int64)) for leaf in pytree.leaves(tree))


def _basis(tree: Any) -> list[Any]:
    """All unit vectors of a pytree, as one pytree of arrays with a leading axis."""
    leaves, total, start, made = pytree.leaves(tree), _size(tree), 0, []
    for leaf in leaves:
        shape = shape_of(leaf)
        size = int(np.prod(shape, dtype=np.int64))
        unit = np.zeros((total, size), getattr(leaf, "dtype", float))
        unit[start : start + size] = np.eye(size)
        made.append(unit.reshape(total, *shape))
        start += size
    return made


def _rows(y: Any, pullback: Callable, x: Any) -> Any:
    y_leaves, y_structure = pytree.flatten(y)
    x_leaves, x_structure = pytree.flatten(x)
    rows = pytree.leaves(vmap(lambda g: pullback(g)[0])(y_structure.unflatten(_basis(y)))) if _size(y) else None
    start, blocks = 0, []
    for leaf in y_leaves:
        shape = shape_of(leaf)
        stop = start + int(np.prod(shape, dtype=np.int64))
        blocks.append(
            x_structure.unflatten(
                [
                    np.zeros(shape + shape_of(v)) if rows is None else np.reshape(row[start:stop], shape + shape_of(v))
                    for v, row in zip(x_leaves, rows or x_leaves, strict=True)
                ]
            )
        )
        start = stop
    return y_structure.unflatten(blocks)


def _columns(f: Callable, x: Any) -> Any:
    x_leaves, x_structure = pytree.flatten(x)
    moved = vmap(lambda v: jvp(f, (x,), (v,))[1], out_axes=-1)(x_structure.unflatten(_basis(x)))
    y_leaves, y_structure = pytree.flatten(moved)
    blocks = []
    for column in y_leaves:
        start, parts = 0, []
        for leaf in x_leaves:
            shape = shape_of(leaf)
            stop = start + int(np.prod(shape, dtype=np.int64))
            parts.append(np.reshape(column[..., start:stop], column.shape[:-1] + shape))
            start = stop
        blocks.append(x_structure.unflatten(parts))
    return y_structure.unflatten(blocks)


def hessian(f: Callable, argnums: int = 0) -> Callable:
    """The matrix of second derivatives of a scalar function: forward mode over reverse mode.

    Examples
    --------
    >>> hessian(lambda x: x[0] * x[1])(np.array([2.0, 3.0]))
    array([[0., 1.],
           [1., 0.]])
    """
    return jacobian(grad(f, argnums), argnums, mode="fwd")


def hvp(f: Callable, primal: Any, vector: Any) -> Any:
    """The product of the Hessian of a scalar function with a vector, without forming the Hessian.

    Examples
    --------
    >>> hvp(lambda x: np.sum(x**3), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """
    return jvp(grad(f), (primal,), (vector,))[1]


def elementwise_grad(f: Callable, argnums: int = 0) -> Callable:
    """The derivative of each element of the result by the element of the argument at the same place.

    ``f`` must act on each element alone, as ``np.tanh`` does; otherwise the columns of the Jacobian are summed.

    Examples
    --------
    >>> elementwise_grad(np.square)(np.array([1.0, 2.0]))
    array([2., 4.])
    """
    return grad(lambda *args: np.sum(f(*args)), argnums)
