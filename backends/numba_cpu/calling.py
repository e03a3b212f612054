"""The Python function around a compiled loop, written for each step: it binds arrays, runs the loop, makes results.

All that can be known before a call (which argument goes where, what is moved, cast, packed or cut out of a sum) is
decided once and written down as straight code. A generic version of it takes longer than a short loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import gemm, run
from .arena import take
from .weights import weight_arguments

if TYPE_CHECKING:
    from .binding import Array, Block, Program, Result


_NUMPY = ("array", "asarray", "ascontiguousarray", "empty", "zeros", "moveaxis", "transpose")
_HELPERS = ("aligned", "contiguous", "out_of_range", "packing_memory", "share", "DEPTH", "FEW", "spread", "with_time")


class Caller:
    """Writes ``call(args, length, reverse)``, which returns the final states, the ys and the sums.

    It returns None where there is no step or no row.

    Attributes
    ----------
    source : str
    call : callable
    """

    def __init__(self, program: Program):
        self.program = program
        self.known: dict[str, Any] = {
            "program": program, "take": take, "NO_FAULTS": np.zeros(3, np.int64), "int64": np.dtype(np.int64),
            **{name: getattr(program, name) for name in ("loop", "prepare", "table", "numbers", "scalars", "spare")},
            **{name: getattr(np, name) for name in _NUMPY}, **{name: getattr(run, name) for name in _HELPERS},
        }  # fmt: skip
        self.lines: list[str] = []
        self.named: dict[tuple, str] = {}  # expressions that several results share
        self.fixed: dict[int, str] = {}
        self.write()
        body = "".join(f"    {line}\n" for line in self.lines)
        self.source = f"{self.scratch()}\n\ndef call(args, length, reverse):\n{body}"
        exec(compile(self.source, "<the call of a compiled loop>", "exec"), self.known)
        self.call = self.known["call"]

    def write(self) -> None:
        self.arguments()
        self.once()
        self.outputs()
        self.weights()
        self.loop()
        self.emit(f"return ({''.join(f'{self.result(r)}, ' for r in self.program.results)})")

    def emit(self, line: str) -> None:
        self.lines.append(line)

    def constant(self, value: Any, name: str) -> str:
        """The name by which the text knows a value."""
        if type(value) is int or type(value) is bool:
            return repr(value)
        while self.known.setdefault(name, value) is not value:
            name += "_"
        return name

    def dtype(self, dtype: np.dtype) -> str:
        name = dtype.name if dtype.isnative else f"{dtype.name}_swapped"
        self.known.setdefault(name, dtype)
        return name

    # ---- arguments ----
    def arguments(self) -> None:
        p = self.program
        count = len(p.tape.inputs)
        if count:
            self.emit(f"{''.join(f'a{i}, ' for i in range(count))} = args")
        self.emit("rows = 1" if p.counted is None else f"rows = a{p.counted[0]}.shape[{p.counted[1]}]")
        self.emit("if length * rows == 0:")
        self.emit("    return None")
        self.emit("memory, laid_out = (take, contiguous) if length * rows > FEW else (empty, ascontiguousarray)")

    def leading(self, array: Array) -> str:
        """An argument with its rows first, or behind time."""
        name = f"a{array.index}"
        return f"moveaxis({name}, {array.axis + array.late}, {array.late})" if array.axis else name

    def once(self) -> None:
        """The values that follow from the parameters."""
        p = self.program
        self.fixed = {slot: f"a{i}" for i, slot in enumerate(p.parameters)}
        self.fixed.update({slot: self.constant(value, f"const{slot}") for slot, value in p.tape.consts.items()})
        for slot, node in p.once:
            text = self.operation(node, slot, self.fixed.__getitem__)
            slots = range(slot, slot + len(node.ans)) if node.primitive.multiple else (slot,)
            self.fixed.update({s: f"f{s}" for s in slots})
            self.emit(f"{''.join(f'f{s}, ' for s in slots)[: None if node.primitive.multiple else -2]} = {text}")

    def operation(self, node: Any, slot: int, value: Any) -> str:
        given = [
            self.constant(v, f"literal{slot}_{i}") if s < 0 else value(s)
            for i, (s, v) in enumerate(zip(node.slots, node.args, strict=True))
        ]
        given += [f"**{self.constant(node.options, f'options{slot}')}"] if node.options else []
        name = node.primitive.name if node.primitive.name.isidentifier() else "operation"
        return f"{self.constant(node.primitive.run, f'{name}{slot}')}({', '.join(given)})"

    def outputs(self) -> None:
        """States before and after a step, those that are kept for all steps, and what the loop writes."""
        p = self.program
        for k in p.plain:
            state, kind = p.states[k], self.dtype(p.states[k].dtype)
            self.emit(f'now{k} = array({self.leading(state)}, {kind}, order="C")')
            self.emit(f"then{k} = empty(now{k}.shape, {kind})")
        for k in p.trails:
            whole = self.whole("length + 1", p.results[k].rowed, p.results[k].shape)
            self.emit(f"trail{k} = memory({whole}, {self.dtype(p.states[k].dtype)})")
            self.emit(f"trail{k}[-1 if reverse else 0] = {self.leading(p.states[k])}")
        for k, (rowed, shape, dtype) in enumerate(p.outputs):
            self.emit(f"y{k} = memory({self.whole('length', rowed, shape)}, {self.dtype(dtype)})")

    def whole(self, steps: str, rowed: bool, shape: tuple[int, ...]) -> str:
        """The shape of an array of all steps."""
        return f"({', '.join([steps, *(['rows'] if rowed else []), *map(str, shape)])},)"

    def weights(self) -> None:
        """Right operands of products, packed, in memory of an earlier call that has ended."""
        p = self.program
        self.emit("packed = packing_memory(program)")
        given = ["table", "packed"]
        for slot, perm in p.weights:
            name, dtype = self.fixed[slot], self.dtype(p.dtype)
            turned = perm not in ((0, 1), (1, 0))
            value = f"transpose({name}, {perm})" if turned else name
            given.append(f"ascontiguousarray({value}, {dtype}).ravel()")
        if p.weights:
            given += ["packed"] * (weight_arguments(len(p.weights)) - len(p.weights))
            self.emit(f"prepare({', '.join(given)})")

    # ---- the loop ----
    def loop(self) -> None:
        p = self.program
        self.emit(f"mine = share(rows, length * rows * {p.scratch_size})" if p.is_rowed else "mine = rows")
        self.emit(f"steps = {self.steps()}")
        self.emit("faults = zeros(3, int64)" if p.is_indexed else "faults = NO_FAULTS")
        states = [f"{name}{k}.ravel(), " for name in ("now", "then") for k in p.plain]
        self.emit(f"states = ({''.join(states)})")
        arrays = [f"trail{k}.ravel()" for k in p.trails]
        arrays += [f"laid_out({self.leading(a)}, {self.dtype(a.dtype)}).ravel()" for a in p.streams]
        for slot, axis, dtype in p.fixed:
            name = f"moveaxis({self.fixed[slot]}, {axis}, 0)" if axis else self.fixed[slot]
            arrays.append(f"ascontiguousarray({name}, {self.dtype(dtype)}).ravel()")
        arrays += [f"y{k}.ravel()" for k in range(len(p.outputs))]
        self.emit(f"arrays = ({''.join(f'{a}, ' for a in arrays)})")
        totals = "".join(f"{name}, " for name, _ in p.totals)
        self.emit("if mine == rows:")
        self.emit("    scratch = scratch_of(memory, rows, steps, rows)")
        self.emit("    loop(length, reverse, 0, rows, rows, steps, numbers, scalars, packed, faults,"
                  " *scratch, *states, *arrays)")  # fmt: skip
        self.emit("else:")
        given = "scratch_of, program, mine, rows, length, reverse, steps, packed, faults, states, arrays"
        self.emit(f"    scratch = spread({given})")
        if totals:
            self.emit(f"{totals} = {''.join(f'scratch[{i}], ' for _, i in p.totals)}")
        self.emit("spare.append(packed)")
        if p.is_indexed:
            self.emit("if faults[0]:")
            self.emit("    raise out_of_range(faults)")
        if p.plain:
            now, then = ("".join(f"{name}{k}, " for k in p.plain) for name in ("now", "then"))
            self.emit("if length % 2:")
            self.emit(f"    {now} = {then}")
        for k in p.trails:
            self.emit(f"now{k} = trail{k}[0 if reverse else -1].copy()")

    def scratch(self) -> str:
        """The scratch arrays of a thread, of so many rows."""
        made = []
        for kind, size, dtype in self.program.pools:
            if kind == "total_shared":
                made.append(f"zeros({size}, {self.dtype(dtype)})")
            elif kind == "total":
                made.append(f"zeros(rows * {size}, {self.dtype(dtype)})")
            elif kind == "work_shared":
                made.append(f"aligned({size}, {self.dtype(dtype)})")
            else:
                factors = {"work": "mine * ", "chunk_shared": "steps * "}.get(kind, "mine * steps * ")
                made.append(f"memory(({factors}{size},), {self.dtype(dtype)})")
        return f"def scratch_of(memory, mine, steps, rows):\n    return ({''.join(f'{text}, ' for text in made)})\n"

    def steps(self) -> str:
        """The number of steps in a chunk: rows enough for products outside the loop, and few enough for the cache."""
        p = self.program
        enough = f"max(1, min(length, DEPTH // (mine * {p.lead})))"
        if p.sums_late:
            return enough
        return f"{enough} if mine < {gemm.ROWS} else 1" if p.has_before else "length"

    # ---- results ----
    def result(self, result: Result) -> str:
        what, dtype = result.what, self.dtype(result.dtype)
        if result.kind == "next":
            return self.tape_form(f"now{what}", result, self.program.states[what].dtype, 0)
        if result.kind == "y":
            return self.tape_form(f"y{what}", result, self.program.outputs[what][2], 1)
        if result.kind == "trail":
            state, new = what
            seen = f"(trail{state}[1:] if reverse != {new} else trail{state}[:-1])"
            return self.tape_form(seen, result, self.program.states[state].dtype, 1)
        if result.kind == "x":
            return f"array(a{what}, {dtype})"
        if result.kind == "sum":
            return self.sum(result)
        value = self.constant(what, "literal") if result.kind == "literal" else self.fixed[what]
        if result.late:
            return f"with_time({value}, (length, *{result.aval.shape}), {dtype})"
        return f"array(length * asarray({value}), {dtype})"

    def tape_form(self, name: str, result: Result, stored: np.dtype, lead: int) -> str:
        """Rows where the tape has them, and the tape's dtype."""
        if result.axis:
            name = f"moveaxis({name}, {lead}, {lead + result.axis})"
        if stored != result.dtype:
            name = f"({name} != 0)" if result.dtype.kind == "b" else f"{name}.astype({self.dtype(result.dtype)})"
        return name if lead or result.aval.shape else f"{name}[()]"

    def sum(self, result: Result) -> str:
        """A sum over time, as an array of its own."""
        slot, shape, dtype = result.what, result.aval.shape, result.dtype
        block = self.program.blocks.get(slot)
        stored = None if block is None else self.program.total_dtypes[block.place[0]]
        value = self.total(slot)
        if stored == dtype and block is not None and self.shape(block) == shape:
            return f"{value}.copy()"
        return f'array({value}, {self.dtype(dtype)}, order="C").reshape({shape})'

    def shape(self, block: Block) -> tuple[int, ...] | None:
        """The shape of what :meth:`block` gives, where it is known."""
        return None if block.rowed or block.turned is not None else block.shape

    def total(self, slot: int) -> str:
        """A sum over time, or what follows linearly from sums."""
        if ("total", slot) not in self.named:
            block = self.program.blocks.get(slot)
            if block is not None:
                text = self.block(block)
            elif slot in self.fixed:
                text = self.fixed[slot]
            else:
                text = self.operation(self.program.tape.nodes[slot], slot, self.total)
            self.named["total", slot] = self.name(text)
        return self.named["total", slot]

    def name(self, text: str) -> str:
        """A variable for an expression."""
        if ("text", text) not in self.named:
            self.named["text", text] = f"t{len(self.named)}"
            self.emit(f"{self.named['text', text]} = {text}")
        return self.named["text", text]

    def block(self, block: Block) -> str:
        """A sum out of the array that it lies in, with the axes that the tape gives it."""
        name, start, rows, columns, first, number = block.place
        if block.rowed:
            found = f"{name}[{start} * rows:{start + rows * columns} * rows]"
            if number != columns:
                found = f"{found}.reshape({rows}, {columns} * rows)[:, {first} * rows:{first + number} * rows]"
            found = f"{found}.reshape(rows, {', '.join(map(str, block.shape))})"
        elif rows == 1:
            found = f"{name}[{start + first}:{start + first + number}]"
            found = found if block.shape == (number,) else f"{found}.reshape({block.shape})"
        else:
            found = self.name(f"{name}[{start}:{start + rows * columns}].reshape({rows}, {columns})")
            found = found if number == columns else f"{found}[:, {first}:{first + number}]"
            found = found if block.shape == (rows, number) else f"{found}.reshape({block.shape})"
        if block.turned is not None:
            return f"{found}.transpose({block.turned})"
        return f"moveaxis({found}, 0, {block.axis})" if block.axis else found
