"""The scan primitive: one loop with ports that are their own duals.

A step reads params, a state and an x, and gives a new state, a y, and summands. The ports of the loop are
``init <-> final``, ``xs <-> ys`` and ``params <-> sums over t``: the reverse-mode derivative of a scan is a
scan backwards through time whose init is the cotangent of final, whose xs are the cotangents of ys, and whose
sums are the cotangents of params. Tangents and batches are scans too. So a backend that runs this loop has all
of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from .batching import Batched, BatchTrace
from .dependence import dependents
from .holding import is_holding, stops
from .primitives.registry import Primitive, front, is_inexact, shape_of
from .residuals import Linearised
from .rules import derived
from .simplify import simplified
from .tape import AbstractTape, ReverseTape, run
from .tensor import WATCH, Aval, Tensor, apply, aval_of, opened
from .tracing import trace_flat
from .transforms import jvp


class Step:
    """A traced step: a tape from (params, state, xs) to (state, ys, sums), and how many there are of each.

    Attributes
    ----------
    tape : AbstractTape
    params, state, xs : int
        The numbers of inputs, in this order.
    ys, sums : int
        The numbers of outputs behind the ``state`` new states.
    residuals : int
        How many of the last ys are read by a backward step alone: these may share memory.
    captured : list
        Values of the last params, which the step closed over.
    kept : range
        The inputs that are residuals of a forward loop, in a backward step.
    """

    def __init__(self, tape: AbstractTape, params: int, state: int, xs: int, ys: int, sums: int = 0,
                 captured: Sequence[Any] = (), residuals: int = 0):  # fmt: skip
        self.tape, self.params, self.state, self.xs, self.ys, self.sums = tape, params, state, xs, ys, sums
        self.captured, self.residuals, self.kept = list(captured), residuals, range(0)

    @classmethod
    def of_trace(cls, tape: AbstractTape, params: int, state: int, xs: int, ys: int) -> Step:
        """The step of a tape whose captured arrays are still constants: they become params."""
        captured = list(tape.consts.items())
        slots = [slot for slot, _ in captured]
        tape.input_avals.update({slot: aval_of(value) for slot, value in captured})
        tape.inputs, tape.consts = tape.inputs[:params] + slots + tape.inputs[params:], {}
        return cls(tape, params + len(slots), state, xs, ys, 0, [value for _, value in captured])

    @property
    def state_dtypes(self) -> list[np.dtype]:
        return [aval_of(value).dtype for _, value in self.tape.outputs[: self.state]]

    def avals(self) -> list[Aval]:
        """The abstract inputs."""
        return [self.tape.aval(slot) for slot in self.tape.inputs]

    def results(self, length: int) -> list[Aval]:
        """The abstract results of the whole scan."""
        outs = [aval_of(value) for _, value in self.tape.outputs]
        return [
            Aval((length, *aval.shape), aval.dtype) if self.state <= i < self.state + self.ys else aval
            for i, aval in enumerate(outs)
        ]

    def __repr__(self) -> str:
        return f"<step: {self.params} params, {self.state} states, {self.xs} xs, {self.ys} ys, {self.sums} sums>"


@cache
def backends() -> Any:
    """The backends. The engine does not import them: they are looked up by name, on first use."""
    return import_module("tapegrad.backends")


class Scan(Primitive):
    """The loop; ``step`` says what is done in it."""

    family = "control"
    multiple = True
    reads_result = False  # what the backward loop reads of it is a residual, an array of its own

    def run(self, *args: Any, step: Step, length: int, reverse: bool, backend: str, **rest: Any) -> tuple:
        watch = WATCH.get()
        if watch is not None and watch.checking:
            if backend not in ("auto", *backends().available()):
                backends().select(backend, step)  # says so
            return watch.loop(step, args, length, reverse, rest.get("apart", False))
        chosen = "reference" if is_holding() and stops(step.tape) else backend
        return backends().select(chosen, step).run(step, args, length, reverse)

    def abstract(self, *args: Any, step: Step, length: int, **rest: Any) -> tuple[Aval, ...]:
        return tuple(step.results(length))

    def count(self, options: dict) -> int:
        step = options["step"]
        return step.state + step.ys + step.sums

    # ---- reverse mode ----
    def augment(self, tape: ReverseTape, values: list, slots: list, options: dict) -> list[Tensor]:
        """Record the scan in augmented form: its residuals are further ys."""
        step = options["step"]
        given = tuple([slot >= 0 for slot in slots])
        known, key = step.tape.derived, ("reverse", given)
        linear = known.get(key) or known.setdefault(key, linearised(step, given))
        results = tape.compute(self, values, {**options, "step": linear.forward})
        cut, end = step.state + step.ys, len(results) - step.sums
        ans, saved = [*results[:cut], *results[end:]], results[cut:end]
        tensors = tape.record(self, values, slots, {**options, "linear": linear, "saved": saved}, ans)
        for k in linear.fixed:
            tensors[k].slot = -1
        return tensors

    def pull(self, g: Any, ans: Any, args: Sequence[Any], options: dict, slots: Sequence[int]) -> list[Any]:
        again = {**options, "reverse": not options["reverse"]}
        linear, saved = again.pop("linear"), again.pop("saved")
        reverse = linear.pullback(tuple([part is not None for part in g]))
        filled = [
            np.zeros(a.shape, a.dtype) if seeded and part is None else part
            for part, seeded, a in zip(g, reverse.pattern, ans, strict=True)
        ]
        again["step"] = reverse.step
        outs = apply(self, reverse.arguments(args, filled, saved), again)
        return reverse.cotangents(outs, slots)

    # ---- forward mode ----
    def push_with(self, values: Sequence[Any], tangents: Sequence[Any], options: dict) -> tuple[Any, Any]:
        step = options["step"]
        active = active_inputs(step, [tangent is not None for tangent in tangents])
        moving, moved = derived(step.tape, ("push", active), lambda: _pushed(step, active))
        tangents = [
            np.zeros(shape_of(v), v.dtype) if t is None and a else t
            for v, t, a in zip(values, tangents, active, strict=True)
        ]
        ports = zip(_ports(step, values), _ports(step, tangents), strict=True)
        both = [v for port, moves in ports for v in (*port, *[move for move in moves if move is not None])]
        outs = apply(self, both, options | {"step": moving})
        return _unweave(step, moved, outs)

    # ---- batching ----
    def batch(self, size: int, args: Sequence[Any], flags: Sequence[bool], options: dict) -> Any:
        step = options["step"]
        given, flags = flags, active_inputs(step, flags, everything=True)
        args = [front(a, had, size) if flag else a for a, had, flag in zip(args, given, flags, strict=True)]
        first = step.params + step.state  # time stays the leading axis of xs
        late = [flag and i >= first for i, flag in enumerate(flags)]
        args = [np.moveaxis(a, 0, 1) if moved else a for a, moved in zip(args, late, strict=True)]
        batched, out_flags = derived(step.tape, ("batch", size, flags), lambda: _batched(step, size, flags))
        outs = apply(self, args, options | {"step": batched})
        ys = range(step.state, step.state + step.ys)
        return [
            (np.moveaxis(out, 1, 0) if flag and i in ys else out, flag)
            for i, (out, flag) in enumerate(zip(outs, out_flags, strict=True))
        ]


scan_primitive = Scan("scan")


def linearised(step: Step, given: Sequence[bool]) -> Linearised:
    """The step split for the inputs that a derivative is asked for, and the states that become active in the loop."""
    active = active_inputs(step, given)
    return derived(step.tape, ("linearised", active), lambda: Linearised(step, active))


def _ports(step: Step, values: Sequence[Any]) -> list[list[Any]]:
    cut = step.params, step.params + step.state
    return [list(values[: cut[0]]), list(values[cut[0] : cut[1]]), list(values[cut[1] :])]


def active_inputs(step: Step, given: Sequence[bool], everything: bool = False) -> tuple[bool, ...]:
    """Which inputs are active, states included that become so in the loop: a fixpoint over the steps.

    With ``everything`` integer values are followed too (a batch), otherwise only what has a derivative.
    """
    return derived(step.tape, ("active", tuple(given), everything), lambda: _spread(step, list(given), everything))


def _spread(step: Step, active: list[bool], everything: bool) -> tuple[bool, ...]:
    while True:
        seeds = {slot for slot, flag in zip(step.tape.inputs, active, strict=True) if flag}
        reached = dependents(step.tape, seeds, everything)
        grown = list(active)
        for k in range(step.state):
            slot, value = step.tape.outputs[k]
            if slot in reached and (everything or is_inexact(aval_of(value))):
                grown[step.params + k] = True
        if grown == active:
            return tuple(active)
        active = grown


def _pushed(step: Step, active: tuple[bool, ...]) -> tuple[Step, list[bool]]:
    """The step that carries tangents beside the values of each port."""
    avals = step.avals()
    ports = _ports(step, list(range(len(avals))))
    moves = [[i for i in port if active[i]] for port in ports]
    order = [i for port, extra in zip(ports, moves, strict=True) for i in (*port, *extra)]
    is_move = [
        flag for port, extra in zip(ports, moves, strict=True) for flag in (*[False] * len(port), *[True] * len(extra))
    ]
    state_moves = [i - step.params for i in moves[1]]
    moved = [False] * len(step.tape.outputs)

    def flat(inputs: list[Any]) -> list[Any]:
        values: list[Any] = [None] * len(avals)
        tangents: dict[int, Any] = {}
        for i, move, value in zip(order, is_move, inputs, strict=True):
            if move:
                tangents[i] = value
            else:
                values[i] = value
        return _push_step(step, values, tangents, state_moves, moved)

    tape = simplified(trace_flat(flat, [avals[i] for i in order]))
    params, state, xs = (len(port) + len(extra) for port, extra in zip(ports, moves, strict=True))
    ys = step.ys + sum(moved[step.state : step.state + step.ys])
    sums = step.sums + sum(moved[step.state + step.ys :])
    return Step(tape, params, state, xs, ys, sums), moved


def _push_step(
    step: Step, values: list, tangents: dict[int, Any], state_moves: list[int], moved: list[bool]
) -> list[Any]:
    active = sorted(tangents)

    def of_active(*given: Any) -> list[Any]:
        filled = list(values)
        for i, value in zip(active, given, strict=True):
            filled[i] = value
        return run(step.tape, filled)

    outs, moves = jvp(of_active, [values[i] for i in active], [tangents[i] for i in active])
    seeds = {step.tape.inputs[i] for i in active}
    reached = dependents(step.tape, seeds)
    woven: list[Any] = []
    for low, high in (
        (0, step.state),
        (step.state, step.state + step.ys),
        (step.state + step.ys, len(outs)),
    ):
        woven += outs[low:high]
        for k in range(low, high):
            slot, value = step.tape.outputs[k]
            moved[k] = k in state_moves if k < step.state else slot in reached and is_inexact(aval_of(value))
            if moved[k]:
                woven.append(moves[k])
    return woven


def _unweave(step: Step, moved: list[bool], outs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Values and tangents, from the ports in which they stand one behind the other."""
    given = iter(outs)
    values: list[Any] = []
    tangents: list[Any] = []
    for low, high in (
        (0, step.state),
        (step.state, step.state + step.ys),
        (step.state + step.ys, step.state + step.ys + step.sums),
    ):
        values += [next(given) for _ in range(low, high)]
        tangents += [next(given) if moved[k] else None for k in range(low, high)]
    return values, tangents


def _batched(step: Step, size: int, flags: tuple[bool, ...]) -> tuple[Step, list[bool]]:
    """The step with a leading batch axis on the flagged inputs."""
    avals = [
        Aval((size, *aval.shape), aval.dtype) if flag else aval for aval, flag in zip(step.avals(), flags, strict=True)
    ]
    out_flags = [False] * len(step.tape.outputs)

    def flat(inputs: list[Any]) -> list[Any]:
        with opened(BatchTrace(size)) as trace:
            inside = [Batched(trace, v) if flag else v for v, flag in zip(inputs, flags, strict=True)]
            outs = run(step.tape, inside)
        finished = []
        for k, out in enumerate(outs):
            mine = isinstance(out, Tensor) and out.owner is trace
            value = out.value if mine else out
            out_flags[k] = flags[step.params + k] if k < step.state else mine
            finished.append(front(value, mine, size) if out_flags[k] else value)
        return finished

    tape = simplified(trace_flat(flat, avals))
    return Step(tape, step.params, step.state, step.xs, step.ys, step.sums), out_flags
