"""Matrix products of a loop as source: which become one, and where their packed operands lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..graph import Access, Op
from .fetching import NEAR, list_size
from .gemm import packed_size, panel_width
from .layout import Layout, Place


@dataclass
class Weight:
    """A parameter that is packed once for each call, from row ``k`` and column ``n`` on in a larger right operand."""

    slot: int
    perm: tuple[int, ...]
    K: int
    N: int
    k: int
    n: int
    columns: int = 0  # of the larger operand

    def is_last(self, width: int) -> bool:
        """Whether nothing else lies in the last panel that it reaches, which packing fills up."""
        return self.N % width == 0 or self.n + self.N == self.columns


@dataclass
class Product:
    """One call of ``multiply``: neighbouring left operands times neighbouring weights, into neighbouring columns.

    Attributes
    ----------
    ops : dict of (Access, int) to Op
        The products of the graph that are done in it, by left operand and sum.
    """

    lefts: list[Access]
    targets: list[int]
    pairs: dict[tuple[Access, int], Op]

    @property
    def ops(self) -> list[Op]:
        return [self.pairs[left, out] for left in self.lefts for out in self.targets]

    @property
    def reads(self) -> list[int]:
        return [left.base for left in self.lefts]


@dataclass
class Packed:
    """The packed right operands of a function."""

    weights: list[tuple[Weight, int, int]] = field(default_factory=list)  # with start and depth of the whole operand
    size: int = 0
    padded: bool = False


class Products(Layout):
    """Groups products, and writes the calls."""

    packed: Packed
    steps_lead: int = 1
    blocks: dict[int, tuple[str, int, int, int, int, int]]  # array, start, rows and columns, first column and number

    def products(self, ops: Sequence[Op]) -> list[Product]:
        """The calls for the products of a section."""
        single = [op for op in ops if op.options["lead"] != 1 or op.options["step"] != 1]
        pairs: dict[tuple[Access, int], Op] = {}
        for op in ops:
            key = op.args[0], op.out
            if op in single:
                continue
            if key in pairs:  # the same operand twice in one sum
                single.append(op)
            else:
                pairs[key] = op
        made = [Product([op.args[0]], [op.out], {(op.args[0], op.out): op}) for op in single]
        for lefts in self._left_runs(pairs):
            wanted = {out for left, out in pairs if left == lefts[0]}
            made += [Product(lefts, run, pairs) for run in self._target_runs(wanted)]
        return made

    def _left_runs(self, pairs: dict[tuple[Access, int], Op]) -> list[list[Access]]:
        """Left operands that lie side by side and are wanted by the same sums."""
        wanted: dict[Access, set[int]] = {}
        for left, out in pairs:
            wanted.setdefault(left, set()).add(out)
        order = sorted(wanted, key=lambda left: self._column(left))
        runs: list[list[Access]] = []
        for left in order:
            last = runs[-1][-1] if runs else None
            if last is not None and wanted[last] == wanted[left] and self._follows(last, left):
                runs[-1].append(left)
            else:
                runs.append([left])
        return runs

    def _target_runs(self, targets: set[int]) -> list[list[int]]:
        order = sorted(targets, key=lambda base: self._column(self.graph.whole(base)))
        runs: list[list[int]] = []
        for base in order:
            if runs and self._follows(self.graph.whole(runs[-1][-1]), self.graph.whole(base)):
                runs[-1].append(base)
            else:
                runs.append([base])
        return runs

    def _column(self, access: Access) -> tuple[str, int, int]:
        place = self.place(access.base)
        return place.array, place.bundle, place.within + access.offset

    def _follows(self, before: Access, after: Access) -> bool:
        """Whether one access begins where the other ends, in every row."""
        a, b = self._column(before), self._column(after)
        return a[:2] == b[:2] and before.dense and after.dense and a[2] + _size(before) == b[2]

    def _pack_weights(self, product: Product) -> tuple[int, int, int]:
        """Let the weights of a product be packed as one: where, and how many rows and columns they make."""
        weights, k, n = [], 0, 0
        for left in product.lefts:
            n = 0
            for out in product.targets:
                options = product.pairs[left, out].options
                slot, perm = options["weight"]
                weights.append(Weight(slot, perm, options["K"], options["N"], k, n))
                n += options["N"]
            k += options["K"]
        for weight in weights:
            weight.columns = n
        start = self.packed.size
        self.packed.weights += [(weight, start, k) for weight in weights]
        self.packed.size += packed_size(k, n, self.dtype)
        self.packed.padded |= n % panel_width(self.dtype) != 0
        return start, k, n

    # ---- text ----
    def write_product(self, product: Product, section: str, begun: set[int]) -> list[str]:
        """The calls of a product; ``begun`` says which sums already hold a term, and is brought up to date."""
        lines, first = [], 0
        while first < len(product.targets):
            last, add = first, product.targets[first] in begun
            while last < len(product.targets) and (product.targets[last] in begun) == add:
                last += 1
            part = Product(product.lefts, product.targets[first:last], product.pairs)
            lines += self._call(part, add, section)
            first = last
        begun.update(product.targets)
        return lines

    def _call(self, product: Product, add: bool, section: str) -> list[str]:
        op, left = product.ops[0], product.lefts[0]
        start, K, N = self._pack_weights(product)
        source, target = self.place(left.base), self.place(product.targets[0])
        lead, rowed = op.options["lead"], self.graph.values[left.base].rowed
        row, ldc = (K, N) if lead > 1 else (source.row, target.row)
        names = " + ".join(f"v{access.base}" for access in product.lefts)

        fetching = section == "loop" and bool(self.fetched)
        name = "multiply_fetching" if fetching else "multiply"

        def call(at: str, ct: str, rows: str) -> str:
            at = f"{at} + {left.offset}" if left.offset else at
            return (
                f"{name}({source.array}, {at}, {row}, {op.options['step']}, {rows}, {K}, packed, {start}, {N}, "
                f"{target.array}, {ct}, {ldc}, {add}{', ' + self.noted() if fetching else ''})"
            )

        rows = " * ".join(part for part in ("M" if rowed else "", str(lead) if lead > 1 else "") if part) or "1"
        said = f"# rows of {names} times weights at {start}"
        if section == "loop":
            return [said, call(source.first, target.first, rows)]
        each = ["for c in range(L):", "    t = low + c", "    " + call(source.first, target.first, rows)]
        if not rowed:
            return [said, *each]
        together = call(source.origin, target.origin, f"L * {rows}")
        if self._even(source) and self._even(target):
            return [said, together]
        return [said, "if M == B:", "    " + together, "else:", *["    " + line for line in each]]

    def _even(self, place: Place) -> bool:
        """Whether the rows of this thread lie evenly from one step to the next, whichever rows they are."""
        return place.array.startswith("chunk")

    def noted(self) -> str:
        """Where the list of memory to fetch lies."""
        if not self._noted:
            start = self.reserve("work", list_size(len(self.fetched)), False, np.dtype(np.int64))
            self._noted = f"{self.pool('work', False, np.dtype(np.int64))}, {start}"
        return self._noted

    _noted = ""

    def write_fetches(self) -> list[str]:
        """Lines that put the memory of the next step into the list; none where no product is there to fetch it."""
        if not self._noted:
            return []
        lines, size = [], 0
        for base in self.fetched:
            place = self.place(base)
            size += place.row * self.storage(base).itemsize
            at = f"{place.first} + on * ({place.step})"
            lines.append(f"        fetch({self._noted}, {place.array}, {at}, M * {place.row})")
        return [f"if ROWS <= M <= {NEAR // size}:", f"    no_fetches({self._noted})", "    if 0 <= t + on < T:", *lines]

    # ---- sums over rows and time ----
    def write_accumulations(self, ops: Sequence[Op]) -> list[str]:
        """Pack each operand once, then multiply; the sums of neighbouring right operands are one product."""
        groups: dict[Access, list[Op]] = {}
        for op in ops:
            groups.setdefault(op.args[0], []).append(op)
        runs = [(left, run) for left, mine in groups.items() for run in self._right_runs(mine)]
        lines: list[str] = []
        lefts: dict[Access, str] = {}
        panels = self._panels([run for _, run in runs], lines)
        for left, run in runs:
            if left not in lefts:
                start = self._reserve("lefts", lefts_width(run[0].options["M"]), run[0])
                lefts[left] = f"C * M * {start}"
                lines.append(self._pack("pack_lefts", left, run[0], run[0].options["M"], f"lefts, {lefts[left]}"))
            lines.append(self._accumulate(left, run, lefts[left], panels[self._span(run)]))
        return lines

    def _span(self, run: list[Op]) -> tuple[tuple[str, int], int, int, int]:
        """Which columns of which scratch the right operands of a run are, and how many rows of them a row holds."""
        array, bundle, first = self._column(run[0].args[1])
        lead = run[0].options["lead"]
        home = (array, bundle) if bundle >= 0 else (f"v{run[0].args[1].base}", -1)
        return home, lead, first, first + sum(op.options["N"] for op in run)

    def _panels(self, runs: list[list[Op]], lines: list[str]) -> dict[tuple, str]:
        """Pack the right operands, those that overlap together; where each begins."""
        spans = {self._span(run): run[0] for run in runs}
        groups: list[list[tuple]] = []
        for span in sorted(spans):
            last = groups[-1] if groups else None
            joins = last is not None and last[0][:2] == span[:2] and span[2] < max(s[3] for s in last)
            aligned = joins and last is not None and (span[2] - last[0][2]) % panel_width(self.dtype) == 0
            if aligned and span[1] == 1 and last is not None:
                last.append(span)
            else:
                groups.append([span])
        found: dict[tuple, str] = {}
        for group in groups:
            first, last = group[0][2], max(span[3] for span in group)
            op = spans[group[0]]
            start = self._reserve("panels", packed_size(1, last - first, self.dtype), op)
            lines.append(self._pack("pack_columns", op.args[1], op, last - first, f"panels, C * M * {start}"))
            for span in group:
                inside = f" + L * M * {span[2] - first}" if span[2] > first else ""
                found[span] = f"C * M * {start}{inside}"
        return found

    def _right_runs(self, ops: list[Op]) -> list[list[Op]]:
        runs: list[list[Op]] = []
        for op in sorted(ops, key=lambda op: self._column(op.args[1])):
            last = runs[-1][-1] if runs else op
            single = last.options["lead"] == op.options["lead"] == 1
            if runs and single and self._follows(last.args[1], op.args[1]):
                runs[-1].append(op)
            else:
                runs.append([op])
        return runs

    def _reserve(self, kind: str, size: int, op: Op) -> int:
        """Room for a packed operand of as many rows as a chunk has."""
        self.steps_lead = max(self.steps_lead, op.options["lead"])
        return self.reserve(kind, size * op.options["lead"], True, self.dtype)

    def _pack(self, name: str, access: Access, op: Op, count: int, target: str) -> str:
        place, lead = self.place(access.base), op.options["lead"]
        inner = place.row if lead == 1 else count
        rows = "M" if lead == 1 else f"M * {lead}"
        origin = f"{place.origin} + {access.offset}" if access.offset else place.origin
        step = "1" if access.strides and access.strides[-1] in (0, 1) else str(access.strides[-1])
        return f"{name}({place.array}, {origin}, {place.step}, L, {inner}, {rows}, {step}, {count}, {target})"

    def _accumulate(self, left: Access, run: list[Op], at: str, p: str) -> str:
        M, N, lead = run[0].options["M"], sum(op.options["N"] for op in run), run[0].options["lead"]
        start = self.reserve("total", M * N, False, self.dtype)
        array = self.pool("total", False, self.dtype)
        n = 0
        for op in run:
            text = f"{start + n}"
            self.places[op.out] = Place(array, text, text, N)
            self.blocks[op.out] = array, start, M, N, n, op.options["N"]
            n += op.options["N"]
        K = "L * M" if lead == 1 else f"L * M * {lead}"
        return f"accumulate(lefts, {at}, {M}, {K}, panels, {p}, {N}, {array}, {start}, {N})"


def lefts_width(M: int) -> int:
    """Elements of a packed left operand for each term of the sum."""
    from .gemm import ROWS

    return -(-M // ROWS) * ROWS


def _size(access: Access) -> int:
    total = 1
    for n in access.shape:
        total *= n
    return total
