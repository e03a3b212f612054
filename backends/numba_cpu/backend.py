"""The backend itself: it plans, compiles and runs a scan on the CPU."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np

from tapegrad.errors import OptionError
from tapegrad.primitives.contract import contract, product
from tapegrad.scan_primitive import Step

from ..plan import Plan, make_plan, node_at
from ..reference import ReferenceBackend
from . import gemm, maths, vectors
from .layout import Lowered, Unlowered
from .lower import lower

SMALL = 200_000  # a loop that writes fewer elements of scratch stays on one thread
_compiled: OrderedDict[str, Any] = OrderedDict()
_pool: list[ThreadPoolExecutor] = []
if hasattr(os, "register_at_fork"):  # threads do not survive a fork: the child makes its own
    os.register_at_fork(after_in_child=_pool.clear)


def thread_count() -> int:
    """How many threads a loop may use: TAPEGRAD_NUM_THREADS, else the processors of this process."""
    given = os.environ.get("TAPEGRAD_NUM_THREADS")
    if given is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not given.isdigit() or int(given) < 1:
        raise OptionError(f"TAPEGRAD_NUM_THREADS={given!r}; give a whole number of at least 1")
    return int(given)


def compiled(source: str) -> Any:
    """The compiled function of a loop's source; equal sources are compiled once."""
    found = _compiled.get(source)
    if found is None:
        space: dict[str, Any] = {"multiply": gemm.multiply}
        for module in (vectors, maths):
            space.update({name: value for name, value in vars(module).items() if not name.startswith("_")})
        exec(compile(source, "<loop>", "exec"), space)
        found = _compiled[source] = numba.njit(nogil=True, error_model="numpy", boundscheck=False)(space["loop"])
        if len(_compiled) > 256:
            _compiled.popitem(last=False)
    return found


class Program:
    """A step, planned and lowered."""

    def __init__(self, step: Step):
        self.plan: Plan = make_plan(step)
        self.lowered: Lowered = lower(self.plan)
        self.loop = compiled(self.lowered.source)


def program_of(step: Step) -> Program | Unlowered:
    """The program for a step, or what stands in its way."""
    found = step.tape.derived.get("numba")
    if found is None:
        try:
            found = Program(step)
        except Unlowered as reason:
            found = reason
        step.tape.derived["numba"] = found
    return found


class NumbaBackend:
    """Compiles the part of a scan that must go step by step; the rest is NumPy over all steps at once."""

    name = "numba"

    def missing(self, step: Step) -> str | None:
        program = program_of(step)
        return program.primitive if isinstance(program, Unlowered) else None

    def run(self, step: Step, args: Sequence[Any], length: int, reverse: bool) -> tuple:
        program = program_of(step)
        if isinstance(program, Unlowered) or length == 0 or np.shape(args[step.params])[0] == 0:
            return ReferenceBackend().run(step, args, length, reverse)
        return Run(program, step, args, length, reverse).results()


