"""Values that repeat each element of another one: they are not written, and who reads them reads the other."""

from __future__ import annotations

import math

from ..graph import Access, Op
from ..plan import SECTIONS, Plan


def read_repeats(plan: Plan) -> None:
    """Take the copies that repeat elements out of a plan, where all that reads them is work on elements beside them."""
    ops = [op for section in SECTIONS for op in getattr(plan, section)]
    writers: dict[int, list[Op]] = {}
    readers: dict[int, list[Op]] = {}
    for op in ops:
        writers.setdefault(op.out, []).append(op)
        for base in dict.fromkeys(op.reads):
            readers.setdefault(base, []).append(op)
    carried = {carry.new for carry in plan.graph.carries}  # read at the end of a round
    for section in SECTIONS:
        mine = {id(op) for op in getattr(plan, section)}
        gone = []
        for op in getattr(plan, section):
            seen = readers.get(op.out, [])
            beside = all(id(r) in mine and r.loop == op.loop and r.kind in ("map", "total") for r in seen)
            if not seen or not beside or len(writers[op.out]) != 1 or op.out in carried or not _repeats(plan, op):
                continue
            found = [[_through(op, arg) for arg in reader.args] for reader in seen]
            if all(arg is not None for args in found for arg in args):
                for reader, args in zip(seen, found, strict=True):
                    reader.args[:] = args
                gone.append(id(op))
        setattr(plan, section, [op for op in getattr(plan, section) if id(op) not in gone])


def _repeats(plan: Plan, op: Op) -> bool:
    """Whether an operation writes a whole value: each element of another one several times in turn."""
    value, seen = plan.graph.values[op.out], op.args[0]
    if op.kind != "map" or op.name != "copy" or not isinstance(seen, Access) or value.source != "op":
        return False
    source = plan.graph.values[seen.base]
    alike = (source.dtype, source.rowed) == (value.dtype, value.rowed)
    whole = op.store.dense and op.store.rounds is None and value.size == math.prod(op.store.shape)
    return alike and whole and seen.times == 1 and _wide(seen) is not None


def _wide(seen: Access) -> tuple[int, int, int] | None:
    """Of a vector each element of which is repeated: the count of elements, their distance, and how often each is."""
    wide = [(n, stride) for n, stride in zip(seen.shape, seen.strides, strict=True) if n != 1]
    if len(wide) != 2 or wide[0][1] == 0 or wide[1][1] != 0:
        return None
    return wide[0][0], wide[0][1], wide[1][0]


def _through(op: Op, arg: object) -> object:
    """How an operand is read where a copy is left out; None where it cannot be."""
    if not isinstance(arg, Access) or arg.base != op.out:
        return arg
    seen: Access = op.args[0]
    wide = _wide(seen)
    if wide is None or arg.rounds is not None or arg.offset or not arg.shape:
        return None
    n, stride, times = wide
    if arg.shape[-1] != n * times or arg.strides[-1] != 1 or any(arg.strides[:-1]):
        return None
    strides = (*arg.strides[:-1], stride)
    return Access(seen.base, seen.offset, strides, arg.shape, seen.rounds, times)

