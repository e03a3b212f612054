"""Derivatives of functions: grad and its relatives. Each takes a function and gives a function."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np
from numpy import ndarray

from . import pytree
from .errors import DtypeError, OptionError, ShapeError, StructureError
from .forward import Dual, ForwardTrace
from .primitives.registry import is_inexact, like, shape_of
from .tape import ReverseTape, backward
from .tensor import Tensor, check_alive, check_plain, complex_refused, is_complex, opened, owned, protected

FLOAT = np.dtype(float)
FLOATS = frozenset((np.dtype(np.float32), FLOAT))  # of the leaves that a derivative is asked for, as a rule


def differentiable(name: str, leaf: Any, path: str) -> Any:
    """Check a leaf that a derivative is asked for, and protect it from later writes."""
    if isinstance(leaf, (Tensor, np.ndarray, np.generic)):
        kind = leaf.dtype.kind
        if kind == "f":
            check_plain(leaf, f"{name}: {path} is a {type(leaf).__name__}")
            return protected(leaf) if isinstance(leaf, np.ndarray) else leaf
        what = f"an array of dtype {leaf.dtype}"
    elif isinstance(leaf, float):
        return leaf
    else:
        kind = "i" if isinstance(leaf, int) else "c" if isinstance(leaf, complex) else ""
        what = f"a {type(leaf).__name__}"
    remedy = {
        "i": "convert it with .astype(float), or leave integers out of the differentiated argument",
        "u": "convert it with .astype(float), or leave integers out of the differentiated argument",
        "b": "convert it with .astype(float), or leave masks out of the differentiated argument",
        "c": "complex derivatives are not supported: compute with real and imaginary parts",
    }.get(kind, "only floating arrays and Python floats can be differentiated: give it as an argument of its own")
    raise DtypeError(f"{name}: the derivative is asked for with respect to {path}, which is {what}; {remedy}")


def _enter(tape: ReverseTape, name: str, args: Sequence[Any]) -> tuple[list, list, list]:
    """The arguments as inputs of a tape, their leaves, and the structures of the arguments."""
    leaves, structures = pytree.row(args)
    if FLOATS.issuperset([leaf.dtype if type(leaf) is ndarray else None for leaf in leaves]):
        held = [leaf.copy("K") if leaf.flags.writeable else protected(leaf) for leaf in leaves]
    else:
        try:
            held = [differentiable(name, leaf, "") for leaf in leaves]
        except DtypeError:
            for leaf, path in zip(leaves, pytree.paths(tuple(args)), strict=True):
                differentiable(name, leaf, f"argument {path}")
            raise
    return pytree.of_row(structures, tape.enter(held)), held, structures


def _slot(tape: ReverseTape, result: Any) -> int:
    return result.slot if isinstance(result, Tensor) and result.owner is tape else -1


def _value(tape: ReverseTape, result: Any) -> Any:
    return result.value if isinstance(result, Tensor) and result.owner is tape else result


def _finish(cotangents: Sequence[Any], leaves: Sequence[Any], given: Sequence[Any] = ()) -> list[Any]:
    """Gradients as arrays of the caller's own: zeros where nothing arrived, no two sharing memory."""
    finished = [
        g
        if type(g) is ndarray and g.base is None
        else _zeros(leaf)
        if g is None
        else g.copy()
        if type(g) is ndarray
        else g
        for g, leaf in zip(cotangents, leaves, strict=True)
    ]
    if len({*map(id, finished), *map(id, given)}) == len(finished) + len(given):
        return finished
    seen = {id(g) for g in given}
    for i, g in enumerate(finished):
        if type(g) is ndarray and id(g) in seen:
            finished[i] = g.copy()
        seen.add(id(g))
    return finished


def _zeros(leaf: Any) -> Any:
    return np.zeros(shape_of(leaf), getattr(leaf, "dtype", float))[()]


def _one(scalar: Any) -> Any:
    return getattr(scalar, "dtype", FLOAT).type(1)