class Run:
    """One scan: the values of its parts as they are computed, those of all steps together with time leading."""

    def __init__(self, program: Program, step: Step, args: Sequence[Any], length: int, reverse: bool):
        self.program, self.plan, self.lowered = program, program.plan, program.lowered
        self.step, self.tape, self.length, self.reverse = step, step.tape, length, reverse
        first, last = step.params, step.params + step.state
        self.fixed: dict[int, Any] = dict(self.tape.consts)
        self.fixed.update(zip(self.tape.inputs[:first], args[:first], strict=True))
        self.timed: dict[int, Any] = dict(zip(self.tape.inputs[last:], args[last:], strict=True))
        self.state = args[first:last]

    def results(self) -> tuple:
        for slot in self.plan.once:
            node = node_at(self.tape, slot)
            ans = node.primitive.run(*self._values(node), **node.options)
            for i, value in enumerate(ans if node.primitive.multiple else [ans]):
                self.fixed[slot + i] = value
        for slot in self.plan.before:
            self._over_time(slot)
        finals = self._loop()
        cut = self.step.state + self.step.ys
        avals = self.step.results(self.length)
        ys = [self._output(k, avals[k]) for k in range(self.step.state, cut)]
        return (*finals, *ys, *[self._sum(k, avals[k]) for k in range(cut, len(avals))])

    def _values(self, node: Any) -> list[Any]:
        held = self.timed, self.fixed
        return [
            v if s < 0 else held[0][s] if s in held[0] else held[1][s]
            for s, v in zip(node.slots, node.args, strict=True)
        ]

    def _over_time(self, slot: int) -> None:
        """Carry one operation out for all steps, by its own rule for a batch."""
        node = node_at(self.tape, slot)
        flags = [s in self.timed for s in node.slots]
        made = node.primitive.batch(self.length, self._values(node), flags, node.options)
        if not node.primitive.multiple:
            self.timed[slot] = made
            return
        for i, (value, flag) in enumerate(made):
            (self.timed if flag else self.fixed)[slot + i] = value

    # ---- the compiled part ----
    def _loop(self) -> list[Any]:
        plan, dtype = self.plan, self.lowered.dtype
        rows = self.state[0].shape[0]
        now = [np.array(s, dtype).reshape(-1) for s in self.state]
        then = [np.empty_like(s) for s in now]
        kept = [np.empty((self.length, *self.tape.aval(slot).shape), dtype) for slot in plan.kept]
        arrays = [
            *now,
            *then,
            *[_flat(self.timed[s], dtype) for s in plan.streamed],
            *[_flat(self.fixed[s], dtype) for s in self.lowered.fixed],
            *[a.reshape(-1) for a in kept],
        ]
        packed, numbers = self._packed(), np.array(self.lowered.numbers, dtype)

        def part(first: int, last: int) -> None:
            work = np.empty(self.lowered.work * (last - first), dtype)
            self.program.loop(self.length, self.reverse, first, last, rows, numbers, work, packed, *arrays)

        _in_parallel(part, self._parts(rows))
        for slot, made in zip(plan.kept, kept, strict=True):  # truth values are kept as 0 and 1
            self.timed[slot] = made if self.tape.aval(slot).dtype == dtype else made != 0
        final = now if self.length % 2 == 0 else then
        return [a.reshape(np.shape(s)) for a, s in zip(final, self.state, strict=True)]

    def _parts(self, rows: int) -> list[tuple[int, int]]:
        """The rows of each thread: whole tiles, and all on one thread when there is little to do."""
        count = thread_count() if self.length * rows * (self.lowered.work + 1) > SMALL else 1
        each = -(-rows // (count * gemm.ROWS)) * gemm.ROWS
        return [(first, min(first + each, rows)) for first in range(0, rows, each)]

    def _packed(self) -> np.ndarray:
        dtype = self.lowered.dtype
        operands = [self.fixed[s].T if transposed else self.fixed[s] for s, transposed in self.lowered.weights]
        sizes = [gemm.packed_size(w.shape[0], w.shape[1], dtype) for w in operands]
        packed = np.empty(sum(sizes), dtype)
        position = 0
        for w in operands:
            position = gemm.pack(w, packed, position)
        return packed

    # ---- what is computed behind the loop ----
    def _after(self, slot: int) -> None:
        """Compute a slot of the last part, with what it needs."""
        if slot < 0 or slot in self.timed or slot in self.fixed:
            return
        for s in node_at(self.tape, slot).slots:
            self._after(s)
        self._over_time(slot)

    def _constant(self, k: int) -> Any:
        """The value of an output that is the same at every step, None for the others."""
        slot, literal = self.tape.outputs[k]
        return literal if slot < 0 else self.fixed.get(slot)

    def _output(self, k: int, aval: Any) -> Any:
        constant = self._constant(k)
        if constant is not None:
            return np.array(np.broadcast_to(constant, aval.shape), aval.dtype)
        slot = self.tape.outputs[k][0]
        self._after(slot)
        # An input that is also an output is the caller's own array.
        return (
            np.array(self.timed[slot]) if slot in self.tape.inputs and slot not in self.plan.kept else self.timed[slot]
        )

    def _sum(self, k: int, aval: Any) -> Any:
        constant = self._constant(k)
        if constant is not None:
            return np.array(self.length * np.asarray(constant), aval.dtype)
        slot = self.tape.outputs[k][0]
        if slot not in self.timed and slot not in self.tape.inputs and node_at(self.tape, slot).primitive is contract:
            node = node_at(self.tape, slot)
            for s in node.slots:
                self._after(s)
            if all(s in self.timed for s in node.slots):  # one product over the rows of all steps
                x, y = self._values(node)
                spec = node.options["spec"]
                time = next(c for c in "tuvwxyz" if c not in spec.text)
                return product(x, y, time + spec.left, time + spec.right, spec.out)
        self._after(slot)
        return np.array(np.add.reduce(self.timed[slot], axis=0), aval.dtype)


def _flat(array: Any, dtype: Any) -> np.ndarray:
    return np.ascontiguousarray(array, dtype).reshape(-1)


def _in_parallel(work: Callable[[int, int], None], parts: list[tuple[int, int]]) -> None:
    """Do the parts at once. Plain threads: the compiled loop does not hold the interpreter lock."""
    if len(parts) > 1 and not _pool:
        _pool.append(ThreadPoolExecutor(max(thread_count() - 1, 1), thread_name_prefix="tapegrad"))
    others = [_pool[0].submit(work, *part) for part in parts[1:]]
    work(*parts[0])
    for other in others:
        other.result()
