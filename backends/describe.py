"""A plan as text, in the names of the step's own variables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.printing import letters, slot_names

from .graph import Access, Graph, Op
from .inlining import InnerLoop

if TYPE_CHECKING:
    from .plan import Plan

SAID = {
    "before": "before the loop, for many steps together:",
    "loop": "in the loop, step by step:",
    "after": "after the loop, for many steps together:",
}


def describe(plan: Plan, taken: Iterable[str] = ()) -> str:
    """What is done where; no letter is one of ``taken``, names that mean something else to the reader."""
    said = _Said(plan, taken)
    lines = ["once, from the parameters:", *said.once()]
    for section, title in SAID.items():
        lines += [title, *said.lines(getattr(plan, section), 0)]
    if said.graph.behind:
        lines += ["once, from the sums:", *said.computed(said.graph.behind)]
    return "\n".join(lines)


class _Said:
    """The words for the operations of a graph."""

    def __init__(self, plan: Plan, taken: Iterable[str]):
        self.graph: Graph = plan.graph
        self.names, self.kept = slot_names(self.graph.tape, taken), self.graph.residuals()
        self.seen: set[int] = set()
        tape = self.graph.tape
        alike = {s: str(v.flat[0]) for s, v in tape.consts.items() if v.size and np.all(v == v.flat[0])}
        self.constants = {s: alike.get(s, f"constant(shape={v.shape})") for s, v in tape.consts.items()}
        self.numbers = {s: number for s, number in alike.items() if s not in tape.names}
        self.names |= self.numbers
        self.unnamed: dict[int, str] = {}  # values that the tape does not have
        self.letters = letters({*taken, *self.names.values()})

    def once(self) -> list[str]:
        named = [slot for slot in self.constants if slot in self.names and slot not in self.numbers]
        return [f"    {self.names[slot]} = {self.constants[slot]}" for slot in named] + self.computed(self.graph.once)

    def computed(self, slots: Sequence[int]) -> list[str]:
        """What is done outside of the loop, operation by operation of the tape."""
        lines = []
        for slot in slots:
            node: Any = self.graph.tape.nodes[slot]
            given = [str(v) if s < 0 else self.names[s] for s, v in zip(node.slots, node.args, strict=True)]
            count = len(node.ans) if node.primitive.multiple else 1
            made = ", ".join(self.names.get(slot + i, "_") for i in range(count))
            lines.append(f"    {made} = {_call(node.primitive.name, given, node.options)}")
        return lines

    def lines(self, ops: Sequence[Op], loop: int) -> list[str]:
        """What is done in a loop, with the loops within it."""
        lines = []
        for unit, inside in self._ordered(ops, loop):
            if isinstance(unit, Op):
                lines.append("    " + self.operation(unit))
                self.seen.add(unit.out)
                continue
            lines.append(f"    {unit.length} times{', backwards' if unit.reverse else ''}:")
            lines += ["    " + line for line in self.lines(inside, unit.number)]
            lines += [
                f"        {self.name(carry.state)} = {self.name(carry.new)}"
                for carry in self.graph.carries
                if carry.loop == unit.number
            ]
        return lines

    def _ordered(self, ops: Sequence[Op], loop: int) -> list[tuple[Op | InnerLoop, list[Op]]]:
        """The operations and the loops of a loop, each behind those that make what it reads."""
        graph = self.graph
        loops = [each for each in graph.loops if each.number and each.parent == loop]
        within = {each: [op for op in ops if each in graph.around(op.loop)] for each in loops}
        index = {id(op): i for i, op in enumerate(ops)}
        units: list[tuple[Op | InnerLoop, list[Op]]] = [(op, [op]) for op in ops if op.loop == loop]
        units += [(each, inside) for each, inside in within.items() if inside]
        units.sort(key=lambda unit: index[id(unit[1][-1])])
        found = []
        while any(within.values()) and units:
            made = [{op.out for op in inside} for _, inside in units]
            reads = [
                {base for op in inside for base in op.reads} - out for (_, inside), out in zip(units, made, strict=True)
            ]
            free = (k for k, read in enumerate(reads) if all(read.isdisjoint(out) for out in made))
            found.append(units.pop(next(free, 0)))
        return found + units

    def operation(self, op: Op) -> str:
        reads = [self.view(a) if isinstance(a, Access) else str(a.value) for a in op.args]
        out, sign = self.view(op.store) if op.store.base == op.out else self.name(op.out), "="
        if op.kind == "accumulate":
            name = self.name(op.out)
            axes = self.graph.turned.get(self.graph.values[op.out].slot, ())
            if axes == (1, 0):
                reads.reverse()
            elif axes != tuple(range(len(axes))):
                name += f".transpose{tuple(axes.index(axis) for axis in range(len(axes)))}"
            return f"{name} += {reads[0]}.T @ {reads[1]}  (over rows and time)"
        if op.kind == "total":
            return f"{self.name(op.out)} += {reads[0]}  (over rows and time)"
        if op.kind == "gemm":
            slot, perm = op.options["weight"]
            turned = {(0, 1): "", (1, 0): ".T"}.get(tuple(perm), f".transpose{tuple(perm)}")
            what, sign = f"{reads[0]} @ {self.names[slot]}{turned}", "+=" if op.out in self.seen else "="
        elif op.name == "copy":
            what = reads[0]
            out = f"hold {out}" if out == what else out  # the state as it was, for what is done after the loop
        else:
            what = _call(op.name, reads, op.options)
        return f"{out} {sign} {what}"

    def view(self, seen: Access) -> str:
        """A value, and which of its features are meant: numbers count through all features of a row."""
        if self.graph.values[seen.base].slot in self.numbers:
            return self.name(seen.base)
        wide = [(n, s) for n, s in zip(seen.shape, seen.strides, strict=True) if n > 1]
        first = next((i for i, (_, s) in enumerate(wide) if s), 0)
        repeated = ["None" if s == 0 else ":" for _, s in wide[first:]]
        text = self.name(seen.base) + self._features(seen, [(n, s) for n, s in wide if s])
        return f"{text}[{', '.join(repeated)}]" if "None" in repeated and ":" in repeated else text

    def _features(self, seen: Access, axes: list[tuple[int, int]]) -> str:
        count, steps = math.prod([n for n, _ in axes]), [s for _, s in axes]
        if seen.rounds is not None:
            return "[round]"
        if count == self.graph.values[seen.base].size:
            if steps == sorted(steps, reverse=True) and min(steps, default=1) > 0:
                return ""
            return "[::-1]" if len(axes) == 1 else ".T"
        if not axes:
            return f"[{seen.offset}]"
        if _is_dense(axes):
            return f"[{seen.offset}:{seen.offset + count}]"
        if len(axes) == 1:
            ((n, s),) = axes
            end = seen.offset + n * s
            return f"[{seen.offset}:{end if end >= 0 else ''}:{s}]"
        return f"[{seen.offset}, ...]"

    def name(self, base: int) -> str:
        graph, value = self.graph, self.graph.values[base]
        if value.source == "next":
            return f"next {self.names[graph.tape.inputs[graph.step.params + value.slot]]}"
        name = self.names.get(value.slot) or self.unnamed.get(base)
        if name is None:
            name = self.unnamed[base] = next(self.letters)
        return f"{'keep' if base in self.kept else 'output'} {name}" if value.source == "y" else name


def _is_dense(axes: Sequence[tuple[int, int]]) -> bool:
    step = 1
    for n, s in reversed(axes):
        if s != step:
            return False
        step *= n
    return True


def _call(name: str, given: Sequence[str], options: dict[str, Any]) -> str:
    said = [f"{key}={value}" for key, value in options.items() if isinstance(value, (int, str, tuple))]
    said += [repr(options["spec"])] if "spec" in options else []
    return f"{name}({', '.join([*given, *said])})"
