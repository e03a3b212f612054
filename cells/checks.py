"""What is asked of params, xs and state before a cell runs, and what is said when they do not fit."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tapegrad import pytree
from tapegrad.errors import DtypeError, ShapeError, StructureError

from .specs import Input, Parameter, State

if TYPE_CHECKING:
    from .layer import Layer


class Specification(NamedTuple):
    """What a cell declares about its parameters, taken apart."""

    names: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    structure: pytree.Structure


@lru_cache(maxsize=256)
def specification(cell: Layer) -> Specification:
    """The declared parameters of a cell or layer.

    Raises
    ------
    StructureError
        When ``parameters()`` holds something else than Parameters.
    """
    declared = cell.parameters()
    leaves, structure = pytree.flatten(declared)
    for name, leaf in zip(pytree.paths(declared), leaves, strict=True):
        if not isinstance(leaf, Parameter):
            raise StructureError(
                f"{type(cell).__name__}.parameters: {name!r} is {leaf!r}, expected a Parameter; "
                "write Parameter(shape, init=...)"
            )
    return Specification(tuple(pytree.paths(declared)), tuple(leaves), structure)


def check_call(cell: Layer, params: Any, xs: Any, state: Any, *, noise: bool = True) -> tuple[int, np.dtype]:
    """The batch size and the floating dtype of a call; raises when its arguments do not fit.

    Without ``noise`` xs is what a noisy cell is given beside its noise.
    """
    dtype = check_params(cell, params)
    batch, dtype = check_inputs(cell, xs, dtype, cell.inputs() if noise else data_inputs(cell), noise and cell.noisy)
    if state is not None:
        check_state(cell, state, batch, dtype)
    return batch, dtype


# ---- parameters ----


def check_params(cell: Layer, params: Any) -> np.dtype | None:
    """The dtype that all parameters have; None when there are none."""
    spec = specification(cell)
    leaves, structure = pytree.flatten(params)
    if structure != spec.structure:
        raise StructureError(f"{cell!r}: {_names_differ(params, structure, spec)}; {_MAKE_PARAMS}")
    dtype = None
    for name, leaf, parameter in zip(spec.names, leaves, spec.parameters, strict=True):
        shape = _shape(leaf)
        if shape != parameter.shape:
            raise ShapeError(
                f"{cell!r}: parameter {name!r} is {describe(leaf)}, expected shape {parameter.shape}; {_MAKE_PARAMS}, "
                "or give the cell the sizes that they were made with"
            )
        if getattr(leaf.dtype, "kind", None) != "f":
            raise DtypeError(
                f"{cell!r}: parameter {name!r} has dtype {leaf.dtype}, expected floating "
                "point; write .astype(np.float32), for a tensor tensor.detach().numpy()"
            )
        if dtype is None:
            dtype = leaf.dtype
        elif leaf.dtype != dtype:
            raise DtypeError(
                f"{cell!r}: parameter {name!r} has dtype {leaf.dtype} and {spec.names[0]!r} has {dtype}, expected one "
                f"dtype; write tg.tree_map(lambda p: p.astype(np.{dtype}), params)"
            )
    return dtype


_MAKE_PARAMS = "make the parameters with cell.init(rng)"


def _names_differ(params: Any, structure: pytree.Structure, spec: Specification) -> str:
    came, wanted = set(pytree.paths(params)), set(spec.names)
    missing, extra = sorted(wanted - came), sorted(came - wanted)
    parts = [f"parameters are missing: {', '.join(missing)}"] if missing else []
    parts += [f"parameters are unknown: {', '.join(extra)}"] if extra else []
    if not parts:
        return f"params has the structure {structure!r}, expected {spec.structure!r}"
    return " and ".join(parts)


# ---- inputs ----


def data_inputs(layer: Layer) -> Any:
    """What a layer takes beside noise: ``inputs()``, or the first of the pair that a noisy layer declares."""
    wanted = layer.inputs()
    return wanted[0] if layer.noisy and wanted is not None else wanted


def check_inputs(
    cell: Layer, xs: Any, dtype: np.dtype | None, declared: Any, noisy: bool = False
) -> tuple[int, np.dtype]:
    """The batch size of ``xs``, and the floating dtype of the call; ``declared`` is what xs should be.

    With ``noisy`` that is a pair of which the second is noise.
    """
    leaves, structure = pytree.flatten(xs)
    if declared is None:
        specs: list[Input | None] = [None] * len(leaves)
    else:
        specs, expected = pytree.flatten(declared)
        if structure != expected:
            raise StructureError(
                f"{cell!r}: xs has the structure {_short(structure)}, expected {_short(expected)}, where * is an "
                f"array; {_other_structure(structure, expected, noisy)}"
            )
    data = len(pytree.leaves(declared[0])) if noisy and declared is not None else len(leaves)
    length: tuple[int, ...] = ()
    for number, (leaf, spec) in enumerate(zip(leaves, specs, strict=True)):
        shape = _shape(leaf)
        if shape is None or len(shape) < 2 or (spec is not None and shape[2:] != spec.shape):
            raise ShapeError(_wrong_input(cell, _leaf_name("xs", xs, number), leaf, spec))
        if length and shape[:2] != length:
            remedy = f"; draw it with cell.noise(rng, {length[0]}, {length[1]})" if number >= data else ""
            raise ShapeError(
                f"{cell!r}: {_leaf_name('xs', xs, number)} has shape {shape}, the first of xs has (T, B) = {length}; "
                f"expected the same numbers of steps and sequences in all of xs{remedy}"
            )
        length = shape[:2]
        if spec is not None:
            if not _fits(leaf, spec, dtype):
                raise DtypeError(_wrong_dtype(cell, _leaf_name("xs", xs, number), leaf, spec, dtype))
            dtype = leaf.dtype if spec.dtype is None else dtype
    if not length:
        raise StructureError(f"{cell!r}: xs holds no array; give at least one of shape (T, B, ...)")
    if dtype is None:
        dtype = next((leaf.dtype for leaf in leaves if leaf.dtype.kind == "f"), np.dtype(np.float32))
    return length[1], dtype


def _other_structure(structure: pytree.Structure, expected: pytree.Structure, noisy: bool) -> str:
    """The remedy for xs of another structure."""
    if noisy:
        return "give the pair (xs, noise), with noise = cell.noise(rng, steps, batch), to evaluate training=False"
    if structure.kind == pytree.TUPLE and structure.children and structure.children[0] == expected:
        return "it takes no noise: give the first of the pair alone"
    if expected.kind == pytree.DICT:
        return f"give a dict of arrays (T, B, ...) with the keys {', '.join(map(str, expected.keys))}"
    return "turn nested lists into an array with np.asarray(xs, np.float32), lists of arrays with np.stack"


def _wrong_input(cell: Layer, name: str, leaf: Any, spec: Input | None) -> str:
    wanted = ", ".join(["T", "B", *map(str, spec.shape)] if spec else ["T", "B", "..."])
    text = f"{cell!r}: {name} is {describe(leaf)}, expected shape ({wanted}): time, batch, then one step's input"
    shape = _shape(leaf)
    if spec is None or shape is None:
        return f"{text}; give arrays with both axes"
    if len(shape) == 1 + len(spec.shape) and shape[1:] == spec.shape:
        return f"{text}; for a single sequence write xs[:, None]"
    if spec.shape and len(shape) == 2:
        return (
            f"{text}; turn token numbers into one-hot vectors, np.eye({spec.shape[0]}, dtype=np.float32)[tokens], or "
            "let the cell's inputs() return Input((), dtype=np.int64)"
        )
    if len(shape) == 2 + len(spec.shape):
        return f"{text}; make the cell with input_size={shape[-1]}, or give it other inputs"
    return f"{text}; reshape xs"


def _fits(leaf: Any, spec: Input, dtype: np.dtype | None) -> bool:
    if spec.dtype is None:
        return leaf.dtype.kind == "f" and (dtype is None or leaf.dtype == dtype)
    return leaf.dtype.kind in "iu" if spec.dtype.kind in "iu" else leaf.dtype == spec.dtype


def _wrong_dtype(cell: Layer, name: str, leaf: Any, spec: Input, dtype: np.dtype | None) -> str:
    text = f"{cell!r}: {name} has dtype {leaf.dtype}, expected"
    if spec.dtype is not None:
        return f"{text} {spec.dtype}; write xs.astype(np.{spec.dtype})"
    wanted = dtype or np.dtype(np.float32)
    return (
        f"{text} that of the parameters, {wanted}; write xs.astype(np.{wanted}), or make the parameters with "
        "cell.init(rng, dtype=...)"
    )


# ---- state ----


def check_state(cell: Layer, state: Any, batch: int, dtype: np.dtype) -> None:
    """Raises when ``state`` is not one of this cell for ``batch`` sequences."""
    declared: list[State]
    declared, expected = pytree.flatten(cell.state())
    leaves, structure = pytree.flatten(state)
    start = f"start from cell.initial_state({batch}, np.{dtype})"
    if structure != expected:
        raise StructureError(
            f"{cell!r}: state has the structure {_short(structure)}, expected {_short(expected)}, where * is an array; "
            f"{start}"
        )
    for number, (leaf, spec) in enumerate(zip(leaves, declared, strict=True)):
        shape, kind = (batch, *spec.shape), spec.dtype or dtype
        if _shape(leaf) != shape:
            name = _leaf_name("state", state, number)
            raise ShapeError(f"{cell!r}: {name} is {describe(leaf)}, expected shape {shape}; {start}")
        if leaf.dtype != kind:
            name = _leaf_name("state", state, number)
            raise DtypeError(
                f"{cell!r}: {name} has dtype {leaf.dtype}, expected {kind}; write .astype(np.{kind}), or {start}"
            )


# ---- words ----


def describe(leaf: Any) -> str:
    """A leaf in a message: its shape, or its type when it is no array."""
    shape = _shape(leaf)
    return f"a {type(leaf).__name__}" if shape is None else f"of shape {shape}"


def _shape(leaf: Any) -> tuple[int, ...] | None:
    """The shape of an array or Tensor, None for anything else."""
    return getattr(leaf, "shape", None) if hasattr(leaf, "dtype") else None


def _leaf_name(argument: str, tree: Any, number: int) -> str:
    path = pytree.paths(tree)[number]
    if pytree.structure(tree).kind == pytree.LEAF:
        return argument
    return argument + path if path.startswith("[") else f"{argument}.{path}"


def _short(structure: pytree.Structure) -> str:
    text = repr(structure)
    return text if len(text) <= 60 else f"{text[:40]}..., {structure.size} leaves"
