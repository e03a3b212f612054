"""Elementwise work: all operations over one shape in one loop over its elements, intermediate results in registers.

Over values of the loop's dtype (and truth values) the loop goes over vectors; where integers or another float dtype are
met, over single numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..graph import Access, Number, Op
from .expressions import COMPARISONS, TRUTH, VECTOR, scalar_expression, scalar_type
from .gemm import VECTORS, panel_width
from .layout import Layout, access_offset


@dataclass(frozen=True)
class Key:
    """What operations that are fused have in common."""

    shape: tuple[int, ...]
    rowed: bool
    vector: bool
    once: bool  # sums of values that all rows share: one thread adds them


class Passes(Layout):
    """Writes passes as source lines."""

    # ---- which operations go together ----
    def key(self, op: Op) -> Key:
        rowed = self.graph.values[op.out].rowed if op.kind == "map" else op.options["rowed"]
        return Key(op.shape, rowed, self.is_vector(op), op.kind == "total" and not op.options["rowed"])

    def is_vector(self, op: Op) -> bool:
        kinds = [self._kind(a) for a in op.args]
        made = "f" if op.kind == "total" else self._kind(op.store)
        if op.kind == "total":
            return kinds == ["f"] and self.storage(op.out) == self.dtype
        if "other" in kinds or made == "other":
            return False
        if op.name in TRUTH:
            return "n" not in kinds
        if op.name in COMPARISONS:
            return "b" not in kinds and "f" in kinds
        if op.name == "where":
            return kinds[0] != "n" and made == "f" or (kinds[0] != "n" and kinds[1:] == ["b", "b"])
        if op.name in ("copy", "cast"):
            return made == "f" or kinds == ["b"]
        return op.name in VECTOR and made == "f"

    def _kind(self, arg: Any) -> str:
        if isinstance(arg, Number):
            return "n"
        dtype = self.graph.values[arg.base].dtype
        return "b" if dtype.kind == "b" else "f" if dtype == self.dtype else "other"

    # ---- text ----
    def pass_lines(self, key: Key, ops: Sequence[Op], stored: set[int]) -> list[str]:
        """The source lines of fused operations for a row; ``stored`` says which results must go to memory."""
        return _Nest(self, key, ops, stored).lines()

    def over_rows(self, lines: list[str], rowed: bool, once: bool, section: str) -> list[str]:
        """Lines for each row of this thread, and outside of the loop for each step of the chunk."""
        head: list[str] = []
        if once:
            head.append("if r0 == 0:")
        if section != "loop":
            head += ["for c in range(L):", "t = low + c"]
        if rowed:
            head.append("for i in range(r0, r1):")
        return nested(head, lines)

    def number(self, value: Any) -> str:
        """The name of a literal as a vector; its value is an argument, so that loops that differ in it are one."""
        self.numbers.append(float(value))
        return f"k{len(self.numbers) - 1}"

    numbers: list[float]
    scalars: list[float]

    def scalar_number(self, value: Any) -> str:
        if isinstance(value, (bool, np.bool_)):
            return str(bool(value))
        if isinstance(value, float) or getattr(value, "dtype", None) is not None and value.dtype.kind == "f":
            self.scalars.append(float(value))
            text = f"scalars[{len(self.scalars) - 1}]"
            return text if isinstance(value, float) else f"np.{value.dtype}({text})"
        return str(int(value)) if not hasattr(value, "dtype") else f"np.{value.dtype}({int(value)})"


@dataclass
class _Nest:
    """One nest of loops over the elements of a shape."""

    out: Passes
    key: Key
    ops: Sequence[Op]
    stored: set[int]
    named: dict[int, str] = field(default_factory=dict)  # results in registers
    loaded: dict[Access, str] = field(default_factory=dict)
    rows: dict[str, str] = field(default_factory=dict)  # where rows begin: what is written once is compiled once
    outer: list[str] = field(default_factory=list)  # loads that do not change along the innermost loop
    body: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        self._collapse()
        for op in self.ops:
            self._write(op)
        n = self.sizes[-1]
        if self.key.vector:
            lanes = panel_width(self.out.dtype) // VECTORS
            inner = vector_loop(self.body, n, lanes)
        else:
            inner = [f"for j in range({n}):", *["    " + line for line in self.body]]
        heads = [f"for o{d} in range({size}):" for d, size in enumerate(self.sizes[:-1])]
        return nested(heads, [*[f"{name} = {text}" for text, name in self.rows.items()], *self.outer, *inner])

    def _collapse(self) -> None:
        """Join axes that all accesses walk through evenly."""
        inside = {op.out for op in self.ops}
        seen = [a for op in self.ops for a in op.args if isinstance(a, Access) and a.base not in inside]
        seen += [op.store for op in self.ops]
        shape = self.key.shape
        dims = [d for d, n in enumerate(shape) if n != 1]
        groups: list[list[int]] = []
        for d in dims:
            if groups and all(a.strides[groups[-1][-1]] * a.times == a.strides[d] * shape[d] for a in seen):
                groups[-1].append(d)
            else:
                groups.append([d])
        self.groups = groups or [[]]
        self.sizes = [int(_product([shape[d] for d in group])) for group in self.groups]
        self.times, self.turned = 1, -1  # how often elements are repeated, and the axis along which they change
        if self.key.vector and len(groups) > 1 and self.sizes[-1] < panel_width(self.out.dtype) // VECTORS:
            self._join_repeats(seen)

    def _join_repeats(self, seen: Sequence[Access]) -> None:
        """Join the last axis, which is shorter than a vector, with that before it, though some accesses stand still."""
        (*_, before), n = self.groups[-2], self.sizes[-1]
        last = self.groups[-1][-1]
        if all(a.times == 1 and a.strides[last] in (0, a.strides[before] / n) for a in seen):
            self.times, self.turned = n, before
            self.groups[-2:] = [self.groups[-2] + self.groups[-1]]
            self.sizes[-2:] = [self.sizes[-2] * n]

    def _strides(self, access: Access) -> list[int]:
        strides = [access.strides[group[-1]] if group else 0 for group in self.groups]
        if self.times > 1 and not strides[-1]:
            strides[-1] = access.strides[self.turned]
        return strides

    def _times(self, access: Access) -> int:
        """How many elements in turn are the same along the innermost axis."""
        return self.times if self.times > 1 and not access.strides[self.groups[-1][-1]] else access.times

    def _offset(self, access: Access) -> tuple[str, int]:
        """The text of the offset without the innermost index, and the innermost stride."""
        place = self.out.place(access.base)
        strides = self._strides(access)
        flat = Access(access.base, access.offset, tuple(strides[:-1]), tuple(self.sizes[:-1]), access.rounds)
        names = [f"o{d}" for d in range(len(strides) - 1)]
        if " " in place.row_start:
            name = self.rows.setdefault(place.row_start, f"at{len(self.rows)}")
            place = replace(place, row_start=name)
        return access_offset(place, flat, names), strides[-1]

    # ---- operands ----
    def value(self, arg: Any) -> str:
        """The variable or literal of an operand."""
        if isinstance(arg, Number):
            return self.out.number(arg.value) if self.key.vector else self.out.scalar_number(arg.value)
        if arg.base in self.named:
            return self.named[arg.base]
        if arg not in self.loaded:
            self.loaded[arg] = f"l{len(self.loaded)}"
            self._load(arg, self.loaded[arg])
        return self.loaded[arg]

    def _load(self, access: Access, name: str) -> None:
        offset, stride = self._offset(access)
        array = self.out.place(access.base).array
        boolean = self.out.graph.values[access.base].dtype.kind == "b"
        times = self._times(access)
        if not self.key.vector:
            index = f"j // {times}" if times > 1 else "j"
            text = f"{array}[{offset}]" if stride == 0 else f"{array}[{offset} + {index} * {stride}]"
            text = f"{text} != 0" if boolean else self._narrowed(access.base, text)
            (self.outer if stride == 0 else self.body).append(f"{name} = {text}")
            return
        test = " != 0.0" if boolean else ""
        if stride == 0:
            self.outer.append(f"{name} = spread({array}, {offset}){test}")
        elif times > 1:
            self.body.append(f"{name} = load_repeated@({array}, {offset}, 0 + j, {times}, {stride}@){test}")
        elif stride == 1:
            self.body.append(f"{name} = load@({array}, {offset} + j@){test}")
        else:
            self.body.append(f"{name} = load_strided@({array}, {offset} + j * {stride}, {stride}@){test}")

    def _narrowed(self, base: int, text: str) -> str:
        """An integer as the dtype that it has on the tape; all are stored as int64."""
        dtype = self.out.graph.values[base].dtype
        return text if dtype == self.out.storage(base) else f"{scalar_type(dtype)}({text})"

    # ---- operations ----
    def _write(self, op: Op) -> None:
        if op.kind == "total":
            self._write_total(op)
            return
        text = self._vector_text(op) if self.key.vector else self._scalar_text(op)
        whole = op.store == self.out.graph.whole(op.out)
        name = f"v{op.out}" if whole else f"p{op.out}_{op.store.offset}"
        self.body.append(f"{name} = {text}")
        if whole:
            self.named[op.out] = name
        if op.out in self.stored or not whole:
            self._store(op.store, name)

    def _store(self, access: Access, name: str) -> None:
        offset, stride = self._offset(access)
        array = self.out.place(access.base).array
        if not self.key.vector:
            boolean = self.out.graph.values[access.base].dtype.kind == "b"
            value = f"(1.0 if {name} else 0.0)" if boolean else name
            self.body.append(f"{array}[{offset} + j * {stride}] = {value}")
        elif stride == 1 or self.sizes[-1] == 1:
            self.body.append(f"store@({array}, {offset} + j, {name}@)")
        else:
            self.body.append(f"store_strided@({array}, {offset} + j * {stride}, {stride}, {name}@)")

    def _write_total(self, op: Op) -> None:
        name = self.value(op.args[0])
        offset, stride = self._offset(op.store)
        array = self.out.place(op.out).array
        if not self.key.vector:
            self.body.append(f"{array}[{offset} + j * {stride}] += {name}")
        elif stride == 1 or self.sizes[-1] == 1:
            self.body.append(f"store@({array}, {offset} + j, load@({array}, {offset} + j@) + {name}@)")
        else:
            seen = f"{array}, {offset} + j * {stride}, {stride}"
            self.body.append(f"store_strided@({seen}, load_strided@({seen}@) + {name}@)")

    def _scalar_text(self, op: Op) -> str:
        values = self.out.graph.values
        given = [values[a.base].dtype if isinstance(a, Access) else np.asarray(a.value).dtype for a in op.args]
        return scalar_expression(op.name, [self.value(a) for a in op.args], values[op.out].dtype, given)

    def _vector_text(self, op: Op) -> str:
        kinds = [self.out._kind(a) for a in op.args]
        args = [self.value(a) for a in op.args]
        if op.name in TRUTH:
            tests = [a if k == "b" else f"({a} != 0.0)" for a, k in zip(args, kinds, strict=True)]
            return TRUTH[op.name].format(*tests)
        if op.name in COMPARISONS:
            infinity = self.out.number(float("inf")) if op.name == "isfinite" else ""
            return COMPARISONS[op.name].format(*args, inf=infinity)
        made = self.out._kind(op.store)
        if op.name == "where":
            test = args[0] if kinds[0] == "b" else f"({args[0]} != 0.0)"
            if made == "b":
                return f"mask_or(mask_and({test}, {args[1]}), mask_and(mask_not({test}), {args[2]}))"
            return f"select({test}, {self._float(args[1], kinds[1])}, {self._float(args[2], kinds[2])})"
        if made == "b":
            return args[0]
        return VECTOR[op.name].format(*[self._float(a, k) for a, k in zip(args, kinds, strict=True)])

    def _float(self, text: str, kind: str) -> str:
        """A truth value as 1 or 0."""
        return f"select({text}, {self.out.number(1.0)}, {self.out.number(0.0)})" if kind == "b" else text


def vector_loop(body: Sequence[str], n: int, lanes: int) -> list[str]:
    """A loop over vectors of n elements, the last of them in part; ``@`` marks where the count of a part belongs."""
    lines = []
    if n >= lanes:
        lines.append(f"for j in range(0, {n - n % lanes}, {lanes}):")
        lines += ["    " + line.replace("@", "") for line in body]
    if n % lanes:
        if n > lanes:
            lines.append(f"j = {n - n % lanes}")
        else:
            body = [_FIRST.sub("", line) for line in body]
        lines += [line.replace("@(", "_part(").replace("@)", f", {n % lanes})") for line in body]
    return lines


_FIRST = re.compile(r" \+ j( \* -?\d+)?\b")  # of the only part it is 0


def nested(heads: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Lines within loops; a head that does not end in a colon is a statement of its own."""
    made: list[str] = []
    depth = 0
    for head in heads:
        made.append("    " * depth + head)
        depth += head.endswith(":")
    return made + ["    " * depth + line for line in lines]


def _product(sizes: Sequence[int]) -> int:
    total = 1
    for n in sizes:
        total *= n
    return total
