"""A cell in another library, for any cell: its traced step, each primitive put as that library's own function.

Only the primitives' meaning is translated, never a derivative: the library differentiates by its own rules. What stands
here is common to all libraries; each has a table of its own (``by_jax.py``, ``by_torch.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import pytree
from ..primitives.elementwise import Elementwise
from ..primitives.indexing import ARRAY
from ..scan_primitive import Step
from ..tape import AbstractTape, Node
from ..tensor import aval_of
from ..tracing import trace
from .cell_problem import CellProblem
from .cell_readings import GRADIENT, VALUES, Inapplicable, Reading, Readings


class Library:
    """What carries tapes out; a subclass gives ``name``, ``array``, and a method for each primitive that has options.

    An elementwise primitive is looked up in ``functions`` under its name.
    """

    name: str
    functions: dict[str, Callable]

    def array(self, value: Any) -> Any:
        """An array of the library."""
        raise NotImplementedError

    def operand(self, value: Any, node: Node) -> Any:
        """A constant argument of an operation."""
        return self.array(value) if isinstance(value, np.ndarray) else value

    def run(self, tape: AbstractTape, args: Sequence[Any]) -> list[Any]:
        """What a tape gives on arrays of the library."""
        held: dict[int, Any] = {slot: self.array(value) for slot, value in tape.consts.items()}
        held.update(zip(tape.inputs, args, strict=True))
        for slot, node in enumerate(tape.nodes):
            if node is None:
                continue
            given = [self.operand(v, node) if s < 0 else held[s] for s, v in zip(node.slots, node.args, strict=True)]
            results = self.carried_out(node, given)
            for i, result in enumerate(results if node.primitive.multiple else [results]):
                held[slot + i] = result
        return [self.array(value) if slot < 0 else held[slot] for slot, value in tape.outputs]

    def carried_out(self, node: Node, args: list[Any]) -> Any:
        """The result of one operation, or the list of them."""
        name = node.primitive.name
        method = getattr(self, f"do_{name}", None)
        if method is not None:
            return method(*args, **node.options)
        if isinstance(node.primitive, Elementwise) and name in self.functions and not node.options:
            return self.functions[name](*args)
        raise Inapplicable(f"the step uses {name}, which is not spelled in {self.name} here")

    # ---- what is made of other operations
    def do_call(self, *args: Any, tape: AbstractTape, rule: Any = None) -> list[Any]:
        """The function itself, differentiated by the library even where a rule of the user's own stands for it."""
        return self.run(tape, args)

    def do_scan(self, *args: Any, step: Step, length: int, reverse: bool, **rest: Any) -> list[Any]:
        """A loop inside the step, spelled out."""
        first, state_end = step.params, step.params + step.state
        params, state, xs = args[:first], list(args[first:state_end]), args[state_end:]
        if not length:
            raise Inapplicable("the step holds a loop of no steps")
        ys: list[Any] = [None] * length
        sums: Any = None
        for t in reversed(range(length)) if reverse else range(length):
            made = self.run(step.tape, [*params, *state, *[x[t] for x in xs]])
            state, behind = made[: step.state], made[step.state :]
            ys[t], more = behind[: step.ys], behind[step.ys :]
            sums = more if sums is None else [a + b for a, b in zip(sums, more, strict=True)]
        return [*state, *[self.stack(list(parts)) for parts in zip(*ys, strict=True)], *sums]

    def stack(self, parts: list[Any]) -> Any:
        """Arrays side by side on a new first axis."""
        raise NotImplementedError


def places(template: tuple, shape: tuple[int, ...]) -> np.ndarray | None:
    """The positions in the flattened array that a basic index reads; None where arrays are among the indices."""
    if any(entry is ARRAY for entry in template):
        return None
    return np.arange(int(np.prod(shape, dtype=np.int64))).reshape(shape)[template]


def read_in(library: Library, problem: CellProblem, differentiate: Callable) -> Readings:
    """The results and gradients of the cell in a library.

    ``differentiate(function, leaves, floating, weights)`` gives the results and gradients of a function of all leaves.
    """
    count, loop = problem.counts, _loop(library, problem)
    results, gradients = differentiate(loop, problem.leaves, problem.floating, problem.weights)
    found: Readings = {}
    for k in range(sum(count)):
        found.update({(kind, k): Reading(np.asarray(results[k])) for kind in VALUES})
    found.update({(GRADIENT, i): Reading(np.asarray(g)) for i, g in zip(problem.floating, gradients, strict=True)})
    return found


def _loop(library: Library, problem: CellProblem) -> Callable:
    """All leaves of params, state and xs to all leaves of the final state and ys, in the library."""
    params, state, xs = problem.structure.unflatten(problem.leaves)
    sizes = [len(pytree.leaves(tree)) for tree in (params, state)]
    tape = trace(problem.cell.step)(params, state, pytree.map(lambda a: a[0], xs))
    carried = problem.counts[0]
    if [aval_of(value) for _, value in tape.outputs[:carried]] != [aval_of(leaf) for leaf in pytree.leaves(state)]:
        raise Inapplicable("the state changes its dtype or shape in a step")

    def loop(leaves: Sequence[Any]) -> list[Any]:
        fixed, held, given = leaves[: sizes[0]], list(leaves[sizes[0] : sum(sizes)]), leaves[sum(sizes) :]
        ys = []
        for t in range(problem.steps):
            made = library.run(tape, [*fixed, *held, *[x[t] for x in given]])
            held = made[:carried]
            ys.append(made[carried:])
        return [*held, *[library.stack(list(parts)) for parts in zip(*ys, strict=True)]]

    return loop
