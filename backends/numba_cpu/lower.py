"""A plan as Python source that Numba compiles: which loops there are, in which order, and with which arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..graph import Access, Number, Op
from ..plan import SECTIONS, Plan
from .gemm import panel_width
from .layout import writers_of
from .nests import Nests
from .passes import Key
from .products import Packed, Product, Products

HEAD = "from tapegrad.backends.numba_cpu.runtime import *\nimport numpy as np\n\n\n"


@dataclass
class Group:
    """Operations that are done together: a pass, a product, a nest, or all sums over rows and time."""

    kind: str
    ops: Sequence[Op]
    key: Key | None = None
    product: Product | None = None

    @property
    def outs(self) -> set[int]:
        return {op.out for op in self.ops}


@dataclass
class Section:
    name: str
    groups: list[Group] = field(default_factory=list)


class Lowering(Products, Nests):
    """Writes the functions ``prepare``, which packs the weights, and ``loop``."""

    def __init__(self, plan: Plan):
        super().__init__(plan)
        self.packed, self.blocks = Packed(), {}
        self.numbers: list[float] = []
        self.scalars: list[float] = []
        self.ready: set[int] = {i for i, v in enumerate(self.graph.values) if v.source in ("fixed", "state", "x")}
        every = writers_of([op for name in SECTIONS for op in getattr(plan, name)])
        self.writers = {base: len(made) for base, made in every.items()}
        self.open = dict(self.writers)
        self.sections = [self._schedule(name, getattr(plan, name)) for name in SECTIONS]
        self.stored = self._stored()
        self.source = self._write()

    # ---- order ----
    def _schedule(self, name: str, ops: Sequence[Op]) -> Section:
        """Put operations into groups: whatever cannot be fused as soon as it can be done, then the largest pass."""
        section = Section(name)
        products = self.products([op for op in ops if op.kind == "gemm"])
        sums = [op for op in ops if op.kind == "accumulate"]
        pending = [op for op in ops if op.kind not in ("gemm", "accumulate")]
        self.first = {base: made[0] for base, made in writers_of(pending).items()}
        while pending or products:
            ready = [p for p in products if all(base in self.ready for base in p.reads)]
            nests = [op for op in pending if op.kind not in ("map", "total") and self._can(op, {})]
            for product in ready:
                section.groups.append(Group("product", product.ops, product=product))
            for op in nests:
                section.groups.append(Group("nest", [op]))
            done = [op for group in section.groups[len(section.groups) - len(ready) - len(nests) :] for op in group.ops]
            if not done:
                group = self._largest_pass(pending)
                section.groups.append(group)
                done = list(group.ops)
            self._close(done)
            products = [p for p in products if p not in ready]
            pending = [op for op in pending if not any(op is other for other in done)]
        if sums:
            section.groups.append(Group("sums", sums))
        return section

    def _close(self, done: Sequence[Op]) -> None:
        for op in done:
            self.open[op.out] -= 1
            if not self.open[op.out]:
                self.ready.add(op.out)

    def _can(self, op: Op, inside: dict[int, Op]) -> bool:
        """Whether all that an operation reads is there, or is made in the same pass, element for element."""
        for arg in op.args:
            if isinstance(arg, Access) and arg.base not in self.ready:
                made = inside.get(arg.base)
                if made is None or arg != self.graph.whole(arg.base) or arg.shape != op.shape or made.store != arg:
                    return False
        first = self.first.get(op.out)  # zeros are there before parts are set, or added
        if first is not None and first is not op and _is_fill(first):
            return self.open[op.out] < self.writers[op.out]
        return True

    def _largest_pass(self, pending: Sequence[Op]) -> Group:
        best: list[Op] = []
        best_key = None
        keys: dict[Key, None] = {}
        for op in pending:
            if op.kind in ("map", "total") and self._can(op, {}):
                keys.setdefault(self.key(op))
        for key in keys:
            inside: dict[int, Op] = {}
            found: list[Op] = []
            for op in pending:
                if op.kind in ("map", "total") and self.key(op) == key and self._can(op, inside):
                    found.append(op)
                    if op.kind == "map" and self.open[op.out] == 1:
                        inside[op.out] = op
            if len(found) > len(best):
                best, best_key = found, key
        if best_key is None:
            raise AssertionError("no operation of the step can be done next; this is a mistake in the plan")
        return Group("pass", best, best_key)

    def _stored(self) -> set[int]:
        """Values that must be in memory: results, and what another group reads."""
        stored = {i for i, value in enumerate(self.graph.values) if value.source in ("next", "y", "sum")}
        stored.update(self.aliases)
        for section in self.sections:
            for group in section.groups:
                inside = group.outs if group.kind == "pass" else set()
                for op in group.ops:
                    stored.update(a.base for a in op.args if isinstance(a, Access) and a.base not in inside)
        return stored

    # ---- text ----
    def _write(self) -> str:
        body: dict[str, list[str]] = {}
        begun: set[int] = set()
        for section in self.sections:
            lines: list[str] = []
            for group in section.groups:
                if group.kind == "pass":
                    assert group.key is not None
                    lines += self.write_pass(group.key, group.ops, self.stored, section.name)
                elif group.kind == "product":
                    assert group.product is not None
                    lines += self.write_product(group.product, section.name, begun)
                elif group.kind == "sums":
                    lines += self.write_accumulations(group.ops)
                else:
                    lines += self.write_nest(group.ops[0], section.name)
            body[section.name] = lines
        self._bind_states()
        return HEAD + self._prepare() + "\n\n" + self._loop(body)

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

    def _prepare(self) -> str:
        """The function that packs the weights."""
        self.weights = list(dict.fromkeys((w.slot, w.perm) for w, _, _ in self.packed.weights))
        names = [f"w{i}" for i in range(len(self.weights))]
        lines = [f"def prepare({', '.join(['packed', *names])}):"]
        for weight, start, depth in self.packed.weights:
            name = names[self.weights.index((weight.slot, weight.perm))]
            width, matrix = panel_width(self.dtype), f"{weight.K}, {weight.N}, packed"
            if depth == weight.K and weight.n % width == 0 and weight.is_last(width):
                lines.append(f"    pack({name}, 0, {name}_row, {name}_step, {matrix}, {start + weight.n * depth})")
            else:
                place = f"{start}, {width}, {depth}, {weight.k}, {weight.n}"
                lines.append(f"    pack_block({name}, {name}_row, {name}_step, {matrix}, {place})")
        strides = [f"{name}_row, {name}_step" for name in names]
        lines[0] = f"def prepare({', '.join(['packed', *[f'{n}, {s}' for n, s in zip(names, strides, strict=True)]])}):"
        return "\n".join([*lines, "    return"]) + "\n"

    def _loop(self, body: dict[str, list[str]]) -> str:
        head = ["T", "reverse", "r0", "r1", "B", "C", "numbers", "scalars", "packed", "faults", *self.arguments]
        lines = [f"def loop({', '.join(head)}):", "    held_mode = flush_denormals()", "    M = r1 - r0"]
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


def _is_fill(op: Op) -> bool:
    return op.name == "copy" and isinstance(op.args[0], Number)


def lower(plan: Plan) -> Any:
    """The compiled form of a plan.

    Raises
    ------
    Unlowered
        Naming what cannot be compiled.
    """
    return Lowering(plan)
