"""The order of a loop's work: which operations are done together, and what becomes of the states of inner loops."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..graph import Access, Number, Op
from ..plan import SECTIONS, Plan
from .layout import Place, writers_of
from .nests import Nests
from .passes import Key
from .products import Packed, Product, Products


@dataclass
class Group:
    """Operations that are done together: a pass, a product, a nest, an inner loop, or all sums over rows and time.

    Attributes
    ----------
    ops : sequence of Op
        Of an inner loop, what is done at the end of each round: new states are carried over.
    loop : int
        The number of an inner loop, whose groups are in ``groups``.
    """

    kind: str
    ops: Sequence[Op]
    key: Key | None = None
    product: Product | None = None
    loop: int = 0
    groups: list[Group] = field(default_factory=list)

    @property
    def outs(self) -> set[int]:
        return {op.out for op in self.ops}


@dataclass
class Section:
    name: str
    groups: list[Group] = field(default_factory=list)


class Schedule(Products, Nests):
    """Puts the operations of each section into groups."""

    def __init__(self, plan: Plan):
        super().__init__(plan)
        self.packed, self.blocks = Packed(), {}
        self.ready: set[int] = {i for i, v in enumerate(self.graph.values) if v.source in ("fixed", "state", "x")}
        every = writers_of([op for name in SECTIONS for op in getattr(plan, name)])
        self.writers = {base: len(made) for base, made in every.items()}
        self.open = dict(self.writers)
        self.first: dict[int, Op] = {}
        self.sections = [self._schedule(name, getattr(plan, name)) for name in SECTIONS]
        for group in _every(group for section in self.sections for group in section.groups):
            group.ops = [op for op in group.ops if group.kind != "loop" or not self._stays(group, op)]
        self.stored = self._stored()
        self._place_in_rows()

    def _schedule(self, name: str, ops: Sequence[Op]) -> Section:
        """Put operations into groups: whatever cannot be fused as soon as it can be done, then the largest pass."""
        self.first |= {base: made[0] for base, made in writers_of(op for op in ops if op.kind != "gemm").items()}
        sums = [op for op in ops if op.kind == "accumulate"]
        groups = self._groups([op for op in ops if op.kind != "accumulate"], 0)
        return Section(name, groups + ([Group("sums", sums)] if sums else []))

    def _groups(self, ops: Sequence[Op], loop: int) -> list[Group]:
        """The groups of a loop, with those of the loops within it."""
        groups: list[Group] = []
        mine = [op for op in ops if op.loop == loop]
        products = self.products([op for op in mine if op.kind == "gemm"])
        pending = [op for op in mine if op.kind != "gemm"]
        keys = {id(op): self.key(op) for op in pending if op.kind in ("map", "total")}
        loops = self._inner(ops, loop)
        while pending or products or loops:
            ready = [p for p in products if all(base in self.ready for base in p.reads)]
            nests = [op for op in pending if op.kind not in ("map", "total") and self._can(op, {})]
            found = [Group("product", product.ops, product=product) for product in ready]
            found += [Group("nest", [op]) for op in nests]
            open_loops = [number for number, inside in loops.items() if self._can_begin(number, inside)]
            if not found and not open_loops:
                found = [self._largest_pass(pending, keys)]
            groups += found
            done = [op for group in found for op in group.ops]
            self._close(done)
            for n in open_loops:
                groups.append(Group("loop", self._carried(n), loop=n, groups=self._groups(loops.pop(n), n)))
            products = [p for p in products if p not in ready]
            gone = {id(op) for op in done}
            pending = [op for op in pending if id(op) not in gone]
        return groups

    # ---- inner loops ----
    def _inner(self, ops: Sequence[Op], loop: int) -> dict[int, list[Op]]:
        """The operations in each of the loops that stand in one."""
        found: dict[int, list[Op]] = {}
        for op in ops:
            for each in self.graph.around(op.loop):
                if each.parent == loop:
                    found.setdefault(each.number, []).append(op)
        return found

    def _can_begin(self, loop: int, ops: Sequence[Op]) -> bool:
        """Whether all that an inner loop reads from outside is there."""
        made = {op.out for op in ops}
        return all(base in self.ready or base in made for op in ops for base in op.reads)

    def _carried(self, loop: int) -> list[Op]:
        """The copies at the end of a round."""
        whole = self.graph.whole
        return [
            Op("map", "copy", [whole(c.new)], c.state, whole(c.state), self.graph.values[c.state].shape, loop=loop)
            for c in self.graph.carries
            if c.loop == loop
        ]

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

    def _largest_pass(self, pending: Sequence[Op], keys: dict[int, Key]) -> Group:
        """The most operations with one key that can be done together; ``keys`` are those of maps and totals."""
        best: list[Op] = []
        best_key = None
        alike: dict[Key, list[Op]] = {}
        for op in pending:
            if id(op) in keys:
                alike.setdefault(keys[id(op)], []).append(op)
        first = dict.fromkeys(keys[id(op)] for op in pending if id(op) in keys and self._can(op, {}))
        for key in first:
            inside: dict[int, Op] = {}
            found: list[Op] = []
            for op in alike[key]:
                if self._can(op, inside):
                    found.append(op)
                    if op.kind == "map" and self.open[op.out] == 1:
                        inside[op.out] = op
            if len(found) > len(best):
                best, best_key = found, key
        if best_key is None:
            raise AssertionError("no operation of the step can be done next; this is a mistake in the plan")
        return Group("pass", best, best_key)

    # ---- rows ----
    def over(self, group: Group) -> tuple[bool, bool]:
        """Whether a pass or a nest is done for each row, and whether by one thread alone."""
        if group.key is not None:
            return group.key.rowed, group.key.once
        return self.nest_rows(group.ops[0])

    def runs(self, groups: Sequence[Group]) -> list[list[Group]]:
        """Groups of which one loop over the rows does all, in turn for each row, so that it stays in the cache."""
        found: list[list[Group]] = []
        for group in groups:
            joins = group.kind in ("pass", "nest") and self.over(group) == (True, False)
            if joins and found and found[-1][0].kind in ("pass", "nest") and self.over(found[-1][0]) == (True, False):
                found[-1].append(group)
            else:
                found.append([group])
        return found

    def _place_in_rows(self) -> None:
        """Let what a single loop over the rows makes and reads lie in memory of one row, which all rows share."""
        lists = [section.groups for section in self.sections]
        lists += [group.groups for groups in lists for group in _every(groups) if group.kind == "loop"]
        homes: dict[int, set[int]] = {}
        for run in [run for groups in lists for run in self.runs(groups)]:
            inside = run[0].kind in ("pass", "nest") and self.over(run[0]) == (True, False)
            for op in [op for group in run for op in group.ops]:
                for base in (op.out, *op.reads):
                    homes.setdefault(base, set()).add(id(run) if inside else -id(run))
        apart = self.chunked | self._aliased() | self.places.keys()
        for base, runs in homes.items():
            value = self.graph.values[base]
            if len(runs) == 1 and min(runs) > 0 and base not in apart and value.source == "op" and value.rowed:
                if base in self.stored:
                    start = self.reserve("work", value.size, False, self.storage(base))
                    self.places[base] = Place(self.pool("work", False, self.storage(base)), f"{start}", f"{start}", 0)

    def _stored(self) -> set[int]:
        """Values that must be in memory: results, and what another group reads."""
        stored = {i for i, value in enumerate(self.graph.values) if value.source in ("next", "y", "sum")}
        stored.update(self.aliases, [carry.new for carry in self.graph.carries])
        for group in _every(group for section in self.sections for group in section.groups):
            inside = group.outs if group.kind == "pass" else set()
            for op in group.ops:
                stored.update(a.base for a in op.args if isinstance(a, Access) and a.base not in inside)
        return stored

    def _stays(self, group: Group, carry: Op) -> bool:
        """Let a new state be made where the state is, which then need not be carried over; whether that is possible.

        It is where the pass that makes it is the last to read the state, and reads each element before writing it.
        """
        new, state = carry.reads[0], carry.out
        apart, home = (state, new) if new in self.chunked else (new, state)
        if apart in self.chunked or apart in self.places or not {new, state}.isdisjoint(self._aliased()):
            return False
        at = next((i for i, each in enumerate(group.groups) if each.kind == "pass" and new in each.outs), None)
        if at is None or self.writers[new] > 1 or any(state in op.reads for op in _ops(group.groups[at + 1 :])):
            return False
        ops = list(group.groups[at].ops)
        made = next(i for i, op in enumerate(ops) if op.out == new)
        early, late = (any(state in op.reads for op in part) for part in (ops[: made + 1], ops[made + 1 :]))
        seen = {arg for op in ops for arg in op.args if isinstance(arg, Access) and arg.base == state}
        if seen - {self.graph.whole(state)} or (late and not early):  # what is read early is in a register later
            return False
        self.aliases[apart] = home
        return True

    def _aliased(self) -> set[int]:
        return {*self.aliases, *self.aliases.values()}


def _ops(groups: Iterable[Group]) -> list[Op]:
    return [op for group in _every(groups) for op in group.ops]


def _every(groups: Iterable[Group]) -> Iterator[Group]:
    """Groups with those of inner loops."""
    for group in groups:
        yield group
        yield from _every(group.groups)


def _is_fill(op: Op) -> bool:
    return op.name == "copy" and isinstance(op.args[0], Number)
