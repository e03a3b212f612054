"""The loop section of a plan as Python source that Numba compiles."""

from __future__ import annotations

from typing import Any

from tapegrad.primitives.contract import Contract

from ..plan import Plan, node_at
from .gemm import VECTORS, packed_size, panel_width
from .layout import EXPRESSIONS, Layout, Lowered, is_staged


class Loop(Layout):
    """Writes the source, stage by stage."""

    def lower(self) -> Lowered:
        body = []
        stages = max(self.depth.values(), default=0) + 1
        for stage in range(stages):
            body += self._staged(stage)
            widths = {self.width(s) for s in self.plan.loop if self.depth[s] == stage}
            if stage == 0:
                widths |= {self.width(s) for s in self.states}
            if stage == stages - 1:
                widths |= {self.width(s) for s in self.states}
            for n in sorted(widths):
                body += self._pass(stage, n, last=stage == stages - 1)
        self.lowered.source = self._function(body)
        return self.lowered

    def _function(self, body: list[str]) -> str:
        count = len(self.states)
        arrays = [f"s{k}" for k in range(count)] + [f"n{k}" for k in range(count)]
        arrays += [f"x{k}" for k in range(len(self.plan.streamed))] + [f"f{k}" for k in range(len(self.lowered.fixed))]
        arrays += [f"y{k}" for k in range(len(self.plan.kept))]
        head = [f"def loop(T, reverse, r0, r1, B, numbers, work, packed, {', '.join(arrays)}):", "    M = r1 - r0"]
        head += [f"    c{k} = numbers[{k}]" for k in range(len(self.lowered.numbers))]
        head += ["    for past in range(T):", "        t = T - 1 - past if reverse else past"]
        swap = [f"        {', '.join(arrays[: 2 * count])} = {', '.join(arrays[count : 2 * count] + arrays[:count])}"]
        return "\n".join([*head, *["        " + line for line in body], *swap]) + "\n"

    def _staged(self, stage: int) -> list[str]:
        """The products and row sums of a stage, into scratch."""
        lines: list[str] = []
        for slot in self.plan.loop:
            node = node_at(self.tape, slot)
            if self.depth[slot] == stage and is_staged(node):
                lines += (
                    self._product(slot, node) if isinstance(node.primitive, Contract) else self._row_sum(slot, node)
                )
        return lines

    def _product(self, slot: int, node: Any) -> list[str]:
        left, right, transposed = self.operands(node)
        K, N = self.width(left), self._padded(self.width(slot))
        array, offset, row = self.address(left)
        offset = offset.replace("i - r0", "0").replace("i", "r0")
        number, start = len(self.lowered.weights), self.packed
        self.lowered.weights.append((right, transposed))
        self.packed += packed_size(K, N, self.lowered.dtype)
        return [
            f"# product of {array} with weights {number}",
            f"multiply({array}, {offset}, {row}, 1, M, {K}, packed, {start}, {N}, work, M * {self.work[slot]}, {N}, "
            "False, work)",
        ]

    def _row_sum(self, slot: int, node: Any) -> list[str]:
        (operand,) = node.slots
        array, offset, _ = self.address(operand)
        target = f"work[M * {self.work[slot]} + (i - r0) * {self._padded(1)}]"
        return ["for i in range(r0, r1):", f"    {target} = total({array}, {offset}, {self.width(operand)})"]

    def _pass(self, stage: int, n: int, last: bool) -> list[str]:
        """One loop over the rows and columns of all values of width n of a stage."""
        whole, rows = self._body(stage, n, last)
        if not whole:
            return []
        lanes = panel_width(self.lowered.dtype) // VECTORS
        lines = ["for i in range(r0, r1):", *["    " + line for line in rows]]
        if n >= lanes:
            lines.append(f"    for j in range(0, {n - n % lanes}, {lanes}):")
            lines += ["        " + line.replace("@", "") for line in whole]
        if n % lanes:
            lines.append(f"    j = {n - n % lanes}")
            part = [line.replace("load@(", "load_part(").replace("store@(", "store_part(") for line in whole]
            lines += ["    " + line.replace("@)", f", {n % lanes})") for line in part]
        return lines

    def _body(self, stage: int, n: int, last: bool) -> tuple[list[str], list[str]]:
        lines: list[str] = []
        rows: list[str] = []
        named: dict[int, str] = {}

        def value(slot: int) -> str:
            if slot not in named:
                named[slot] = self._load(slot, n, lines, rows)
            return named[slot]

        if stage == 0:
            states = [slot for slot in self.plan.kept if slot in self.states and self.width(slot) == n]
            loaded = [(slot, value(slot)) for slot in states]
            lines += [self._store_kept(slot, name) for slot, name in loaded]
        for slot in self.plan.loop:
            node = node_at(self.tape, slot)
            if self.depth[slot] != stage or self.width(slot) != n:
                continue
            if is_staged(node):
                if slot in self.plan.kept:
                    lines.append(self._store_kept(slot, value(slot)))
                continue
            given = [value(s) if s >= 0 else self._number(v) for s, v in zip(node.slots, node.args, strict=True)]
            named[slot] = f"v{slot}"
            lines.append(f"v{slot} = {EXPRESSIONS[node.primitive.name].format(*given)}")
            if slot in self.plan.kept:
                lines.append(self._store_kept(slot, named[slot]))
            if slot in self.work:
                array, offset, _ = self.address(slot)
                lines.append(f"store@({array}, {offset} + j, {named[slot]}@)")
            lines += [self._store_next(k, slot, named[slot]) for k in self._heads(slot)]
        if last:
            for k, (slot, literal) in enumerate(self.tape.outputs[: len(self.states)]):
                if self.width(self.states[k]) == n and not self._is_fused(slot):
                    lines.append(self._store_next(k, slot, value(slot) if slot >= 0 else self._number(literal)))
        return lines, rows

    def _is_fused(self, slot: int) -> bool:
        return slot in self.in_loop and not is_staged(node_at(self.tape, slot))

    def _heads(self, slot: int) -> list[int]:
        """The states whose next value a slot is."""
        return [k for k, (s, _) in enumerate(self.tape.outputs[: len(self.states)]) if s == slot]

    def _store_next(self, k: int, slot: int, name: str) -> str:
        return f"store@(n{k}, i * {self.width(self.states[k])} + j, {name}@)"

    def _store_kept(self, slot: int, name: str) -> str:
        n = self.width(slot)
        return f"store@(y{self.plan.kept.index(slot)}, (t * B + i) * {n} + j, {name}@)"

    def _number(self, literal: Any) -> str:
        self.lowered.numbers.append(float(literal))
        return f"c{len(self.lowered.numbers) - 1}"

    def _load(self, slot: int, n: int, lines: list[str], rows: list[str]) -> str:
        """Load an operand that lies in memory; a column, or a single number, is read once for the row."""
        name = f"v{slot}"
        if slot in self.in_loop or slot in self.states or slot in self.plan.streamed:
            array, offset, _ = self.address(slot)
            mine = self.width(slot)
        else:
            array, shape = self.fixed(slot), self.tape.aval(slot).shape
            mine = shape[-1] if shape else 1
            offset = f"i * {mine}" if len(shape) == 2 and shape[0] == self.rows and self.rows > 1 else "0"
        boolean = self.tape.aval(slot).dtype.kind == "b"
        if boolean:
            self.lowered.masks.add(slot)
        if mine == 1 and n > 1:
            rows.append(f"{name} = spread({array}, {offset})" + (" != 0.0" if boolean else ""))
            return name
        lines.append(f"{name} = load@({array}, {offset} + j@)" + (" != 0.0" if boolean else ""))
        return name


def lower(plan: Plan) -> Lowered:
    """The compiled form of a plan's loop.

    Raises
    ------
    Unlowered
        Naming what cannot be compiled.
    """
    return Loop(plan).lower()
