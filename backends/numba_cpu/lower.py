"""A plan as Python source that Numba compiles: which loops there are, in which order, and with which arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..graph import Op
from ..plan import Plan
from .gemm import panel_width
from .passes import Key
from .schedule import Group, Schedule
from .weights import HEAD, weight_table


class Lowering(Schedule):
    """Writes the function ``loop``, and says what is packed for it."""

    def __init__(self, plan: Plan):
        super().__init__(plan)
        self.numbers: list[float] = []
        self.scalars: list[float] = []
        self.source = self._write()

    def _write(self) -> str:
        body: dict[str, list[str]] = {}
        begun: set[int] = set()
        for section in self.sections:
            body[section.name] = self._lines(section.groups, section.name, begun)
        self._bind_states()
        self.weights, self.table = self._packing()
        return HEAD + self._loop(body)

    def _lines(self, groups: Sequence[Group], section: str, begun: set[int]) -> list[str]:
        lines: list[str] = []
        for run in self.runs(groups):
            group = run[0]
            if group.kind == "product":
                assert group.product is not None
                lines += self.write_product(group.product, section, begun)
            elif group.kind == "sums":
                lines += self.write_accumulations(group.ops)
            elif group.kind == "loop":
                lines += self._inner_loop(group, section, begun)
            else:
                body = [line for group in run for line in self._body(group)]
                lines += self.over_rows(body, *self.over(group), section)
        return lines

    def _body(self, group: Group) -> list[str]:
        """What a pass or a nest does with a row."""
        if group.key is None:
            return self.nest_lines(group.ops[0])
        return self.pass_lines(group.key, group.ops, self.stored)

    def _inner_loop(self, group: Group, section: str, begun: set[int]) -> list[str]:
        loop = self.graph.loops[group.loop]
        rounds = f"{loop.length - 1}, -1, -1" if loop.reverse else f"{loop.length}"
        lines = self._lines(group.groups, section, begun)
        carried: dict[Key, list[Op]] = {}
        for op in group.ops:
            carried.setdefault(self.key(op), []).append(op)
        lines += self._lines([Group("pass", ops, key) for key, ops in carried.items()], section, begun)
        return [f"for round{loop.number} in range({rounds}):", *["    " + line for line in lines]]

    def _bind_states(self) -> None:
        """All states and outputs are arguments, whether they are read or not."""
        step, tape = self.graph.step, self.graph.tape
        self.states = [self.graph.base[slot] for slot in tape.inputs[step.params : step.params + step.state]]
        self.plain = [k for k in range(step.state) if k not in self.trails.states]

    @property
    def arguments(self) -> list[str]:
        """The names of the arrays, in the order of the arguments."""
        return [
            *sorted(self.pools),
            *[f"s{k}" for k in self.plain],
            *[f"n{k}" for k in self.plain],
            *[f"h{k}" for k in self.trails.states],
            *[f"x{k}" for k in range(len(self.streams))],
            *[f"f{k}" for k in range(len(self.fixed))],
            *[f"y{k}" for k in range(len(self.outputs))],
        ]

    def _packing(self) -> tuple[list[tuple[int, tuple[int, ...]]], np.ndarray]:
        """The weights, and where each of them is packed, as :func:`pack_weight` takes it."""
        weights = list(dict.fromkeys((w.slot, w.perm) for w, _, _ in self.packed.weights))
        entries: list[list[list[int]]] = [[] for _ in weights]
        width = panel_width(self.dtype)
        for weight, start, depth in self.packed.weights:
            # One that is turned is read where it lies; whatever else is turned comes laid out anew.
            strides = (1, weight.K) if weight.perm == (1, 0) else (weight.N, 1)
            whole = depth == weight.K and weight.n % width == 0 and weight.is_last(width)
            entry = [*strides, weight.K, weight.N, start, depth, weight.k, weight.n, int(whole)]
            entries[weights.index((weight.slot, weight.perm))].append(entry)
        return weights, weight_table(entries)

    def _loop(self, body: dict[str, list[str]]) -> str:
        head = ["T", "reverse", "r0", "r1", "B", "C", "numbers", "scalars", "packed", "faults", *self.arguments]
        lines = [f"def loop({', '.join(head)}):", "    held_mode = flush_denormals()", "    M = r1 - r0"]
        lines += [f"    {name} = pointer({name}, 0)" for name in ("numbers", "scalars", "packed", *self.arguments)]
        lines += ["    back = 1 if reverse else 0"] if self.trails.states else []
        lines += [f"    no_fetches({self.noted()})", "    on = -1 if reverse else 1"] if self.write_fetches() else []
        lines += [f"    k{i} = spread(numbers, {i})" for i in range(len(self.numbers))]
        lines += [
            "    for begun in range(0, T, C):",
            "        L = min(C, T - begun)",
            "        low = T - begun - L if reverse else begun",
        ]
        lines += _titled("before", body["before"], 8)
        lines += ["        for past in range(begun, begun + L):", "            t = T - 1 - past if reverse else past"]
        lines += ["            c = t - low", *[" " * 12 + line for line in self.write_fetches()]]
        lines += _titled("loop", body["loop"], 12)
        if self.plain:
            now, then = [f"s{k}" for k in self.plain], [f"n{k}" for k in self.plain]
            lines.append(f"            {', '.join(now + then)} = {', '.join(then + now)}")
        lines += _titled("after", body["after"], 8)
        return "\n".join([*lines, "    restore_denormals(held_mode)", "    return"]) + "\n"


def _titled(title: str, lines: Sequence[str], indent: int) -> list[str]:
    return [" " * indent + line for line in ([f"# {title}", *lines] if lines else [])]


def lower(plan: Plan) -> Any:
    """The compiled form of a plan.

    Raises
    ------
    Unlowered
        Naming what cannot be compiled.
    """
    return Lowering(plan)
