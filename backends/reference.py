"""The reference: the loop as NumPy calls, one for each operation of the tape. It is the oracle of the others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from tapegrad.caches import Bounded
from tapegrad.scan_primitive import Step
from tapegrad.structure import FLOATS, structure_key


class Program:
    """A step's tape as two lists of calls: what depends on the parameters alone, and what every step does.

    ``numbers`` says where the floating literals stand: steps that differ in them alone share one program.
    """

    def __init__(self, step: Step):
        tape = step.tape
        self.env: list[Any] = [None] * len(tape.nodes)
        self.numbers: list[int] = []
        for slot, value in tape.consts.items():
            self.env[slot] = value
        self.once: list[tuple] = []
        self.each: list[tuple] = []
        fixed = set(tape.inputs[: step.params]) | set(tape.consts)
        for slot, node in enumerate(tape.nodes):
            if node is None:
                continue
            reads = [s if s >= 0 else self._constant(v) for s, v in zip(node.slots, node.args, strict=True)]
            function = partial(node.primitive.run, **node.options) if node.options else node.primitive.run
            count = len(node.ans) if node.primitive.multiple else 0
            call = function, tuple(reads), slot, count
            if all(s < 0 or s in fixed for s in node.slots):
                self.once.append(call)
                fixed.update(range(slot, slot + max(count, 1)))
            else:
                self.each.append(call)
        self.inputs = list(tape.inputs)
        self.outputs = [slot if slot >= 0 else self._constant(value) for slot, value in tape.outputs]

    def _constant(self, value: Any) -> int:
        self.env.append(value)
        if isinstance(value, FLOATS):
            self.numbers.append(len(self.env) - 1)
        return len(self.env) - 1

    @staticmethod
    def execute(calls: Sequence[tuple], env: list[Any]) -> None:
        for function, reads, slot, count in calls:
            ans = function(*[env[i] for i in reads])
            if count:
                env[slot : slot + count] = ans
            else:
                env[slot] = ans


_PROGRAMS: Bounded[Any, Program] = Bounded()


def program_of(step: Step) -> tuple[Program, list[Any]]:
    """The program for a step and its floating literals; one program serves every tape of the same structure."""
    found = step.tape.derived.get("program")
    if found is None:
        numbers: list[Any] = []
        key = structure_key(step.tape, numbers), step.params, step.state, step.xs, step.ys, step.sums
        program = _PROGRAMS.get(key) or _PROGRAMS.keep(key, Program(step))
        found = step.tape.derived["program"] = program, numbers
    return found


class ReferenceBackend:
    """Runs every step with NumPy."""

    name = "reference"

    def missing(self, step: Step) -> str | None:
        return None

    def run(self, step: Step, args: Sequence[Any], length: int, reverse: bool) -> tuple:
        program, numbers = program_of(step)
        env = list(program.env)
        for slot, value in zip(program.numbers, numbers, strict=True):
            env[slot] = value
        for slot, value in zip(program.inputs[: step.params], args[: step.params], strict=True):
            env[slot] = value
        program.execute(program.once, env)
        first, last = step.params, step.params + step.state
        state_slots, x_slots = program.inputs[first:last], program.inputs[last:]
        cut = step.state + step.ys
        results = step.results(length)
        ys = [np.empty(aval.shape, aval.dtype) for aval in results[step.state : cut]]
        sums = [np.zeros(aval.shape, aval.dtype) for aval in results[cut:]]
        state, xs = list(args[first:last]), args[last:]
        for t in range(length - 1, -1, -1) if reverse else range(length):
            for slot, value in zip(state_slots, state, strict=True):
                env[slot] = value
            for slot, x in zip(x_slots, xs, strict=True):
                env[slot] = x[t]
            program.execute(program.each, env)
            outs = [env[slot] for slot in program.outputs]
            state = outs[: step.state]
            for y, out in zip(ys, outs[step.state : cut], strict=True):
                y[t] = out
            for total, out in zip(sums, outs[cut:], strict=True):
                total += out
        finals = [np.array(value, aval.dtype) for value, aval in zip(state, results, strict=False)]
        return (*[value if value.ndim else value[()] for value in finals], *ys, *sums)
