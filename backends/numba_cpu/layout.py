"""Where the values of a loop lie: arrays of the caller, scratch of one step, scratch of a chunk of steps.

The operands of products lie side by side, so that products which share an operand become one: all that a left operand
is multiplied into is one run of columns, and the terms of a sum of products are one run of columns too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..graph import Access, Op
from ..plan import SECTIONS, Plan
from .repeats import read_repeats
from .trails import find_trails


@dataclass(frozen=True)
class Place:
    """``array[start + row * i ...]``: ``start`` is source text in the variables t, c, i of the loop.

    Attributes
    ----------
    array : str
    row_start : str
        The offset of row i of step t, without the column ``within``.
    first : str
        The same for the first row of this thread.
    row : int
        How far apart rows lie.
    step : str
        How far apart the rows of one step and of the next lie.
    origin : str
        The offset of the first row of this thread at the first step of the chunk.
    bundle, within : int
        Which bundle of scratch the value is in, and the column at which it begins there.
    start_number : int
        Of a sum: where it begins in its array, in elements (of each row, where there are rows).
    """

    array: str
    row_start: str
    first: str
    row: int
    step: str = "0"
    origin: str = ""
    bundle: int = -1
    within: int = 0
    start_number: int = 0

    @property
    def start(self) -> str:
        """The offset of the first element of row i of step t."""
        return summed(self.row_start, self.within)


class Layout:
    """The arrays of a loop function, and the place of each value."""

    def __init__(self, plan: Plan):
        read_repeats(plan)
        self.plan, self.graph = plan, plan.graph
        self.dtype = plan.graph.dtype
        self.pools: dict[str, int] = {}  # scratch arrays and their elements for each row (or step, or in all)
        self.streams: list[int] = []
        self.fixed: list[int] = []
        self.trails = find_trails(plan)
        outputs = [i for i, value in enumerate(self.graph.values) if value.source == "y"]
        self.outputs = [i for i in outputs if i not in self.trails.shown]
        self.places: dict[int, Place] = {}
        self.aliases: dict[int, int] = {}
        # Scratch of a chunk: what sections pass on, and what is computed for many steps together.
        self.chunked = plan.crossing | {op.out for op in [*plan.before, *plan.after]}
        self._alias_copies()
        self._bundle()
        self.fetched = self._fetched()

    # ---- storage ----
    def storage(self, base: int) -> np.dtype:
        """The dtype in which a value is stored: truth values as floats, all integers as int64."""
        dtype = self.graph.values[base].dtype
        if dtype.kind == "b":
            return self.dtype
        return np.dtype(np.int64) if dtype.kind in "iu" else dtype

    def place(self, base: int) -> Place:
        """Where a value lies; scratch is found for it when it is first asked for."""
        base = self.aliases.get(base, base)
        if base not in self.places:
            self.places[base] = self._find(base)
        return self.places[base]

    def _find(self, base: int) -> Place:
        value, n = self.graph.values[base], self.graph.values[base].size
        if value.source in ("state", "next"):
            new = value.source == "next"
            k = value.slot if new else self.graph.tape.inputs.index(value.slot) - self.graph.step.params
            if k in self.trails.states:
                return self._steps(f"h{k}", value.rowed, n, " + 1 - back" if new else " + back")
            return self._rows(f"{'n' if new else 's'}{k}", value.rowed, n)
        if value.source == "fixed":
            if base not in self.fixed:
                self.fixed.append(base)
            return self._rows(f"f{self.fixed.index(base)}", value.rowed, n)
        if value.source == "x":
            if base not in self.streams:
                self.streams.append(base)
            return self._steps(f"x{self.streams.index(base)}", value.rowed, n)
        if value.source == "y":
            return self._steps(f"y{self.outputs.index(base)}", value.rowed, n)
        if value.source == "sum":
            start = self.reserve("total", n, value.rowed, self.storage(base))
            array = self.pool("total", value.rowed, self.storage(base))
            text = summed(times("B", start), times("i", n)) if value.rowed else f"{start}"
            return Place(array, text, text, n, start_number=start)
        return self.bundle([base])[base]

    def _rows(self, array: str, rowed: bool, n: int) -> Place:
        first = times("r0", n) if rowed else "0"
        return Place(array, times("i", n) if rowed else "0", first, n, "0", first)

    def _steps(self, array: str, rowed: bool, n: int, later: str = "") -> Place:
        t, low = (f"({name}{later})" if later else name for name in ("t", "low"))
        if rowed:
            start, first, origin = (f"({step} * B + {row}) * {n}" for step, row in ((t, "i"), (t, "r0"), (low, "r0")))
            return Place(array, start, first, n, f"B * {n}", origin)
        return Place(array, f"{t} * {n}", f"{t} * {n}", n, f"{n}", f"{low} * {n}")

    def pool(self, kind: str, rowed: bool, dtype: np.dtype) -> str:
        """The name of a scratch array."""
        return kind + ("" if rowed else "_shared") + ("" if dtype == self.dtype else f"_{dtype}")

    def reserve(self, kind: str, size: int, rowed: bool, dtype: np.dtype) -> int:
        name = self.pool(kind, rowed, dtype)
        start = self.pools.get(name, 0)
        self.pools[name] = start + size
        return start

    def bundle(self, bases: Sequence[int]) -> dict[int, Place]:
        """Places side by side in scratch, for values that have rows alike."""
        values = [self.graph.values[base] for base in bases]
        rowed, dtype = values[0].rowed, self.storage(bases[0])
        kind = "chunk" if bases[0] in self.chunked else "work"
        row = sum(value.size for value in values)
        column = self.reserve(kind, row, rowed, dtype)
        array, within = self.pool(kind, rowed, dtype), 0
        rows, i = ("M * ", times("(i - r0)", row)) if rowed else ("", "")
        for base, value in zip(bases, values, strict=True):
            if kind == "work":
                begin = times("M", column) if rowed else column
                first = summed(begin, within)
                self.places[base] = Place(array, summed(begin, i), first, row, bundle=column, within=within)
            else:
                begin, step = times(f"C * {rows}".removesuffix(" * "), column), f"{rows}{row}"
                at, origin = summed(begin, f"c * {step}"), summed(begin, within)
                first = summed(at, within)
                self.places[base] = Place(array, summed(at, i), first, row, step, origin, column, within)
            within += value.size
        return self.places

    def _fetched(self) -> list[int]:
        """The values whose memory the loop comes to at each step for the first time: they are fetched beforehand."""
        ops = [op for section in SECTIONS for op in getattr(self.plan, section)]
        read = {base for op in ops for base in op.reads}
        values = self.graph.values
        trails = [i for i, value in enumerate(values) if value.source == "next" and value.slot in self.trails.states]
        streams = [i for i in sorted(read) if values[i].source == "x"]
        return [i for i in [*streams, *self.outputs, *trails] if values[i].rowed]

    # ---- who lies beside whom ----
    def _alias_copies(self) -> None:
        """A new state is written where it is wanted at once.

        So is an output, if it is a sum of products or what the rounds of an inner loop put together. Not so what is the
        operand of a product, which lies beside others. Other outputs are not read again while the memory for them is
        still on its way to the cache.
        """
        every = [op for section in SECTIONS for op in getattr(self.plan, section)]
        operands = {base for op in every if op.kind in ("gemm", "accumulate") for base in op.reads}
        sums = {op.out for op in every if op.kind == "gemm" or op.store.rounds is not None}
        targets = sums | ({op.out for op in every if op.kind in ("map", "contract") and not op.loop} - operands)
        for section in SECTIONS:
            kept = []
            for op in getattr(self.plan, section):
                source = op.args[0]
                if op.name == "copy" and isinstance(source, Access) and source.base in targets:
                    wanted = source.base in sums or self.graph.values[op.out].source == "next"
                    if wanted and self._is_same(source, op):
                        self.aliases[source.base] = op.out
                        continue
                kept.append(op)
            setattr(self.plan, section, kept)

    def _is_same(self, source: Access, op: Op) -> bool:
        """Whether a copied value may lie where it is copied to."""
        like, made = self.graph.values[source.base], self.graph.values[op.out]
        if made.source not in ("next", "y") or (made.source == "next" and source.base in self.chunked):
            return False
        if source.base in self.aliases or op.out in self.aliases.values():
            return False
        # Threads share an output without rows: only a whole value may be written there.
        apart = like.rowed or made.source == "next" or not self.graph.rows.axis
        whole = source == self.graph.whole(source.base) and op.store.dense and like.size == made.size
        return whole and apart and (like.rowed, like.dtype) == (made.rowed, made.dtype)

    def _bundle(self) -> None:
        """Lay out the operands of products: those with the same partners side by side."""
        products = [op for section in SECTIONS for op in getattr(self.plan, section)]
        targets: dict[int, list[int]] = {}
        operands: dict[int, list[int]] = {}
        for op in products:
            if op.kind == "gemm":
                if op.options["lead"] == 1 and op.out not in self.aliases:
                    targets.setdefault(op.out, []).append(op.args[0].base)
                operands.setdefault(op.args[0].base, []).append(self.aliases.get(op.out, op.out))
            elif op.kind == "accumulate":
                for mine, other in (op.args, op.args[::-1]):
                    operands.setdefault(mine.base, []).append(other.base)
        # Where a row holds several rows of a product, they are dense: such a value has a bundle of its own.
        for op in products:
            if op.kind in ("gemm", "accumulate") and op.options["lead"] > 1:
                for base in [*op.reads, *([op.out] if op.kind == "gemm" else [])]:
                    self.place(base)
        for group in (targets, operands):
            for bases in self._alike(group):
                self.bundle(bases)

    def _alike(self, group: dict[int, list[int]]) -> list[list[int]]:
        """Values of scratch by kind of scratch, those with common partners next to each other."""
        values = self.graph.values
        pools: dict[tuple, list[int]] = {}
        for base in group:
            value = values[base]
            if value.source == "op" and base not in self.places and base not in self.aliases:
                key = value.rowed, str(self.storage(base)), base in self.chunked
                pools.setdefault(key, []).append(base)
        every = {p for base in group for p in group[base]}
        partners = sorted(every, key=lambda p: -sum(p in others for others in group.values()))
        return [sorted(bases, key=lambda base: _gray(group[base], partners)) for bases in pools.values()]


def _gray(partners: Iterable[int], order: Sequence[int]) -> int:
    """The place in Gray's order of a set: neighbours differ in few members, so that each member makes few runs."""
    bits = [p in set(partners) for p in order]
    rank, parity = 0, False
    for bit in bits:
        parity ^= bit
        rank = rank * 2 + parity
    return -rank


def summed(*terms: str | int) -> str:
    """Source text of a sum, without terms that are zero."""
    return " + ".join(str(term) for term in terms if term not in ("", "0", 0)) or "0"


def times(text: str, number: int) -> str:
    """Source text of a multiple."""
    return "0" if number == 0 else text if number == 1 else f"{text} * {number}"


def access_offset(place: Place, access: Access, indices: Sequence[str]) -> str:
    """Source text of the offset of an element."""
    turns = [] if access.rounds is None else [times(f"round{access.rounds[0]}", access.rounds[1])]
    moved = [times(name, stride) for name, stride in zip(indices, access.strides, strict=True)]
    return summed(place.row_start, place.within + access.offset, *turns, *moved)


def writers_of(ops: Iterable[Op]) -> dict[int, list[Op]]:
    """The operations that write each value."""
    found: dict[int, list[Op]] = {}
    for op in ops:
        found.setdefault(op.out, []).append(op)
    return found
