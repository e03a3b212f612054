"""Functions of pytrees as functions of their floating arrays, and what a failed check prints to be repeated."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import pytree
from ..errors import DtypeError

PRINTED = 40  # numbers of the arguments that a failure still prints in full


class Flat(NamedTuple):
    """A function of the floating leaves alone, with its results as a list of floating arrays.

    Attributes
    ----------
    function : callable
    args : list of ndarray
        The floating leaves, in double precision.
    names : list of str
    filled : callable
        From values of the floating leaves to all leaves, the others as they were given.
    structure : pytree structure
        Of the arguments.
    """

    function: Callable
    args: list[np.ndarray]
    names: list[str]
    filled: Callable[[Sequence[Any]], list[Any]]
    structure: pytree.Structure


def is_floating(leaf: Any) -> bool:
    return np.issubdtype(getattr(leaf, "dtype", type(leaf)), np.floating)


def is_inexact(leaf: Any) -> bool:
    return np.issubdtype(getattr(leaf, "dtype", type(leaf)), np.inexact)


def flattened(name: str, f: Callable, args: Sequence[Any]) -> Flat:
    """``f`` at ``args`` as a function of the floating leaves.

    Raises
    ------
    DtypeError
        When no argument is floating.
    """
    leaves, structure = pytree.flatten(tuple(args))
    paths = pytree.paths(tuple(args))
    floating = [i for i, leaf in enumerate(leaves) if is_floating(leaf)]
    if not floating:
        raise DtypeError(f"{name}: no argument is floating; there is nothing to differentiate by")

    def filled(given: Sequence[Any]) -> list[Any]:
        every = list(leaves)
        for i, value in zip(floating, given, strict=True):
            every[i] = value
        return every

    def function(*given: Any) -> list[Any]:
        kept = [y for y in pytree.leaves(f(*structure.unflatten(filled(given)))) if is_inexact(y)]
        return [np.asarray(y) if isinstance(y, (float, complex)) else y for y in kept]

    values = [np.array(leaves[i], np.float64) for i in floating]
    return Flat(function, values, [f"args{paths[i]}" for i in floating], filled, structure)


def general(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Random numbers of which none is near 0, so that none hides."""
    return rng.uniform(0.4, 1.0, shape) * rng.choice([-1.0, 1.0], shape)


def function_name(f: Callable) -> str:
    return getattr(f, "__name__", getattr(f, "name", type(f).__name__))


# ---- a failure that can be repeated ----
def source(value: Any) -> str:
    """A pytree of arrays and plain values as Python text that makes it again."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {source(part)}" for key, part in value.items()) + "}"
    if type(value) is list:
        return f"[{', '.join(map(source, value))}]"
    if type(value) is tuple:
        return f"({', '.join(map(source, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, (np.ndarray, np.generic)):
        value = np.asarray(value)
        if not value.size:
            return f"np.zeros({value.shape}, np.{value.dtype})"
        kind = "" if value.dtype in (np.float64, np.int64, np.bool_) else f", np.{value.dtype}"
        return f"np.array({_numbers(value.tolist())}{kind})"
    return _numbers(value) if isinstance(value, float) else repr(value)


def _numbers(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_numbers, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return f"-np.{-value}" if value < 0 else f"np.{value}"
    return repr(value)


def repeated(
    checker: str, f: Callable, args: Sequence[Any], rules: Mapping[str, Callable | None] | None = None, **options: Any
) -> str:
    """How to repeat a failure of ``checker`` on ``f``, and on rules written by hand: Python text."""
    functions = {"f": f} | {key: rule for key, rule in (rules or {}).items() if rule is not None}
    names = {key: function_name(g) if function_name(g).isidentifier() else key for key, g in functions.items()}
    leaves = pytree.leaves(tuple(args))
    lines = [f"# {key} is the one that was checked" for key, g in functions.items() if function_name(g) != names[key]]
    if sum(np.size(leaf) for leaf in leaves) <= PRINTED:
        lines += ["import numpy as np", f"args = {source(tuple(args))}"]
    else:
        shapes = [
            f"args{path} {leaf.dtype}{list(leaf.shape)}" if hasattr(leaf, "dtype") else f"args{path} {leaf!r}"
            for path, leaf in zip(pytree.paths(tuple(args)), leaves, strict=True)
        ]
        lines += [f"# args are those of the check: {', '.join(shapes)}"]
    given = [names.pop("f"), "args", *[f"{key}={name}" for key, name in names.items()]]
    given += [f"{key}={value!r}" for key, value in options.items()]
    lines += [f"from tapegrad.testing import {checker}", f"{checker}({', '.join(given)})"]
    return "\n".join(["Repeat it with", *[f"  {line}" for line in lines]])
