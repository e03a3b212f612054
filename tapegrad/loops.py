"""The loop behind scan: the tape of its step, which is traced when no tape that is known serves, and its run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import pytree
from .caches import Bounded
from .errors import DtypeError, OptionError, ShapeError, StructureError
from .numpy_functions.common import asarray
from .numpy_functions.shapes import astype
from .randomness import no_draws
from .scan_primitive import Step, scan_primitive
from .signatures import Flat, Signature, signature
from .simplify import simplified
from .structure import interned
from .tensor import WATCH, Aval, Tensor, apply, aval_of
from .tracing import joined, trace_flat, traceable

_tapes: Bounded[Any, Any] = Bounded()


class Loop(NamedTuple):
    """What is done at each step, and how.

    Attributes
    ----------
    step : callable
    token : hashable
        Equal for steps whose tapes are equal; None when that is not known, and the step is traced at each call.
    watched : callable
        The function whose local variables name the slots.
    apart : bool
        Whether a step that holds this loop is carried out operation by operation, and the loop compiled on its own: it
        goes over many steps of time, as many as there happen to be, in bounded memory.
    """

    step: Callable
    token: Any
    watched: Callable
    reverse: bool
    backend: str
    apart: bool = False

    def of(self, step: Callable, *made: Any) -> Loop:
        """The same with a step that is made of this one; ``made`` says how."""
        return self._replace(step=step, token=None if self.token is None else (self.token, *made))

    def run(self, params: Flat, state: Flat, xs: Flat, steps: int, record: Any = None) -> tuple[Any, Any, dict]:
        """The final state, the outputs and the recorded variables."""
        signatures = params.signature, state.signature, xs.signature.step()
        key = self.token, signatures, record
        watch = WATCH.get()
        fresh = self.token is None or (watch is not None and watch.checking)  # which wants to know the lines
        found = None if fresh else _tapes.get(key)
        if found is None:
            found = _trace_step(self.step, signatures, record, self.watched)
            if not fresh and not found[0].captured:
                _tapes.keep(key, found)
        traced, y_tree, names = found
        captured, traced.captured = traced.captured, []  # the values are this call's; a tape does not keep them
        if (self.token is None or captured) and not traced.tape.places:
            traced = interned(traced)
        init = state.leaves
        if state.signature.weak:
            known = zip(init, signatures[1].avals, traced.state_dtypes, strict=True)
            init = [astype(asarray(leaf), dtype) if aval.weak else leaf for leaf, aval, dtype in known]
        options = {"step": traced, "length": steps, "reverse": self.reverse, "backend": self.backend}
        if self.apart:
            options["apart"] = True
        results = apply(scan_primitive, [*params.leaves, *captured, *init, *xs.leaves], options)
        first, last = len(init), len(init) + y_tree.size
        recorded = dict(zip(names, results[last:], strict=True)) if names else {}
        return signatures[1].structure.unflatten(results[:first]), y_tree.unflatten(results[first:last]), recorded


# ---- tracing the step ----
def _trace_step(
    step: Callable, signatures: Sequence[Signature], wanted: Any, watched: Any
) -> tuple[Step, Any, list[str]]:
    trees = [signature.structure for signature in signatures]
    p, s, x = (signature.avals for signature in signatures)
    s_tree = trees[1]
    y_tree: list[Any] = [None]

    def flattened(inputs: list[Tensor]) -> list[Any]:
        parts = inputs[: len(p)], inputs[len(p) : len(p) + len(s)], inputs[len(p) + len(s) :]
        result = step(*[tree.unflatten(part) for tree, part in zip(trees, parts, strict=True)])
        if not isinstance(result, tuple) or len(result) != 2:
            raise StructureError(
                f"scan: the step returned {_counted(result)}; it must return a pair, `return new_state, output`, with "
                "None for a missing output; several states or outputs are a tuple, list or dictionary of their own"
            )
        new, found = pytree.flatten(result[0])
        if found != s_tree:
            raise StructureError(f"scan: the state has the structure {s_tree!r}, and the step returned {found!r}")
        ys, y_tree[0] = pytree.flatten(result[1])
        for y, path in zip(ys, pytree.paths(result[1]), strict=True):
            traceable(y, f"output {path} of the step", "scan")
        return [*new, *ys]

    with no_draws(watched):
        tape = trace_flat(flattened, [*p, *s, *x], watched)
    dtypes = [aval_of(value).dtype for _, value in tape.outputs[: len(s)]]
    if any(aval.weak and aval.dtype != dtype for aval, dtype in zip(s, dtypes, strict=True)):
        strong = signature(s_tree, [Aval(a.shape, d) if a.weak else a for a, d in zip(s, dtypes, strict=True)])
        return _trace_step(step, (signatures[0], strong, signatures[2]), wanted, watched)
    _settle(tape, s, s_tree.paths())
    _name_inputs(tape, trees)
    names = _named_outputs(tape, wanted, step)
    step_of = Step.of_trace(simplified(tape), len(p), len(s), len(x), y_tree[0].size + len(names))
    return step_of, y_tree[0], names


def _counted(result: Any) -> str:
    kind = type(result).__name__
    return f"a {kind} of {len(result)}" if isinstance(result, (tuple, list)) else f"a {kind}"


def _name_inputs(tape: Any, trees: Sequence[pytree.Structure]) -> None:
    """Call params by their keys and states and inputs by their places, where the step's variables did not name them."""
    taken = set(tape.names.values())
    slots = iter(tape.inputs)
    for base, tree in zip(("params", "state", "x"), trees, strict=True):
        for path, slot in zip(tree.paths(), slots, strict=False):
            plain = path if base == "params" and path != "value" else joined(base, path)
            if slot not in tape.names and plain not in taken:
                tape.names[slot] = plain


def _settle(tape: Any, state: Sequence[Aval], paths: Sequence[str]) -> None:
    """Check that the new state is like the old one; a Python number becomes an array of the state's dtype."""
    for i, (aval, path) in enumerate(zip(state, paths, strict=True)):
        slot, value = tape.outputs[i]
        new = aval_of(value)
        if slot < 0 and new.weak and new.shape == aval.shape and np.can_cast(new.dtype, aval.dtype, "same_kind"):
            tape.outputs[i] = (-1, np.asarray(value, aval.dtype)[()])
        elif new.shape != aval.shape:
            raise ShapeError(
                f"scan: the state ({path}) has the shape {aval.shape}, and the step returned {new.shape}; a "
                "state keeps its "
                "shape over a step: give an initial state of the shape that the step returns"
            )
        elif new.dtype != aval.dtype:
            raise DtypeError(
                f"scan: the state ({path}) came in as {aval.dtype}, and the step returned {new.dtype}; a state "
                "keeps its "
                f"dtype over a step. An np.{new.dtype} scalar or array in the step promotes everything that it "
                "meets (a Python "
                f"number does not): convert it to {aval.dtype}, or give params and state in {new.dtype}"
            )


def _named_outputs(tape: Any, wanted: Any, step: Any) -> list[str]:
    """Append the recorded variables to the outputs of the tape."""
    if wanted is None:
        return []
    slots = {name: slot for slot, name in tape.names.items()}
    names = [name for name, slot in slots.items() if slot not in tape.input_avals] if wanted is True else list(wanted)
    for name in names:
        if name not in slots:
            raise OptionError(
                f"scan: record={name!r} is no local variable of the step; there are {', '.join(slots) or 'none'}"
            )
        tape.outputs.append((slots[name], tape.aval(slots[name])))
    return names
