"""Writing a function down as a tape, by running it once on shapes and dtypes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from types import CodeType, FrameType
from typing import Any

import numpy as np

from . import pytree
from .errors import DtypeError
from .tape import AbstractTape
from .tensor import Aval, Tensor, aval_of, check_plain, complex_refused, opened


class LocalNames:
    """Learns what the local variables of a function are called, so that the gates of a cell keep their letters.

    While the function runs, its frame is kept; when it has returned, the frame still holds the variables. A function
    named ``step`` that the watched one calls is watched too (the cells of a stack); its names carry the number of
    the call.
    """

    def __init__(self, code: CodeType | None, tape: AbstractTape | None = None):
        self.code, self.tape = code, tape
        self.frames: list[FrameType] = []
        self.held: dict[tuple[int, str], list[int]] = {}  # what each variable of each frame held, one after the other

    def look(self) -> None:
        """Find the frames of watched functions on the stack; with a tape, see what their variables hold now."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code is not _TRACE_FLAT:
            if (frame.f_code is self.code or frame.f_code.co_name == "step") and frame not in self.frames:
                self.frames.append(frame)
            frame = frame.f_back
        if self.tape is not None:
            for i, watched in enumerate(self.frames):
                for name, value in watched.f_locals.items():
                    if isinstance(value, Tensor) and value.owner is self.tape:
                        slots = self.held.setdefault((i, name), [])
                        if value.slot not in slots:
                            slots.append(value.slot)

    def names(self, tape: AbstractTape) -> dict[int, str]:
        """The name of each slot that a local variable held; the outermost function has the last word.

        All names of a slot are put into ``tape.aliases``.
        """
        named: dict[int, str] = {}
        used: set[str] = set()
        inner = [frame for frame in self.frames if frame.f_code is not self.code]
        outer = [frame for frame in self.frames if frame.f_code is self.code]
        for prefix, frame in [*[("", f) for f in outer], *[(f"{i}.", f) for i, f in enumerate(inner)]]:
            for name, value in frame.f_locals.items():
                if isinstance(value, Tensor) and value.owner is tape:
                    tape.aliases.setdefault(value.slot, []).append(prefix + name)
                    if value.slot not in named and prefix + name not in used:
                        named[value.slot] = prefix + name
                        used.add(prefix + name)
        self.earlier(tape, named)
        self.frames = []
        return named

    def earlier(self, tape: AbstractTape, named: dict[int, str]) -> None:
        """Names for what variables held before they were given something else: ``s`` in a loop is s_1, s_2, ..., s."""
        inner = [i for i, frame in enumerate(self.frames) if frame.f_code is not self.code]
        for (i, name), slots in self.held.items():
            prefix = f"{inner.index(i)}." if i in inner else ""
            unnamed = [slot for slot in slots if slot not in named and slot not in tape.inputs]
            for number, slot in enumerate(unnamed, 1):
                named[slot] = f"{prefix}{name}_{number}"
                tape.aliases.setdefault(slot, []).append(named[slot])


def code_of(function: Any) -> CodeType | None:
    """The code that a callable runs: of the function, the method, or the object's ``__call__``."""
    function = getattr(function, "__wrapped__", function)
    function = getattr(function, "__func__", function)
    return getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)


def trace_flat(f: Callable, avals: Sequence[Aval], watched: Any = None, history: bool = False) -> AbstractTape:
    """The tape of a function from a list of Tensors to a list of results.

    Parameters
    ----------
    f : callable
    avals : sequence of Aval
        What the arguments are.
    watched : callable, optional
        The function whose local variables name the slots.
    history : bool
        Whether values that a variable held before its last one are named too.
    """
    tape = AbstractTape()
    names = LocalNames(code_of(watched) if watched is not None else None, tape if history else None)
    tape.look = names.look if watched is not None else None
    with opened(tape):
        inputs = [tape.input(aval) for aval in avals]
        results = f(inputs)
        for result in results:
            if isinstance(result, Tensor) and result.owner is tape:
                tape.outputs.append((result.slot, result.value))
            elif isinstance(result, (Tensor, np.ndarray)):
                held = tape.capture(result, "the result")
                tape.outputs.append((held.slot, held.value))
            else:
                tape.outputs.append((-1, result))
    tape.look = None
    tape.names = names.names(tape)
    return tape


_TRACE_FLAT = trace_flat.__code__


def traceable(leaf: Any, path: str, name: str = "trace") -> Aval:
    """The abstract value of an argument or result of a traced function."""
    if isinstance(leaf, (Aval, Tensor, bool, int, float, complex, np.ndarray, np.generic)):
        aval = aval_of(leaf)
        if type(leaf) is not np.ndarray:
            check_plain(leaf, f"{name}: {path} is a {type(leaf).__name__}")
        if aval.dtype.kind in "biuf":
            return aval
        if aval.dtype.kind == "c":
            raise complex_refused(name, f"{path} is complex")
    raise DtypeError(
        f"{name}: {path} is a "
        f"{type(leaf).__name__}{f' of dtype {leaf.dtype}' if hasattr(leaf, 'dtype') else ''}; "
        "traced functions take arrays and numbers; let the function close over everything else"
    )


def trace(f: Callable) -> Callable:
    """A function that returns the tape of ``f``: a printable list of the operations that ``f`` does.

    Parameters
    ----------
    f : callable
        From pytrees of arrays to a pytree of arrays. It runs once, on shapes and dtypes.

    Returns
    -------
    callable
        Takes the arguments of ``f`` and returns a :class:`Tape`; calling that runs it.

    Raises
    ------
    TracingError
        When the path through ``f`` depends on the value of an array.

    Examples
    --------
    >>> print(trace(lambda x, w: np.tanh(x @ w))(np.ones(3), np.ones((3, 2))))
    tape(x: float64[3], w: float64[3,2]):
        a: float64[2] = contract(x, w) spec="a,ab->b"
        b: float64[2] = tanh(a)
        return b
    """

    return tracer(f, history=False)


def tracer(f: Callable, history: bool) -> Callable:
    """:func:`trace`, with or without names for what variables held before their last value."""

    @wraps(f)
    def traced(*args: Any) -> AbstractTape:
        leaves, structure = pytree.flatten(args)
        names = argument_names(f, args)

        def flat(inputs: list[Tensor]) -> list[Any]:
            results, out_structure[0] = pytree.flatten(f(*structure.unflatten(inputs)))
            return results

        out_structure: list[Any] = [None]
        avals = [traceable(leaf, f"argument {name}") for leaf, name in zip(leaves, names, strict=True)]
        tape = trace_flat(flat, avals, f, history)
        tape.consts = {slot: v.copy() if type(v) is np.ndarray else v for slot, v in tape.consts.items()}
        tape.names.update(zip(tape.inputs, names, strict=True))
        tape.structures = structure, out_structure[0]
        return tape

    return traced


def argument_names(f: Callable, args: Sequence[Any]) -> list[str]:
    """A name for each leaf of the arguments: the parameter's name with the path inside it."""
    code = code_of(f)
    declared = list(code.co_varnames[: code.co_argcount]) if code is not None and hasattr(f, "__code__") else []
    if getattr(f, "__self__", None) is not None:  # a bound method is not given its own object
        declared = declared[1:]
    names = []
    for position, arg in enumerate(args):
        base = declared[position] if position < len(declared) else f"arg{position}"
        names += [joined(base, path) for path in pytree.paths(arg)]
    return names


def joined(base: str, path: str) -> str:
    """The name of a leaf: that of its tree, with the path inside it."""
    return base if path == "value" else f"{base}{'' if path[0] == '[' else '.'}{path}"
