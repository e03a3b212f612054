"""Work that reads across the features of a row: sums and extrema, products for each row, running sums, indices."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Access, Op
from .expressions import scalar_type
from .gemm import VECTORS, panel_width
from .layout import access_offset
from .passes import Passes, nested, vector_loop

FOLDS = {"sum": "{0} + {1}", "max": "maximum({0}, {1})", "min": "minimum({0}, {1})"}
SCALAR_FOLDS = {"sum": "{0} + {1}", "max": "max({0}, {1})", "min": "min({0}, {1})"}


class Nests(Passes):
    """Writes one operation as loops over its own indices."""

    def nest_lines(self, op: Op) -> list[str]:
        """The source lines of an operation for a row."""
        return {
            "reduce": self._reduce,
            "contract": self._contract,
            "cumsum": self._cumsum,
            "gather": self._gather,
            "scatter": self._scatter,
        }[op.kind](op)

    def nest_rows(self, op: Op) -> tuple[bool, bool]:
        """Whether an operation is done for each row, and whether by one thread alone."""
        rowed = any(self.graph.values[base].rowed for base in [*op.reads, op.out])
        return rowed, op.kind == "scatter" and not rowed and self.graph.values[op.out].source == "sum"

    def at(self, access: Access, names: Sequence[str]) -> str:
        return access_offset(self.place(access.base), access, names)

    def _is_plain(self, op: Op) -> bool:
        """Whether everything is of the loop's dtype."""
        bases = [*op.reads, op.out]
        return all(self.graph.values[base].dtype == self.dtype for base in bases)

    def _lanes(self) -> int:
        return panel_width(self.dtype) // VECTORS

    # ---- reductions ----
    def _reduce(self, op: Op) -> list[str]:
        (seen,), axes = op.args, op.options["axes"]
        kept = [d for d in range(len(seen.shape)) if d not in axes]
        if op.name in ("argmax", "argmin"):
            return self._position(op, seen, kept)
        if op.name not in FOLDS:
            raise NotImplementedError(op.name)
        if not self._is_plain(op):
            return self._scalar_fold(op, seen, kept)
        store = self._kept_store(op, seen, kept)
        across = [d for d in kept if seen.shape[d] != 1]
        if self._are_neighbours(op, seen, across, axes):
            return self._sum_neighbours(op, seen, store, across)
        if across and seen.strides[across[-1]] == 1 and seen.shape[across[-1]] > 1:
            return self._fold_beside(op, seen, store, across)
        return self._fold_along(op, seen, store, kept)

    def _kept_store(self, op: Op, seen: Access, kept: Sequence[int]) -> dict[int, int]:
        """The stride of each kept axis in the result, which is dense."""
        strides, step = {}, 1
        for d in reversed(kept):
            strides[d] = step
            step *= seen.shape[d]
        return strides

    def _result(self, op: Op, store: dict[int, int], names: dict[int, str]) -> str:
        place = self.place(op.out)
        return " + ".join([place.start, *[f"{names[d]} * {stride}" for d, stride in store.items() if d in names]])

    def _are_neighbours(self, op: Op, seen: Access, across: Sequence[int], axes: Sequence[int]) -> bool:
        """Whether a few elements at a time are summed that lie side by side, and those of the next sum behind them."""
        folded = [d for d in axes if seen.shape[d] != 1]
        if op.name != "sum" or len(folded) != 1 or not across:
            return False
        n = seen.shape[folded[0]]
        beside = (seen.strides[folded[0]], seen.strides[across[-1]]) == (1, n)
        return beside and n & (n - 1) == 0 and n <= self._lanes()

    def _sum_neighbours(self, op: Op, seen: Access, store: dict[int, int], across: Sequence[int]) -> list[str]:
        """Vectors of sums."""
        (place, out), j = (self.place(seen.base), self.place(op.out)), across[-1]
        first = {d: f"o{d}" for d in across[:-1]}
        at, n = self._sum_text(place.start, seen, first), seen.strides[j]
        body = [f"store@({out.array}, {self._result(op, store, first)} + j, "
                f"sum_neighbours@({place.array}, {at}, 0 + j, {n}@)@)"]  # fmt: skip
        heads = [f"for {name} in range({seen.shape[d]}):" for d, name in first.items()]
        return nested(heads, vector_loop(body, seen.shape[j], self._lanes()))

    def _fold_beside(self, op: Op, seen: Access, store: dict[int, int], across: Sequence[int]) -> list[str]:
        """Vectors along a kept axis, folded one onto the other."""
        (place, out), j = (self.place(seen.base), self.place(op.out)), across[-1]
        names = {d: f"o{d}" for d in range(len(seen.shape)) if d != j and seen.shape[d] != 1}
        first = {d: name for d, name in names.items() if d in across}
        at = self._sum_text(place.start, seen, names)
        begin = self._sum_text(place.start, seen, first)
        folded = FOLDS[op.name].format("held@", f"load@({place.array}, {at} + j@)").replace("held@", "held")
        loops = [f"for {names[d]} in range({seen.shape[d]}):" for d in names if d not in across]
        start = "fill_zero(numbers)" if op.name == "sum" else f"load@({place.array}, {begin} + j@)"
        body = [f"held = {start}", *nested(loops, [f"held = {folded}"])]
        target = self._result(op, store, first)
        body.append(f"store@({out.array}, {target} + j, held@)")
        heads = [f"for {name} in range({seen.shape[d]}):" for d, name in first.items()]
        return nested(heads, vector_loop(body, seen.shape[j], self._lanes()))

    def _fold_along(self, op: Op, seen: Access, store: dict[int, int], kept: Sequence[int]) -> list[str]:
        """Vectors along the last folded axis, folded lane onto lane at the end."""
        place, out = self.place(seen.base), self.place(op.out)
        folded = [d for d in range(len(seen.shape)) if d not in kept]
        j = folded[-1]
        names = {d: f"o{d}" for d in range(len(seen.shape)) if d != j and seen.shape[d] != 1}
        at = self._sum_text(place.start, seen, names)
        call = f"fold_{op.name}({place.array}, {at}, {seen.strides[j]}, {seen.shape[j]})"
        outer = [d for d in folded[:-1] if seen.shape[d] != 1]
        merged = SCALAR_FOLDS[op.name].format("held", call) if op.name == "sum" else f"fold_two_{op.name}(held, {call})"
        target = self._result(op, store, {d: name for d, name in names.items() if d in kept})
        heads = [f"for {names[d]} in range({seen.shape[d]}):" for d in kept if d in names]
        if not outer:
            return nested(heads, [f"{out.array}[{target}] = {call}"])
        loops = [f"for {names[d]} in range({seen.shape[d]}):" for d in outer]
        begin = {"sum": "0.0", "max": "-np.inf", "min": "np.inf"}[op.name]
        body = [f"held = np.{self.dtype}({begin})"]
        body += nested(loops, [f"held = {merged}"])
        return nested(heads, [*body, f"{out.array}[{target}] = held"])

    def _sum_text(self, start: str, seen: Access, names: dict[int, str]) -> str:
        strides, shape = (tuple([of[d] for d in names]) for of in (seen.strides, seen.shape))
        flat = Access(seen.base, seen.offset, strides, shape, seen.rounds)
        return access_offset(self.place(seen.base), flat, list(names.values()))

    def _element(self, seen: Access, names: dict[int, str]) -> str:
        """An element as a number of the dtype that it has on the tape, truth values as 0 and 1."""
        text = f"{self.place(seen.base).array}[{self._sum_text('', seen, names)}]"
        dtype = self.graph.values[seen.base].dtype
        if dtype.kind == "b":
            return f"np.int64({text})"
        return text if dtype == self.storage(seen.base) else f"{scalar_type(dtype)}({text})"

    def _scalar_fold(self, op: Op, seen: Access, kept: Sequence[int]) -> list[str]:
        out, store = self.place(op.out), self._kept_store(op, seen, kept)
        names = {d: f"o{d}" for d in range(len(seen.shape))}
        element = self._element(seen, names)
        dtype = self.graph.values[op.out].dtype
        target = f"{out.array}[{self._result(op, store, {d: names[d] for d in kept})}]"
        loops = [f"for {names[d]} in range({seen.shape[d]}):" for d in names if d not in kept]
        if op.name == "sum":
            body = [f"held = {scalar_type(dtype)}(0)"]
            fold = [f"held += {element}"]
        else:
            test = ">" if op.name == "max" else "<"
            origin = {d: ("0" if d not in kept else names[d]) for d in names}
            body = [f"held = {self._element(seen, origin)}"]
            fold = [f"if {element} {test} held or {element} != {element}:", f"    held = {element}"]
        body += [*nested(loops, fold), f"{target} = held"]
        return nested([f"for {names[d]} in range({seen.shape[d]}):" for d in kept], body)

    def _position(self, op: Op, seen: Access, kept: Sequence[int]) -> list[str]:
        """The index of the largest or smallest element, the first NaN before all."""
        out, store = self.place(op.out), self._kept_store(op, seen, kept)
        (j,) = op.options["axes"]
        names = {d: f"o{d}" for d in range(len(seen.shape))}
        element, best = self._element(seen, names), self._element(seen, {**names, j: "best"})
        test = ">" if op.name == "argmax" else "<"
        body = [
            "best = 0",
            f"for {names[j]} in range(1, {seen.shape[j]}):",
            f"    if {best} == {best} and ({element} {test} {best} or {element} != {element}):",
            f"        best = {names[j]}",
            f"{out.array}[{self._result(op, store, {d: names[d] for d in kept})}] = best",
        ]
        return nested([f"for {names[d]} in range({seen.shape[d]}):" for d in kept], body)

    # ---- products for each row ----
    def _contract(self, op: Op) -> list[str]:
        x, y = op.args
        kept = len(op.store.shape)
        sizes, strides = x.shape, op.store.strides
        names = [f"o{d}" for d in range(len(sizes))]
        if not self._is_plain(op):
            return self._scalar_contract(op, x, y, names)
        wide = [d for d in range(kept) if sizes[d] > 1 and strides[d] == 1 and {x.strides[d], y.strides[d]} <= {0, 1}]
        if wide:
            return self._contract_beside(op, x, y, wide[-1], names)
        return self._contract_along(op, x, y, names)

    def _contract_beside(self, op: Op, x: Access, y: Access, j: int, names: list[str]) -> list[str]:
        """Vectors along an axis of the result."""
        kept, out = len(op.store.shape), self.place(op.out)
        operands = []
        for access in (x, y):
            at = self._sum_text("", access, {d: name for d, name in enumerate(names) if d != j})
            array = self.place(access.base).array
            operands.append(f"load@({array}, {at} + j@)" if access.strides[j] == 1 else f"spread({array}, {at})")
        summed = [f"for {names[d]} in range({x.shape[d]}):" for d in range(kept, len(names))]
        body = ["held = fill_zero(numbers)", *nested(summed, [f"held = fma({operands[0]}, {operands[1]}, held)"])]
        target = self._sum_text("", op.store, {d: names[d] for d in range(kept) if d != j})
        body.append(f"store@({out.array}, {target} + j, held@)")
        heads = [f"for {names[d]} in range({x.shape[d]}):" for d in range(kept) if d != j]
        return nested(heads, vector_loop(body, x.shape[j], self._lanes()))

    def _contract_along(self, op: Op, x: Access, y: Access, names: list[str]) -> list[str]:
        """Vectors along a summed axis."""
        kept, out = len(op.store.shape), self.place(op.out)
        summed = list(range(kept, len(names)))
        j = max(summed, key=lambda d: ((x.strides[d] == 1) + (y.strides[d] == 1), x.shape[d]))
        rest = {d: name for d, name in enumerate(names) if d != j}
        parts = [f"{self.place(a.base).array}, {self._sum_text('', a, rest)}, {a.strides[j]}" for a in (x, y)]
        call = f"dot({parts[0]}, {parts[1]}, {x.shape[j]})"
        loops = [f"for {names[d]} in range({x.shape[d]}):" for d in summed if d != j]
        target = f"{out.array}[{self._sum_text('', op.store, {d: names[d] for d in range(kept)})}]"
        heads = [f"for {names[d]} in range({x.shape[d]}):" for d in range(kept)]
        if not loops:
            return nested(heads, [f"{target} = {call}"])
        body = [f"held = np.{self.dtype}(0.0)", *nested(loops, [f"held += {call}"]), f"{target} = held"]
        return nested(heads, body)

    def _scalar_contract(self, op: Op, x: Access, y: Access, names: list[str]) -> list[str]:
        kept, out = len(op.store.shape), self.place(op.out)
        every = dict(enumerate(names))
        elements = [self._element(a, every) for a in (x, y)]
        dtype = self.graph.values[op.out].dtype
        zero = "False" if dtype.kind == "b" else f"{scalar_type(dtype)}(0)"
        term = (
            f"held or ({elements[0]} != 0 and {elements[1]} != 0)"
            if dtype.kind == "b"
            else (f"held + {scalar_type(dtype)}({elements[0]}) * {scalar_type(dtype)}({elements[1]})")
        )
        loops = [f"for {names[d]} in range({x.shape[d]}):" for d in range(kept, len(names))]
        target = f"{out.array}[{self._sum_text('', op.store, {d: names[d] for d in range(kept)})}]"
        body = [f"held = {zero}", *nested(loops, [f"held = {term}"]), f"{target} = held"]
        return nested([f"for {names[d]} in range({x.shape[d]}):" for d in range(kept)], body)

    # ---- running sums ----
    def _cumsum(self, op: Op) -> list[str]:
        (seen,), axis = op.args, op.options["axis"]
        names = {d: f"o{d}" for d in range(len(seen.shape))}
        dtype = self.graph.values[op.out].dtype
        element = self._element(seen, names)
        target = f"{self.place(op.out).array}[{self._sum_text('', op.store, names)}]"
        body = [
            f"held = {scalar_type(dtype)}({'-0.0' if dtype.kind == 'f' else '0'})",
            f"for {names[axis]} in range({seen.shape[axis]}):",
            f"    held += {element}",
            f"    {target} = held",
        ]
        return nested([f"for {names[d]} in range({seen.shape[d]}):" for d in names if d != axis], body)

    # ---- integer arrays ----
    def _index(self, op: Op, arrays: Sequence[Access], names: dict[int, str]) -> tuple[list[str], str]:
        """Lines that read and check the indices, and the offset that they give."""
        lines, terms = [], []
        for number, (array, step, length) in enumerate(
            zip(arrays, op.options["steps"], op.options["lengths"], strict=True)
        ):
            at = self._sum_text("", array, names)
            lines.append(f"q{number} = checked({self.place(array.base).array}[{at}], {length}, faults)")
            terms.append(f"q{number} * {step}")
        return lines, " + ".join(terms)

    def _gather(self, op: Op) -> list[str]:
        table, *arrays = op.args
        inner, outer = self._split(op, arrays)
        names = {d: f"o{d}" for d in range(len(op.shape))}
        lines, moved = self._index(op, arrays, {d: names[d] for d in outer})
        source = f"{self.place(table.base).array}[{self._sum_text('', table, names)} + {moved}]"
        target = f"{self.place(op.out).array}[{self._sum_text('', op.store, names)}]"
        body = nested([f"for {names[d]} in range({op.shape[d]}):" for d in inner], [f"{target} = {source}"])
        return nested([f"for {names[d]} in range({op.shape[d]}):" for d in outer], [*lines, *body])

    def _split(self, op: Op, arrays: Sequence[Access]) -> tuple[list[int], list[int]]:
        """Axes along which no index changes, and the others."""
        inner = [d for d in range(len(op.shape)) if all(a.strides[d] == 0 for a in arrays)]
        return inner, [d for d in range(len(op.shape)) if d not in inner]

    def _scatter(self, op: Op) -> list[str]:
        added, *arrays = op.args
        inner, outer = self._split(op, arrays)
        names = {d: f"o{d}" for d in range(len(op.shape))}
        lines, moved = self._index(op, arrays, {d: names[d] for d in outer})
        value = (
            self.scalar_number(added.value)
            if not isinstance(added, Access)
            else (f"{self.place(added.base).array}[{self._sum_text('', added, names)}]")
        )
        place, table = self.place(op.out), op.options["table"]
        target = f"{place.array}[{self._sum_text('', table, names)} + {moved}]"
        body = nested([f"for {names[d]} in range({op.shape[d]}):" for d in inner], [f"{target} += {value}"])
        return nested([f"for {names[d]} in range({op.shape[d]}):" for d in outer], [*lines, *body])
