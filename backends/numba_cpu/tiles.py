"""The register tile of matrix products: a block of rows times one or several packed panels, its sums held in registers.

The right operand lies in panels of ``VECTORS`` vectors' width, each panel k by k. A tile walks along the summed axis;
each element of a panel is loaded once for all rows of the tile, each element of the left operand is spread over a
vector once for all its columns.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .fetching import prefetch_line
from .vectors import BITS, INT32, INT64, call_llvm, first_lanes, splat, vector_of

# The sums take ROWS * VECTORS registers: 16 of the 32 of AVX-512, 12 of the 16 of AVX2, 8 of the 16 of SSE.
ROWS = 8 if BITS == 512 else 4
VECTORS = 2 if BITS == 512 else 3 if BITS == 256 else 2

BESIDE = 4  # panels at most in one tile


def panels_beside(rows: int) -> int:
    """How many panels a tile of few rows spans: an FMA takes four or five cycles, so sums have to be many."""
    return max(1, min(BESIDE, 1 << (ROWS // rows).bit_length() - 1))


def _chosen(shapes: dict[int, tuple[int, int, int]], summary: str) -> Any:
    """An intrinsic that calls the tile of a number; ``shapes`` has rows, panels, and vectors of each panel."""

    @intrinsic
    def emitted(typingctx, number, a, row, step, panel, K, columns, c, ldc, add):
        index = types.intp
        return types.void(index, a, index, index, panel, index, index, c, index, types.boolean), _switch(shapes, a)

    emitted.__doc__ = f"""{summary}

    a points to the first left element, whose rows are ``row`` and whose columns ``step`` elements apart; panel to the
    panels, each of K rows; c to the result, whose rows are ``ldc`` apart, and of which only the first ``columns``
    columns are touched. With ``add`` the product is added to what c holds.
    """
    return emitted


def _chosen_fetching(shapes: dict[int, tuple[int, int, int]], summary: str) -> Any:
    @intrinsic
    def emitted(typingctx, number, a, row, step, panel, K, columns, c, ldc, add, near, lines):
        index = types.intp
        made = types.void(index, a, index, index, panel, index, index, c, index, types.boolean, index, index)
        return made, _switch(shapes, a)

    emitted.__doc__ = summary
    return emitted


def _switch(shapes: dict[int, tuple[int, int, int]], a: Any) -> Any:
    """What emits a call of the tile of a number."""

    def codegen(context, builder, signature, args):
        after = builder.append_basic_block("after")
        choice = builder.switch(args[0], after)
        kinds = [arg.type for arg in args[1:]]
        for key, shape in shapes.items():
            choice.add_case(key, block := builder.append_basic_block(f"tile{key}"))
            builder.position_at_end(block)
            builder.call(_tile(builder.module, vector_of(a.dtype), *shape, kinds), args[1:])
            builder.branch(after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    return codegen


tile = _chosen({n: (n, 1, VECTORS) for n in range(1, ROWS + 1)}, "The product of 1 to ``ROWS`` rows with a panel.")
fetching_tile = _chosen_fetching(
    {n: (n, 1, VECTORS) for n in range(1, ROWS + 1)},
    "As ``tile``; ``lines`` lines of the cache from the address ``near`` on are fetched, as far as there are terms.",
)
narrow_tile = _chosen({n: (n, 1, 1) for n in range(1, ROWS + 1)}, "As ``tile``, for a panel's first vector alone.")
wide_tile = _chosen(
    {n: (n, panels_beside(n), VECTORS) for n in range(2, ROWS // 2 + 1)},
    "The product of 2 to ``ROWS // 2`` rows with as many panels as :func:`panels_beside` says.",
)
row_tile = _chosen({n: (1, n, VECTORS) for n in range(2, BESIDE + 1)}, "The product of one row with 2 to 4 panels.")


def _tile(module: Any, vector: Any, rows: int, panels: int, vectors: int, kinds: list[Any]) -> Any:
    """LLVM: the function for one tile; it is emitted where it is first called."""
    name = f"tile_{rows}_{panels}_{vectors}_{vector.suffix}_{len(kinds)}"
    function = module.globals.get(name)
    if function is None:
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        function.attributes.add("optsize")  # unrolled loops would be no faster, and take longer to compile
        _Tile(function, vector, rows, panels, vectors).emit()
    return function


class _Tile:
    """Emits one tile into a function."""

    def __init__(self, function: Any, vector: Any, rows: int, panels: int, vectors: int):
        self.args = function.args
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.vector, self.rows, self.panels, self.vectors = vector, rows, panels, vectors
        self.count = panels * vectors  # vectors of a row

    def number(self, n: int) -> Any:
        return ir.Constant(INT64, n)

    def opaque(self, value: Any) -> Any:
        """A number that LLVM knows nothing about.

        It would step from one row to the next by additions that wait for one another, as long as the FMAs take.
        """
        return self.builder.asm(ir.FunctionType(INT64, [INT64]), "", "=r,0", [value], side_effect=False)

    def at(self, pointer: Any, offset: Any) -> Any:
        return self.builder.gep(pointer, [offset if isinstance(offset, ir.Value) else self.number(offset)])

    def wide(self, pointer: Any, offset: Any) -> Any:
        return self.builder.bitcast(self.at(pointer, offset), self.vector.llvm.as_pointer())

    def read(self, address: Any) -> Any:
        value = self.builder.load(address)
        value.align = self.vector.dtype.bitwidth // 8
        return value

    def emit(self) -> None:
        builder = self.builder
        a, row, step, panel, K, columns, c, ldc, add = self.args[:9]
        lanes = self.vector.lanes
        self.lefts = [self.opaque(builder.mul(row, self.number(i))) if i else row for i in range(self.rows)]
        self.starts = [builder.mul(K, self.number(n * VECTORS * lanes)) for n in range(self.panels)]
        self.fetch(c, ldc)
        self.finish(self.sums(K))

    def fetch(self, c: Any, ldc: Any) -> None:
        """Bring the result near while the sums grow."""
        builder = self.builder
        for i in range(self.rows):
            line = self.at(c, builder.mul(ldc, self.number(i)))
            for j in range(0, self.count * self.vector.lanes, 512 // self.vector.dtype.bitwidth):
                place = builder.bitcast(self.at(line, j), ir.IntType(8).as_pointer())
                call_llvm(
                    builder, "llvm.prefetch.p0", ir.VoidType(), place, *[ir.Constant(INT32, n) for n in (1, 3, 1)]
                )

    def sums(self, K: Any) -> list[Any]:
        """Add the terms up, each sum in the order of k.

        Whatever tile a row falls into, its sums come out the same to the last bit: a row does not depend on how many
        others there are, and one step at a time gives what the whole sequence gives.
        """
        builder = self.builder
        entry = builder.block
        head, body, done = (builder.append_basic_block(name) for name in ("sum", "sum.body", "sum.done"))
        builder.branch(head)
        builder.position_at_end(head)
        k = builder.phi(INT64)
        k.add_incoming(self.number(0), entry)
        sums = [builder.phi(self.vector.llvm) for _ in range(self.rows * self.count)]
        for phi in sums:
            phi.add_incoming(ir.Constant(self.vector.llvm, None), entry)
        builder.cbranch(builder.icmp_signed("<", k, K), body, done)
        builder.position_at_end(body)
        for phi, value in zip(sums, self.terms(k, sums), strict=True):
            phi.add_incoming(value, body)
        k.add_incoming(builder.add(k, self.number(1)), body)
        builder.branch(head)
        builder.position_at_end(done)
        return sums

    def terms(self, k: Any, sums: list[Any]) -> list[Any]:
        """The sums with the products at one k added."""
        builder, vector = self.builder, self.vector
        a, _, step, panel = self.args[:4]
        if len(self.args) > 9:
            near, lines = self.args[9:]
            prefetch_line(builder, near, builder.select(builder.icmp_signed("<", k, lines), k, self.number(0)))
        offset = builder.mul(k, self.number(VECTORS * vector.lanes))
        rights = []
        for start in self.starts:
            line = self.at(self.at(panel, start), offset)
            rights += [self.read(self.wide(line, j * vector.lanes)) for j in range(self.vectors)]
        column = self.at(a, builder.mul(k, step))
        grown = []
        for i in range(self.rows):
            place = self.at(column, self.lefts[i]) if i else column
            left = splat(builder, builder.load(place), vector.lanes)
            for j, right in enumerate(rights):
                term = left, right, sums[i * self.count + j]
                grown.append(call_llvm(builder, f"llvm.fma.{vector.suffix}", vector.llvm, *term))
        return grown

    def finish(self, sums: list[Any]) -> None:
        """Store the sums, or add them to the result; columns that are not there are left alone."""
        builder = self.builder
        columns, c, ldc, add = self.args[5:9]
        lanes = self.vector.lanes
        outputs = [
            self.wide(self.at(c, builder.mul(ldc, self.number(i))), j * lanes)
            for i in range(self.rows)
            for j in range(self.count)
        ]
        whole = builder.icmp_signed("==", columns, self.number(self.count * lanes))
        with builder.if_else(whole) as (every, some):
            with every, builder.if_else(add) as (added, stored):
                with added:
                    self.store(outputs, [builder.fadd(x, self.read(at)) for x, at in zip(sums, outputs, strict=True)])
                with stored:
                    self.store(outputs, sums)
            with some:
                self.store_some(outputs, sums, columns, add)
        builder.ret_void()

    def store(self, outputs: list[Any], values: list[Any]) -> None:
        for address, value in zip(outputs, values, strict=True):
            self.builder.store(value, address).align = self.vector.dtype.bitwidth // 8

    def store_some(self, outputs: list[Any], sums: list[Any], columns: Any, add: Any) -> None:
        builder, vector = self.builder, self.vector
        align = ir.Constant(INT32, vector.dtype.bitwidth // 8)
        zero = ir.Constant(vector.llvm, None)
        held = builder.select(add, columns, self.number(0))
        for j in range(self.count):
            here, read = (
                first_lanes(builder, builder.sub(n, self.number(j * vector.lanes)), vector.lanes)
                for n in (columns, held)
            )
            for address, value in zip(outputs[j :: self.count], sums[j :: self.count], strict=True):
                name = f"llvm.masked.load.{vector.suffix}.p0"
                before = call_llvm(builder, name, vector.llvm, address, align, read, zero)
                name = f"llvm.masked.store.{vector.suffix}.p0"
                call_llvm(builder, name, ir.VoidType(), builder.fadd(value, before), address, align, here)
