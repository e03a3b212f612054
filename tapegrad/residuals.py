"""The backward step of a scan: derived from the traced step, with the choice of what to keep for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .cotangent_names import name_cotangents, name_results, shared_names
from .dependence import dependents, influences, sources, subtape
from .primitives.elementwise import Elementwise
from .primitives.indexing import Getitem
from .primitives.registry import is_inexact
from .primitives.shaping import Shaping
from .pytree import taken
from .simplify import simplified
from .tape import AbstractTape, Node, ReverseTape, backward, run
from .tensor import Tensor, aval_of, opened

if TYPE_CHECKING:
    from .scan_primitive import Step

# Elementwise work that costs about as much as reading its result from memory would.
CHEAP = frozenset(
    "add subtract multiply divide negative maximum minimum absolute sign where cast equal less less_equal logical_and "
    "logical_or logical_not stop_gradient".split()
)


class Linearised:
    """A step split into a forward step that also gives residuals, and backward steps that read them.

    Attributes
    ----------
    active : tuple of bool
        The inputs that a derivative is asked for, with the states that depend on them.
    forward : Step
        The step with its residuals as further ys.
    fixed : list of int
        The outputs that have no derivative: integers and truth values.
    """

    def __init__(self, step: Step, active: tuple[bool, ...]):
        self.step, self.active = step, active
        outputs = step.tape.outputs
        reached = dependents(step.tape, [s for s, a in zip(step.tape.inputs, active, strict=True) if a])
        self.live = [slot in reached and is_inexact(aval_of(value)) for slot, value in outputs]
        self.fixed = [k for k, (_, value) in enumerate(outputs) if not is_inexact(aval_of(value))]
        self._patterns: dict[tuple[bool, ...], tuple[bool, ...]] = {}
        self._pullbacks: dict[tuple[bool, ...], BackwardStep] = {}
        joint = Joint(step, active, self.pattern(self.live))
        self.residuals = joint.choose_residuals()
        self.names = shared_names(joint, self.residuals)
        joint.tape.names.update(self.names)
        self.forward = joint.forward(self.residuals)

    def pattern(self, given: Sequence[bool]) -> tuple[bool, ...]:
        """Which outputs have a cotangent in the loop, given those that have one outside: a fixpoint over the steps."""
        given = tuple(given)
        if given not in self._patterns:
            self._patterns[given] = self._spread([g and live for g, live in zip(given, self.live, strict=True)])
        return self._patterns[given]

    def _spread(self, seeded: list[bool]) -> tuple[bool, ...]:
        step = self.step
        while True:
            seeds = [slot for (slot, _), flag in zip(step.tape.outputs, seeded, strict=True) if flag and slot >= 0]
            reached = influences(step.tape, seeds)
            grown = list(seeded)
            for k in range(step.state):
                i = step.params + k
                if self.active[i] and step.tape.inputs[i] in reached:
                    grown[k] = True
            if grown == seeded:
                return tuple(seeded)
            seeded = grown

    def backward(self, pattern: tuple[bool, ...]) -> BackwardStep:
        """The backward step for a pattern of cotangents."""
        joint = Joint(self.step, self.active, pattern)
        joint.tape.names.update(self.names)
        name_cotangents(joint)
        return BackwardStep(joint, self.residuals)

    def pullback(self, given: tuple[bool, ...]) -> BackwardStep:
        """The backward step for the outputs that have a cotangent."""
        found = self._pullbacks.get(given)
        if found is None:
            pattern = self.pattern(given)
            found = self._pullbacks.get(pattern) or self.backward(pattern)
            self._pullbacks[given] = self._pullbacks[pattern] = found
        return found


class Joint:
    """One tape with a step, and behind the mark its pullback."""

    def __init__(self, step: Step, active: Sequence[bool], pattern: Sequence[bool]):
        self.step, self.active, self.pattern = step, active, pattern
        with opened(AbstractTape()) as tape:
            inputs = [tape.input(aval) for aval in step.avals()]
            with opened(ReverseTape()) as reverse:
                inside = [reverse.input(v) if flag else v for v, flag in zip(inputs, active, strict=True)]
                named: dict[int, Any] = {}
                outs = run(step.tape, inside, named=named)
            self.primal = [v.value if isinstance(v, Tensor) and v.owner is reverse else v for v in outs]
            self.mark = len(tape.nodes)
            self.seeds = [
                tape.input(aval_of(v)) if flag else None for v, flag in zip(self.primal, pattern, strict=True)
            ]
            seeds: dict[int, Any] = {}
            for out, seed in zip(outs, self.seeds, strict=True):
                if seed is not None and isinstance(out, Tensor) and out.owner is reverse and out.slot >= 0:
                    seeds[out.slot] = seeds[out.slot] + seed if out.slot in seeds else seed
            self.tape = tape
            self._name(named)
            self._read_results(reverse)
            self.inputs = inputs
            self.wanted = self._wanted()
            pulled = iter(backward(reverse, seeds))
            found = [next(pulled) if flag else None for flag in active]
            self.pulled = {i: self._complete(found[i], inputs[i]) for i in self.wanted}

    def _name(self, named: dict[int, Any]) -> None:
        """Give values the names that they have in the step."""
        for slot, value in named.items():
            while isinstance(value, Tensor) and value.owner is not self.tape:
                value = value.value
            if isinstance(value, Tensor):
                self.tape.names.setdefault(value.slot, self.step.tape.names[slot])

    def _read_results(self, reverse: ReverseTape) -> None:
        """Let the derivative of a choice between 0 and what is positive ask the result, which may be kept anyway.

        Of ``where(x <= 0, 0, x)`` it is 0 where the result is not positive. Otherwise the truth values would be kept.
        """
        for node in reverse.nodes:
            if node is None or node.primitive.name != "where":
                continue
            condition, zero, chosen = node.args
            made = self._made(condition)
            if made is None or made.primitive.name != "less_equal" or not _is_zero(zero) or not _is_zero(made.args[1]):
                continue
            if isinstance(chosen, Tensor) and made.slots[0] == chosen.slot and chosen.shape == node.ans.shape:
                node.args[0] = np.less_equal(node.ans, 0)

    def _made(self, value: Any) -> Node | None:
        """What makes a value on the tape, if an operation does."""
        there = isinstance(value, Tensor) and value.owner is self.tape and value.slot >= 0
        return self.tape.nodes[value.slot] if there else None

    def _wanted(self) -> list[int]:
        """Inputs whose cotangent is computed: active params and xs, and the states in the pattern."""
        first = self.step.params
        return [
            i
            for i, flag in enumerate(self.active)
            if flag and not (first <= i < first + self.step.state and not self.pattern[i - first])
        ]

    def _complete(self, cotangent: Any, of: Tensor) -> tuple[int, Any]:
        if cotangent is None:
            cotangent = np.zeros(of.shape, of.dtype)
        if not isinstance(cotangent, Tensor):
            cotangent = self.tape.capture(np.asarray(cotangent))
        return cotangent.slot, cotangent.value

    def choose_residuals(self) -> list[int]:
        """Slots of the forward part to keep: what the pullback reads and cannot cheaply compute again.

        A slot is made from earlier ones only, so one pass in their order decides each of them once.
        """
        tape, step = self.tape, self.step
        states = set(tape.inputs[step.params : step.params + step.state])
        at_hand = {slot for slot in tape.inputs if slot not in states} | set(tape.consts)
        fixed = set(tape.inputs[: step.params]) | set(tape.consts)
        read = self._read_by_pullback()
        kept: list[int] = []
        for slot, node in enumerate(tape.nodes[: self.mark]):
            if node is not None:
                parents = [s for s in node.slots if s >= 0]
                if fixed.issuperset(parents):  # it follows from the parameters alone
                    made = range(slot, slot + (len(node.ans) if node.primitive.multiple else 1))
                    fixed.update(made)
                    at_hand.update(made)
                elif _is_light(node) and at_hand.issuperset(parents):
                    at_hand.add(slot)
            if slot in read and slot not in at_hand:
                kept.append(slot)
                at_hand.add(slot)
        return kept

    def _read_by_pullback(self) -> set[int]:
        tape = self.tape
        needed = {slot for slot, _ in self.pulled.values()}
        for slot in range(len(tape.nodes) - 1, self.mark - 1, -1):
            node = tape.nodes[slot]
            if node is not None:
                count = len(node.ans) if node.primitive.multiple else 1
                if any(slot + i in needed for i in range(count)):
                    needed.update(s for s in node.slots if s >= 0)
        return {slot for slot in needed if slot < self.mark}

    def forward(self, residuals: Sequence[int]) -> Any:
        """The step with the residuals behind its ys."""
        step, tape = self.step, self.tape
        outs = [(v.slot, v.value) if isinstance(v, Tensor) else (-1, v) for v in self.primal]
        kept = [(slot, tape.aval(slot)) for slot in residuals]
        cut = step.state + step.ys
        part = subtape(tape, tape.nodes, tape.inputs[: len(self.inputs)], [*outs[:cut], *kept, *outs[cut:]])
        ys = step.ys + len(kept)
        return type(step)(part, step.params, step.state, step.xs, ys, step.sums, residuals=len(kept))


def _is_zero(value: Any) -> bool:
    return isinstance(value, (int, float)) and value == 0


def _is_light(node: Node) -> bool:
    """Whether an operation is computed again rather than kept."""
    primitive = node.primitive
    slices = isinstance(primitive, Getitem) and len(node.slots) == 1
    cheap = isinstance(primitive, Elementwise) and primitive.name in CHEAP
    return slices or cheap or isinstance(primitive, Shaping)


class BackwardStep:
    """The scan that pulls cotangents back, and where its arguments come from."""

    def __init__(self, joint: Joint, residuals: Sequence[int]):
        step, tape = joint.step, joint.tape
        first, last = step.params, step.params + step.state
        self.pattern, self.wanted = joint.pattern, joint.wanted
        self.states = [i for i in joint.wanted if first <= i < last]
        self.inner = [i for i in joint.wanted if i >= last]
        self.outer = [i for i in joint.wanted if i < first]
        results = [joint.pulled[i] for i in (*self.states, *self.inner, *self.outer)]
        name_results(joint, (*self.inner, *self.outer))
        used = sources(tape, [slot for slot, _ in results], set(residuals))
        seeds = [seed.slot if seed is not None else -1 for seed in joint.seeds]
        cut = step.state + step.ys
        # Each port: which of the arguments, seeds and residuals the backward step reads.
        self.params = [i for i in range(first) if tape.inputs[i] in used]
        self.sum_seeds = [k for k in range(cut, len(seeds)) if seeds[k] in used]
        self.xs = [i for i in range(last, len(joint.inputs)) if tape.inputs[i] in used]
        self.residuals = [r for r, slot in enumerate(residuals) if slot in used]
        self.y_seeds = [k for k in range(step.state, cut) if seeds[k] in used]
        self.state_seeds = [i - first for i in self.states]
        params = [tape.inputs[i] for i in self.params] + [seeds[k] for k in self.sum_seeds]
        state = [seeds[k] for k in self.state_seeds]
        xs = (
            [tape.inputs[i] for i in self.xs]
            + [residuals[r] for r in self.residuals]
            + [seeds[k] for k in self.y_seeds]
        )
        part = simplified(subtape(tape, tape.nodes, [*params, *state, *xs], results))
        self.step = type(step)(part, len(params), len(state), len(xs), len(self.inner), len(self.outer))
        read = len(params) + len(state) + len(self.xs)
        self.step.kept = range(read, read + len(self.residuals))
        # Where the arguments stand, with those of the scan, the cotangents and the residuals in one row.
        count = len(joint.inputs)
        places = [
            *self.params,
            *[count + k for k in (*self.sum_seeds, *self.state_seeds)],
            *self.xs,
            *[count + len(seeds) + r for r in self.residuals],
            *[count + k for k in self.y_seeds],
        ]
        self._arguments = taken(places)
        # Where the cotangent of each argument stands, counting from 1 for the first result; 0 for none.
        order = [*self.states, *self.inner, *self.outer]
        self._cotangents = taken([order.index(i) + 1 if i in order else 0 for i in range(count)])

    def arguments(self, args: Sequence[Any], g: Sequence[Any], saved: Sequence[Any]) -> Sequence[Any]:
        """The arguments of the backward scan."""
        return self._arguments([*args, *g, *saved])

    def cotangents(self, outs: Sequence[Any], slots: Sequence[int]) -> list[Any]:
        """The results of the backward scan as the cotangents of the arguments that want one."""
        found = [*self._cotangents((None, *outs))]
        for i in self.states:  # some are active in the loop only
            if slots[i] < 0:
                found[i] = None
        return found