def value_and_grad(f: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """A function that returns ``f`` and the gradient of ``f``.

    Parameters
    ----------
    f : callable
        Returns a real scalar; with ``has_aux`` a pair of it and anything else.
    argnums : int or sequence of int
        The arguments to differentiate: pytrees of floating arrays.
    has_aux : bool

    Returns
    -------
    callable
        ``(value, gradient)``, with ``has_aux`` ``((value, aux), gradient)``. The gradient has the structure, shapes
        and dtypes of the argument; for a sequence of ``argnums`` it is a tuple.

    Raises
    ------
    ShapeError
        When ``f`` does not return a scalar.
    DtypeError
        When an argument or the result is not of a floating dtype.

    Examples
    --------
    >>> value, gradient = value_and_grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
    >>> float(value), gradient
    (5.0, array([2., 4.]))
    """
    several, numbers = positions("grad", argnums)
    single = numbers == (0,)

    @wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not (single and args):
            check_positions("grad", numbers, args)
        aux = None
        with opened(ReverseTape()) as tape:
            inside, leaves, structures = _enter(tape, "grad", [args[i] for i in numbers])
            full = list(args)
            for i, arg in zip(numbers, inside, strict=True):
                full[i] = arg
            result = f(*full, **kwargs)
            if has_aux:
                if not isinstance(result, tuple) or len(result) != 2:
                    raise StructureError(
                        f"grad: has_aux=True, and the function returned a {type(result).__name__}; return (scalar, aux)"
                    )
                result, aux = result
        if type(result) is Tensor and result.owner is tape:
            value, slot = result.value, result.slot
        else:
            check_alive("grad", result, tape)
            value, slot = result, -1
        _check_scalar(result)
        if aux is not None:
            aux = pytree.map(lambda leaf: _value(tape, leaf), aux)
        grads = pytree.of_row(structures, _finish(backward(tape, {slot: _one(value)} if slot >= 0 else {}), leaves))
        return ((value, aux) if has_aux else value), (tuple(grads) if several else grads[0])

    return wrapped


def positions(name: str, argnums: Any) -> tuple[bool, tuple[int, ...]]:
    """Whether ``argnums`` names several arguments, and their numbers."""
    several = not hasattr(argnums, "__index__")
    try:
        return several, tuple([operator.index(number) for number in (argnums if several else (argnums,))])
    except TypeError:
        raise OptionError(
            f"{name}: argnums={argnums!r}; give the position of an argument, or a tuple of positions"
        ) from None


def check_positions(name: str, numbers: Sequence[int], args: Sequence[Any]) -> None:
    """Raise unless the function was called with the arguments that ``argnums`` names."""
    for number in numbers:
        if not -len(args) <= number < len(args):
            raise OptionError(f"{name}: argnums={number}, and the function was called with {len(args)} arguments")
    if len({number % len(args) for number in numbers}) < len(numbers):
        raise OptionError(f"{name}: argnums={tuple(numbers)} names an argument twice")


def _check_scalar(result: Any) -> None:
    if isinstance(result, Tensor) and isinstance(result.value, np.floating):
        return  # as a rule
    if not isinstance(result, (Tensor, np.ndarray, np.generic, bool, int, float, complex)):
        raise StructureError(
            f"grad: the function returned a {type(result).__name__}, and must return one real number; use "
            "has_aux=True to "
            "return more beside it"
        )
    if shape_of(result) != ():
        raise ShapeError(
            f"grad: the function returned an array of shape {shape_of(result)}, and must return one real "
            "number; sum it, or "
            "use tapegrad.jacobian, tapegrad.vjp or tapegrad.elementwise_grad"
        )
    kind = result.dtype if hasattr(result, "dtype") else np.dtype(type(result))
    if kind.kind != "f":
        raise DtypeError(f"grad: the function returned a number of dtype {kind}, and must return a real float")


def grad(f: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """A function that returns the gradient of ``f``; see :func:`value_and_grad`. With ``has_aux``: (gradient, aux).

    Examples
    --------
    >>> float(grad(np.tanh)(0.0))
    1.0
    """
    both = value_and_grad(f, argnums, has_aux)

    @wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, grads = both(*args, **kwargs)
        return (grads, value[1]) if has_aux else grads

    return gradient


def vjp(f: Callable, *primals: Any) -> tuple[Any, Callable]:
    """The result of ``f`` and the function that pulls its cotangent back to the arguments.

    Parameters
    ----------
    f : callable
        From pytrees of floating arrays to a pytree of arrays.
    *primals : pytrees

    Returns
    -------
    result : pytree
    pullback : callable
        From a cotangent of the structure and shapes of ``result`` to a tuple with a cotangent for each of ``primals``;
        it may be called several times. ``print(pullback.tape)`` shows what was recorded.

    Examples
    --------
    >>> y, pullback = vjp(lambda x: x * x, np.array([1.0, 3.0]))
    >>> pullback(np.array([1.0, 1.0]))[0]
    array([2., 6.])
    """
    with opened(ReverseTape()) as tape:
        inside, leaves, structures = _enter(tape, "vjp", primals)
        results, out_structure = pytree.flatten(f(*inside))
    for result in results:
        check_alive("vjp", result, tape)
    slots = [_slot(tape, result) for result in results]
    tape.outputs = [(slot, _value(tape, r)) for slot, r in zip(slots, results, strict=True)]
    # The caller may write into what it is given: what the tape will read again is copied.
    spare = tape.unread() if len(set(slots)) == len(slots) else set()
    values = [v.copy() if type(v) is np.ndarray and slot not in spare else v for slot, v in tape.outputs]

    def pull(given: Sequence[Any]) -> list[Any]:
        """The cotangents of all leaves of the primals, from those of the result's leaves; None stands for zero."""
        seeds: dict[int, Any] = {}
        for slot, value, g in zip(slots, values, given, strict=True):
            if g is None:
                continue
            if shape_of(g) != shape_of(value):
                raise ShapeError(f"vjp: a cotangent of shape {shape_of(g)} for a result of shape {shape_of(value)}")
            if getattr(g, "dtype", np.dtype(type(g))).kind == "c":
                raise complex_refused("vjp", "a cotangent is complex")
            if slot >= 0 and is_inexact(value):
                g = like(g if hasattr(g, "dtype") else np.asarray(g), value)
                seeds[slot] = seeds[slot] + g if slot in seeds else g
        return _finish(backward(tape, seeds, keep=True), leaves, [g for g in given if g is not None])

    def pullback(cotangent: Any) -> Any:
        given, given_structure = pytree.flatten(cotangent)
        if given_structure != out_structure:
            raise StructureError(
                f"vjp: the cotangent has the structure {given_structure!r}, the function returned {out_structure!r}"
            )
        return tuple(pytree.of_row(structures, pull(given)))

    pullback.of_leaves = pull  # type: ignore[attr-defined]
    pullback.tape = tape  # type: ignore[attr-defined]
    return out_structure.unflatten(values), pullback


def jvp(f: Callable, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The result of ``f`` and its derivative along ``tangents``.

    Parameters
    ----------
    f : callable
    primals, tangents : sequences of pytrees
        One entry for each argument of ``f``; the structures and shapes are the same.

    Examples
    --------
    >>> y, dy = jvp(lambda x: x * x, (np.array([1.0, 3.0]),), (np.array([1.0, 0.5]),))
    >>> dy
    array([2., 3.])
    """
    leaves, structure = pytree.flatten(tuple(primals))
    moves, move_structure = pytree.flatten(tuple(tangents))
    if structure != move_structure:
        raise StructureError(f"jvp: the primals have the structure {structure!r}, the tangents {move_structure!r}")
    with opened(ForwardTrace()) as trace:
        inside = []
        for leaf, move, path in zip(leaves, moves, pytree.paths(tuple(primals)), strict=True):
            if shape_of(leaf) != shape_of(move):
                raise ShapeError(
                    f"jvp: a tangent of shape {shape_of(move)} for argument {path} of shape {shape_of(leaf)}"
                )
            held = differentiable("jvp", leaf, f"argument {path}")
            if is_complex(move):
                raise complex_refused("jvp", f"the tangent of argument {path} is complex")
            inside.append(Dual(trace, held, like(move, held) if hasattr(move, "dtype") else np.float64(move)))
        results, out_structure = pytree.flatten(f(*structure.unflatten(inside)))
    values, moved = [], []
    for result in results:
        check_alive("jvp", result, trace)
        mine = isinstance(result, Tensor) and result.owner is trace
        values.append(result.value if mine else result)
        tangent = result.tangent if mine else None
        moved.append(np.zeros(shape_of(result), getattr(result, "dtype", float)) if tangent is None else tangent)
    given = [*leaves, *moves]
    return out_structure.unflatten(owned(values, given)), out_structure.unflatten(owned(moved, given))
