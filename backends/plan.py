"""From a traced step to before / loop / after, by dependence alone and for any target.

* **once**: what follows from the parameters; computed a single time.
* **before**: products of the inputs, which do not depend on the state; computed for many steps together.
* **loop**: what the next state is made of, and all cheap work; it must go step by step.
* **after**: products that the next state does not need, and the sums over time; for many steps together again.

Sums are brought to their n-ary form first, so that the order in which they are written does not matter: the products
in a sum add into one value.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from tapegrad.scan_primitive import Step

from .contractions import contract_sums
from .describe import describe
from .graph import Access, Graph, Op
from .translate import translate

SECTIONS = ("before", "loop", "after")


@dataclass
class Plan:
    """Where each operation of a step is done.

    Attributes
    ----------
    graph : Graph
    before, loop, after : list of Op
        In an order in which they can be done.
    crossing : set of int
        Values that one section writes and a later one reads.
    """

    graph: Graph
    before: list[Op] = field(default_factory=list)
    loop: list[Op] = field(default_factory=list)
    after: list[Op] = field(default_factory=list)
    crossing: set[int] = field(default_factory=set)

    def __str__(self) -> str:
        return describe(self)


def make_plan(step: Step) -> Plan:
    """Sort the operations of a step into its parts.

    Raises
    ------
    Unlowered
        Naming a primitive that cannot be compiled.
    """
    graph = translate(step)
    prune(graph)
    gather_products(graph)
    contract_sums(graph)
    prune(graph)
    plan = Plan(graph)
    _sort(plan)
    return plan


def prune(graph: Graph) -> None:
    """Drop what nothing reads."""
    wanted = {i for i, value in enumerate(graph.values) if value.source in ("next", "y", "sum")}
    found = -1
    while found != len(wanted):  # a state of an inner loop is read before it is written
        found = len(wanted)
        wanted.update(carry.new for carry in graph.carries if carry.state in wanted)
        for op in reversed(graph.ops):
            if op.out in wanted:
                wanted.update(op.reads)
    graph.ops = [op for op in graph.ops if op.out in wanted]
    graph.carries = [carry for carry in graph.carries if carry.state in wanted]


# ---- sums of products ----
def gather_products(graph: Graph) -> None:
    """Let the products that are terms of one sum add into one value."""
    readers = Counter(base for op in graph.ops for base in op.reads)
    readers.update(carry.new for carry in graph.carries)
    writers: dict[int, list[Op]] = {}
    for op in graph.ops:
        writers.setdefault(op.out, []).append(op)

    def only(access: object, name: str, like: Op) -> Op | None:
        """The operation whose whole result this term is, if nothing else reads it."""
        if not isinstance(access, Access) or readers[access.base] != 1 or access != graph.whole(access.base):
            return None
        made = writers.get(access.base, [])
        fits = len(made) == 1 and graph.values[access.base].rowed == graph.values[like.out].rowed
        fits = fits and made[0].loop == like.loop
        return made[0] if fits and access.shape == like.shape and name in (made[0].kind, made[0].name) else None

    def terms(op: Op) -> list[tuple[object, Op | None]]:
        found: list[tuple[object, Op | None]] = []
        for access in op.args:
            inner = only(access, "add", op)
            if inner is not None and inner.kind == "map":
                absorbed.add(id(inner))
                found += terms(inner)
            else:
                found.append((access, only(access, "gemm", op)))
        return found

    absorbed: set[int] = set()
    replaced: dict[int, list[Op]] = {}
    for op in reversed(graph.ops):
        if op.kind == "map" and op.name == "add" and id(op) not in absorbed:
            mark = set(absorbed)
            found = terms(op)
            products = [made for _, made in found if made is not None]
            if len(products) < 2:
                absorbed.intersection_update(mark)
                continue
            replaced[id(op)] = _regrouped(graph, op, [a for a, made in found if made is None], products)
    ops: list[Op] = []
    for op in graph.ops:
        if id(op) in replaced:
            ops += replaced[id(op)]
        elif id(op) not in absorbed:
            ops.append(op)
    graph.ops = ops


def _regrouped(graph: Graph, op: Op, rest: list, products: list[Op]) -> list[Op]:
    """The additions that are left when the products of a sum add into one value."""
    target = products[0].out if rest else op.out
    for product in products:
        product.out, product.store = target, graph.whole(target)
    made, total = [], graph.whole(target)
    for i, term in enumerate(rest):
        value = graph.values[op.out]
        last = i == len(rest) - 1
        out = op.out if last else graph.make_value(value.shape, value.dtype, value.rowed, "op", value.slot)
        store = op.store if out == op.out else graph.whole(out)
        made.append(Op("map", "add", [total, term], out, store, op.shape, loop=op.loop))
        total = graph.whole(out)
    return made


# ---- sections ----
def _sort(plan: Plan) -> None:
    graph = plan.graph
    moved = {i for i, value in enumerate(graph.values) if value.source == "state"}
    for op in graph.ops:
        if op.loop or any(base in moved for base in op.reads):
            moved.add(op.out)
    cone = {i for i, value in enumerate(graph.values) if value.source == "next"}
    cone.update(carry.new for carry in graph.carries)
    early: set[int] = set()
    for op in reversed(graph.ops):
        if op.out in cone or op.loop:  # an inner loop is done within the step, with all that it reads
            cone.update(op.reads)
    for op in reversed(graph.ops):
        free = not op.loop and not any(base in moved for base in op.reads)
        if free and ((op.kind == "gemm" and graph.values[op.out].source != "sum") or op.out in early):
            early.update(base for base in op.reads if graph.values[base].source == "op")
    late: set[int] = set()
    for op in graph.ops:
        free = not any(base in moved for base in op.reads)
        if op.loop:
            plan.loop.append(op)
        elif op.kind == "gemm" and free or op.out in early:
            plan.before.append(op)
        elif op.kind == "accumulate" or any(base in late for base in op.reads):
            late.add(op.out)
            plan.after.append(op)
        elif op.kind == "gemm" and op.out not in cone:
            late.add(op.out)
            plan.after.append(op)
        else:
            plan.loop.append(op)
    _carry_states(plan)
    _find_crossing(plan)


def _carry_states(plan: Plan) -> None:
    """Keep what the state was for the operations behind the loop, which see the last one only."""
    graph = plan.graph
    kept: dict[int, int] = {}
    for op in plan.after:
        for i, access in enumerate(op.args):
            if isinstance(access, Access) and graph.values[access.base].source == "state":
                if access.base not in kept:
                    value = graph.values[access.base]
                    kept[access.base] = graph.make_value(value.shape, value.dtype, value.rowed, "op", value.slot)
                    whole = graph.whole(kept[access.base])
                    plan.loop.insert(0, Op("map", "copy", [graph.whole(access.base)], whole.base, whole, value.shape))
                op.args[i] = replace(access, base=kept[access.base])


def _find_crossing(plan: Plan) -> None:
    written: dict[int, set[str]] = {}
    for section in SECTIONS:
        for op in getattr(plan, section):
            for base in op.reads:
                if written.get(base, {section}) != {section}:
                    plan.crossing.add(base)
            if written.get(op.out, {section}) != {section}:
                plan.crossing.add(op.out)
            written.setdefault(op.out, set()).add(section)


# ---- printing ----
